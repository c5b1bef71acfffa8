"""What is carried around the main path, and how its shape is matched to the branch's end.

A shortcut ``(a, features, stride, parts) -> (carried, gate)`` is called within a block, so that it
may have modules of its own, made by the block's ``parts``.  It returns what is added to the end of
the branch, before the shortcut weight multiplies it, and a factor on the branch (1 for most).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Shortcut = Callable[[jax.Array, int, int, Any], tuple[jax.Array, jax.Array | float]]


def zero_pad(a: jax.Array, features: int, stride: int = 1) -> jax.Array:
    """Matches shapes without parameters: every ``stride``-th pixel, and zeros as new features.

    This is option A of He et al. 2015 (section 3.3).  Having no parameters, it keeps plain and
    residual networks the same network.

    Args:
      a: activations ``[..., width]``; images ``[batch, height, width, channels]`` where the stride
        is not 1.
      features: the width wanted; where it is smaller, the last features are dropped.
      stride: the step between the pixels kept.

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
    """Option A: the input itself, zero-padded where the shape changes."""
    del parts
    return zero_pad(a, features, stride), 1.0


def projection(a, features, stride, parts):
    """Option C: a learned linear map, normalised, on every shortcut."""
    carried = parts.pointwise(a, features, stride, name="shortcut")
    if parts.order.ends_with_norm:
        carried = parts.norm(name="shortcut_norm")(carried)
    return carried, 1.0


def projection_where_needed(a, features, stride, parts):
    """Option B: a projection where the shape changes, else the input itself."""
    if stride == 1 and a.shape[-1] == features:
        return a, 1.0
    return projection(a, features, stride, parts)


def constant(carried: float, branch: float) -> Shortcut:
    """Constant factors on shortcut and branch (He et al. 2016, section 3.1, "constant scaling")."""

    def shortcut(a, features, stride, parts):
        del parts
        return carried * zero_pad(a, features, stride), branch

    return shortcut


def _gate(a, features, stride, parts, bias):
    """σ(W a + b) for every feature of every pixel, b starting at ``bias``."""
    start = nn.initializers.constant(bias)
    return nn.sigmoid(
        parts.pointwise(a, features, stride, name="gate", use_bias=True, bias_init=start)
    )


def exclusive_gate(bias: float) -> Shortcut:
    """Shortcut × (1 - g(a)), branch × g(a) (He et al. 2016, Fig. 2c, as in highway networks)."""

    def shortcut(a, features, stride, parts):
        gate = _gate(a, features, stride, parts, bias)
        return (1 - gate) * zero_pad(a, features, stride), gate

    return shortcut


def shortcut_gate(bias: float) -> Shortcut:
    """Shortcut × (1 - g(a)), branch as it is (He et al. 2016, Fig. 2d)."""

    def shortcut(a, features, stride, parts):
        gate = _gate(a, features, stride, parts, bias)
        return (1 - gate) * zero_pad(a, features, stride), 1.0

    return shortcut


def dropout(rate: float) -> Shortcut:
    """Dropout on the shortcut, in training (He et al. 2016, Fig. 2f)."""

    def shortcut(a, features, stride, parts):
        return parts.dropout(zero_pad(a, features, stride), rate), 1.0

    return shortcut
