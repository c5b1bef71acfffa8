"""The study as its users run it."""

import numpy as np
import pandas as pd
import pytest

from experiments.dynamics import STUDY
from experiments.lab.config.variants import KINDS
from experiments.lab.config.vocabulary import NORMS


@pytest.mark.slow
def test_a_block_of_ones_own_is_followed_while_it_trains(tmp_path, with_own_block):
    flags = ["--depths=6", "--num_seeds=2", "--width=8", "--norm=none", "--order=original"]
    flags += ["--branch_scale=one", "--init=he", "--learning_rates=0.1,1e30", "--steps=12"]
    done = with_own_block("dynamics", *flags, "--examples=100")
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
    kinds = {(each.norm, each.order, each.branch_scale, each.init) for each in KINDS}
    assert STUDY.defaults.variants() == KINDS and len(kinds) == 4 * len([*NORMS])
    for norm in NORMS:
        assert (norm, "pre_activation", "one", "zero_last") in kinds
