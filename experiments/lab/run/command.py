"""Runs a command: parses flags, returns an exit status, and prints one line for any error."""

import contextlib
import errno
import io
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experiments.lab.config import commandline
from experiments.lab.system.errors import UserError, printable
from experiments.lab.system.interrupts import STATUS as INTERRUPTED
from experiments.lab.system.interrupts import Interrupted, Interrupts

#: The exit statuses of a command, in addition to 0, and 75 after an interrupt.
SYSTEM_ERROR, USAGE_ERROR, INCOMPLETE, INTERNAL_ERROR = 1, 2, 3, 70

EXIT_STATUSES = f"""exit status:
  0   done
  {SYSTEM_ERROR}   the system failed, as without space or permission; the same command goes on
  {USAGE_ERROR}   a mistake in what was asked for; one line says how to mend it
  {INCOMPLETE}   done, but for runs that failed for want of memory
  {INTERNAL_ERROR}  a mistake in this program or in a block of one's own; --debug shows where
  {INTERRUPTED}  interrupted; the same command goes on from there"""


def command(
    name: str,
    question: str,
    defaults,
    act: Callable,
    argv: Sequence[str] | None = None,
    parse: Callable[[Sequence[str]], Any] | None = None,
) -> int:
    """Runs a command, and turns errors into a line and a status.

    Args:
      name: name of the command's module in this package.
      question: what the command is for.
      defaults: dataclass instance; its fields are the flags.
      act: function of the configuration and of the interrupts to obey; may return a status.
      argv: flags; by default those of the process.  ``--debug`` shows where an error came from.
      parse: function from flags to the configuration; by default flags override ``defaults``.

    Returns:
      The exit status, as in :data:`EXIT_STATUSES`; after an interrupt the process ends here.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    _take_any_terminal()
    interrupts = Interrupts(f"{name}: interrupted; the same command goes on from here")
    try:
        with interrupts.heard(), _leaving(interrupts):
            if any(argument in ("-h", "-help") or argument[:6] == "--help" for argument in argv):
                # python -OO leaves no docstrings, and so no question.
                told = commandline.help_text(f"experiments.{name}", question or name, defaults)
                return show_help(f"{told}\n\n{EXIT_STATUSES}")
            words = [word for word in argv if word != "--debug"]
            config = parse(words) if parse else commandline.parse(defaults, words)
            return act(config, interrupts) or 0
    except Exception as error:
        if debug:
            raise
        return _tell(name, error)


def show_help(text: str) -> int:
    """Prints a text, as far as anybody reads it; returns the exit status."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as of "| head"; nor may Python write the rest when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _tell(name: str, error: Exception) -> int:
    """Prints the line for an error, and the error's notes; returns the exit status."""
    status, line = _verdict(error)
    for said in (line, *getattr(error, "__notes__", ())):
        print(f"{name}: {printable(said)}", file=sys.stderr)
    return status


def _take_any_terminal() -> None:
    """Replaces characters that a terminal without Unicode cannot show, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def _leaving(interrupts: Interrupts) -> Iterator[None]:
    """Ends the process if the block was interrupted."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        interrupts.leave()


def _verdict(error: Exception) -> tuple[int, str]:
    """Returns the exit status of an error, and the line to print for it."""
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
