import csv
import io

import numpy as np
import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.store import layout, records
from experiments.lab.store.records import Record
from experiments.lab.store.schema import MEASURES, STATUSES
from experiments.lab.store.tables import Tables
from experiments.lab.system.errors import ContentError

RUNS = tuple(grid.all_runs(Config(depths=(4,), num_seeds=1, learning_rates=(0.1,))))
PLACE = {run: index for index, run in enumerate(RUNS)}


def record(runs, **more):
    """A record of made-up results; ``more`` are further columns of its results."""
    count = len(runs)
    results = {"steps": np.full(count, 7, np.int32), "status": np.zeros(count, np.int32)}
    results |= {"diverged_at": np.full(count, -1, np.int32)}
    results |= {name: np.full(count, 0.1, np.float32) for name in MEASURES}
    results |= {name: np.asarray(values) for name, values in more.items()}
    history = {"step": np.array([0, 7]), "train_loss": np.ones((count, 2), np.float32)}
    power = np.arange(6 * count, dtype=np.float32).reshape(count, 2, 3)
    readings = {"blocks": {"step": np.array([0, 7]), "power": power}}
    return Record("digest", tuple(runs), results, history, readings, {"seconds": 1.5})


def table(name, *these):
    made = Tables()
    for each in these:
        made.take(each)
    return list(csv.DictReader(io.StringIO(made.texts(PLACE)[name])))


def test_a_run_is_a_row_under_the_columns_of_its_record():
    rows = table(layout.RESULTS, record(RUNS, status=[1, 2], sha=np.full((2, 2), 171, np.uint8)))
    assert [row["shortcut_weight"] for row in rows] == ["0.0", "1.0"]
    assert [row["status"] for row in rows] == [STATUSES[1], STATUSES[2]]
    assert {row["train_loss"] for row in rows} == {"0.1"}  # as float32 has it
    assert [row["sha"] for row in rows] == ["abab", "abab"]
    assert {row["diverged_at"] for row in rows} == {""}


def test_readings_are_a_row_a_run_step_and_place():
    rows = table(f"blocks{layout.READINGS}", record(RUNS))
    assert len(rows) == 2 * 2 * 3
    assert [row["power"] for row in rows] == [f"{number}.0" for number in range(12)]
    assert [(row["step"], row["place"]) for row in rows[:4]] == [
        ("0", "0"),
        ("0", "1"),
        ("0", "2"),
        ("7", "0"),
    ]


@pytest.mark.parametrize("older_first", [True, False])
def test_no_value_stands_in_another_column_than_its_own(older_first):
    """Records of an earlier version lack a column, wherever it stands, and its cells are empty."""
    older, newer = record(RUNS[:1]), record(RUNS[1:], margin=np.float32([0.3]))
    newer = newer._replace(results={"margin": newer.results["margin"], **newer.results})
    rows = table(layout.RESULTS, *([older, newer] if older_first else [newer, older]))
    assert [row["margin"] for row in rows] == ["", "0.3"]
    assert [row["steps"] for row in rows] == ["7", "7"]
    assert [row["status"] for row in rows] == ["healthy"] * 2
    assert [row["test_error"] for row in rows] == ["0.1"] * 2
    assert all(len(row) == len(rows[0]) and None not in row.values() for row in rows)


def test_a_record_is_found_again_with_its_columns_in_order():
    whole = record(RUNS, zeta=[0.5, 0.25], alpha=[1.0, 2.0])
    again = records.decode(records.encode(whole))
    assert [*again.results] == [*whole.results] and again.runs == whole.runs
    assert table(layout.RESULTS, again) == table(layout.RESULTS, whole)
    assert again.timings == {"seconds": "1.5"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": [0, 3]}, "status makes no sense"),
        ({"train_error": np.float32([0, 1.5])}, "train_error makes no sense"),
        ({"test_loss": np.float32([0, np.nan])}, "test_loss makes no sense"),
        ({"steps": [1, -1]}, "steps makes no sense"),
        ({"steps": [1.0, 2.0]}, "steps makes no sense"),
        ({"more": [1.0]}, "more is not one value a run"),
        ({"more": [[1.0], [2.0]]}, "more is not one value a run"),
        ({"more,": [1.0, 2.0]}, "more, makes no sense"),
    ],
)
def test_columns_that_make_no_sense_are_damage(change, said):
    with pytest.raises(ContentError, match=said):
        records.decode(records.encode(record(RUNS, **change)))


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("history", {"step": np.array([7, 0])}, "do not follow"),
        ("history", {"step": np.array([0.0, 7.0])}, "has no steps"),
        ("history", {"train_loss": np.ones((2, 3))}, "not a number of each run and step"),
        ("history", {"train_loss": np.ones((2, 2), int)}, "not a number of each run and step"),
        ("readings", {"power": np.ones((2, 2))}, "not a number of each run and step"),
        ("readings", {"more": np.ones((2, 2, 4))}, "different lengths"),
    ],
)
def test_numbers_that_are_not_of_every_step_are_damage(part, change, said):
    whole = record(RUNS)
    changed = {**whole.history, **change}
    if part == "readings":
        changed = {"blocks": {**whole.readings["blocks"], **change}}
    with pytest.raises(ContentError, match=said):
        records.decode(records.encode(whole._replace(**{part: changed})))


def test_what_lacks_a_column_or_has_a_run_twice_is_damage():
    whole = record(RUNS)
    lacking = {name: values for name, values in whole.results.items() if name != "status"}
    with pytest.raises(ContentError, match="lacks status"):
        records.decode(records.encode(whole._replace(results=lacking)))
    with pytest.raises(ContentError, match="twice"):
        records.decode(records.encode(record(RUNS[:1] * 2)))
    with pytest.raises(ContentError, match="strange name"):
        strange = whole._replace(readings={"../blocks": whole.readings["blocks"]})
        records.decode(records.encode(strange))
