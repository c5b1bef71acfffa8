"""Reads the loss around a trained network: along lines, over a plane, and its curvature.

The loss is that of training, on the training set or its first :data:`EXAMPLES`.  Normalisations
measure their statistics anew at every point, as training does on each batch.  Li et al. 2018 (arXiv
1712.09913) hold the statistics of the trained network; along the lines this is measured as well.
Directions are drawn from the run's seed, and so are the same for plain and residual networks,
except that they are normalised by each network's own filters.
"""

import jax
import jax.numpy as jnp

from experiments.lab.build.readings import Reader
from experiments.lab.config.config import Config
from resnet_jax.diagnostics import curvature, directions
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training.losses import loss_and_error
from resnet_jax.training.run import Training, reading_key

#: The tables.  Their places are points of lines, of a plane, and of the first line again.
LINES, PLANE, CURVATURES = "lines", "plane", "curvatures"

#: The number of directions of lines; the first two span the plane.
DIRECTIONS = 2

#: The distance that a slice reaches on either side, in units of the directions: at 1 the change of
#: every filter is as long as the filter.
REACH = 1.0

#: The number of points of a line, on a side of the plane, and of the line where curvature is read.
LINE_POINTS, PLANE_POINTS, CURVATURE_POINTS = 61, 25, 9

#: The number of products of the Hessian with vectors that its extreme eigenvalues take at a point.
LANCZOS_STEPS = 20

#: The number of training examples, from the first, in the loss; it bounds the memory.
EXAMPLES = 1500


def of_network(network: ResidualNetwork, training: Training, _: Config) -> Reader:
    """Returns a reader of the loss along random filter-normalised directions."""
    del network

    def read(state, run, data):
        x, y = data.x_train[:EXAMPLES], data.y_train[:EXAMPLES]
        weight = training.shortcut_weight(run, state.step)
        params, key = state.params, reading_key(run)
        axes = [_direction(jax.random.fold_in(key, index), params) for index in range(DIRECTIONS)]
        _, statistics = training.network.forward(params, x, weight, None)

        def of_batch(params):
            return loss_and_error(training.network.forward(params, x, weight, None)[0], y)

        def held(params):
            return loss_and_error(training.network.predict(params, statistics, x, weight), y)

        def along(function, axes, places):
            found = directions.sliced(function, params, axes, places)
            healthy = state.diverged_at < 0  # a diverged run has no landscape, only NaN
            return jax.tree.map(lambda column: jnp.where(healthy, column, jnp.nan), found)

        return {
            LINES: _lines(along, lambda params: (*of_batch(params), *held(params)), axes),
            PLANE: _plane(along, of_batch, axes[:2]),
            CURVATURES: _curvatures(along, lambda params: of_batch(params)[0], axes[0]),
        }

    return read


def _direction(key, params):
    return directions.filter_normalised(directions.random_direction(key, params), params)


def _lines(along, both, axes):
    distances = jnp.linspace(-REACH, REACH, LINE_POINTS)
    found = [along(both, [axis], distances[:, None]) for axis in axes]
    loss, error, held_loss, held_error = map(jnp.concatenate, zip(*found, strict=True))
    return {
        "direction": jnp.repeat(jnp.arange(len(axes), dtype=jnp.float32), LINE_POINTS),
        "distance": jnp.tile(distances, len(axes)),
        "train_loss": loss,
        "train_error": error,
        "held_loss": held_loss,
        "held_error": held_error,
    }


def _plane(along, of_batch, axes):
    distances = jnp.linspace(-REACH, REACH, PLANE_POINTS)
    x, y = (grid.ravel() for grid in jnp.meshgrid(distances, distances))
    loss, error = along(of_batch, axes, jnp.stack([x, y], 1))
    return {"x": x, "y": y, "train_loss": loss, "train_error": error}


def _curvatures(along, loss, axis):
    """Measures curvature at points of a line: of the Hessian, and along the line itself."""
    at = lambda params: curvature.of_function(loss, params, axis, LANCZOS_STEPS)._asdict()
    distances = jnp.linspace(-REACH, REACH, CURVATURE_POINTS)
    return {"distance": distances, **along(at, [axis], distances[:, None])}
