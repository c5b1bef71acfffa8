"""The study as its users run it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from experiments.dynamics import STUDY

BLOCK = """
import flax.linen as nn
from experiments import dynamics
from resnet_jax import Parts

class Mine(nn.Module):
    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        return shortcut_weight * a + branch_weight * nn.Dense(self.width)(nn.tanh(a))

raise SystemExit(dynamics.main(block=Mine, layers_per_block=1))
"""


@pytest.mark.slow
def test_a_block_of_ones_own_is_followed_while_it_trains(tmp_path):
    (tmp_path / "mine.py").write_text(BLOCK)
    flags = ["--depths=6", "--num_seeds=2", "--width=8", "--norm=none", "--order=original"]
    flags += ["--branch_scale=one", "--init=he", "--learning_rates=0.1,1e30", "--steps=12"]
    command = [sys.executable, "mine.py", *flags, "--examples=100"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "dynamics"
    blocks = pd.read_csv(folder / "blocks.readings.csv")
    assert len(blocks) == 2 * 2 * 2 * 6 * 5  # kinds, rates, seeds, steps, places
    assert sorted(blocks.step.unique()) == [0, 1, 2, 5, 10, 12]
    assert not np.isfinite(blocks[(blocks.learning_rate > 1) & (blocks.step == 12)].rms).any()
    summary = pd.read_csv(folder / "summary.csv")
    assert summary.verdict.notna().all() and (summary.learning_rate == 0.1).all()
    history = pd.read_csv(folder / "history.csv")
    assert set(blocks.step) <= set(history.step)
    assert "Plain, without norm, 6 layers: gradients at the first block" in done.stdout
    assert "as initialised" in done.stdout
    for name in ("over_layers", "over_steps", "errors_by_verdict"):
        assert (folder / "figures" / f"{name}.png").exists()
    assert (folder / "report.html").read_text().count("<figure>") == 3


def test_it_has_every_kind_of_network_with_every_normalisation():
    assert len(STUDY.defaults.variants()) == 12
