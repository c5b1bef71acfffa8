"""Figures of the learning rate: losses over rates, best rates and first steps over depths.

A column is a parametrisation, a row an optimiser.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from experiments.depth_transfer import optima
from experiments.depth_transfer.transfers import Parametrisations, parametrisations
from experiments.lab.analysis import labels
from experiments.lab.report.figures import color_of, depth_axis, legend_above, panels
from resnet_jax.statistics import t_interval

_THEORY: dict[str, Any] = {"lw": 1.1, "ls": (0, (4, 2)), "zorder": 4}


@contextlib.contextmanager
def _a_panel_each(
    table: pd.DataFrame,
    draw: Callable[[Axes, tuple, pd.DataFrame], None],
    sharex: bool | str,
    sharey: bool | str,
) -> Iterator[tuple[Figure, np.ndarray, Parametrisations]]:
    """Yields a figure with a panel for each parametrisation, drawn by ``draw``."""
    layout = parametrisations(table)
    size = 2.35 * len(layout.columns) + 0.8, 2.3 * len(layout.rows) + 0.7
    shape = len(layout.rows), len(layout.columns)
    with panels(*shape, size, sharex=sharex, sharey=sharey) as (figure, grid):
        for row, column, key in layout.places():
            if not (runs := labels.of(table, key)).empty:
                draw(grid[row, column], key, runs)
                if row == 0:
                    grid[row, column].set_title(layout.columns[column])
        yield figure, grid, layout


def _label_rows(grid: np.ndarray, layout: Parametrisations, text: str) -> None:
    for axes, optimizer in zip(grid[:, 0], layout.rows, strict=True):
        axes.set_ylabel(f"{labels.words('optimizer', optimizer)}\n{text}")


def loss_over_rate(results: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Final training loss over the rates tried: a line a depth, and a ring where each is best.

    Lines are geometric means over seeds; where one of these diverged, there is no line.
    """
    depths = sorted(results.depth.unique())
    shades = matplotlib.colormaps["viridis_r"](np.linspace(0.08, 1, len(depths)))

    def draw(axes: Axes, key: tuple, runs: pd.DataFrame) -> None:
        best, losses = labels.of(summary, key).set_index("depth"), optima.loss_by_rate(runs)
        for depth, color in zip(depths, shades, strict=True):
            if depth not in best.index:
                continue
            means = losses[depth].where(np.isfinite(losses[depth]))
            axes.plot(means.index, means, color=color, marker=".", ms=3, lw=1.2, label=f"{depth}")
            rate = best.best_rate[depth]
            on_line = np.exp(np.interp(np.log(rate), np.log(means.index), np.log(means)))
            axes.plot(rate, on_line, "o", color=color, mfc="w")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())

    with _a_panel_each(results, draw, "row", True) as (figure, grid, layout):
        _label_rows(grid, layout, "training loss, nats")
        for axes in grid[-1]:
            axes.set_xlabel("learning rate")
        figure.legend(*_named(grid), title="weight layers", loc="outside right center")
    return figure


def best_rate_over_depth(best: pd.DataFrame, summary: pd.DataFrame, theory: pd.DataFrame) -> Figure:
    """The best rate over depth: a panel an optimiser, a line a parametrisation; dashes are theory.

    Bands are 95% intervals, points seeds.

    Args:
      best: see :func:`experiments.depth_transfer.optima.of_seeds`.
      summary: see :func:`experiments.depth_transfer.optima.over_seeds`.
      theory: see :func:`experiments.depth_transfer.transfers.predicted`.
    """
    layout = parametrisations(summary)
    width = 3.6 * len(layout.rows) + 0.4
    with panels(1, len(layout.rows), (width, 3.4)) as (figure, grid):
        for row, column, key in layout.places():
            axes, curve = grid[0, row], labels.of(summary, key).sort_values("depth")
            color, seeds = color_of(column), labels.of(best, key)
            name = layout.columns[column]
            beside = 2 ** (0.08 * (column - (len(layout.columns) - 1) / 2))
            axes.scatter(
                seeds.depth * beside, np.exp2(seeds.log_rate), s=6, lw=0, color=color, alpha=0.5
            )
            place = curve.depth * beside
            axes.plot(place, curve.best_rate, color=color, marker="o", ms=4, mfc="w", label=name)
            axes.fill_between(
                place, curve.best_rate_low, curve.best_rate_high, color=color, alpha=0.2, lw=0
            )
            line = labels.of(theory, key).set_index("depth").log_change.reindex(curve.depth)
            _theory(axes, place, curve.best_rate, -line, color)
            axes.set_yscale("log", base=2)
            axes.set_title(labels.words("optimizer", layout.rows[row]))
        for axes in grid[0]:
            depth_axis(axes, summary.depth.unique())
        grid[0, 0].set_ylabel("best learning rate")
        _legend_with_theory(figure, grid, theory, columns=3)
    return figure


def _theory(
    axes: Axes, depths: Sequence, values: Sequence, log_theory: Sequence, color: str
) -> None:
    """What theory says up to a constant, to base 2 and by depth, through the first point."""
    line, measured = np.asarray(log_theory), np.asarray(values)
    known = np.isfinite(line) & np.isfinite(measured)
    if known.any():
        first = int(np.argmax(known))
        axes.plot(depths, measured[first] * np.exp2(line - line[first]), color=color, **_THEORY)


def _named(grid: np.ndarray) -> tuple[list[Artist], list[str]]:
    """The lines of a panel that has all of them, and their labels."""
    return max(
        (axes.get_legend_handles_labels() for axes in grid.flat), key=lambda two: len(two[1])
    )


def _legend_with_theory(
    figure: Figure, grid: np.ndarray, theory: pd.DataFrame, columns: int
) -> None:
    known = theory.log_change.notna().any()
    line = {"theory": Line2D([], [], color="k", **_THEORY)} if known else {}
    legend_above(figure, grid.flat, line, columns)


def feature_change(changes: pd.DataFrame, theory: pd.DataFrame) -> Figure:
    """How far some first steps move the last features: a line a number of steps.

    Dashes are theory, of the first step.

    Args:
      changes: see :func:`experiments.depth_transfer.reading.at_lowest_rates`.
      theory: see :func:`experiments.depth_transfer.transfers.predicted`.
    """

    def draw(axes: Axes, key: tuple, runs: pd.DataFrame) -> None:
        for index, (step, at_step) in enumerate(runs.groupby("step")):
            depths = sorted(at_step.depth.unique())
            intervals = [t_interval(at_step.log_change[at_step.depth == each]) for each in depths]
            mean, low, high = np.exp2(np.array(intervals)).T
            color, name = color_of(index), f"{step} step{'s' * (step > 1)}"
            axes.plot(depths, mean, color=color, marker="o", ms=3, label=name)
            axes.fill_between(depths, low, high, color=color, alpha=0.2, lw=0)
            if index == 0:
                line = labels.of(theory, key).set_index("depth").log_change.reindex(depths)
                _theory(axes, depths, mean, line, "k")
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        depth_axis(axes, changes.depth.unique())
        axes.set_xlabel("")

    with _a_panel_each(changes, draw, True, "row") as (figure, grid, layout):
        _label_rows(grid, layout, "relative change")
        for axes in grid[-1]:
            axes.set_xlabel("depth (weight layers)")
        _legend_with_theory(figure, grid, theory, columns=4)
    return figure
