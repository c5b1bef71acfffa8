import pytest

from experiments.lab.build import readings
from experiments.lab.config.config import Config


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (0, [0]),
        (1, [0, 1]),
        (7, [0, 1, 2, 5, 7]),
        (10, [0, 1, 2, 5, 10]),
        (300, [0, 1, 2, 5, 10, 20, 50, 100, 200, 300]),
    ],
)
def test_steps_are_round_and_reach_both_ends(steps, expected):
    assert list(readings.log_spaced(Config(steps=steps))) == expected
