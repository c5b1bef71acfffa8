"""Reads every layer of each run, by :mod:`resnet_jax.diagnostics.layers` of a batch."""

import jax.numpy as jnp

from experiments.lab.build.readings import Reader
from experiments.lab.config.config import Config
from resnet_jax import diagnostics
from resnet_jax.nn.functional import from_linen
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training.run import Training

#: The tables.  Their places are blocks, layers, and distances of points on a line of inputs.
BLOCKS, LAYERS, LINE = "blocks", "layers", "line"

#: The number of training examples, from the first, in the batch that is measured.
EXAMPLES = 128


def of_network(network: ResidualNetwork, training: Training, config: Config) -> Reader:
    """Returns a reader of what happens at each layer, and how the next step will change it."""

    def read(state, run, data):
        x, y = data.x_train[:EXAMPLES], data.y_train[:EXAMPLES]
        weight = training.shortcut_weight(run, state.step)
        blocks, layers = diagnostics.diagnose(network, state.params, x, y, weight)
        found = {BLOCKS: blocks._asdict(), LAYERS: layers._asdict()}
        if config.steps:
            after = training.advance(state, run, data, jnp.ones((), jnp.int32))
            change = diagnostics.relative_change(network, state.params, after.params, x, weight)
            found[LAYERS] |= {"update_to_weight": change}
        return found

    return read


def of_network_and_line(network: ResidualNetwork, training: Training, config: Config) -> Reader:
    """Returns a reader that also reads how the gradient turns on the line through two examples."""
    at_layers = of_network(network, training, config)
    forward = from_linen(network).forward

    def read(state, run, data):
        x = jnp.asarray(data.x_train[:EXAMPLES])
        weight = training.shortcut_weight(run, state.step)
        _, statistics = forward(state.params, x, weight, None)
        correlation = diagnostics.gradients_along(
            network, state.params, statistics, x[0], x[1] - x[0], weight
        )
        return {**at_layers(state, run, data), LINE: {"gradient_autocorrelation": correlation}}

    return read
