"""Predictions: what theory says of a study's networks as initialised."""

import dataclasses

import numpy as np

from experiments.lab.config.config import Config, Variant
from experiments.lab.config.names import ADAPTIVE, split_name
from resnet_jax import theory
from resnet_jax.nn import branches
from resnet_jax.theory import particles, pixels, propagation
from resnet_jax.theory.laws import Follow
from resnet_jax.theory.propagation import Propagation, Setting, Start

_NORMS = {"none": propagation.NONE, "batch": propagation.BATCH, "layer": propagation.LAYER}


def knows(settings: dict) -> bool:
    """Whether theory follows the networks of a study: fully connected, of blocks of ours."""
    return settings.get("family") == "dense" and not settings.get("own_block")


def knows_images(settings: dict) -> bool:
    """Whether theory follows plain networks of a study: convolutional, of basic blocks of ours."""
    if settings.get("family") == "dense" or settings.get("own_block"):
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
    """What theory says of a network, from what enters its first block; None where it says nothing.

    Args:
      variant: how the network is composed.
      shortcut_weight: of its shortcuts.
      blocks: of two layers each.
      power: mean square of what enters the first.
      cosine: mean over pairs of inputs of what enters the first.
      gradient_correlation: of two inputs behind the last.
      sides: of the images between convolutional blocks ``[blocks + 1]``, in pixels; None for fully
        connected ones.
    """
    known = setting_of(variant, shortcut_weight, blocks)
    if known is None or not np.isfinite([power, cosine]).all() or power <= 0:
        return None
    follow, setting = known
    start = Start(power, cosine)
    if variant.order == "original":  # theory begins in front of the first activation
        start = Start(2 * power, 0.0 if variant.norm == "batch" else _before_relu(cosine))
    setting = dataclasses.replace(setting, start=start, gradient_correlation=gradient_correlation)
    return follow(blocks, setting) if sides is None else _of_images(variant, setting, sides)


def _of_images(variant: Variant, setting: Setting, sides: np.ndarray) -> Propagation | None:
    """The same of convolutional blocks; None but for plain ones without batch normalisation."""
    is_plain = setting.shortcut_weight == 0 and setting.branch_weight == 1
    if not is_plain or setting.norm.centres or not (sides > 0).all():
        return None
    strides = -(-sides[:-1] // sides[1:])
    pre_activation = variant.order == "pre_activation"
    return pixels.plain(strides.astype(int), int(sides[0]), setting, pre_activation)


def setting_of(
    variant: Variant, shortcut_weight: float, blocks: int
) -> tuple[Follow, Setting] | None:
    """How theory follows networks of a variant through so many blocks, from a usual start.

    None where it says nothing of them.
    """
    weight = _branch_weight(variant, blocks)
    follows = {"original": particles.original, "pre_activation": propagation.pre_activation}
    known = variant.norm in _NORMS and variant.order in follows and variant.shortcut == "A"
    if not known or weight is None or shortcut_weight < 0 or shortcut_weight == 0 == weight:
        return None
    setting = Setting(
        norm=_NORMS[variant.norm], shortcut_weight=shortcut_weight, branch_weight=weight
    )
    return follows[variant.order], setting


def _branch_weight(variant: Variant, blocks: int) -> float | None:
    """What multiplies a branch at first, None where theory has no word for it.

    Orthogonal weights times √2 have He's σ² = 2, and in wide networks power, angles and the mean
    square of gradients depend on nothing else of them; the spread of singular values does, which
    theory does not speak of here (Pennington et al. 2017, arXiv 1711.04735, section 2).
    """
    if variant.init == "zero_last" or variant.branch_scale in ("learned", "fixup"):
        return 0.0  # a multiplier, or the branch's last weights, begin at zero
    if variant.init not in ("he", "orthogonal"):
        return None
    scale, numbers = split_name("branch_scale", variant.branch_scale)
    if scale == "depth":
        return branches.growth(blocks) ** -numbers[0]
    return {"one": 1.0, "inverse_sqrt": blocks**-0.5}.get(scale)


def branches_are_silent(variant: Variant) -> bool:
    """Whether branches begin at zero, so that networks pass on what enters as it is."""
    return _branch_weight(variant, 1) == 0


def feature_change(variant: Variant, shortcut_weight: float, blocks: int, power: float) -> float:
    """How far a step at one learning rate moves the last features, up to a constant.

    NaN where theory has no word for it.  See :func:`resnet_jax.theory.laws.feature_change`.

    Args:
      variant: how the network is composed and trained.
      shortcut_weight: of its shortcuts.
      blocks: of two layers each.
      power: mean square of what enters the first.
    """
    branch, scale = _branch_weight(variant, blocks), variant.branch_scale
    known = variant.order == "pre_activation" and variant.shortcut == "A" and shortcut_weight == 1
    known = known and variant.shortcut_schedule == "constant"
    if not known or not branch or not blocks:
        return np.nan
    adaptive = variant.optimizer in ADAPTIVE
    name, numbers = split_name("branch_scale", scale)
    rate = 1.0
    if name == "depth":
        rate = theory.depth_multipliers(branches.growth(blocks), numbers[0], adaptive)[1]
    if variant.norm == "layer":
        return theory.feature_change(blocks, branch, rate, adaptive, power)
    bounded = name == "inverse_sqrt" or (name == "depth" and numbers[0] >= 0.5)
    return theory.feature_change(blocks, branch, rate, adaptive) if bounded else np.nan


def _before_relu(cosine: float) -> float:
    """The cosine that a ReLU turns into the given one."""
    from resnet_jax.nn.activations import cosine_map

    grid = np.linspace(-1, 1, 20001)
    return float(np.interp(cosine, cosine_map(grid), grid))
