"""The README's program is run as it is printed there."""

import pathlib
import re
import subprocess
import sys

import pandas as pd
import pytest

README = pathlib.Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def program():
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return block


def run(folder, *flags):
    command = [sys.executable, "gated.py", "--preset=smoke", "--depths=4,7", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


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
