"""Cells, built: the network, the training and the population that their names stand for."""

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.lab.build import composition, mapping
from experiments.lab.build.composition import OwnBlock
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Cell, Group
from experiments.lab.data.datasets import Dataset
from resnet_jax.nn import counting
from resnet_jax.nn.functional import from_linen
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training import population
from resnet_jax.training.population import Footprint, Population
from resnet_jax.training.run import Data, Run, Training

#: Measurements over a run's training, besides the one before its first step.
MEASUREMENTS = 6

#: How long one call of a compiled program is meant to take, so that progress moves and an
#: interrupt is heard; how a training is cut into calls changes none of its bits.
CALL_SECONDS = 1.0

#: Above this many numbers in the training images measurements use running statistics, if not told
#: otherwise.
LARGE_TRAINING_SET = 10_000_000


def run_arrays(group: Group) -> Run:
    """The runs of a group as arrays ``[runs]``."""
    return Run(
        np.array([run.seed for run in group.runs], np.int32),
        np.array([run.shortcut_weight for run in group.runs], np.float32),
        np.array([run.learning_rate for run in group.runs], np.float32),
    )


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


def training(cell: Cell, config: Config, dataset: Dataset, block: OwnBlock | None) -> Training:
    """How each run of a cell is trained."""
    made = network(cell, config, dataset, block)
    blocks = sum(shape.blocks for shape in made.stages)
    optimizer = composition.optimizer(cell.variant, blocks)
    warms_up = cell.depth >= config.warmup_depth
    return Training(
        from_linen(made),
        lambda rate: optimizer(rate, config.weight_decay),
        composition.SCHEDULES[config.schedule](config.steps),
        config.batch_size,
        chunk_size(config),
        composition.augment(config),
        composition.warm_up(cell.variant) if warms_up else None,
        composition.SHORTCUT_SCHEDULES[cell.variant.shortcut_schedule](config.steps),
        running_statistics(config, dataset),
    )


def build(
    group: Group, config: Config, dataset: Dataset, block: OwnBlock | None, mesh: Mesh
) -> Population:
    """The population of a group, not compiled yet."""
    one = training(group.cell, config, dataset, block)
    data = Data(dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
    return Population(one, run_arrays(group), data, mesh, mapping.tile(config))


def footprint(
    cell: Cell, config: Config, dataset: Dataset, block: OwnBlock | None, mesh: Mesh
) -> Footprint:
    """The memory that a cell's runs take on a device, from shapes alone."""
    shapes = jax.eval_shape(lambda *arrays: Data(*arrays), *dataset[:4])
    one = training(cell, config, dataset, block)
    return population.footprint(one, shapes, mapping.tile(config))
