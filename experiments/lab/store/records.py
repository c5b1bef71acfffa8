"""Records: what came out of one group of runs, in one sealed file that is there whole or not."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from experiments.lab.config.grid import RunKey, run_of
from experiments.lab.store import tables
from experiments.lab.system import sealed
from experiments.lab.system.errors import ContentError

#: Bytes of a record, far more than any.
MOST_BYTES = 2**28


class Record(NamedTuple):
    """The rows of a group that has finished, as they stand in the tables; or why it failed.

    Attributes:
      settings: the digest of the settings that it belongs to.
      runs: of the group.
      results: a row for each run; no rows where it failed.
      history: rows for each run, step and metric.
      timings: what it took.
      failure: why there are no results; empty if there are.
      readings: of every further table of the study, rows for each run, step and place.
    """

    settings: str
    runs: tuple[RunKey, ...]
    results: list[dict] = []
    history: list[dict] = []
    timings: dict = {}
    failure: str = ""
    readings: dict[str, list[dict]] = {}


def encode(record: Record) -> bytes:
    """The bytes of a record."""
    content = {
        "settings": record.settings,
        "runs": [run.columns() for run in record.runs],
        "results": tables.text(record.results),
        "history": tables.text(record.history),
        "timings": record.timings,
        "failure": record.failure,
        "readings": {name: tables.text(rows) for name, rows in record.readings.items()},
    }
    return sealed.seal(json.dumps(content).encode())


def decode(content: bytes) -> Record:
    """The record of :func:`encode`; numbers in its rows are text.

    Raises:
      ContentError: the bytes are none.
    """
    try:
        found = json.loads(sealed.unseal(content))
        runs = tuple(run_of(row) for row in found["runs"])
        texts = {name: found[name].encode() for name in ("results", "history")}
        timings = {str(name): str(value) for name, value in found["timings"].items()}
        settings, failure = str(found["settings"]), str(found["failure"])
        further = {name: text.encode() for name, text in found["readings"].items()}
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ContentError(f"is no record ({type(error).__name__})") from None
    if not runs:
        raise ContentError("is a record of no runs")
    if failure:
        return Record(settings, runs, failure=failure)
    record = Record(
        settings,
        runs,
        tables.read(texts["results"], tables.RESULTS),
        tables.read(texts["history"], tables.HISTORY),
        timings,
        readings={name: tables.read_further(name, text) for name, text in further.items()},
    )
    for rows in record.readings.values():
        if {*by_run(rows)} != {*runs}:
            raise ContentError("its readings are not those of its runs")
    if [*by_run(record.results)] != [*runs] or {*by_run(record.history)} != {*runs}:
        raise ContentError("its rows are not those of its runs")
    return record


def by_run(rows: Iterable[dict]) -> dict[RunKey, list[dict]]:
    """The rows of each run, in order."""
    found: dict[RunKey, list[dict]] = {}
    for row in rows:
        found.setdefault(run_of(row), []).append(row)
    return found
