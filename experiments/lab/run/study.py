"""Defines a study: a question, the grid of runs that answers it, and the way from flags to report.

Everything that a user can get wrong is checked before JAX is imported.
"""

import dataclasses
import importlib
import inspect
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.lab.build.readings import Reading
from experiments.lab.config import commandline, grid
from experiments.lab.config.config import Config
from experiments.lab.config.validation import validate, validate_data
from experiments.lab.run.command import INCOMPLETE, command
from experiments.lab.store.layout import check_writable, free_directory
from experiments.lab.store.manifest import settings_of
from experiments.lab.store.store import Store
from experiments.lab.system import environment, lock
from experiments.lab.system.errors import UserError
from experiments.lab.system.interrupts import Interrupts
from experiments.lab.system.startup import import_jax

if TYPE_CHECKING:
    from experiments.lab.build.experiment import Experiment
    from experiments.lab.data.datasets import Dataset
    from experiments.lab.report.presentation import Presentation
    from experiments.lab.store.results import Results


def later(module: str, name: str) -> Callable:
    """Returns a function whose module is imported only when the function is first called.

    So a study can name functions that need JAX, pandas or Matplotlib without slowing ``--help``.
    """

    def call(*args):
        return getattr(importlib.import_module(module), name)(*args)

    return call


class Study(NamedTuple):
    """Describes a question, as a grid of cells and what is drawn from it.

    Attributes:
      name: name of the study, and of its package in :mod:`experiments`.
      question: the text of ``--help``; its first line is the question.
      defaults: configuration without flags.
      report: pure function from the tables of a work directory to their presentation.
      reading: what the study reads in addition to losses and errors; None for nothing.
      problems: function to a line for each setting that makes no sense for the study.
      of_family: by family, the fields whose defaults differ from ``defaults``.
    """

    name: str
    question: str
    defaults: Config
    report: "Callable[[Results], Presentation]"
    reading: Reading | None = None
    problems: Callable[[Config], Iterable[str]] = lambda _: ()
    of_family: Mapping[str, Mapping[str, Any]] = {}

    def configuration(self, argv: Sequence[str]) -> Config:
        """Returns the configuration that flags ask for.

        Raises:
          UserError: see :func:`experiments.lab.config.commandline.parse`.
        """
        family = commandline.parse(self.defaults, argv).family
        others = self.of_family.get(family, {})
        return commandline.parse(dataclasses.replace(self.defaults, **others), argv)

    def tell(self, workdir: pathlib.Path) -> None:
        """Writes summary.csv, figures/ and report.html of a work directory; prints the findings.

        Raises:
          UserError: the directory holds no results.
        """
        from experiments.lab.report import terminal
        from experiments.lab.report.presentation import publish
        from experiments.lab.store.results import Results

        publish(workdir, self.report(Results(workdir, terminal.warn)))

    def main(
        self,
        argv: Sequence[str] | None = None,
        block: Callable | None = None,
        layers_per_block: int = 2,
    ) -> int:
        """Runs the study as a command, and returns its exit status.

        Args:
          argv: flags; by default those of the process.
          block: custom block, which replaces the family's: a Linen module with the fields and the
            call of :class:`resnet_jax.Block`.
          layers_per_block: number of weight layers on its main path.
        """
        act = lambda config, interrupts: run(self, config, interrupts, block, layers_per_block)
        return command(self.name, self.question, self.defaults, act, argv, self.configuration)


def run(
    study: Study,
    config: Config,
    interrupts: Interrupts,
    block: Callable | None,
    layers_per_block: int,
) -> int:
    """Trains the runs that have no results yet, and reports; returns the exit status.

    Raises:
      UserError: the study cannot be run as asked; nothing was trained.
    """
    from experiments.lab.data import datasets

    _check(study, config, block, layers_per_block)
    workdir = pathlib.Path(config.workdir or f"runs/{study.name}")
    if config.fresh:
        workdir = _fresh(study.name, workdir, interrupts, config.dry_run)
    if not config.dry_run:
        check_writable(workdir)
        lock.check(workdir)
    dataset = datasets.load(config.dataset, config.data_dir, config.holdout, config.examples)
    validate_data(config, dataset.x_train.shape[1:], len(dataset.x_train))
    start = lambda: _start(config, dataset, block, layers_per_block)
    # Only JAX can check a custom block; everything else is checked before it is imported.
    experiment = start() if block else None
    identity = experiment.block.identity if experiment and experiment.block else ""
    settings = settings_of(config, identity, datasets.digest(dataset))
    store = Store(workdir, study.name, settings, grid.all_runs(config), looks=config.dry_run)
    experiment = experiment or start()
    return (_predict if config.dry_run else _train)(study, experiment, store, interrupts)


def _start(config: Config, dataset: "Dataset", block: Callable | None, layers: int) -> "Experiment":
    """Imports JAX, and returns the experiment; a custom block in it has its identity.

    Raises:
      UserError: JAX cannot be started as asked, or the block breaks its contract.
    """
    import_jax(environment.usable_cores(), config.compilation_cache, config.matmul_precision)
    from experiments.lab.build import contract
    from experiments.lab.build.composition import OwnBlock
    from experiments.lab.build.experiment import Experiment

    if not block:
        return Experiment(config, dataset)
    own = OwnBlock(block, layers)
    identity = contract.identity(Experiment(config, dataset, own))
    return Experiment(config, dataset, dataclasses.replace(own, identity=identity))


def _check(study: Study, config: Config, block: Callable | None, layers_per_block: int) -> None:
    """Raises :class:`UserError` if a configuration or a custom block makes no sense."""
    validate(config, layers_per_block if block else None)
    for problem in study.problems(config):
        raise UserError(problem)
    images = config.of_family.convolutional
    if block and images and "stride" not in inspect.signature(block).parameters:
        raise UserError(f"--family={config.family}: its blocks need a field `stride`, an integer")


def _predict(study: Study, experiment: "Experiment", store: Store, interrupts: Interrupts) -> int:
    """Prints what a study would cost."""
    from experiments.lab.run import dryrun

    dryrun.tell(study.name, experiment, store, interrupts)
    return 0


def _train(study: Study, experiment: "Experiment", store: Store, interrupts: Interrupts) -> int:
    """Trains missing runs, and reports; prints which failed for lack of memory."""
    from experiments.lab.run import sweep

    def report() -> None:
        try:
            study.tell(store.path)
        except Exception as error:
            safe = f"the results are safe in {store.path}"
            error.add_note(f"{safe}; the same command draws them again")
            raise

    sweep.train(study.name, experiment, store, interrupts, report, study.reading)
    for group, why in store.failures.items():
        print(
            f"{study.name}: depth {group.cell.depth}: {len(group.runs)} runs have no results: "
            f"{why}; --retry_failed tries again",
            file=sys.stderr,
        )
    return INCOMPLETE if store.failures else 0


def _fresh(name: str, workdir: pathlib.Path, interrupts: Interrupts, dry: bool) -> pathlib.Path:
    """Returns the new directory in which a study starts over; prints how to continue there."""
    free = free_directory(workdir.absolute())
    if dry:
        return free
    go_on = f"--workdir={free} without --fresh goes on from here"
    interrupts.line = f"{name}: interrupted; the same command with {go_on}"
    print(f"{name}: starts over in {free}; the same command with {go_on}", file=sys.stderr)
    return free
