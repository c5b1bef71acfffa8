"""Writes tables of results as text, from records, and reads and checks such tables from files."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from experiments.lab.config.grid import RUN_COLUMNS, RunKey, run_of
from experiments.lab.store import layout
from experiments.lab.store.records import Columns, Record
from experiments.lab.store.schema import (
    COLUMNS,
    NAME,
    READING,
    number_text,
    read_count,
    read_number,
    text,
)
from experiments.lab.system.errors import ContentError

#: The most bytes of a table: about a million rows.
MOST_BYTES = 2**28

#: The metric that does not exist before the first step, when no gradient has been computed.
_GRADIENT = "gradient_norm"


class _CsvTable:
    """Holds a table as text: the lines of each run, and the columns that they were written for."""

    def __init__(self) -> None:
        """Starts without runs."""
        self._lines: dict[RunKey, tuple[tuple[str, ...], str]] = {}

    @property
    def runs(self) -> set[RunKey]:
        """Returns the runs that have lines."""
        return set(self._lines)

    def put(self, run: RunKey, rows: Sequence[Mapping[str, str]]) -> None:
        """Sets the rows of a run."""
        columns, lines = tuple(rows[0]), io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows(row.values() for row in rows)
        self._lines[run] = columns, lines.getvalue()

    def text(self, place: Mapping[RunKey, int]) -> str:
        """Returns the table, with its runs sorted by their places.

        Runs may have been written with different columns, as by an earlier version: columns that
        they lack stay empty, and every value stays in its own column.
        """
        order = sorted(self._lines, key=place.__getitem__)
        columns = tuple(dict.fromkeys(name for run in order for name in self._lines[run][0]))
        lines = [self._under(columns, *self._lines[run]) for run in order]
        return f"{','.join(columns)}\n{''.join(lines)}"

    @staticmethod
    def _under(columns: tuple[str, ...], own: tuple[str, ...], lines: str) -> str:
        """Returns lines of the columns ``own``, rewritten for ``columns``, which include these."""
        if own == columns:
            return lines
        widened = io.StringIO()
        writer = csv.DictWriter(widened, columns, lineterminator="\n")
        writer.writerows(csv.DictReader(io.StringIO(lines), own))
        return widened.getvalue()


class Tables:
    """Holds all tables of a study, made from its records."""

    def __init__(self) -> None:
        """Starts without records."""
        names = (layout.RESULTS, layout.HISTORY, layout.TIMINGS)
        self._tables = {name: _CsvTable() for name in names}

    @property
    def finished(self) -> set[RunKey]:
        """Returns the runs that have results."""
        return self._tables[layout.RESULTS].runs

    def take(self, record: Record) -> None:
        """Adds the rows of a record."""
        for name, of_runs in _rows(record).items():
            table = self._tables.setdefault(name, _CsvTable())
            for run, rows in of_runs:
                table.put(run, list(rows))
        timings = {name: f"{value}" for name, value in record.timings.items()}
        self._tables[layout.TIMINGS].put(record.runs[0], [timings])

    def texts(self, place: Mapping[RunKey, int]) -> dict[str, str]:
        """Returns every table by the name of its file, with its runs sorted by their places."""
        return {name: table.text(place) for name, table in self._tables.items()}


def _rows(record: Record) -> dict[str, Iterable[tuple[RunKey, Iterable[dict[str, str]]]]]:
    """Returns the rows of each run of a record, by the name of the table's file."""
    runs = [(index, run, _words(run)) for index, run in enumerate(record.runs)]
    found: dict[str, Iterable[tuple[RunKey, Iterable[dict[str, str]]]]] = {
        layout.RESULTS: [(run, [words | _end(record.results, i)]) for i, run, words in runs],
        layout.HISTORY: [(run, _course(words, record.history, i)) for i, run, words in runs],
    }
    for name, columns in record.readings.items():
        found[f"{name}{layout.READINGS}"] = [
            (run, _places(words, columns, i)) for i, run, words in runs
        ]
    return found


def _words(run: RunKey) -> dict[str, str]:
    return {name: f"{value}" for name, value in run.columns().items()}


def _end(results: Columns, run: int) -> dict[str, str]:
    """Returns the columns that say how a run ended."""
    return {
        name: (COLUMNS[name].text if name in COLUMNS else text)(values[run])
        for name, values in results.items()
    }


def _course(words: dict[str, str], history: Columns, run: int) -> Iterator[dict[str, str]]:
    """Yields a row for each step and metric of a run."""
    for index, step in enumerate(history["step"]):
        for name, values in history.items():
            if name != "step" and (step or name != _GRADIENT):
                value = number_text(values[run, index])
                yield words | {"step": f"{step}", "metric": name, "value": value}


def _places(words: dict[str, str], columns: Columns, run: int) -> Iterator[dict[str, str]]:
    """Yields a row for each step and place of a run."""
    read = {name: values[run] for name, values in columns.items() if name != "step"}
    places = range(next(iter(read.values())).shape[1])
    for index, step in enumerate(columns["step"]):
        for place in places:
            numbers = {name: number_text(values[index, place]) for name, values in read.items()}
            yield words | {"step": f"{step}", "place": f"{place}"} | numbers


def _read_metric(word: str) -> str:
    if not NAME.fullmatch(word):
        raise ValueError
    return word


#: The readers of the tables' columns, except those that identify the run.
RESULTS: dict[str, Callable] = {name: column.read for name, column in COLUMNS.items()}
HISTORY: dict[str, Callable] = {"step": read_count, "metric": _read_metric, "value": read_number}


def read(content: bytes, columns: dict[str, Callable]) -> list[dict]:
    """Reads the rows of a table as text, and checks every one of them.

    Args:
      content: content of a CSV file.
      columns: :data:`RESULTS` or :data:`HISTORY`.

    Raises:
      ContentError: the content is no such table, or one of its rows is invalid.
    """
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        rows = list(reader)
        names = reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContentError(f"is no table ({' '.join(str(error).split())[:80]})") from None
    missing = [name for name in (*RUN_COLUMNS, *columns) if name not in names]
    if missing or len(set(names)) < len(names):
        raise ContentError(f"is no table of ours: it lacks {', '.join(missing) or 'order'}")
    _check(rows, columns)
    return rows


def read_readings(name: str, content: bytes) -> list[dict]:
    """Reads the rows of a table of readings: numbers of each run, step and place.

    Args:
      name: name of the table.
      content: content of a CSV file.

    Raises:
      ContentError: the content is no such table, or one of its rows is invalid.
    """
    if not READING.fullmatch(name):
        raise ContentError("holds a table of a strange name")
    header = content.partition(b"\n")[0].decode(errors="replace").strip().split(",")
    columns = {column: read_number for column in header if column not in RUN_COLUMNS}
    return read(content, {"step": read_count, "place": read_count} | columns)


def _check(rows: Iterable[dict], columns: dict[str, Callable]) -> None:
    seen = set()
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise ContentError(f"row {number} is not whole")
        try:
            what = run_of(row), row.get("step"), row.get("metric"), row.get("place")
            for name, parse in columns.items():
                parse(row[name])
        except (ContentError, ValueError, OverflowError):
            raise ContentError(f"row {number} makes no sense") from None
        if what in seen:
            raise ContentError(f"row {number} is there twice")
        seen.add(what)
