"""Cells: the static choices of a study, each with its population of runs."""

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from experiments import composition
from experiments.composition import OwnBlock
from experiments.config import Config, Variant
from experiments.datasets import Dataset
from resnet_jax import counting, population
from resnet_jax.functional import from_linen
from resnet_jax.networks import ResidualNetwork
from resnet_jax.population import Population
from resnet_jax.training import MEASURED_AT_ONCE, Data, Metrics, Run, State, Training, WarmUp

#: Measurements over a run's training, besides the one before its first step.
MEASUREMENTS = 6

#: Above this many numbers in the training images measurements use running statistics, if not told
#: otherwise.
LARGE_TRAINING_SET = 10_000_000


@dataclasses.dataclass(frozen=True)
class Cell:
    """One depth of one variant."""

    family: str
    block: str
    depth: int
    variant: Variant

    def columns(self) -> dict:
        """What identifies the cell in a table."""
        return {
            "family": self.family,
            "block": self.block,
            "depth": self.depth,
            **dataclasses.asdict(self.variant),
        }


def cells(config: Config) -> Iterator[Cell]:
    """The cells of a study, shallow ones first."""
    for depth in sorted(config.depths):
        block = "dense" if config.family == "dense" else config.block_at(depth)
        for variant in config.variants():
            yield Cell(config.family, block, depth, variant)


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


def network(
    cell: Cell, config: Config, dataset: Dataset, block: OwnBlock | None
) -> ResidualNetwork:
    """The network of a cell."""
    shape = dataset.x_train.shape[1:]
    return composition.network(config, cell.depth, cell.variant, shape, dataset.classes, block)


def counts(cell: Cell, config: Config, dataset: Dataset, block: OwnBlock | None) -> counting.Counts:
    """What the network of a cell takes, from shapes alone."""
    example = jax.ShapeDtypeStruct((1, *dataset.x_train.shape[1:]), np.float32)
    return counting.count(network(cell, config, dataset, block), example)


def running_statistics(config: Config, dataset: Dataset) -> bool:
    """Whether measurements use running averages instead of statistics of the whole set."""
    if config.statistics == "auto":
        return dataset.x_train.size > LARGE_TRAINING_SET
    return config.statistics == "running"


def measured_at_once(config: Config, dataset: Dataset) -> int:
    """Examples that a measurement takes at a time."""
    if running_statistics(config, dataset):
        return MEASURED_AT_ONCE
    return max(len(dataset.x_train), len(dataset.x_test))


def training(cell: Cell, config: Config, dataset: Dataset, block: OwnBlock | None) -> Training:
    """How each run of a cell is trained."""
    optimizer = composition.OPTIMIZERS[config.optimizer]
    warms_up = config.warmup_error and cell.depth >= config.warmup_depth
    return Training(
        from_linen(network(cell, config, dataset, block)),
        lambda rate: optimizer(rate, config.weight_decay),
        composition.SCHEDULES[config.schedule](config.steps),
        config.batch_size,
        chunk_size(config),
        composition.augment(config),
        WarmUp(error=config.warmup_error) if warms_up else None,
        running_statistics(config, dataset),
    )


def build(
    cell: Cell, config: Config, dataset: Dataset, block: OwnBlock | None, mesh: Mesh
) -> Population:
    """The population of a cell, not compiled yet."""
    one = training(cell, config, dataset, block)
    data = Data(dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
    return Population(one, runs(config, cell.depth), data, mesh, how_mapped(config, mesh))


def how_mapped(config: Config, mesh: Mesh) -> str:
    """How the runs on one device are mapped; see :func:`resnet_jax.population.over_runs`."""
    return population.default_map(mesh) if config.map == "auto" else config.map


def status(states: State, metrics: Metrics) -> np.ndarray:
    """Each run's status: ``"healthy"``, ``"dead"`` or ``"diverged"``.

    A loss that the last measurement finds infinite is divergence as well.
    """
    alive = np.where(states.dead, "dead", "healthy")
    return np.where(np.isfinite(metrics.train_loss), alive, "diverged")
