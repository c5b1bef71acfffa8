"""Figures over the blocks, of readings made up so that the answer is known."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from experiments.lab.analysis import configurations
from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.propagation import figures

PRE = Variant("none", "pre_activation", "A", "one", "he")


def readings(columns, places, seeds=3, **fields):
    """Rows of a table; every column a function of place and seed."""
    key = dict(zip(VARIANT_FIELDS, PRE.names(), strict=True))
    key |= {"shortcut_weight": 1.0, "depth": 2 * places, "step": 0} | fields
    return pd.DataFrame(
        [
            key
            | {"seed": seed, "place": place}
            | {name: of(place, seed) for name, of in columns.items()}
            for seed in range(seeds)
            for place in range(places)
        ]
    )


BLOCKS = {
    "rms": lambda place, _: 2.0**place,
    "gradient": lambda place, _: 0.5**place,
    "cosine": lambda place, seed: 0.1 * place + 0.01 * seed,
    "gradient_correlation": lambda place, seed: 0.5 if place else (-1) ** seed * 0.01,
    "branch_to_shortcut": lambda place, _: 0.5 if place < 4 else np.nan,
    "rank": lambda place, _: 8.0 - place,
}
LAYERS = {
    "response": lambda place, _: 1.0 + place,
    "weight": lambda *_: 2.0,
    "weight_gradient": lambda place, _: 3.0 * place,
}


@pytest.fixture
def found():
    both = [readings(BLOCKS, 5), readings(BLOCKS, 5, norm="batch")]
    yield configurations.of_blocks(pd.concat(both), follows_theory=True)
    plt.close("all")


def lines(axes, color="#D55E00"):
    """What is drawn in the colour of the first kind."""
    return [line for line in axes.get_lines() if line.get_color() == color]


def test_each_kind_has_a_colour_and_each_normalisation_a_column(found):
    figure = figures.over_blocks(found)
    grid = np.reshape(figure.axes, (4, 2))
    for axes in grid[0]:
        (power,) = lines(axes)
        np.testing.assert_allclose(power.get_ydata(), 4.0 ** np.arange(5))
    assert [axes.get_title() for axes in grid[0]] == ["no normalisation", "batch norm"]
    assert grid[2, 0].get_ylim() == grid[2, 1].get_ylim()  # cosines share an axis


def test_what_may_be_zero_is_not_drawn_on_a_logarithmic_axis(found):
    grid = np.reshape(figures.over_blocks(found).axes, (4, 2))
    (correlation,) = lines(grid[3, 0])
    assert np.isnan(correlation.get_ydata()[0]) and (correlation.get_ydata()[1:] == 0.5).all()


def test_layers_are_those_of_blocks(found):
    tables = [
        pd.concat([readings(columns, places), readings(columns, places, norm="batch")])
        for columns, places in ((BLOCKS, 5), (LAYERS, 10))
    ]
    tables[1]["depth"] = 10
    grid = np.reshape(figures.over_layers(found, *tables).axes, (4, 2))
    (response,), (gradient,) = lines(grid[2, 0]), lines(grid[3, 0])
    np.testing.assert_allclose(response.get_ydata(), np.arange(2.0, 10.0))
    np.testing.assert_allclose(gradient.get_ydata(), 1.5 * np.arange(1, 9))


def test_distances_are_in_units_of_that_between_the_inputs(found):
    along = {"gradient_autocorrelation": lambda place, _: 1 - place / 64}
    line = pd.concat([readings(along, 64), readings(along, 64, norm="batch")])
    line["depth"] = 10
    axes = figures.along_lines(found, line).axes[0]
    (drawn,) = lines(axes)
    assert drawn.get_xdata()[-1] == pytest.approx(6) and drawn.get_ydata()[0] == 1
