"""The study as its users run it."""

import subprocess
import sys

import pandas as pd
import pytest

from experiments import trainable_depth
from experiments.lab.config.validation import validate

FLAGS = ["--depths=4,64", "--num_seeds=2", "--learning_rates=0.1", "--width=24", "--steps=100"]
FLAGS += ["--norm=batch", "--order=original", "--branch_scale=one", "--init=he", "--warmup=none"]


def run(folder, *command):
    done = subprocess.run(
        [sys.executable, "-m", "experiments", *command], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_defaults_are_sound():
    defaults = trainable_depth.STUDY.defaults
    validate(defaults)
    assert len(defaults.variants()) == 9


@pytest.mark.slow
def test_shortcuts_train_deeper(tmp_path):
    said = run(tmp_path, "trainable_depth", *FLAGS)
    folder = tmp_path / "runs" / "trainable_depth"
    table = pd.read_csv(folder / "remedies.csv").set_index("network")
    plain = table.loc["plain, batch norm"]
    assert (plain.trains_to, plain.fails_at, plain.seeds) == (4, 64, 2)
    assert plain.theory == "4 healthy; 64 BN-explosion"
    assert table.order.eq("original").all() and len(pd.read_csv(folder / "summary.csv")) == 4
    assert "Without shortcuts, 1 of 1 train deepest, to 4 layers: plain, batch norm." in said
    before = (folder / "figures" / "trainable_depth.svg").read_bytes()
    assert "BN-explosion from 64" in run(tmp_path, "report", f"--workdir={folder}")
    assert (folder / "figures" / "trainable_depth.svg").read_bytes() == before
    assert "How deep do networks train?" in (folder / "report.html").read_text(encoding="utf-8")
