"""Defines the order of the operations in a block (He et al. 2016, arXiv 1603.05027, Fig. 4).

A block is written as ``(a, add, linears, norms, activation) -> output``, where ``add(a, z)`` is the
weighted sum of what the shortcut carries of ``a`` and the end ``z`` of the branch.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

Map = Callable[[jax.Array], jax.Array]
Add = Callable[[jax.Array, jax.Array], jax.Array]
BlockOrder = Callable[[jax.Array, Add, Sequence[Map], Sequence[Map], Map], jax.Array]


class Order(NamedTuple):
    """Describes an order of operations.

    Attributes:
      block: function of the block itself.
      ends_with_norm: whether a normalisation inside the branch is its last operation (or the last
        but the activation).
      stem_norm: whether the network normalises right after its stem; otherwise before its head.
      stem_activation: the same for the activation.
      first: function of a block that does not belong to a stack of equal blocks (the network's
        first, and those that change the shape), if it is different; for convolutional networks
        only.
    """

    block: BlockOrder
    ends_with_norm: bool
    stem_norm: bool = True
    stem_activation: bool = True
    first: BlockOrder | None = None


def _layers(z, linears, norms, activation):
    """Applies linear, norm, activation, linear, ... up to and including the last linear layer."""
    for linear, norm in zip(linears[:-1], norms, strict=False):
        z = activation(norm(linear(z)))
    return linears[-1](z)


def _original(a, add, linears, norms, activation):
    return activation(add(a, norms[-1](_layers(a, linears, norms, activation))))


def _norm_after_addition(a, add, linears, norms, activation):
    return activation(norms[-1](add(a, _layers(a, linears, norms, activation))))


def _activation_before_addition(a, add, linears, norms, activation):
    return add(a, activation(norms[-1](_layers(a, linears, norms, activation))))


def _activation_first(a, add, linears, norms, activation):
    z = a
    for linear, norm in zip(linears, norms, strict=True):
        z = norm(linear(activation(z)))
    return add(a, z)


def _activation_before_split(a, add, linears, norms, activation):
    a = activation(a)
    return add(a, norms[-1](_layers(a, linears, norms, activation)))


def _pre_activation(a, add, linears, norms, activation):
    return add(a, _layers(activation(norms[0](a)), linears, norms[1:], activation))


def _pre_activation_before_split(a, add, linears, norms, activation):
    a = activation(norms[0](a))
    return add(a, _layers(a, linears, norms[1:], activation))


#: The lecture's order: the activation follows the addition (Fig. 4a; He et al. 2015, Fig. 2).
original = Order(_original, ends_with_norm=True)

#: The addition lies between the last linear layer and its normalisation (Fig. 4b).
norm_after_addition = Order(_norm_after_addition, ends_with_norm=False)

#: The branch ends with the activation (Fig. 4c).
activation_before_addition = Order(_activation_before_addition, ends_with_norm=True)

#: Each layer is activation, linear, normalisation ("ReLU-only pre-activation", Fig. 4d).
activation_first = Order(
    _activation_first, ends_with_norm=True, stem_activation=False, first=_activation_before_split
)

#: Normalisation and activation come first, and nothing follows the addition ("full pre-activation",
#: Fig. 4e).  In blocks outside a stack, shortcut and branch split after the first activation, as in
#: the paper's section 4.2 for the first block, and in its authors' code for those that change the
#: shape.
pre_activation = Order(
    _pre_activation,
    ends_with_norm=False,
    stem_norm=False,
    stem_activation=False,
    first=_pre_activation_before_split,
)
