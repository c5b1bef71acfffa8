import math

import jax
import numpy as np
import pytest

from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.cost.estimates import REPORT_SECONDS, Estimate, Estimates, duration
from experiments.lab.cost.rates import Rate, Rates
from experiments.lab.data.datasets import Dataset
from experiments.lab.store import manifest
from resnet_jax import Counts
from resnet_jax.training.population import runs_mesh

X, Y = np.zeros((80, 6), np.float32), np.zeros(80, np.int32)
DATASET = Dataset(X, Y, X[:10], Y[:10], 3, "zeros")
CONFIG = Config(depths=(2, 4), num_seeds=5, learning_rates=(0.1,), steps=60, batch_size=10)
SMALL, LARGE = grid.cells(CONFIG)
COUNTS = {SMALL: Counts(2, 0, 100, 0, 0), LARGE: Counts(4, 0, 300, 0, 0)}
GROUP = Group(LARGE, tuple(grid.runs(CONFIG, LARGE))[:5])  # on two devices: three runs each
EXPERIMENT = Experiment(CONFIG, DATASET, mesh=runs_mesh(jax.devices()[:2]))
SHALLOW = Group(SMALL, tuple(grid.runs(CONFIG, SMALL))[:5])
STEPS = 60 + 7 * 90 / 30  # seven measurements of 90 examples, a third of a step each


@pytest.fixture
def estimates(tmp_path):
    return Estimates(EXPERIMENT, COUNTS, Rates(tmp_path))


def test_by_hand(estimates):
    assert estimates.equivalent_steps() == STEPS
    assert estimates.multiply_adds(GROUP) == STEPS * 5 * 3 * 10 * 300
    estimates.keep_rate(estimates.kind(GROUP), Rate(200, 2.0, 8.0))
    assert estimates.of(GROUP) == (8.0, 3 * STEPS * 3.0)
    assert estimates.of(GROUP, done=45) == (8.0, pytest.approx(3 * STEPS * 3.0 / 4))


def test_what_a_group_took_is_what_it_will_take(estimates):
    assert not estimates.is_known(GROUP) and math.isnan(estimates.of(GROUP).training)
    assert estimates.total([GROUP], {}) == ""
    estimates.keep(GROUP, training=50.0, compiling=3.0)
    assert estimates.is_known(GROUP) and estimates.is_known(SHALLOW)
    assert estimates.of(GROUP) == (3.0, pytest.approx(50.0))
    assert estimates.total([GROUP], {}) == "; about 53 s"


def test_times_are_of_so_many_vectorised_runs(tmp_path):
    """A step of each is faster the more there are; one after the other they are all alike."""
    runs = tuple(grid.runs(CONFIG, LARGE))
    groups = [Group(LARGE, runs[:count]) for count in (2, 5, 6, 10)]  # on two devices
    for how, at_once in {"map": [1, 1, 1, 1], "vmap": [1, 3, 3, 5], "vmap:2": [1, 2, 2, 2]}.items():
        these = Estimates(EXPERIMENT.but(map=how), COUNTS, Rates(tmp_path))
        assert [these.at_once(group) for group in groups] == at_once
        kinds = [manifest.digest(these.kind(group)) for group in groups]
        assert len(set(kinds)) == len(set(at_once))


def test_calls_take_time_too(estimates):
    """The first takes no step, the next 1 and 4; then six take 10 each, as steps are short."""
    few = math.log(10, 4) + 6 + 1
    estimates.keep_rate(estimates.kind(GROUP), Rate(200, 0.002, 8.0, 0.2))
    assert estimates.of(GROUP).training == pytest.approx(3 * (STEPS * 0.003 + few * 0.2))
    slow = Rate(200, 2.0, 8.0, 0.2)  # a call takes a single step
    estimates.keep_rate(estimates.kind(GROUP), slow)
    assert estimates.of(GROUP).training == pytest.approx(3 * (STEPS * 3.0 + 61 * 0.2))


def test_what_a_group_took_is_what_it_will_take_calls_included(estimates):
    estimates.keep_rate(estimates.kind(GROUP), Rate(300, 9.0, 7.0, 0.05))
    estimates.keep(GROUP, training=50.0, compiling=3.0)
    assert estimates.of(GROUP).training == pytest.approx(50.0, rel=0.01)


def test_the_compiler_of_the_next_group_takes_half_the_cores(estimates):
    times = [Estimate(9.0, 1.0), Estimate(3.0, 5.0), Estimate(2.0, 7.0)]
    assert estimates.beside(times) == [2.0, 7.0, 7.0] and estimates.beside([]) == []


@pytest.mark.parametrize(("seen", "alone"), [(4.0, 2.0), (50.0, 47.0)])
def test_what_it_took_is_not_kept_of_the_group(estimates, seen, alone):
    estimates.keep(GROUP, training=seen, compiling=3.0, followed=True)
    assert estimates.of(GROUP) == (3.0, pytest.approx(alone))
    (shared, _) = estimates.beside([estimates.of(GROUP)] * 2)
    assert shared == pytest.approx(seen)


def test_so_is_what_a_report_took(estimates):
    assert estimates.report_seconds() == REPORT_SECONDS
    estimates.keep_report(2.5)
    assert estimates.report_seconds() == 2.5


def test_what_cannot_be_kept_is_known_all_the_same(tmp_path):
    (tmp_path / "file").write_text("in the way")
    here = Estimates(EXPERIMENT, COUNTS, Rates(tmp_path / "file"))
    here.keep(GROUP, 50.0, 3.0)
    assert here.of(GROUP) == (3.0, pytest.approx(50.0))


def test_durations():
    seconds = (0.04, 9.94, 10.2, 119, 121, 7100, 7300)
    texts = ["0.0 s", "9.9 s", "10 s", "119 s", "2 min", "118 min", "2 h"]
    assert list(map(duration, seconds)) == texts
    assert duration(math.nan) == "unknown"
