"""Reach, by errors made up so that the answer is known."""

import numpy as np
import pandas as pd
import pytest

from experiments.lab.analysis.reach import reach

DEPTHS = (8, 16, 32, 64)
nan = np.nan


@pytest.mark.parametrize(
    ("errors", "trains", "fails", "again", "words"),
    [
        ([0.0, 0.01, 0.3, 0.8], 16, 32, (), "16"),
        ([0.0, 0.01, 0.02, 0.04], 64, nan, (), "≥ 64"),
        ([0.9, 0.9, 0.9, 0.9], nan, 8, (), "< 8"),
        ([0.0, 0.05, 0.2, 0.3], 8, 16, (), "8"),  # the limit itself does not count
        ([0.0, 0.2, 0.01, 0.3], 8, 16, (32,), "8"),
        ([0.2, 0.0, 0.01, 0.0], nan, 8, (16, 32, 64), "< 8"),
    ],
)
def test_networks_train_to_the_depth_before_the_first_that_fails(
    errors, trains, fails, again, words
):
    shuffled = pd.Series(errors, index=DEPTHS).sample(frac=1, random_state=0)
    found = reach(shuffled)
    np.testing.assert_equal(tuple(found), (trains, fails, again))
    assert found.words == words and found.known == (fails == fails)
    assert found.order == (0 if np.isnan(trains) else trains)


def test_a_looser_limit_is_reached_deeper():
    errors = pd.Series([0.001, 0.02, 0.1, 0.5], index=DEPTHS)
    assert [reach(errors, below).trains for below in (0.01, 0.05, 0.2)] == [8, 16, 32]
