import numpy as np

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.run import rows
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
    found = rows.results(GROUP, states(np.zeros((4, 2))), MEASURED)
    assert [row["status"] for row in found] == ["healthy", "dead", "diverged", "diverged"]
    assert [row["diverged_at"] for row in found] == ["", "", 3, 9]
    assert [row["seed"] for row in found] == [0, 1, 2, 3] and found[0]["train_loss"] == "0.1"


def test_parameters_that_differ_in_a_bit_differ_in_their_digest():
    kernels = np.zeros((4, 2))
    kernels[2, 1] = -0.0
    digests = [row["parameters_sha256"] for row in rows.results(GROUP, states(kernels), MEASURED)]
    assert digests[0] == digests[1] == digests[3] != digests[2]


def test_history_knows_no_gradient_before_the_first_step():
    found = rows.history(GROUP, MEASURED)
    assert len(found) == 4 * (4 + 5)
    assert {row["metric"] for row in found if row["step"] == 9} == set(Metrics._fields)
    assert "gradient_norm" not in {row["metric"] for row in found if row["step"] == 0}
