"""What multiplies the end of each branch: constants, learned scalars, or chance.

The branch weight b stands beside the shortcut weight w in a block's sum, w · a[l] + b · z[l+2].  A
rule gives one to every block of a network; blocks only multiply by it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class BranchRule(NamedTuple):
    """How branches are weighted.

    Attributes:
      weights: ``(blocks, key) -> [blocks]``, the branch weights; the key is None outside training,
        where weights left to chance take their expectation.
      multiplier: where a learned scalar at the end of each branch starts; None for no such scalar.
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


#: The branch as it is.
unit = BranchRule(_ones)

#: 1/√blocks, which keeps the power of the sum of all branches level in depth.
inverse_sqrt = BranchRule(_inverse_sqrt)

#: The blocks of a network whose branches and rates :func:`depth_scaled` leaves as they are.
BASE_BLOCKS = 2


def growth(blocks: int) -> float:
    """m: the blocks of a network over :data:`BASE_BLOCKS`; 1 where it has none."""
    return blocks / BASE_BLOCKS if blocks else 1.0


def depth_scaled(alpha: float) -> BranchRule:
    """m^-α, to go with rates of the blocks' weights that follow the depth as well.

    See :func:`resnet_jax.theory.laws.depth_multipliers` for those, for α, and for the sources.
    """
    return BranchRule(lambda blocks, _: jnp.full(blocks, growth(blocks) ** -alpha))


#: A learned scalar that starts at 0: SkipInit (De & Smith 2020, arXiv 2002.10444) and ReZero
#: (Bachlechner et al. 2020, arXiv 2003.04887).
learned = BranchRule(_ones, multiplier=0.0)

#: The scalars of Fixup's rule 3 (Zhang et al. 2019, arXiv 1901.09321, section 3); its other rules
#: are :data:`resnet_jax.nn.initializers.fixup`, and it goes without normalisation.  Unlike in the
#: paper the multiplier takes the branch's last bias with it, and no scalar precedes stem and head.
fixup = BranchRule(_ones, multiplier=1.0, biases=True)


def survival(blocks: int, last: float) -> jax.Array:
    """Probability ``[blocks]`` that each branch survives: falls linearly to ``last``.

    p_l = 1 - l/B · (1 - p_B), l from 1 to B (Huang et al. 2016, arXiv 1603.09382, eq. 4).
    """
    return 1 - jnp.arange(1, blocks + 1) / blocks * (1 - last)


def stochastic_depth(last: float = 0.5) -> BranchRule:
    """Branches that are left out by chance in training (Huang et al. 2016, section 3).

    A branch is in with the probability :func:`survival` gives it, drawn once a step for the whole
    batch, and is weighted by that probability outside training.
    """

    def weights(blocks, key):
        probability = survival(blocks, last)
        if key is None:
            return probability
        return jax.random.bernoulli(key, probability).astype(probability.dtype)

    return BranchRule(weights)
