import numpy as np
import pytest

from experiments.lab.build.experiment import Experiment, runs_of
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.data.datasets import Dataset

IMAGES = np.zeros((40, 8, 8), np.float32)
DATASET = Dataset(IMAGES, np.zeros(40, np.int32), IMAGES[:9], np.zeros(9, np.int32), 10, "zeros")


@pytest.mark.parametrize(
    ("config", "blocks"),
    [
        (Config(depths=(4,)), ["dense"]),
        (Config(family="cifar", depths=(8, 20)), ["basic", "basic"]),
        (Config(family="imagenet", depths=(18, 50)), ["basic", "bottleneck"]),
    ],
)
def test_a_cell_names_its_block(config, blocks):
    listed = list(grid.cells(config))
    assert [cell.columns()["block"] for cell in listed] == blocks
    for cell in listed:
        assert Experiment(config, DATASET).counts(cell).layers == cell.depth


@pytest.mark.parametrize(("steps", "chunk"), [(0, 1), (3, 1), (6, 1), (300, 50), (305, 51)])
def test_a_run_is_measured_about_six_times(steps, chunk):
    assert Experiment(Config(steps=steps), DATASET).measuring_stride == chunk


def test_runs_become_arrays_in_their_order():
    config = Config(depths=(4,), learning_rates=(0.1, 0.2), num_seeds=2, first_seed=5)
    (cell,) = grid.cells(config)
    arrays = runs_of(Group(cell, tuple(grid.runs(config, cell))))
    np.testing.assert_array_equal(arrays.seed, [5, 6] * 4)
    np.testing.assert_array_equal(arrays.shortcut_weight, [0, 0, 1, 1] * 2)
    np.testing.assert_array_equal(arrays.learning_rate, np.float32([0.1] * 4 + [0.2] * 4))


def test_large_training_sets_are_measured_by_running_statistics():
    many = DATASET._replace(x_train=np.broadcast_to(IMAGES[:1], (200_000, 8, 8)))
    assert not Experiment(Config(), DATASET).running_statistics
    assert Experiment(Config(), many).running_statistics
    assert Experiment(Config(statistics="running"), DATASET).running_statistics
    assert not Experiment(Config(statistics="whole"), many).running_statistics


def test_the_warm_up_begins_at_its_depth():
    config = Config(family="cifar", depths=(8, 20), warmup=("error:0.8",), warmup_depth=20, width=4)
    shallow, deep = grid.cells(config)
    experiment = Experiment(config, DATASET)
    assert experiment.training(shallow).warm_up is None
    assert experiment.training(deep).warm_up.error == 0.8
