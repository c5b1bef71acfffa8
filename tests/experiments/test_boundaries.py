"""Boundaries, from summaries made up so that the answer is known."""

import numpy as np
import pandas as pd
import pytest

from experiments import boundaries
from experiments.boundaries import Boundary
from experiments.config import VARIANT_FIELDS, Variant
from experiments.reach import Reach

LECTURE = Variant("batch", "original", "A", "one", "he")


def summary(errors, depths=(8, 16, 32, 64), family="dense"):
    """Of mean training errors by shortcut weight, one a depth."""
    return pd.DataFrame(
        [
            dict(zip(VARIANT_FIELDS, LECTURE.names(), strict=True))
            | {"family": family, "depth": depth, "shortcut_weight": weight, "train_error": error}
            for weight, row in errors.items()
            for depth, error in zip(depths, row, strict=True)
        ]
    )


def test_a_boundary_lies_below_the_first_depth_that_fails():
    table = summary({0.0: [0.0, 0.01, 0.3, 0.8], 1.0: [0.0, 0.0, 0.0, 0.01]})
    plain, residual = boundaries.of_weights(table, knows=False)
    assert plain[:2] == (0.0, Reach(16, 32, ())) and np.isnan(plain.theory)
    assert residual.weight == 1.0 and residual.reach.words == "≥ 64"


def test_what_trains_again_beyond_a_failure_does_not_count():
    table = summary({0.5: [0.06, 0.0, 0.0, 0.0], 0.7: [0.0, 0.05, 0.0, 0.0]})
    first, second = boundaries.of_weights(table)
    assert first.reach.words == "< 8"
    assert second.reach[:2] == (8, 16)


def test_theorys_boundary_meets_the_plain_one_and_rises_with_the_weight():
    row = [0.0, 0.01, 0.3, 0.8]
    found = boundaries.of_weights(summary(dict.fromkeys((0.0, 0.5, 0.9, 1.0), row)))
    theory = [each.theory for each in found]
    assert theory[0] == 16 and theory == sorted(theory) and theory[-1] > 24


def test_theory_is_silent_where_it_knows_nothing():
    row = [0.0, 0.01, 0.3, 0.8]
    other = boundaries.of_weights(summary({0.0: row, 1.0: row}), knows=False)
    assert all(np.isnan(each.theory) for each in other)
    no_plain = boundaries.of_weights(summary({0.5: row, 1.0: row}))
    assert all(np.isnan(each.theory) for each in no_plain)


def with_annealed(kept, annealed):
    """A summary whose annealed variant comes first, as its name does."""
    beside = summary(annealed).assign(shortcut_schedule="annealed")
    return pd.concat([beside, summary(kept)], ignore_index=True)


def test_annealed_networks_stand_beside_the_others():
    row = [0.0, 0.01, 0.3, 0.8]
    table = with_annealed({0.0: row, 1.0: [0.0, 0.0, 0.0, 0.0]}, {1.0: [0.0, 0.0, 0.01, 0.9]})
    found = boundaries.of_weights(table)
    assert [each.reach.trains for each in found] == [16, 64] and found[0].theory == 16
    (annealed,) = boundaries.measured_of(boundaries.annealed(table))
    assert annealed[:2] == (1.0, Reach(32, 64))
    (said,) = boundaries.sentences_annealed(found, [annealed])
    assert "from 1 to 0" in said and "train to 32 layers; to 16 plain from the start" in said
    assert said.endswith("to ≥ 64 with shortcuts kept.")


def test_without_both_nothing_stands_beside():
    row = [0.0, 0.01, 0.3, 0.8]
    assert boundaries.annealed(summary({0.0: row, 1.0: row})).empty
    alone = summary({0.0: row, 1.0: row}).assign(shortcut_schedule="annealed")
    assert boundaries.annealed(alone).empty and len(boundaries.of_weights(alone)) == 2
    assert boundaries.measured_of(alone.iloc[:0]) == []
    nothing = boundaries.sentences_annealed([], [Boundary(1.0, Reach(np.nan, 8))])
    assert nothing[0].endswith("train to < 8 layers.")


def test_sentences_count_where_theory_agrees():
    nan = np.nan
    found = [
        Boundary(0.0, Reach(16, 32), 16),
        Boundary(0.5, Reach(16, 32), 20),
        Boundary(1.0, Reach(64, nan), 50),
    ]
    depths, agrees = boundaries.sentences(found)
    assert "0: 16, 0.5: 16, 1: ≥ 64" in depths
    assert "at 1 of 2 other weights" in agrees


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ({1.0: 0.0, 0.9: 0.0, 0.8: 0.3, 0.7: 0.0}, "down to 0.9 at 8 layers"),
        ({1.0: 0.0, 0.9: 0.2, 0.8: 0.3, 0.7: 0.3}, "down to 1 at 8 layers"),
        ({1.0: 0.2, 0.9: 0.0, 0.8: 0.0, 0.7: 0.0}, "No network"),
    ],
)
def test_how_far_shortcuts_can_be_turned_down(errors, words):
    rows = [
        {"shortcut_weight": 1.0, "depth": 8, "share": share, "train_error": error}
        for share, error in errors.items()
    ]
    assert words in boundaries.sentences_turned_down(pd.DataFrame(rows))[0]
