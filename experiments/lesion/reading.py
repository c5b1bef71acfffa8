"""Readings of trained networks with blocks removed and exchanged, and of gradients along paths."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lab.build.readings import Reader
from experiments.lab.config.config import Config
from resnet_jax.diagnostics import lesions, paths, probes
from resnet_jax.diagnostics.interventions import Place, places
from resnet_jax.nn.functional import Network
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training.run import Data, Metrics, Run, State, Training, reading_key

#: Tables: of removals, of exchanges, and by the length of paths.
REMOVED, SWAPPED, PATHS = "removed", "swapped", "paths"

#: Sets of blocks to remove, or orders, of each number, and paths of each length: drawn anew for
#: every seed, and alike for its plain and residual runs.
DRAWS, PATH_DRAWS = 6, 24

#: The most blocks that are removed one at a time, and the length from which paths are one.
MOST = 64

#: Of removals and exchanges, so many different numbers.
NUMBERS = 10

#: The first so many training examples are differentiated by.
EXAMPLES = 100


class _Trained(NamedTuple):
    """A run, trained: its network, where the blocks of that lie, and all that it was trained by.

    The state holds what normalisations measured in the intact network, on the training set.
    """

    module: ResidualNetwork
    where: list[Place]
    training: Training
    state: State
    run: Run
    data: Data

    @property
    def blocks(self) -> int:
        return sum(place.blocks for place in self.where)

    def at(self, state: State) -> "_Trained":
        """The same with another state, and what normalisations measure there."""
        if not self.training.running_statistics:
            statistics = self._statistics(self.training.network, state)
            state = state._replace(statistics=statistics)
        return self._replace(state=state)

    def held(self, network: Network, state: State) -> Metrics:
        """Measures another network, by the statistics of the state."""
        training = dataclasses.replace(self.training, network=network, running_statistics=True)
        return training.measure(state, self.run, self.data)

    def anew(self, network: Network, state: State) -> Metrics:
        """Measures another network, by statistics of its own."""
        training = dataclasses.replace(self.training, network=network)
        if training.running_statistics:
            state = state._replace(statistics=self._statistics(network, state))
        return training.measure(state, self.run, self.data)

    def _statistics(self, network: Network, state: State):
        """Of the training set, or a batch of it where measurements take running averages."""
        examples = self.training.batch_size if self.training.running_statistics else None
        x, weight = (
            self.data.x_train[:examples],
            self.training.shortcut_weight(self.run, state.step),
        )
        return network.forward(state.params, x, weight, None)[1]


def of_blocks(network: ResidualNetwork, training: Training, _: Config) -> Reader:
    """Training error without some blocks and with blocks exchanged, and gradients along paths.

    Normalisations hold the statistics of the intact network on the training set; what the error is
    if they are measured anew stands beside it.  Paths are followed as initialised and as trained.
    """

    def read(state, run, data):
        where = places(network, state.params, data.x_train[:1])
        trained = _Trained(network, where, training, state, run, data).at(state)
        lesioned, followed = jax.random.split(reading_key(run))
        return _lesions(trained, lesioned) | {PATHS: _paths(trained, followed)}

    return read


def some(most: int) -> np.ndarray:
    """Whole numbers from 1 up to ``most``, all of them or :data:`NUMBERS`, ever farther apart."""
    return np.unique(np.geomspace(1, max(most, 1), NUMBERS).round().astype(int))[: max(most, 0)]


def _lesions(trained: _Trained, key: jax.Array) -> dict[str, dict[str, jax.Array]]:
    """The tables of removals and exchanges; both begin with the intact network."""
    blocks = trained.blocks
    single = np.unique(np.linspace(0, blocks - 1, min(blocks, MOST)).round().astype(int))
    sets = np.repeat(some(blocks)[1:], DRAWS)  # of one block each there are all
    swaps = np.concatenate([[0], np.repeat(some(2 * blocks), DRAWS)])
    removing, swapping = jax.random.split(key)
    kept = [
        jnp.ones((1, blocks), bool),
        jnp.asarray(single[:, None] != np.arange(blocks)),
        lesions.random_removals(removing, sets, blocks),
    ]
    orders = lesions.random_swaps(swapping, swaps, trained.where)
    removals, whole = sum(map(len, kept)), jnp.ones((len(swaps), blocks), bool)
    in_order = jnp.broadcast_to(jnp.arange(blocks), (removals, blocks))
    found = jax.lax.map(
        lambda each: _lesion(trained, *each),
        (jnp.concatenate([*kept, whole]), jnp.concatenate([in_order, orders])),
    )
    which = np.concatenate([[np.nan], single, np.full(len(sets), np.nan)])
    removed = {
        "removed": jnp.asarray(np.concatenate([[0], np.ones_like(single), sets])),
        "which": jnp.asarray(which, jnp.float32),
    }
    swapped = {
        "swaps": jnp.asarray(swaps),
        "kendall_tau": jax.vmap(lesions.kendall_tau)(orders),
    }
    return {
        REMOVED: removed | {name: values[:removals] for name, values in found.items()},
        SWAPPED: swapped | {name: values[removals:] for name, values in found.items()},
    }


def _lesion(trained: _Trained, kept: jax.Array, order: jax.Array) -> dict[str, jax.Array]:
    """The training set's loss and error with these blocks ``[blocks]`` in this order."""
    state, where = trained.state, trained.where
    moved = state._replace(
        params=lesions.reorder(state.params, where, order),
        statistics=lesions.reorder(state.statistics, where, order),
    )
    network = lesions.remove(trained.module, where, kept)
    held = trained.held(network, moved)
    anew = trained.anew(network, moved) if jax.tree.leaves(state.statistics) else held
    return {
        "train_loss": held.train_loss,
        "train_error": held.train_error,
        "remeasured_error": anew.train_error,
    }


def _paths(trained: _Trained, key: jax.Array) -> dict[str, jax.Array]:
    """Gradients along paths of each length, single ones and all of them, before and after."""
    module, where, training, _, run, data = trained
    most = min(trained.blocks, MOST)
    x, y = data.x_train[:EXAMPLES], data.y_train[:EXAMPLES]
    lengths = np.repeat(np.arange(most + 1), PATH_DRAWS)
    branches = ~lesions.random_removals(key, lengths, trained.blocks)

    def follow(end):
        params, statistics, shortcut_weight = end
        loss = paths.Loss(module, where, params, statistics, x, y, shortcut_weight)
        single = paths.of_single_paths(loss, branches).reshape(-1, PATH_DRAWS)
        together = paths.by_length(loss, most)
        return {
            "path_norm": single.mean(1),
            "path_rms": jax.vmap(probes.root_mean_square)(single),
            "length_norm": together.norm,
            "length_share": together.share,
        }

    ends = [trained.at(training.start(run, data)).state, trained.state]
    weight = lambda end: training.shortcut_weight(run, end.step)
    networks = [(end.params, end.statistics, weight(end)) for end in ends]
    found = jax.lax.map(follow, jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks))
    columns = {
        "trained": jnp.repeat(jnp.arange(2), most + 1),
        "length": jnp.tile(jnp.arange(most + 1), 2),
    }
    return columns | {name: values.ravel() for name, values in found.items()}
