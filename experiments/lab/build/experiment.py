"""Defines the experiment: one frozen value that holds what a study trains, and builds its cells."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.lab.build import composition, mapping
from experiments.lab.build.composition import OwnBlock
from experiments.lab.config import vocabulary
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Cell, Group
from experiments.lab.data.datasets import Dataset
from resnet_jax.nn import counting
from resnet_jax.nn.counting import Counts
from resnet_jax.nn.functional import from_linen
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training import population
from resnet_jax.training.population import Footprint, Population, runs_mesh
from resnet_jax.training.run import Data, Run, Training

#: The number of measurements of a run, not counting the one before its first step.
MEASUREMENTS = 6

#: The intended duration of one call of a compiled program, so that progress moves and interrupts
#: are handled; how a training is cut into calls changes none of its bits.
CALL_SECONDS = 1.0

#: Measurements use running statistics, unless a flag says otherwise, if the training images hold
#: more numbers than this.
LARGE_TRAINING_SET = 10_000_000


@dataclasses.dataclass(frozen=True, eq=False)  # compared by identity, since it holds arrays
class Experiment:
    """Holds what a study trains, and on which devices.

    Attributes:
      config: the configuration that was asked for.
      dataset: the data set that it names.
      block: a custom block; None for the family's.
      mesh: the device mesh, with one axis over runs.
    """

    config: Config
    dataset: Dataset
    block: OwnBlock | None = None
    mesh: Mesh = dataclasses.field(default_factory=runs_mesh)

    def but(self, **changes: Any) -> "Experiment":
        """Returns the same experiment with other fields of its configuration."""
        return dataclasses.replace(self, config=dataclasses.replace(self.config, **changes))

    @property
    def devices(self) -> list[jax.Device]:
        """Returns the devices that share the runs."""
        return list(self.mesh.devices.flat)

    @property
    def tile(self) -> int | None:
        """Returns how many runs are vectorised at a time on a device; None for all of them."""
        return mapping.tile(self.config)

    @property
    def measuring_stride(self) -> int:
        """Returns the number of steps from one measurement to the next."""
        return max(1, -(-self.config.steps // MEASUREMENTS))

    @property
    def chunk(self) -> int:
        """Returns the most steps of a call of the compiled program; it shuffles for that many."""
        return min(self.measuring_stride, 256)

    @property
    def running_statistics(self) -> bool:
        """Returns whether measurements use running averages, not the whole set's statistics."""
        if self.config.statistics == "auto":
            return self.dataset.x_train.size > LARGE_TRAINING_SET
        return self.config.statistics == "running"

    def depths_up_to(self, depth: int) -> Sequence[int]:
        """Returns the possible depths, up to ``depth``, of networks of the same blocks."""
        family = self.config.of_family
        own = self.block.layers if self.block else 0
        return family.depths_up_to(depth, own or family.layers(self.config.block_at(depth)))

    def network(self, cell: Cell) -> ResidualNetwork:
        """Builds the network of a cell."""
        shape, classes = self.dataset.x_train.shape[1:], self.dataset.classes
        return composition.network(
            self.config, cell.depth, cell.variant, shape, classes, self.block
        )

    def counts(self, cell: Cell) -> Counts:
        """Counts layers, parameters and multiply-adds of a cell's network, from shapes alone."""
        example = jax.ShapeDtypeStruct((1, *self.dataset.x_train.shape[1:]), np.float32)
        return counting.count(self.network(cell), example)

    def training(self, cell: Cell, network: ResidualNetwork | None = None) -> Training:
        """Composes the training of each run of a cell, of its network if that is built already."""
        network, config, variant = network or self.network(cell), self.config, cell.variant
        optimizer = composition.optimizer(variant, sum(shape.blocks for shape in network.stages))
        warms_up = cell.depth >= config.warmup_depth
        shortcut_schedule = vocabulary.SHORTCUT_SCHEDULES.value(variant.shortcut_schedule)
        return Training(
            from_linen(network),
            lambda rate: optimizer(rate, config.weight_decay),
            vocabulary.SCHEDULES.value(config.schedule)(config.steps),
            config.batch_size,
            self.chunk,
            composition.augment(config),
            composition.warm_up(variant) if warms_up else None,
            shortcut_schedule(config.steps) if shortcut_schedule else None,
            self.running_statistics,
        )

    def population(self, group: Group, training: Training | None = None) -> Population:
        """Returns the runs of a group, on the devices, as a population that is not compiled yet."""
        data, training = Data(*self.dataset[:4]), training or self.training(group.cell)
        return Population(training, runs_of(group), data, self.mesh, self.tile)

    def footprint(self, cell: Cell) -> Footprint:
        """Predicts the memory that a cell's runs take on a device, from shapes alone."""
        shapes = jax.eval_shape(lambda *arrays: Data(*arrays), *self.dataset[:4])
        return population.footprint(self.training(cell), shapes, self.tile)


def runs_of(group: Group) -> Run:
    """Returns the runs of a group as arrays ``[runs]``."""
    return Run(
        np.array([run.seed for run in group.runs], np.int32),
        np.array([run.shortcut_weight for run in group.runs], np.float32),
        np.array([run.learning_rate for run in group.runs], np.float32),
    )
