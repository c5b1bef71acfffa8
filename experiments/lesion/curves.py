"""Computes what removing and exchanging blocks costs, and along which paths gradients come.

Numbers are for each kind and depth of network, at its chosen rate.  Seeds are the sample; random
draws are averaged within each seed.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.lab.analysis import labels
from experiments.lab.analysis.summary import at_chosen_rates
from experiments.lesion.reading import MOST
from resnet_jax import theory
from resnet_jax.statistics import Interval, log_interval, t_interval


class MeanCurve(NamedTuple):
    """Holds means over seeds and their 95% intervals ``[places]``."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Paths(NamedTuple):
    """Holds the gradient by the number of branches ``[lengths]`` on its path, at one time.

    Attributes:
      single: norm of the gradient along one path, over that along the path of shortcuts only.
      product: number of paths times that norm, as a share (Veit et al. 2016, Fig. 6c); NaN where
        lengths are not distinguished.
      independent: number of paths times the squared norm, as a share: what each length would
        contribute if paths were independent.
      share: measured share of the gradient; it may be negative.
      mean_length: mean length of the paths, weighted by that share.
    """

    single: MeanCurve
    product: MeanCurve
    independent: np.ndarray
    share: MeanCurve
    mean_length: Interval


class Lesioned(NamedTuple):
    """Holds the readings of one kind of network at one depth.

    Attributes:
      name: name of the kind.
      depth: number of weight layers.
      blocks: number of blocks.
      removed, swapped: the rows of its readings.
      paths: paths as initialised and as trained; empty for a plain network, which has one path.
    """

    name: str
    depth: int
    blocks: int
    removed: pd.DataFrame
    swapped: pd.DataFrame
    paths: tuple[Paths, ...]

    @property
    def residual(self) -> bool:
        """Returns whether the network has shortcuts."""
        return bool(self.removed.shortcut_weight.iloc[0])

    def single(self) -> pd.DataFrame:
        """Returns the rows in which a single block is removed."""
        return self.removed[self.removed.which.notna()]

    def without(self, blocks: int, measure: str = "train_error") -> Interval:
        """Returns the mean over removals of ``blocks`` blocks; with 0, of the intact network."""
        return over_seeds(self.removed[self.removed.removed == blocks], measure)

    def most_missed(self) -> tuple[int, float]:
        """Returns the block whose removal costs most, counted from 1, and the error without it."""
        means = self.single().groupby("which").train_error.mean()
        return int(means.idxmax()) + 1, float(means.max())

    def half(self) -> int:
        """Returns the number of removed blocks, of those tried, that is nearest to half of all."""
        tried = self.removed.removed.unique()
        return int(tried[abs(tried - self.blocks / 2).argmin()])

    def shuffled(self, measure: str = "train_error") -> Interval:
        """Returns the mean after the most exchanges."""
        return over_seeds(self.swapped[self.swapped.swaps == self.swapped.swaps.max()], measure)


def over_seeds(rows: pd.DataFrame, measure: str) -> Interval:
    """Returns the mean of the seeds' means, and its interval."""
    return t_interval(rows.groupby("seed")[measure].mean().to_numpy())


def curve(rows: pd.DataFrame, over: str, measure: str) -> MeanCurve:
    """Returns a measure over a column, where at least half of the seeds have it."""
    table = rows.groupby(["seed", over])[measure].mean().unstack(over)
    return _curve(table.dropna(axis=1, thresh=-(-len(table) // 2)))


def _curve(table: pd.DataFrame, interval=t_interval) -> MeanCurve:
    """Returns the curve of a table of seeds by places; NaN where no seed has a number."""
    columns = [table[x].dropna().to_numpy() for x in table.columns]
    nothing = Interval(np.nan, np.nan, np.nan)
    intervals = [interval(column) if len(column) else nothing for column in columns]
    return MeanCurve(table.columns.to_numpy(), *np.array(intervals).reshape(-1, 3).T)


def of_tables(
    removed: pd.DataFrame, swapped: pd.DataFrame, paths: pd.DataFrame, chosen: pd.DataFrame
) -> list[Lesioned]:
    """Returns the networks of the readings, at the chosen rates: by depth, then by kind.

    Args:
      removed: readings of removals.
      swapped: readings of exchanges.
      paths: readings along paths.
      chosen: runs at the chosen rates.
    """
    tables = [at_chosen_rates(table, chosen) for table in (removed, swapped, paths)]
    names = labels.series(chosen)
    return [
        _lesioned(name, depth, *(labels.of(table[table.depth == depth], key) for table in tables))
        for depth in sorted(chosen.depth.unique())
        for key, name in names.items()
        if len(labels.of(chosen[chosen.depth == depth], key))
    ]


def _lesioned(
    name: str, depth: int, removed: pd.DataFrame, swapped: pd.DataFrame, paths: pd.DataFrame
) -> Lesioned:
    blocks = int(removed.removed.max())
    plain = not removed.shortcut_weight.iloc[0]
    ends = () if plain or not blocks else (paths[paths.trained == end] for end in (0, 1))
    centre = (np.floor(5 * swapped.kendall_tau) + 0.5) / 5
    swapped = swapped.assign(correlation=centre.where(swapped.kendall_tau < 1, 1.0))
    found = tuple(_paths(rows, blocks) for rows in ends)
    return Lesioned(name, int(depth), blocks, removed, swapped, found)


def _paths(rows: pd.DataFrame, blocks: int) -> Paths:
    table = lambda column: rows.pivot(index="seed", columns="length", values=column)
    single, square, share = table("path_norm"), table("path_rms") ** 2, table("length_share")
    counts = theory.path_lengths(blocks)[: single.shape[1]]
    lengths = share.columns.to_numpy(float)
    if blocks > MOST:  # the last length stands for all longer paths
        counts, lengths = np.full((2, len(counts)), np.nan)
    as_share = lambda values: values.div(values.sum(axis=1, skipna=False), axis=0)
    return Paths(
        _curve(single.div(single[0], axis=0), log_interval),
        _curve(as_share(single * counts)),
        as_share(square * counts).mean().to_numpy(),
        _curve(share),
        t_interval((share * lengths).sum(axis=1, skipna=False).to_numpy()),
    )


def at_depths(found: Sequence[Lesioned]) -> Iterator[tuple[int, list[Lesioned]]]:
    """Yields each depth that has blocks, and its networks."""
    for depth in sorted({each.depth for each in found if each.blocks}):
        yield depth, [each for each in found if each.depth == depth]


def least_length(paths: Paths, part: float) -> int:
    """Returns the length up to which paths bring a part of all count times norm; -1 if unknown."""
    sums = np.cumsum(paths.product.mean)
    return int((sums < part).sum()) if np.isfinite(sums).all() else -1
