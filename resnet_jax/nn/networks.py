"""Builds networks: a stem, stages of equal blocks stacked on a depth axis, and a head.

Depth is an array axis: the blocks of a stage share one scanned body.  So compile time and program
size do not grow with depth, and every per-layer quantity has a leading depth axis.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import linen as nn
from flax.core import lift
from flax.linen.transforms import lift_transform
from jax.nn.initializers import zeros

from resnet_jax.nn.blocks import NOISE, Block, Parts
from resnet_jax.nn.functional import Params
from resnet_jax.ops import rematerialization
from resnet_jax.ops.precision import at_least_single
from resnet_jax.ops.rematerialization import Scan

#: The prefix of the names of stages.
STAGE = "stage_"

#: The names, within a stage, of its scanned blocks, whose parameters have a leading depth axis, and
#: of its first block where it is not one of these.
STACK, FIRST = "stack", "first"

#: The modules whose weights are not counted in a network's depth (He et al. 2015, section 3.3).
ON_SHORTCUTS = ("shortcut", "gate")

#: The collection of inputs that nothing depends on; see :mod:`resnet_jax.diagnostics.probes`.
SINKS = "sinks"

#: The collection of inputs to single blocks; see :mod:`resnet_jax.diagnostics.interventions`.
INTERVENTIONS = "interventions"


def stacked(path: Sequence[str]) -> bool:
    """Returns whether what lies at a path of names from the network down has a depth axis."""
    return len(path) > 1 and path[0].startswith(STAGE) and path[1] == STACK


def inside_stages(params: Params) -> Params:
    """Returns booleans in the places of the parameters: whether each belongs to a block."""
    return {
        name: jax.tree.map(lambda _, inside=name.startswith(STAGE): inside, tree)
        for name, tree in params.items()
    }


class Stem(NamedTuple):
    """Describes the first layer of a network.

    Attributes:
      width: number of its units or channels.
      size: size of its square kernel; None for a fully connected layer.
      stride: stride of its convolution.
      pool: whether 3x3 max pooling of stride 2 follows.
    """

    width: int
    size: int | None = None
    stride: int = 1
    pool: bool = False


class StageShape(NamedTuple):
    """Describes consecutive blocks of equal shape: width, number, and the first block's stride."""

    width: int
    blocks: int
    stride: int = 1


#: The collections that blocks may read and write, and the random generators that they draw from.
_COLLECTIONS = ("params", "statistics", "intermediates", SINKS, INTERVENTIONS)
_GENERATORS = ("params", NOISE)


def _over_depth(block: Callable, scan: Scan) -> Callable:
    """Lifts a scan over the depth axis of a block's variables, in the manner of ``nn.scan``.

    Every scan sees the same split of the random generators, so that the choice of a scan does not
    change the noise.
    """

    def stacked(scope_of, variables_of, variables, keys, a, shortcut_weight, branch_weights):
        split = lambda key: jax.random.split(key, len(branch_weights))
        keys = lift.tree_map_rngs(split, keys)

        def body(a, one):
            variables, keys, branch_weight = one
            scope = scope_of(variables, keys)
            a = block(scope, a, shortcut_weight, branch_weight)
            return a, variables_of(scope)

        return scan(body, a, (variables, keys, branch_weights))

    return lift.pack(stacked, _COLLECTIONS, _COLLECTIONS, _GENERATORS, name="scan")


def _apply(block: nn.Module, a: jax.Array, *weights: jax.Array) -> jax.Array:
    """Applies a block; its output has the precision of its input, whatever it computes in."""
    return block(a, *weights).astype(a.dtype)


def _stack(
    block: nn.Module,
    a: jax.Array,
    shortcut_weight: jax.Array,
    branch_weights: jax.Array,
    scan: Scan,
) -> jax.Array:
    """Applies equal blocks in sequence, as a scan over depth; there is one per branch weight."""
    over_depth = lift_transform(_over_depth, _apply, scan)
    return over_depth(block, a, shortcut_weight, branch_weights)


def _first_stack(
    block: nn.Module, a: jax.Array, shortcut_weight: jax.Array, branch_weights: jax.Array
) -> jax.Array:
    """Applies equal blocks where parameters are made, by Linen's own scan.

    All our results began with its draws.  (It traces a block more than once, and its generators
    count the traces.)
    """
    scan = nn.scan(
        lambda block, a, *weights: (_apply(block, a, *weights), None),
        variable_axes=dict.fromkeys(_COLLECTIONS, 0),
        split_rngs=dict.fromkeys(_GENERATORS, True),
        in_axes=(nn.broadcast, 0),
        length=len(branch_weights),
    )
    return scan(block, a, shortcut_weight, branch_weights)[0]


class Stage(nn.Module):
    """Applies blocks whose outputs have one shape; only the first block may change the shape.

    Attributes:
      block: ``(width, parts, name[, stride]) -> module``.
      shape: shape of the stage.
      parts: what its blocks are composed of.
      opens: whether it is the network's first stage.
      scan: scan over the depth of its stack.
    """

    block: Callable[..., nn.Module]
    shape: StageShape
    parts: Parts
    opens: bool
    scan: Scan

    @nn.compact
    def __call__(
        self, a: jax.Array, shortcut_weight: jax.Array, branch_weights: jax.Array
    ) -> jax.Array:
        width, length, stride = self.shape
        parts, special = self.parts, self.parts.order.first
        changes = a.shape[-1] != width or stride != 1
        if length and (changes or (self.opens and special)):
            if special:
                order = parts.order._replace(block=special)
                parts = dataclasses.replace(parts, order=order)
            strided = {"stride": stride} if stride != 1 else {}
            first = self.block(width=width, parts=parts, name=FIRST, **strided)
            a = _apply(first, a, shortcut_weight, branch_weights[0])
            branch_weights = branch_weights[1:]
        if len(branch_weights):
            block = self.block(width=width, parts=self.parts, name=STACK)
            if self.is_initializing():
                a = _first_stack(block, a, shortcut_weight, branch_weights)
            else:
                a = _stack(block, a, shortcut_weight, branch_weights, self.scan)
        return a


class ResidualNetwork(nn.Module):
    """Applies a stem, stages of blocks, and a head.

    Attributes:
      stem: the first layer.
      stages: the shapes of the stages.
      classes: number of logits.
      parts: what stem, blocks and head are composed of.
      block: ``(width, blocks, parts, name[, stride]) -> module``.
      remat: what stacks keep for their gradients, from :mod:`resnet_jax.ops.rematerialization`.  It
        changes neither parameters nor statistics nor noise.
    """

    stem: Stem
    stages: Sequence[StageShape]
    classes: int
    parts: Parts = Parts()
    block: Callable[..., nn.Module] = Block
    remat: Scan = rematerialization.products

    @nn.compact
    def __call__(self, x: jax.Array, shortcut_weight: jax.Array) -> jax.Array:
        """Maps examples ``[batch, ...]``, or images with or without a channel axis, to logits.

        Random operations act only where a generator ``"noise"`` is given, as in training.
        """
        parts, order = self.parts, self.parts.order
        a = self._stem(x)
        if order.stem_norm:
            a = parts.norm(name="stem_norm")(a)
        if order.stem_activation:
            a = parts.activation(a)
        if self.stem.pool:
            a = nn.max_pool(a, (3, 3), (2, 2), [(1, 1), (1, 1)])
        a = self._blocks(a, shortcut_weight)
        if not order.stem_norm:
            a = parts.norm(name="head_norm")(a)
        if not order.stem_activation:
            a = parts.activation(a)
        a = at_least_single(a)  # so are the logits, and so is the loss
        if a.ndim == 4:
            a = a.mean((1, 2))
        zero = {"kernel_init": zeros} if parts.init.zero_head else {}
        return parts.linear(self.classes, use_bias=True, dtype=None, name="head", **zero)(a)

    def _stem(self, x: jax.Array) -> jax.Array:
        width, size, stride, _ = self.stem
        if size is None:
            x = x.reshape(x.shape[0], -1)
        elif x.ndim == 3:
            x = x[..., None]
        return self.parts.layer(width, size, stride, name="stem")(x)

    def _blocks(self, a: jax.Array, shortcut_weight: jax.Array) -> jax.Array:
        blocks, done = sum(shape.blocks for shape in self.stages), 0
        key = self.make_rng(NOISE) if self.has_rng(NOISE) else None
        weights = self.parts.branch.weights(blocks, key)

        def block(**fields):
            return self.block(blocks=blocks, **fields)

        for index, shape in enumerate(self.stages, start=1):
            opens = index == 1
            stage = Stage(block, shape, self.parts, opens, self.remat, name=f"{STAGE}{index}")
            a = stage(a, shortcut_weight, weights[done : done + shape.blocks])
            done += shape.blocks
        return a
