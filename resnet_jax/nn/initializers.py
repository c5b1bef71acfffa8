"""Defines how weights are initialised: He's scheme, its zero-last variant, orthogonal, and Fixup's.

An :class:`Init` says how the ordinary layers of a network start, and how the *last* operation of a
branch does.  The two differ in "zero-last" schemes, where every branch returns zero at first and a
residual network therefore starts as the identity, whatever its depth.
"""

from typing import NamedTuple

from flax import linen as nn
from jax.nn.initializers import Initializer


class Init(NamedTuple):
    """Holds the initialisers of one network.

    Attributes:
      kernel: initialiser of every weight matrix or convolution.
      zero_last: whether the last operation of each branch (the scale of a closing normalisation,
        else the last weights) starts at zero.
      zero_head: whether the head's weights start at zero.
      shrinks_with_depth: whether the other weights of a branch of m layers are multiplied by
        B^(-1/(2m-2)), where B is the number of blocks.
    """

    kernel: Initializer
    zero_last: bool = False
    zero_head: bool = False
    shrinks_with_depth: bool = False

    def inner(self, blocks: int, layers: int) -> Initializer:
        """Returns the initialiser of all but the last weights of a branch.

        Args:
          blocks: number of blocks in the network.
          layers: number of layers in a branch.
        """
        if not self.shrinks_with_depth or layers == 1:
            return self.kernel
        factor = blocks ** (-1 / (2 * layers - 2))
        return lambda *arguments, **options: factor * self.kernel(*arguments, **options)


#: Draws weights of variance 2 / fan_in, which keeps the power of a ReLU network constant over depth
#: (He et al. 2015, arXiv 1502.01852, eq. 10).  Flax's own default, LeCun's 1 / fan_in, halves it at
#: each layer.
he = Init(nn.initializers.he_normal())

#: He's scheme, with every branch's end at zero (Goyal et al. 2017, arXiv 1706.02677, section 5.1).
zero_last = Init(nn.initializers.he_normal(), zero_last=True)

#: Draws orthogonal matrices times √2, the gain of ReLU (Saxe et al. 2013, arXiv 1312.6120).
orthogonal = Init(nn.initializers.orthogonal(scale=2**0.5))

#: Follows Fixup's rules 1 and 2 (Zhang et al. 2019, arXiv 1901.09321, section 3).
fixup = Init(nn.initializers.he_normal(), zero_last=True, zero_head=True, shrinks_with_depth=True)
