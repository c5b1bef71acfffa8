"""Measures what happens at each layer of a network."""

from resnet_jax.diagnostics.layers import (
    AcrossBlocks,
    AcrossLayers,
    Diagnosis,
    FeatureChange,
    diagnose,
    feature_change,
    gradients_along,
    relative_change,
)

__all__ = [
    "AcrossBlocks",
    "AcrossLayers",
    "Diagnosis",
    "FeatureChange",
    "diagnose",
    "feature_change",
    "gradients_along",
    "relative_change",
]
