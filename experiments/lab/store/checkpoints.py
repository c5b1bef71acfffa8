"""Checkpoints: arrays of an unfinished training, the last two of each group of runs.

A checkpoint is a sealed safetensors file.  The two of a group take turns, so that while one is
written, or if one rots, the other is there: a training goes back one step, not to its start.
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

#: A larger file is none of ours, and is not read.
_MOST_BYTES = 2**36


class Checkpoint(NamedTuple):
    """Where the training of a group stands.

    Attributes:
      group: of runs.
      step: updates made.
      settings: the digest of the settings that it belongs to.
      arrays: by name.
    """

    group: Group
    step: int
    settings: str
    arrays: dict[str, np.ndarray]


class Checkpoints:
    """The checkpoints in a directory."""

    def __init__(self, directory: pathlib.Path, settings: str):
        """Takes a directory, which need not exist.

        Args:
          directory: for checkpoints alone.
          settings: the digest that its checkpoints carry; others are as good as damaged.
        """
        self._directory = directory
        self._settings = settings
        self._steps: dict[pathlib.Path, int] = {}

    def save(self, group: Group, step: int, state: dict[str, np.ndarray]) -> int:
        """Writes a checkpoint in the place of the group's last but one; returns its bytes."""
        files.make_directory(self._directory)
        paths = [self._path(group, slot) for slot in _SLOTS]
        oldest = min(paths, key=lambda path: self._steps.get(path, -1))
        content = encode(Checkpoint(group, step, self._settings, state))
        files.write_bytes(oldest, content)
        self._steps[oldest] = step
        return len(content)

    def load(self, damaged: Callable[[pathlib.Path, str], None]) -> Iterator[Checkpoint]:
        """The newest sound checkpoint of each group.

        Args:
          damaged: is told of each file that is none, and why.
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
        """Where the checkpoints of a group lie."""
        return [path for slot in _SLOTS if (path := self._path(group, slot)).exists()]

    def drop(self, group: Group) -> None:
        """Removes the checkpoints of a group, whose results are in."""
        for slot in _SLOTS:
            path = self._path(group, slot)
            files.remove(path)
            self._steps.pop(path, None)

    def any(self) -> bool:
        """Whether there are any, sound or not."""
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
    """Returns the checkpoint of :func:`encode`.

    Raises:
      ContentError: the bytes are none.
    """
    about, found = arrays.decode(content)
    try:
        runs = tuple(run_of(row) for row in about["runs"])
        group = Group(runs[0].cell, runs)
        return Checkpoint(group, int(about["step"]), str(about["settings"]), found)
    except arrays.DAMAGE as error:
        raise ContentError(f"is no checkpoint ({type(error).__name__})") from None
