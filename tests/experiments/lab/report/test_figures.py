import os
import subprocess
import sys

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


def test_the_users_own_settings_have_no_part(tmp_path):
    """Neither LaTeX nor fonts, styles and locales that a matplotlibrc names, nor a screen."""
    contents = []
    own = {"text.usetex": True, "font.size": 40, "axes.formatter.use_locale": True}
    own |= {"font.family": "no such font", "lines.linewidth": 9, "savefig.bbox": "tight"}
    for number, settings in enumerate(({}, own)):
        with plt.rc_context(settings):
            with panels(1, 1, (3, 2)) as (figure, grid):
                grid[0, 0].plot([0, 1000], label="loss")
                grid[0, 0].set_title("training loss")
            figures.save(figure, tmp_path / f"{number}", "figure")
        contents.append((tmp_path / f"{number}" / "figure.svg").read_bytes())
    assert contents[0] == contents[1]
    assert not plt.get_fignums()  # nothing is left in pyplot's hands


def test_a_backend_that_is_not_there_is_no_reason_to_fail():
    environment = {**os.environ, "MPLBACKEND": "Qt4Agg"}
    program = "import os, experiments.lab.report.figures; print(os.environ['MPLBACKEND'])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "Qt4Agg\n"), done.stderr


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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_logarithmic_axis_without_anything_finite_says_so(tmp_path, value):
    with panels(1, 2, (4, 2)) as (figure, grid):
        grid[0, 0].plot([1, 2], [value, value])
        grid[0, 1].plot([1, 2], [3, 4])
        for axes in grid.flat:
            axes.set_yscale("log")
    figures.save(figure, tmp_path, "figure")
    assert (tmp_path / "figure.png").stat().st_size > 1000
    said = [[text.get_text() for text in axes.texts] for axes in grid.flat]
    assert said == [["nothing finite"], []]
    assert grid[0, 1].get_yscale() == "log"
