import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.lab.report import figures
from experiments.lab.report.figures import COLORS, STYLE, color_of, panels, wrapped_panels


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_panels_left_empty_are_hidden():
    with panels(2, 2, (4, 3)) as (figure, grid):
        assert grid.shape == (2, 2)
        grid[0, 0].plot([1, 2])
        grid[1, 1].axhline(0)
    assert [axes.get_visible() for axes in grid.flat] == [True, False, False, True]
    assert tuple(figure.get_size_inches()) == (4, 3)


def test_panels_are_drawn_in_our_style_and_leave_no_trace_of_it():
    before = plt.rcParams["font.size"], plt.rcParams["axes.grid"]
    with panels(1, 1, (2, 2), style={"axes.grid": False}):
        assert plt.rcParams["font.size"] == STYLE["font.size"] and not plt.rcParams["axes.grid"]
    assert (plt.rcParams["font.size"], plt.rcParams["axes.grid"]) == before


def test_shared_axes_have_the_same_limits():
    with panels(1, 2, (4, 2), sharey=True) as (_, grid):
        grid[0, 0].plot([0, 9])
    assert grid[0, 0].get_ylim() == grid[0, 1].get_ylim()


@pytest.mark.parametrize(
    ("count", "size"), [(1, (6.5, 2.5)), (3, (7.2, 2.5)), (4, (9.6, 2.5)), (6, (9.6, 4.5))]
)
def test_wrapped_panels_stand_in_rows(count, size):
    with wrapped_panels(count, 2.4, 2.0, sharex=True) as (figure, row):
        for axes in row:
            axes.plot([0, 1])
    assert len(row) == count
    np.testing.assert_allclose(figure.get_size_inches(), size)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert shown == list(row)
    # Ticks are labelled below the lowest panel of each column, whatever row that is in.
    labelled = [axes.xaxis.get_tick_params()["labelbottom"] for axes in row]
    assert labelled[-min(count, 4) :] == [True] * min(count, 4)
    assert not any(labelled[:-4])


def test_colours_come_again():
    assert color_of(0) == color_of(len(COLORS)) and color_of(1) != color_of(0)


def test_one_legend_has_each_label_once():
    with panels(1, 2, (4, 2)) as (figure, grid):
        for axes in grid.flat:
            axes.plot([0, 1], label="plain")
        line = plt.Line2D([], [], color="k")
        figures.legend_above(figure, grid.flat, {"theory": line})
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["plain", "theory"]
