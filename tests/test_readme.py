"""The README's program is run as it is printed there."""

import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

from experiments.lab.data import weights
from resnet_jax import count_layers

README = pathlib.Path(__file__).parent.parent / "README.md"


def the_block_with(text):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if text in block]
    return block


@pytest.fixture(scope="module")
def program():
    return the_block_with("class Gated")


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


def test_the_commands_are_what_ci_runs():
    script = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    for command in ('-e ".[test]"', "pytest"):
        assert command in text and command in script


def test_every_file_it_shows_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (README.parent / target).exists(), target


def test_weights_are_read_as_it_says(tmp_path, monkeypatch):
    """All lines but the last make shapes, from which the file is made that the last one reads."""
    monkeypatch.chdir(tmp_path)
    *lines, last = the_block_with("weights.load").strip().splitlines()
    names = {}
    exec("\n".join(lines), names)
    zeros = lambda tree: jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)
    params, statistics = zeros(names["params"]), zeros(names["statistics"])
    params["head"]["bias"][3] = 7
    weights.save("resnet50.safetensors", params, statistics)
    exec(last, names)
    assert names["params"]["head"]["bias"][3] == 7
    assert count_layers(names["params"]) == 50


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@\w+@", README.read_text(encoding="utf-8"))
