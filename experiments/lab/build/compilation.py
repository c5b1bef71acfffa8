"""Compiles the programs of a group: one that trains its runs, and one that reads them."""

import time
from collections.abc import Callable, Collection
from typing import NamedTuple

import jax

from experiments.lab.build.experiment import Experiment
from experiments.lab.build.readings import Reading
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.system import programs
from resnet_jax.training.population import Population

Options = dict[str, str | bool]

#: LLVM's optimisation level 1 compiles a quarter faster than level 3, the backend's default.
_FIRST_LEVEL: dict[str, Options] = {"cpu": {"xla_backend_optimization_level": "1"}}

#: By backend, the options that make programs reproducible bit by bit; other backends need none.  On
#: GPUs they exclude operations that add up in any order, and choose kernels without timing them,
#: since the next compilation could choose others (``xla_gpu_exclude_nondeterministic_ops`` does
#: only the former).
_DETERMINISTIC: dict[str, Options] = {"gpu": {"xla_gpu_deterministic_ops": True}}


class CompiledGroup(NamedTuple):
    """Holds a group ready to train: ``advance`` is its program (:meth:`Population.compile`).

    ``read`` takes the study's readings (:meth:`Population.compile_reading`) at the steps ``at``.
    """

    group: Group
    population: Population
    advance: Callable
    compile_seconds: float
    read: Callable = lambda _: {}
    at: Collection[int] = ()


def compile_group(
    group: Group, experiment: Experiment, reading: Reading | None = None
) -> CompiledGroup:
    """Compiles the programs of a group, and seals those that the compilation cache keeps."""
    start, config = time.perf_counter(), experiment.config
    network = experiment.network(group.cell)
    training = experiment.training(group.cell, network)
    population = experiment.population(group, training)
    advance = population.compile(training_options(config), brief_options(config))
    ready = CompiledGroup(group, population, advance, 0.0)
    if reading is not None:
        of_run = reading.of(network, training, config)
        read = population.compile_reading(of_run, brief_options(config))
        ready = ready._replace(read=read, at=reading.at(config))
    programs.seal_new()
    return ready._replace(compile_seconds=time.perf_counter() - start)


def training_options(config: Config) -> Options | None:
    """Returns the compiler's options for programs that train.

    On CPU, optimisation level 1 also makes programs of dense layers run a tenth faster; those of
    convolutions would be 7 % slower, and keep level 3.
    """
    return _options(config, first_level=not config.of_family.convolutional)


def brief_options(config: Config) -> Options | None:
    """Returns the compiler's options for programs that run once or a few times, in all families.

    Without optimisation, the program that draws initial weights would take 4 to 12 times as long,
    which is more than its compilation would save.
    """
    return _options(config, first_level=True)


def _options(config: Config, first_level: bool) -> Options | None:
    backend, options = jax.default_backend(), Options()
    # Where the user, or a test, has asked for as few optimisations as possible, the level stays.
    if first_level and not jax.config.read("jax_disable_most_optimizations"):
        options |= _FIRST_LEVEL.get(backend, {})
    if config.deterministic:
        options |= _DETERMINISTIC.get(backend, {})
    return options or None
