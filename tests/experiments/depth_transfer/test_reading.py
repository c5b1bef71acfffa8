import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from experiments.depth_transfer import STUDY, reading
from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.data.datasets import Dataset
from resnet_jax import Data, Run

X = np.random.RandomState(0).randn(20, 3).astype(np.float32)
DATASET = Dataset(X, np.arange(20, dtype=np.int32) % 2, X[:4], np.zeros(4, np.int32), 2, "noise")
CONFIG = Config(depths=(6,), norm=("layer",), width=4, steps=9, batch_size=10)


def test_it_is_read_after_the_first_steps_that_there_are():
    assert list(STUDY.reading.at(CONFIG)) == [1, 5]
    assert list(STUDY.reading.at(dataclasses.replace(CONFIG, steps=0))) == []
    assert list(STUDY.reading.at(dataclasses.replace(CONFIG, steps=300))) == [1, 5, 20]


@pytest.mark.parametrize("depth", [2, 6])
def test_it_is_the_change_since_the_start(depth):
    """None before the first step; and twice as far with twice the change of one weight."""
    (cell,) = grid.cells(dataclasses.replace(CONFIG, depths=(depth,)))
    experiment = Experiment(CONFIG, DATASET)
    network, training = experiment.network(cell), experiment.training(cell)
    read = jax.jit(reading.of_features(network, training, CONFIG))
    run, data = Run(jnp.int32(0), jnp.float32(1), jnp.float32(0.1)), Data(*DATASET[:4])
    state = training.start(run, data)
    table = read(state, run, data)["features"]
    np.testing.assert_allclose(table["share"], [0, 0.25, 0.5, 0.75, 1])
    if depth == 2:
        assert np.isnan(table["change"]).all()
        return
    np.testing.assert_allclose(table["change"], 0, atol=1e-6)
    params = state.params
    moved = lambda by: {**params, "stage_1": jax.tree.map(lambda w: w + by, params["stage_1"])}
    change = [read(state._replace(params=moved(by)), run, data)["features"] for by in (1e-4, 2e-4)]
    far, twice = (np.asarray(each["change"]) for each in change)
    assert (far[:2] == 0).all() and (twice[:2] == 0).all()  # nothing in front of the first block
    np.testing.assert_allclose(twice[2:] / far[2:], 2, rtol=0.02)


def test_the_last_features_at_the_lowest_rate_of_each_variant():
    (usual,) = Config().variants()
    rows = [
        {**vars(usual), "optimizer": optimizer, "learning_rate": rate, "share": share}
        | {"change": share * rate, "rms": 3 + share, "depth": 6, "seed": 0, "step": 1}
        | {"family": "dense", "block": "dense", "shortcut_weight": 1.0}
        for optimizer, rates in (("sgd", (0.5, 0.25)), ("adam", (0.125, 0.0625)))
        for rate in rates
        for share in (0.0, 0.5, 1.0)
    ]
    found = reading.at_lowest_rates(pd.DataFrame(rows))
    assert found[["optimizer", "learning_rate"]].to_numpy().tolist() == [
        ["sgd", 0.25],
        ["adam", 0.0625],
    ]
    np.testing.assert_allclose(found.log_change, [-2, -4])
    np.testing.assert_allclose(found.power, 9)
