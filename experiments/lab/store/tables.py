"""Tables of results as text: written cell by cell, and read from files for which nobody vouches."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from experiments.lab.config.grid import PLAIN_NUMBER, RUN_COLUMNS, RunKey, run_of
from experiments.lab.system.errors import ContentError

STATUSES = ("healthy", "diverged", "dead")
MEASURES = ("train_loss", "train_error", "test_loss", "test_error")

#: What further tables may be called.
FURTHER = re.compile(r"[a-z_]{1,40}")

#: Bytes of a table; a million rows.
MOST_BYTES = 2**28


def text(rows: Sequence[dict]) -> str:
    """Rows of equal keys as CSV."""
    lines = io.StringIO()
    if rows:
        writer = csv.DictWriter(lines, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return lines.getvalue()


class Table:
    """A table as text: the lines of each run, to be put in any order."""

    def __init__(self) -> None:
        """Starts without runs."""
        self._header = ""
        self._lines: dict[RunKey, str] = {}

    @property
    def runs(self) -> set[RunKey]:
        """The runs that it has lines of."""
        return set(self._lines)

    def put(self, run: RunKey, rows: Sequence[dict]) -> None:
        """Sets the rows of a run."""
        self._header, _, self._lines[run] = text(rows).partition("\n")

    def text(self, place: Mapping[RunKey, int]) -> str:
        """The table, its runs sorted by their places."""
        lines = [self._lines[run] for run in sorted(self._lines, key=place.__getitem__)]
        return f"{self._header}\n{''.join(lines)}"


def _any_number(word: str) -> float:
    if not PLAIN_NUMBER.fullmatch(word):
        raise ValueError
    return float(word)


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(word: str) -> float:
        number = _any_number(word)
        if not least <= number <= most:  # nor NaN
            raise ValueError
        return number

    return read


def _count(word: str) -> int:
    if not word.isascii() or not word.isdigit() or len(word) > 10:
        raise ValueError
    return int(word)


def _status(word: str) -> str:
    if word not in STATUSES:
        raise ValueError
    return word


def _metric(word: str) -> str:
    if not word.isidentifier() or not word.isascii() or len(word) > 80:
        raise ValueError
    return word


_SIZE, _SHARE = _number(0, math.inf), _number(0, 1)

#: How the columns of the tables are read, besides those that name the run.
RESULTS: dict[str, Callable] = {
    "steps": _count,
    "status": _status,
    "diverged_at": lambda word: _count(word) if word else "",
    **{name: _SIZE if name.endswith("loss") else _SHARE for name in MEASURES},
}
HISTORY: dict[str, Callable] = {"step": _count, "metric": _metric, "value": _any_number}


def read(content: bytes, columns: dict[str, Callable]) -> list[dict]:
    """The rows of a table as text, every one of them checked.

    Args:
      content: of a CSV file.
      columns: :data:`RESULTS` or :data:`HISTORY`.

    Raises:
      ContentError: it is no such table throughout.
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


def read_further(name: str, content: bytes) -> list[dict]:
    """The rows of a table that a study reads besides: of each run, step and place, numbers.

    Args:
      name: of the table.
      content: of a CSV file.

    Raises:
      ContentError: it is no such table throughout.
    """
    if not FURTHER.fullmatch(name):
        raise ContentError("holds a table of a strange name")
    header = content.partition(b"\n")[0].decode(errors="replace").strip().split(",")
    columns = {column: _any_number for column in header if column not in RUN_COLUMNS}
    return read(content, {"step": _count, "place": _count} | columns)


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
