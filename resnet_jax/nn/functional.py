"""Defines a network as pure functions: all that training, diagnostics and populations see of it.

Another module system can be used by writing these functions for it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

Array = jax.Array | np.ndarray
Params = Any  # a tree of arrays
Statistics = Any  # a tree of arrays: what the normalisations measured on one batch


class Network(NamedTuple):
    """Holds the pure functions of one network.  The shortcut weight is always a scalar array.

    Attributes:
      init: ``(key, x) -> params``; only the shape of ``x`` matters.  The shortcut weight is no
        argument: plain and residual networks of one key start from the same bits.
      forward: ``(params, x, shortcut_weight, key) -> (logits, statistics)``, normalising by the
        batch ``x`` itself; training differentiates this function.  Dropout and the like draw from
        the key, and do nothing if it is None.
      predict: ``(params, statistics, x, shortcut_weight) -> logits``, normalising by statistics
        measured before; each row of the result depends only on its own row of ``x``.
      first: ``params -> params`` of the first layer, the one that gradients reach last.
    """

    init: Callable[[jax.Array, Array], Params]
    forward: Callable[[Params, Array, Array, jax.Array | None], tuple[jax.Array, Statistics]]
    predict: Callable[[Params, Statistics, Array, Array], jax.Array]
    first: Callable[[Params], Params]


def from_linen(
    module: nn.Module, first: str = "stem", noise: str = "noise", apply: Callable | None = None
) -> Network:
    """Returns the pure functions of a Linen module that is called with ``(x, shortcut_weight)``.

    Args:
      module: the network.
      first: name of its first layer.
      noise: name of the random generator that it draws from in training.
      apply: replacement for the module's own ``apply``; see
        :mod:`resnet_jax.diagnostics.interventions`.
    """
    apply = apply or module.apply

    def init(key, x):
        return module.init(key, x, jax.numpy.ones(()))["params"]

    def forward(params, x, shortcut_weight, key=None):
        rngs = None if key is None else {noise: key}
        logits, written = apply(
            {"params": params}, x, shortcut_weight, rngs=rngs, mutable=["statistics"]
        )
        return logits, written.get("statistics", {})

    def predict(params, statistics, x, shortcut_weight):
        return apply({"params": params, "statistics": statistics}, x, shortcut_weight)

    return Network(init, forward, predict, lambda params: params[first])
