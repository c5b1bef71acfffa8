"""Profiles: figures of what happens over the blocks of a network, beside what theory says."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import labels
from experiments.configurations import OF_KIND, Configuration, Curve
from experiments.figures import COLORS, STYLE, legend_above


class Panel(NamedTuple):
    """How a quantity is drawn; what lies beyond the limits is cut off."""

    title: str
    logarithmic: bool
    limits: tuple[float, float]


PANELS = {
    "power": Panel("activation power", True, (1e-12, 1e38)),
    "gradient": Panel("squared gradient,\nover that at the last block", True, (1e-12, 1e38)),
    "cosine": Panel("cosine of two inputs", False, (-0.05, 1.05)),
    "gradient_correlation": Panel("gradient correlation\nof two inputs", True, (1e-5, 1.5)),
}
_DASHES = (0, (4, 2))


def over_blocks(found: Sequence[Configuration]) -> Figure:
    """Every quantity over the blocks: a row a quantity, a column a normalisation.

    A line is the mean over seeds, its band the 95% interval, and the thin dark line theory.
    """
    norms = list(dict.fromkeys(configuration.variant.norm for configuration in found))
    names = list(dict.fromkeys(configuration.name for configuration in found))
    with plt.style.context(STYLE):
        figure, grid = plt.subplots(
            len(PANELS),
            len(norms),
            figsize=(2.7 * len(norms) + 1, 1.75 * len(PANELS) + 0.8),
            sharex=True,
            sharey="row",
            squeeze=False,
        )
        for column, norm in enumerate(norms):
            here = [each for each in found if each.variant.norm == norm]
            for axes, (name, panel) in zip(grid[:, column], PANELS.items(), strict=True):
                for each in here:
                    _draw(axes, each.curves[name], names.index(each.name), each.name, panel)
            grid[0, column].set_title(labels.norm(norm))
            grid[-1, column].set_xlabel("block")
        for axes, panel in zip(grid[:, 0], PANELS.values(), strict=True):
            _style(axes, panel)
        theory = {"theory, infinite width": plt.Line2D([], [], color="k", lw=0.8, ls=_DASHES)}
        if not any(np.isfinite(each.curves["power"].theory).any() for each in found):
            theory = {}
        legend_above(figure, grid.flat, theory)
    return figure


def _draw(axes: Axes, curve: Curve, index: int, label: str, panel: Panel) -> None:
    color = COLORS[index % len(COLORS)]
    shown = lambda values: np.where((values > 0) | (not panel.logarithmic), values, np.nan)
    places = np.arange(len(curve.mean))
    axes.plot(places, shown(curve.mean), color=color, lw=1.4, label=label)
    axes.fill_between(places, shown(curve.low), shown(curve.high), color=color, alpha=0.25, lw=0)
    axes.plot(places, shown(curve.theory), color="k", lw=0.8, ls=_DASHES, zorder=4)


def _style(axes: Axes, panel: Panel) -> None:
    axes.set_ylabel(panel.title)
    if panel.logarithmic:
        axes.set_yscale("log")
    within(axes, *panel.limits)


def within(axes: Axes, least: float, most: float) -> None:
    """Cuts the vertical axis off at limits, where what is drawn goes beyond them."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, least), min(high, most))


def along_lines(line: pd.DataFrame, name_of: Callable[[pd.DataFrame], str]) -> Figure:
    """How fast the gradient of the input turns along a line of inputs: a panel a normalisation.

    Args:
      line: of the readings.
      name_of: rows of one configuration to what its networks are called.
    """
    norms = list(dict.fromkeys(line.norm))
    names: list[str] = []
    with plt.style.context(STYLE):
        figure, grid = plt.subplots(
            1, len(norms), figsize=(2.7 * len(norms) + 1, 2.9), sharey=True, squeeze=False
        )
        for axes, norm in zip(grid[0], norms, strict=True):
            here = line[line.norm == norm]
            for _, runs in here.groupby([*OF_KIND, "shortcut_weight"], sort=False):
                name = name_of(runs)
                names += [] if name in names else [name]
                means = runs.groupby("place").gradient_autocorrelation.mean()
                color = COLORS[names.index(name) % len(COLORS)]
                axes.plot(means.index / means.index.max(), means, color=color, label=name)
            axes.set_title(labels.norm(norm))
            axes.set_xlabel("distance along the line")
        grid[0, 0].set_ylabel("autocorrelation\nof the input's gradient")
        legend_above(figure, grid.flat)
    return figure
