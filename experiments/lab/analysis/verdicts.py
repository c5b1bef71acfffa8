"""Verdicts: what is wrong with a network as initialised, by written criteria, if anything is.

From what enters its first block to what leaves its last, in this order:

* *vanishing*: activations shrink to less than a hundredth, or gradients do on their way back;
* *BN-explosion*: gradients grow more than a hundredfold on their way back, while batch
  normalisation keeps activations from it;
* *exploding*: activations grow more than a hundredfold, or gradients do on their way back;
* *angle collapse*: different inputs look alike in the end, their mean cosine being above 0.95;
* *shattered*: gradients of different inputs, alike behind the last block, are not in front of the
  first: their correlation has fallen below a fiftieth;
* *healthy*: none of these.
"""

import math
from typing import NamedTuple

import numpy as np

FACTOR, ALIKE, SHARE = 100.0, 0.95, 0.02

VERDICTS = ("vanishing", "BN-explosion", "exploding", "angle collapse", "shattered", "healthy")


class Ends(NamedTuple):
    """What became of signals between the first block's input and the last one's output.

    Attributes:
      forward: root mean square of activations at the end, over that at the start.
      backward: norm of the gradient at the start, over that at the end.
      cosine: of two inputs at the end.
      correlation: of two inputs' gradients at the start, over that at the end.
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
    """The ends of curves over the blocks ``[blocks + 1]``; powers and gradients are squares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return Ends(
            float(np.sqrt(power[-1] / power[0])),
            float(np.sqrt(gradient[0] / gradient[-1])),
            float(cosine[-1]),
            float(correlation[0] / correlation[-1]),
            batch_norm,
        )


def verdict(ends: Ends) -> str:
    """The first of :data:`VERDICTS` whose criterion is met; what is not finite has exploded."""
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
