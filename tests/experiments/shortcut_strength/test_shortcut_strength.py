"""The study as its users run it."""

import numpy as np
import pandas as pd
import pytest


@pytest.mark.slow
def test_shortcuts_of_ones_own_blocks_are_strengthened_and_turned_down(tmp_path, with_own_block):
    flags = ["--depths=16", "--num_seeds=2", "--learning_rates=0.05", "--width=16", "--steps=120"]
    flags += ["--shortcut_weights=0,0.5,1"]
    done = with_own_block("shortcut_strength", *flags)
    folder = tmp_path / "runs" / "shortcut_strength"
    turned = pd.read_csv(folder / "turned_down.readings.csv")
    results = pd.read_csv(folder / "results.csv")
    keys = ["depth", "shortcut_weight", "shortcut_schedule", "seed"]
    whole = turned[np.isclose(turned.share, 1)].merge(results, on=keys, suffixes=("", "_end"))
    assert len(whole) == len(results) == 8 and (turned.step == 120).all()
    np.testing.assert_allclose(whole.train_error, whole.train_error_end)
    plain = turned[turned.shortcut_weight == 0]  # nothing is left to turn down
    assert plain.groupby(["depth", "seed"]).train_loss.nunique().eq(1).all()
    annealed = turned[turned.shortcut_schedule == "annealed"]  # plain in the end, as well
    assert set(annealed.shortcut_weight) == {1} and len(annealed) == 2 * 11
    assert annealed.groupby(["depth", "seed"]).train_loss.nunique().eq(1).all()
    turned = turned[turned.shortcut_schedule == "constant"]
    cut = turned[(turned.shortcut_weight == 1) & (turned.depth == 16) & (turned.share == 0)]
    assert (cut.train_error > 0.5).all()
    assert "Greatest depth" in done.stdout and "annealed from 1 to 0" in done.stdout
    assert (folder / "figures" / "annealed.svg").exists() and (
        folder / "figures" / "turned_down.svg"
    ).exists()
