"""Provides plain and residual networks as pure functions of arrays and keys.

The library accesses no disk, no flags and no clock, prints nothing, and never sets ``jax.config``;
all of that lives in :mod:`experiments`.
"""

from resnet_jax import diagnostics, statistics, theory
from resnet_jax.diagnostics import probes
from resnet_jax.nn import (
    activations,
    blocks,
    branches,
    families,
    initializers,
    networks,
    orders,
    shortcuts,
)
from resnet_jax.nn.blocks import Block, Layer, Parts
from resnet_jax.nn.counting import Counts, count, count_layers
from resnet_jax.nn.families import cifar_network, dense_network, imagenet_network
from resnet_jax.nn.functional import Network, from_linen
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.nn.orders import Order
from resnet_jax.ops import convolution, normalization
from resnet_jax.ops.convolution import Conv, convolve
from resnet_jax.statistics import sign_flip_test, t_interval
from resnet_jax.theory import particles, propagation
from resnet_jax.training import augmentation, optimizers
from resnet_jax.training.population import Population, product, runs_mesh
from resnet_jax.training.run import Data, Metrics, Run, State, Training, WarmUp
from resnet_jax.version import __version__

__all__ = [
    "Block",
    "Conv",
    "Counts",
    "Data",
    "Layer",
    "Metrics",
    "Network",
    "Order",
    "Parts",
    "Population",
    "ResidualNetwork",
    "Run",
    "State",
    "Training",
    "WarmUp",
    "__version__",
    "activations",
    "augmentation",
    "blocks",
    "branches",
    "cifar_network",
    "convolution",
    "convolve",
    "count",
    "count_layers",
    "dense_network",
    "diagnostics",
    "families",
    "from_linen",
    "imagenet_network",
    "initializers",
    "networks",
    "normalization",
    "optimizers",
    "orders",
    "probes",
    "particles",
    "product",
    "propagation",
    "runs_mesh",
    "shortcuts",
    "sign_flip_test",
    "statistics",
    "t_interval",
    "theory",
]
