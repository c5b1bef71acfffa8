"""Rates: how fast networks of a kind train and compile on this machine, kept in the user's cache.

A *kind* is everything about a cell that costs time, but its depth: family, block, widths, batch,
image, optimizer, how it is composed, the processors.  Of each kind some points are known, and
between them seconds go in line with multiply-adds.
"""

import bisect
import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from experiments.lab.config.config import TRAINING, Config
from experiments.lab.config.grid import Cell
from experiments.lab.store import manifest
from experiments.lab.system import environment, files, sealed
from experiments.lab.system.errors import ContentError

#: Fields that change what is trained, but not how long a step takes, and the depth, by which times
#: are kept.
_FREE = {"depth", "steps", "schedule", "warmup", "warmup_depth", "shortcut_schedule"}
_FREE |= {"weight_decay", "dataset", "holdout", "examples"}

_MOST_BYTES = 2**20

#: Two points say how time grows, but little of networks smaller than both; any point says it for
#: those at most so many times as large or small.
_REACH = 1.5


class Point(NamedTuple):
    """What one network of a kind takes.

    Attributes:
      multiply_adds: of one example's way through it.
      step: seconds of a step of one run on one device.
      compilation: seconds.
      call: seconds that a call of the program takes for each run on a device, besides its steps.
    """

    multiply_adds: float
    step: float
    compilation: float
    call: float = 0.0


def kind(cell: Cell, config: Config, shape: Sequence[int], classes: int, more: dict) -> dict:
    """What cells share whose times are in line with each other.

    Args:
      cell: one of them.
      config: of the study.
      shape: of an example.
      classes: logits of the head.
      more: what else they share: devices, versions, a block of the user's own.
    """
    fields = [field.name for field in dataclasses.fields(config) if _costs(field)]
    return {
        **{name: getattr(config, name) for name in fields},
        **{name: value for name, value in cell.columns().items() if name not in _FREE},
        "width": config.base_width(),
        "image": list(shape),
        "classes": classes,
        "processor": environment.processor_features(),
        **more,
    }


def _costs(field: dataclasses.Field) -> bool:
    return field.metadata["role"] == TRAINING and field.name not in _FREE


class Rates:
    """The rates that are kept in a directory."""

    def __init__(self, directory: pathlib.Path | None):
        """Reads nothing yet; without a directory nothing is known and nothing kept."""
        self._directory = directory or pathlib.Path(os.devnull)

    def points(self, kind: dict) -> list[Point]:
        """What is known of a kind, small networks first; of what is damaged, nothing is."""
        try:
            found = json.loads(sealed.unseal(sealed.read_at_most(self.path(kind), _MOST_BYTES)))
            points = sorted(Point(*map(float, point)) for point in found["points"])
        except (ContentError, ValueError, TypeError, KeyError, RecursionError):
            return []
        whole = all(0 <= number < math.inf for point in points for number in point)
        return points if whole and found.get("kind") == _plain(kind) else []

    def keep(self, kind: dict, points: Iterable[Point]) -> None:
        """Keeps points, in the place of those that were known of the same networks.

        A program that was compiled before is loaded in no time: the longest time stands.

        Raises:
          OSError: they cannot be kept.
        """
        known = {point.multiply_adds: point for point in self.points(kind)}
        for point in points:
            before = known.get(point.multiply_adds, point).compilation
            longest = max(point.compilation, before)
            known[point.multiply_adds] = point._replace(compilation=longest)
        content = manifest.json_text({"kind": _plain(kind), "points": sorted(known.values())})
        files.make_directory(self._directory)
        files.write_bytes(self.path(kind), sealed.seal(content.encode()))

    def path(self, kind: dict) -> pathlib.Path:
        """The file that holds what is known of a kind."""
        return self._directory / f"{manifest.digest(_plain(kind))[:32]}.rate"


def _plain(kind: dict) -> dict:
    """A kind as JSON gives it back."""
    return json.loads(json.dumps(kind))


def is_known(points: Sequence[Point], multiply_adds: int) -> bool:
    """Whether sorted points say how long a network takes."""
    near = lambda point: 1 / _REACH <= multiply_adds / max(point.multiply_adds, 1) <= _REACH
    above = len(points) > 1 and multiply_adds >= points[0].multiply_adds
    return above or any(map(near, points))


def step_seconds(points: Sequence[Point], multiply_adds: int) -> float:
    """Seconds of a step of one run: on the line through the two nearest of some sorted points."""
    if len(points) == 1:
        return points[0].step * multiply_adds / max(points[0].multiply_adds, 1)
    place = bisect.bisect([point.multiply_adds for point in points], multiply_adds)
    low, high = points[(first := min(max(place - 1, 0), len(points) - 2)) : first + 2]
    slope = max(high.step - low.step, 0) / (high.multiply_adds - low.multiply_adds)
    line = low.step + slope * (multiply_adds - low.multiply_adds)
    return max(line, low.step / 2 * min(1, multiply_adds / low.multiply_adds))  # if points are bad


def compile_seconds(points: Sequence[Point], multiply_adds: int) -> float:
    """Seconds that compiling takes: those of the nearest point, since stacks do not grow."""
    return _nearest(points, multiply_adds).compilation


def call_seconds(points: Sequence[Point], multiply_adds: int) -> float:
    """Seconds of a call for each run, besides its steps: those of the nearest point; 0 of none."""
    return _nearest(points, multiply_adds).call if points else 0.0


def _nearest(points: Sequence[Point], multiply_adds: int) -> Point:
    return min(points, key=lambda point: abs(point.multiply_adds - multiply_adds))
