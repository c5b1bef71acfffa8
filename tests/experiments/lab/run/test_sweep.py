import threading
from types import SimpleNamespace

import jax
import pandas as pd
import pytest

from experiments.lab.build.experiment import Experiment
from experiments.lab.build.readings import Reading
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.data import datasets
from experiments.lab.run import sweep
from experiments.lab.run.sweep import _one_ahead
from experiments.lab.store.manifest import settings_of
from experiments.lab.store.store import Store
from experiments.lab.system.interrupts import Interrupts


def test_each_is_computed_once_in_order_and_one_ahead():
    done = []
    second = threading.Event()

    def work(item):
        done.append(item)
        if item == 2:
            second.set()
        return item * 10

    results = _one_ahead(work, [1, 2, 3])
    item, ready = next(results)
    assert (item, ready.result()) == (1, 10)
    assert second.wait(timeout=10)  # the second is at work before it is asked for
    assert [(item, ready.result()) for item, ready in results] == [(2, 20), (3, 30)]
    assert done == [1, 2, 3]


def test_nothing_gives_nothing():
    assert list(_one_ahead(str, [])) == []


def test_an_error_reaches_whoever_wants_the_result_and_stops_nobody_else():
    def fail(item):
        if item == 1:
            raise ValueError(f"no {item}")
        return item

    first, second = (ready for _, ready in _one_ahead(fail, [1, 2]))
    with pytest.raises(ValueError, match="no 1"):
        first.result()
    assert second.result() == 2


@pytest.mark.parametrize(
    ("then", "failed"),
    [
        ({"boot": "b", "counter": "c", "memory_kills": 3}, True),
        # It was killed, but for no want of memory.
        ({"boot": "b", "counter": "c", "memory_kills": 4}, False),
        # The machine has started anew since, or another control group counts.
        ({"boot": "before", "counter": "c", "memory_kills": 3}, False),
        ({"boot": "b", "counter": "other", "memory_kills": 3}, False),
        ({}, False),
    ],
)
def test_a_group_whose_process_was_killed_for_memory_is_recorded(monkeypatch, then, failed):
    now = {"boot": "b", "counter": "c", "memory_kills": 4}
    monkeypatch.setattr(sweep.memory, "kills", lambda: now)
    config = Config(depths=(4, 8), num_seeds=1)
    groups = [Group(cell, tuple(grid.runs(config, cell))) for cell in grid.cells(config)]
    said = []
    store = SimpleNamespace(fail=lambda group, why: said.append(group))
    sweep._note_killed(SimpleNamespace(before={"at": groups[1].name, **then}), groups, store)
    assert said == ([groups[1]] if failed else [])


@pytest.mark.slow
def test_a_study_compiles_two_programs_a_cell(tmp_path):
    """That of the start and that of a chunk: for all kinds, rates and seeds, and chunks of 1 to 3.

    Nor is anything compiled beside them, by a checkpoint for instance.
    """
    config = Config(
        depths=(2, 6),
        num_seeds=2,
        width=4,
        learning_rates=(0.1, 0.01),
        steps=14,
        checkpoint_seconds=0.0,
    )
    store = Store(tmp_path, "degradation", settings_of(config, "", ""), grid.all_runs(config))
    compilations = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        dataset = datasets.load("digits")
        experiment = Experiment(config, dataset)
        sweep.train("study", experiment, store, Interrupts(""), lambda: None)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(store.finished) == 2 * 2 * 2 * 2
    assert len(compilations) == 2 * len(config.depths)


@pytest.mark.slow
def test_a_reading_chooses_its_steps_and_changes_no_bit_of_the_training(tmp_path):
    config = Config(depths=(4,), num_seeds=1, width=4, learning_rates=(0.1,), steps=14)
    seen = Reading(lambda _: (0, 1, 8, 14), lambda *_: lambda state, run, data: _step_of(state))
    tables = {}
    for name, reading in (("with", seen), ("without", None)):
        folder = tmp_path / name
        store = Store(folder, "study", settings_of(config, "", ""), grid.all_runs(config))
        none, dataset = lambda: None, datasets.load("digits", examples=100)
        experiment = Experiment(config, dataset)
        sweep.train("study", experiment, store, Interrupts(""), none, reading)
        tables[name] = [pd.read_csv(folder / f"{table}.csv") for table in ("results", "history")]
    read = pd.read_csv(tmp_path / "with" / "seen.readings.csv")
    assert read.groupby("shortcut_weight").step.unique().map(list).tolist() == [[0, 1, 8, 14]] * 2
    assert (read.made == read.step).all()
    pd.testing.assert_frame_equal(*[of_runs for of_runs, _ in tables.values()])
    steps = [sorted(history.step.unique()) for _, history in tables.values()]
    assert steps == [[0, 1, 3, 6, 8, 9, 12, 14], [0, 3, 6, 9, 12, 14]]


def _step_of(state):
    return {"seen": {"made": state.step.reshape(1)}}
