"""The work directory: the only module that writes results.

    config.json       what was asked for           results.csv   a row a run
    environment.json  what it ran on               history.csv   a row a run, step and metric
    timings.csv       seconds, a row a cell        summary.csv, paper.csv, figures/  drawn from them

Each file is whole at every moment: it is written beside its place and renamed into it.
"""

import csv
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from experiments.config import VARIANT_FIELDS
from experiments.errors import UserError
from experiments.files import write_bytes

if TYPE_CHECKING:
    import pandas as pd

#: Raised when the files change their meaning; a directory of another schema is refused.
SCHEMA = 2

#: The columns that tell one cell from another, in every table that is written cell by cell.
CELL_COLUMNS = ("family", "block", "depth", *VARIANT_FIELDS)

RESULTS, HISTORY, TIMINGS = "results.csv", "history.csv", "timings.csv"
SUMMARY, PAPER = "summary.csv", "paper.csv"
CONFIG, ENVIRONMENT = "config.json", "environment.json"


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file so that it is there whole, or as it was before."""
    write_bytes(path, text.encode())


def csv_text(rows: Sequence[dict]) -> str:
    """Rows of equal keys as CSV."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def settings_of(config, block: str, data: str) -> dict:
    """What makes two studies the same: every field but the directories, the block, and the data.

    Args:
      config: of the study.
      block: what tells a block of the user's own from others; empty for the family's.
      data: a digest of its data set, by which a file is known wherever it lies.
    """
    fields = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in ("workdir", "data_dir")
    }
    fields["dataset"] = pathlib.PurePath(config.dataset).name
    return json.loads(json.dumps({**fields, "own_block": block, "data_sha256": data}))


def check_writable(path: pathlib.Path) -> None:
    """Raises :class:`UserError` where a directory cannot be made, or cannot be written in."""
    if any(parent.is_file() for parent in [path, *path.parents]):
        raise UserError(f"--workdir={path}: a file is in the way; name another directory")
    nearest = next(parent for parent in [path, *path.parents] if parent.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"--workdir={path}: no permission to write in {nearest}")


class Store:
    """One study's directory: fresh, or holding finished cells of the same study."""

    def __init__(self, path: pathlib.Path, study: str, settings: dict):
        """Checks that the directory may be used; writes nothing yet.

        Raises:
          UserError: it is a file, holds something else, or holds a study with other settings.
        """
        self.path = path
        self._manifest = {"study": study, "schema": SCHEMA, "settings": settings}
        self._tables: dict[str, list[dict]] = {RESULTS: [], HISTORY: [], TIMINGS: []}
        check_writable(path)
        if path.exists() and any(file.suffix != ".part" for file in path.iterdir()):
            self._continue()

    def _continue(self) -> None:
        manifest = read_manifest(self.path)
        if manifest != self._manifest and (self.path / RESULTS).exists():
            difference = _difference(manifest, self._manifest)
            raise UserError(
                f"--workdir={self.path} holds another study ({difference}); name another directory"
            )
        for name in self._tables:
            if (self.path / name).exists():
                self._tables[name] = _read_rows(self.path / name)
        finished = self.finished_cells()
        for name, rows in self._tables.items():  # what an interrupted cell left is dropped
            self._tables[name] = [row for row in rows if _cell_of(row) in finished]

    def finished_cells(self) -> set[tuple[str, ...]]:
        """The cells whose results are in, each as the text of its :data:`CELL_COLUMNS`."""
        return {_cell_of(row) for row in self._tables[RESULTS]}

    def start(self, environment: dict) -> bool:
        """Makes the directory, and says there what runs and on what.

        Returns:
          Whether the results will be comparable to the bit: false where finished cells stem from
          another environment, which is then kept beside this one.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        past = self._past_environments()
        if past and past[-1] == environment:
            past.pop()
        self._write_json(CONFIG, self._manifest)
        self._write_json(ENVIRONMENT, {**environment, "bit_comparable": not past, "past": past})
        return not past

    def _past_environments(self) -> list[dict]:
        """The environments that finished cells stem from, oldest first."""
        path = self.path / ENVIRONMENT
        if not self._tables[RESULTS] or not path.exists():
            return []
        try:
            last = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            last = None
        if not isinstance(last, dict):  # damaged, so nothing is known of it
            return [{}]
        past = last.pop("past", [])
        last.pop("bit_comparable", None)
        return [*past, last]

    def add_cell(
        self, results: Iterable[dict], history: Iterable[dict], timings: Iterable[dict]
    ) -> None:
        """Adds the rows of one finished cell; results come last and make it count."""
        new = {TIMINGS: timings, HISTORY: history, RESULTS: results}
        for name, rows in new.items():
            self._tables[name].extend(rows)
            write_text(self.path / name, csv_text(self._tables[name]))

    def _write_json(self, name: str, value: dict) -> None:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        write_text(self.path / name, text + "\n")


def _read_rows(path: pathlib.Path) -> list[dict]:
    """The rows of a table that was written cell by cell.

    Raises:
      UserError: the table is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, error) from None
    for row in rows:
        if None in row or None in row.values() or not set(CELL_COLUMNS) <= set(row):
            raise _damaged(path, "a row is not whole")
    return rows


def _damaged(path: pathlib.Path, why: object) -> UserError:
    return UserError(f"{path} is damaged ({why}); restore it, or name another --workdir")


def read_tables(workdir: pathlib.Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The results and the history of a work directory, for its report.

    Raises:
      UserError: one of them is missing, empty or damaged.
    """
    import pandas as pd  # half a second, which checking flags need not wait for

    tables = []
    for path in (workdir / RESULTS, workdir / HISTORY):
        if not path.is_file():
            raise UserError(f"--workdir={workdir} has no finished cell to report on yet")
        if not _read_rows(path):
            raise _damaged(path, "it has no rows")
        tables.append(pd.read_csv(path))
    return tables[0], tables[1]


def read_manifest(path: pathlib.Path) -> dict:
    """The study and settings of a work directory.

    Raises:
      UserError: the directory is not one of ours.
    """
    try:
        manifest = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("settings"), dict):
        raise UserError(f"--workdir={path} holds no study; name another directory")
    return manifest


def _cell_of(row: dict) -> tuple[str, ...]:
    return tuple(str(row[column]) for column in CELL_COLUMNS)


def _difference(there: dict, here: dict) -> str:
    if there.get("study") != here["study"]:
        return f"its study is {there.get('study')!r}"
    if there.get("schema") != here["schema"]:
        return f"its files have schema {there.get('schema')}, and this version writes {SCHEMA}"
    old, new = there["settings"], here["settings"]
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return "; ".join(f"{name} is {old.get(name)} there, {new.get(name)} here" for name in names)
