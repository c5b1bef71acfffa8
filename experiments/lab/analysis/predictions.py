"""Predicts a study's networks as initialised, by theory."""

import dataclasses
import pkgutil

import numpy as np

from experiments.lab.config.config import Config
from experiments.lab.config.families import FAMILIES
from experiments.lab.config.variants import Variant
from experiments.lab.config.vocabulary import (
    BRANCH_SCALES,
    INITS,
    NORMS,
    OPTIMIZERS,
    ORDERS,
    SHORTCUT_SCHEDULES,
    SHORTCUTS,
)
from resnet_jax import theory
from resnet_jax.theory import pixels
from resnet_jax.theory.laws import Follow
from resnet_jax.theory.propagation import Propagation, Setting, Start


def knows(settings: dict) -> bool:
    """Returns whether theory covers a study's networks: fully connected, without custom blocks."""
    family = FAMILIES.get(settings.get("family", ""))
    return bool(family and not family.convolutional) and not settings.get("own_block")


def knows_images(settings: dict) -> bool:
    """Returns whether theory covers a study's plain convolutional networks: basic blocks only."""
    if knows(settings) or settings.get("own_block"):
        return False
    config = Config(family=settings["family"], block=settings["block"])
    return all(config.block_at(depth) == "basic" for depth in settings["depths"])


def of_blocks(
    variant: Variant,
    shortcut_weight: float,
    blocks: int,
    power: float,
    cosine: float,
    gradient_correlation: float,
    sides: np.ndarray | None = None,
) -> Propagation | None:
    """Predicts a network from the input of its first block; None if theory does not cover it.

    Args:
      variant: how the network is composed.
      shortcut_weight: weight of its shortcuts.
      blocks: number of blocks, of two layers each.
      power: mean square of the first block's input.
      cosine: cosine of the first block's inputs, mean over pairs of examples.
      gradient_correlation: correlation of two examples' gradients after the last block.
      sides: sides of the images between convolutional blocks ``[blocks + 1]``, in pixels; None for
        fully connected blocks.
    """
    known = setting_of(variant, shortcut_weight, blocks)
    if known is None or not np.isfinite([power, cosine]).all() or power <= 0:
        return None
    follow, setting = known
    start = Start(power, cosine)
    if ORDERS[variant.order].activated:  # theory starts before the first activation
        centred = setting.norm.centres
        start = Start(2 * power, 0.0 if centred else _before_relu(cosine))
    setting = dataclasses.replace(setting, start=start, gradient_correlation=gradient_correlation)
    return follow(blocks, setting) if sides is None else _of_images(variant, setting, sides)


def _of_images(variant: Variant, setting: Setting, sides: np.ndarray) -> Propagation | None:
    """Predicts plain convolutional blocks without batch normalisation; None for any others."""
    is_plain = setting.shortcut_weight == 0 and setting.branch_weight == 1
    if not is_plain or setting.norm.centres or not (sides > 0).all():
        return None
    strides = -(-sides[:-1] // sides[1:])
    pre_activation = not ORDERS[variant.order].activated
    return pixels.plain(strides.astype(int), int(sides[0]), setting, pre_activation)


def setting_of(
    variant: Variant, shortcut_weight: float, blocks: int
) -> tuple[Follow, Setting] | None:
    """Returns the function and setting by which theory predicts networks, from a usual start.

    Returns None if theory does not cover them.
    """
    norm, order = NORMS.get(variant.norm), ORDERS.get(variant.order)
    weight, shortcut = _branch_weight(variant, blocks), SHORTCUTS.get(variant.shortcut)
    if weight is None or shortcut_weight < 0 or shortcut_weight == 0 == weight:
        return None
    if not (norm and norm.theory and order and order.theory and shortcut and shortcut.identity):
        return None
    follow, seen = pkgutil.resolve_name(order.theory), pkgutil.resolve_name(norm.theory)
    return follow, Setting(norm=seen, shortcut_weight=shortcut_weight, branch_weight=weight)


def _branch_weight(variant: Variant, blocks: int) -> float | None:
    """Returns the factor on a branch at initialisation; None if theory does not cover it."""
    init, scale = INITS.get(variant.init), BRANCH_SCALES.get(variant.branch_scale)
    if variant.is_silent:
        return 0.0  # the branch's last weights start at zero
    if not init or not init.theory or not scale:
        return None
    return scale.weight(blocks, *BRANCH_SCALES.parse(variant.branch_scale).numbers)


def branches_are_silent(variant: Variant) -> bool:
    """Returns whether branches start at zero, so that inputs pass through blocks unchanged."""
    return _branch_weight(variant, 1) == 0


def feature_change(variant: Variant, shortcut_weight: float, blocks: int, power: float) -> float:
    """Predicts how far a step at one learning rate moves the last features, up to a constant.

    NaN if theory does not cover the network.  See :func:`resnet_jax.theory.laws.feature_change`.

    Args:
      variant: how the network is composed and trained.
      shortcut_weight: weight of its shortcuts.
      blocks: number of blocks, of two layers each.
      power: mean square of the first block's input.
    """
    branch, order = _branch_weight(variant, blocks), ORDERS[variant.order]
    known = bool(order.theory) and not order.activated and SHORTCUTS[variant.shortcut].identity
    known = (
        known and shortcut_weight == 1 and not SHORTCUT_SCHEDULES.value(variant.shortcut_schedule)
    )
    if not known or not branch or not blocks:
        return np.nan
    adaptive = OPTIMIZERS[variant.optimizer].adaptive
    scale, numbers = BRANCH_SCALES.parse(variant.branch_scale)
    rate = scale.rate(blocks, adaptive, *numbers) if scale.rate else 1.0
    if NORMS[variant.norm].per_example:
        return theory.feature_change(blocks, branch, rate, adaptive, power)
    bounded = scale.bounded(*numbers)
    return theory.feature_change(blocks, branch, rate, adaptive) if bounded else np.nan


def _before_relu(cosine: float) -> float:
    """Returns the cosine that a ReLU maps to the given one."""
    from resnet_jax.nn.activations import cosine_map

    grid = np.linspace(-1, 1, 20001)
    return float(np.interp(cosine, cosine_map(grid), grid))
