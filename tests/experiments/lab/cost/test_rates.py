import dataclasses

import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.cost import rates
from experiments.lab.cost.rates import Rate, Rates

KIND = {"family": "dense", "image": (8, 8)}
SMALL, LARGE = Rate(100, 1.0, 3.0), Rate(300, 2.0, 4.0)


@pytest.fixture
def kept(tmp_path):
    found = Rates(tmp_path / "rates")
    found.keep(KIND, LARGE)
    return found


def test_what_is_kept_is_known_afterwards(kept):
    assert kept.get(KIND) == LARGE
    assert kept.get({**KIND, "family": "cifar"}) is None


def test_the_largest_network_stands_and_of_equal_ones_the_newest(kept):
    kept.keep(KIND, SMALL)
    assert kept.get(KIND) == LARGE
    kept.keep(KIND, Rate(300, 5.0, 6.0))
    assert kept.get(KIND) == Rate(300, 5.0, 6.0)
    kept.keep(KIND, Rate(400, 7.0, 1.0))
    assert kept.get(KIND) == Rate(400, 7.0, 1.0)


def test_a_program_that_was_loaded_does_not_say_how_long_compiling_takes(kept):
    kept.keep(KIND, Rate(300, 2.0, 0.1))
    assert kept.get(KIND) == LARGE


def replaced(old, new):
    return lambda content: content.replace(old, new)


@pytest.mark.parametrize(
    "damage",
    [
        replaced(b"2.0", b"9.0"),
        lambda content: content[:-9],
        lambda content: b"",
        lambda content: rates.sealed.seal(b"{}"),
        lambda content: rates.sealed.seal(b"[1, 2"),
        lambda content: rates.sealed.seal(content[90:].replace(b"2.0", b"NaN")),
        lambda content: rates.sealed.seal(content[90:].replace(b"2.0", b"-1")),
        lambda content: rates.sealed.seal(content[90:].replace(b"dense", b"other")),
    ],
)
def test_what_is_damaged_or_foreign_is_not_known_and_kept_anew(kept, damage):
    path = kept.path(KIND)
    assert rates.sealed.seal(path.read_bytes()[90:]) == path.read_bytes()  # 90 bytes are the seal
    path.write_bytes(damage(path.read_bytes()))
    assert kept.get(KIND) is None
    kept.keep(KIND, SMALL)
    assert kept.get(KIND) == SMALL


def test_without_a_directory_nothing_is_known_and_nothing_kept():
    nowhere = Rates(None)
    assert nowhere.get(KIND) is None
    with pytest.raises(OSError, match="."):
        nowhere.keep(KIND, SMALL)


def test_a_step_takes_longer_by_its_multiply_adds():
    assert SMALL.step_seconds(150) == 1.5 and LARGE.step_seconds(150) == 1.0
    assert Rate(0, 1.0, 1.0).step_seconds(2) == 2.0  # a network without products


def kind(config, more=()):
    cell = list(grid.cells(config))[-1]
    return rates.kind(cell, config, (8, 8), 10, dict(more))


@pytest.mark.parametrize(
    "changes",
    [{"depths": (2, 64)}, {"num_seeds": 3}, {"steps": 7}, {"weight_decay": 0.1}, {"width": 48}]
    + [{"warmup": ("error:0.8",)}, {"shortcut_schedule": ("annealed",)}],
)
def test_a_kind_is_the_same_for_what_costs_no_time_a_step(changes):
    assert kind(dataclasses.replace(Config(), **changes)) == kind(Config())


@pytest.mark.parametrize(
    "changes",
    [{"width": 16}, {"batch_size": 7}, {"norm": ("layer",)}, {"optimizer": ("adam",)}],
)
def test_a_kind_is_another_for_what_does(changes):
    assert kind(dataclasses.replace(Config(), **changes)) != kind(Config())
    assert kind(Config(), {"devices": ["other"]}) != kind(Config())
