"""The study as its users run it."""

import numpy as np
import pandas as pd
import pytest


@pytest.mark.slow
def test_blocks_of_ones_own_are_removed_exchanged_and_followed(tmp_path, with_own_block):
    flags = ["--depths=6", "--num_seeds=2", "--learning_rates=0.1", "--width=16", "--steps=60"]
    done = with_own_block("lesion", *flags, "--order=original")
    folder = tmp_path / "runs" / "lesion"
    results = pd.read_csv(folder / "results.csv").set_index(["shortcut_weight", "seed"])
    read = lambda name: pd.read_csv(folder / f"{name}.readings.csv")
    removed, swapped, paths = read("removed"), read("swapped"), read("paths")
    for intact in (removed[removed.removed == 0], swapped[swapped.swaps == 0]):
        intact = intact.set_index(["shortcut_weight", "seed"])
        assert len(intact) == len(results) == 4
        np.testing.assert_allclose(intact.train_error, results.train_error, atol=2e-3)
        np.testing.assert_allclose(intact.remeasured_error, results.train_error, atol=2e-3)
    single = removed[removed.which.notna()]
    assert (single.groupby(["shortcut_weight", "seed"]).which.nunique() == 4).all()
    one = single.groupby("shortcut_weight").train_error.mean()
    assert one[0.0] > one[1.0] > 0
    all_removed = removed[removed.removed == 4].groupby(["shortcut_weight", "seed"]).train_error
    assert (all_removed.nunique() == 1).all()  # whatever is drawn
    shares = paths.groupby(["shortcut_weight", "seed", "trained"]).length_share.sum()
    np.testing.assert_allclose(shares, 1, rtol=1e-4)
    plain = paths[(paths.shortcut_weight == 0) & (paths.length < 4)]
    assert len(plain) == 16 and (plain.path_norm == 0).all() and (plain.length_share == 0).all()
    assert "removing one of 4 blocks" in done.stdout
    assert (folder / "figures" / "paths.svg").exists()
