"""Curves over depth: mean line, interval band, a point a seed."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.lab.analysis.labels import of, series
from experiments.lab.analysis.summary import choose_rates, summarise
from experiments.lab.report.figures import (
    color_of,
    curves_above,
    depth_axis,
    error_axis,
    loss_axis,
    panels,
)

_MARKERS = ("o", "s", "^", "D", "v", "P")  # one fewer, so that 42 curves differ


def over_depth(results: pd.DataFrame, measures: dict[str, str]) -> Figure:
    """Curves over depth at the chosen rates, one panel a measure.

    A line is the mean over seeds, its band the 95% interval, a point one seed; × is a diverged
    seed, at the panel's upper edge where its value is infinite.

    Args:
      results: the results table.
      measures: columns, all errors or all losses, and the titles of their panels.
    """
    summary, chosen, curves = summarise(results), choose_rates(results), series(results)
    with panels(1, len(measures), (4.1 * len(measures), 3.4)) as (figure, row):
        for axes, (measure, title) in zip(row[0], measures.items(), strict=True):
            error = measure.endswith("error")
            (error_axis if error else loss_axis)(axes)
            for index, (key, label) in enumerate(curves.items()):
                mean_over_depth(axes, of(summary, key), measure, index, label)
                step = min(0.16, 0.6 / len(curves))  # side by side, and all near their depth
                beside = 2 ** (step * (index - (len(curves) - 1) / 2))
                seeds_over_depth(axes, of(chosen, key), measure, index, beside)
            depth_axis(axes, results.depth.unique())
            axes.set_title(title)
            axes.set_ylabel("error, %" if error else "cross-entropy, nats")
        if (chosen.status == "diverged").any():
            row[0][0].plot([], [], "x", color="0.4", ms=4, label="diverged")
        curves_above(figure, row[0][0])
    return figure


def mean_over_depth(axes: Axes, curve: pd.DataFrame, measure: str, index: int, label: str) -> None:
    """The mean of a measure and its interval, from the rows of a summary; the index colours it."""
    color, marker = color_of(index), _MARKERS[index % len(_MARKERS)]
    low, high = curve[f"{measure}_low"], curve[f"{measure}_high"]
    mean = curve[measure].where(np.isfinite(curve[measure]))
    axes.plot(curve.depth, mean, color=color, marker=marker, ms=4.5, mfc="w", label=label)
    axes.fill_between(curve.depth, low, high, color=color, alpha=0.2, lw=0)


def seeds_over_depth(
    axes: Axes, runs: pd.DataFrame, measure: str, index: int, beside: float
) -> None:
    """The measure of each run, at so many times its depth, so that curves stand side by side."""
    color = color_of(index)
    diverged = runs.status == "diverged"
    healthy, lost = runs[~diverged], runs[diverged]
    look: dict[str, Any] = {"color": color, "alpha": 0.55, "zorder": 3}
    axes.scatter(healthy.depth * beside, healthy[measure], s=7, lw=0, **look)
    finite = np.isfinite(lost[measure])
    axes.scatter(lost.depth[finite] * beside, lost[measure][finite], s=12, marker="x", **look)
    axes.scatter(
        lost.depth[~finite] * beside,
        np.ones((~finite).sum()),
        s=12,
        marker="x",
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        **look,
    )
