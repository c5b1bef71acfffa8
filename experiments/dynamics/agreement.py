"""Compares verdicts on networks as initialised with which of them train.

A configuration trains if the mean training error at its chosen rate ends below 5%; its verdict
(:mod:`experiments.lab.analysis.verdicts`) predicts this if it is *healthy*.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.lab.analysis import labels, verdicts
from experiments.lab.analysis.configurations import Configuration
from experiments.lab.analysis.reach import TRAINED
from experiments.lab.analysis.wording import percent
from experiments.lab.config.variants import NETWORK_FIELDS, VARIANT_FIELDS
from resnet_jax.statistics import Interval, fisher_exact_test, share_interval

HEALTHY = "healthy"

_KEY = [*VARIANT_FIELDS, "shortcut_weight", "depth"]


class Score(NamedTuple):
    """Holds how well verdicts predict training.

    Attributes:
      counts: numbers of configurations ``[2, 2]``: rows healthy and not, columns train and fail.
      agreement: share of configurations that are healthy and train, or are not healthy and fail,
        with a 95% interval.
      p_value: p-value of Fisher's exact test that verdict and training are independent.
    """

    counts: np.ndarray
    agreement: Interval
    p_value: float


def of_configurations(
    summary: pd.DataFrame, first: Sequence[Configuration], last: Sequence[Configuration]
) -> pd.DataFrame:
    """Returns a summary's rows with the verdicts on their configurations.

    Args:
      summary: summary of a study.
      first: its configurations as initialised.
      last: its configurations at the last step.

    Returns:
      The rows with ``network, carries, verdict, verdict_at_end, trains``; networks without blocks
      have no verdict.
    """
    key_of = lambda each: (*each.variant.names(), each.shortcut_weight, each.depth)
    ends = {key_of(each): each.verdict for each in last}
    rows = [
        dict(zip(_KEY, key_of(each), strict=True))
        | {"network": each.name, "carries": each.carries, "verdict": each.verdict}
        | {"verdict_at_end": ends.get(key_of(each), "")}
        for each in first
    ]
    table = summary.merge(pd.DataFrame(rows), on=_KEY, how="left")
    return table.assign(trains=table.train_error < TRAINED)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows whose verdict is a prediction: networks through which signals pass."""
    return table[table.carries.eq(True)]


def distinct(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row for each network as initialised: its training with the least error.

    A verdict on a network as initialised is one prediction, however many trainings were tried.
    """
    network = [*NETWORK_FIELDS, "shortcut_weight", "depth"]
    best_first = table.sort_values("train_error", kind="stable")
    return best_first.drop_duplicates(network).sort_index()


def score(table: pd.DataFrame) -> Score:
    """Returns the score of the verdicts of judged and distinct rows; there must be some rows."""
    healthy, trains = table.verdict == HEALTHY, table.trains
    counts = np.array(
        [[(kind & end).sum() for end in (trains, ~trains)] for kind in (healthy, ~healthy)]
    )
    return Score(
        counts, share_interval(int(np.trace(counts)), len(table)), fisher_exact_test(counts)
    )


def by_verdict(table: pd.DataFrame) -> pd.DataFrame:
    """Counts, for each verdict given, all its configurations and those that train."""
    groups = table.groupby("verdict").trains.agg(configurations="size", train="sum")
    return groups.reindex([name for name in verdicts.VERDICTS if name in groups.index])


def sentences(table: pd.DataFrame) -> list[str]:
    """Returns sentences on how well the verdicts of judged rows predicted, and the wrong ones."""
    if table.empty:
        return ["Signals pass through no network here: there is nothing to predict."]
    table = distinct(table)
    found = score(table)
    (sound, broken), (spared, lost) = found.counts
    low, high = (f"{100 * end:.0f}" for end in found.agreement[1:])
    lines = [
        f"Of {sound + broken} networks that are healthy as initialised {sound} train (end "
        f"below {percent(TRAINED)}), and of {spared + lost} others {spared}: the verdict agrees "
        f"with the end in {sound + lost} of {len(table)} ({found.agreement.mean:.0%}, 95% interval "
        f"{low} to {high}%; Fisher's exact test, p = {found.p_value:.2g})."
    ]
    counts = "; ".join(
        f"{name}: {row.train} of {row.configurations}" for name, row in by_verdict(table).iterrows()
    )
    lines.append(f"Networks that train, by verdict: {counts}.")
    healthy = table.verdict == HEALTHY
    for title, which in (
        ("Healthy as initialised, and failed", table[healthy & ~table.trains]),
        ("Not healthy, and trained all the same", table[~healthy & table.trains]),
    ):
        names = [f"{full_name(row)} ({row.verdict})" for _, row in which.iterrows()]
        lines += [f"{title}: {'; '.join(names)}."] if names else []
    return lines


def full_name(row: pd.Series) -> str:
    """Returns the name of a row's networks, with their normalisation and depth."""
    return f"{row.network}, {labels.with_norm(row.norm)}, {row.depth} layers"
