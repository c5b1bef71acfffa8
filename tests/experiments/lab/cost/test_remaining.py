import math
from types import SimpleNamespace

import pytest

from experiments.lab.cost.estimates import Estimate
from experiments.lab.cost.remaining import Remaining

STEPS, REPORT = 100, 5.0


class Rates:
    """Estimates of groups by name, of their whole training and of the rest of it."""

    steps = STEPS

    def __init__(self, **known):
        self.known, self.asked = known, 0

    def of(self, group, done=0):
        self.asked += 1
        compiling, training = self.known.get(group, (math.nan, math.nan))
        return Estimate(compiling, training * (1 - done / STEPS))

    def report_seconds(self):
        return REPORT


def test_by_hand():
    remaining = Remaining(Rates(a=(2.0, 10.0), b=(3.0, 20.0)), ["a", "b"], {})
    assert remaining.compiling("a") == 2 + 10 + 3 + 20 + REPORT
    assert remaining.training("a", 0, 0.0) == 10 + 3 + 20 + REPORT
    # Its own pace is twice as fast as was thought, and b's program is compiled by then.
    assert remaining.training("a", 80, 4.0) == 1 + 20 + REPORT
    assert remaining.training("b", 0, 0.0) == 20 + REPORT and remaining.is_last("b")


def test_nothing_is_told_before_any_rate_is_known():
    rates = Rates()
    remaining = Remaining(rates, ["a", "b", "c"], {}, lambda: 0.0)
    assert math.isnan(remaining.compiling("a"))
    assert math.isnan(remaining.training("a", 50, 5.0))  # of b and c nothing is known
    rates.known["a"] = (2.0, 10.0)
    remaining.done("a", 2.0, 10.0)
    assert remaining.compiling("b") == pytest.approx((10 + 2 + 10) + REPORT)  # b is like a
    assert remaining.training("c", 50, 5.0) == 5 + REPORT


def test_what_the_first_took_corrects_what_is_said_of_the_others():
    remaining = Remaining(Rates(a=(2.0, 10.0), b=(3.0, 21.0)), ["a", "b"], {})
    remaining.done("a", 0.0, 6.0)  # from the cache, and half the time in all
    assert remaining.training("b", 0, 0.0) == pytest.approx((21 + REPORT) / 2)


def test_a_group_that_was_begun_has_only_its_rest_left():
    remaining = Remaining(Rates(a=(2.0, 10.0)), ["a"], {"a": 60})
    assert remaining.compiling("a") == pytest.approx(2 + 4 + REPORT)
    assert remaining.training("a", 80, 1.0) == pytest.approx(1 + REPORT)


def test_it_takes_little_time_itself():
    """Estimates of ten thousand groups are not made again at every step."""
    clock = SimpleNamespace(now=0.0)

    def tick():
        clock.now += 1.0  # making them takes a second
        return clock.now

    rates = Rates(a=(0.0, 1.0))
    remaining = Remaining(rates, ["a"], {}, tick)
    for step in range(1, 100):
        remaining.training("a", step, 1.0)
    assert rates.asked <= 3
