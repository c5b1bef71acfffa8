"""Computes the gradient that comes through a residual network along paths of each length.

B blocks make 2^B paths, each of which takes a block's branch or its shortcut, and the length of a
path is the number of branches that it takes (Veit et al. 2016, arXiv 1605.06431, section 3).  The
gradient is the sum of what comes along all paths.

In a block f(a; w, b) = g(w · s + b · z), the contributions of shortcut and branch are w ∂f/∂w and
b ∂f/∂b, by Euler's theorem: they add up to f if g is piecewise linear and without threshold, and
their gradients are those along the shortcut and along the branch, with the slopes that g has in the
whole network.  So no block needs to be taken apart.  Where g is curved (as tanh is), this does not
hold, and neither lengths nor paths have a meaning of their own.

Normalisations use constant statistics, so that every example has its own gradient.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from resnet_jax.diagnostics import probes
from resnet_jax.diagnostics.interventions import Act, Place, intervene
from resnet_jax.nn.functional import Array, Network, Params, Statistics
from resnet_jax.nn.networks import ResidualNetwork


class Loss(NamedTuple):
    """Describes the mean loss of a network on a batch, to be differentiated by the examples.

    Attributes:
      module: the network.
      where: places of its blocks.
      params: its parameters.
      statistics: statistics by which its normalisations normalise.
      x: the examples ``[batch, ...]``.
      y: their labels ``[batch]``.
      shortcut_weight: a scalar.
    """

    module: ResidualNetwork
    where: list[Place]
    params: Params
    statistics: Statistics
    x: Array
    y: Array
    shortcut_weight: Array


class ByLength(NamedTuple):
    """Holds the loss's gradient with respect to its examples, by length of paths ``[most + 1]``.

    Attributes:
      norm: Euclidean norm, over the whole batch, of what comes along all paths of the length.
      share: fraction of the gradient, Σ⟨g_k, g⟩ / Σ‖g‖² over the examples; shares add up to 1, and
        are negative where paths cancel part of what others bring.
    """

    norm: jax.Array
    share: jax.Array


def contributions(
    block: nn.Module, a: jax.Array, shortcut_weight: jax.Array, branch_weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns what a block's shortcut and its branch contribute, each shaped like its output."""
    output = probes.alone(block)
    by_shortcut = lambda weight: output(a, weight, branch_weight)
    by_branch = lambda weight: output(a, shortcut_weight, weight)
    return _of_weight(by_shortcut, shortcut_weight), _of_weight(by_branch, branch_weight)


def _of_weight(function: Callable[[jax.Array], jax.Array], weight: jax.Array) -> jax.Array:
    """Returns w ∂f/∂w by reverse mode, twice: the layers' custom gradients have no forward mode."""
    output, back = jax.vjp(function, weight)
    _, forth = jax.vjp(lambda cotangent: back(cotangent)[0], jnp.zeros_like(output))
    return forth(weight)[0]


def _backwards_through(choose: Callable[..., jax.Array]) -> Act:
    """Keeps blocks as they are, with gradients through ``choose(value, shortcut, branch)``."""

    def act(block, call, value, a, *weights):
        output = jax.lax.stop_gradient(call(a, *weights))
        found = contributions(block, a, *weights)
        zeros = [each - jax.lax.stop_gradient(each) for each in found]
        return output + choose(value, *zeros).astype(output.dtype)

    return act


def of_single_paths(loss: Loss, branches: Array) -> jax.Array:
    """Returns the norm ``[paths]`` of the gradient that comes along single paths (section 5.2).

    Args:
      loss: loss that is differentiated.
      branches: which blocks' branches each path takes ``[paths, blocks]``, booleans.
    """
    act = _backwards_through(lambda value, shortcut, branch: jnp.where(value, branch, shortcut))

    def norm(branches):
        network = intervene(loss.module, loss.where, act, branches)
        return probes.euclidean(_gradient(loss, network, loss.x, loss.y))

    return jax.lax.map(norm, branches)


def by_length(loss: Loss, most: int) -> ByLength:
    """Computes the gradient by the length of paths, exactly: over all 2^B, in one pass per example.

    The network takes ``most + 1`` copies of an example, and only the first has a loss.  In the
    backward pass, what takes a branch moves from each copy to the next.  So copy k ends with the
    sum of all paths of length k, and the last copy with those that are longer as well.

    Args:
      loss: loss that is differentiated.
      most: length from which paths are no longer told apart.
    """
    to_next = lambda branch: jnp.concatenate([branch[1:], branch[-1:]])
    act = _backwards_through(lambda _, shortcut, branch: shortcut + to_next(branch))
    network = intervene(loss.module, loss.where, act)

    def of_example(example):
        x, y = example
        copies = jnp.broadcast_to(x, (most + 1, *x.shape))
        rows = _gradient(loss, network, copies, y[None]).reshape(most + 1, -1)
        whole = rows.sum(0)
        peak = abs(whole).max()
        scaled = whole / jnp.where(peak > 0, peak, 1)
        along = rows / jnp.where(peak > 0, peak, 1) @ scaled
        return jax.vmap(probes.euclidean)(rows), along, peak

    norms, along, peaks = jax.lax.map(of_example, (jnp.asarray(loss.x), jnp.asarray(loss.y)))
    over_batch = jax.vmap(probes.euclidean)(norms.T) / len(norms)  # the loss is a mean over it
    weights = (peaks / jnp.where(peaks.max() > 0, peaks.max(), 1)) ** 2
    shares = weights @ along
    return ByLength(over_batch, shares / shares.sum())


def _gradient(loss: Loss, network: Network, x: Array, y: Array) -> jax.Array:
    """Returns the gradient of another network's loss with respect to its examples ``[batch, ...]``.

    Only the first ``len(y)`` examples have a loss, mean cross-entropy in nats.
    """

    def of_examples(x):
        logits = network.predict(loss.params, loss.statistics, x, loss.shortcut_weight)
        return optax.softmax_cross_entropy_with_integer_labels(logits[: len(y)], y).mean()

    return jax.grad(of_examples)(x)
