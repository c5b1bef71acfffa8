"""Encodes records: the results of one group of runs, in one sealed file, complete or not there.

A record holds arrays as measured, from which :mod:`experiments.lab.store.tables` makes tables.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.lab.config.grid import RunKey, run_of
from experiments.lab.store import arrays
from experiments.lab.store.schema import COLUMNS, NAME, READING
from experiments.lab.system.errors import ContentError

#: More bytes than any record has.
MOST_BYTES = 2**28

#: Arrays by the name of their column.
Columns = Mapping[str, np.ndarray]


class Record(NamedTuple):
    """Holds the results of a group of runs, or why there are none.

    Attributes:
      settings: digest of the study's settings.
      runs: runs of the group.
      results: how each run ended: columns ``[runs]`` or, for digests, ``[runs, bytes]``.
      history: ``step [steps]``, and metrics ``[runs, steps]``.
      readings: by the name of the table, ``step [steps]`` and columns ``[runs, steps, places]``.
      timings: the group's row of timings.csv.
      failure: why there are no results; empty if there are.
    """

    settings: str
    runs: tuple[RunKey, ...]
    results: Columns = {}
    history: Columns = {}
    readings: Mapping[str, Columns] = {}
    timings: Mapping[str, object] = {}
    failure: str = ""


def encode(record: Record) -> bytes:
    """Returns the bytes of a record."""
    about = {
        "settings": record.settings,
        "runs": [run.columns() for run in record.runs],
        "timings": {name: f"{value}" for name, value in record.timings.items()},
        "failure": record.failure,
    }
    of_tables = {"results": record.results, "history": record.history}
    of_tables |= {f"readings.{name}": columns for name, columns in record.readings.items()}
    return arrays.encode(
        about,
        {
            f"{table}.{name}": values
            for table, columns in of_tables.items()
            for name, values in columns.items()
        },
    )


def decode(content: bytes) -> Record:
    """Returns the record that :func:`encode` took, after checking every column.

    Raises:
      ContentError: the bytes are no valid record.
    """
    about, found = arrays.decode(content)
    try:
        runs = tuple(run_of(row) for row in about["runs"])
        timings = {str(name): str(value) for name, value in about["timings"].items()}
        settings, failure = str(about["settings"]), str(about["failure"])
        tables: dict[str, dict[str, np.ndarray]] = {"results": {}, "history": {}}
        for name, values in found.items():
            table, _, column = name.rpartition(".")
            tables.setdefault(table, {})[column] = values
    except arrays.DAMAGE as error:
        raise ContentError(f"is no record ({type(error).__name__})") from None
    if not runs or len(set(runs)) < len(runs):
        raise ContentError("is a record of no runs, or of one of them twice")
    if failure:
        return Record(settings, runs, failure=failure)
    results, history = tables.pop("results"), tables.pop("history")
    readings = {name.removeprefix("readings."): columns for name, columns in tables.items()}
    record = Record(settings, runs, results, history, readings, timings)
    _check_results(results, len(runs))
    _check_steps(history, (len(runs),))
    for name, columns in readings.items():
        if not READING.fullmatch(name):
            raise ContentError("holds a table of a strange name")
        _check_steps(columns, (len(runs),), places=1)
    return record


def _check_results(columns: Columns, runs: int) -> None:
    """Raises :class:`ContentError` if columns are not one value a run, or make no sense."""
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ContentError(f"lacks {', '.join(missing)}")
    for name, values in columns.items():
        wide = values.ndim == 2 and values.dtype == np.uint8  # a digest
        if len(values.shape) == 0 or len(values) != runs or (values.ndim > 1 and not wide):
            raise ContentError(f"{name} is not one value a run")
        if not NAME.fullmatch(name) or (name in COLUMNS and not COLUMNS[name].allows(values)):
            raise ContentError(f"{name} makes no sense")


def _check_steps(columns: Columns, runs: tuple[int], places: int = 0) -> None:
    """Raises :class:`ContentError` if columns are not numbers of each run and step."""
    steps = columns.get("step", np.zeros(()))
    if steps.ndim != 1 or not steps.size or steps.dtype.kind != "i" or (steps < 0).any():
        raise ContentError("has no steps")
    if (np.diff(steps) <= 0).any():
        raise ContentError("has steps that do not follow each other")
    rest = {name: values for name, values in columns.items() if name != "step"}
    shapes = {values.shape[2:] for values in rest.values()}
    for name, values in rest.items():
        shape = (*runs, steps.size)
        if values.shape[:2] != shape or values.ndim != 2 + places or values.dtype.kind != "f":
            raise ContentError(f"{name} is not a number of each run and step")
        if not NAME.fullmatch(name):
            raise ContentError("holds a column of a strange name")
    if not rest or len(shapes) > 1:
        raise ContentError("has columns of different lengths")
