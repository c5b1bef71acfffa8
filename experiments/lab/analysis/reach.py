"""Decides to which depth networks train, by a written rule.

A depth *trains* if the training error is below a limit, by default 5%.  Networks train *to* the
greatest depth up to which every depth that was tried trains.  Depths beyond a failure that train
again do not count, and are reported.  If no depth that was tried fails, the greatest is unknown: it
is at least the deepest tried.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

#: The training error below which a network counts as trained.
TRAINED = 0.05


class Reach(NamedTuple):
    """Holds to which depth networks train, in weight layers.

    Attributes:
      trains: greatest depth up to which all depths tried train; NaN if the first one fails.
      fails: the next depth that was tried; NaN if none fails.
      again: deeper ones that train nevertheless.
    """

    trains: float
    fails: float
    again: tuple[int, ...] = ()

    @property
    def known(self) -> bool:
        """Returns whether a depth that fails was found, so that the greatest is known."""
        return not np.isnan(self.fails)

    @property
    def order(self) -> float:
        """Returns a number to sort by: the depth to which networks train, or 0 if at none tried."""
        return 0.0 if np.isnan(self.trains) else self.trains

    @property
    def words(self) -> str:
        """Returns the depth in words: ``16``; ``≥ 64`` if none fails; ``< 4`` if the first does."""
        if np.isnan(self.trains):
            return f"< {self.fails:.0f}"
        return f"{self.trains:.0f}" if self.known else f"≥ {self.trains:.0f}"


def reach(errors: pd.Series, below: float = TRAINED) -> Reach:
    """Returns to which depth networks train.

    Args:
      errors: training errors (fractions) by depth, one or more.
      below: limit on the training error.
    """
    errors = errors.sort_index()
    depths, trains = errors.index.to_numpy(), (errors < below).to_numpy()
    first = len(depths) if trains.all() else int(trains.argmin())
    return Reach(
        float(depths[first - 1]) if first else np.nan,
        float(depths[first]) if first < len(depths) else np.nan,
        tuple(int(depth) for depth in depths[first:][trains[first:]]),
    )
