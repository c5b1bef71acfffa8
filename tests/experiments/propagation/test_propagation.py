"""The study as its users run it."""

import json

import pandas as pd
import pytest

from experiments import dynamics, propagation
from experiments.lab.config.validation import validate
from experiments.propagation import STUDY

FLAGS = ["--depths=32", "--num_seeds=3", "--width=32", "--norm=none,batch"]
FLAGS += ["--order=original", "--branch_scale=one", "--init=he"]


@pytest.mark.slow
def test_what_theory_says_is_measured(tmp_path, command):
    said = command("-m", "experiments.propagation", *FLAGS).stdout
    folder = tmp_path / "runs" / "propagation"
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["matmul_precision"] == "highest"
    summary = pd.read_csv(folder / "summary.csv").set_index(["norm", "network"])
    assert summary.verdict["none", "residual"] == "exploding"
    assert summary.verdict["batch", "plain"] in ("BN-explosion", "shattered")
    bounded = summary.loc["batch"]
    assert (abs(bounded.power / bounded.power_theory - 1) < 0.2).all()
    blocks = pd.read_csv(folder / "blocks.readings.csv")
    assert len(blocks) == 2 * 2 * 3 * 16 and (blocks.step == 0).all()
    assert len(pd.read_csv(folder / "layers.readings.csv")) == 2 * 2 * 3 * 32
    assert "Exploding: residual without norm" in said
    assert "Of 16 curves theory fits" in said
    curves = pd.read_csv(folder / "curves.csv")
    assert len(curves) == 4 * 4 * 16 and set(curves.fit) <= {"yes", "near", "no"}
    page = (folder / "report.html").read_text()
    assert "BN-explosion" in page or "shattered" in page


@pytest.mark.long
def test_a_block_of_ones_own_is_diagnosed(tmp_path, with_own_block):
    flags = ["--depths=8", "--num_seeds=2", "--width=8", "--norm=none", "--order=original"]
    with_own_block("propagation", *flags, "--branch_scale=one", "--init=he")
    summary = pd.read_csv(tmp_path / "runs" / "propagation" / "summary.csv")
    assert len(summary) == 2 and summary.power_theory.isna().all() and summary.power.notna().all()


@pytest.mark.parametrize(
    ("family", "depth", "width"), [("dense", 202, 128), ("cifar", 56, 16), ("imagenet", 34, 16)]
)
def test_every_family_runs_without_further_flags(family, depth, width):
    config = STUDY.configuration([f"--family={family}"])
    validate(config)
    assert config.depths == (depth,) and config.base_width() == width
    assert STUDY.configuration([f"--family={family}", "--depths=8", "--width=4"]).depths == (8,)


@pytest.mark.parametrize("study", [propagation, dynamics])
def test_networks_without_blocks_are_refused(study, capsys):
    assert study.main(["--depths=2,8"]) == 2
    assert "no blocks to look between" in capsys.readouterr().err


@pytest.mark.long
def test_theory_follows_plain_convolutions_alone(tmp_path, command):
    flags = ["--family=cifar", "--depths=8", "--num_seeds=2", "--width=4", "--norm=none"]
    flags += [
        "--order=original",
        "--branch_scale=one",
        "--init=he",
        "--examples=16",
        "--batch_size=16",
    ]
    said = command("-m", "experiments.propagation", *flags).stdout
    folder = tmp_path / "runs" / "propagation"
    summary = pd.read_csv(folder / "summary.csv").set_index("network")
    assert summary.power.notna().all()
    assert summary.power_theory.isna().to_dict() == {"plain": False, "residual": True}
    assert "Of 4 curves theory fits" in said
    assert len(pd.read_csv(folder / "blocks.readings.csv")) == 2 * 2 * 4
