import dataclasses

import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.cost import rates
from experiments.lab.cost.rates import Point, Rates

KIND = {"family": "dense", "image": (8, 8)}
SMALL, LARGE = Point(100, 1.0, 3.0), Point(300, 2.0, 4.0)


@pytest.fixture
def kept(tmp_path):
    found = Rates(tmp_path / "rates")
    found.keep(KIND, [LARGE, SMALL])
    return found


def test_what_is_kept_is_known_afterwards_small_ones_first(kept):
    assert kept.points(KIND) == [SMALL, LARGE]
    assert kept.points({**KIND, "family": "cifar"}) == []


def test_a_newer_time_takes_the_place_of_the_older(kept):
    kept.keep(KIND, [Point(300, 5.0, 6.0)])
    assert kept.points(KIND) == [SMALL, Point(300, 5.0, 6.0)]


def test_a_program_that_was_loaded_does_not_say_how_long_compiling_takes(kept):
    kept.keep(KIND, [Point(300, 2.0, 0.1)])
    assert kept.points(KIND) == [SMALL, LARGE]


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
    assert kept.points(KIND) == []
    kept.keep(KIND, [SMALL])
    assert kept.points(KIND) == [SMALL]


def test_without_a_directory_nothing_is_known_and_nothing_kept():
    nowhere = Rates(None)
    assert nowhere.points(KIND) == []
    with pytest.raises(OSError, match="."):
        nowhere.keep(KIND, [SMALL])


def test_a_step_takes_what_lies_on_the_line_through_the_nearest_points():
    points = [SMALL, LARGE, Point(500, 6.0, 1.0)]
    seconds = {100: 1.0, 200: 1.5, 400: 4.0, 600: 8.0, 50: 0.75}
    assert {adds: rates.step_seconds(points, adds) for adds in seconds} == seconds
    assert rates.step_seconds([SMALL], 150) == 1.5


def test_no_step_takes_no_time_however_bad_the_points():
    falling = [SMALL, Point(101, 0.1, 0.0)]
    assert rates.step_seconds(falling, 1000) == 1.0
    steep = [SMALL, Point(101, 90.0, 0.0)]
    assert rates.step_seconds(steep, 20) == pytest.approx(0.1)


def test_compiling_takes_what_it_takes_for_the_nearest_point():
    assert [rates.compile_seconds([SMALL, LARGE], adds) for adds in (1, 150, 250)] == [3, 3, 4]


def test_one_point_says_little_about_others():
    known = [rates.is_known([SMALL], adds) for adds in (60, 70, 100, 150, 160)]
    assert known == [False, True, True, True, False]
    assert rates.is_known([SMALL, LARGE], 10**9) and not rates.is_known([], 100)


def test_two_points_say_little_of_what_is_smaller_than_both():
    assert [rates.is_known([SMALL, LARGE], adds) for adds in (60, 70)] == [False, True]


def test_a_call_takes_what_it_takes_for_the_nearest_point():
    calls = [SMALL._replace(call=0.5), LARGE]
    assert [rates.call_seconds(calls, adds) for adds in (1, 150, 250)] == [0.5, 0.5, 0.0]
    assert rates.call_seconds([], 1) == 0.0


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
