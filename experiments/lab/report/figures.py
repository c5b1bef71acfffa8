"""Figures of results over depth: mean line, interval band, a point a seed; PNG and SVG."""

import io
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no screen is needed, here or on a cluster

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from experiments.lab.analysis.labels import of, series
from experiments.lab.analysis.summary import choose_rates, summarise
from experiments.lab.config.variants import VARIANT_FIELDS
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
_MARKERS = ("o", "s", "^", "D", "v", "P")  # one fewer, so that 42 curves differ
#: Inches, so that a legend of long names finds room above few panels.
_LEAST_WIDTH = 6.5
_METADATA = {"svg": {"Date": None}, "png": {"Software": None}}


def save(figure: Figure, directory: pathlib.Path, name: str) -> None:
    """Writes a figure as PNG and SVG."""
    files.make_directory(directory)
    for suffix, metadata in _METADATA.items():
        content = io.BytesIO()
        with plt.style.context(STYLE):
            figure.savefig(content, format=suffix, metadata=metadata)
        files.write_bytes(directory / f"{name}.{suffix}", content.getvalue())
    plt.close(figure)


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


def _curves_above(figure: Figure, axes: Axes) -> None:
    """The legend of one panel, which all others share."""
    _, labels = axes.get_legend_handles_labels()
    long, narrow = max(map(len, labels), default=0) > 25, figure.get_figwidth() < _LEAST_WIDTH
    legend_above(figure, [axes], columns=(1 if narrow else 2) if long else 4)


def depth_axis(axes: Axes, depths: Sequence[int]) -> None:
    """Depths in powers of 2, those that were tried by name."""
    axes.set_xscale("log", base=2)
    ticks = _thinned(sorted(depths))
    axes.set_xticks(ticks, [f"{depth}" for depth in ticks])
    axes.set_xlim(min(depths) / 1.35, max(depths) * 1.35)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("depth (weight layers)")


def _thinned(ticks: Sequence, most: int = 9) -> list:
    """Every second tick, or third ..., so that their labels do not touch."""
    return list(ticks)[:: -(-len(ticks) // most)]


def error_axis(axes: Axes) -> None:
    """Errors from 0 to 1, even in the small: linear below 0.1%, logarithmic above."""
    axes.set_yscale("symlog", linthresh=1e-3, linscale=0.6)
    axes.set_ylim(-1.5e-4, 1.3)
    axes.set_yticks([0, 1e-3, 1e-2, 1e-1, 1], ["0", "0.1", "1", "10", "100"])
    axes.yaxis.set_minor_locator(NullLocator())


def _loss_axis(axes: Axes) -> None:
    axes.set_yscale("log", nonpositive="clip")
    axes.yaxis.set_minor_formatter(NullFormatter())


def within(axes: Axes, least: float, most: float) -> None:
    """Cuts the vertical axis off at limits, where what is drawn goes beyond them."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, least), min(high, most))


def over_depth(results: pd.DataFrame, panels: dict[str, str]) -> Figure:
    """Curves over depth at the chosen rates, one panel a measure.

    A line is the mean over seeds, its band the 95% interval, a point one seed; × is a diverged
    seed, at the panel's upper edge where its value is infinite.

    Args:
      results: the results table.
      panels: measures, all errors or all losses, and their titles.
    """
    summary, chosen, curves = summarise(results), choose_rates(results), series(results)
    with plt.style.context(STYLE):
        figure, row = plt.subplots(1, len(panels), figsize=(4.1 * len(panels), 3.4), squeeze=False)
        for axes, (measure, title) in zip(row[0], panels.items(), strict=True):
            error = measure.endswith("error")
            (error_axis if error else _loss_axis)(axes)
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
        _curves_above(figure, row[0][0])
    return figure


def mean_over_depth(axes: Axes, curve: pd.DataFrame, measure: str, index: int, label: str) -> None:
    """The mean of a measure and its interval, from the rows of a summary; the index colours it."""
    color, marker = COLORS[index % len(COLORS)], _MARKERS[index % len(_MARKERS)]
    low, high = curve[f"{measure}_low"], curve[f"{measure}_high"]
    mean = curve[measure].where(np.isfinite(curve[measure]))
    axes.plot(curve.depth, mean, color=color, marker=marker, ms=4.5, mfc="w", label=label)
    axes.fill_between(curve.depth, low, high, color=color, alpha=0.2, lw=0)


def seeds_over_depth(
    axes: Axes, runs: pd.DataFrame, measure: str, index: int, beside: float
) -> None:
    """The measure of each run, at so many times its depth, so that curves stand side by side."""
    color = COLORS[index % len(COLORS)]
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


def training_curves(results: pd.DataFrame, history: pd.DataFrame, metric: str) -> Figure:
    """A metric over the steps at the chosen rates: a panel a depth, a thin line a seed."""
    runs = choose_rates(results)[[*VARIANT_FIELDS, "depth", "shortcut_weight", "learning_rate"]]
    curves = history[history.metric == metric].merge(runs.drop_duplicates())
    depths = sorted(results.depth.unique())
    columns = min(len(depths), 4)
    rows = -(-len(depths) // columns)
    with plt.style.context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(max(2.4 * columns, _LEAST_WIDTH), 2.1 * rows + 0.5),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, depth in zip(grid.flat, depths, strict=False):
            for index, (key, label) in enumerate(series(results).items()):
                of_depth = of(curves[curves.depth == depth], key)
                table = of_depth.pivot(index="step", columns="seed", values="value")
                table = table.where(np.isfinite(table))
                color = COLORS[index % len(COLORS)]
                marker = "o" if len(table) == 1 else None
                thin: dict[str, Any] = {"lw": 0.5, "alpha": 0.4, "marker": marker, "ms": 3}
                axes.plot(table.index, table.to_numpy(), color=color, **thin)
                axes.plot(
                    table.index, table.mean(axis=1, skipna=False), color=color, lw=1.6, label=label
                )
            axes.set_title(f"{depth} layers")
            (error_axis if metric.endswith("error") else _loss_axis)(axes)
        for axes in grid.flat[len(depths) :]:
            axes.set_visible(False)
        for axes in grid.flat[max(len(depths) - columns, 0) : len(depths)]:
            axes.tick_params(labelbottom=True)
        figure.supxlabel("step")
        figure.supylabel(_metric_label(metric))
        _curves_above(figure, grid.flat[0])
    return figure


def rates(results: pd.DataFrame) -> Figure:
    """The choice of the rate: mean training error over the rate, a panel a depth."""
    depths, tried = sorted(results.depth.unique()), sorted(results.learning_rate.unique())
    columns = min(len(depths), 4)
    rows = -(-len(depths) // columns)
    with plt.style.context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(max(2.4 * columns, _LEAST_WIDTH), 2.1 * rows + 0.5),
            sharey=True,
            squeeze=False,
        )
        for axes, depth in zip(grid.flat, depths, strict=False):
            for index, (key, label) in enumerate(series(results).items()):
                runs = of(results[results.depth == depth], key)
                means = runs.groupby("learning_rate").train_error.mean()
                look: dict[str, Any] = {"color": COLORS[index % len(COLORS)]}
                axes.scatter(runs.learning_rate, runs.train_error, s=5, alpha=0.4, lw=0, **look)
                axes.plot(means.index, means, marker="o", ms=3, label=label, **look)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            ticks = _thinned(tried, most=5)
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_title(f"{depth} layers")
            error_axis(axes)
        for axes in grid.flat[len(depths) :]:
            axes.set_visible(False)
        figure.supxlabel("learning rate")
        figure.supylabel("training error, %")
        _curves_above(figure, grid.flat[0])
    return figure


def _metric_label(metric: str) -> str:
    words = metric.replace("train_", "training ").replace("_", " ")
    return f"{words}, %" if metric.endswith("error") else words
