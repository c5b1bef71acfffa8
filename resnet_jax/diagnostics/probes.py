"""Measures what passes through a network, forwards and backwards, without changing it.

A probe passes an activation on as it is.  What it measures of the activation is recorded; what it
measures of the activation's gradient, in the backward pass, is returned as the "gradient" with
respect to a *sink*: an input of the network that nothing depends on.  So one forward and one
backward pass give a number for every layer, also in a stack, where the numbers have a depth axis,
and no activation is kept for it.

Probes lie where every network has them: at the input and output of each block, at the input of each
layer (a module with a parameter named ``kernel``), and at the output of normalisations.  They are
added from outside, so that a custom block needs no code for them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from resnet_jax.nn.functional import Array, Params
from resnet_jax.nn.networks import ON_SHORTCUTS, SINKS, STAGE
from resnet_jax.ops.normalization import WITH_SCALE
from resnet_jax.ops.precision import at_least_single

RECORDS = "intermediates"

#: The modules whose output is a layer's response, where they follow it.
NORMS = (*WITH_SCALE, nn.BatchNorm, nn.GroupNorm, nn.InstanceNorm, nn.LayerNorm, nn.RMSNorm)

Path = tuple[str, ...]


class Forward(NamedTuple):
    """Holds what a probe measures of activations ``[batch, ...]``; scalars.

    Attributes:
      rms: root of the mean square over all values; its square is the activation power.
      deviation: standard deviation over all values (He et al. 2015, Fig. 7).
      cosine: mean cosine over all pairs of examples.
      rank: effective number of directions of the batch, (Σλ)² / Σλ² over the eigenvalues λ of its
        Gram matrix (the participation ratio): 1 where all examples look alike, at most the batch
        size.
      dead: fraction of the features that are zero for every example and pixel.
      side: pixels on a side of the images; 1 where there are none, 0 where they are not square.
    """

    rms: jax.Array
    deviation: jax.Array
    cosine: jax.Array
    rank: jax.Array
    dead: jax.Array
    side: jax.Array


class Backward(NamedTuple):
    """Holds what a probe measures of the gradient of activations ``[batch, ...]``; scalars.

    Attributes:
      norm: Euclidean norm over the whole batch.
      correlation: mean cosine over all pairs of examples (Balduzzi et al. 2017, arXiv 1702.08591).
    """

    norm: jax.Array
    correlation: jax.Array


class Calls(NamedTuple):
    """Holds the modules that probes found, in the order in which an example passes them.

    Attributes:
      blocks: paths of blocks; a stack of equal ones has one path.
      layers: paths of layers.
      responses: for each layer, the path of the normalisation that follows it, or else its own
        path.
    """

    blocks: list[Path]
    layers: list[Path]
    responses: list[Path]


def root_mean_square(x: jax.Array) -> jax.Array:
    """Returns the root mean square of all values, even where squares overflow."""
    peak = abs(x).max()
    scaled = x / jnp.where(peak > 0, peak, 1)
    return peak * jnp.sqrt((scaled**2).mean())


def euclidean(x: jax.Array) -> jax.Array:
    """Returns the Euclidean norm of all values, even where squares overflow."""
    return root_mean_square(x) * jnp.sqrt(1.0 * x.size)


def _rows(x: jax.Array) -> jax.Array:
    """Returns examples as rows of numbers of at most 1, so that no square overflows."""
    rows = at_least_single(x).reshape(x.shape[0], -1)
    peak = abs(rows).max()
    return rows / jnp.where(peak > 0, peak, 1)


def mean_cosine(x: jax.Array) -> jax.Array:
    """Returns the mean cosine over all pairs of examples ``x[batch, ...]``; NaN for one example."""
    rows = _rows(x)
    lengths = jnp.sqrt((rows**2).sum(1, keepdims=True))
    directions = rows / jnp.where(lengths > 0, lengths, 1)
    count = rows.shape[0]
    itself = (directions**2).sum()
    return ((directions.sum(0) ** 2).sum() - itself) / (count * (count - 1.0))


def effective_rank(x: jax.Array) -> jax.Array:
    """Returns the participation ratio of the Gram matrix of ``x[batch, ...]``; 0 if all is zero."""
    rows = _rows(x)
    gram = rows @ rows.T
    square = (gram**2).sum()
    return jnp.trace(gram) ** 2 / jnp.where(square > 0, square, 1)


def forward(x: jax.Array) -> Forward:
    """Returns what a probe measures of activations ``[batch, ...]``."""
    x = at_least_single(x)
    silent = (x == 0).all(tuple(range(x.ndim - 1)))
    sides = set(x.shape[1:-1]) or {1}
    return Forward(
        root_mean_square(x),
        root_mean_square(x - x.mean()),
        mean_cosine(x),
        effective_rank(x),
        silent.mean(),
        jnp.asarray(sides.pop() if len(sides) == 1 else 0, x.dtype),
    )


def backward(gradient: jax.Array) -> Backward:
    """Returns what a probe measures of the gradient of activations ``[batch, ...]``."""
    gradient = at_least_single(gradient)
    return Backward(euclidean(gradient), mean_cosine(gradient))


@jax.custom_vjp
def probe(x: jax.Array, sink: Backward) -> jax.Array:
    """Returns ``x``; the gradient of ``sink`` is what the probe measures of that of ``x``."""
    del sink
    return x


probe.defvjp(lambda x, _: (x, None), lambda _, gradient: (gradient, backward(gradient)))


def alone(block: nn.Module) -> Callable[..., jax.Array]:
    """Returns a block's call as a pure function of ``(a, shortcut_weight, branch_weight)``.

    It has the parameters and statistics that the block has in its network, and records nothing.
    """
    variables = {name: block.variables.get(name, {}) for name in ("params", "statistics")}
    mutable = ["statistics"] if block.is_mutable_collection("statistics") else False
    clone = block.clone(parent=None)

    def output(*args):
        made = clone.apply(variables, *args, mutable=mutable)
        return made[0] if mutable else made

    return output


def branch_to_shortcut(block: nn.Module, a: jax.Array, *weights: jax.Array) -> jax.Array:
    """Returns how much of a block's output its branch makes, over how much its shortcut makes.

    This is the ratio of two outputs, as root mean squares: that without the shortcut, over that
    without the branch.  It is infinite where there is no shortcut.
    """
    shortcut_weight, branch_weight = weights
    output = alone(block)
    size = lambda *weights: root_mean_square(at_least_single(output(a, *weights)))
    none = jnp.zeros_like(shortcut_weight)
    return size(none, branch_weight) / size(shortcut_weight, jnp.zeros_like(branch_weight))


class Probes:
    """Measures one pass through a network, as an interceptor of its modules' calls."""

    def __init__(self, compares: bool):
        """Takes whether the branch and shortcut of every block are compared."""
        self._compares, self._resting = compares, False
        self._found: list[tuple[Path, str]] = []

    def __call__(self, call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        """Calls a module between probes."""
        module: nn.Module = context.module
        kind = "" if self._resting or context.method_name != "__call__" else _kind(module)
        if not kind:
            return call(*args, **kwargs)
        if (module.path, kind) not in self._found:
            self._found.append((module.path, kind))
        if kind == "norm":
            return self._record(module, "leaves", call(*args, **kwargs))
        if kind == "block" and self._compares:
            self._resting = True
            _keep(module, "ratio", branch_to_shortcut(module, *args))
            self._resting = False
        enters = self._probed(module, "enters", args[0])
        leaves = call(enters, *args[1:], **kwargs)
        if kind == "layer":
            return self._record(module, "leaves", leaves)
        return self._probed(module, "leaves", leaves)

    def _probed(self, module: nn.Module, place: str, x: jax.Array) -> jax.Array:
        nothing = lambda: Backward(jnp.zeros(()), jnp.zeros(()))
        sink = module.variable(SINKS, place, nothing)
        return probe(self._record(module, place, x), sink.value)

    @staticmethod
    def _record(module: nn.Module, place: str, x: jax.Array) -> jax.Array:
        _keep(module, place, forward(jax.lax.stop_gradient(x)))
        return x

    def calls(self) -> Calls:
        """Returns the modules that the pass went through."""
        blocks = [path for path, kind in self._found if kind == "block"]
        layers: list[Path] = []
        responses: list[Path] = []
        for path, kind in self._found:
            if kind == "layer" and path[-1] not in ON_SHORTCUTS:
                layers.append(path)
                responses.append(path)
            elif kind == "norm" and layers and responses[-1] == layers[-1]:
                beside = path[:-1] == layers[-1][:-1]  # not in the next block or the head
                responses[-1] = path if beside else layers[-1]
        return Calls(blocks, layers, responses)


def rehearse(module: nn.Module, params: Params, x: Array, shortcut_weight) -> tuple[Calls, Any]:
    """Returns where the probes of a network lie, and their sinks; nothing is computed.

    Args:
      module: a network called with ``(x, shortcut_weight)``.
      params: its parameters, or their shapes.
      x: a batch.
      shortcut_weight: a scalar.
    """
    interceptor = Probes(compares=False)

    def sinks(params, x):
        with nn.intercept_methods(interceptor):
            variables, mutable = {"params": params}, [SINKS, "statistics"]
            return module.apply(variables, x, shortcut_weight, mutable=mutable)[1][SINKS]

    shapes = jax.eval_shape(sinks, params, x)
    return interceptor.calls(), jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)


def calls_block(context: Any) -> bool:
    """Returns whether a block is called, or the module that stands for all blocks of a stack.

    Args:
      context: what Linen passes to an interceptor of modules' calls.
    """
    return context.method_name == "__call__" and _is_block(context.module)


def keep_features(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
    """Intercepts modules' calls, and records the input and output of each block as they are."""
    module: nn.Module = context.module
    leaves = call(*args, **kwargs)
    if calls_block(context):
        _keep(module, "enters", args[0])
        _keep(module, "leaves", leaves)
    return leaves


def _keep(module: nn.Module, name: str, value: Any) -> None:
    module.sow(RECORDS, name, value, init_fn=lambda: None, reduce_fn=lambda _, new: new)


def _is_block(module: nn.Module) -> bool:
    return len(module.path) == 2 and module.path[0].startswith(STAGE)


def _kind(module: nn.Module) -> str:
    if _is_block(module):
        return "block"
    if module.has_variable("params", "kernel"):
        return "layer"
    return "norm" if isinstance(module, NORMS) else ""
