"""Readings of the loss around a trained network: along lines, over a plane, and its curvature.

The loss is that of training, on the training set or its first :data:`EXAMPLES`, with normalisations
that measure their statistics anew at every point, as training does on each batch.  Li et al. 2018
(arXiv 1712.09913) hold these as they were at the trained network; along the lines that is measured
as well.  Directions are drawn from the run's seed and so are the same for plain and residual
networks, but for the normalisation by each network's own filters.
"""

import jax
import jax.numpy as jnp

from experiments.lab.build.readings import Reader
from experiments.lab.config.config import Config
from resnet_jax.diagnostics import curvature, directions
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training.losses import loss_and_error
from resnet_jax.training.run import Training, reading_key

#: Tables, and what their places are: points of lines, of a plane, and of the first line again.
LINES, PLANE, CURVATURES = "lines", "plane", "curvatures"

#: Directions of the lines; the first two span the plane.
DIRECTIONS = 2

#: How far a slice reaches on either side, in units of the directions: there every filter has been
#: changed by as much as it is long.
REACH = 1.0

#: Points on a side of the slice: of a line, of the plane, and those at which curvature is measured.
LINE_POINTS, PLANE_POINTS, CURVATURE_POINTS = 61, 25, 9

#: Products of the Hessian that its extreme eigenvalues take at each point.
LANCZOS_STEPS = 20

#: The loss is that of the first so many training examples, so that it takes bounded memory.
EXAMPLES = 1500


def of_network(network: ResidualNetwork, training: Training, _: Config) -> Reader:
    """The loss of a run's network along random filter-normalised directions."""
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
            healthy = state.diverged_at < 0  # others have no landscape, whatever NaN turns into
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
    """Of the whole Hessian along the line, and its part in the direction of the line itself."""
    at = lambda params: curvature.of_function(loss, params, axis, LANCZOS_STEPS)._asdict()
    distances = jnp.linspace(-REACH, REACH, CURVATURE_POINTS)
    return {"distance": distances, **along(at, [axis], distances[:, None])}
