import pytest

from experiments import memory
from experiments.config import Config
from experiments.errors import UserError


def test_by_hand():
    """Depth 4, width 3, 2 features, 2 classes, no norm: 6 + 3, 2 (9 + 3), 6 + 2 parameters."""
    config = Config(
        norm=("none",), width=3, num_seeds=5, learning_rates=(0.1,), batch_size=7, optimizer="adam"
    )
    assert memory.count_parameters(config, 4, "none", 2, 2) == 41
    cost = memory.predict(config, 4, 2, 2, devices=2)
    states = 10 * 41 * 3 * 2  # runs, parameters, slots and one, read and written
    assert cost.peak_bytes == 4 * (states + 2 * 41 * 2 + 2 * 7 * 3 * 4 * 4)


def test_vectorised_runs_need_their_activations_at_once():
    mapped = memory.predict(Config(map="map"), 64, 64, 10, devices=2)
    vectorised = memory.predict(Config(map="vmap"), 64, 64, 10, devices=2)
    assert vectorised.peak_bytes > 2 * mapped.peak_bytes


def test_only_what_cannot_fit_is_refused():
    memory.refuse_what_cannot_fit(Config(depths=(10_000,), num_seeds=1), 64, 10, 2)
    with pytest.raises(UserError, match="GiB"):
        memory.refuse_what_cannot_fit(Config(depths=(10**7,)), 64, 10, 2)
