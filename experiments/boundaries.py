"""Boundaries: to which depth networks of a shortcut weight train, and to which theory says they do.

By :mod:`experiments.reach` of the mean training error at the chosen rates.  Theory's boundary
is where the squared gradient, on its way back through the network as initialised, has grown as much
as in the deepest plain network that trains: one number is taken from the measurement, at weight 0.

Networks whose shortcuts are annealed are plain in the end, and have a boundary beside those whose
shortcuts keep their weight.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments import labels
from experiments.config import Variant
from experiments.findings import percent
from experiments.predictions import setting_of
from experiments.reach import TRAINED, Reach, reach
from resnet_jax import theory


class Boundary(NamedTuple):
    """Of one shortcut weight.

    Attributes:
      weight: of the shortcuts.
      reach: to which depth its networks train.
      theory: the greatest depth that theory says is trained, in weight layers; infinite where it
        finds none that is not, NaN where it says nothing.
    """

    weight: float
    reach: Reach
    theory: float = np.nan


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first variant, of those whose shortcuts keep their weight if there are any.

    Args:
      table: with the columns of a variant.
    """
    constant = table[table.shortcut_schedule == "constant"]
    first = labels.variant_of((constant if len(constant) else table).iloc[0])
    return labels.of(table, first.names())


def annealed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the same variant with shortcuts annealed, and none where it is not there besides.

    Args:
      table: with the columns of a variant.
    """
    beside = labels.variant_of(kept(table).iloc[0])
    if beside.shortcut_schedule == "annealed":
        return table.iloc[:0]
    return labels.of(table, dataclasses.replace(beside, shortcut_schedule="annealed").names())


def of_weights(summary: pd.DataFrame, knows: bool = True) -> list[Boundary]:
    """The boundary of every weight of a summary's first variant.

    Args:
      summary: of a study.
      knows: whether theory knows the networks' blocks.
    """
    table = kept(summary)
    first = labels.variant_of(table.iloc[0])
    measured = measured_of(table)
    plain = next((each for each in measured if each.weight == 0), None)
    knows = knows and first.branch_scale == "one" and first.shortcut_schedule == "constant"
    if not knows or plain is None or not plain.reach.order:
        return measured
    growth = _growth(first, plain)
    return [each._replace(theory=_predicted(first, each.weight, growth)) for each in measured]


def measured_of(table: pd.DataFrame) -> list[Boundary]:
    """The boundary of every weight of one variant, without theory; none of an empty table."""
    return [
        Boundary(float(weight), reach(curve.set_index("depth").train_error))
        for weight, curve in table.groupby("shortcut_weight")
    ]


def _growth(variant: Variant, plain: Boundary) -> float | None:
    """How much the squared gradient grows in the deepest plain network that trains."""
    known = setting_of(variant, 0.0, 1)
    if known is None:
        return None
    follow, setting = known
    return float(follow(round(plain.reach.trains - 2) // 2, setting).gradient[0])


def _predicted(variant: Variant, weight: float, growth: float | None) -> float:
    known = setting_of(variant, weight, 1)
    if known is None or growth is None or growth <= 1:
        return np.nan
    return 2 + 2 * theory.explosion_depth(*known, growth)


def sentences(found: list[Boundary]) -> list[str]:
    """To which depth the weights train, and how theory's boundary lies to that, from the data."""
    depths = ", ".join(f"{each.weight:g}: {each.reach.words}" for each in found)
    lines = [
        f"Greatest depth with a training error below {percent(TRAINED)}, by shortcut weight: "
        f"{depths}."
    ]
    told = [each for each in found if each.weight and not np.isnan(each.theory)]
    if told:
        agree = sum(_agrees(each) for each in told)
        lines.append(
            "Theory's boundary, set by the plain networks, lies where it was measured (between the "
            f"last depth that trains and the next tried) at {agree} of {len(told)} other weights."
        )
    return lines


def _agrees(each: Boundary) -> bool:
    high = each.reach.fails if each.reach.known else np.inf
    return bool(each.reach.order <= each.theory <= high)


def sentences_annealed(found: list[Boundary], annealed: list[Boundary]) -> list[str]:
    """To which depth annealed networks train, beside those whose shortcuts stay, from the data.

    Args:
      found: with shortcuts that keep their weights.
      annealed: by the weight that annealing begins at.
    """
    plain = next((each for each in found if each.weight == 0), None)
    lines = []
    for each in annealed:
        same = next((other for other in found if other.weight == each.weight), None)
        beside = [
            f"{other.reach.words} {what}"
            for other, what in ((plain, "plain from the start"), (same, "with shortcuts kept"))
            if other
        ]
        lines.append(
            f"Shortcuts annealed from {each.weight:g} to 0 in training: networks, plain in the "
            f"end, train to {each.reach.words} layers"
            + (f"; to {', to '.join(beside)}." if beside else ".")
        )
    return lines


def sentences_turned_down(turned: pd.DataFrame) -> list[str]:
    """What turning down the shortcuts of trained residual networks does, from the data."""
    residual = turned[turned.shortcut_weight == 1.0]
    if residual.empty:
        return []
    means = residual.groupby(["depth", "share"]).train_error.mean().unstack("share")
    kept = means[means[1.0] < TRAINED]
    if kept.empty:
        return ["No network with whole shortcuts trained, so that none can be turned down."]
    words = []
    for depth, row in kept.iterrows():
        sound = [share for share in sorted(row.index, reverse=True) if row[share] < TRAINED]
        least = next((a for a, b in zip(sound, [*sound[1:], -1], strict=True) if a - b > 0.11), 0.0)
        words.append(f"{least:g} at {depth} layers")
    return [
        f"Trained with whole shortcuts, networks stay below {percent(TRAINED)} when these are "
        f"turned down to {', '.join(words)}."
    ]
