"""Estimates how long groups of runs will take, from rates kept from one study to the next."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax

from experiments.lab.build.experiment import CALL_SECONDS, Experiment
from experiments.lab.config.grid import Cell, Group
from experiments.lab.cost import rates
from experiments.lab.cost.rates import Rate, Rates
from experiments.lab.store import manifest
from experiments.lab.system import environment
from resnet_jax.nn.counting import Counts
from resnet_jax.training.population import even_tile

#: Seconds that drawing a report takes, until one has been timed.
REPORT_SECONDS = 5.0

#: The work of a step in forward passes of its batch: the gradient costs two more.
PASSES = 3


class Estimate(NamedTuple):
    """Holds the seconds that a group takes, if nothing else runs meanwhile."""

    compiling: float
    training: float


class Estimates:
    """Estimates the times of a study, and keeps what was measured."""

    def __init__(
        self,
        experiment: Experiment,
        counts: dict[Cell, Counts],
        kept: Rates | None = None,
    ):
        """Reads nothing yet.

        Args:
          experiment: what the study trains.
          counts: counts of each cell's network, and of any other cell that is asked about.
          kept: the stored rates; by default those in the user's cache.
        """
        self._experiment, self._config = experiment, experiment.config
        self._counts = counts
        self._rates = Rates(_users_rates()) if kept is None else kept
        self._found: dict[str, Rate | None] = {}
        self._kinds: dict[tuple[Cell, int], tuple[dict, str]] = {}

    @property
    def steps(self) -> int:
        """Returns the number of updates of each run."""
        return self._config.steps

    def at_once(self, group: Group) -> int:
        """Returns how many runs of a group are vectorised on a device, which speeds up each."""
        return even_tile(self._tile(group), self._experiment.tile)

    def kind(self, group: Group) -> dict:
        """Returns the kind of a group; see :func:`experiments.lab.cost.rates.kind`."""
        return self._kind(group)[0]

    def _kind(self, group: Group) -> tuple[dict, str]:
        """Returns the kind of a group, and its digest; they are the same at all depths."""
        key = dataclasses.replace(group.cell, depth=0), self.at_once(group)
        if key not in self._kinds:
            made = self._make_kind(group)
            self._kinds[key] = made, manifest.digest(made)
        return self._kinds[key]

    def _make_kind(self, group: Group) -> dict:
        block, dataset = self._experiment.block, self._experiment.dataset
        more = {
            "tile": self.at_once(group),
            "statistics": self._experiment.running_statistics,
            "devices": [device.device_kind for device in self._experiment.devices],
            "jax": jax.__version__,
            "own_block": block.identity if block else "",
        }
        shape = dataset.x_train.shape[1:]
        return rates.kind(group.cell, self._config, shape, dataset.classes, more)

    def is_known(self, group: Group) -> bool:
        """Returns whether the rate of a group's kind is known."""
        return self._rate(group) is not None

    def of(self, group: Group, done: int = 0) -> Estimate:
        """Predicts how long a group takes after ``done`` steps; NaN if its rate is unknown."""
        rate = self._rate(group)
        if rate is None:
            return Estimate(math.nan, math.nan)
        left, tile = 1 - done / max(self._config.steps, 1), self._tile(group)
        step = rate.step_seconds(self._adds(group.cell))
        calls = self._calls(tile * step, tile * rate.call)
        training = left * tile * (self.equivalent_steps() * step + calls * rate.call)
        return Estimate(rate.compilation, training)

    def beside(self, estimates: Sequence[Estimate]) -> list[float]:
        """Returns the seconds of training of each group, in order, as a user sees them.

        Where devices are cores, the compiler of the next group takes half of them while it runs;
        the total is the same as with one after the other.
        """
        upcoming = (estimate.compiling * self._shares_cores for estimate in estimates[1:])
        return [
            estimate.training + min(estimate.training, next(upcoming, 0.0))
            for estimate in estimates
        ]

    @property
    def _shares_cores(self) -> bool:
        return self._experiment.devices[0].platform == "cpu"

    def total(self, groups: Iterable[Group], begun: dict[Group, int]) -> str:
        """Returns how long groups take, as the end of a line; empty if it is not known."""
        seconds = sum(sum(self.of(group, begun.get(group, 0))) for group in groups)
        return f"; about {duration(seconds)}" if seconds > 0 else ""  # nor where it is NaN

    def equivalent_steps(self) -> float:
        """Returns the cost of a run in steps, with its measurements."""
        measured = 1 + math.ceil(self._config.steps / self._experiment.measuring_stride)
        dataset = self._experiment.dataset
        examples = len(dataset.x_train) + len(dataset.x_test)
        return self._config.steps + measured * examples / (PASSES * self._config.batch_size)

    def multiply_adds(self, group: Group) -> float:
        """Returns the multiply-adds of a group's whole training, including measurements."""
        each = PASSES * self._config.batch_size * self._adds(group.cell)
        return self.equivalent_steps() * len(group.runs) * each

    def keep(self, group: Group, training: float, compiling: float, followed: bool = False) -> None:
        """Stores the rate of a group's kind, computed from the seconds that the group took.

        Args:
          group: group that has been trained.
          training: seconds of training.
          compiling: seconds of compilation.
          followed: whether another group, taken to be like it, was compiled meanwhile.
        """
        if followed and self._shares_cores:
            training = max(training / 2, training - compiling)
        adds, tile, steps = self._adds(group.cell), self._tile(group), self.equivalent_steps()
        known = self._rate(group)
        call = known.call if known else 0.0
        calling = self._calls(training / steps) * tile * call
        step = max(training - calling, training / 2) / (steps * tile)  # in case the old rate is bad
        self.keep_rate(self.kind(group), Rate(adds, step, compiling, call))

    def report_seconds(self) -> float:
        """Returns how long drawing a report takes."""
        rate = self._rates.get(_REPORT)
        return rate.step if rate else REPORT_SECONDS

    def keep_report(self, seconds: float) -> None:
        """Stores how long drawing a report took."""
        self.keep_rate(_REPORT, Rate(1, seconds, 0))

    def keep_rate(self, kind: dict, rate: Rate) -> None:
        """Stores the rate of a kind; if that fails, it is only known within this process."""
        with contextlib.suppress(OSError):
            self._rates.keep(kind, rate)
        self._found[manifest.digest(kind)] = self._rates.get(kind) or rate

    def _calls(self, step: float, call: float = 0.0) -> float:
        """Returns how many calls train a group, from the seconds of a step and of an empty call.

        The first calls take 1, 4, 16 and so on steps, up to the intended length of a call.
        """
        stride = self._experiment.measuring_stride
        fit = max(1, (CALL_SECONDS - call) // max(step, 1e-9))
        most = min(self._experiment.chunk, fit)
        between = math.ceil(self._config.steps / stride) * math.ceil(stride / most)
        return 1 + between + math.log(most, 4)

    def _rate(self, group: Group) -> Rate | None:
        kind, digest = self._kind(group)
        if digest not in self._found:
            self._found[digest] = self._rates.get(kind)
        return self._found[digest]

    def _adds(self, cell: Cell) -> int:
        return self._counts[cell].multiply_adds

    def _tile(self, group: Group) -> int:
        """Returns the number of a group's runs that each device trains."""
        return -(-len(group.runs) // self._experiment.mesh.size)


_REPORT = {"what": "report"}


def _users_rates() -> pathlib.Path | None:
    try:
        return environment.users_cache() / "rates"
    except OSError:  # no home
        return None


def duration(seconds: float) -> str:
    """Returns a number of seconds as text, in a suitable unit."""
    if math.isnan(seconds):
        return "unknown"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    return f"{minutes:,} min" if minutes < 120 else f"{hours:,} h"
