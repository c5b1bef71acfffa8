"""Summarises single runs, by pure functions of the results table.

The learning rate of each depth, variant and kind is chosen on its own, by one criterion: the
lowest mean final training error over all seeds; among equals, the lowest mean final training loss;
among those, the larger rate.  A diverged run counts, with error 1 and an infinite loss.
"""

import pandas as pd

from experiments.lab.analysis import labels
from experiments.lab.config.grid import CELL_COLUMNS, RUN_COLUMNS
from resnet_jax.statistics import sign_flip_test, t_interval

KIND = [*CELL_COLUMNS, "shortcut_weight"]
MEASURES = ("train_error", "train_loss", "test_error", "test_loss")
PLAIN = 0.0


def choose_rates(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs at the chosen rate of each depth, variant and kind."""
    means = results.groupby([*KIND, "learning_rate"], as_index=False)[
        ["train_error", "train_loss"]
    ].mean()
    ranked = means.sort_values(
        ["train_error", "train_loss", "learning_rate"], ascending=[True, True, False]
    )
    best = ranked.drop_duplicates(KIND)[[*KIND, "learning_rate"]]
    return results.merge(best, on=[*KIND, "learning_rate"]).sort_values([*KIND, "seed"])


def at_chosen_rates(readings: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a table of readings that belong to runs of :func:`choose_rates`."""
    keys = list(RUN_COLUMNS)
    return readings.merge(chosen[keys], on=keys)


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Returns one row for each depth, variant and kind, at its chosen rate.

    Columns: those of :data:`KIND`, ``kind, learning_rate, rate_at_edge`` (``lowest`` or ``highest``
    if no rate beyond the chosen one was tried), ``seeds, diverged, dead``; for each of
    :data:`MEASURES` its mean and the 95% t-interval ``_low`` and ``_high`` (for errors cut to
    [0, 1]); and ``p_value``, from the paired sign-flip test of the training error against the plain
    network of the same cell, each kind at its own rate (empty for plain).
    """
    chosen = choose_rates(results)
    rows = []
    for _, cell in chosen.groupby(list(CELL_COLUMNS), sort=True):
        plain = cell[cell.shortcut_weight == PLAIN]
        for weight, runs in cell.groupby("shortcut_weight"):
            row = runs.iloc[0][[*KIND, "learning_rate"]].to_dict()
            tried = _rates_tried(results, row)
            row |= {"kind": labels.kind(weight), "seeds": len(runs)}
            row |= {"rate_at_edge": _edge(row["learning_rate"], tried)}
            row |= {name: int((runs.status == name).sum()) for name in ("diverged", "dead")}
            for measure in MEASURES:
                row |= _interval_columns(measure, runs[measure])
            pairs = plain.merge(runs, on="seed", suffixes=("_plain", ""))
            row["p_value"] = None
            if weight != PLAIN and len(pairs):
                row["p_value"] = sign_flip_test(pairs.train_error, pairs.train_error_plain)
            rows.append(row)
    return pd.DataFrame(rows)


def _rates_tried(results: pd.DataFrame, row: dict) -> pd.Series:
    same = (results[KIND] == pd.Series(row)[KIND]).all(axis=1)
    return results[same].learning_rate


def _edge(rate: float, tried: pd.Series) -> str:
    if tried.nunique() == 1:
        return ""
    return {tried.min(): "lowest", tried.max(): "highest"}.get(rate, "")


def _interval_columns(measure: str, values: pd.Series) -> dict:
    interval = t_interval(values.to_numpy())
    low, high = interval.low, interval.high
    if measure.endswith("error"):
        low, high = max(low, 0.0), min(high, 1.0)  # NaN first: max and min keep it
    return {measure: interval.mean, f"{measure}_low": low, f"{measure}_high": high}
