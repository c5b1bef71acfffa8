"""Draws signals and gradients in training, over layers and over steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from experiments.dynamics import trajectories
from experiments.dynamics.trajectories import Trajectory
from experiments.lab.analysis import labels
from experiments.lab.analysis.reach import TRAINED
from experiments.lab.analysis.verdicts import VERDICTS
from experiments.lab.report.figures import color_of, error_axis, legend_above, panels, within

#: The most steps that a figure over layers shows.
_MOST_STEPS = 6

#: The limits of logarithmic axes; smaller and larger values are cut off.
_SMALLEST, _LARGEST = 1e-9, 1e9


class Quantity(NamedTuple):
    """Describes how a quantity is drawn over the layers.

    Attributes:
      title: title of its axis.
      table: table of readings that holds it, ``blocks`` or ``layers``.
      column: its column in the table.
      power: power to which it is raised.
      logarithmic: whether its axis is logarithmic.
    """

    title: str
    table: str
    column: str
    power: int = 1
    logarithmic: bool = True


ROWS = (
    Quantity("activation power", "blocks", "rms", power=2),
    Quantity("gradient", "blocks", "gradient"),
    Quantity("update over weight", "layers", "update_to_weight"),
    Quantity("share of dead units", "layers", "dead", logarithmic=False),
    Quantity("cosine of two inputs", "blocks", "cosine", logarithmic=False),
)


def over_layers(tables: Mapping[str, pd.DataFrame], found: Sequence[Trajectory]) -> Figure:
    """Draws every quantity over the layers at some steps: a row a quantity, a column a network.

    A line is the median over seeds; its band reaches from the lowest seed to the highest.

    Args:
      tables: readings of blocks and layers at the chosen rates, by name.
      found: trajectories of the networks.
    """
    rows = [row for row in ROWS if row.column in tables[row.table].columns]
    tables = {
        "blocks": trajectories.finite(tables["blocks"], "rms"),
        "layers": trajectories.finite(tables["layers"], "input_rms"),
    }
    steps = _some(found[0].steps)
    colors = colormaps["viridis"](np.linspace(0, 0.92, len(steps)))
    with panels(
        len(rows),
        len(found),
        (1.75 * len(found) + 0.9, 1.5 * len(rows) + 0.9),
        sharex=True,
        sharey="row",
    ) as (figure, grid):
        for column, each in zip(grid.T, found, strict=True):
            for axes, row in zip(column, rows, strict=True):
                here = _of(tables[row.table], each)
                for step, color in zip(steps, colors, strict=True):
                    _draw(axes, here[here.step == step], row, each.depth, color, f"step {step}")
            column[0].set_title(_title(each))
            column[-1].set_xlabel("layer")
        for axes, row in zip(grid[:, 0], rows, strict=True):
            axes.set_ylabel(row.title)
            if row.logarithmic:
                _logarithmic(axes)
            else:
                axes.set_ylim(-0.05, 1.05)
        legend_above(figure, grid.flat)
    return figure


def _some(steps: np.ndarray) -> np.ndarray:
    """Returns the first and last step, and some between them."""
    places = np.linspace(0, len(steps) - 1, min(_MOST_STEPS, len(steps)))
    return steps[places.round().astype(int)]


def _of(table: pd.DataFrame, each: Trajectory) -> pd.DataFrame:
    here = labels.of(table, (*each.variant.names(), each.shortcut_weight))
    return here[here.depth == each.depth]


def _title(each: Trajectory) -> str:
    lost = f"\n{each.diverged} diverged" if each.diverged else ""
    return f"{labels.kind(each.shortcut_weight)},\n{labels.norm(each.variant.norm)}{lost}"


def _draw(
    axes: Axes, runs: pd.DataFrame, row: Quantity, depth: int, color: Any, label: str
) -> None:
    values = runs.pivot(index="place", columns="seed", values=row.column) ** row.power
    values = values.where(np.isfinite(values) & ((values > 0) | (not row.logarithmic)))
    last = depth - (row.table == "blocks")  # blocks begin after the stem and end at the head
    places = np.linspace(1, last, len(values))
    look: dict[str, Any] = {"color": color, "lw": 1.2, "label": label}
    axes.plot(places, values.median(axis=1), **look)
    low, high = values.min(axis=1), values.max(axis=1)
    axes.fill_between(places, low, high, color=color, alpha=0.2, lw=0)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    within(axes, _SMALLEST, _LARGEST)
    axes.yaxis.set_minor_formatter(NullFormatter())


def _positive(values: np.ndarray) -> np.ndarray:
    """Returns the values that a logarithmic axis can show, and NaN instead of the others."""
    return np.where(values > 0, values, np.nan)


_CURVES: dict[str, Callable[[Trajectory], np.ndarray]] = {
    "training loss": lambda each: _positive(each.measures[trajectories.LOSS]),
    "gradient at\nthe first block": lambda each: _positive(each.measures[trajectories.FIRST]),
    "the same, over\nthat at the last": lambda each: _positive(each.growth()),
    "gradient correlation\nof two inputs": lambda each: each.measures[trajectories.CORRELATION],
    "cosine of two inputs": lambda each: each.measures[trajectories.COSINE],
    "share of dead units": lambda each: each.measures[trajectories.DEAD],
}
_LOGARITHMIC = tuple(_CURVES)[:3]


def over_steps(found: Sequence[Trajectory], names: Sequence[str]) -> Figure:
    """Draws every quantity over the steps: a row a quantity, a column a normalisation.

    A thin line is a seed, a thick one the median.

    Args:
      found: trajectories of the networks.
      names: names of these and other networks, in the order of their colours in all figures.
    """
    norms = list(dict.fromkeys(each.variant.norm for each in found))
    with panels(
        len(_CURVES),
        len(norms),
        (2.7 * len(norms) + 1, 1.6 * len(_CURVES) + 0.9),
        sharex=True,
        sharey="row",
    ) as (figure, grid):
        for column, norm in zip(grid.T, norms, strict=True):
            for axes, curve in zip(column, _CURVES.values(), strict=True):
                for each in found:
                    if each.variant.norm == norm:
                        color = color_of(names.index(each.name))
                        _over_steps(axes, each.steps, curve(each), color, each.name)
            column[0].set_title(labels.norm(norm))
            column[-1].set_xlabel("step")
            _step_axis(column[-1], found[0].steps)
        for axes, title in zip(grid[:, 0], _CURVES, strict=True):
            axes.set_ylabel(title)
            if title in _LOGARITHMIC:
                _logarithmic(axes)
        legend_above(figure, grid.flat)
    return figure


def _over_steps(axes: Axes, steps: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    middle = pd.DataFrame(values).median(axis=1)
    axes.plot(steps, values, color=color, lw=0.5, alpha=0.4)
    axes.plot(steps, middle, color=color, lw=1.5, marker="o", ms=2, label=label)


def _step_axis(axes: Axes, steps: np.ndarray) -> None:
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    ticks = [step for step in steps if step == 0 or f"{step}".strip("0") == "1"]
    axes.set_xticks(ticks, [f"{step}" for step in ticks])


def errors_by_verdict(table: pd.DataFrame, runs: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draws the final training error of every run by the verdict on it as initialised.

    Args:
      table: rows from :func:`experiments.dynamics.agreement.judged`.
      runs: runs at the chosen rates.
      names: names of the networks, as in :func:`over_steps`.
    """
    depths, norms = sorted(table.depth.unique()), list(dict.fromkeys(table.norm))
    verdicts = [name for name in VERDICTS if name in set(table.verdict)]
    with panels(1, len(depths), (max(3.6 * len(depths) + 1, 8.6), 3.8), sharey=True) as (
        figure,
        grid,
    ):
        for axes, depth in zip(grid[0], depths, strict=True):
            for place, verdict in enumerate(verdicts):
                here = table[(table.depth == depth) & (table.verdict == verdict)]
                ranked = here.sort_values("train_error")
                for beside, (_, row) in zip(_spread(len(ranked)), ranked.iterrows(), strict=True):
                    key = (*labels.variant_of(row).names(), row.shortcut_weight)
                    errors = labels.of(runs[runs.depth == depth], key).train_error
                    look = {"color": color_of(names.index(row.network))}
                    marker = _MARKERS[norms.index(row.norm) % len(_MARKERS)]
                    places = np.full(len(errors), place + beside)
                    axes.scatter(places, errors, s=16, marker=marker, lw=0, alpha=0.75, **look)
            axes.axhline(TRAINED, color="0.4", lw=0.8, ls=":")
            error_axis(axes)
            axes.set_xticks(range(len(verdicts)), [name.replace(" ", "\n") for name in verdicts])
            axes.tick_params(axis="x", rotation=0, labelsize=8)
            axes.set_xlim(-0.6, len(verdicts) - 0.4)
            axes.set_title(f"{depth} layers")
        grid[0, 0].set_ylabel("final training error, %")
        figure.supxlabel("verdict on the networks as initialised", fontsize=9)
        legend_above(figure, [], _handles(names, norms))
    return figure


_MARKERS = ("o", "s", "^", "D")


def _spread(count: int) -> np.ndarray:
    """Returns places next to each other around 0."""
    return (np.arange(count) - (count - 1) / 2) * min(0.1, 0.8 / max(count, 1))


def _handles(names: Sequence[str], norms: Sequence[str]) -> dict[str, Artist]:
    dot = lambda marker, color: Line2D([], [], ls="", marker=marker, ms=4, color=color)
    handles: dict[str, Artist] = {
        name: dot("o", color_of(index)) for index, name in enumerate(names)
    }
    for index, norm in enumerate(norms):
        handles[labels.norm(norm)] = dot(_MARKERS[index % len(_MARKERS)], "0.5")
    return handles
