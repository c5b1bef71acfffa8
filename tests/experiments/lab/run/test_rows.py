import csv
import io

import numpy as np

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.run import rows
from experiments.lab.store import layout
from experiments.lab.store.records import Record
from experiments.lab.store.schema import STATUSES
from experiments.lab.store.tables import Tables
from resnet_jax import Metrics, State

CONFIG = Config(depths=(4,), num_seeds=4, learning_rates=(0.1,), shortcut_weights=(1.0,))
(CELL,) = grid.cells(CONFIG)
GROUP = Group(CELL, tuple(grid.runs(CONFIG, CELL)))


def states(kernels):
    lost, dead = np.array([-1, -1, 3, -1]), np.array([False, True, True, False])
    return State({"stem": kernels}, None, None, lost, dead, *[np.zeros(4)] * 4)


def metrics(*losses):
    return Metrics(np.array(losses, np.float32), *[np.zeros(4, np.float32)] * 4)


MEASURED = [(0, metrics(2, 2, 2, 2)), (9, metrics(0.1, 1.0, np.inf, np.inf))]


def test_divergence_outweighs_death_and_has_a_step():
    found = rows.results(states(np.zeros((4, 2))), MEASURED)
    status = [STATUSES[code] for code in found["status"]]
    assert status == ["healthy", "dead", "diverged", "diverged"]
    assert found["diverged_at"].tolist() == [-1, -1, 3, 9]
    assert found["train_loss"][0] == np.float32(0.1)


def test_parameters_that_differ_in_a_bit_differ_in_their_digest():
    kernels = np.zeros((4, 2))
    kernels[2, 1] = -0.0
    digests = [
        each.tobytes() for each in rows.results(states(kernels), MEASURED)["parameters_sha256"]
    ]
    assert digests[0] == digests[1] == digests[3] != digests[2]


def test_history_knows_no_gradient_before_the_first_step():
    record = Record("", GROUP.runs, rows.results(states(np.zeros((4, 2))), MEASURED))
    made = Tables()
    made.take(record._replace(history=rows.history(MEASURED)))
    text = made.texts({run: index for index, run in enumerate(GROUP.runs)})[layout.HISTORY]
    found = list(csv.DictReader(io.StringIO(text)))
    assert len(found) == 4 * (4 + 5)
    assert {row["metric"] for row in found if row["step"] == "9"} == set(Metrics._fields)
    assert "gradient_norm" not in {row["metric"] for row in found if row["step"] == "0"}
    assert "gradient_norm" not in rows.results(states(np.zeros((4, 2))), MEASURED[:1])


def test_readings_are_columns_of_runs_steps_and_places():
    read = [(step, {"blocks": {"power": np.full((4, 3), step)}}) for step in (0, 5)]
    found = rows.readings(read)["blocks"]
    assert found["step"].tolist() == [0, 5] and found["power"].shape == (4, 2, 3)
    assert rows.readings([]) == {}
