import pytest

from experiments import memory
from experiments.config import Config
from experiments.errors import UserError
from resnet_jax import Counts

COUNTS = Counts(layers=4, parameters=41, multiply_adds=0, activations=11, largest=5)


def test_by_hand():
    config = Config(num_seeds=5, learning_rates=(0.1,), batch_size=7, optimizer="adam")
    states = 10 * 41 * 3 * 2  # runs, parameters, slots and one, read and written
    steps = 2 * 41 * 2 + 2 * 7 * 11 * 4  # gradients, and what is kept for them, of two runs
    assert memory.peak_bytes(config, 4, COUNTS, 1000, at_once=2) == 4 * (states + steps) + 1000


def test_measuring_many_examples_at_once_counts():
    config = Config(num_seeds=1, shortcut_weights=(1.0,), learning_rates=(0.1,), batch_size=1)
    less, more = (
        memory.peak_bytes(config, 4, COUNTS, 0, at_once=2, measured=count) for count in (0, 100)
    )
    assert more - less == 4 * (100 * 5 * 4 - 11 * 4)  # instead of a step's


def test_vectorised_runs_need_their_activations_at_once():
    large = COUNTS._replace(activations=10**5)
    mapped = memory.peak_bytes(Config(), 64, large, 0, at_once=2)
    vectorised = memory.peak_bytes(Config(), 64, large, 0, at_once=64)
    assert vectorised > 10 * mapped
    assert memory.peak_bytes(Config(), 64, large, 0, at_once=1000) == vectorised  # 64 runs in all


def test_only_what_cannot_fit_is_refused():
    memory.refuse_what_cannot_fit(4, COUNTS, memory.available_bytes())
    with pytest.raises(UserError, match="GiB"):
        memory.refuse_what_cannot_fit(4, COUNTS, memory.available_bytes() + 1)
