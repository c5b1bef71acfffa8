"""Networks: a stem, stages of equal blocks stacked on a depth axis, and a head.

Depth is an array axis: the blocks of a stage share one scanned body, so that compile time and
program size do not grow with depth, and every per-layer quantity arrives with a leading depth axis.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import linen as nn
from jax.nn.initializers import zeros

from resnet_jax.blocks import NOISE, Block, Parts

#: Under this name the parameters of scanned blocks lie, each with a leading depth axis.
STACK = "stack"


class Stem(NamedTuple):
    """The first layer of a network.

    Attributes:
      width: its units or channels.
      size: of its square kernel; None for a fully connected layer.
      stride: of its convolution.
      pool: whether 3x3 max pooling of stride 2 follows.
    """

    width: int
    size: int | None = None
    stride: int = 1
    pool: bool = False


class StageShape(NamedTuple):
    """Consecutive blocks of equal shape: what leaves them, how many, and the first one's stride."""

    width: int
    blocks: int
    stride: int = 1


def _stack(
    block: nn.Module, a: jax.Array, shortcut_weight: jax.Array, branch_weights: jax.Array
) -> jax.Array:
    """Applies equal blocks one after the other, as a scan over depth; one a branch weight."""
    scan = nn.scan(
        lambda block, a, shortcut_weight, branch_weight: (
            block(a, shortcut_weight, branch_weight),
            None,
        ),
        variable_axes={"params": 0, "statistics": 0, "intermediates": 0},
        split_rngs={"params": True, NOISE: True},
        in_axes=(nn.broadcast, 0),
        length=len(branch_weights),
    )
    return scan(block, a, shortcut_weight, branch_weights)[0]


class Stage(nn.Module):
    """Blocks that end in one shape; only the first of them may change it.

    Attributes:
      block: ``(width, parts, name[, stride]) -> module``.
      shape: of the stage.
      parts: what its blocks are composed of.
      opens: whether it is the network's first.
    """

    block: Callable[..., nn.Module]
    shape: StageShape
    parts: Parts
    opens: bool

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
            first = self.block(width=width, parts=parts, name="first", **strided)
            a = first(a, shortcut_weight, branch_weights[0])
            branch_weights = branch_weights[1:]
        if len(branch_weights):
            block = self.block(width=width, parts=self.parts, name=STACK)
            a = _stack(block, a, shortcut_weight, branch_weights)
        return a


class ResidualNetwork(nn.Module):
    """Stem, stages of blocks, head.

    Attributes:
      stem: the first layer.
      stages: the shapes of the stages.
      classes: logits of the head.
      parts: what stem, blocks and head are composed of.
      block: ``(width, blocks, parts, name[, stride]) -> module``.
    """

    stem: Stem
    stages: Sequence[StageShape]
    classes: int
    parts: Parts = Parts()
    block: Callable[..., nn.Module] = Block

    @nn.compact
    def __call__(self, x: jax.Array, shortcut_weight: jax.Array) -> jax.Array:
        """Maps examples ``[batch, ...]``, or images with or without a channel axis, to logits.

        Random operations act where a generator ``"noise"`` is given, as in training.
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
        if a.ndim == 4:
            a = a.mean((1, 2))
        zero = {"kernel_init": zeros} if parts.init.zero_head else {}
        return parts.linear(self.classes, use_bias=True, name="head", **zero)(a)

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
            stage = Stage(block, shape, self.parts, index == 1, name=f"stage_{index}")
            a = stage(a, shortcut_weight, weights[done : done + shape.blocks])
            done += shape.blocks
        return a
