"""Compiles and trains populations as studies do, on random data."""

import dataclasses

import measuring
import numpy as np
from measuring import Side

from experiments.lab.build import compilation
from experiments.lab.build.experiment import MEASUREMENTS, Experiment
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.data.datasets import Dataset
from resnet_jax import Counts

CLASSES = 10


def random_data(shape: tuple[int, ...], examples: int = 1500) -> Dataset:
    """Returns random examples of a shape, with a fifth as many in the test set."""
    random = np.random.RandomState(0)
    make = lambda count: (
        random.randn(count, *shape).astype(np.float32),
        random.randint(0, CLASSES, count).astype(np.int32),
    )
    return Dataset(*make(examples), *make(examples // 5), CLASSES, "random numbers")


def settings(depth: int, runs: int, chunk: int, **fields) -> Config:
    """Returns a study of one depth with chunks of ``chunk`` steps; of even runs, half are plain.

    Other fields are those of :class:`Config`.
    """
    weights = (1.0,) if runs % 2 else (0.0, 1.0)
    seeds, steps = runs // len(weights), chunk * MEASUREMENTS
    config = Config(depths=(depth,), num_seeds=seeds, shortcut_weights=weights, steps=steps)
    return dataclasses.replace(config, learning_rates=(0.001,), schedule="constant", **fields)


class Trainee:
    """Trains a group of runs.

    Attributes:
      counts: layers, parameters and multiply-adds of its network.
      runs: number of runs.
      compile_seconds: seconds of compilation of its programs.
      chunk: number of steps of a call.
    """

    def __init__(self, config: Config, dataset: Dataset, begin: bool = True):
        """Compiles the programs, and takes the first step if ``begin`` is true."""
        (cell,) = grid.cells(config)
        group = Group(cell, tuple(grid.runs(config, cell)))
        experiment = Experiment(config, dataset)
        self.counts: Counts = experiment.counts(cell)
        self.runs, self.chunk = len(group.runs), experiment.chunk
        compiled = compilation.compile_group(group, experiment)
        self.compile_seconds, self._advance = compiled.compile_seconds, compiled.advance
        self._states = self._advance(None, 1, False)[0] if begin else None

    def step_seconds(self, steps: int | None = None) -> float:
        """Returns the mean seconds of the next steps, each of all runs."""
        steps = steps or self.chunk

        def advance():
            self._states, _ = self._advance(self._states, steps, False)
            return self._states

        return measuring.seconds_of(advance) / steps

    def side(self, name: str, batch: int, units: float = 1.0, steps: int | None = None) -> Side:
        """Returns a side whose unit of work is the fraction ``units`` of a step of all runs.

        Operations are counted by formula: 6 for each multiply-add and example (forward, and twice
        backward).  The bytes that must be moved are weights and momenta, read and written.
        """
        share = self.runs * units
        return Side(
            name,
            lambda: units * self.step_seconds(steps),
            6.0 * self.counts.multiply_adds * batch * share,
            16.0 * self.counts.parameters * share,
            first=self.compile_seconds,
        )
