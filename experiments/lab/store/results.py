"""Results as reports read them, from a work directory that is finished or not."""

import functools
import hashlib
import io
import pathlib
from collections.abc import Callable, Sequence

import pandas as pd

from experiments.lab.store import layout, manifest, records, tables
from experiments.lab.store.records import Record
from experiments.lab.system import sealed
from experiments.lab.system.errors import ContentError, UserError

_MOST_CHECKSUMS = 10_000


def tables_of(workdir: pathlib.Path, say: layout.Say) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The results and the history of a work directory, for its report.

    Where a table is damaged and there are records, these are read instead.

    Args:
      workdir: finished or not, or one that holds no more than the tables.
      say: tells the user what was damaged.

    Raises:
      UserError: there are none, or they are damaged.
    """
    damaged = lambda path, why: say(f"warning: {path} is damaged ({why}), and left out")
    try:
        text = _sound_tables(workdir)
    except ContentError as error:
        found = [
            record for _, record in layout.read_records(workdir, damaged) if not record.failure
        ]
        if not found:
            raise UserError(f"--workdir={workdir}: {error}") from None
        say(f"warning: {workdir}: {error}; its records are read instead")
        text = _from_records(found)
    frames = [pd.read_csv(io.StringIO(of_table)) for of_table in text]
    return frames[0], frames[1]


def readings_of(workdir: pathlib.Path, name: str, say: layout.Say) -> pd.DataFrame:
    """A table that the study reads besides, from its file or else from the records.

    Args:
      workdir: finished or not.
      name: of the table.
      say: tells the user what was damaged.

    Raises:
      UserError: there is none, or it is damaged.
    """
    try:
        text = _sound(
            workdir, f"{name}{layout.READINGS}", lambda rows: tables.read_further(name, rows)
        )
    except ContentError as error:
        damaged = lambda path, why: say(f"warning: {path} is damaged ({why}), and left out")
        found = [record for _, record in layout.read_records(workdir, damaged)]
        rows = [row for record in found for row in record.readings.get(name, ())]
        if not rows:
            raise UserError(f"--workdir={workdir}: {error}") from None
        say(f"warning: {workdir}: {error}; its records are read instead")
        text = tables.text(rows)
    return pd.read_csv(io.StringIO(text))


def _sound_tables(workdir: pathlib.Path) -> list[str]:
    """The results and the history as text, checked against their checksums if there are any.

    Raises:
      ContentError: one is missing or damaged.
    """
    if not (workdir / layout.RESULTS).exists():
        raise ContentError("has no finished runs to report on yet")
    return [
        _sound(workdir, name, functools.partial(tables.read, columns=columns))
        for name, columns in ((layout.RESULTS, tables.RESULTS), (layout.HISTORY, tables.HISTORY))
    ]


def _sound(workdir: pathlib.Path, name: str, read: Callable[[bytes], list[dict]]) -> str:
    """A table as text, checked against its checksum if there is one, and by ``read``."""
    sums = {}
    if (workdir / layout.CHECKSUMS).exists():
        said = sealed.read_at_most(workdir / layout.CHECKSUMS, _MOST_CHECKSUMS).decode(
            errors="replace"
        )
        sums = {line[66:]: line[:64] for line in said.splitlines()}
    content = sealed.read_at_most(workdir / name, tables.MOST_BYTES)
    if sums and sums.get(name) != hashlib.sha256(content).hexdigest():
        raise ContentError(f"{name} is damaged (its checksum differs)")
    try:
        rows = read(content)
    except ContentError as error:
        raise ContentError(f"{name} is damaged ({error})") from None
    if not rows:
        raise ContentError(f"{name} is damaged (it has no rows)")
    return content.decode()


def _from_records(found: Sequence[Record]) -> list[str]:
    """The results and the history of records, as text."""
    results, history = tables.Table(), tables.Table()
    for record in found:
        _fill(results, record.results)
        _fill(history, record.history)
    order = lambda run: (run.cell.depth, run.cell.variant.names(), -run.learning_rate, *run[2:])
    place = {run: number for number, run in enumerate(sorted(results.runs, key=order))}
    return [results.text(place), history.text(place)]


def _fill(table: tables.Table, rows: Sequence[dict]) -> None:
    for run, of_run in records.by_run(rows).items():
        table.put(run, of_run)


def environment_of(workdir: pathlib.Path) -> dict:
    """What a study ran on; empty where that is not known."""
    try:
        return manifest.read_json(workdir / layout.ENVIRONMENT)
    except ContentError:
        return {}


def failures_of(workdir: pathlib.Path) -> list[str]:
    """A line for each group of runs that could not be trained."""
    found = [
        record for _, record in layout.read_records(workdir, lambda *_: None) if record.failure
    ]
    return [
        f"Depth {record.runs[0].cell.depth}: {len(record.runs)} runs have no results: "
        f"{record.failure}."
        for record in found
    ]
