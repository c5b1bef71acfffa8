"""Measures what happens at each layer of a network, in one compiled pass.

All results are arrays with a depth axis, for any network of :mod:`resnet_jax.nn.networks`, whatever
its family and blocks.  A measurement takes a batch and makes two forward and backward passes: one
as in training, with the gradient of the loss; one with the normalisations' statistics held
constant, with the gradient of one logit, so that the network is a function of each example alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from resnet_jax.diagnostics import probes
from resnet_jax.diagnostics.probes import Calls, Path, Probes
from resnet_jax.nn.functional import Array, Params, Statistics
from resnet_jax.nn.networks import SINKS, stacked
from resnet_jax.ops.precision import at_least_single

#: The length of a line of inputs on either side, in units of its direction, and how many points it
#: has.
REACH, POINTS = 3.0, 64


class AcrossBlocks(NamedTuple):
    """Holds measurements between blocks ``[blocks + 1]``, from the first input to the last output.

    Without blocks they are ``[0]``.

    Attributes:
      rms, deviation, cosine, rank, side: measurements of activations; see
        :class:`resnet_jax.diagnostics.probes.Forward`.
      gradient: norm of the loss's gradient with respect to the activations of the batch.
      gradient_correlation: mean cosine, over pairs of examples, of one logit's gradients with
        respect to their activations (Balduzzi et al. 2017, arXiv 1702.08591).
      branch_to_shortcut: ratio in the block that begins here; see
        :func:`resnet_jax.diagnostics.probes.branch_to_shortcut`; NaN after the last block.
    """

    rms: jax.Array
    deviation: jax.Array
    cosine: jax.Array
    rank: jax.Array
    gradient: jax.Array
    gradient_correlation: jax.Array
    branch_to_shortcut: jax.Array
    side: jax.Array


class AcrossLayers(NamedTuple):
    """Holds measurements of the weight layers ``[layers]``, the stem first and the head last.

    Attributes:
      input_rms: root mean square of the input activations.
      dead: fraction of the input features that are zero for every example of the batch.
      response: standard deviation of the output of the normalisation after the layer, or of the
        layer where none follows (He et al. 2015, Fig. 7).
      input_gradient: norm of the loss's gradient with respect to the input activations.
      weight: Euclidean norm of the layer's weights.
      weight_gradient: norm of the loss's gradient with respect to them.
    """

    input_rms: jax.Array
    dead: jax.Array
    response: jax.Array
    input_gradient: jax.Array
    weight: jax.Array
    weight_gradient: jax.Array


class Diagnosis(NamedTuple):
    """Holds measurements of one network on one batch: between its blocks, and in its layers."""

    blocks: AcrossBlocks
    layers: AcrossLayers


class FeatureChange(NamedTuple):
    """Holds the change of features between blocks ``[blocks + 1]``, or ``[0]`` without blocks.

    Attributes:
      rms: root mean square before the change.
      change: root mean square of the change, over ``rms``.
    """

    rms: jax.Array
    change: jax.Array


def diagnose(module: nn.Module, params: Params, x: Array, y: Array, shortcut_weight) -> Diagnosis:
    """Measures a network at every depth.

    Args:
      module: a network with the call and blocks of :class:`resnet_jax.nn.networks.ResidualNetwork`.
      params: its parameters.
      x: a batch of two examples or more, ``[batch, ...]``.
      y: their labels ``[batch]``.
      shortcut_weight: a scalar.
    """
    calls, sinks = probes.rehearse(module, params, x, shortcut_weight)

    def loss(params, sinks):
        logits, seen = _pass(module, params, sinks, x, shortcut_weight)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), seen

    (gradient, back), seen = jax.grad(loss, (0, 1), has_aux=True)(params, sinks)

    def one_logit(sinks):
        logits, _ = _pass(module, params, sinks, x, shortcut_weight, seen["statistics"])
        return logits[:, 0].sum()

    alone = jax.grad(one_logit)(sinks)
    forwards = seen[probes.RECORDS]
    layers = AcrossLayers(
        _along_depth(forwards, calls.layers, "enters", "rms"),
        _along_depth(forwards, calls.layers, "enters", "dead"),
        _along_depth(forwards, calls.responses, "leaves", "deviation"),
        _along_depth(back, calls.layers, "enters", "norm"),
        _layer_norms(params, calls),
        _layer_norms(gradient, calls),
    )
    return Diagnosis(_at_blocks(forwards, back, alone, calls), layers)


def _at_blocks(forwards, back, alone, calls: Calls) -> AcrossBlocks:
    """Arranges what the probes saw, and gradients of the loss and of one logit, by block."""
    return AcrossBlocks(
        _across_blocks(forwards, calls, "rms"),
        _across_blocks(forwards, calls, "deviation"),
        _across_blocks(forwards, calls, "cosine"),
        _across_blocks(forwards, calls, "rank"),
        _across_blocks(back, calls, "norm"),
        _across_blocks(alone, calls, "correlation"),
        _ratios(forwards, calls),
        _across_blocks(forwards, calls, "side"),
    )


def _ratios(forwards, calls: Calls) -> jax.Array:
    """Returns branch over shortcut in every block, and NaN after the last."""
    if not calls.blocks:
        return jnp.zeros(0)
    return jnp.append(_along_depth(forwards, calls.blocks, "ratio"), jnp.nan)


def gradients_along(
    module: nn.Module,
    params: Params,
    statistics: Statistics,
    x: jax.Array,
    direction: jax.Array,
    shortcut_weight,
    reach: float = REACH,
    points: int = POINTS,
) -> jax.Array:
    """Computes the autocorrelation of a logit's input gradient along a line.

    See Balduzzi et al. 2017, section 2.

    Args:
      module: network, as in :func:`diagnose`.
      params: its parameters.
      statistics: statistics by which its normalisations normalise.
      x: middle of the line, one example ``[...]``.
      direction: direction of the line, ``[...]``.
      shortcut_weight: a scalar.
      reach: length of the line on either side, in units of the direction.
      points: number of points on it, evenly spaced.

    Returns:
      Mean cosine ``[points]`` of gradients that lie so many points apart; the first is 1.
    """
    times = jnp.linspace(-reach, reach, points)
    line = x[None] + times.reshape(-1, *[1] * x.ndim) * direction[None]
    variables = {"params": params, "statistics": statistics}
    logits = lambda line: jnp.asarray(module.apply(variables, line, shortcut_weight))
    rows = jax.grad(lambda line: logits(line)[:, 0].sum())(line).reshape(points, -1)
    rows = rows / abs(rows).max()
    rows = rows / jnp.sqrt((rows**2).sum(1, keepdims=True))
    cosines = rows @ rows.T
    return jnp.stack([jnp.diagonal(cosines, lag).mean() for lag in range(points)])


def relative_change(
    module: nn.Module, params: Params, changed: Params, x: Array, shortcut_weight
) -> jax.Array:
    """Returns the norm of each layer's change of weights, over that of the weights ``[layers]``."""
    calls, _ = probes.rehearse(module, params, x, shortcut_weight)
    change = jax.tree.map(jnp.subtract, changed, params)
    return _layer_norms(change, calls) / _layer_norms(params, calls)


def feature_change(
    module: nn.Module, params: Params, changed: Params, x: Array, shortcut_weight
) -> FeatureChange:
    """Measures how far a batch's features, between blocks, move as parameters change.

    Normalisations normalise by the batch.
    """
    calls, _ = probes.rehearse(module, params, x, shortcut_weight)

    def features(params):
        with nn.intercept_methods(probes.keep_features):
            mutable = [probes.RECORDS, "statistics"]
            return module.apply({"params": params}, x, shortcut_weight, mutable=mutable)[1]

    before, after = (features(each).get(probes.RECORDS, {}) for each in (params, changed))

    def size(path, place):
        return _each(probes.root_mean_square, _at(before, path)[place], path)

    def change(path, place):
        old, new = (at_least_single(_at(tree, path)[place]) for tree in (before, after))
        return _each(probes.root_mean_square, new - old, path) / size(path, place)

    return FeatureChange(_between_blocks(calls, size), _between_blocks(calls, change))


def _each(size: Callable[[jax.Array], jax.Array], x: jax.Array, path: Path) -> jax.Array:
    """Returns the size of the array at a path ``[1]``, or of each block of a stack ``[blocks]``."""
    rows = at_least_single(x).reshape(x.shape[0] if stacked(path) else 1, -1)
    return jax.vmap(size)(rows)


def _between_blocks(calls: Calls, values: Callable[[Path, str], jax.Array]) -> jax.Array:
    """Returns values of each block's input and of the last output ``[blocks + 1]``, or ``[0]``."""
    if not calls.blocks:
        return jnp.zeros(0)
    enters = _in_order(calls.blocks, lambda path: values(path, "enters"))
    return jnp.append(enters, _in_order(calls.blocks[-1:], lambda path: values(path, "leaves"))[-1])


def _layer_norms(params: Params, calls: Calls) -> jax.Array:
    """Returns the Euclidean norm of each layer's weights ``[layers]``, of a tree like params."""
    norms = lambda path: _each(probes.euclidean, _at(params, path)["kernel"], path)
    return _in_order(calls.layers, norms)


def _pass(module, params, sinks, x, shortcut_weight, statistics=None) -> tuple[jax.Array, dict]:
    """Returns logits and records; normalises by the batch if there are no statistics."""
    variables = {"params": params, SINKS: sinks}
    mutable = [probes.RECORDS]
    if statistics is None:
        mutable.append("statistics")
    else:
        variables["statistics"] = statistics
    with nn.intercept_methods(Probes(compares=statistics is None)):
        logits, seen = module.apply(variables, x, shortcut_weight, mutable=mutable)
    return logits, {"statistics": {}, **seen}


def _across_blocks(tree, calls: Calls, field: str) -> jax.Array:
    """Returns a field of each block's input and of the last output ``[blocks + 1]``."""
    along = lambda path, place: jnp.atleast_1d(getattr(_at(tree, path)[place], field))
    return _between_blocks(calls, along)


def _along_depth(tree, paths: Sequence[Path], place: str, field: str = "") -> jax.Array:
    """Returns one number of the probe at a place of each of the given modules, in their order."""

    def values(path):
        probe = _at(tree, path)[place]
        return jnp.atleast_1d(getattr(probe, field) if field else probe)

    return _in_order(paths, values)


def _in_order(paths: Sequence[Path], values) -> jax.Array:
    """Joins the values ``[1]`` of single modules and ``[blocks]`` of those in stacks, by depth."""
    groups: dict[Path, list[jax.Array]] = {}
    for path in paths:
        # Modules of one stack are interleaved block by block; others stand for themselves.
        groups.setdefault(path[:1] if stacked(path) else path, []).append(values(path))
    return jnp.concatenate([jnp.stack(group, 1).ravel() for group in groups.values()])


def _at(tree, path: Path):
    for name in path:
        tree = tree[name]
    return tree
