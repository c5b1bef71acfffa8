"""Figures of networks with blocks removed or exchanged, and of the gradient's paths."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from experiments.lab.report.figures import STYLE, color_of, error_axis, legend_above, panels
from experiments.lesion.curves import Lesioned, MeanCurve, at_depths, curve
from resnet_jax import theory


class View(NamedTuple):
    """What lies along a panel, and how a network is drawn into it, in a colour."""

    label: str
    draw: Callable[[Axes, Lesioned, str], None]


_DASHES = (0, (4, 2))
_DOTS = (0, (1, 1.5))

#: A share of the gradient that a figure shows.
_TO_BE_SEEN = 2e-3


def lesions(found: Sequence[Lesioned]) -> Figure:
    """Training error without one block, without several, and with blocks exchanged; a row a depth.

    A line is the mean over seeds, its band the 95% interval; where it is dotted, normalisations are
    measured anew.  Dashes are the intact network.
    """
    views = (
        View("removed block", _one_removed),
        View("blocks removed", _several_removed),
        View("rank correlation of the order", _exchanged),
    )
    styles = {"intact": _DASHES, "normalisation measured anew": _DOTS}
    figure, grid = _grid(found, found, views, styles)
    for row in grid:
        for axes in row:
            error_axis(axes)
            axes.xaxis.set_major_locator(MaxNLocator(integer=axes is not row[-1], nbins=6))
        row[-1].invert_xaxis()
        row[0].set_ylabel(f"{row[0].get_ylabel()}: training error, %")
    return figure


def paths(found: Sequence[Lesioned]) -> Figure:
    """The gradient by the number of branches on its way: of residual networks, a row a depth.

    Left what one path brings, in the middle that times the number of paths, right what all paths of
    a length bring together.
    """
    views = [View("branches on the path", draw) for draw in (_single_path, _product, _share)]
    styles = {"as initialised": _DASHES, "trained": "-", "if paths were independent": _DOTS}
    shown = [each for each in found if each.paths]
    figure, grid = _grid(found, shown, views, styles)
    titles = (
        "norm along one path, over that\nthrough shortcuts alone",
        "number of paths × norm,\nas a share",
        "share of the gradient",
    )
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, size=STYLE["axes.titlesize"])
    for axes, (_, these) in zip(grid[:, -1], at_depths(shown), strict=False):
        axes.set_xlim(-0.3, max(_longest(end.share) for each in these for end in each.paths) + 0.3)
    for axes in grid.flat:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in grid[:, 0]:
        axes.set_yscale("log")
    return figure


def _grid(
    found: Sequence[Lesioned],
    shown: Sequence[Lesioned],
    views: Sequence[View],
    styles: Mapping,
) -> tuple[Figure, np.ndarray]:
    """A row of panels a depth, a colour a kind of network in all figures; and a legend of both."""
    rows = list(at_depths(shown))
    names = list(dict.fromkeys(each.name for each in found))
    height = max(len(rows), 1)
    size = (3.1 * len(views), 2.3 * height + 0.9)
    with panels(height, len(views), size) as (figure, grid):
        for row, (depth, these) in zip(grid, rows, strict=False):
            for axes, view in zip(row, views, strict=True):
                for each in these:
                    view.draw(axes, each, color_of(names.index(each.name)))
                axes.set_xlabel(view.label)
            row[0].set_ylabel(f"{depth} layers")
        grey = {name: Line2D([], [], color="0.4", ls=style) for name, style in styles.items()}
        legend_above(figure, grid.flat, grey)
    return figure, grid


def _longest(share: MeanCurve) -> float:
    """The greatest length that brings anything to be seen."""
    seen = share.x[share.mean > _TO_BE_SEEN]
    return float(seen.max()) if len(seen) else float(share.x.max())


def _line(axes: Axes, shown: MeanCurve, color: str, **look) -> None:
    axes.plot(shown.x, shown.mean, color=color, **{"lw": 1.4, **look})
    axes.fill_between(shown.x, shown.low, shown.high, color=color, alpha=0.2, lw=0)


def _within(shown: MeanCurve) -> MeanCurve:
    """A curve of fractions, its intervals cut to what fractions can be."""
    return shown._replace(low=shown.low.clip(0), high=shown.high.clip(max=1))


def _errors(axes: Axes, each: Lesioned, color: str, rows, over: str, **look) -> None:
    """Errors over a column, and those with normalisations measured anew."""
    shown = curve(rows, over, "train_error")
    _line(axes, _within(shown), color, label=each.name, marker="o", ms=2.5, **look)
    anew = curve(rows, over, "remeasured_error")
    axes.plot(anew.x, anew.mean, color=color, lw=1, ls=_DOTS)


def _one_removed(axes: Axes, each: Lesioned, color: str) -> None:
    single = each.single()
    _errors(axes, each, color, single.assign(which=single.which + 1), "which")
    axes.axhline(each.without(0).mean, color=color, lw=0.9, ls=_DASHES)


def _several_removed(axes: Axes, each: Lesioned, color: str) -> None:
    _errors(axes, each, color, each.removed, "removed")


def _exchanged(axes: Axes, each: Lesioned, color: str) -> None:
    _errors(axes, each, color, each.swapped, "correlation")


def _single_path(axes: Axes, each: Lesioned, color: str) -> None:
    for end, style in zip(each.paths, (_DASHES, "-"), strict=True):
        _line(axes, end.single, color, ls=style, label=each.name)


def _product(axes: Axes, each: Lesioned, color: str) -> None:
    for end, style in zip(each.paths, (_DASHES, "-"), strict=True):
        _line(axes, _within(end.product), color, ls=style)
    number = theory.path_lengths(each.blocks)
    axes.plot(number, color="0.6", lw=1, zorder=1, label="number of paths (binomial)")
    axes.set_xlim(*each.paths[0].product.x[[0, -1]])


def _share(axes: Axes, each: Lesioned, color: str) -> None:
    for end, style in zip(each.paths, (_DASHES, "-"), strict=True):
        _line(axes, end.share, color, ls=style)
        axes.plot(end.share.x, end.independent, color=color, lw=1, ls=_DOTS)
