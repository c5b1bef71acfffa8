import jax
import numpy as np
import pytest

from experiments import grid, plan
from experiments.config import Config
from experiments.datasets import Dataset
from experiments.errors import UserError
from experiments.grid import Group
from experiments.plan import Plan
from resnet_jax.population import runs_mesh

X, Y = np.zeros((40, 6), np.float32), np.zeros(40, np.int32)
DATASET = Dataset(X, Y, X[:9], Y[:9], 3, "zeros")
CONFIG = Config(depths=(2, 4), num_seeds=8, learning_rates=(0.1,), width=8, batch_size=10)
CELLS = list(grid.cells(CONFIG))
RUNS = {cell: list(grid.runs(CONFIG, cell)) for cell in CELLS}


def make_plan(config=CONFIG):
    return Plan(config, DATASET, None, runs_mesh(jax.devices()[:2]))


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
    some = [here._needed(CELLS[1], runs) for runs in (5, 6)]
    monkeypatch.setattr(plan.memory, "available_bytes", lambda devices: sum(some) // 2)
    groups = [group for group in make_plan(config).groups(set(), []) if group.cell == CELLS[1]]
    assert [len(group.runs) for group in groups] == [4, 4, 4, 4]  # of 16; five would fit
    assert [run for group in groups for run in group.runs] == RUNS[CELLS[1]]

    settled = {*RUNS[CELLS[0]], *RUNS[CELLS[1]][:4]}
    rest = make_plan(config).groups(settled, [])
    assert rest == groups[1:]  # what is done does not change how the rest is cut


def test_a_group_that_failed_is_not_begun_again():
    shallow, deep = CELLS
    failed = Group(deep, tuple(RUNS[deep]))
    groups = make_plan().groups(set(failed.runs), [failed])
    assert groups == [Group(shallow, tuple(RUNS[shallow]))]


def test_what_does_not_fit_in_the_smallest_group_is_refused(monkeypatch):
    least = make_plan()._needed(CELLS[1], 2)
    monkeypatch.setattr(plan.memory, "available_bytes", lambda devices: least - 1)
    with pytest.raises(UserError, match="depth 4 needs"):
        make_plan()
