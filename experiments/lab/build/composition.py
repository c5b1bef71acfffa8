"""Composes the networks and optimisers of a variant from the names of the vocabulary."""

import dataclasses
import pkgutil
from collections.abc import Callable
from typing import Any

from flax import linen as nn

from experiments.lab.build import mapping
from experiments.lab.config import vocabulary
from experiments.lab.config.config import Config
from experiments.lab.config.families import FAMILIES
from experiments.lab.config.variants import Variant
from resnet_jax.nn import blocks, families, networks
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training import augmentation, optimizers
from resnet_jax.training.augmentation import Augmentation
from resnet_jax.training.run import WarmUp

#: Images with fewer pixels on a side get a stem that keeps their size.
_LARGE_IMAGE = 32


@dataclasses.dataclass(frozen=True)
class OwnBlock:
    """Describes a custom block, which replaces the family's.

    Attributes:
      module: ``(width, blocks, parts, name[, stride]) -> module``; see :class:`resnet_jax.Block`.
      layers: weight layers on its main path, by which its network's depth is counted.
      identity: what tells it from others; see :func:`experiments.lab.build.contract.identity`.
    """

    module: Callable[..., nn.Module]
    layers: int = 2
    identity: str = ""


def parts(variant: Variant) -> blocks.Parts:
    """Returns the parts of a variant's blocks."""
    scale = vocabulary.BRANCH_SCALES.parse(variant.branch_scale)
    norm = vocabulary.NORMS.value(variant.norm)
    init = vocabulary.INITS.value(variant.init)
    return blocks.Parts(
        norm=pkgutil.resolve_name(scale.entry.norm) if scale.entry.norm else norm,
        init=pkgutil.resolve_name(scale.entry.init) if scale.entry.init else init,
        branch=scale.value(),
        order=vocabulary.ORDERS.value(variant.order),
        shortcut=vocabulary.SHORTCUTS.value(variant.shortcut),
    )


def network(
    config: Config,
    depth: int,
    variant: Variant,
    shape: tuple[int, ...],
    classes: int,
    own: OwnBlock | None = None,
) -> ResidualNetwork:
    """Builds the network of a depth and variant.

    Args:
      config: configuration of the study.
      depth: number of weight layers.
      variant: how the network is composed.
      shape: shape of one example.
      classes: number of logits.
      own: custom block; None for the family's.
    """
    width, factor, family = config.base_width(), config.width_factor, config.of_family
    dtype = vocabulary.PRECISIONS.value(config.precision)
    these = dataclasses.replace(parts(variant), form=mapping.form(config), dtype=dtype)
    more: dict[str, Any] = {}
    if own is not None:
        more = {"block": own.module, "layers_per_block": own.layers}
    if not family.convolutional:
        made = families.dense_network(depth, width * factor, classes, these, **more)
    else:
        if family.stem_by_size:
            more["small_images"] = min(shape[:2]) < _LARGE_IMAGE
        layers = vocabulary.BLOCKS.value(config.block_at(depth))
        build = FAMILIES.value(config.family)
        made = build(depth, classes, these, layers, width, factor, **more)
    return made.clone(remat=vocabulary.REMATS.value(config.remat))


def optimizer(variant: Variant, blocks: int) -> optimizers.Optimizer:
    """Returns the optimiser of a variant's networks with a number of blocks."""
    chosen = vocabulary.OPTIMIZERS.parse(variant.optimizer)
    scale = vocabulary.BRANCH_SCALES.parse(variant.branch_scale)
    if scale.entry.rate is None:
        return chosen.value()
    factor = scale.entry.rate(blocks, chosen.entry.adaptive, *scale.numbers)
    return optimizers.multiplied(chosen.value(), factor, networks.inside_stages)


def warm_up(variant: Variant) -> WarmUp | None:
    """Returns the warm-up of a variant's trainings; None if there is none."""
    numbers = vocabulary.WARM_UPS.parse(variant.warmup).numbers
    return WarmUp(error=numbers[0]) if numbers else None


def augment(config: Config) -> Augmentation | None:
    """Returns the augmentation of training images; None if there is none."""
    if not config.augment:
        return None
    return augmentation.compose([vocabulary.AUGMENTATIONS.value(name) for name in config.augment])
