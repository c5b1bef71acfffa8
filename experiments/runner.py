"""The runner: from a command line to a finished work directory.

Everything that a user can get wrong is checked before JAX is imported.
"""

import hashlib
import inspect
import io
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments import commandline, environment
from experiments.config import Config
from experiments.errors import UserError
from experiments.store import Store, check_writable, settings_of
from experiments.validation import validate, validate_data

#: The studies that ``python -m experiments`` offers.
STUDIES = ("degradation",)

USAGE_ERROR, SYSTEM_ERROR, INTERRUPTED = 2, 1, 75


class Study(NamedTuple):
    """A question, as a grid of cells and what is drawn from it.

    Attributes:
      name: of the study, and of its module in this package.
      question: what it asks, for ``--help``.
      defaults: its configuration without flags.
      report: draws and prints what a work directory's tables say.
    """

    name: str
    question: str
    defaults: Config
    report: Callable[[pathlib.Path], None]


def command(
    name: str, question: str, defaults, act: Callable, argv: Sequence[str] | None = None
) -> int:
    """Runs ``act(config)`` for a command line, and turns what goes wrong into a line and a status.

    Args:
      name: of the command's module in this package.
      question: what the command is for.
      defaults: a dataclass; its fields are the flags.
      act: takes the configuration.
      argv: flags; those of the process by default.

    Returns:
      0; 2 after a mistake of the user's; 1 where the system fails, as without space or permission;
      75 after an interrupt.
    """
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode is no reason to fail
    try:
        if any(argument == "-h" or argument.startswith("--help") for argument in argv):
            print(commandline.help_text(f"experiments.{name}", question, defaults))
        else:
            act(commandline.parse(defaults, argv))
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"{name}: interrupted; finished cells are kept", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)  # XLA is still at work, and would crash an orderly exit
    except OSError as error:  # no space, no permission, a name too long ...
        print(f"{name}: {error}", file=sys.stderr)
        return SYSTEM_ERROR
    return 0


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
    act = lambda config: run(study, config, block, layers_per_block)
    return command(study.name, study.question, study.defaults, act, argv)


def run(study: Study, config: Config, block: Callable | None, layers_per_block: int) -> None:
    """Trains what is not trained yet, and reports.

    Raises:
      UserError: the study cannot be run as asked; nothing was trained.
    """
    from experiments import datasets  # NumPy comes with it

    workdir = pathlib.Path(config.workdir or f"runs/{study.name}")
    validate(config, layers_per_block if block else None)
    if block and config.family != "dense" and "stride" not in inspect.signature(block).parameters:
        raise UserError(f"--family={config.family}: its blocks need a field `stride`, an integer")
    check_writable(workdir)
    dataset = datasets.load(config.dataset, config.data_dir, config.holdout)
    settings = settings_of(config, _block_name(block, layers_per_block), datasets.digest(dataset))
    store = Store(workdir, study.name, settings)
    validate_data(config, dataset.x_train.shape[1:], len(dataset.x_train))
    import_jax(environment.usable_cores())
    from experiments import composition, sweep

    own = composition.OwnBlock(block, layers_per_block) if block else None
    sweep.train(study.name, config, dataset, own, store)
    study.report(workdir)


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


def import_jax(cores: int) -> None:
    """Imports JAX with every core as a device: runs lie side by side, not the parts of one run."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:  # an own block's module has made arrays already
        print("warning: JAX is in use already; its devices stay as they are", file=sys.stderr)
