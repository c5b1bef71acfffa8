"""The programs of the README and of ``docs/`` are run as they are printed, and all links hold."""

import importlib.metadata
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

import resnet_jax
from experiments.lab.data import weights
from resnet_jax import count_layers

ROOT = pathlib.Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page):
    return page.read_text(encoding="utf-8")


def links(page):
    """What a page links to: pairs of a file, and a heading in it or nothing."""
    for target in re.findall(r"\]\(([^)]+)\)", read(page)):
        if not target.startswith("http"):
            name, _, heading = target.partition("#")
            yield page.parent / name if name else page, heading


def anchors(page):
    """The headings of a page, as links name them."""
    text = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def the_block_with(text, page):
    blocks = re.findall(r"```python\n(.*?)```", read(page), re.DOTALL)
    (block,) = [block for block in blocks if text in block]
    return block


@pytest.fixture(scope="module")
def program():
    return the_block_with("class Gated", README)


def run(folder, *flags):
    command = [sys.executable, "gated.py", "--preset=smoke", "--depths=4,7", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.slow
def test_ones_own_block_is_studied(program, tmp_path):
    (tmp_path / "gated.py").write_text(program, encoding="utf-8")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    results = pd.read_csv(tmp_path / "runs" / "degradation" / "results.csv")
    assert sorted(results.depth.unique()) == [4, 7]  # one layer a block: odd depths as well
    assert (results.train_error < 0.9).any()
    # A directory belongs to one block: after a change in its source it is refused.
    changed = program.replace("nn.sigmoid(gate)", "nn.tanh(gate)")
    assert changed != program
    (tmp_path / "gated.py").write_text(changed, encoding="utf-8")
    refused = run(tmp_path)
    assert refused.returncode == 2 and "block is Gated" in refused.stderr


@pytest.mark.slow
def test_a_convolutional_block_of_ones_own_is_studied(tmp_path):
    program = the_block_with("class Conv", ROOT / "docs" / "own-ideas.md")
    (tmp_path / "conv.py").write_text(program, encoding="utf-8")
    flags = "--family=cifar --depths=5 --num_seeds=1 --steps=3 --width=4 --learning_rates=0.1"
    command = [sys.executable, "conv.py", *flags.split(), "--examples=100", "--batch_size=10"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = pd.read_csv(tmp_path / "runs" / "degradation" / "results.csv")
    assert (results.status == "healthy").all() and set(results.shortcut_weight) == {0, 1}


@pytest.mark.slow
def test_a_study_of_ones_own_has_a_figure_of_its_own(tmp_path):
    program = the_block_with("STUDY = ", ROOT / "docs" / "new-study.md")
    assert len(program.splitlines()) < 60
    (tmp_path / "spread.py").write_text(program, encoding="utf-8")
    flags = "--depths=2,4 --num_seeds=2 --steps=5 --width=8 --examples=200 --batch_size=50"
    command = [sys.executable, "spread.py", *flags.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Seeds differ most in" in done.stdout
    assert (tmp_path / "runs" / "spread" / "figures" / "spread.svg").stat().st_size > 5000
    helped = subprocess.run([*command[:2], "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert helped.stdout.startswith("Spread: ")


def test_the_commands_are_what_ci_runs():
    """Line by line, but for options that make it quiet and quick."""
    options = re.compile(r" --(quiet|disable-pip-version-check|numprocesses=\d|dist=worksteal)")
    script = [options.sub("", line.strip()) for line in read(ROOT / ".ci" / "run").splitlines()]
    text = read(README)
    installation, tests = re.search(r"pass the tests:\n\n```bash\n(.*)\n(.*)\n```", text).groups()
    assert script.index(installation) < script.index(tests)
    assert "pip install -e ." in script and "pip install -e .\n" in text


def test_the_readme_is_short_and_leads_to_every_page():
    assert len(read(README).splitlines()) <= 150
    assert {file for file, _ in links(README)} >= set(PAGES[1:])


@each_page
def test_every_file_it_shows_is_there(page):
    for file, heading in links(page):
        assert file.exists(), file
        assert not heading or heading in anchors(file), (file, heading)


def test_weights_are_read_as_it_says(tmp_path, monkeypatch):
    """All lines but the last make shapes, from which the file is made that the last one reads."""
    monkeypatch.chdir(tmp_path)
    block = the_block_with("weights.load", ROOT / "docs" / "networks.md")
    *lines, last = block.strip().splitlines()
    names = {}
    exec("\n".join(lines), names)
    zeros = lambda tree: jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)
    params, statistics = zeros(names["params"]), zeros(names["statistics"])
    params["head"]["bias"][3] = 7
    weights.save("resnet50.safetensors", params, statistics)
    exec(last, names)
    assert names["params"]["head"]["bias"][3] == 7
    assert count_layers(names["params"]) == 50


@each_page
def test_nothing_is_left_to_fill_in(page):
    assert not re.findall(r"@\w+@", read(page))


def test_there_is_one_version():
    citation, version = read(ROOT / "CITATION.cff"), importlib.metadata.version("resnet_jax")
    assert f"version: {version}\n" in citation and resnet_jax.__version__ == version


def test_commits_are_checked_by_the_tools_of_ci():
    hooks, checks = read(ROOT / ".pre-commit-config.yaml"), read(ROOT / ".ci" / "check")
    commands = re.findall(r"^(ruff.*|mypy.*)$", checks, re.MULTILINE)
    assert [entry.strip() for entry in re.findall(r"entry: (.*)", hooks)] == [
        command.removesuffix(" .") for command in commands
    ]
