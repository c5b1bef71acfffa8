"""Slices of one small network, against what the rules of its training measure."""

import jax
import numpy as np
import pytest

from experiments.landscape import reading
from resnet_jax import Data, Run, Training, dense_network, from_linen
from resnet_jax.diagnostics import directions
from resnet_jax.training import optimizers
from resnet_jax.training.losses import loss_and_error
from resnet_jax.training.run import reading_key

WEIGHT = 0.5


pytestmark = pytest.mark.slow  # a Hessian is compiled


@pytest.fixture(scope="module")
def read():
    """A run of no steps, its training and data, and its tables: of few points."""
    random = np.random.RandomState(0)
    x, y = random.randn(12, 5).astype(np.float32), np.arange(12, dtype=np.int32) % 3
    data, run = Data(x, y, x, y), Run(np.int32(3), np.float32(WEIGHT), np.float32(0.1))
    module = dense_network(4, 4, 3)
    schedule = optimizers.constant(1)
    training = Training(from_linen(module), lambda rate: optimizers.sgd(rate, 0.0), schedule, 4, 1)
    state = jax.jit(training.start)(run, data)
    with pytest.MonkeyPatch.context() as patch:
        for name, points in (("LINE", 5), ("PLANE", 3), ("CURVATURE", 3)):
            patch.setattr(reading, f"{name}_POINTS", points)
        of_run = jax.jit(reading.of_network(module, training, None))
        lost = state._replace(diverged_at=np.int32(0))
        return state, run, data, training, of_run(state, run, data), of_run(lost, run, data)


def test_the_middle_is_the_trained_network(read):
    state, run, data, training, tables, _ = read
    measured = training.measure(state, run, data)
    lines, plane = tables["lines"], tables["plane"]
    middle = np.asarray(lines["distance"]) == 0
    assert middle.sum() == reading.DIRECTIONS
    for column in ("train_loss", "held_loss"):
        np.testing.assert_allclose(lines[column][middle], measured.train_loss, rtol=1e-4)
    np.testing.assert_allclose(lines["train_error"][middle], measured.train_error)
    np.testing.assert_allclose(plane["train_loss"][4], measured.train_loss, rtol=1e-4)


def test_the_lines_are_the_axes_of_the_plane(read):
    *_, tables, _ = read
    lines, plane = tables["lines"], tables["plane"]
    first, second = lines["train_loss"][:5], lines["train_loss"][5:]
    grid = np.asarray(plane["train_loss"]).reshape(3, 3)  # [y, x]
    np.testing.assert_allclose(grid[1], first[::2], rtol=1e-4)
    np.testing.assert_allclose(grid[:, 1], second[::2], rtol=1e-4)
    np.testing.assert_allclose(plane["x"], [-1, 0, 1] * 3)


def test_statistics_are_measured_anew_or_held(read):
    state, run, data, training, tables, _ = read
    raw = directions.random_direction(jax.random.fold_in(reading_key(run), 0), state.params)
    there = jax.tree.map(
        lambda leaf, step: leaf + step,
        state.params,
        directions.filter_normalised(raw, state.params),
    )
    forward, predict = training.network.forward, training.network.predict
    _, statistics = forward(state.params, data.x_train, WEIGHT, None)
    anew = loss_and_error(forward(there, data.x_train, WEIGHT, None)[0], data.y_train)
    held = loss_and_error(predict(there, statistics, data.x_train, WEIGHT), data.y_train)
    lines = tables["lines"]
    np.testing.assert_allclose([lines["train_loss"][4], lines["train_error"][4]], anew, rtol=1e-4)
    np.testing.assert_allclose([lines["held_loss"][4], lines["held_error"][4]], held, rtol=1e-4)
    assert abs(anew[0] - held[0]) > 1e-3


def test_curvatures_enclose_that_of_the_line(read):
    state, *_, tables, _ = read
    found = {name: np.asarray(column) for name, column in tables["curvatures"].items()}
    assert (found["least"] < found["greatest"]).all()
    weights = sum(
        (np.asarray(leaf) ** 2).sum()
        for leaf in jax.tree.leaves(state.params)
        if leaf.ndim > 1 and leaf.shape != (1, 4)  # scales and biases of a stack of one block
    )
    assert (found["along_start"] <= found["greatest"] * weights * (1 + 1e-4)).all()
    assert (found["along_start"] >= found["least"] * weights * (1 + 1e-4)).all()


def test_a_diverged_run_has_no_landscape(read):
    *_, sound, lost = read
    keys = {"direction", "distance", "x", "y"}
    for name, columns in lost.items():
        for column, values in columns.items():
            if column in keys:
                np.testing.assert_array_equal(values, sound[name][column])
            else:
                assert np.isnan(values).all()
