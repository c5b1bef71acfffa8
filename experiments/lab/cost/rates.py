"""Stores rates: how fast networks of a kind train and compile here, in the user's cache.

A *kind* is everything about a cell that costs time, except its depth: family, block, widths, batch,
image, optimiser, parts of the network, and processors.  One rate of each kind is kept, that of the
largest network seen; the seconds of others of the kind are proportional to their multiply-adds.  (A
line through two networks predicts others, 2 to 14 times as deep, no better: on two cores of an AMD
EPYC it predicts 0.84 to 0.97 of the measured seconds, and one rate 0.82 to 1.00 of them.)
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from experiments.lab.config.config import TRAINING, Config
from experiments.lab.config.grid import Cell
from experiments.lab.store import manifest
from experiments.lab.system import environment, files, sealed
from experiments.lab.system.errors import ContentError

#: The fields that change what is trained, but not how long a step takes; and the depth, since a
#: rate serves all depths.
_FREE = {"depth", "steps", "schedule", "warmup", "warmup_depth", "shortcut_schedule"}
_FREE |= {"weight_decay", "dataset", "holdout", "examples"}

_MOST_BYTES = 2**20


class Rate(NamedTuple):
    """Holds the measured times of one network of a kind, which predict those of others.

    Attributes:
      multiply_adds: multiply-adds of one example's forward pass.
      step: seconds of a step of one run on one device.
      compilation: seconds of compilation.
      call: seconds of a call of the program for each run on a device, without its steps.
    """

    multiply_adds: float
    step: float
    compilation: float
    call: float = 0.0

    def step_seconds(self, multiply_adds: float) -> float:
        """Predicts the seconds of a step of another network, in proportion to its multiply-adds."""
        return self.step * multiply_adds / max(self.multiply_adds, 1)


def kind(cell: Cell, config: Config, shape: Sequence[int], classes: int, more: dict) -> dict:
    """Returns the kind of a cell: all that cells must share for one rate to predict their times.

    Args:
      cell: cell of the kind.
      config: configuration of the study.
      shape: shape of an example.
      classes: number of logits.
      more: further entries of the kind: devices, versions, custom block.
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
    """Stores rates in a directory."""

    def __init__(self, directory: pathlib.Path | None):
        """Reads nothing yet; without a directory, no rate is known or stored."""
        self._directory = directory or pathlib.Path(os.devnull)

    def get(self, kind: dict) -> Rate | None:
        """Returns the rate of a kind; None if it is unknown or damaged."""
        try:
            found = json.loads(sealed.unseal(sealed.read_at_most(self.path(kind), _MOST_BYTES)))
            rate = Rate(*map(float, found["rate"]))
        except (ContentError, ValueError, TypeError, KeyError, RecursionError):
            return None
        whole = all(0 <= number < math.inf for number in rate)
        return rate if whole and found.get("kind") == _plain(kind) else None

    def keep(self, kind: dict, rate: Rate) -> None:
        """Stores a rate, unless that of a larger network is known, which predicts others better.

        A program in the compilation cache is loaded in no time, so the longest time is kept.

        Raises:
          OSError: it cannot be stored.
        """
        known = self.get(kind) or rate
        if known.multiply_adds > rate.multiply_adds:
            return
        if known.multiply_adds == rate.multiply_adds:
            rate = rate._replace(compilation=max(rate.compilation, known.compilation))
        content = manifest.json_text({"kind": _plain(kind), "rate": rate})
        files.make_directory(self._directory)
        files.write_bytes(self.path(kind), sealed.seal(content.encode()))

    def path(self, kind: dict) -> pathlib.Path:
        """Returns the path of the file that holds the rate of a kind."""
        return self._directory / f"{manifest.digest(_plain(kind))[:32]}.rate"


def _plain(kind: dict) -> dict:
    """Returns a kind as JSON returns it."""
    return json.loads(json.dumps(kind))
