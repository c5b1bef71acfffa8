"""Defines the schema of results: every run's columns, and how they are stored, written and checked.

Further columns may follow.  They are numbers, or digests as bytes, and need no row here.
"""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.lab.config.grid import PLAIN_NUMBER

#: The ways in which a run can end; records hold the index in this list.
STATUSES = ("healthy", "diverged", "dead")
MEASURES = ("train_loss", "train_error", "test_loss", "test_error")

#: The valid names of columns, metrics, and tables of readings.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
READING = re.compile(r"[a-z_]{1,40}")


class Column(NamedTuple):
    """Describes a column of results.

    Attributes:
      allows: function of the values of a record to whether all of them are valid.
      text: function of one of them to its text in a table.
      read: function of a text to its value; raises ValueError or OverflowError if it has none.
    """

    allows: Callable[[np.ndarray], bool]
    text: Callable[[np.ndarray], str]
    read: Callable[[str], object]


def number_text(value: np.ndarray) -> str:
    """Returns the shortest decimal text that reads as the same float32."""
    return str(np.float32(value))


def text(value: np.ndarray) -> str:
    """Returns a value as text for a table: numbers in decimal, digests in hexadecimal."""
    if value.ndim:
        return value.tobytes().hex()
    return number_text(value) if value.dtype.kind == "f" else f"{value}"


def read_number(word: str) -> float:
    """Reads any number; raises ValueError if the text is none."""
    if not PLAIN_NUMBER.fullmatch(word):
        raise ValueError
    return float(word)


def read_count(word: str) -> int:
    """Reads a whole number from 0 up; raises ValueError if the text is none."""
    if not word.isascii() or not word.isdigit() or len(word) > 10:
        raise ValueError
    return int(word)


def _between(most: float) -> Column:
    def read(word: str) -> float:
        number = read_number(word)
        if not 0 <= number <= most:  # nor NaN
            raise ValueError
        return number

    allows = lambda values: (
        values.dtype.kind == "f" and bool((values >= 0).all()) and bool((values <= most).all())
    )
    return Column(allows, number_text, read)


def _whole(values: np.ndarray, least: int, most: int = 2**31) -> bool:
    return values.dtype.kind == "i" and bool(((least <= values) & (values <= most)).all())


COLUMNS: dict[str, Column] = {
    "steps": Column(lambda values: _whole(values, 0), str, read_count),
    "status": Column(
        lambda values: _whole(values, 0, len(STATUSES) - 1),
        lambda value: STATUSES[int(value)],
        STATUSES.index,
    ),
    "diverged_at": Column(
        lambda values: _whole(values, -1),  # -1 where it did not
        lambda value: f"{value}" if value >= 0 else "",
        lambda word: read_count(word) if word else -1,
    ),
    **{name: _between(math.inf if name.endswith("loss") else 1.0) for name in MEASURES},
}
