import jax
import numpy as np
import pytest

from experiments import cells
from experiments.config import CHOICES, Config
from experiments.memory import count_parameters
from resnet_jax import Metrics, State, count_layers
from resnet_jax.networks import dense_network


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("norm", cells.NORMS),
        ("order", cells.ORDERS),
        ("branch_scale", cells.BRANCH_SCALES),
        ("init", cells.INITS),
        ("optimizer", cells.OPTIMIZERS),
        ("schedule", cells.SCHEDULES),
    ],
)
def test_every_choice_has_its_function(name, table):
    assert tuple(table) == CHOICES[name]


def test_cells_come_shallow_first_with_their_variants():
    config = Config(depths=(8, 2), norm=("batch", "none"))
    listed = [(cell.depth, cell.variant.norm) for cell in cells.cells(config)]
    assert listed == [(2, "batch"), (2, "none"), (8, "batch"), (8, "none")]


@pytest.mark.parametrize("norm", CHOICES["norm"])
@pytest.mark.parametrize("depth", [2, 4, 20])
@pytest.mark.parametrize("order", CHOICES["order"])
def test_parameters_are_predicted_exactly(norm, depth, order):
    config = Config(norm=(norm,), order=(order,), width=5)
    module = dense_network(depth, 5, 3, cells.parts(config.variants()[0]))
    x, weight = np.zeros((1, 7), np.float32), np.float32(1)
    tree = jax.eval_shape(module.init, jax.random.key(0), x, weight)["params"]
    assert count_layers(tree) == depth
    counted = sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert counted == count_parameters(config, depth, norm, features=7, classes=3)


@pytest.mark.parametrize(("steps", "chunk"), [(0, 1), (3, 1), (6, 1), (300, 50), (305, 51)])
def test_a_run_is_measured_about_six_times(steps, chunk):
    assert cells.measuring_stride(Config(steps=steps)) == chunk


def test_divergence_outweighs_death():
    dead = np.array([False, True, True, False])
    states = State(None, None, None, np.array([-1, -1, 3, -1]), dead, np.zeros(4))
    metrics = Metrics(np.array([1.0, 1.0, np.inf, np.inf]), *[np.zeros(4)] * 4)
    found = cells.status(states, metrics).tolist()
    assert found == ["healthy", "dead", "diverged", "diverged"]
