"""The runner: from a command line to a finished work directory.

Everything that a user can get wrong is checked before JAX is imported.
"""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import inspect
import io
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments import commandline, environment, grid, lock, programs
from experiments.config import Config
from experiments.errors import UserError, printable
from experiments.interrupts import STATUS as INTERRUPTED
from experiments.interrupts import Interrupted, Interrupts
from experiments.manifest import settings_of
from experiments.store import Store, check_writable, free_directory
from experiments.validation import validate, validate_data

if TYPE_CHECKING:
    from experiments.readings import Reading

#: The studies that ``python -m experiments`` offers.
STUDIES = (
    "degradation",
    "propagation",
    "dynamics",
    "shortcut_strength",
    "lesion",
    "landscape",
    "trainable_depth",
    "depth_transfer",
)

#: The statuses that a command leaves with, besides 0, and 75 after an interrupt.
SYSTEM_ERROR, USAGE_ERROR, INCOMPLETE, INTERNAL_ERROR = 1, 2, 3, 70

STATUSES = f"""exit status:
  0   done
  {SYSTEM_ERROR}   the system failed, as without space or permission; the same command goes on
  {USAGE_ERROR}   a mistake in what was asked for; one line says how to mend it
  {INCOMPLETE}   done, but for runs that failed for want of memory
  {INTERNAL_ERROR}  a mistake in this program or in a block of one's own; --debug shows where
  {INTERRUPTED}  interrupted; the same command goes on from there"""


class Study(NamedTuple):
    """A question, as a grid of cells and what is drawn from it.

    Attributes:
      name: of the study, and of its module in this package.
      question: what it asks, for ``--help``.
      defaults: its configuration without flags.
      report: draws and prints what a work directory's tables say.
      reading: makes what the study reads besides losses and errors; None for nothing.
      problems: a line for each thing in a configuration that makes no sense for the study.
      of_family: what its configuration is without flags in other families, by field.
    """

    name: str
    question: str
    defaults: Config
    report: Callable[[pathlib.Path], None]
    reading: "Callable[[], Reading] | None" = None  # called when JAX may be imported
    problems: Callable[[Config], Iterable[str]] = lambda _: ()
    of_family: Mapping[str, Mapping[str, Any]] = {}

    def configuration(self, argv: Sequence[str]) -> Config:
        """What flags ask for.

        Raises:
          UserError: see :func:`experiments.commandline.parse`.
        """
        family = commandline.parse(self.defaults, argv).family
        others = self.of_family.get(family, {})
        return commandline.parse(dataclasses.replace(self.defaults, **others), argv)


def command(
    name: str,
    question: str,
    defaults,
    act: Callable,
    argv: Sequence[str] | None = None,
    parse: Callable[[Sequence[str]], Any] | None = None,
) -> int:
    """Runs a command, and turns what goes wrong into a line and a status.

    Args:
      name: of the command's module in this package.
      question: what the command is for.
      defaults: a dataclass; its fields are the flags.
      act: takes the configuration and the interrupts to heed; may return a status.
      argv: flags; those of the process by default.  ``--debug`` shows where an error came from.
      parse: flags to the configuration; by default the flags over ``defaults``.

    Returns:
      The exit status, as in :data:`STATUSES`; after an interrupt the process ends here.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode is no reason to fail
    interrupts = Interrupts(f"{name}: interrupted; the same command goes on from here")
    try:
        with interrupts.heard(), _leaving(interrupts):
            if any(argument == "-h" or argument.startswith("--help") for argument in argv):
                print(commandline.help_text(f"experiments.{name}", question, defaults))
                print(f"\n{STATUSES}")
                return 0
            words = [word for word in argv if word != "--debug"]
            config = parse(words) if parse else commandline.parse(defaults, words)
            return act(config, interrupts) or 0
    except Exception as error:
        if debug:
            raise
        status, line = _verdict(error)
        print(f"{name}: {printable(line)}", file=sys.stderr)
        return status


@contextlib.contextmanager
def _leaving(interrupts: Interrupts) -> Iterator[None]:
    """Ends the process where the block was interrupted."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        interrupts.leave()


def _verdict(error: Exception) -> tuple[int, str]:
    """The exit status that an error deserves, and what to say of it."""
    if isinstance(error, UserError):
        return USAGE_ERROR, f"{error}"
    if isinstance(error, OSError):  # no permission, a name too long ...
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return SYSTEM_ERROR, f"{error}; free some, and the same command goes on from here"
        return SYSTEM_ERROR, f"{error}"
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    where = f"{pathlib.Path(frame.f_code.co_filename).name}:{line}"
    what = f"{type(error).__name__} in {where}: {error}"
    return INTERNAL_ERROR, f"{what[:300]}; this should not happen: --debug shows where it does"


def main(
    study: Study,
    argv: Sequence[str] | None = None,
    block: Callable | None = None,
    layers_per_block: int = 2,
) -> int:
    """Runs a study as a command; returns its exit status.

    Args:
      study: what to run.
      argv: flags; those of the process by default.
      block: a block to put in the place of the family's, a Linen module with the fields and the
        call of :class:`resnet_jax.Block`.
      layers_per_block: weight layers on its main path.
    """
    act = lambda config, interrupts: run(study, config, interrupts, block, layers_per_block)
    return command(study.name, study.question, study.defaults, act, argv, study.configuration)


def run(
    study: Study,
    config: Config,
    interrupts: Interrupts,
    block: Callable | None,
    layers_per_block: int,
) -> int:
    """Trains what is not trained yet, and reports; returns the exit status.

    Raises:
      UserError: the study cannot be run as asked; nothing was trained.
    """
    from experiments import datasets  # NumPy comes with it

    workdir = pathlib.Path(config.workdir or f"runs/{study.name}")
    validate(config, layers_per_block if block else None)
    for problem in study.problems(config):
        raise UserError(problem)
    if block and config.family != "dense" and "stride" not in inspect.signature(block).parameters:
        raise UserError(f"--family={config.family}: its blocks need a field `stride`, an integer")
    if config.fresh:
        workdir = _fresh(study.name, workdir, interrupts, config.dry_run)
    if not config.dry_run:
        check_writable(workdir)
        lock.check(workdir)
    dataset = datasets.load(config.dataset, config.data_dir, config.holdout, config.examples)
    settings = settings_of(config, _block_name(block, layers_per_block), datasets.digest(dataset))
    store = Store(workdir, study.name, settings, grid.all_runs(config), looks=config.dry_run)
    validate_data(config, dataset.x_train.shape[1:], len(dataset.x_train))
    import_jax(environment.usable_cores(), config.compilation_cache, config.matmul_precision)
    from experiments import composition, sweep

    own = composition.OwnBlock(block, layers_per_block) if block else None
    if config.dry_run:
        from experiments import dryrun

        dryrun.tell(study.name, config, dataset, own, store, interrupts)
        return 0
    report = lambda: study.report(workdir)
    reading = study.reading() if study.reading else None
    sweep.train(study.name, config, dataset, own, store, interrupts, report, reading)
    for group, why in store.failures.items():
        print(
            f"{study.name}: depth {group.cell.depth}: {len(group.runs)} runs have no results: "
            f"{why}; --retry_failed tries again",
            file=sys.stderr,
        )
    return INCOMPLETE if store.failures else 0


def _fresh(name: str, workdir: pathlib.Path, interrupts: Interrupts, dry: bool) -> pathlib.Path:
    """Where a study starts over, and how it goes on from there."""
    free = free_directory(workdir.absolute())
    if dry:
        return free
    go_on = f"--workdir={free} without --fresh goes on from here"
    interrupts.line = f"{name}: interrupted; the same command with {go_on}"
    print(f"{name}: starts over in {free}; the same command with {go_on}", file=sys.stderr)
    return free


def _block_name(block: Callable | None, layers: int) -> str:
    """What tells one block from another, in the settings that a work directory belongs to."""
    if block is None:
        return ""
    named = block if inspect.isclass(block) or inspect.isfunction(block) else type(block)
    source = "".join(map(_source, inspect.getmro(named) if inspect.isclass(named) else [named]))
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return f"{named.__qualname__} {digest}, {layers} layers"


def _source(code: Callable) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):  # built in, or typed at a prompt
        return repr(code)


def import_jax(
    cores: int, compilation_cache: str = "none", matmul_precision: str = "default"
) -> None:
    """Imports JAX with every core as a device: runs lie side by side, not the parts of one run.

    Args:
      cores: how many there are.
      compilation_cache: see :func:`experiments.programs.directory`.
      matmul_precision: of float32 products and convolutions, as JAX names it; ``"default"`` is
        JAX's own, or what the user told it (``JAX_DEFAULT_MATMUL_PRECISION``).

    Raises:
      UserError: programs cannot be kept where they were asked to be.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    kept = programs.directory(compilation_cache)
    if kept:
        programs.keep(kept)
    import jax

    if compilation_cache == "none":
        jax.config.update("jax_enable_compilation_cache", False)
    # Of the whole process: programs are compiled in another thread than this one.
    asked = _own_matmul_precision() if matmul_precision == "default" else matmul_precision
    jax.config.update("jax_default_matmul_precision", asked)
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:  # an own block's module has made arrays already
        print("warning: JAX is in use already; its devices stay as they are", file=sys.stderr)


@functools.cache
def _own_matmul_precision() -> str | None:
    """What JAX or its user had chosen before the first study of this process."""
    import jax

    return jax.config.jax_default_matmul_precision
