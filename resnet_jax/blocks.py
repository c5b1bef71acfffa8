"""Residual blocks: a main path of two layers, and the shortcut that joins it.

With a[l] the block's input, z[l+2] the end of its main path, g the activation, w the shortcut
weight and s the branch scale, the lecture's block is

    a[l+2] = g(w · a[l] + s · z[l+2]),

residual at w = 1 and plain at w = 0.  What varies between blocks is injected as values, gathered
in :class:`Parts`; a block of one's own is any Linen module with the fields and the call of
:class:`DenseBlock`.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import linen as nn
from jax.nn.initializers import zeros

from resnet_jax import initializers, normalization
from resnet_jax.linear import dot_general
from resnet_jax.shortcuts import zero_pad

Map = Callable[[jax.Array], jax.Array]


class Order(NamedTuple):
    """In which order a block's operations come.

    Attributes:
      block: ``(a, carried, linears, norms, activation, scale) -> output``, the block itself.
      pre_activation: whether activations come before linear layers, so that the stem leaves its
        output raw and the network normalises and activates once more before its head.
      ends_with_norm: whether a normalisation is the last operation of the branch.
    """

    block: Callable[[jax.Array, jax.Array, Sequence[Map], Sequence[Map], Map, Map], jax.Array]
    pre_activation: bool
    ends_with_norm: bool


def _original(a, carried, linears, norms, activation, scale):
    z = a
    for linear, norm in zip(linears[:-1], norms[:-1], strict=True):
        z = activation(norm(linear(z)))
    z = norms[-1](linears[-1](z))
    return activation(carried + scale(z))


def _pre_activation(a, carried, linears, norms, activation, scale):
    z = a
    for linear, norm in zip(linears, norms, strict=True):
        z = linear(activation(norm(z)))
    return carried + scale(z)


#: The lecture's order: the activation follows the addition (He et al. 2015, Fig. 2).
original = Order(_original, pre_activation=False, ends_with_norm=True)

#: Normalise and activate first; nothing after the addition (He et al. 2016, Fig. 4e).
pre_activation = Order(_pre_activation, pre_activation=True, ends_with_norm=False)


class LearnedScale(nn.Module):
    """Multiplies by one learned scalar that starts at 0.

    SkipInit (De & Smith 2020, arXiv 2002.10444) and ReZero (Bachlechner et al. 2020, arXiv
    2003.04887).
    """

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        return self.param("scale", zeros, ()) * z


def unit_scale(blocks: int) -> Map:
    """Branch scale 1: the branch as it is."""
    del blocks
    return lambda z: z


def inverse_sqrt_scale(blocks: int) -> Map:
    """Branch scale 1/√blocks, which keeps the power of the sum of all branches level in depth."""
    return lambda z: z / math.sqrt(blocks)


def learned_scale(blocks: int) -> Map:
    """Branch scale learned from 0; see :class:`LearnedScale`."""
    del blocks
    return LearnedScale(name="branch_scale")


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a network is composed of.

    Attributes:
      norm: a module factory from :mod:`resnet_jax.normalization`.
      activation: g.
      init: how the weights begin.
      branch_scale: the number of blocks in the network to the map applied at a branch's end.
      order: of the operations in a block.
    """

    norm: Callable[..., nn.Module] = normalization.BatchNorm
    activation: Map = nn.relu
    init: initializers.Init = initializers.he
    branch_scale: Callable[[int], Map] = unit_scale
    order: Order = original

    def linear(self, features: int, **options) -> nn.Module:
        """A weight matrix to ``features``; with a bias only where no normalisation brings one."""
        settings = {
            "use_bias": self.norm is normalization.NoNorm,
            "kernel_init": self.init.kernel,
            "dot_general": dot_general,
        }
        return nn.Dense(features, **{**settings, **options})

    def last_linear(self, features: int, **options) -> nn.Module:
        """The last weight matrix of a branch: zero at first, where ``init`` says so."""
        zero = self.init.zero_last and not self._norm_ends_branch()
        return self.linear(features, **({"kernel_init": zeros} if zero else {}), **options)

    def last_norm(self, **options) -> nn.Module:
        """The last normalisation of a branch: zero at first, where ``init`` says so."""
        zero = self.init.zero_last and self._norm_ends_branch()
        return self.norm(**({"scale_init": zeros} if zero else {}), **options)

    def _norm_ends_branch(self) -> bool:
        return self.order.ends_with_norm and self.norm is not normalization.NoNorm


class DenseBlock(nn.Module):
    """The lecture's block: two linear layers of ``width`` units, and a shortcut.

    Attributes:
      width: units of both layers; an input of another width is zero-padded on the shortcut.
      blocks: how many blocks the whole network has, for the branch scale.
      parts: what the block is composed of.
    """

    width: int
    blocks: int = 1
    parts: Parts = Parts()

    @nn.compact
    def __call__(self, a: jax.Array, shortcut_weight: jax.Array) -> jax.Array:
        """Maps activations ``[batch, features]`` to ``[batch, width]``."""
        parts = self.parts
        linears = [
            parts.linear(self.width, name="linear_1"),
            parts.last_linear(self.width, name="linear_2"),
        ]
        norms = [parts.norm(name="norm_1"), parts.last_norm(name="norm_2")]
        carried = shortcut_weight * zero_pad(a, self.width)
        scale = parts.branch_scale(self.blocks)
        return parts.order.block(a, carried, linears, norms, parts.activation, scale)
