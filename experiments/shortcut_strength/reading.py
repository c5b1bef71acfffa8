"""Measures trained networks whose shortcuts are turned down."""

import jax
import jax.numpy as jnp

from experiments.lab.build.readings import Reader
from experiments.lab.config.config import Config
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training.run import Training

#: The shortcut weights that are measured, as shares of the weight in training.
SHARES = tuple(step / 10 for step in range(10, -1, -1))


def of_shortcuts(network: ResidualNetwork, training: Training, _: Config) -> Reader:
    """Returns a reader of training loss and error with shortcuts at shares of their weight.

    Normalisations recompute their statistics at every share, as training would.
    """
    del network

    def read(state, run, data):
        def at(share):
            return training.measure(
                state, run._replace(shortcut_weight=share * run.shortcut_weight), data
            )

        shares = jnp.array(SHARES, jnp.float32)
        measured = jax.lax.map(at, shares)
        columns = {"share": shares, "train_loss": measured.train_loss}
        return {"turned_down": {**columns, "train_error": measured.train_error}}

    return read
