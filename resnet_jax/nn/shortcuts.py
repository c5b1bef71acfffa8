"""Defines what is carried around the main path, and how its shape is matched to the branch's end.

A shortcut ``(a, features, stride, parts) -> (carried, gate)`` is called inside a block, so that it
may have modules of its own, made by the block's ``parts``.  It returns what is added to the end of
the branch, before multiplication by the shortcut weight, and a factor on the branch (1 for most).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Shortcut = Callable[[jax.Array, int, int, Any], tuple[jax.Array, jax.Array | float]]


def zero_pad(a: jax.Array, features: int, stride: int = 1) -> jax.Array:
    """Matches shapes without parameters: keeps every ``stride``-th pixel, and zero-pads features.

    This is option A of He et al. 2015 (section 3.3).  As it has no parameters, plain and residual
    networks remain the same network.

    Args:
      a: activations ``[..., width]``; images ``[batch, height, width, channels]`` where the stride
        is not 1.
      features: wanted width; where it is smaller, the last features are dropped.
      stride: step between the pixels that are kept.

    Returns:
      Activations ``[..., features]``; ``a`` itself where the shapes agree.
    """
    if stride != 1:
        a = a[:, ::stride, ::stride]
    missing = features - a.shape[-1]
    if missing > 0:
        return jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, missing)])
    return a[..., :features]


def identity(a, features, stride, parts):
    """Carries the input itself, zero-padded where the shape changes (option A)."""
    del parts
    return zero_pad(a, features, stride), 1.0


def projection(a, features, stride, parts):
    """Carries a learned linear map of the input on every shortcut (option C).

    It is normalised if branches end with a normalisation.
    """
    carried = parts.pointwise(a, features, stride, name="shortcut")
    if parts.order.ends_with_norm:
        carried = parts.norm(name="shortcut_norm")(carried)
    return carried, 1.0


def projection_where_needed(a, features, stride, parts):
    """Carries a projection where the shape changes, and the input itself elsewhere (option B)."""
    if stride == 1 and a.shape[-1] == features:
        return a, 1.0
    return projection(a, features, stride, parts)


def constant(carried: float, branch: float) -> Shortcut:
    """Multiplies shortcut and branch by constants.

    This is "constant scaling" (He et al. 2016, section 3.1).
    """

    def shortcut(a, features, stride, parts):
        del parts
        return carried * zero_pad(a, features, stride), branch

    return shortcut


def _gate(a, features, stride, parts, bias):
    """Computes σ(W a + b) for every feature of every pixel, where b starts at ``bias``."""
    start = nn.initializers.constant(bias)
    return nn.sigmoid(
        parts.pointwise(a, features, stride, name="gate", use_bias=True, bias_init=start)
    )


def exclusive_gate(bias: float) -> Shortcut:
    """Multiplies the shortcut by 1 - g(a) and the branch by g(a) (He et al. 2016, Fig. 2c).

    Highway networks do so as well.
    """

    def shortcut(a, features, stride, parts):
        gate = _gate(a, features, stride, parts, bias)
        return (1 - gate) * zero_pad(a, features, stride), gate

    return shortcut


def shortcut_gate(bias: float) -> Shortcut:
    """Multiplies the shortcut alone by 1 - g(a) (He et al. 2016, Fig. 2d)."""

    def shortcut(a, features, stride, parts):
        gate = _gate(a, features, stride, parts, bias)
        return (1 - gate) * zero_pad(a, features, stride), 1.0

    return shortcut


def dropout(rate: float) -> Shortcut:
    """Applies dropout to the shortcut in training (He et al. 2016, Fig. 2f)."""

    def shortcut(a, features, stride, parts):
        return parts.dropout(zero_pad(a, features, stride), rate), 1.0

    return shortcut
