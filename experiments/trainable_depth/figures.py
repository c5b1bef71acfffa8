"""Charts of remedies: training error over depth, and how deep each trains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lab.analysis import configurations, labels
from experiments.lab.analysis.reach import TRAINED, Reach
from experiments.lab.report.depth_curves import mean_over_depth, seeds_over_depth
from experiments.lab.report.figures import (
    color_of,
    depth_axis,
    error_axis,
    legend_above,
    panels,
    wrapped_panels,
)
from experiments.trainable_depth.remedies import Remedy

#: Of a failure at some depth: what lies beyond it is not known to fail.
_DASHES = (0, (1, 1))

_PERCENT = f"{100 * TRAINED:g}%"

#: Around the cross, where theory is right.
_THEORY: dict[str, Any] = {"marker": "o", "ls": "", "mec": "k", "mfc": "none", "ms": 8, "zorder": 4}

#: Bars begin where the axis of depths does, so far below the shallowest.
_MARGIN = 1.35


def errors(found: Sequence[Remedy]) -> Figure:
    """Training error over depth: a panel a variant, a line a shortcut weight, and the limit."""
    variants: dict[tuple, list[Remedy]] = {}
    for each in found:
        variants.setdefault(each.variant.names(), []).append(each)
    count = len(variants)
    columns = min({min(count, 3), min(count, 4)}, key=lambda columns: -count % columns)
    depths = sorted({depth for each in found for depth in each.curve.depth})
    place_of = _colors(found)
    with wrapped_panels(count, 2.3, 2.0, columns=columns, least_width=4.5, sharex=True) as (
        figure,
        row,
    ):
        for axes, these in zip(row, variants.values(), strict=True):
            error_axis(axes)
            axes.axhline(TRAINED, color="0.4", lw=0.8, ls=(0, (4, 2)), label=_PERCENT)
            for each in these:
                index, kind = place_of[each.shortcut_weight], labels.kind(each.shortcut_weight)
                mean_over_depth(axes, each.curve, "train_error", index, kind)
                seeds_over_depth(axes, each.runs, "train_error", index, 1.0)
            depth_axis(axes, depths)
            axes.set_xlabel("")
            axes.set_title(_title(these[0]), size=8)
        figure.supxlabel("depth (weight layers)")
        figure.supylabel("training error, %")
        legend_above(figure, row)
    return figure


def _colors(found: Sequence[Remedy]) -> dict[float, int]:
    """Places in the colours: plain and residual networks have those of the other figures."""
    others = sorted({each.shortcut_weight for each in found} - {0.0, 1.0})
    return {weight: index for index, weight in enumerate((0.0, 1.0, *others))}


def _title(remedy: Remedy) -> str:
    return f"{labels.norm(remedy.variant.norm)}\n{configurations.way(remedy.variant)}"


def reaches(found: Sequence[Remedy]) -> Figure:
    """How deep each remedy trains: a bar for the mean over seeds, a point for each seed alone.

    The thin line leads to the first depth that fails (×); an arrow says that none was found.  Rings
    are where theory first finds explosion or collapse.
    """
    depths = sorted({depth for each in found for depth in each.curve.depth})
    place_of = _colors(found)
    with panels(1, 1, (7.2, 0.27 * len(found) + 1.1), style={"axes.grid.axis": "x"}) as (
        figure,
        grid,
    ):
        axes = grid[0, 0]
        depth_axis(axes, depths)
        for row, each in enumerate(found):
            color = color_of(place_of[each.shortcut_weight])
            _bar(axes, each.reach, row, color, min(depths), max(each.curve.depth))
            axes.plot(each.ill_from, row, **_THEORY)
            for place, seed in zip(_beside(len(each.seeds)), each.seeds, strict=True):
                _seed(axes, seed, row + place, min(depths))
        axes.set_yticks(range(len(found)), [each.name for each in found])
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"greatest depth with a training error below {_PERCENT}")
        _legend(axes, place_of, found)
        legend_above(figure, [axes])
    return figure


def _bar(axes: Axes, reach: Reach, row: int, color: str, shallowest: int, deepest: int) -> None:
    left = shallowest / _MARGIN
    to = reach.trains if reach.order else left
    axes.barh(row, to - left, left=left, height=0.62, color=color, alpha=0.45, lw=0)
    if reach.known:
        axes.plot([to, reach.fails], [row, row], color=color, lw=1, ls=_DASHES)
        axes.plot(reach.fails, row, "x", color=color, ms=4)
    else:
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 1.2}
        axes.annotate("", (deepest * 1.28, row), (deepest, row), arrowprops=arrow)
    axes.plot(reach.again, [row] * len(reach.again), "o", color=color, mfc="w", ms=4)


def _beside(seeds: int) -> np.ndarray:
    """Where the seeds of a remedy stand around its row."""
    return np.linspace(-0.2, 0.2, seeds) if seeds > 1 else np.zeros(1)


def _seed(axes: Axes, reach: Reach, height: float, shallowest: int) -> None:
    at = reach.trains if reach.order else shallowest / _MARGIN
    marker = "o" if reach.order else "<"
    axes.plot(at, height, marker, color="0.15", ms=2.4, mew=0, zorder=4, clip_on=False)


def _legend(axes: Axes, place_of: dict[float, int], found: Sequence[Remedy]) -> None:
    """What colours and marks mean, those only that are drawn."""
    nothing: tuple[list, list] = ([], [])
    for weight in sorted({each.shortcut_weight for each in found}):
        color = color_of(place_of[weight])
        axes.plot(*nothing, lw=6, alpha=0.45, color=color, label=labels.kind(weight))
    look: dict[str, Any] = {"ls": "", "color": "0.15"}
    axes.plot(*nothing, marker="o", ms=2.4, mew=0, label="each seed alone", **look)
    if any(each.reach.known for each in found):
        axes.plot(*nothing, marker="x", ms=4, label="first that fails", **look)
    if not all(each.reach.known for each in found):
        axes.plot(*nothing, marker=r"$\rightarrow$", ms=8, mew=0, label="none fails", **look)
    if any(each.reach.again for each in found):
        axes.plot(*nothing, marker="o", mfc="w", ms=4, label="trains again", **look)
    if not all(each.seeds[0].order for each in found):
        axes.plot(*nothing, marker="<", ms=2.4, mew=0, label="a seed trains nowhere", **look)
    if any(each.ill_from == each.ill_from for each in found):  # not NaN
        axes.plot(*nothing, label="theory: explodes or collapses", **_THEORY)
