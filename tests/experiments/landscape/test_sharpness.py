"""Sharpness, of slices whose numbers are known."""

import numpy as np
import pandas as pd
import pytest

from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.landscape import sharpness

X = np.linspace(-1, 1, 41)
LECTURE = Variant("batch", "original", "A", "one", "he")


@pytest.mark.parametrize(
    ("losses", "width"),
    [
        (10 * X**2, 0.2),  # 0.1 above at ±0.1
        (np.where(X < 0, 40 * X**2, 10 * X**2), 0.15),
        (2 + 0.05 * X**2, 2.0),  # nowhere: all of the slice
        (np.where(abs(X) < 0.26, 0.0, np.inf), 0.5),  # the last finite point on either side
        (np.where(abs(X) < 0.26, 0.0, np.nan), 0.5),
    ],
)
def test_width_of_known_slices(losses, width):
    np.testing.assert_allclose(sharpness.width(X, losses), width, atol=1e-6)


def test_what_lies_beyond_a_wall_does_not_count():
    losses = np.where(np.isclose(abs(X), 0.5), 1.0, 0.0)
    assert 0.9 < sharpness.width(X, losses) < 0.95


def test_convex_slices_exceed_nothing():
    assert sharpness.excess(X, X**2) == pytest.approx(0, abs=1e-12)
    assert sharpness.excess(X, abs(X - 0.3)) == pytest.approx(0, abs=1e-12)


def test_a_hill_exceeds_the_chord_below_it():
    losses = np.interp(X, [-1, -0.5, 0, 1], [2.0, 1.5, 0.0, 2.0])  # above the chord from 2 to 0
    assert sharpness.excess(X, losses) == pytest.approx(0.25)
    assert sharpness.excess(X, 7 * losses + 3) == pytest.approx(0.25)
    assert sharpness.excess(X, -(X**2)) == pytest.approx(1)


def test_descent_is_counted_on_the_way_out():
    assert sharpness.descent(X**2) == 0
    assert sharpness.descent(-(X**2)) == 1
    half = np.interp(X, [-1, -0.5, 0, 1], [1.0, 2.0, 0.0, 2.0])  # 2 up, 1 down, and 2 up
    assert sharpness.descent(half) == pytest.approx(1 / 5)


def test_only_the_finite_part_around_the_middle_is_looked_at():
    losses = np.where(X > 0.7, np.inf, X**2)
    losses[0] = np.nan
    assert sharpness.excess(X, losses) == pytest.approx(0, abs=1e-12)
    assert sharpness.descent(losses) == 0
    lost = np.full_like(X, np.nan)
    assert np.isnan(
        [sharpness.width(X, lost), sharpness.excess(X, lost), sharpness.descent(lost)]
    ).all()


def tables(bend, seeds=3, depth=8):
    """Readings of parabolas of a curvature by weight, and of Hessians with that eigenvalue."""
    lines, curvatures = [], []
    for weight, value in bend.items():
        for seed in range(seeds):
            run = dict(zip(VARIANT_FIELDS, LECTURE.names(), strict=True)) | {
                "family": "dense",
                "block": "dense",
                "depth": depth,
                "shortcut_weight": weight,
                "seed": seed,
            }
            bent = value * (1 + 0.01 * seed)
            for direction in (0, 1):
                for x in X:
                    loss = bent * x**2 / 2
                    held = 4 * loss
                    lines.append(
                        run
                        | {"direction": direction, "distance": x}
                        | {"train_loss": loss, "held_loss": held}
                    )
            for x in (-1, 0, 1):
                least = -bent / 10 if x == 0 else -bent
                curvatures.append(run | {"distance": x, "least": least, "greatest": bent})
    return pd.DataFrame(lines), pd.DataFrame(curvatures)


def summary(lines):
    """A study's summary of the runs of readings."""
    kinds = lines.drop_duplicates("shortcut_weight").drop(columns=["direction", "distance"])
    return kinds.assign(train_error=0.01)


def test_numbers_of_runs_become_intervals_over_seeds():
    lines, curvatures = tables({0.0: 20.0, 1.0: 5.0})
    found = sharpness.summarise(sharpness.of_runs(lines, curvatures), summary(lines))
    plain, residual = (found[found.shortcut_weight == weight].iloc[0] for weight in (0.0, 1.0))
    np.testing.assert_allclose([plain.width, residual.width], [0.2, 0.4], rtol=0.05)
    np.testing.assert_allclose(plain.held_width, 0.1, rtol=0.1)
    np.testing.assert_allclose([plain.greatest, plain.ratio], [20.2, 0.1], rtol=1e-2)
    np.testing.assert_allclose(plain.ratio_along, (1 + 0.1 + 1) / 3)
    assert plain.width_low < plain.width < plain.width_high < residual.width_low
    said = sharpness.sentences(found)
    assert said[0].startswith("At 8 layers, plain and residual") and "0.20 and 0.40 of" in said[0]
    assert "0% and 0.0% (intervals overlap)" in said[0] and "0.5" in said[1]


def test_one_seed_has_no_interval_and_a_diverged_one_no_landscape():
    lines, curvatures = tables({0.0: 20.0, 1.0: 5.0}, seeds=1)
    lost = lines.shortcut_weight == 0
    lines.loc[lost, ["train_loss", "held_loss"]] = np.nan
    curvatures.loc[curvatures.shortcut_weight == 0, ["least", "greatest"]] = np.nan
    found = sharpness.summarise(sharpness.of_runs(lines, curvatures), summary(lines))
    columns, rows = sharpness.texts(found)
    assert rows[0][1:4] == ["plain", "1.00%", ""] and rows[1][3] == "0.40"
    assert len(columns) == len(rows[0])
    assert "(not known)" in sharpness.sentences(found)[0]


def test_where_all_diverge_nothing_is_known():
    lines, curvatures = tables({0.0: 20.0, 1.0: 5.0}, seeds=2)
    lines = lines.assign(train_loss=np.nan, train_error=np.nan, held_loss=np.nan)
    curvatures = curvatures.assign(least=np.nan, greatest=np.nan)
    found = sharpness.summarise(sharpness.of_runs(lines, curvatures), summary(lines))
    assert found.width.isna().all() and all(row[3] == "" for row in sharpness.texts(found)[1])
    assert sharpness.sentences(found)
