"""Computes statistics over seeds: intervals and tests.

Few seeds are the rule, so nothing here relies on many: t-intervals keep their coverage with three,
where percentile bootstraps do not, and the sign-flip test is exact.
"""

from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """Holds a mean and the interval around it; NaN where one value leaves no interval."""

    mean: float
    low: float
    high: float


def t_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Computes Student's interval for the mean of independent values.

    Args:
      values: ``[seeds]``; if one is infinite, so is the mean, and there is no interval.
      confidence: fraction of such intervals that hold the true mean.

    Raises:
      ValueError: there are no values.
    """
    values = np.asarray(values, np.float64)
    if values.size == 0:
        raise ValueError("an interval needs at least one value")
    mean = float(values.mean())
    if values.size == 1 or not np.isfinite(mean):
        return Interval(mean, np.nan, np.nan)
    from scipy import stats  # its import takes a second, which training need not wait for

    quantile = stats.t.ppf((1 + confidence) / 2, values.size - 1)
    half = float(quantile * values.std(ddof=1) / np.sqrt(values.size))
    return Interval(mean, mean - half, mean + half)


def log_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Computes the interval for the mean of log-normal values, whose logarithms are normal.

    Products of many random factors are such values: a few large ones make their arithmetic mean,
    and a sample of usual size has none of these.  With m and s² the mean and variance of n
    logarithms, the mean is exp(m + s²/2), and Student's quantile is taken of
    √(s²/n + s⁴/(2(n - 1))) (Cox's method; Zhou & Gao 1997).

    Args:
      values: positive ``[seeds]``; if one is zero or infinite, there is no interval, and the mean
        is that of :func:`t_interval`.
      confidence: see :func:`t_interval`.

    Raises:
      ValueError: there are no values.
    """
    values = np.asarray(values, np.float64)
    if not (np.isfinite(values) & (values > 0)).all() or values.size < 2:
        with np.errstate(invalid="ignore"):
            return Interval(t_interval(values, confidence).mean, np.nan, np.nan)
    from scipy import stats  # as above

    logarithms, count = np.log(values), values.size
    variance = float(logarithms.var(ddof=1))
    error = np.sqrt(variance / count + variance**2 / (2 * (count - 1)))
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1) * error)
    middle = float(logarithms.mean()) + variance / 2
    with np.errstate(over="ignore"):
        return Interval(*(float(np.exp(middle + shift)) for shift in (0, -half, half)))


def slope_interval(x: np.ndarray, samples: np.ndarray, confidence: float = 0.95) -> Interval:
    """Computes Student's interval for the slope of a line, from the samples' least-squares slopes.

    Args:
      x: ``[points]``.
      samples: ``[samples, points]``, such as one curve per seed; NaN where a point is missing.  A
        sample of fewer than two points has no slope, and does not count.
      confidence: see :func:`t_interval`.
    """
    slopes = []
    for y in np.asarray(samples, np.float64):
        known = np.isfinite(y)
        if known.sum() > 1:
            slopes.append(np.polyfit(np.asarray(x)[known], y[known], 1)[0])
    return t_interval(np.array(slopes), confidence) if slopes else Interval(*[np.nan] * 3)


def sign_flip_test(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the two-sided p-value for "``a`` and ``b`` have the same mean", paired by seed.

    Under that hypothesis the sign of each difference is a coin toss, so all 2^n sign flips are
    equally likely; the p-value is the fraction of flips whose sum is at least as far from zero as
    the observed one.  It is exact up to 13 pairs, and estimated from 9,999 random flips beyond.
    With n pairs it cannot be below 2^(1-n).

    Args:
      a: values ``[seeds]``.
      b: values ``[seeds]``, in the same order of seeds.

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


def share_interval(hits: int, count: int, confidence: float = 0.95) -> Interval:
    """Computes the interval for a proportion, by the exact binomial test (Clopper & Pearson 1934).

    Args:
      hits: number of successes among the trials.
      count: number of independent trials.
      confidence: see :func:`t_interval`; the interval holds the true proportion at least that
        often.

    Raises:
      ValueError: there are no trials, or the hits are not between 0 and ``count``.
    """
    if not 0 <= hits <= count or not count:
        raise ValueError(f"{hits} of {count} is no share")
    from scipy import stats  # as above

    low, high = stats.binomtest(hits, count).proportion_ci(confidence)
    return Interval(hits / count, float(low), float(high))


def fisher_exact_test(table: np.ndarray) -> float:
    """Returns the two-sided p-value for "rows and columns are independent" (Fisher 1935).

    Args:
      table: counts ``[2, 2]``.
    """
    from scipy import stats  # as above

    return float(stats.fisher_exact(np.asarray(table)).pvalue)
