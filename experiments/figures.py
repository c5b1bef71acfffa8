"""Figures of results over depth: mean line, interval band, a point a seed; PNG and SVG."""

import pathlib
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")  # no screen is needed, here or on a cluster

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from experiments.config import VARIANT_FIELDS
from experiments.summary import choose_rates, kind_name, summarise

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
_COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_METADATA = {"svg": {"Date": None}, "png": {"Software": None}}


def save(figure: Figure, directory: pathlib.Path, name: str) -> None:
    """Writes a figure as PNG and SVG."""
    for suffix, metadata in _METADATA.items():
        part = directory / f"{name}.{suffix}.part"
        figure.savefig(part, format=suffix, metadata=metadata)
        part.replace(directory / f"{name}.{suffix}")
    plt.close(figure)


def series(results: pd.DataFrame) -> dict[tuple, str]:
    """The curves of a study: (variant, shortcut weight) to a label.

    A label names the kind, and of the variant only what differs within the study.
    """
    varying = [name for name in VARIANT_FIELDS if results[name].nunique() > 1]
    keys = results[[*VARIANT_FIELDS, "shortcut_weight"]].drop_duplicates()
    labels = {}
    for row in keys.sort_values([*VARIANT_FIELDS, "shortcut_weight"]).to_dict("records"):
        variant = tuple(row[name] for name in VARIANT_FIELDS)
        shown = ", ".join(_words(name, row[name]) for name in varying)
        kind = kind_name(row["shortcut_weight"])
        labels[(*variant, row["shortcut_weight"])] = f"{kind} ({shown})" if shown else kind
    return labels


def _words(field: str, name: str) -> str:
    words = {
        "one": "branch × 1",
        "inverse_sqrt": "branch × 1/√blocks",
        "learned": "learned branch scale",
        "pre_activation": "pre-activation",
        "original": "original order",
    }
    return words.get(name, f"{field} {name}")


def _of(frame: pd.DataFrame, key: tuple) -> pd.DataFrame:
    for name, value in zip([*VARIANT_FIELDS, "shortcut_weight"], key, strict=True):
        frame = frame[frame[name] == value]
    return frame


def _depth_axis(axes: Axes, depths: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(depths), [f"{depth}" for depth in sorted(depths)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("depth (weight layers)")


def _error_axis(axes: Axes) -> None:
    """Errors from 0 to 1, even in the small: linear below 0.1%, logarithmic above."""
    axes.set_yscale("symlog", linthresh=1e-3, linscale=0.6)
    axes.set_ylim(-1.5e-4, 1.3)
    axes.set_yticks([0, 1e-3, 1e-2, 1e-1, 1], ["0", "0.1", "1", "10", "100"])
    axes.yaxis.set_minor_locator(NullLocator())


def over_depth(results: pd.DataFrame, panels: dict[str, str]) -> Figure:
    """Curves over depth at the chosen rates, one panel a measure.

    Args:
      results: the results table.
      panels: measures, all errors or all losses, and their titles.
    """
    summary, chosen = summarise(results), choose_rates(results)
    with plt.style.context(STYLE):
        figure, row = plt.subplots(1, len(panels), figsize=(4.1 * len(panels), 3.4), squeeze=False)
        for axes, (measure, title) in zip(row[0], panels.items(), strict=True):
            for index, (key, label) in enumerate(series(results).items()):
                look = {"color": _COLORS[index % len(_COLORS)]}
                marker = _MARKERS[index % len(_MARKERS)]
                line, runs = _of(summary, key), _of(chosen, key)
                sideways = runs.depth * 2 ** (0.05 * (index - (len(series(results)) - 1) / 2))
                axes.plot(line.depth, line[measure], marker=marker, ms=5, label=label, **look)
                axes.fill_between(
                    line.depth,
                    line[f"{measure}_low"],
                    line[f"{measure}_high"],
                    alpha=0.2,
                    lw=0,
                    **look,
                )
                axes.scatter(sideways, runs[measure], s=6, alpha=0.45, lw=0, zorder=3, **look)
            _depth_axis(axes, results.depth.unique())
            axes.set_title(title)
            if measure.endswith("error"):
                _error_axis(axes)
                axes.set_ylabel("error, %")
            else:
                axes.set_yscale("log")
                axes.set_ylabel("cross-entropy, nats")
        row[0][0].legend(loc="best")
    return figure


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
            figsize=(2.4 * columns, 2.1 * rows + 0.5),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, depth in zip(grid.flat, depths, strict=False):
            for index, (key, label) in enumerate(series(results).items()):
                of_depth = _of(curves[curves.depth == depth], key)
                table = of_depth.pivot(index="step", columns="seed", values="value")
                color = _COLORS[index % len(_COLORS)]
                axes.plot(table.index, table.to_numpy(), color=color, lw=0.5, alpha=0.4)
                axes.plot(table.index, table.mean(axis=1), color=color, lw=1.6, label=label)
            axes.set_title(f"{depth} layers")
            if metric.endswith("error"):
                _error_axis(axes)
            else:
                axes.set_yscale("log")
        for axes in grid.flat[len(depths) :]:
            axes.set_visible(False)
        figure.supxlabel("step")
        figure.supylabel(_metric_label(metric))
        figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def rates(results: pd.DataFrame) -> Figure:
    """The choice of the rate: mean training error over the rate, a panel a depth."""
    depths = sorted(results.depth.unique())
    with plt.style.context(STYLE):
        figure, grid = plt.subplots(
            1, len(depths), figsize=(1.7 * len(depths) + 0.8, 2.6), sharey=True, squeeze=False
        )
        for axes, depth in zip(grid.flat, depths, strict=True):
            for index, (key, label) in enumerate(series(results).items()):
                runs = _of(results[results.depth == depth], key)
                means = runs.groupby("learning_rate").train_error.mean()
                color = _COLORS[index % len(_COLORS)]
                axes.scatter(runs.learning_rate, runs.train_error, s=5, color=color, alpha=0.4, lw=0)
                axes.plot(means.index, means, color=color, marker="o", ms=3, label=label)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            ticks = sorted(results.learning_rate.unique())
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_title(f"{depth} layers")
            _error_axis(axes)
        figure.supxlabel("learning rate")
        figure.supylabel("training error, %")
        figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _metric_label(metric: str) -> str:
    words = metric.replace("train_", "training ").replace("_", " ")
    return f"{words}, %" if metric.endswith("error") else words
