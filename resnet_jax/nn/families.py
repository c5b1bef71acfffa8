"""Builds networks of a family by depth: the lecture's, and He et al. 2015's (arXiv 1512.03385)."""

import dataclasses
from collections.abc import Callable, Sequence

from flax import linen as nn

from resnet_jax.nn.blocks import BASIC, DENSE, Block, Layer, Parts
from resnet_jax.nn.networks import ResidualNetwork, StageShape, Stem

BlockFactory = Callable[..., nn.Module]

#: The number of blocks in each stage of the ImageNet networks, by depth (He et al. 2015, table 1).
IMAGENET_STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def blocks_of(layers: Sequence[Layer]) -> BlockFactory:
    """Returns a factory of blocks with these layers on their main path."""
    return lambda **fields: Block(layers=layers, **fields)


def _expansion(layers: Sequence[Layer]) -> int:
    """Returns a block's width over that of its inner layers, which He et al. count."""
    return max(layer.narrowing for layer in layers)


def dense_network(
    depth: int,
    widths: int | Sequence[int],
    classes: int,
    parts: Parts = Parts(),
    block: BlockFactory = Block,
    layers_per_block: int = len(DENSE),
) -> ResidualNetwork:
    """Builds a fully connected network: the stem, the layers of its blocks, and the head.

    Args:
      depth: number of weight layers; 2 is a stem and a head without blocks.
      widths: units of every layer, or of each of several stages of equally many blocks.
      classes: number of logits.
      parts: what the network is composed of.
      block: block factory; see :class:`resnet_jax.nn.blocks.Block` for its fields and its call.
      layers_per_block: number of weight layers on the block's main path.

    Raises:
      ValueError: the depth does not divide into whole blocks, equally many per stage.
    """
    widths = [widths] if isinstance(widths, int) else list(widths)
    per_stage = _blocks_per_stage("dense", depth, layers_per_block, len(widths))
    parts = dataclasses.replace(parts, order=parts.order._replace(first=None))
    stages = tuple(StageShape(width, per_stage) for width in widths)
    return ResidualNetwork(Stem(widths[0]), stages, classes, parts, block)


def cifar_network(
    depth: int,
    classes: int,
    parts: Parts = Parts(),
    layers: Sequence[Layer] = BASIC,
    width: int = 16,
    width_factor: int = 1,
    block: BlockFactory | None = None,
    layers_per_block: int | None = None,
) -> ResidualNetwork:
    """Builds a network of He et al. 2015, section 4.2, for small images of at least 4x4 pixels.

    It has a 3x3 stem and three stages of n blocks, with ``width``, twice and four times as many
    channels; every stage but the first halves the image.  This gives 6n + 2 layers with basic
    blocks, and 9n + 2 with bottlenecks (whose outer widths are four times those).

    Args:
      depth: number of weight layers.
      classes: number of logits.
      parts: what the network is composed of.
      layers: the main path of its blocks.
      width: channels of the stem and of the first stage.
      width_factor: factor on the widths of the stages (Zagoruyko & Komodakis 2016,
        arXiv 1605.07146), not on that of the stem.
      block: factory of custom blocks, in place of ``layers``.
      layers_per_block: number of weight layers on the main path of such a block.

    Raises:
      ValueError: the depth does not divide into whole blocks, equally many per stage.
    """
    per_block = len(layers) if layers_per_block is None else layers_per_block
    per_stage = _blocks_per_stage("CIFAR", depth, per_block, 3)
    outer = width * width_factor * (1 if block else _expansion(layers))
    stages = tuple(StageShape(outer * 2**index, per_stage, 1 + (index > 0)) for index in range(3))
    return ResidualNetwork(Stem(width, 3), stages, classes, parts, block or blocks_of(layers))


def imagenet_network(
    depth: int,
    classes: int,
    parts: Parts = Parts(),
    layers: Sequence[Layer] = BASIC,
    width: int = 64,
    width_factor: int = 1,
    small_images: bool = False,
    block: BlockFactory | None = None,
    layers_per_block: int | None = None,
) -> ResidualNetwork:
    """Builds a network of He et al. 2015, table 1: 18, 34 (basic), 50, 101, 152 (bottleneck).

    Args:
      depth: one of :data:`IMAGENET_STAGES`.
      classes: number of logits.
      parts: what the network is composed of.
      layers: the main path of its blocks.
      width: channels of the stem and of the inner layers of the first stage.
      width_factor: factor on all widths of the stages (torchvision's "wide" networks widen the
        inner layers alone), not on that of the stem.
      small_images: whether the stem keeps the size of the image: 3x3, without pooling.
      block: factory of custom blocks, in place of ``layers``.
      layers_per_block: weight layers on the main path of such a block.

    Raises:
      ValueError: the paper has no such network, or its blocks have another number of layers.
    """
    per_block = len(layers) if layers_per_block is None else layers_per_block
    if depth not in IMAGENET_STAGES or depth != 2 + per_block * sum(IMAGENET_STAGES[depth]):
        raise ValueError(
            "the ImageNet networks have 18 or 34 layers in basic blocks of two, 50, 101 or 152 in "
            f"bottlenecks of three, not {depth} in blocks of {per_block}"
        )
    outer = width * width_factor * (1 if block else _expansion(layers))
    each = enumerate(IMAGENET_STAGES[depth])
    stages = tuple(StageShape(outer * 2**index, n, 1 + (index > 0)) for index, n in each)
    stem = Stem(width, 3) if small_images else Stem(width, 7, stride=2, pool=True)
    return ResidualNetwork(stem, stages, classes, parts, block or blocks_of(layers))


def _blocks_per_stage(family: str, depth: int, layers_per_block: int, stages: int) -> int:
    per_stage, rest = divmod(depth - 2, layers_per_block * stages)
    if per_stage < 0 or rest:
        raise ValueError(
            f"a {family} network has 2 + {layers_per_block * stages}·n layers "
            f"({stages} stages, {layers_per_block} layers a block), not {depth}"
        )
    return per_stage
