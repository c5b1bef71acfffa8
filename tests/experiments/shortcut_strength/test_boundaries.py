"""Boundaries, from summaries made up so that the answer is known."""

import numpy as np
import pandas as pd
import pytest

from experiments.lab.analysis.reach import Reach
from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.shortcut_strength import boundaries
from experiments.shortcut_strength.boundaries import Band, Boundary
from resnet_jax import theory

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
    assert plain[:2] == (0.0, Reach(16, 32, ())) and plain.theory is None
    assert residual.weight == 1.0 and residual.reach.words == "≥ 64"
    assert plain.measured == Band(16, 32) and residual.measured == Band(64, np.inf)


def test_what_trains_again_beyond_a_failure_does_not_count():
    table = summary({0.5: [0.06, 0.0, 0.0, 0.0], 0.7: [0.0, 0.05, 0.0, 0.0]})
    first, second = boundaries.of_weights(table)
    assert first.reach.words == "< 8"
    assert second.reach[:2] == (8, 16)


ROW = [0.0, 0.01, 0.3, 0.8]


DEEP = (32, 64, 128, 256)


def pre_activation(weights, depths=DEEP, **fields):
    """Boundaries of networks that theory has closed forms of; all train to the second depth."""
    table = summary(dict.fromkeys(weights, ROW), depths)
    return boundaries.of_weights(table.assign(order="pre_activation", **fields))


def test_theorys_band_is_the_measured_one_of_plain_networks_and_rises_with_the_weight():
    found = pre_activation((0.0, 0.5, 0.9, 1.0), (8, 24, 32, 48))
    lows, highs = zip(*[each.theory for each in found], strict=True)
    assert found[0].theory == found[0].measured == Band(24, 32)
    assert list(lows) == sorted(lows) and lows[-1] > 32
    assert list(highs) == sorted(highs) and highs[-1] > 128
    assert all(each.criterion == boundaries.EXPLOSION for each in found)


def test_the_lectures_order_is_followed_as_well():
    plain, half = boundaries.of_weights(summary({0.0: ROW, 0.5: ROW}, (4, 8, 10, 12)))
    assert plain.theory == Band(8, 10) and half.theory == Band(6, 12)


def test_a_band_lies_where_gradients_have_grown_as_in_plain_networks():
    """At weight w by w² + (1 - w²) k^4 a block, far from both ends."""
    plain, half = pre_activation((0.0, 0.7))
    growth = np.log([theory.shortcut_explosion(weight) for weight in (0.0, 0.7)])
    assert plain.theory == Band(64, 128)
    expected = 2 + np.array([62, 126]) * growth[0] / growth[1]
    np.testing.assert_allclose(half.theory, expected, rtol=0.06)


def test_where_plain_gradients_keep_their_size_angles_are_compared():
    """Branches carry 1/(w² + 1) of the power, and so many times as many blocks turn as far."""
    found = pre_activation((0.0, 0.5, 1.0), norm="none")
    for each, times in zip(found, (1, 1.25, 2), strict=True):
        np.testing.assert_allclose(each.theory, 2 + times * np.array([62, 126]), rtol=0.06)
        assert each.criterion == boundaries.COLLAPSE
    assert "where two inputs look as much alike" in boundaries.sentences(found)[1]


def test_layer_norm_is_judged_by_angles_too():
    plain, whole = pre_activation((0.0, 1.0), (8, 16, 24, 32), norm="layer")
    assert whole.criterion == boundaries.COLLAPSE and plain.theory == Band(16, 24)
    assert whole.theory.low > 128  # what it adds is ever less beside the stream


def test_a_band_is_open_where_the_plain_boundary_is():
    all_train, none_trains = [0.0] * 4, [0.5] * 4
    table = summary({0.0: all_train, 0.5: ROW}).assign(order="pre_activation")
    plain, half = boundaries.of_weights(table)
    assert plain.theory == Band(64, np.inf) and plain.measured.overlaps(plain.theory)
    assert half.theory.low > 64 and half.theory.high == np.inf and plain.theory.words == "≥ 64"
    table = summary({0.0: none_trains, 0.5: ROW}).assign(order="pre_activation")
    plain, half = boundaries.of_weights(table)
    assert plain.theory == Band(0, 8) and half.theory.low == 0 and plain.theory.words == "< 8"


def test_bands_overlap_where_one_boundary_can_lie_in_both():
    assert Band(16, 24).overlaps(Band(22, 26)) and Band(16, np.inf).overlaps(Band(2, 18))
    assert not Band(16, 24).overlaps(Band(24, 32))  # 24 layers would train, and fail


def test_theory_is_silent_where_it_knows_nothing():
    other = boundaries.of_weights(summary({0.0: ROW, 1.0: ROW}), knows=False)
    no_plain = boundaries.of_weights(summary({0.5: ROW, 1.0: ROW}))
    silent = boundaries.of_weights(summary({0.0: ROW, 1.0: ROW}).assign(init="zero_last"))
    for found in (other, no_plain, silent):
        assert all(each.theory is None for each in found)
        assert len(boundaries.sentences(found)) == 1


def with_annealed(constant, annealed):
    """A summary whose annealed variant comes first, as its name does."""
    beside = summary(annealed).assign(shortcut_schedule="annealed")
    return pd.concat([beside, summary(constant)], ignore_index=True)


def test_annealed_networks_stand_beside_the_others():
    table = with_annealed({0.0: ROW, 1.0: [0.0, 0.0, 0.0, 0.0]}, {1.0: [0.0, 0.0, 0.01, 0.9]})
    table = table.assign(order="pre_activation")
    found = boundaries.of_weights(table)
    assert [each.reach.trains for each in found] == [16, 64] and found[0].theory == Band(16, 32)
    (annealed,) = boundaries.measured_of(boundaries.with_annealed_shortcuts(table))
    assert annealed[:2] == (1.0, Reach(32, 64))
    (said,) = boundaries.sentences_annealed(found, [annealed])
    assert "from 1 to 0" in said and "train to 32 layers; to 16 plain from the start" in said
    assert said.endswith("to ≥ 64 with shortcuts kept.")


def test_without_both_nothing_stands_beside():
    assert boundaries.with_annealed_shortcuts(summary({0.0: ROW, 1.0: ROW})).empty
    alone = summary({0.0: ROW, 1.0: ROW}).assign(shortcut_schedule="annealed")
    assert (
        boundaries.with_annealed_shortcuts(alone).empty and len(boundaries.of_weights(alone)) == 2
    )
    assert boundaries.measured_of(alone.iloc[:0]) == []
    nothing = boundaries.sentences_annealed([], [Boundary(1.0, Reach(np.nan, 8))])
    assert nothing[0].endswith("train to < 8 layers.")


def test_sentences_count_where_theory_agrees():
    nan = np.nan
    found = [
        Boundary(0.0, Reach(16, 32), Band(16, 32), boundaries.EXPLOSION),
        Boundary(0.3, Reach(nan, 8), Band(16, 32), boundaries.EXPLOSION),
        Boundary(0.5, Reach(16, 32), Band(20, 40), boundaries.EXPLOSION),
        Boundary(1.0, Reach(64, nan), Band(30, 50), boundaries.EXPLOSION),
    ]
    depths, agrees = boundaries.sentences(found)
    assert "0: 16, 0.3: < 8, 0.5: 16, 1: ≥ 64" in depths
    assert "where gradients have grown as much as in plain networks at theirs (16 to 32" in agrees
    assert "at 1 of 3 other weights; by weight: 0.3: 16 to 32, 0.5: 20 to 40" in agrees
    assert "train deeper than it says at 1. Networks train less deep than it says at 0.3." in agrees


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
