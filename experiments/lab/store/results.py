"""Reads results for reports, from a work directory that is finished or not."""

import functools
import hashlib
import io
import pathlib
from collections.abc import Callable, Mapping

import pandas as pd

from experiments.lab.store import layout, manifest, tables
from experiments.lab.store.tables import Tables
from experiments.lab.system import sealed
from experiments.lab.system.errors import ContentError, UserError

_MOST_CHECKSUMS = 10_000


class Results:
    """Reads the tables of a work directory, finished or not, as data frames, when needed.

    If a table is damaged and there are records, it is made from these instead.
    """

    def __init__(self, workdir: pathlib.Path, say: layout.Say):
        """Reads nothing yet.

        Args:
          workdir: a study's directory, or one that holds only the tables.
          say: function that tells the user what was damaged.
        """
        self._workdir, self._say = workdir, say

    @functools.cached_property
    def settings(self) -> dict:
        """Returns the study's settings; raises UserError if the directory holds no study."""
        return manifest.read(self._workdir)["settings"]

    @functools.cached_property
    def _tables(self) -> list[pd.DataFrame]:
        readers = {
            layout.RESULTS: functools.partial(tables.read, columns=tables.RESULTS),
            layout.HISTORY: functools.partial(tables.read, columns=tables.HISTORY),
        }
        return _frames(self._workdir, readers, self._say)

    @property
    def runs(self) -> pd.DataFrame:
        """Returns the results, a row a run; raises UserError if there are none, or damaged ones."""
        return self._tables[0]

    @property
    def history(self) -> pd.DataFrame:
        """Returns the history, a row a run, step and metric; raises UserError as ``runs`` does."""
        return self._tables[1]

    def readings(self, name: str) -> pd.DataFrame:
        """Reads a table of the study's readings, a row a run, step and place.

        Raises:
          UserError: there is none, or it is damaged.
        """
        read = functools.partial(tables.read_readings, name)
        (frame,) = _frames(self._workdir, {f"{name}{layout.READINGS}": read}, self._say)
        return frame


def _frames(
    workdir: pathlib.Path, readers: Mapping[str, Callable[[bytes], list[dict]]], say: layout.Say
) -> list[pd.DataFrame]:
    """Reads tables by the names of their files; if one is damaged, all from the records."""
    try:
        if not (workdir / layout.RESULTS).exists():
            raise ContentError("has no finished runs to report on yet")
        texts = [_sound(workdir, name, read) for name, read in readers.items()]
    except ContentError as error:
        made = _from_records(workdir, say)
        if not made.keys() >= readers.keys():
            failed = " ".join(["", *failures_of(workdir)])
            raise UserError(f"--workdir={workdir}: {error}.{failed}".rstrip(".")) from None
        say(f"warning: {workdir}: {error}; its records are read instead")
        texts = [made[name] for name in readers]
    return [pd.read_csv(io.StringIO(text)) for text in texts]


def _from_records(workdir: pathlib.Path, say: layout.Say) -> dict[str, str]:
    """Returns every table by the name of its file, made from undamaged records; {} if none are."""
    damaged = lambda path, why: say(f"warning: {path} is damaged ({why}), and left out")
    made = Tables()
    for _, record in layout.read_records(workdir, damaged):
        if not record.failure:
            made.take(record)
    order = lambda run: (run.cell.depth, run.cell.variant.names(), -run.learning_rate, *run[2:])
    place = {run: number for number, run in enumerate(sorted(made.finished, key=order))}
    return made.texts(place) if place else {}


def _sound(workdir: pathlib.Path, name: str, read: Callable[[bytes], list[dict]]) -> str:
    """Returns a table as text, checked by ``read``, and against its checksum if there is one."""
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


def environment_of(workdir: pathlib.Path) -> dict:
    """Returns the environment that a study ran in; empty if it is not known."""
    try:
        return manifest.read_json(workdir / layout.ENVIRONMENT)
    except ContentError:
        return {}


def failures_of(workdir: pathlib.Path) -> list[str]:
    """Returns a line for each group of runs that could not be trained."""
    found = [
        record for _, record in layout.read_records(workdir, lambda *_: None) if record.failure
    ]
    return [
        f"Depth {record.runs[0].cell.depth}: {len(record.runs)} runs have no results: "
        f"{record.failure}."
        for record in found
    ]
