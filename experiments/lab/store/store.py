"""Stores the results of one study in its work directory, and recovers them after crashes.

:mod:`experiments.lab.store.layout` says which file lies where.
"""

import contextlib
import hashlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from experiments.lab.config.grid import Group, RunKey
from experiments.lab.store import layout, manifest, records
from experiments.lab.store.checkpoints import Checkpoint, Checkpoints
from experiments.lab.store.manifest import Settings
from experiments.lab.store.records import Columns, Record
from experiments.lab.store.tables import Tables
from experiments.lab.system import files, lock
from experiments.lab.system.errors import ContentError, UserError


class Store:
    """Manages one study's work directory.

    Attributes:
      path: path of the directory.
      failures: by group, why its runs cannot be trained here.
    """

    def __init__(
        self,
        path: pathlib.Path,
        study: str,
        settings: Settings,
        runs: Sequence[RunKey],
        looks: bool = False,
    ):
        """Checks that the directory may be used; writes nothing yet.

        Args:
          path: path of the directory.
          study: name of the study.
          settings: settings of the study.
          runs: runs of the study, in the order of its tables.
          looks: whether the store only reads, so that the directory may be read-only or in use.

        Raises:
          UserError: the directory is a file, is in use, or holds something else, a study with
            other settings, or runs that this study does not have.
        """
        self.path = path
        self.failures: dict[Group, str] = {}
        self._study, self._settings = study, settings
        self._place = {run: number for number, run in enumerate(runs)}
        self._tables = Tables()
        self._checkpoints = Checkpoints(path / layout.CHECKPOINTS, settings.digest)
        if not looks:
            layout.check_writable(path)
        if path.exists() and not layout.is_empty(path):
            if not looks:
                lock.check(path)
            self._check_manifest()
            self._check_runs(record for _, record in layout.read_records(path, lambda *_: None))

    def _check_manifest(self) -> None:
        try:
            there = manifest.read(self.path)
        except UserError:
            if not any(
                (self.path / name).exists() for name in (layout.RECORDS, layout.CHECKPOINTS)
            ):
                raise
            return  # damaged; records and checkpoints name the settings they belong to
        different = manifest.other_study(there, self._study, self._settings)
        kept = (layout.RECORDS, layout.CHECKPOINTS, layout.RESULTS)
        if different and any((self.path / name).exists() for name in kept):
            raise UserError(
                f"--workdir={self.path} holds another study ({different}); name another "
                "directory, or add --fresh"
            )

    def _check_runs(self, found: Iterable[Record]) -> None:
        there: set[RunKey] = set()
        for record in found:
            if record.settings != self._settings.digest:
                raise UserError(
                    f"--workdir={self.path} holds results of other settings; name another "
                    "directory, or add --fresh"
                )
            there.update(() if record.failure else record.runs)
        if surplus := there.difference(self._place):
            raise UserError(
                f"--workdir={self.path} holds {len(surplus)} runs that this command leaves out"
                f"{self._narrower()}; a study can be extended, not narrowed: ask for them too, or "
                "add --fresh"
            )

    def _narrower(self) -> str:
        grid = self._settings.shown.keys() - self._settings.core.keys()
        try:
            there = manifest.read(self.path)
        except UserError:
            return ""
        return f" ({manifest.difference(there, self._settings, grid)})"

    @contextlib.contextmanager
    def opened(
        self, environment: dict, say: layout.Say, retry_failed: bool = False
    ) -> Iterator[lock.Lock]:
        """Locks the directory for this process, and recovers from crashes.

        Args:
          environment: the environment of this process; if finished runs come from another, both
            are kept, and the user is told that results are not comparable to the bit.
          say: function that tells the user.
          retry_failed: whether failures are forgotten.

        Raises:
          UserError: another process holds the lock.
        """
        files.make_directory(self.path)
        held = lock.Lock(self.path)
        try:
            held.say()
            self._recover(say, retry_failed)
            layout.write_if_new(
                self.path / manifest.NAME, manifest.text(self._study, self._settings)
            )
            self._write_environment(environment, say)
            self._write_tables()
            yield held
        finally:
            held.release()

    def _recover(self, say: layout.Say, retry_failed: bool) -> None:
        files.sync(self.path.parent)
        for directory in (
            self.path,
            *(self.path / n for n in (layout.RECORDS, layout.CHECKPOINTS, layout.FIGURES)),
        ):
            if directory.exists():
                files.remove_parts(directory)
                files.sync(directory)  # a killed process's files are visible, and must be durable
        damaged = lambda path, why: self._set_aside(path, why, say)
        found = dict(layout.read_records(self.path, damaged))
        self._check_runs(found.values())  # another process may have written here since
        for record in found.values():
            if not record.failure:
                self._tables.take(record)
        for path, record in found.items():
            if record.failure and (retry_failed or self.finished.issuperset(record.runs)):
                files.remove(path)
            elif record.failure:
                self._take_failure(record)

    def _take_failure(self, record: Record) -> None:
        """Takes what a record says of runs that failed, if any of them is of this study."""
        if not self._place.keys().isdisjoint(record.runs):
            self.failures[Group(record.runs[0].cell, record.runs)] = record.failure

    def _set_aside(self, path: pathlib.Path, why: str, say: layout.Say) -> None:
        now = files.move(path, self.path / layout.DAMAGED)
        say(f"warning: {path} is damaged ({why}); set aside as {now}, and done again")

    @property
    def finished(self) -> set[RunKey]:
        """Returns the runs whose results are stored."""
        return self._tables.finished

    def checkpoints(self, say: layout.Say) -> dict[Group, Checkpoint]:
        """Returns the newest undamaged checkpoint of each unfinished group.

        Args:
          say: function that tells the user of damaged ones, which are set aside.
        """
        missing = self._place.keys() - self.finished
        found = {}
        for checkpoint in self._checkpoints.load(lambda path, why: self._set_aside(path, why, say)):
            if missing.issuperset(checkpoint.group.runs):
                found[checkpoint.group] = checkpoint
                missing.difference_update(checkpoint.group.runs)
            elif self.finished.issuperset(checkpoint.group.runs):
                self._checkpoints.drop(checkpoint.group)
        return found

    def look(self) -> dict[Group, int]:
        """Reads the directory and repairs nothing; returns the steps made by unfinished groups."""
        ignore = lambda *_: None
        for _, record in layout.read_records(self.path, ignore):
            if record.failure:
                self._take_failure(record)
            else:
                self._tables.take(record)
        missing = self._place.keys() - self.finished
        there = self._checkpoints.load(ignore)
        return {found.group: found.step for found in there if missing >= {*found.group.runs}}

    def set_aside(self, group: Group, why: str, say: layout.Say) -> None:
        """Sets aside the checkpoints of a group, which turned out not to match it."""
        for path in self._checkpoints.paths(group):
            self._set_aside(path, why, say)

    def save(self, group: Group, step: int, state: dict) -> int:
        """Writes a checkpoint of a group, and returns the number of bytes written."""
        return self._checkpoints.save(group, step, state)

    def add(
        self,
        group: Group,
        results: Columns,
        history: Columns,
        readings: Mapping[str, Columns],
        timings: Mapping[str, object],
    ) -> None:
        """Adds the results of a group; once its record is written, no crash can lose them.

        The columns are those of :class:`experiments.lab.store.records.Record`.
        """
        digest = self._settings.digest
        record = Record(digest, group.runs, results, history, readings, timings)
        self._put(group.name + layout.DONE, record)
        self._tables.take(record)
        if self.failures.pop(group, None):
            files.remove(self.path / layout.RECORDS / (group.name + layout.FAILED))
        self._write_tables()
        self._checkpoints.drop(group)

    def fail(self, group: Group, why: str) -> None:
        """Records that a group cannot be trained here."""
        self.failures[group] = why
        self._put(
            group.name + layout.FAILED, Record(self._settings.digest, group.runs, failure=why)
        )

    def _put(self, name: str, record: Record) -> None:
        files.make_directory(self.path / layout.RECORDS)
        files.write_bytes(self.path / layout.RECORDS / name, records.encode(record))

    def _write_environment(self, environment: dict, say: layout.Say) -> None:
        if self.finished.issuperset(self._place):
            return  # nothing will be trained here
        past = self._past_environments()
        if past and _bits(past[-1]) == _bits(environment):
            past.pop()
        if past:
            say(
                "warning: finished runs stem from other versions, devices or settings of JAX; the "
                f"results are not comparable to the bit ({layout.ENVIRONMENT} has both)"
            )
        about = {**environment, "bit_comparable": not past, "past": past}
        layout.write_if_new(self.path / layout.ENVIRONMENT, manifest.json_text(about))

    def _past_environments(self) -> list[dict]:
        """Returns the environments that finished runs and checkpoints come from, oldest first."""
        path = self.path / layout.ENVIRONMENT
        if not path.exists() or not (self.finished or self._checkpoints.any()):
            return []
        try:
            last = manifest.read_json(path)
        except ContentError:  # damaged, so nothing is known about it
            return [{}]
        past = last.pop("past", [])
        last.pop("bit_comparable", None)
        return [*(past if isinstance(past, list) else [{}]), last]

    def _write_tables(self) -> None:
        if not self.finished:
            return
        sums = []
        for name, text in self._tables.texts(self._place).items():
            layout.write_if_new(self.path / name, text)
            sums.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")
        layout.write_if_new(self.path / layout.CHECKSUMS, "".join(sums))


def _bits(environment: dict) -> list:
    """Returns the entries of an environment that may change the last bits of a result."""
    return [
        environment.get("packages"),
        environment.get("processor"),
        environment.get("git_revision"),
        sorted({*map(str, environment.get("devices") or ())}),
        environment.get("matmul_precision", "default"),  # not recorded by earlier versions
        environment.get("compiler_optimizes", True),
        environment.get("xla_flags", ""),
    ]
