"""Predicts what infinitely wide networks do."""

from resnet_jax.theory.laws import (
    alignment,
    batch_norm_explosion,
    cosine_depth_scale,
    depth_multipliers,
    depth_of,
    expected_blocks,
    feature_change,
    gradient_depth_scale,
    padding_factor,
    path_lengths,
    product_singular_value,
    shortcut_explosion,
)

__all__ = [
    "alignment",
    "batch_norm_explosion",
    "cosine_depth_scale",
    "depth_multipliers",
    "depth_of",
    "expected_blocks",
    "feature_change",
    "gradient_depth_scale",
    "padding_factor",
    "path_lengths",
    "product_singular_value",
    "shortcut_explosion",
]
