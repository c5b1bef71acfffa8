"""Compares the depth to which networks of each shortcut weight train with theory's prediction.

The measured boundary is the :mod:`experiments.lab.analysis.reach` of the mean training error at the
chosen rates.  Theory uses one criterion for the whole study.  If theory predicts that plain
gradients explode, it is the growth of the squared gradient on its way back through the network as
initialised.  If not, it is the cosine after the last block of two inputs that have nothing in
common before the first.  The value that goes with failure is taken from the plain networks (weight
0) alone.  They are measured at some depths only, which gives two values, at the last depth that
trains and the first that fails, so theory's boundary is a band at every weight.  Criteria are not
combined: if plain networks collapse, it is not tested whether shortcuts make others explode.

Networks with annealed shortcuts are plain in the end, and have a separate boundary.
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

#: The greatest number of blocks in the search for theory's boundary.
_MOST = 512


class Criterion(NamedTuple):
    """Describes a criterion that compares networks with plain ones at their boundary.

    Attributes:
      words: clause that says what theory finds there.
      value: function of a network's propagation; greater is worse, and it grows with depth.
    """

    words: str
    value: Callable[[Propagation], float]


EXPLOSION = Criterion("gradients have grown as much", lambda there: float(there.gradient[0]))
COLLAPSE = Criterion("two inputs look as much alike", lambda there: float(there.cosine[-1]))


class Band(NamedTuple):
    """Holds the depths between which a boundary lies, in weight layers.

    Attributes:
      low: depth of the deepest network known to train; 0 if none is known.
      high: depth of the shallowest network known to fail; infinite if none is known.
    """

    low: float
    high: float

    def overlaps(self, other: "Band") -> bool:
        """Returns whether the two bands have depths in common."""
        return max(self.low, other.low) < min(self.high, other.high)

    @property
    def words(self) -> str:
        """Returns the band in words: ``16 to 24``, or ``≥ 16`` or ``< 24`` if it is open."""
        if not self.low:
            return "anywhere" if self.high == np.inf else f"< {self.high:.0f}"
        return f"≥ {self.low:.0f}" if self.high == np.inf else f"{self.low:.0f} to {self.high:.0f}"


class Boundary(NamedTuple):
    """Holds the boundary of one shortcut weight.

    Attributes:
      weight: shortcut weight.
      reach: depth to which its networks train.
      theory: boundary that theory predicts; None if theory does not cover it.
      criterion: criterion of theory.
    """

    weight: float
    reach: Reach
    theory: Band | None = None
    criterion: Criterion | None = None

    @property
    def measured(self) -> Band:
        """Returns the measured boundary."""
        return Band(self.reach.order, self.reach.fails if self.reach.known else np.inf)


def with_constant_shortcuts(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of the first variant whose shortcuts keep their weight, if there is one.

    Args:
      table: table with the columns of a variant; without such a variant, the first one is taken.
    """
    constant = table[table.shortcut_schedule == "constant"]
    first = labels.variant_of((constant if len(constant) else table).iloc[0])
    return labels.of(table, first.names())


def with_annealed_shortcuts(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of the same variant with annealed shortcuts; none if it was not trained.

    Args:
      table: table with the columns of a variant.
    """
    beside = labels.variant_of(with_constant_shortcuts(table).iloc[0])
    if beside.shortcut_schedule == "annealed":
        return table.iloc[:0]
    return labels.of(table, dataclasses.replace(beside, shortcut_schedule="annealed").names())


def of_weights(summary: pd.DataFrame, knows: bool = True) -> list[Boundary]:
    """Returns the boundary of every weight of a summary's first variant.

    Args:
      summary: summary of a study.
      knows: whether theory covers the networks' blocks.
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
    """Returns the boundary of every weight of a variant, without theory; [] for an empty table."""
    return [
        Boundary(float(weight), reach(curve.set_index("depth").train_error))
        for weight, curve in table.groupby("shortcut_weight")
    ]


def _criterion_of(follow: Follow, plain: Setting) -> Criterion:
    """Returns explosion if plain gradients grow by more than rounding error, else collapse."""
    return EXPLOSION if EXPLOSION.value(follow(8, plain)) > 1.001 else COLLAPSE


def _values_at(
    band: Band, criterion: Criterion, follow: Follow, setting: Setting
) -> tuple[float, float]:
    """Returns the criterion's values at both ends of a band; -∞ and ∞ if they are open."""
    value = lambda depth: criterion.value(follow(int(depth - 2) // 2, setting))
    return (
        value(band.low) if band.low else -np.inf,
        value(band.high) if band.high < np.inf else np.inf,
    )


def _band(
    criterion: Criterion, values: tuple[float, float], follow: Follow, setting: Setting
) -> Band:
    """Returns the band between the deepest network that should train and the shallowest to fail.

    Args:
      criterion: criterion by which networks are compared.
      values: its values for the deepest plain network known to train and the shallowest to fail.
      follow: theory of the networks.
      setting: setting of the networks, apart from their depth.
    """
    trains, fails = values
    find = functools.partial(theory.depth_of, functools.cache(follow), setting, most=_MOST)
    beyond = min(find(lambda there: criterion.value(there) > trains), _MOST + 1)
    ill = find(lambda there: criterion.value(there) >= fails) if fails < np.inf else np.inf
    layers = lambda blocks: 2 + 2 * blocks
    return Band(layers(beyond - 1), layers(ill))


def sentences(found: list[Boundary]) -> list[str]:
    """Returns sentences on the depth to which each weight trains, and on theory's boundary."""
    depths = ", ".join(f"{each.weight:g}: {each.reach.words}" for each in found)
    return [
        f"Greatest depth with a training error below {percent(TRAINED)}, by shortcut weight: "
        f"{depths}.",
        *_sentences_of_theory(found),
    ]


def _sentences_of_theory(found: list[Boundary]) -> list[str]:
    """Returns sentences on the weights at which theory's band overlaps with the measured one."""
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
    """Returns sentences on the depth to which annealed networks train, compared with others.

    Args:
      found: boundaries with shortcuts that keep their weight.
      annealed: boundaries with annealed shortcuts, by the weight at which annealing begins.
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
    """Returns sentences on turning down the shortcuts of trained residual networks."""
    residual = turned[turned.shortcut_weight == 1.0]
    if residual.empty:
        return []
    means = residual.groupby(["depth", "share"]).train_error.mean().unstack("share")
    kept = means[means[1.0] < TRAINED]
    if kept.empty:
        return ["No network with shortcuts of weight 1 trained, so none can be turned down."]
    words = []
    for depth, row in kept.iterrows():
        sound = [share for share in sorted(row.index, reverse=True) if row[share] < TRAINED]
        least = next((a for a, b in zip(sound, [*sound[1:], -1], strict=True) if a - b > 0.11), 0.0)
        words.append(f"{least:g} at {depth} layers")
    return [
        f"Networks trained with shortcut weight 1 stay below {percent(TRAINED)} when it is "
        f"turned down to {', '.join(words)}."
    ]
