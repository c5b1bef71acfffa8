"""Reach: to which depth networks train, by a written rule.

A depth *trains* where the training error lies below a limit, 5% if no other is named.  Networks
train *to* the greatest depth up to which every depth that was tried trains: what trains again
beyond a failure does not count, and is told.  Where no depth that was tried fails, the greatest is
not known, only that it is no less than the deepest tried.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

#: The training error below which a network counts as trained.
TRAINED = 0.05


class Reach(NamedTuple):
    """To which depth networks train, in weight layers.

    Attributes:
      trains: the greatest depth up to which all that were tried train; NaN where the first fails.
      fails: the next that was tried; NaN where none fails.
      again: deeper ones that train all the same.
    """

    trains: float
    fails: float
    again: tuple[int, ...] = ()

    @property
    def known(self) -> bool:
        """Whether a depth that fails was found, so that the greatest that trains is known."""
        return not np.isnan(self.fails)

    @property
    def order(self) -> float:
        """The deeper networks train, the greater; 0 where they train at no depth tried."""
        return 0.0 if np.isnan(self.trains) else self.trains

    @property
    def words(self) -> str:
        """``16``; ``≥ 64`` where none fails; ``< 4`` where the first does."""
        if np.isnan(self.trains):
            return f"< {self.fails:.0f}"
        return f"{self.trains:.0f}" if self.known else f"≥ {self.trains:.0f}"


def reach(errors: pd.Series, below: float = TRAINED) -> Reach:
    """To which depth networks train.

    Args:
      errors: training errors (fractions) by depth, one or more.
      below: the limit.
    """
    errors = errors.sort_index()
    depths, trains = errors.index.to_numpy(), (errors < below).to_numpy()
    first = len(depths) if trains.all() else int(trains.argmin())
    return Reach(
        float(depths[first - 1]) if first else np.nan,
        float(depths[first]) if first < len(depths) else np.nan,
        tuple(int(depth) for depth in depths[first:][trains[first:]]),
    )
