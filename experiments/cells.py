"""Cells: the static choices of a study, each with its population of runs.

Here the names of a configuration become functions; inside, functions are passed, not strings.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from experiments.config import Config, Variant
from experiments.datasets import Dataset
from resnet_jax import blocks, initializers, normalization, optimizers, population
from resnet_jax.functional import from_linen
from resnet_jax.networks import dense_network
from resnet_jax.population import Population
from resnet_jax.training import Data, Metrics, Run, State, Training

NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": normalization.BatchNorm,
    "layer": normalization.LayerNorm,
    "none": normalization.NoNorm,
}
ORDERS = {"original": blocks.original, "pre_activation": blocks.pre_activation}
BRANCH_SCALES = {
    "one": blocks.unit_scale,
    "inverse_sqrt": blocks.inverse_sqrt_scale,
    "learned": blocks.learned_scale,
}
INITS = {
    "he": initializers.he,
    "zero_last": initializers.zero_last,
    "orthogonal": initializers.orthogonal,
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
    "cosine": optimizers.cosine,
    "warmup": optimizers.warmup,
    "warmup_cosine": optimizers.warmup_cosine,
}

#: Measurements over a run's training, besides the one before its first step.
MEASUREMENTS = 6


@dataclasses.dataclass(frozen=True)
class OwnBlock:
    """A block to put in the place of the lecture's.

    Attributes:
      module: ``(width, blocks, parts, name) -> module``; see :class:`resnet_jax.DenseBlock`.
      layers: weight layers on its main path, by which its network's depth is counted.
    """

    module: Callable[..., nn.Module] = blocks.DenseBlock
    layers: int = 2


@dataclasses.dataclass(frozen=True)
class Cell:
    """One depth of one variant."""

    depth: int
    variant: Variant

    def columns(self) -> dict:
        """What identifies the cell in a table."""
        return {"family": "dense", "depth": self.depth, **dataclasses.asdict(self.variant)}


def cells(config: Config) -> Iterator[Cell]:
    """The cells of a study, shallow ones first."""
    for depth in sorted(config.depths):
        for variant in config.variants():
            yield Cell(depth, variant)


def parts(variant: Variant) -> blocks.Parts:
    """What a variant's network is composed of."""
    return blocks.Parts(
        norm=NORMS[variant.norm],
        init=INITS[variant.init],
        branch_scale=BRANCH_SCALES[variant.branch_scale],
        order=ORDERS[variant.order],
    )


def runs(config: Config, depth: int) -> Run:
    """The runs of a cell: all seeds, with each of its shortcut weights and rates."""
    weights = config.shortcut_weights_at(depth)
    return population.product(config.seeds(), weights, config.learning_rates)


def measuring_stride(config: Config) -> int:
    """Steps from one measurement to the next."""
    return max(1, -(-config.steps // MEASUREMENTS))


def chunk_size(config: Config) -> int:
    """The most steps that one call of the compiled program takes; it shuffles for all of them."""
    return min(measuring_stride(config), 256)


def build(cell: Cell, config: Config, dataset: Dataset, block: OwnBlock, mesh: Mesh) -> Population:
    """The population of a cell, not compiled yet."""
    network = dense_network(
        cell.depth,
        config.width,
        dataset.classes,
        parts(cell.variant),
        block.module,
        block.layers,
    )
    optimizer = OPTIMIZERS[config.optimizer]
    training = Training(
        from_linen(network),
        lambda rate: optimizer(rate, config.weight_decay),
        SCHEDULES[config.schedule](config.steps),
        config.batch_size,
        chunk_size(config),
    )
    how = population.default_map(mesh) if config.map == "auto" else config.map
    data = Data(dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
    return Population(training, runs(config, cell.depth), data, mesh, how)


def status(states: State, metrics: Metrics) -> np.ndarray:
    """Each run's status: ``"healthy"``, ``"dead"`` or ``"diverged"``.

    A loss that the last measurement finds infinite is divergence as well.
    """
    alive = np.where(states.dead, "dead", "healthy")
    return np.where(np.isfinite(metrics.train_loss), alive, "diverged")
