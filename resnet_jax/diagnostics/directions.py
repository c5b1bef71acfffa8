"""Computes directions in a network's parameter space, and slices of a function along them.

A random direction moves a network of large weights less than one of small weights, though the two
may compute the same: with batch normalisation a layer's scale does not matter.  Filter
normalisation removes this difference, so that slices of different networks can be compared (Li et
al. 2018, arXiv 1712.09913, section 4): it makes every filter of the direction as long as that of
the weights.

Any tree of parameters will do.  An array of two axes or more is a weight, and its last axis counts
filters (the units of a layer, the output channels of a convolution); an array of fewer axes holds
biases or parameters of a normalisation.  The leading depth axis of a stack (see
:func:`resnet_jax.nn.networks.stacked`) is not counted, and every block has its own filters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from resnet_jax.nn.functional import Params
from resnet_jax.nn.networks import stacked


def random_direction(key: jax.Array, params: Params) -> Params:
    """Draws a standard normal number for each parameter; the same for all trees of one shape."""
    return optax.tree.random_like(key, params)


def filter_normalised(direction: Params, params: Params) -> Params:
    """Scales every filter i of every weight of a direction d to d[i] · |w[i]| / |d[i]|.

    What is not a weight (see above) does not move: there the direction is 0, as in the code that Li
    et al. published, with the option that their figures were made with (``--xignore biasbn``).

    Args:
      direction: a tree like ``params``, no filter of it zero.
      params: parameters where the slice begins.
    """
    return jax.tree_util.tree_map_with_path(_of_array, direction, params)


def _of_array(path, direction: jax.Array, weight: jax.Array) -> jax.Array:
    names = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
    within = tuple(range(int(stacked(names)), weight.ndim - 1))
    if not within:
        return jnp.zeros_like(direction)
    length = lambda array: jnp.sqrt((array**2).sum(within, keepdims=True))
    return direction * (length(weight) / length(direction))


def moved(params: Params, directions: Sequence[Params], distances: jax.Array) -> Params:
    """Returns the parameters, moved by ``distances[directions]`` along as many directions."""
    for index, direction in enumerate(directions):
        params = optax.tree.add_scale(params, distances[index], direction)
    return params


def sliced(
    function: Callable[[Params], Any],
    params: Params,
    directions: Sequence[Params],
    points: jax.Array,
) -> Any:
    """Evaluates a function at points of the space that directions span, one by one.

    Args:
      function: function from the parameters to a tree of arrays.
      params: parameters at the origin.
      directions: the axes.
      points: ``[points, directions]``, in units of the directions.

    Returns:
      The same tree of arrays ``[points, ...]``.
    """
    return jax.lax.map(lambda point: function(moved(params, directions, point)), points)
