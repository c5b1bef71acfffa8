"""Figures over shortcut weight and depth, of summaries made up."""

import numpy as np
import pandas as pd

from experiments.lab.config.variants import USUAL, VARIANT_FIELDS
from experiments.shortcut_strength import boundaries, figures
from experiments.shortcut_strength.boundaries import Band


def summary(schedule, errors, depths=(8, 16, 32)):
    variant = dict(zip(VARIANT_FIELDS, USUAL.names(), strict=True))
    return pd.DataFrame(
        [
            variant
            | {"shortcut_schedule": schedule, "shortcut_weight": weight}
            | {"depth": depth, "train_error": error}
            for weight, row in errors.items()
            for depth, error in zip(depths, row, strict=True)
        ]
    )


CONSTANT = summary("constant", {0.0: [0.0, 0.2, 0.9], 0.5: [0.0, 0.01, 0.2], 1.0: [0.0, 0.0, 0.0]})


def test_the_boundary_runs_between_the_last_that_trains_and_the_next():
    found = boundaries.of_weights(CONSTANT, knows=False)
    axes = figures.over_weight_and_depth(CONSTANT, found).axes[0]
    (line,) = axes.lines
    steps = [[-0.5, 0.5], [0.5, 0.5], [0.5, 1.5], [1.5, 1.5], [1.5, 2.5], [2.5, 2.5]]
    np.testing.assert_array_equal(line.get_xydata(), steps)
    assert not axes.collections and [text.get_text() for text in axes.texts][:2] == ["0", "0"]


def test_depths_that_theory_leaves_open_are_shaded():
    bands = [Band(8, 16), Band(10, 20), Band(8, np.inf)]
    found = [
        each._replace(theory=band, criterion=boundaries.EXPLOSION)
        for each, band in zip(boundaries.of_weights(CONSTANT, knows=False), bands, strict=True)
    ]
    figure = figures.over_weight_and_depth(CONSTANT, found)
    shaded = [area.get_paths()[0].get_extents() for area in figure.axes[0].collections]
    heights = [(box.y0, box.y1) for box in shaded]
    assert heights == [(0.5, 0.5), (0.5, 1.5), (0.5, 2.5)]  # none, 16 layers, 16 and 32
    assert [(box.x0, box.x1) for box in shaded] == [(-0.5, 0.5), (0.5, 1.5), (1.5, 2.5)]
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert sorted(words) == ["boundary, measured", "left open by theory"]


def test_annealed_networks_have_a_boundary_of_their_own():
    table = pd.concat([CONSTANT, summary("annealed", {1.0: [0.0, 0.3, 0.8]})])
    axes = figures.over_weight_and_depth(table, boundaries.of_weights(table, False)).axes[0]
    *_, annealed = axes.lines
    np.testing.assert_array_equal(annealed.get_xydata(), [[2.5, 0.5], [3.5, 0.5]])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "0.5", "1", "1→0"]
