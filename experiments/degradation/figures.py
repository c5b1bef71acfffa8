"""Draws training curves over the steps, and training error over the learning rates tried."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from experiments.lab.analysis.labels import of, series
from experiments.lab.analysis.summary import choose_rates
from experiments.lab.config.variants import VARIANT_FIELDS
from experiments.lab.report.figures import (
    color_of,
    curves_above,
    error_axis,
    loss_axis,
    thinned,
    wrapped_panels,
)


def training_curves(results: pd.DataFrame, history: pd.DataFrame, metric: str) -> Figure:
    """Draws a metric over the steps at the chosen rates: a panel a depth, a thin line a seed."""
    runs = choose_rates(results)[[*VARIANT_FIELDS, "depth", "shortcut_weight", "learning_rate"]]
    curves = history[history.metric == metric].merge(runs.drop_duplicates())
    depths = sorted(results.depth.unique())
    with wrapped_panels(len(depths), 2.4, 2.1, sharex=True) as (figure, row):
        for axes, depth in zip(row, depths, strict=True):
            for index, (key, label) in enumerate(series(results).items()):
                of_depth = of(curves[curves.depth == depth], key)
                table = of_depth.pivot(index="step", columns="seed", values="value")
                table = table.where(np.isfinite(table))
                color = color_of(index)
                marker = "o" if len(table) == 1 else None
                thin: dict[str, Any] = {"lw": 0.5, "alpha": 0.4, "marker": marker, "ms": 3}
                axes.plot(table.index, table.to_numpy(), color=color, **thin)
                axes.plot(
                    table.index, table.mean(axis=1, skipna=False), color=color, lw=1.6, label=label
                )
            axes.set_title(f"{depth} layers")
            (error_axis if metric.endswith("error") else loss_axis)(axes)
        figure.supxlabel("step")
        figure.supylabel(_metric_label(metric))
        curves_above(figure, row[0])
    return figure


def rates(results: pd.DataFrame) -> Figure:
    """Draws training error over the learning rate: a line for the mean, a panel a depth."""
    depths, tried = sorted(results.depth.unique()), sorted(results.learning_rate.unique())
    with wrapped_panels(len(depths), 2.4, 2.1) as (figure, row):
        for axes, depth in zip(row, depths, strict=True):
            for index, (key, label) in enumerate(series(results).items()):
                runs = of(results[results.depth == depth], key)
                means = runs.groupby("learning_rate").train_error.mean()
                look: dict[str, Any] = {"color": color_of(index)}
                axes.scatter(runs.learning_rate, runs.train_error, s=5, alpha=0.4, lw=0, **look)
                axes.plot(means.index, means, marker="o", ms=3, label=label, **look)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            ticks = thinned(tried, most=5)
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_title(f"{depth} layers")
            error_axis(axes)
        figure.supxlabel("learning rate")
        figure.supylabel("training error, %")
        curves_above(figure, row[0])
    return figure


def _metric_label(metric: str) -> str:
    words = metric.replace("train_", "training ").replace("_", " ")
    return f"{words}, %" if metric.endswith("error") else words
