"""Networks: a stem, stages of equal blocks stacked on a depth axis, and a head.

Depth is an array axis: the blocks of a stage share one scanned body, so that compile time and
program size do not grow with depth, and every per-layer quantity arrives with a leading depth axis.
"""

from collections.abc import Callable, Sequence

import jax
from flax import linen as nn

from resnet_jax.blocks import DenseBlock, Parts
from resnet_jax.functional import Params

#: Under this name the parameters of scanned blocks lie, each with a leading depth axis.
STACK = "stack"


def _stack(block: nn.Module, length: int, a: jax.Array, shortcut_weight: jax.Array) -> jax.Array:
    """Applies ``length`` blocks of one shape, one after the other, as a scan over depth."""
    scan = nn.scan(
        lambda block, a, shortcut_weight: (block(a, shortcut_weight), None),
        variable_axes={"params": 0, "statistics": 0},
        split_rngs={"params": True},
        in_axes=nn.broadcast,
        length=length,
    )
    return scan(block, a, shortcut_weight)[0]


class Stage(nn.Module):
    """``length`` blocks that end in ``width``; only the first may change the width."""

    block: Callable[..., nn.Module]
    width: int
    length: int

    @nn.compact
    def __call__(self, a: jax.Array, shortcut_weight: jax.Array) -> jax.Array:
        length = self.length
        if a.shape[-1] != self.width and length:
            a = self.block(width=self.width, name="first")(a, shortcut_weight)
            length -= 1
        if length:
            a = _stack(self.block(width=self.width, name=STACK), length, a, shortcut_weight)
        return a


class DenseNetwork(nn.Module):
    """Fully connected: stem, stages of dense blocks, head.

    Attributes:
      stages: ``(width, blocks)`` of each stage.
      classes: logits of the head.
      parts: what stem, blocks and head are composed of.
      block: ``(width, blocks, parts, name) -> module``.
    """

    stages: Sequence[tuple[int, int]]
    classes: int
    parts: Parts = Parts()
    block: Callable[..., nn.Module] = DenseBlock

    @nn.compact
    def __call__(self, x: jax.Array, shortcut_weight: jax.Array) -> jax.Array:
        """Maps examples ``[batch, ...]`` to logits ``[batch, classes]``."""
        parts = self.parts
        blocks = sum(length for _, length in self.stages)

        def block(width, name):
            return self.block(width=width, blocks=blocks, parts=parts, name=name)

        a = parts.linear(self.stages[0][0], name="stem")(x.reshape(x.shape[0], -1))
        if not parts.order.pre_activation:
            a = parts.activation(parts.norm(name="stem_norm")(a))
        for index, (width, length) in enumerate(self.stages, start=1):
            a = Stage(block, width, length, name=f"stage_{index}")(a, shortcut_weight)
        if parts.order.pre_activation:
            a = parts.activation(parts.norm(name="head_norm")(a))
        return parts.linear(self.classes, use_bias=True, name="head")(a)


def dense_network(
    depth: int,
    widths: int | Sequence[int],
    classes: int,
    parts: Parts = Parts(),
    block: Callable[..., nn.Module] = DenseBlock,
    layers_per_block: int = 2,
) -> DenseNetwork:
    """A dense network of ``depth`` weight layers: the stem, those of its blocks, and the head.

    Args:
      depth: weight layers; 2 is a stem and a head without blocks.
      widths: units of every layer, or of each of several stages of equally many blocks.
      classes: logits of the head.
      parts: what the network is composed of.
      block: the block; see :class:`resnet_jax.blocks.DenseBlock` for its fields.
      layers_per_block: weight layers on the block's main path.

    Raises:
      ValueError: the depth does not divide into whole blocks, equally many a stage.
    """
    widths = [widths] if isinstance(widths, int) else list(widths)
    per_stage, rest = divmod(depth - 2, layers_per_block * len(widths))
    if per_stage < 0 or rest:
        raise ValueError(
            f"a dense network has 2 + {layers_per_block * len(widths)}·n layers "
            f"({len(widths)} stages, {layers_per_block} layers a block), not {depth}"
        )
    return DenseNetwork([(width, per_stage) for width in widths], classes, parts, block)


def count_layers(params: Params) -> int:
    """The depth of a network, counted from its tree: weight matrices, stacked ones each.

    Args:
      params: a parameter tree of arrays, or of their shapes (:func:`jax.eval_shape`).
    """

    def layers(path, leaf):
        names = [entry.key for entry in path]
        if names[-1] != "kernel":
            return 0
        return leaf.shape[0] if STACK in names else 1

    return sum(layers(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params))
