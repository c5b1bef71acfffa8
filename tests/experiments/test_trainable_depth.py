"""The study as its users run it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from experiments import trainable_depth
from experiments.validation import validate

FLAGS = ["--num_seeds=2", "--learning_rates=0.05", "--width=12", "--steps=60", "--batch_size=50"]
FLAGS += ["--examples=300"]


def run(folder, *flags):
    command = [sys.executable, "-m", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_defaults_are_sound():
    validate(trainable_depth.STUDY.defaults)


@pytest.mark.slow
def test_remedies_are_told_apart(tmp_path):
    ways = ["--norm=batch,none", "--order=original,pre_activation", "--branch_scale=one,learned"]
    flags = ["--depths=4,40", *FLAGS, *ways, "--init=he"]
    said = run(tmp_path, "experiments.trainable_depth", *flags)
    folder = tmp_path / "runs" / "trainable_depth"
    table = pd.read_csv(folder / "remedies.csv").set_index("network")
    assert len(table) == 3  # plain networks with learned branches carry nothing
    assert table.trains_to["plain, batch norm"] == 4 and table.fails_at["plain, batch norm"] == 40
    skip_init = table.loc["residual, pre-activation, learned branch scale, no normalisation"]
    assert skip_init.trains_to == 40 and np.isnan(skip_init.fails_at)
    assert "≥ 40" in said and "Without shortcuts, 1 of 1 train deepest, to 4 layers" in said
    before = (folder / "figures" / "trainable_depth.svg").read_bytes()
    assert "healthy" in run(tmp_path, "experiments.report", f"--workdir={folder}")
    assert (folder / "figures" / "trainable_depth.svg").read_bytes() == before
    assert "How deep do networks train?" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_convolutional_networks_have_remedies_and_no_theory(tmp_path):
    flags = ["--family=cifar", "--depths=8", "--norm=batch", "--order=original", "--init=he"]
    flags += ["--branch_scale=one", "--width=4", "--num_seeds=1", "--steps=2", "--batch_size=20"]
    flags += ["--examples=60", "--learning_rates=0.1"]
    said = run(tmp_path, "experiments.trainable_depth", *flags)
    assert said.count("no theory") == 2 and "By theory's verdict" not in said
