"""Figures of the loss around trained networks: contours over a plane, and lines through it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.lab.analysis import labels
from experiments.lab.analysis.wording import percent
from experiments.lab.report.figures import color_of, error_axis, panels

#: Contour lines in a factor of ten of the loss.
_LINES_A_DECADE = 10

#: The least loss that contours tell from less, in nats.
_LEAST_LOSS = 1e-3


class Plane(NamedTuple):
    """One network's plane: the rows of the readings, and what stands above it."""

    plane: pd.DataFrame
    title: str


def planes(plane: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """The loss over the plane of two directions, of the first seed: a row a kind, a column a depth.

    Args:
      plane: of the readings, at the chosen rates.
      results: of the same runs.
    """
    here = plane[plane.seed == plane.seed.min()]
    rows = [
        [
            _panel(labels.of(here[here.depth == depth], key), name, results)
            for depth in sorted(here.depth.unique())
        ]
        for key, name in labels.series(here).items()
    ]
    return _contours(rows)


def every_seed(plane: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """The same of all seeds at the greatest depth: a row a kind, a column a seed."""
    deepest = plane[plane.depth == plane.depth.max()]
    rows = [
        [
            _panel(labels.of(deepest[deepest.seed == seed], key), name, results)
            for seed in sorted(deepest.seed.unique())
        ]
        for key, name in labels.series(deepest).items()
    ]
    return _contours(rows)


def _panel(plane: pd.DataFrame, name: str, results: pd.DataFrame) -> Plane | None:
    """None for a network that was not trained."""
    if plane.empty:
        return None
    run = plane.iloc[0]
    keys = ["depth", "shortcut_weight", "seed"]
    same = results[(results[keys] == run[keys]).all(axis=1)]
    same = labels.of(same, labels.variant_of(run).names())
    return Plane(
        plane,
        f"{name}, {run.depth} layers, seed {run.seed}\n"
        f"training error {percent(same.train_error.iloc[0])}",
    )


def _contours(rows: Sequence[Sequence[Plane | None]]) -> Figure:
    """Panels with the same levels and colours; × is the trained network."""
    columns = max(map(len, rows))
    known = pd.concat(shown.plane.train_loss for row in rows for shown in row if shown)
    known = known[np.isfinite(known)]
    levels = _levels(known)
    with panels(
        len(rows),
        columns,
        (2.3 * columns + 1.2, 2.5 * len(rows) + 0.2),
        sharex=True,
        sharey=True,
        style={"axes.grid": False},
    ) as (figure, grid):
        image = None
        for line, row in zip(grid, rows, strict=True):
            for axes, shown in zip(line, row, strict=True):
                image = _draw(axes, shown, levels) or image
        figure.supxlabel("first direction, filter-normalised", size=9)
        figure.supylabel("second direction", size=9)
        if image is not None:
            ticks = levels[:: _LINES_A_DECADE // 2]
            bar = figure.colorbar(image, ax=grid, ticks=ticks, shrink=0.8)
            bar.ax.set_yticklabels([f"{tick:.2g}" for tick in ticks])
            bar.ax.minorticks_off()
            bar.set_label("training loss, nats")
    return figure


def _levels(losses: pd.Series) -> np.ndarray:
    """Of all panels: evenly spaced in logarithms, from half a decade to half a decade."""
    if losses.empty:
        return np.array([])
    low = max(float(losses.min()), _LEAST_LOSS)
    high = max(float(losses.quantile(0.999)), 2 * low)
    first, last = np.floor(2 * np.log10(low)) / 2, np.ceil(2 * np.log10(high)) / 2
    return np.logspace(first, last, round((last - first) * _LINES_A_DECADE) + 1)


def _draw(axes: Axes, shown: Plane | None, levels: np.ndarray) -> Any:
    if shown is None:
        return None
    axes.set_title(shown.title, size=7.5)
    axes.set_aspect("equal")
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    table = shown.plane.pivot(index="y", columns="x", values="train_loss")
    if not np.isfinite(table.to_numpy()).any():
        axes.text(0.5, 0.5, "diverged", ha="center", va="center", transform=axes.transAxes)
        return None
    losses = np.ma.masked_invalid(table.to_numpy()).clip(levels[0], levels[-1])
    norm = LogNorm(levels[0], levels[-1])
    image = axes.contourf(table.columns, table.index, losses, levels, norm=norm, cmap="viridis")
    axes.contour(table.columns, table.index, losses, levels, colors="k", linewidths=0.35)
    axes.plot([0], [0], "x", color="w", ms=4, mew=0.8)
    return image


#: The rows of the figure of lines: columns of the readings, and how they are called.
_ROWS = {
    "train_loss": "training loss, nats",
    "train_error": "training error, %",
    "held_loss": "loss, nats, with\nstatistics held",
    "ratio": "|λmin / λmax|\nof the Hessian",
}


def along_lines(lines: pd.DataFrame, curvatures: pd.DataFrame) -> Figure:
    """Along the first direction: a column a depth, a line a seed; dashes are the second order.

    Args:
      lines: of the readings, at the chosen rates.
      curvatures: likewise.
    """
    first = lines[lines.direction == 0]
    bent = curvatures.assign(ratio=abs(curvatures.least / curvatures.greatest))
    depths, names = sorted(first.depth.unique()), labels.series(first)
    with panels(
        len(_ROWS),
        len(depths),
        (max(2.6 * len(depths) + 1.3, 4.5), 1.7 * len(_ROWS) + 0.5),
        sharex=True,
        sharey="row",
    ) as (figure, grid):
        for column, depth in enumerate(depths):
            for index, (key, label) in enumerate(names.items()):
                color = color_of(index)
                line, bend = (
                    labels.of(table[table.depth == depth], key) for table in (first, bent)
                )
                for axes, name in zip(grid[:, column], _ROWS, strict=True):
                    _seeds(axes, bend if name == "ratio" else line, name, color, label)
                _second_order(grid[0, column], line, bend, color)
            grid[0, column].set_title(f"{depth} layers")
            grid[-1, column].set_xlabel("distance, filter-normalised")
        _style(grid, first)
        handles, words = grid[0, 0].get_legend_handles_labels()
        handles.append(Line2D([], [], color="0.3", lw=0.8, ls=(0, (4, 2))))
        figure.legend(
            handles, [*words, "second order, first seed"], loc="outside upper center", ncols=3
        )
    return figure


def _seeds(axes: Axes, runs: pd.DataFrame, name: str, color: str, label: str) -> None:
    table = runs.pivot(index="distance", columns="seed", values=name)
    table = table.where(np.isfinite(table))
    drawn = axes.plot(table.index, table.to_numpy(), color=color, lw=0.9, alpha=0.7)
    if drawn:
        drawn[0].set_label(label)


def _second_order(axes: Axes, line: pd.DataFrame, bent: pd.DataFrame, color: str) -> None:
    """What slope and Hessian of the trained network say of the loss along the line."""
    seed = line.seed.min()
    line, bent = line[line.seed == seed].sort_values("distance"), bent[bent.seed == seed]
    at = bent[np.isclose(bent.distance, 0)]
    if len(line) < 3 or at.empty:
        return
    middle = len(line) // 2
    distances, losses = line.distance.to_numpy(), line.train_loss.to_numpy()
    near = slice(middle - 1, middle + 2)
    slope = np.gradient(losses[near], distances[near])[1]
    fine = np.linspace(distances[0], distances[-1], 201)
    expanded = losses[middle] + slope * fine + at.along_start.iloc[0] * fine**2 / 2
    axes.plot(fine, expanded, color=color, lw=0.8, ls=(0, (4, 2)), alpha=0.9)


def _style(grid: np.ndarray, lines: pd.DataFrame) -> None:
    finite = lines.train_loss[np.isfinite(lines.train_loss)]
    top = 1.1 * float(finite.max()) if len(finite) else 1.0
    for row, (name, title) in enumerate(_ROWS.items()):
        grid[row, 0].set_ylabel(title)
        for axes in grid[row]:
            if name == "train_error":
                error_axis(axes)
            elif name == "ratio":
                axes.set_yscale("log")
            else:  # the same scale with statistics held: what lies above is out of sight
                axes.set_ylim(0, top)
