import numpy as np
import pytest

from experiments import cells
from experiments.config import Config
from experiments.datasets import Dataset
from resnet_jax import Metrics, State

IMAGES = np.zeros((40, 8, 8), np.float32)
DATASET = Dataset(IMAGES, np.zeros(40, np.int32), IMAGES[:9], np.zeros(9, np.int32), 10, "zeros")


def test_cells_come_shallow_first_with_their_variants():
    config = Config(depths=(8, 2), norm=("batch", "none"))
    listed = [(cell.depth, cell.variant.norm) for cell in cells.cells(config)]
    assert listed == [(2, "batch"), (2, "none"), (8, "batch"), (8, "none")]


@pytest.mark.parametrize(
    ("config", "blocks"),
    [
        (Config(depths=(4,)), ["dense"]),
        (Config(family="cifar", depths=(8, 20)), ["basic", "basic"]),
        (Config(family="imagenet", depths=(18, 50)), ["basic", "bottleneck"]),
    ],
)
def test_a_cell_names_its_block(config, blocks):
    listed = list(cells.cells(config))
    assert [cell.columns()["block"] for cell in listed] == blocks
    for cell in listed:
        assert cells.counts(cell, config, DATASET, None).layers == cell.depth


@pytest.mark.parametrize(("steps", "chunk"), [(0, 1), (3, 1), (6, 1), (300, 50), (305, 51)])
def test_a_run_is_measured_about_six_times(steps, chunk):
    assert cells.measuring_stride(Config(steps=steps)) == chunk


def test_divergence_outweighs_death():
    dead = np.array([False, True, True, False])
    lost = np.array([-1, -1, 3, -1])
    states = State(None, None, None, lost, dead, *[np.zeros(4)] * 4)
    metrics = Metrics(np.array([1.0, 1.0, np.inf, np.inf]), *[np.zeros(4)] * 4)
    found = cells.status(states, metrics).tolist()
    assert found == ["healthy", "dead", "diverged", "diverged"]


def test_large_training_sets_are_measured_by_running_statistics():
    many = DATASET._replace(x_train=np.broadcast_to(IMAGES[:1], (200_000, 8, 8)))
    assert not cells.running_statistics(Config(), DATASET)
    assert cells.running_statistics(Config(), many)
    assert cells.running_statistics(Config(statistics="running"), DATASET)
    assert not cells.running_statistics(Config(statistics="whole"), many)
    assert cells.measured_at_once(Config(statistics="whole"), many) == 200_000
    assert cells.measured_at_once(Config(), many) == 500


def test_the_warm_up_begins_at_its_depth():
    config = Config(family="cifar", depths=(8, 20), warmup_error=0.8, warmup_depth=20, width=4)
    shallow, deep = cells.cells(config)
    assert cells.training(shallow, config, DATASET, None).warm_up is None
    assert cells.training(deep, config, DATASET, None).warm_up.error == 0.8
