"""Lists the grid of a study: its cells and their runs, by name, before anything is built."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from experiments.lab.config.config import Config
from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.lab.system.errors import ContentError

#: The columns that tell one cell from another, and one run from another, in every table.
CELL_COLUMNS = ("family", "block", "depth", *VARIANT_FIELDS)
RUN_COLUMNS = (*CELL_COLUMNS, "shortcut_weight", "learning_rate", "seed")

#: A valid name in a table; anything else in a file is damage, or worse.
NAME = re.compile(r"[A-Za-z0-9_.:/+-]{1,80}")

#: A number as Python and every reader of tables writes it.
PLAIN_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|[-+]?inf|nan", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Cell:
    """Identifies a cell: one depth of one variant."""

    family: str
    block: str
    depth: int
    variant: Variant

    def columns(self) -> dict:
        """Returns the columns that identify the cell in a table, and their values."""
        return {
            "family": self.family,
            "block": self.block,
            "depth": self.depth,
            **dataclasses.asdict(self.variant),
        }


class RunKey(NamedTuple):
    """Identifies a run within its study."""

    cell: Cell
    learning_rate: float
    shortcut_weight: float
    seed: int

    def columns(self) -> dict:
        """Returns the values of :data:`RUN_COLUMNS`, which identify the run in a table."""
        return {
            **self.cell.columns(),
            "shortcut_weight": self.shortcut_weight,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
        }


class Group(NamedTuple):
    """Lists runs of one cell that one program trains: all, or those that were still missing."""

    cell: Cell
    runs: tuple[RunKey, ...]

    @property
    def name(self) -> str:
        """Returns a unique file name for the group: readable, and of harmless characters."""
        runs = [run.columns() for run in self.runs]
        digest = hashlib.sha256(json.dumps(runs).encode()).hexdigest()[:16]
        readable = re.sub(r"[^A-Za-z0-9_]+", "-", f"{self.cell.family}-{self.cell.depth}")[:40]
        return f"{readable}-{digest}"


def cells(config: Config) -> Iterator[Cell]:
    """Yields the cells of a study that have runs, shallow ones first."""
    for depth in sorted(config.depths):
        block = config.block_at(depth)
        for variant in config.variants():
            if config.shortcut_weights_of(depth, variant):
                yield Cell(config.family, block, depth, variant)


def runs(config: Config, cell: Cell) -> Iterator[RunKey]:
    """Yields the runs of a cell: each of its rates, with each shortcut weight, with all seeds."""
    for rate in config.learning_rates_of(cell.variant):
        for weight in config.shortcut_weights_of(cell.depth, cell.variant):
            for seed in config.seeds():
                yield RunKey(cell, rate, weight, seed)


def all_runs(config: Config) -> list[RunKey]:
    """Returns the runs of a study, in the order of its tables."""
    return [run for cell in cells(config) for run in runs(config, cell)]


def run_of(row: Mapping) -> RunKey:
    """Returns the run that a row of a table is about; its numbers may be text.

    Raises:
      ContentError: the row identifies no run.
    """
    try:
        names = {name: row[name] for name in CELL_COLUMNS if name != "depth"}
        words = [f"{row[name]}" for name in ("learning_rate", "shortcut_weight", "depth", "seed")]
        if not all(map(PLAIN_NUMBER.fullmatch, words)):
            raise ValueError
        numbers = float(words[0]), float(words[1])
        depth, seed = int(words[2]), int(words[3])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ContentError("a row names no run") from None
    strange = any(not isinstance(n, str) or not NAME.fullmatch(n) for n in names.values())
    if strange or depth < 2 or seed < 0 or not all(map(math.isfinite, numbers)):
        raise ContentError("a row names no run")
    variant = Variant(*[names[name] for name in VARIANT_FIELDS])
    return RunKey(Cell(names["family"], names["block"], depth, variant), *numbers, seed)
