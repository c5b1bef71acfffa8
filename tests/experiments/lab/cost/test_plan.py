import dataclasses
import re

import jax
import numpy as np
import pytest

from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.cost import plan
from experiments.lab.cost.plan import Plan
from experiments.lab.data.datasets import Dataset
from experiments.lab.system.errors import UserError
from experiments.lab.system.memory import Room
from resnet_jax.training.population import Footprint, runs_mesh

pytestmark = pytest.mark.slow  # programs are traced

X, Y = np.zeros((40, 6), np.float32), np.zeros(40, np.int32)
DATASET = Dataset(X, Y, X[:9], Y[:9], 3, "zeros")
CONFIG = Config(depths=(2, 4), num_seeds=8, learning_rates=(0.1,), width=8, batch_size=10)
CELLS = list(grid.cells(CONFIG))
RUNS = {cell: list(grid.runs(CONFIG, cell)) for cell in CELLS}


def make_plan(config=CONFIG):
    return Plan(Experiment(config, DATASET, mesh=runs_mesh(jax.devices()[:2])))


def has(monkeypatch, whole, now=None):
    """Lets the machine have so many bytes, and so many free."""
    room = Room(whole, whole if now is None else now)
    monkeypatch.setattr(plan.memory, "room", lambda devices: room)


def test_a_cell_is_one_group():
    assert make_plan().groups(set(), []) == [Group(cell, tuple(RUNS[cell])) for cell in CELLS]


def test_what_is_settled_is_left_out_and_what_is_begun_goes_on_as_it_is():
    shallow, deep = CELLS
    begun = Group(deep, tuple(RUNS[deep][2:5]))
    groups = make_plan().groups({*RUNS[shallow][:3], RUNS[deep][0]}, [begun])
    rest = Group(deep, (RUNS[deep][1], *RUNS[deep][5:]))
    assert groups == [Group(shallow, tuple(RUNS[shallow][3:])), begun, rest]
    everything = {run for runs in RUNS.values() for run in runs}
    assert make_plan().groups(everything, []) == []


def test_a_cell_is_cut_into_even_groups_that_fit(monkeypatch):
    config = Config(**{**CONFIG.__dict__, "map": "vmap"})
    here = make_plan(config)
    some = [here._needed(CELLS[1], runs) for runs in (6, 7)]  # 3 or 4 a device
    has(monkeypatch, sum(some) // 2)
    groups = [group for group in make_plan(config).groups(set(), []) if group.cell == CELLS[1]]
    assert [len(group.runs) for group in groups] == [6, 6, 4]  # of 16; six fit
    assert [run for group in groups for run in group.runs] == RUNS[CELLS[1]]

    settled = {*RUNS[CELLS[0]], *RUNS[CELLS[1]][:6]}
    rest = make_plan(config).groups(settled, [])
    assert rest == groups[1:]  # what is done does not change how the rest is cut


@pytest.mark.parametrize("how", ["map", "vmap"])
def test_what_is_free_now_cuts_only_what_can_be_cut_without_other_bits(monkeypatch, how):
    config = dataclasses.replace(CONFIG, map=how)
    all_of, half = (make_plan(config)._needed(CELLS[1], runs) for runs in (16, 8))
    has(monkeypatch, all_of, half)
    here = make_plan(config)
    groups = here.groups(set(RUNS[CELLS[0]]), [])
    if how == "map":
        assert [len(group.runs) for group in groups] == [8, 8]
        here.check(groups)
    else:
        assert [len(group.runs) for group in groups] == [16]
        with pytest.raises(UserError, match=r"depth 4 needs .* for 16 runs.* are free now"):
            here.check(groups)
    has(monkeypatch, all_of)
    here = make_plan(config)
    here.check(here.groups(set(), []))


def test_where_a_checkpoint_is_too_large_that_is_said(monkeypatch):
    config = Config(depths=(4,), num_seeds=2, width=400, batch_size=10)
    said, _ = lacking(monkeypatch, config)
    assert "to keep 2 runs of " in said and "in a checkpoint" in said
    assert "--batch_size" not in said and "--remat" not in said and "depth 2 would fit" in said


def test_a_group_that_failed_is_not_begun_again():
    shallow, deep = CELLS
    failed = Group(deep, tuple(RUNS[deep]))
    groups = make_plan().groups(set(failed.runs), [failed])
    assert groups == [Group(shallow, tuple(RUNS[shallow]))]


def lacking(monkeypatch, config, lack=1):
    """What is said where so many bytes are missing for two runs of the deepest cell."""
    cell = list(grid.cells(config))[-1]
    least = make_plan(config)._needed(cell, 2)
    has(monkeypatch, least - lack)
    with pytest.raises(UserError, match=f"depth {cell.depth} needs") as refusal:
        make_plan(config)
    monkeypatch.undo()
    return str(refusal.value), least - lack


def needed(config):
    return make_plan(config)._needed(list(grid.cells(config))[-1], 2)


def test_what_does_not_fit_in_the_smallest_group_is_refused_with_what_would(monkeypatch):
    config = Config(depths=(60,), num_seeds=2, width=8, batch_size=40, norm=("layer",))
    said, available = lacking(monkeypatch, config)
    words = r"; --remat=sqrt or --batch_size=(\d+) or depth (\d+) would fit"
    size, depth = re.search(words, said).groups()
    fits = lambda **changes: needed(dataclasses.replace(config, **changes)) <= available
    assert fits(remat="sqrt")
    assert int(size) == 32 and fits(batch_size=32)  # the next is 64, more than was asked for
    depth = int(depth)
    assert fits(depths=(depth,)) and not fits(depths=(depth + 2,))


def test_where_nothing_would_fit_that_is_said(monkeypatch):
    said, _ = lacking(monkeypatch, Config(depths=(2,), num_seeds=2, batch_size=2))
    assert said.endswith("it fits with no batch and no depth")


@pytest.mark.parametrize("available", [0, 1, 5, 6, 50, 99, 100, 1000])
def test_the_greatest_that_fits_is_found_in_few_steps(available):
    values, asked = range(1, 101), []

    def bytes_of(value):
        asked.append(value)
        return value + (value > 40) * (value - 40)  # two lines

    found = plan._greatest(values, bytes_of, available)
    assert found == max((value for value in values if bytes_of(value) <= available), default=0)
    assert len(asked) - 100 <= 10


def test_where_there_is_room_enough_nothing_is_traced(monkeypatch):
    monkeypatch.setattr(Experiment, "footprint", None)
    whole = Group(CELLS[1], tuple(RUNS[CELLS[1]]))
    assert make_plan().groups(set(RUNS[CELLS[0]]), []) == [whole]


@pytest.mark.parametrize("how", ["map", "vmap"])
def test_enough_is_more_than_is_needed(how):
    for norm in ("batch", "layer", "none"):
        config = dataclasses.replace(CONFIG, depths=(2, 60), norm=(norm,), map=how)
        here = make_plan(config)
        for cell in grid.cells(config):
            assert here._ample(cell, 16) > 2 * here._needed(cell, 16)


def test_where_the_deepest_has_room_the_others_are_not_looked_at(monkeypatch):
    seen = []
    monkeypatch.setattr(Plan, "_ample", lambda *_: 2**63)
    tell = lambda _, cell: seen.append(cell) or Footprint(1, 1, 2, 1, None)
    monkeypatch.setattr(Experiment, "footprint", tell)
    make_plan().groups(set(), [])
    assert seen == CELLS[-1:]
