"""Defines what multiplies the end of each branch: constants, learned scalars, or chance.

In a block's sum w · a[l] + b · z[l+2], the shortcut weight is w and the branch weight is b.  A rule
gives one branch weight to every block of a network; the blocks only multiply by it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class BranchRule(NamedTuple):
    """Describes how branches are weighted.

    Attributes:
      weights: ``(blocks, key) -> [blocks]``, the branch weights; the key is None outside training,
        where random weights take their expectation.
      multiplier: initial value of a learned scalar at the end of each branch; None for no such
        scalar.
      biases: whether a learned scalar, 0 at first, is added before each linear layer of a branch.
    """

    weights: Callable[[int, jax.Array | None], jax.Array]
    multiplier: float | None = None
    biases: bool = False


def _ones(blocks: int, key: jax.Array | None) -> jax.Array:
    del key
    return jnp.ones(blocks)


def _inverse_sqrt(blocks: int, key: jax.Array | None) -> jax.Array:
    del key
    return jnp.full(blocks, max(blocks, 1) ** -0.5)


#: Leaves the branch as it is.
unit = BranchRule(_ones)

#: Multiplies by 1/√blocks, so that the power of the sum of all branches does not grow with depth.
inverse_sqrt = BranchRule(_inverse_sqrt)

#: The number of blocks at which :func:`depth_scaled` leaves branches and rates as they are.
BASE_BLOCKS = 2


def growth(blocks: int) -> float:
    """Returns m, the number of blocks over :data:`BASE_BLOCKS`; 1 for a network without blocks."""
    return blocks / BASE_BLOCKS if blocks else 1.0


def depth_scaled(alpha: float) -> BranchRule:
    """Returns the rule m^-α, to be used with depth-dependent learning rates of the blocks' weights.

    See :func:`resnet_jax.theory.laws.depth_multipliers` for these rates, for α, and for the
    sources.
    """
    return BranchRule(lambda blocks, _: jnp.full(blocks, growth(blocks) ** -alpha))


#: Multiplies by a learned scalar that starts at 0: SkipInit (De & Smith 2020, arXiv 2002.10444) and
#: ReZero (Bachlechner et al. 2020, arXiv 2003.04887).
learned = BranchRule(_ones, multiplier=0.0)

#: Adds the scalars of Fixup's rule 3 (Zhang et al. 2019, arXiv 1901.09321, section 3).  Its other
#: rules are :data:`resnet_jax.nn.initializers.fixup`, and it is used without normalisation.  Unlike
#: in the paper, the multiplier also scales the branch's last bias, and no scalar precedes stem and
#: head.
fixup = BranchRule(_ones, multiplier=1.0, biases=True)


def survival(blocks: int, last: float) -> jax.Array:
    """Returns each branch's probability of survival ``[blocks]``, which falls linearly to ``last``.

    p_l = 1 - l/B · (1 - p_B), l from 1 to B (Huang et al. 2016, arXiv 1603.09382, eq. 4).
    """
    return 1 - jnp.arange(1, blocks + 1) / blocks * (1 - last)


def stochastic_depth(last: float = 0.5) -> BranchRule:
    """Returns a rule that leaves out branches at random in training (Huang et al. 2016, section 3).

    A branch survives with the probability that :func:`survival` gives, drawn once per step for the
    whole batch.  Outside training it is weighted by that probability.
    """

    def weights(blocks, key):
        probability = survival(blocks, last)
        if key is None:
            return probability
        return jax.random.bernoulli(key, probability).astype(probability.dtype)

    return BranchRule(weights)
