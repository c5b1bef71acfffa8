"""Defines the layout of a work directory; no other module knows which file lies where.

    config.json       what was asked for           results.csv   a row a run
    environment.json  what it ran on               history.csv   a row a run, step and metric
    timings.csv       seconds, a row a group       checksums.txt of the tables, as by sha256sum
    *.readings.csv    further measurements of some studies, a row a run, step and place
    summary.csv, figures/, report.html  made from the tables, and what else a study draws

    records/          the results of each group of runs, from which the tables are made
    checkpoints/      states of unfinished groups
    damaged/          files that were found damaged, set aside
    lock              which process uses the directory

A record appears once, complete, or not at all.  Tables are written after it, and their checksums
last; if a crash comes between, or a table is damaged, they are made again from the records.
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

#: The ending of the names of tables that only some studies have.
READINGS = ".readings.csv"
RECORDS, CHECKPOINTS, DAMAGED = "records", "checkpoints", "damaged"
DONE, FAILED = ".record", ".failed"

Say = Callable[[str], None]  # prints a line for the user


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file atomically: it is complete, or as it was before."""
    files.write_bytes(path, text.encode())


def check_writable(path: pathlib.Path) -> None:
    """Raises :class:`UserError` if a directory cannot be made or written in."""
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
    """Returns the directory; if it is not empty, the first free one numbered after it."""
    number, candidate = 1, path
    while candidate.exists() and not is_empty(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def write_if_new(path: pathlib.Path, text: str) -> None:
    """Writes a file unless it already has exactly this content."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == text.encode():
            return
    write_text(path, text)


def is_empty(path: pathlib.Path) -> bool:
    """Returns whether a directory holds nothing but what a starting process leaves there."""
    return path.is_dir() and all(
        files.is_part(file) or (file.name == lock.NAME and lock.is_ours(path))
        for file in path.iterdir()
    )


def read_records(
    directory: pathlib.Path, damaged: Callable[[pathlib.Path, str], None]
) -> Iterator[tuple[pathlib.Path, Record]]:
    """Yields the path of each record of a work directory, and the record.

    Args:
      directory: work directory of a study.
      damaged: function called with the path of each damaged file, and the reason.
    """
    for path in sorted((directory / RECORDS).glob("*.*")):
        if path.suffix in (DONE, FAILED):
            try:
                yield path, records.decode(sealed.read_at_most(path, records.MOST_BYTES))
            except ContentError as error:
                damaged(path, str(error))
