"""Finds the best learning rate of every depth and parametrisation, and how it moves with depth.

Each seed has its own optimum: of the rates tried, the one with the lowest final training loss,
moved to the vertex of the parabola through it and its two neighbours, in the logarithms of rate and
loss.  If a neighbour diverged, or there is none, the optimum stays at the rate tried.
"""

import numpy as np
import pandas as pd

from experiments.lab.analysis import labels
from experiments.lab.analysis.summary import KIND
from resnet_jax.statistics import Interval, slope_interval, t_interval

#: Losses below this count as equal to it, so that a loss of 0 has a logarithm.
_LEAST_LOSS = 1e-12


def of_seeds(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the best rate of every seed: a row a seed, depth and parametrisation.

    Columns: those of :data:`experiments.lab.analysis.summary.KIND`; ``seed``; ``log_rate``, to
    base 2, NaN if every rate diverged; ``edge``, ``lowest`` or ``highest`` if no rate beyond the
    best was tried; and ``loss``, the lowest.
    """
    rows = []
    for key, runs in results.groupby([*KIND, "seed"], sort=False):
        runs = runs.sort_values("learning_rate")
        losses = runs.train_loss.where(runs.status != "diverged", np.inf).to_numpy()
        log_rate, edge = _optimum(np.log2(runs.learning_rate.to_numpy()), losses)
        row = dict(zip([*KIND, "seed"], key, strict=True))
        rows.append(row | {"log_rate": log_rate, "edge": edge, "loss": losses.min()})
    return pd.DataFrame(rows)


def _optimum(log_rates: np.ndarray, losses: np.ndarray) -> tuple[float, str]:
    """Returns the log rate at which the loss is least, and at which edge of the rates that is."""
    if not np.isfinite(losses).any():
        return np.nan, ""
    best, last = int(np.argmin(losses)), len(losses) - 1
    edge = {0: "lowest", last: "highest"}.get(best, "") if last else ""
    near = slice(best - 1, best + 2)
    if best in (0, last) or not np.isfinite(losses[near]).all():
        return float(log_rates[best]), edge
    levels = np.log(np.maximum(losses[near], _LEAST_LOSS))
    bend, slope, _ = np.polyfit(log_rates[near] - log_rates[best], levels - levels[1], 2)
    return float(log_rates[best] - (slope / (2 * bend) if bend > 0 else 0)), edge


def over_seeds(best: pd.DataFrame) -> pd.DataFrame:
    """Returns the best rate of every depth and parametrisation.

    Columns: those of :data:`experiments.lab.analysis.summary.KIND`; ``kind``; ``seeds``;
    ``best_rate``, the geometric mean over seeds, with its 95% t-interval ``_low`` and ``_high``;
    for how many seeds it is the ``lowest`` or ``highest`` rate tried, or all ``diverged``; and
    ``train_loss``, the geometric mean of the lowest losses.
    """
    rows = []
    for key, seeds in best.groupby(KIND, sort=False):
        row = dict(zip(KIND, key, strict=True))
        known = seeds.log_rate.dropna()
        interval = np.exp2(t_interval(known) if len(known) else [np.nan] * 3)
        row |= {"kind": labels.kind(row["shortcut_weight"]), "seeds": len(seeds)}
        row |= dict(zip(("best_rate", "best_rate_low", "best_rate_high"), interval, strict=True))
        row |= {name: int((seeds.edge == name).sum()) for name in ("lowest", "highest")}
        row |= {"diverged": int(seeds.log_rate.isna().sum())}
        rows.append(row | {"train_loss": geometric_mean(seeds.loss)})
    return pd.DataFrame(rows)


def geometric_mean(losses: pd.Series) -> float:
    """Returns the geometric mean of losses, which may be infinite or almost 0."""
    return float(np.exp(np.log(np.maximum(losses, _LEAST_LOSS)).mean()))


def slope(runs: pd.DataFrame, column: str) -> Interval:
    """Returns the slope of a logarithm to base 2 over that of depth, for one parametrisation.

    Depth counts the weight layers of the blocks, without stem and head.  Networks without blocks
    are left out, and so are values that are not finite.

    Args:
      runs: a row a seed and depth.
      column: column of the logarithm.
    """
    known = runs[(runs.depth > 2) & np.isfinite(runs[column])]
    if known.empty:
        return Interval(np.nan, np.nan, np.nan)
    table = known.pivot(index="seed", columns="depth", values=column)
    return slope_interval(np.log2(table.columns.to_numpy() - 2.0), table.to_numpy())


def price(runs: pd.DataFrame, best: pd.DataFrame) -> tuple[float, int, int]:
    """Returns what it costs a parametrisation's deepest networks to keep the shallowest's rate.

    Args:
      runs: results of one parametrisation.
      best: their optima; see :func:`of_seeds`.

    Returns:
      The loss at that rate (the geometric mean of the seeds' best) over the lowest of those tried,
      and the two depths.  Losses are geometric means over seeds, interpolated between the rates
      tried on straight lines in logarithms.  The ratio is infinite if a rate next to the kept one
      diverges, and NaN if all rates diverge at one of the depths.
    """
    shallow, deep = int(runs.depth.min()), int(runs.depth.max())
    losses = loss_by_rate(runs[runs.depth == deep]).loc[deep]
    kept, rates = best[best.depth == shallow].log_rate.mean(), np.log2(losses.index.to_numpy())
    finite = np.isfinite(losses.to_numpy())
    if np.isnan(kept) or not finite.any():
        return np.nan, shallow, deep
    if np.interp(kept, rates, ~finite) > 0:
        return np.inf, shallow, deep
    levels = np.log(losses.where(finite, 1.0).to_numpy())
    return float(np.exp(np.interp(kept, rates, levels)) / losses.min()), shallow, deep


def loss_by_rate(runs: pd.DataFrame) -> pd.Series:
    """Returns the final training loss by depth and learning rate: geometric means over seeds."""
    loss = runs.train_loss.where(runs.status != "diverged", np.inf)
    return loss.groupby([runs.depth, runs.learning_rate]).agg(geometric_mean)
