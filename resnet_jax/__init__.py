"""The library: plain and residual networks as pure functions of arrays and keys.

No disk, no flags, no clock, no printing, no ``jax.config``: those live in :mod:`experiments`.
"""

from resnet_jax import blocks, initializers, normalization, optimizers, shortcuts, statistics
from resnet_jax.blocks import DenseBlock, LearnedScale, Order, Parts, original, pre_activation
from resnet_jax.functional import Network, from_linen
from resnet_jax.networks import DenseNetwork, count_layers, dense_network
from resnet_jax.population import Population, product, runs_mesh
from resnet_jax.statistics import sign_flip_test, t_interval
from resnet_jax.training import Data, Metrics, Run, State, Training
from resnet_jax.version import __version__

__all__ = [
    "Data",
    "DenseBlock",
    "DenseNetwork",
    "LearnedScale",
    "Metrics",
    "Network",
    "Order",
    "Parts",
    "Population",
    "Run",
    "State",
    "__version__",
    "blocks",
    "count_layers",
    "dense_network",
    "from_linen",
    "initializers",
    "Training",
    "normalization",
    "optimizers",
    "original",
    "pre_activation",
    "product",
    "runs_mesh",
    "shortcuts",
    "sign_flip_test",
    "statistics",
    "t_interval",
]
