"""Boundaries: to which depth networks of a shortcut weight train, and to which theory says they do.

By :mod:`experiments.lab.analysis.reach` of the mean training error at the chosen rates. Theory has
one criterion for the study: where plain gradients explode, by theory, how much the squared gradient
has grown on its way back through the network as initialised; where they do not, how much two inputs
look alike behind its last block, which had nothing in common in front of the first. Of what goes
with failure it is told by the plain networks alone (weight 0). As these are measured at some depths
only, that is no number but two, from the last depth that trains and from the first that fails, and
theory's boundary is a band at every weight. Criteria do not mix: where plain networks collapse, it
is not looked at whether shortcuts make others explode.

Networks whose shortcuts are annealed are plain in the end, and have a boundary beside those whose
shortcuts keep their weight.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.lab.analysis import labels
from experiments.lab.analysis.predictions import setting_of
from experiments.lab.analysis.reach import TRAINED, Reach, reach
from experiments.lab.analysis.wording import percent
from resnet_jax import theory
from resnet_jax.theory.laws import Follow
from resnet_jax.theory.propagation import Propagation, Setting

#: Blocks at which the search for theory's boundary ends.
_MOST = 512


class Criterion(NamedTuple):
    """By what theory finds networks as ill as plain ones are at their boundary.

    Attributes:
      words: what it sees there, in a clause.
      value: of a network, the greater the worse; it grows with depth.
    """

    words: str
    value: Callable[[Propagation], float]


EXPLOSION = Criterion("gradients have grown as much", lambda there: float(there.gradient[0]))
COLLAPSE = Criterion("two inputs look as much alike", lambda there: float(there.cosine[-1]))


class Band(NamedTuple):
    """Between which depths a boundary lies, in weight layers.

    Attributes:
      low: the deepest network known to train; 0 of none.
      high: the shallowest known to fail; infinite of none.
    """

    low: float
    high: float

    def overlaps(self, other: "Band") -> bool:
        """Whether one boundary can lie in both."""
        return max(self.low, other.low) < min(self.high, other.high)

    @property
    def words(self) -> str:
        """``16 to 24``; ``≥ 16`` and ``< 24`` where it is open."""
        if not self.low:
            return "anywhere" if self.high == np.inf else f"< {self.high:.0f}"
        return f"≥ {self.low:.0f}" if self.high == np.inf else f"{self.low:.0f} to {self.high:.0f}"


class Boundary(NamedTuple):
    """Of one shortcut weight.

    Attributes:
      weight: of the shortcuts.
      reach: to which depth its networks train.
      theory: where it lies by theory; None where that says nothing.
      criterion: of theory.
    """

    weight: float
    reach: Reach
    theory: Band | None = None
    criterion: Criterion | None = None

    @property
    def measured(self) -> Band:
        """Where it lies by measurement."""
        return Band(self.reach.order, self.reach.fails if self.reach.known else np.inf)


def with_constant_shortcuts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first variant, of those whose shortcuts keep their weight if there are any.

    Args:
      table: with the columns of a variant.
    """
    constant = table[table.shortcut_schedule == "constant"]
    first = labels.variant_of((constant if len(constant) else table).iloc[0])
    return labels.of(table, first.names())


def with_annealed_shortcuts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the same variant with shortcuts annealed, and none where it is not there besides.

    Args:
      table: with the columns of a variant.
    """
    beside = labels.variant_of(with_constant_shortcuts(table).iloc[0])
    if beside.shortcut_schedule == "annealed":
        return table.iloc[:0]
    return labels.of(table, dataclasses.replace(beside, shortcut_schedule="annealed").names())


def of_weights(summary: pd.DataFrame, knows: bool = True) -> list[Boundary]:
    """The boundary of every weight of a summary's first variant.

    Args:
      summary: of a study.
      knows: whether theory knows the networks' blocks.
    """
    table = with_constant_shortcuts(summary)
    first = labels.variant_of(table.iloc[0])
    measured = measured_of(table)
    plain = next((each for each in measured if each.weight == 0), None)
    knows = knows and first.branch_scale == "one" and first.shortcut_schedule == "constant"
    known = setting_of(first, 0.0, 1)
    if not knows or plain is None or known is None:
        return measured
    criterion = _criterion_of(*known)
    values = _values_at(plain.measured, criterion, *known)
    found = []
    for each in measured:
        known = setting_of(first, each.weight, 1)
        band = _band(criterion, values, *known) if known else None
        found.append(each._replace(theory=band, criterion=criterion))
    return found


def measured_of(table: pd.DataFrame) -> list[Boundary]:
    """The boundary of every weight of one variant, without theory; none of an empty table."""
    return [
        Boundary(float(weight), reach(curve.set_index("depth").train_error))
        for weight, curve in table.groupby("shortcut_weight")
    ]


def _criterion_of(follow: Follow, plain: Setting) -> Criterion:
    """Explosion where plain gradients grow, by more than rounding; else collapse."""
    return EXPLOSION if EXPLOSION.value(follow(8, plain)) > 1.001 else COLLAPSE


def _values_at(
    band: Band, criterion: Criterion, follow: Follow, setting: Setting
) -> tuple[float, float]:
    """Of the deepest network known to train and the shallowest known to fail; infinite of none."""
    value = lambda depth: criterion.value(follow(int(depth - 2) // 2, setting))
    return (
        value(band.low) if band.low else -np.inf,
        value(band.high) if band.high < np.inf else np.inf,
    )


def _band(
    criterion: Criterion, values: tuple[float, float], follow: Follow, setting: Setting
) -> Band:
    """Between the deepest network no worse than what trains and the shallowest as ill as failures.

    Args:
      criterion: by which networks are ill.
      values: its values of the deepest plain network known to train, the shallowest to fail.
      follow: theory of the networks.
      setting: of them, but for their depth.
    """
    trains, fails = values
    find = functools.partial(theory.depth_of, functools.cache(follow), setting, most=_MOST)
    beyond = min(find(lambda there: criterion.value(there) > trains), _MOST + 1)
    ill = find(lambda there: criterion.value(there) >= fails) if fails < np.inf else np.inf
    layers = lambda blocks: 2 + 2 * blocks
    return Band(layers(beyond - 1), layers(ill))


def sentences(found: list[Boundary]) -> list[str]:
    """To which depth the weights train, and how theory's boundary lies to that, from the data."""
    depths = ", ".join(f"{each.weight:g}: {each.reach.words}" for each in found)
    return [
        f"Greatest depth with a training error below {percent(TRAINED)}, by shortcut weight: "
        f"{depths}.",
        *_sentences_of_theory(found),
    ]


def _sentences_of_theory(found: list[Boundary]) -> list[str]:
    """At how many weights theory's band overlaps with the measured one, and where not."""
    plain = next((each for each in found if each.weight == 0), None)
    told = [(each, each.theory) for each in found if each.weight and each.theory]
    if plain is None or not plain.criterion or not told:
        return []
    agree = sum(band.overlaps(each.measured) for each, band in told)
    bands = ", ".join(f"{each.weight:g}: {band.words}" for each, band in told)
    deeper = [each.weight for each, band in told if each.measured.low >= band.high]
    less = [each.weight for each, band in told if each.measured.high <= band.low]
    apart = [
        f" Networks train {words} than it says at {', '.join(f'{weight:g}' for weight in weights)}."
        for words, weights in (("deeper", deeper), ("less deep", less))
        if weights
    ]
    return [
        f"Theory's boundary, where {plain.criterion.words} as in plain networks at theirs "
        f"({plain.measured.words} layers), overlaps with the measured one (between the last depth "
        f"that trains and the next tried) at {agree} of {len(told)} other weights; by weight: "
        f"{bands}." + "".join(apart)
    ]


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
