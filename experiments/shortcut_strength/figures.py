"""Draws training error over shortcut weight and depth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from experiments.lab.report.figures import color_of, error_axis, legend_above, panels
from experiments.shortcut_strength import boundaries
from experiments.shortcut_strength.boundaries import Band, Boundary
from resnet_jax.statistics import t_interval

_RED = to_rgb("r")


def over_weight_and_depth(summary: pd.DataFrame, found: Sequence[Boundary]) -> Figure:
    """Draws training error by shortcut weight and depth, with the boundary and theory's band.

    Both run between cells: the boundary between the last depth that trains and the next tried, the
    band around the depths that theory leaves open.  Networks with annealed shortcuts are on the
    right, without theory.

    Args:
      summary: summary of a study.
      found: boundaries of the weights of its first variant.
    """
    constant = boundaries.with_constant_shortcuts(summary)
    annealed = boundaries.with_annealed_shortcuts(summary)
    table = pd.concat([_by_depth(constant), _by_depth(annealed)], axis=1)
    beside = boundaries.measured_of(annealed)
    with panels(1, 1, (5.6, 3.9), style={"axes.grid": False}) as (figure, grid):
        axes = grid[0, 0]
        norm = SymLogNorm(1e-3, linscale=0.6, vmin=0, vmax=1)
        image = axes.imshow(table, norm=norm, cmap="viridis", aspect="auto", origin="lower")
        _write(axes, table.to_numpy())
        _draw_theory(axes, found, table.index)
        _draw_measured(axes, found, 0, table.index)
        if beside:
            axes.axvline(len(found) - 0.5, color="w", lw=3, zorder=3)
            _draw_measured(axes, beside, len(found), table.index)
        axes.set_ylim(-0.5, len(table) - 0.5)
        names = [f"{each.weight:g}" for each in found] + [f"{each.weight:g}→0" for each in beside]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(table)), [f"{depth}" for depth in table.index])
        axes.set_xlabel("shortcut weight" + (" (→0: annealed)" if beside else ""))
        axes.set_ylabel("depth (weight layers)")
        bar = figure.colorbar(image, ticks=[0, 1e-3, 1e-2, 1e-1, 1])
        bar.ax.set_yticklabels(["0", "0.1", "1", "10", "100"])
        bar.set_label("training error, %")
        legend_above(figure, [axes])
    return figure


def _draw_theory(axes: Axes, found: Sequence[Boundary], depths: pd.Index) -> None:
    """Shades the depths that theory leaves open, a column a weight."""
    told = [(place, each.theory) for place, each in enumerate(found) if each.theory]
    for place, band in told:
        low, high = _edges(band, depths)
        sides = (place - 0.5, place + 0.5)
        label = "left open by theory" if place == told[0][0] else None
        look: dict[str, Any] = {"fc": (*_RED, 0.35), "ec": (*_RED, 1.0), "lw": 1.2, "zorder": 2.5}
        axes.fill_between(sides, low, high, label=label, **look)


def _draw_measured(axes: Axes, found: Sequence[Boundary], left: int, depths: pd.Index) -> None:
    """Draws a line above the last depth that trains and below the next that was tried."""
    sides = left - 0.5 + np.arange(len(found) + 1)
    heights = [_edges(each.measured, depths)[0] for each in found]
    around = [withStroke(linewidth=3.5, foreground="k")]
    look: dict[str, Any] = {"color": "w", "lw": 1.8, "path_effects": around, "zorder": 4}
    look |= {"solid_capstyle": "butt", "label": "" if left else "boundary, measured"}
    axes.plot(np.repeat(sides, 2)[1:-1], np.repeat(heights, 2), clip_on=False, **look)


def _edges(band: Band, depths: pd.Index) -> tuple[float, float]:
    """Returns the lower and upper edge of the cells whose depths lie strictly within a band."""
    known_to_train = np.searchsorted(depths, band.low, side="right")
    not_known_to_fail = np.searchsorted(depths, band.high, side="left")
    return known_to_train - 0.5, not_known_to_fail - 0.5


def _by_depth(table: pd.DataFrame) -> pd.DataFrame:
    return table.pivot_table(index="depth", columns="shortcut_weight", values="train_error")


def _write(axes: Axes, table: np.ndarray) -> None:
    """Writes every error into its cell, in percent."""
    for row, errors in enumerate(table):
        for column, error in enumerate(errors):
            text = f"{100 * error:.2g}" if np.isfinite(error) else ""
            color, around = ("w", "k") if error < 0.3 else ("k", "w")
            halo = [withStroke(linewidth=1.2, foreground=around, alpha=0.6)]  # lines cross some
            look: dict[str, Any] = {"ha": "center", "va": "center", "size": 7, "path_effects": halo}
            axes.text(column, row, text, color=color, zorder=3, **look)


def turned_down(turned: pd.DataFrame) -> Figure:
    """Draws the training error of residual networks by the share of the weight that is left."""
    residual = turned[turned.shortcut_weight == turned.shortcut_weight.max()]
    with panels(1, 1, (5.2, 3.6)) as (figure, grid):
        axes = grid[0, 0]
        for index, (depth, runs) in enumerate(residual.groupby("depth")):
            color = color_of(index)
            shares = sorted(runs.share.unique())
            intervals = [t_interval(runs.train_error[runs.share == share]) for share in shares]
            mean, low, high = np.array(intervals).T
            axes.plot(shares, mean, color=color, marker="o", ms=3, label=f"{depth} layers")
            axes.fill_between(shares, low.clip(0), high.clip(max=1), color=color, alpha=0.2, lw=0)
        error_axis(axes)
        axes.set_xlim(1.02, -0.02)
        axes.set_xlabel("share of the shortcut's weight that is left")
        axes.set_ylabel("training error, %")
        figure.legend(loc="outside upper center", ncols=4)
    return figure
