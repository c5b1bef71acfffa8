"""Gives verdicts: what is wrong with a network as initialised, if anything, by written criteria.

The criteria, tested in this order, compare the first block's input with the last block's output:

* *vanishing*: activations shrink to less than a hundredth, or gradients do on their way back;
* *BN-explosion*: gradients grow more than a hundredfold on their way back, while batch
  normalisation prevents this for activations;
* *exploding*: activations grow more than a hundredfold, or gradients do on their way back;
* *angle collapse*: different inputs look alike in the end: their mean cosine is above 0.95;
* *shattered*: the correlation of different inputs' gradients falls below a fiftieth on the way
  back from the last block's output to the first block's input;
* *healthy*: none of these.
"""

import math
from typing import NamedTuple

import numpy as np

FACTOR, ALIKE, SHARE = 100.0, 0.95, 0.02

VERDICTS = ("vanishing", "BN-explosion", "exploding", "angle collapse", "shattered", "healthy")


class Ends(NamedTuple):
    """Compares signals at the first block's input (the start) and the last's output (the end).

    Attributes:
      forward: root mean square of activations at the end, over that at the start.
      backward: norm of the gradient at the start, over that at the end.
      cosine: cosine of two inputs at the end.
      correlation: correlation of two inputs' gradients at the start, over that at the end.
      batch_norm: whether the network normalises by batches.
    """

    forward: float
    backward: float
    cosine: float
    correlation: float
    batch_norm: bool


def ends(
    power: np.ndarray,
    gradient: np.ndarray,
    cosine: np.ndarray,
    correlation: np.ndarray,
    batch_norm: bool,
) -> Ends:
    """Compares the ends of curves ``[blocks + 1]``; powers and gradients are squares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return Ends(
            float(np.sqrt(power[-1] / power[0])),
            float(np.sqrt(gradient[0] / gradient[-1])),
            float(cosine[-1]),
            float(correlation[0] / correlation[-1]),
            batch_norm,
        )


def verdict(ends: Ends) -> str:
    """Returns the first of :data:`VERDICTS` whose criterion is met; not finite is exploding."""
    if min(ends.forward, ends.backward) < 1 / FACTOR:
        return "vanishing"
    if not (math.isfinite(ends.forward) and math.isfinite(ends.backward)):
        return "exploding"
    if ends.batch_norm and ends.backward > FACTOR >= ends.forward:
        return "BN-explosion"
    if max(ends.forward, ends.backward) > FACTOR:
        return "exploding"
    if ends.cosine > ALIKE:
        return "angle collapse"
    if ends.correlation < SHARE:
        return "shattered"
    return "healthy"
