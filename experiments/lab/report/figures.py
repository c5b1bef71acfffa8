"""What all figures share: style, colours, panels, axes and legends; written as PNG and SVG."""

import contextlib
import io
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from experiments.lab.system import files

STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.dpi": 160,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "resnet_jax",  # the same table draws the same file
    "svg.fonttype": "none",
}
#: Colours that stay apart for colour-blind readers (Okabe & Ito 2008).
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Inches, so that a legend of long names finds room above few panels.
LEAST_WIDTH = 6.5
_METADATA = {"svg": {"Date": None}, "png": {"Software": None}}


def color_of(index: int) -> str:
    """Returns a colour; where there are more curves than colours they come again."""
    return COLORS[index % len(COLORS)]


def save(figure: Figure, directory: pathlib.Path, name: str) -> None:
    """Writes a figure as PNG and SVG."""
    files.make_directory(directory)
    for axes in figure.axes:
        _show_that_nothing_is_finite(axes)
    for suffix, metadata in _METADATA.items():
        content = io.BytesIO()
        with _styled(STYLE):
            figure.savefig(content, format=suffix, metadata=metadata)
        files.write_bytes(directory / f"{name}.{suffix}", content.getvalue())


def remove(directory: pathlib.Path, name: str) -> None:
    """Removes a figure, if it is there."""
    for suffix in _METADATA:
        files.remove(directory / f"{name}.{suffix}")


def _show_that_nothing_is_finite(axes: Axes) -> None:
    """Says so where a logarithmic axis has nothing to show, as where every run diverged.

    Matplotlib finds no limits for such an axis.
    """
    empty = []
    for name, shared in (("x", axes.get_shared_x_axes()), ("y", axes.get_shared_y_axes())):
        least = [getattr(each.dataLim, f"minpos{name}") for each in shared.get_siblings(axes)]
        if getattr(axes, f"get_{name}scale")() == "log" and not np.isfinite(least).any():
            getattr(axes, f"set_{name}scale")("linear")
            getattr(axes, f"set_{name}ticks")([])
            empty.append(name)
    if empty:
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.4"}
        axes.text(0.5, 0.5, "nothing finite", transform=axes.transAxes, **look)


def _styled(style: Mapping[str, Any]) -> contextlib.AbstractContextManager:
    """Matplotlib's defaults and a style: nothing of the user's own settings, or of a screen."""
    return matplotlib.style.context(["default", dict(style)])


@contextlib.contextmanager
def panels(
    rows: int,
    columns: int,
    size: tuple[float, float],
    *,
    sharex: bool | str = False,
    sharey: bool | str = False,
    style: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yields a figure in our style, and its panels ``[rows, columns]``; hides those left empty.

    Args:
      rows: of panels.
      columns: of panels.
      size: of the figure, width and height in inches.
      sharex: which panels have one horizontal axis, as in :func:`matplotlib.pyplot.subplots`.
      sharey: which have one vertical axis.
      style: settings in place of those of :data:`STYLE`.
    """
    with _styled({**STYLE, **style}):
        figure = Figure(size)
        shared: dict[str, Any] = {"sharex": sharex, "sharey": sharey}
        grid = figure.subplots(rows, columns, squeeze=False, **shared)
        yield figure, grid
        for axes in grid.flat:
            if not axes.has_data():
                axes.set_visible(False)


@contextlib.contextmanager
def wrapped_panels(
    count: int,
    width: float,
    height: float,
    *,
    columns: int = 4,
    least_width: float = LEAST_WIDTH,
    sharex: bool = False,
) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yields a figure, and so many panels ``[count]`` that stand in rows; errors share an axis.

    Args:
      count: of panels.
      width: of a panel, in inches.
      height: of a panel.
      columns: the most that stand in a row.
      least_width: of the figure.
      sharex: whether all have one horizontal axis, with ticks below the last of each column.
    """
    columns = min(count, columns)
    rows = -(-count // columns)
    size = max(width * columns, least_width), height * rows + 0.5
    with panels(rows, columns, size, sharex=sharex, sharey=True) as (figure, grid):
        yield figure, grid.flat[:count]
        for axes in grid.flat[max(count - columns, 0) : count]:
            axes.tick_params(labelbottom=True)


def legend_above(
    figure: Figure,
    every: Iterable[Axes],
    more: Mapping[str, Artist] | None = None,
    columns: int | None = None,
) -> None:
    """One legend for all panels, each label once.

    Args:
      figure: above which it stands.
      every: panels.
      more: artists besides theirs, by label.
      columns: of the legend; by default up to three, as the figure is wide.
    """
    handles: dict[str, Artist] = {}
    for axes in every:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    handles |= more or {}
    columns = columns or min(3, max(1, int(figure.get_figwidth() / 2.1)))
    figure.legend([*handles.values()], [*handles], loc="outside upper center", ncols=columns)


def curves_above(figure: Figure, axes: Axes) -> None:
    """The legend of one panel, which all others share."""
    _, labels = axes.get_legend_handles_labels()
    long, narrow = max(map(len, labels), default=0) > 25, figure.get_figwidth() < LEAST_WIDTH
    legend_above(figure, [axes], columns=(1 if narrow else 2) if long else 4)


def depth_axis(axes: Axes, depths: Sequence[int]) -> None:
    """Depths in powers of 2, those that were tried by name."""
    axes.set_xscale("log", base=2)
    ticks = thinned(sorted(depths))
    axes.set_xticks(ticks, [f"{depth}" for depth in ticks])
    axes.set_xlim(min(depths) / 1.35, max(depths) * 1.35)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("depth (weight layers)")


def thinned(ticks: Sequence, most: int = 9) -> list:
    """Every second tick, or third ..., so that their labels do not touch."""
    return list(ticks)[:: -(-len(ticks) // most)]


def error_axis(axes: Axes) -> None:
    """Errors from 0 to 1, even in the small: linear below 0.1%, logarithmic above."""
    axes.set_yscale("symlog", linthresh=1e-3, linscale=0.6)
    axes.set_ylim(-1.5e-4, 1.3)
    axes.set_yticks([0, 1e-3, 1e-2, 1e-1, 1], ["0", "0.1", "1", "10", "100"])
    axes.yaxis.set_minor_locator(NullLocator())


def loss_axis(axes: Axes) -> None:
    """Losses on a logarithmic axis."""
    axes.set_yscale("log", nonpositive="clip")
    axes.yaxis.set_minor_formatter(NullFormatter())


def within(axes: Axes, least: float, most: float) -> None:
    """Cuts the vertical axis off at limits, where what is drawn goes beyond them."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, least), min(high, most))
