"""The layout of a work directory: the only module that knows what lies where in it.

    config.json       what was asked for           results.csv   a row a run
    environment.json  what it ran on               history.csv   a row a run, step and metric
    timings.csv       seconds, a row a group       checksums.txt of the tables, as sha256sum has it
    *.readings.csv    what some studies read besides, a row a run, step and place
    summary.csv, figures/, report.html  drawn from them, and what else a study draws

    records/          what came out of each group of runs: the truth that the tables are made from
    checkpoints/      where unfinished groups stand
    damaged/          what was found damaged, set aside
    lock              who is at work here

A record appears once, whole, or not at all.  Tables follow it, their checksums last; where a crash
came between, or a table was damaged, they are made again from the records.
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

from experiments.lab.store import records
from experiments.lab.store.records import Record
from experiments.lab.system import files, lock, sealed
from experiments.lab.system.errors import ContentError, UserError

RESULTS, HISTORY, TIMINGS, CHECKSUMS = "results.csv", "history.csv", "timings.csv", "checksums.txt"
SUMMARY, REPORT, FIGURES = "summary.csv", "report.html", "figures"
ENVIRONMENT = "environment.json"

#: What the names of the tables end with that only some studies have.
READINGS = ".readings.csv"
RECORDS, CHECKPOINTS, DAMAGED = "records", "checkpoints", "damaged"
DONE, FAILED = ".record", ".failed"

Say = Callable[[str], None]  # takes a line for the user


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file so that it is there whole, or as it was before."""
    files.write_bytes(path, text.encode())


def check_writable(path: pathlib.Path) -> None:
    """Raises :class:`UserError` where a directory cannot be made, or cannot be written in."""
    try:
        if any(parent.is_file() for parent in [path, *path.parents]):
            raise UserError(f"--workdir={path}: a file is in the way; name another directory")
        nearest = next(parent for parent in [path, *path.parents] if parent.exists())
        inside = [path / name for name in (RECORDS, CHECKPOINTS, DAMAGED, FIGURES)]
        for directory in (nearest, *(each for each in inside if each.exists())):
            if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
                raise UserError(f"--workdir={path}: no permission to write in {directory}")
    except OSError as error:
        raise UserError(f"--workdir={path}: {error.strerror}; name another directory") from None


def free_directory(path: pathlib.Path) -> pathlib.Path:
    """The directory, or if it holds something already, the first of those numbered after it."""
    number, candidate = 1, path
    while candidate.exists() and not is_empty(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def write_if_new(path: pathlib.Path, text: str) -> None:
    """Writes a file unless it is there with this very content."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == text.encode():
            return
    write_text(path, text)


def is_empty(path: pathlib.Path) -> bool:
    """Whether there is nothing in a directory but what a process at its start leaves."""
    return path.is_dir() and all(
        files.is_part(file) or (file.name == lock.NAME and lock.is_ours(path))
        for file in path.iterdir()
    )


def read_records(
    directory: pathlib.Path, damaged: Callable[[pathlib.Path, str], None]
) -> Iterator[tuple[pathlib.Path, Record]]:
    """The records of a work directory, and where they lie.

    Args:
      directory: of a study.
      damaged: is told of each file that is none, and why.
    """
    for path in sorted((directory / RECORDS).glob("*.*")):
        if path.suffix in (DONE, FAILED):
            try:
                yield path, records.decode(sealed.read_at_most(path, records.MOST_BYTES))
            except ContentError as error:
                damaged(path, str(error))
