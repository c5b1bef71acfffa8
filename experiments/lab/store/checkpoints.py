"""Writes and reads checkpoints of unfinished trainings: the last two of each group of runs.

A checkpoint is a sealed safetensors file.  The two files of a group alternate, so that while one is
written, or if one is damaged, the other is there: a training loses one checkpoint, not everything.
"""

import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from experiments.lab.config.grid import Group, run_of
from experiments.lab.store import arrays
from experiments.lab.system import files, sealed
from experiments.lab.system.errors import ContentError

_SLOTS = ("a", "b")
_SUFFIX = ".checkpoint"

#: A larger file was not written by us, and is not read.
_MOST_BYTES = 2**36


class Checkpoint(NamedTuple):
    """Holds how far the training of a group has come.

    Attributes:
      group: group of runs.
      step: number of updates made.
      settings: digest of the study's settings.
      arrays: arrays by name.
    """

    group: Group
    step: int
    settings: str
    arrays: dict[str, np.ndarray]


class Checkpoints:
    """Keeps the checkpoints in a directory."""

    def __init__(self, directory: pathlib.Path, settings: str):
        """Takes a directory, which need not exist yet.

        Args:
          directory: directory for checkpoints only.
          settings: digest of the study's settings; checkpoints with another count as damaged.
        """
        self._directory = directory
        self._settings = settings
        self._steps: dict[pathlib.Path, int] = {}

    def save(self, group: Group, step: int, state: dict[str, np.ndarray]) -> int:
        """Replaces the older of the group's two checkpoints; returns the bytes written."""
        files.make_directory(self._directory)
        paths = [self._path(group, slot) for slot in _SLOTS]
        oldest = min(paths, key=lambda path: self._steps.get(path, -1))
        content = encode(Checkpoint(group, step, self._settings, state))
        files.write_bytes(oldest, content)
        self._steps[oldest] = step
        return len(content)

    def load(self, damaged: Callable[[pathlib.Path, str], None]) -> Iterator[Checkpoint]:
        """Yields the newest undamaged checkpoint of each group.

        Args:
          damaged: function called with the path of each damaged file, and the reason.
        """
        for newest in sorted(self._groups()):
            best = None
            for slot in _SLOTS:
                path = self._directory / f"{newest}.{slot}{_SUFFIX}"
                if not path.exists():
                    continue
                try:
                    found = self._read(path)
                except ContentError as error:
                    damaged(path, str(error))
                    continue
                self._steps[path] = found.step
                if best is None or found.step > best.step:
                    best = found
            if best is not None:
                yield best

    def paths(self, group: Group) -> list[pathlib.Path]:
        """Returns the paths of a group's checkpoints."""
        return [path for slot in _SLOTS if (path := self._path(group, slot)).exists()]

    def drop(self, group: Group) -> None:
        """Removes the checkpoints of a group whose results are stored."""
        for slot in _SLOTS:
            path = self._path(group, slot)
            files.remove(path)
            self._steps.pop(path, None)

    def any(self) -> bool:
        """Returns whether there are any checkpoints, damaged or not."""
        return bool(self._groups())

    def _groups(self) -> set[str]:
        return {path.name.split(".")[0] for path in self._directory.glob(f"*{_SUFFIX}")}

    def _path(self, group: Group, slot: str) -> pathlib.Path:
        return self._directory / f"{group.name}.{slot}{_SUFFIX}"

    def _read(self, path: pathlib.Path) -> Checkpoint:
        found = decode(sealed.read_at_most(path, _MOST_BYTES))
        if found.settings != self._settings:
            raise ContentError("it belongs to another study")
        if path.name.split(".")[0] != found.group.name:
            raise ContentError("it belongs to other runs")
        return found


def encode(checkpoint: Checkpoint) -> bytes:
    """Returns the bytes of a checkpoint."""
    about = {
        "runs": [run.columns() for run in checkpoint.group.runs],
        "step": checkpoint.step,
        "settings": checkpoint.settings,
    }
    return arrays.encode(about, checkpoint.arrays)


def decode(content: bytes) -> Checkpoint:
    """Returns the checkpoint that :func:`encode` took.

    Raises:
      ContentError: the bytes are no checkpoint.
    """
    about, found = arrays.decode(content)
    try:
        runs = tuple(run_of(row) for row in about["runs"])
        group = Group(runs[0].cell, runs)
        return Checkpoint(group, int(about["step"]), str(about["settings"]), found)
    except arrays.DAMAGE as error:
        raise ContentError(f"is no checkpoint ({type(error).__name__})") from None
