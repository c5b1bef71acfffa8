"""Statistics over seeds: intervals and a paired test.

Few seeds are the rule, so nothing here relies on many: t-intervals keep their promise at three,
where percentile bootstraps do not, and the sign-flip test is exact.
"""

from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and the interval around it; NaN where one value leaves no interval."""

    mean: float
    low: float
    high: float


def t_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's interval for the mean of independent values.

    Args:
      values: ``[seeds]``; where one is infinite, so is the mean, and there is no interval.
      confidence: the share of such intervals that hold the true mean.

    Raises:
      ValueError: there are no values.
    """
    values = np.asarray(values, np.float64)
    if values.size == 0:
        raise ValueError("an interval needs at least one value")
    mean = float(values.mean())
    if values.size == 1 or not np.isfinite(mean):
        return Interval(mean, np.nan, np.nan)
    from scipy import stats  # takes a second, which training need not wait for

    quantile = stats.t.ppf((1 + confidence) / 2, values.size - 1)
    half = float(quantile * values.std(ddof=1) / np.sqrt(values.size))
    return Interval(mean, mean - half, mean + half)


def sign_flip_test(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p-value for "``a`` and ``b`` have the same mean", paired by seed.

    Under that hypothesis the sign of each difference is a coin toss, so all 2^n flips of them are
    equally likely; the p-value is the share of flips whose sum is at least as far from zero as the
    one observed.  It is exact up to 13 pairs, and from 9,999 random flips beyond.  With n pairs it
    cannot be below 2^(1-n).

    Args:
      a: values ``[seeds]``.
      b: values ``[seeds]``, in the order of the same seeds.

    Raises:
      ValueError: the lengths differ or are zero.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"pairs are needed, and there are {a.size} and {b.size} values")
    differences = a - b
    if a.size == 1 or not differences.any():
        return 1.0
    from scipy import stats  # as above

    test = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", rng=np.random.default_rng(0)
    )
    return float(test.pvalue)
