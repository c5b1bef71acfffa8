"""Names become functions: the only place where a configuration's strings are taken apart."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.typing import DTypeLike

from experiments.lab.build import mapping
from experiments.lab.config.config import Config, Variant
from experiments.lab.config.names import ADAPTIVE, split_name
from resnet_jax import theory
from resnet_jax.nn import blocks, branches, families, initializers, networks, orders, shortcuts
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.ops import normalization, rematerialization
from resnet_jax.training import augmentation, optimizers
from resnet_jax.training.augmentation import Augmentation
from resnet_jax.training.run import WarmUp

NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": normalization.BatchNorm,
    "layer": normalization.LayerNorm,
    "none": normalization.NoNorm,
}
ORDERS = {
    "original": orders.original,
    "norm_after_addition": orders.norm_after_addition,
    "activation_before_addition": orders.activation_before_addition,
    "activation_first": orders.activation_first,
    "pre_activation": orders.pre_activation,
}
#: Of the numbers that may follow the name.
SHORTCUTS: dict[str, Callable[..., shortcuts.Shortcut]] = {
    "A": lambda: shortcuts.identity,
    "B": lambda: shortcuts.projection_where_needed,
    "C": lambda: shortcuts.projection,
    "constant": shortcuts.constant,
    "exclusive_gate": shortcuts.exclusive_gate,
    "shortcut_gate": shortcuts.shortcut_gate,
    "dropout": shortcuts.dropout,
}
BRANCH_SCALES: dict[str, Callable[..., branches.BranchRule]] = {
    "one": lambda: branches.unit,
    "inverse_sqrt": lambda: branches.inverse_sqrt,
    "learned": lambda: branches.learned,
    "stochastic_depth": branches.stochastic_depth,
    "fixup": lambda: branches.fixup,
    "depth": branches.depth_scaled,
}
INITS = {
    "he": initializers.he,
    "zero_last": initializers.zero_last,
    "orthogonal": initializers.orthogonal,
}
BLOCKS = {
    "basic": blocks.BASIC,
    "bottleneck": blocks.BOTTLENECK,
    "bottleneck_3x3": blocks.BOTTLENECK_3X3,
}
OPTIMIZERS = {
    "sgd": optimizers.sgd,
    "momentum": optimizers.momentum,
    "nesterov": optimizers.nesterov,
    "adam": optimizers.adam,
    "adamw": optimizers.adamw,
}
SCHEDULES = {
    "constant": optimizers.constant,
    "step": optimizers.step_decay,
    "three_steps": optimizers.step_decay_thrice,
    "cosine": optimizers.cosine,
    "warmup": optimizers.warmup,
    "warmup_cosine": optimizers.warmup_cosine,
}
WARM_UPS: dict[str, Callable[..., WarmUp | None]] = {
    "none": lambda: None,
    "error": lambda error: WarmUp(error=error),
}
#: Of the steps of a training; None where weights stay.
SHORTCUT_SCHEDULES: dict[str, Callable[[int], optax.Schedule | None]] = {
    "constant": lambda steps: None,
    "annealed": optimizers.linear,
}
REMATS = {
    "none": rematerialization.products,
    "block": rematerialization.block_inputs,
    "sqrt": rematerialization.segment_inputs,
}
PRECISIONS: dict[str, DTypeLike | None] = {"float32": None, "bfloat16": jnp.bfloat16}
AUGMENTATIONS = {
    "crop": augmentation.crop,
    "flip": augmentation.flip,
    "cutout": augmentation.cutout,
}

#: Images of fewer pixels on a side get a stem that keeps their size.
_LARGE_IMAGE = 32


@dataclasses.dataclass(frozen=True)
class OwnBlock:
    """A block to put in the place of the family's.

    Attributes:
      module: ``(width, blocks, parts, name[, stride]) -> module``; see :class:`resnet_jax.Block`.
      layers: weight layers on its main path, by which its network's depth is counted.
    """

    module: Callable[..., nn.Module]
    layers: int = 2


def parts(variant: Variant) -> blocks.Parts:
    """What a variant's network is composed of."""
    shortcut, shortcut_numbers = split_name("shortcut", variant.shortcut)
    scale, scale_numbers = split_name("branch_scale", variant.branch_scale)
    fixup = scale == "fixup"
    return blocks.Parts(
        norm=normalization.ScalarBias if fixup else NORMS[variant.norm],
        init=initializers.fixup if fixup else INITS[variant.init],
        branch=BRANCH_SCALES[scale](*scale_numbers),
        order=ORDERS[variant.order],
        shortcut=SHORTCUTS[shortcut](*shortcut_numbers),
    )


def network(
    config: Config,
    depth: int,
    variant: Variant,
    shape: tuple[int, ...],
    classes: int,
    own: OwnBlock | None = None,
) -> ResidualNetwork:
    """The network of a depth and variant.

    Args:
      config: of the study.
      depth: weight layers.
      variant: how it is composed.
      shape: of one example.
      classes: logits of the head.
      own: a block of the user's own.
    """
    width, factor = config.base_width(), config.width_factor
    block: dict[str, Any] = {}
    if own is not None:
        block = {"block": own.module, "layers_per_block": own.layers}
    these = dataclasses.replace(
        parts(variant), form=mapping.form(config), dtype=PRECISIONS[config.precision]
    )
    if config.family == "dense":
        made = families.dense_network(depth, width * factor, classes, these, **block)
    elif config.family == "cifar":
        layers = BLOCKS[config.block_at(depth)]
        made = families.cifar_network(depth, classes, these, layers, width, factor, **block)
    else:
        layers, small = BLOCKS[config.block_at(depth)], min(shape[:2]) < _LARGE_IMAGE
        made = families.imagenet_network(
            depth, classes, these, layers, width, factor, small, **block
        )
    return made.clone(remat=REMATS[config.remat])


def optimizer(variant: Variant, blocks: int) -> optimizers.Optimizer:
    """The optimiser of a variant's networks of so many blocks."""
    made = OPTIMIZERS[variant.optimizer]
    scale, alpha = split_name("branch_scale", variant.branch_scale)
    if scale != "depth":
        return made
    adaptive = variant.optimizer in ADAPTIVE
    _, factor = theory.depth_multipliers(branches.growth(blocks), alpha[0], adaptive)
    return optimizers.multiplied(made, factor, networks.inside_stages)


def warm_up(variant: Variant) -> WarmUp | None:
    """The warm-up of a variant's trainings; None for none."""
    name, numbers = split_name("warmup", variant.warmup)
    return WARM_UPS[name](*numbers)


def augment(config: Config) -> Augmentation | None:
    """The augmentation of training images; None for none."""
    if not config.augment:
        return None
    return augmentation.compose([AUGMENTATIONS[name] for name in config.augment])
