"""Figures over shortcut weight and depth."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from experiments import boundaries
from experiments.boundaries import Boundary
from experiments.figures import COLORS, STYLE, error_axis
from resnet_jax.statistics import t_interval


def over_weight_and_depth(summary: pd.DataFrame, found: Sequence[Boundary]) -> Figure:
    """Training error by shortcut weight and depth, and theory's boundary.

    Networks whose shortcuts are annealed stand on the right.

    Args:
      summary: of a study.
      found: boundaries of the weights of its first variant.
    """
    tables = [_by_depth(rows) for rows in (boundaries.kept(summary), boundaries.annealed(summary))]
    names = [f"{weight:g}" for weight in tables[0].columns]
    names += [f"{weight:g}→0" for weight in tables[1].columns]
    table = pd.concat(tables, axis=1)
    rows = np.arange(len(table))
    with plt.style.context({**STYLE, "axes.grid": False}):
        figure, axes = plt.subplots(figsize=(5.2, 3.6))
        norm = SymLogNorm(1e-3, linscale=0.6, vmin=0, vmax=1)
        image = axes.imshow(table, norm=norm, cmap="viridis", aspect="auto", origin="lower")
        _write(axes, table.to_numpy())
        if tables[1].size:
            axes.axvline(len(found) - 0.5, color="w", lw=3)
        if any(np.isfinite(each.theory) for each in found):
            place = np.interp(
                [each.theory for each in found], table.index, rows, left=-0.5, right=len(rows) - 0.5
            )
            axes.plot(range(len(found)), place, color="r", lw=1.5, label="theory's boundary")
            figure.legend(loc="outside upper left")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(rows, [f"{depth}" for depth in table.index])
        axes.set_xlabel("shortcut weight" + (" (→0: annealed)" if tables[1].size else ""))
        axes.set_ylabel("depth (weight layers)")
        bar = figure.colorbar(image, ticks=[0, 1e-3, 1e-2, 1e-1, 1])
        bar.ax.set_yticklabels(["0", "0.1", "1", "10", "100"])
        bar.set_label("training error, %")
    return figure


def _by_depth(table: pd.DataFrame) -> pd.DataFrame:
    return table.pivot_table(index="depth", columns="shortcut_weight", values="train_error")


def _write(axes: Axes, table: np.ndarray) -> None:
    """Writes every error into its place, in per cent."""
    for row, errors in enumerate(table):
        for column, error in enumerate(errors):
            text = f"{100 * error:.2g}" if np.isfinite(error) else ""
            color, around = ("w", "k") if error < 0.3 else ("k", "w")
            halo = [withStroke(linewidth=1.2, foreground=around, alpha=0.6)]  # lines cross some
            look: dict[str, Any] = {"ha": "center", "va": "center", "size": 7, "path_effects": halo}
            axes.text(column, row, text, color=color, zorder=3, **look)


def turned_down(turned: pd.DataFrame) -> Figure:
    """Training error of networks trained with whole shortcuts, by what is left of these."""
    residual = turned[turned.shortcut_weight == turned.shortcut_weight.max()]
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(figsize=(5.2, 3.6))
        for index, (depth, runs) in enumerate(residual.groupby("depth")):
            color = COLORS[index % len(COLORS)]
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
