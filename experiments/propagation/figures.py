"""Draws diagnostics over the blocks of networks, next to the predictions of theory."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from experiments.lab.analysis import configurations, labels
from experiments.lab.analysis.configurations import Configuration
from experiments.lab.report.figures import color_of, legend_above, panels, within
from resnet_jax.diagnostics.layers import POINTS, REACH


class Quantity(NamedTuple):
    """Describes how a quantity is drawn; values beyond the limits are cut off.

    Attributes:
      title: title of its axis.
      limits: limits of its axis.
      logarithmic: whether its axis is logarithmic.
      shared: whether the panels of all normalisations share one axis.
      table: table of readings that holds it, for quantities without theory.
      over: column of that table by which it is divided.
    """

    title: str
    limits: tuple[float, float]
    logarithmic: bool = True
    shared: bool = True
    table: str = "blocks"
    over: str = ""


_WIDE = (1e-12, 1e38)

#: The quantities that theory predicts.  On a shared axis, explosions would flatten other panels.
PREDICTED = {
    "power": Quantity("activation power", _WIDE, shared=False),
    "gradient": Quantity("squared gradient,\nover that at the last block", _WIDE, shared=False),
    "cosine": Quantity("cosine of two inputs", (-0.05, 1.05), logarithmic=False),
    "gradient_correlation": Quantity("gradient correlation\nof two inputs", (1e-2, 1.5)),
}

#: The quantities without theory.
MEASURED = {
    "branch_to_shortcut": Quantity("branch over shortcut", (1e-4, 1e4)),
    "rank": Quantity("effective rank", (0.9, 1e4)),
    "response": Quantity("response, standard\ndeviation", _WIDE, shared=False, table="layers"),
    "weight_gradient": Quantity(
        "gradient over weights", (1e-12, 1e24), shared=False, table="layers", over="weight"
    ),
}
_DASHES = (0, (4, 2))


class Line(NamedTuple):
    """Holds a curve to draw, with its interval and theory ``[places]``; theory may be NaN."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    theory: np.ndarray


def over_blocks(found: Sequence[Configuration]) -> Figure:
    """Draws the quantities that theory predicts: a row a quantity, a column a normalisation.

    A line is the mean over seeds, its band the 95% interval, and the thin dark line theory.
    """

    def line_of(each: Configuration, name: str) -> Line:
        curve = each.curves[name]
        return Line(curve.mean, curve.low, curve.high, curve.theory)

    more: dict[str, Artist] = {}
    if any(np.isfinite(each.curves["power"].theory).any() for each in found):
        more["theory, infinite width"] = Line2D([], [], color="k", lw=0.8, ls=_DASHES)
    return _profiles(found, PREDICTED, line_of, {"cosine": "block"}, more)


def over_layers(
    found: Sequence[Configuration], blocks: pd.DataFrame, layers: pd.DataFrame
) -> Figure:
    """Draws the diagnostics without theory, in the same way as :func:`over_blocks`.

    Args:
      found: the configurations.
      blocks: readings between blocks.
      layers: readings of layers.
    """
    tables = {"blocks": blocks, "layers": layers}

    def line_of(each: Configuration, name: str) -> Line:
        quantity = MEASURED[name]
        runs = _of(tables[quantity.table], each)
        runs = runs.assign(**{name: runs[name] / (runs[quantity.over] if quantity.over else 1)})
        values = runs.pivot(index="seed", columns="place", values=name).to_numpy()
        if quantity.table == "layers":
            values = values[:, 1:-1]  # only the layers of blocks, without stem and head
        mean, low, high = configurations.spread(values, factor=True)
        return Line(mean, low, high, np.full(len(mean), np.nan))

    return _profiles(found, MEASURED, line_of, {"rank": "block", "weight_gradient": "layer"}, {})


def _of(table: pd.DataFrame, each: Configuration) -> pd.DataFrame:
    """Returns the rows of a configuration."""
    rows = labels.of(table, (*each.variant.names(), each.shortcut_weight))
    return rows[rows.depth == each.depth]


def _profiles(
    found: Sequence[Configuration],
    quantities: dict[str, Quantity],
    line_of: Callable[[Configuration, str], Line],
    axis_under: dict[str, str],
    more: dict[str, Artist],
) -> Figure:
    """Draws a row of panels a quantity and a column a norm; ``more`` is added to the legend."""
    norms = list(dict.fromkeys(each.variant.norm for each in found))
    with panels(
        len(quantities), len(norms), (2.7 * len(norms) + 1, 1.75 * len(quantities) + 0.8)
    ) as (figure, grid):
        for row, (name, quantity) in zip(grid, quantities.items(), strict=True):
            for axes, norm in zip(row, norms, strict=True):
                for each in found:
                    if each.variant.norm == norm:
                        _draw(axes, line_of(each, name), _color(found, each), each.name, quantity)
            _style(row, quantity)
            for axes in row:
                axes.set_xlabel(axis_under.get(name, ""))
        for axes, norm in zip(grid[0], norms, strict=True):
            axes.set_title(labels.norm(norm))
        legend_above(figure, grid.flat, more)
    return figure


def _color(found: Sequence[Configuration], each: Configuration) -> str:
    """Returns the colour of a kind of network, the same for every normalisation."""
    names = list(dict.fromkeys(other.name for other in found))
    return color_of(names.index(each.name))


def _draw(axes: Axes, line: Line, color: str, label: str, quantity: Quantity) -> None:
    # On a logarithmic axis, a mean whose interval includes zero is noise, and is not drawn.
    certain = (line.low > 0) | np.isnan(line.low) & (line.mean > 0) | (not quantity.logarithmic)
    shown = lambda values: np.where(certain & np.isfinite(values), values, np.nan)
    places = np.arange(len(line.mean))
    axes.plot(places, shown(line.mean), color=color, lw=1.4, label=label)
    axes.fill_between(places, shown(line.low), shown(line.high), color=color, alpha=0.25, lw=0)
    axes.plot(places, line.theory, color="k", lw=0.8, ls=_DASHES, zorder=4)


def _style(row: Sequence[Axes], quantity: Quantity) -> None:
    row[0].set_ylabel(quantity.title)
    for axes in row:
        if quantity.logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        within(axes, *quantity.limits)
        if quantity.logarithmic:
            _a_decade(axes)
    if quantity.shared:
        ends = [axes.get_ylim() for axes in row]
        for axes in row:
            axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
        for axes in row[1:]:
            axes.tick_params(labelleft=False)


def _a_decade(axes: Axes) -> None:
    """Widens a logarithmic axis to whole powers of ten if it would show at most one of them."""
    low, high = np.log10(axes.get_ylim())
    if high - low < 1.5:
        low, high = np.floor(low + 0.05), np.ceil(high - 0.05)
        level = low == high  # the whole line lies on a power of ten
        axes.set_ylim(10 ** (low - level), 10 ** (high + level))


def along_lines(found: Sequence[Configuration], line: pd.DataFrame) -> Figure:
    """Draws the autocorrelation of the input's gradient along a line of inputs: a panel a norm.

    Args:
      found: the configurations.
      line: readings along the line of inputs.
    """
    norms = list(dict.fromkeys(each.variant.norm for each in found))
    step = 2 * REACH / (POINTS - 1)
    with panels(1, len(norms), (2.7 * len(norms) + 1, 2.9), sharey=True) as (figure, grid):
        for axes, norm in zip(grid[0], norms, strict=True):
            for each in (each for each in found if each.variant.norm == norm):
                runs = _of(line, each)
                values = runs.pivot(
                    index="seed", columns="place", values="gradient_autocorrelation"
                ).to_numpy()
                mean, low, high = configurations.spread(values, factor=False)
                color, places = _color(found, each), step * np.arange(len(mean))
                axes.plot(places, mean, color=color, label=each.name)
                axes.fill_between(places, low, high, color=color, alpha=0.2, lw=0)
            axes.set_title(labels.norm(norm))
            axes.set_xlabel("distance along the line")
        grid[0, 0].set_ylabel("autocorrelation\nof the input's gradient")
        legend_above(figure, grid.flat)
    return figure
