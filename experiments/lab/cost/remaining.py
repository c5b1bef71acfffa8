"""Predicts how long the rest of a study takes, while it trains."""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from experiments.lab.config.grid import Group
from experiments.lab.cost.estimates import Estimate, Estimates

#: The estimates of all groups are made again after so many times the seconds that this takes.
_PATIENCE = 50

_UNKNOWN = Estimate(math.nan, math.nan)


class Remaining:
    """Predicts the seconds that the rest of a study takes; NaN while no rate is known.

    Groups are trained in order, and the next one is compiled meanwhile.  What the first ones took
    corrects the prediction: programs may come from a cache, and a machine may be busy.
    """

    def __init__(
        self,
        estimates: Estimates,
        groups: Sequence[Group],
        begun: Mapping[Group, int],
        clock: Callable[[], float] = time.monotonic,
    ):
        """Takes the groups to train, in order, and the steps that some of them have behind them."""
        self._estimates, self._groups, self._begun, self._clock = estimates, groups, begun, clock
        self._places = {group: place for place, group in enumerate(groups)}
        self._now: tuple[list[Estimate], list[float]] = [], []
        self._stale_at = -math.inf
        self._took = self._predicted = self._overlapped = 0.0

    def compiling(self, group: Group) -> float:
        """Returns the seconds left while the program of a group is awaited."""
        each, after = self._all()
        place = self._places[group]
        ready = min(each[place].compiling, self._overlapped)
        return self._corrected(sum(each[place]) - ready + after[place + 1])

    def training(self, group: Group, step: int, seconds: float) -> float:
        """Returns the seconds left while a group trains.

        Args:
          group: group that trains.
          step: number of updates made.
          seconds: seconds that these updates took in this process.
        """
        each, after = self._all()
        place, done = self._places[group], step - self._begun.get(group, 0)
        rest = self._corrected(each[place].training)
        if done > 0:  # its own pace says it better
            rest = seconds / done * (self._estimates.steps - step)
        upcoming = each[place + 1].compiling if place + 1 < len(each) else 0.0
        return rest + self._corrected(after[place + 1] - min(upcoming, seconds))

    def is_last(self, group: Group) -> bool:
        """Returns whether a group is the last, so that nothing is compiled while it trains."""
        return self._places[group] == len(self._groups) - 1

    def done(self, group: Group, compiling: float, training: float) -> None:
        """Takes the seconds that a group took in all, after its rate has been kept."""
        self._overlapped = training
        self._took += compiling + training
        self._predicted += sum(self._estimates.of(group))

    def _corrected(self, seconds: float) -> float:
        return seconds * self._took / self._predicted if self._predicted else seconds

    def _all(self) -> tuple[list[Estimate], list[float]]:
        """Returns the estimates of all groups, and the seconds of each group and all after it.

        Groups of kinds whose rate is unknown get the mean of the others.
        """
        if (start := self._clock()) >= self._stale_at:
            found = [self._estimates.of(each, self._begun.get(each, 0)) for each in self._groups]
            known = [estimate for estimate in found if not math.isnan(estimate.training)]
            parts = zip(*known or [_UNKNOWN], strict=True)
            mean = Estimate(*(statistics.fmean(part) for part in parts))
            each = [mean if math.isnan(one.training) else one for one in found]
            end = self._estimates.report_seconds()
            after = [*itertools.accumulate(map(sum, each[::-1]), initial=end)][::-1]
            self._now, now = (each, after), self._clock()
            self._stale_at = now + _PATIENCE * (now - start)
        return self._now
