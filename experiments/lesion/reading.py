"""Reads trained networks with blocks removed and exchanged, and gradients along paths."""

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

#: The tables: of removals, of exchanges, and by the length of paths.
REMOVED, SWAPPED, PATHS = "removed", "swapped", "paths"

#: The draws of sets of blocks, or of orders, for each number, and of paths of each length.  They
#: differ between seeds, and are the same for a seed's plain and residual runs.
DRAWS, PATH_DRAWS = 6, 24

#: The most blocks that are removed one at a time, and the length from which paths are one group.
MOST = 64

#: How many different numbers of removals and of exchanges are tried.
NUMBERS = 10

#: The number of training examples, from the first, in the loss whose gradient is taken.
EXAMPLES = 100


class _Trained(NamedTuple):
    """Holds a trained run: its network, the places of its blocks, and how it was trained.

    The state holds the statistics of normalisations in the intact network, on the training set.
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
        """Returns the same with another state, and the normalisations' statistics there."""
        if not self.training.running_statistics:
            statistics = self._statistics(self.training.network, state)
            state = state._replace(statistics=statistics)
        return self._replace(state=state)

    def held(self, network: Network, state: State) -> Metrics:
        """Measures another network, with the statistics of the state."""
        training = dataclasses.replace(self.training, network=network, running_statistics=True)
        return training.measure(state, self.run, self.data)

    def anew(self, network: Network, state: State) -> Metrics:
        """Measures another network, with its own statistics."""
        training = dataclasses.replace(self.training, network=network)
        if training.running_statistics:
            state = state._replace(statistics=self._statistics(network, state))
        return training.measure(state, self.run, self.data)

    def _statistics(self, network: Network, state: State):
        """Measures statistics on the training set; with running averages, on its first batch."""
        examples = self.training.batch_size if self.training.running_statistics else None
        x, weight = (
            self.data.x_train[:examples],
            self.training.shortcut_weight(self.run, state.step),
        )
        return network.forward(state.params, x, weight, None)[1]


def of_blocks(network: ResidualNetwork, training: Training, _: Config) -> Reader:
    """Returns a reader of training error with blocks removed or exchanged, and of gradients' paths.

    Normalisations hold the statistics of the intact network on the training set; the error with
    statistics measured anew is read as well.  Paths are followed as initialised and as trained.
    """

    def read(state, run, data):
        where = places(network, state.params, data.x_train[:1])
        trained = _Trained(network, where, training, state, run, data).at(state)
        lesioned, followed = jax.random.split(reading_key(run))
        return _lesions(trained, lesioned) | {PATHS: _paths(trained, followed)}

    return read


def some(most: int) -> np.ndarray:
    """Returns whole numbers from 1 to ``most``: all, or :data:`NUMBERS` with growing distances."""
    return np.unique(np.geomspace(1, max(most, 1), NUMBERS).round().astype(int))[: max(most, 0)]


def _lesions(trained: _Trained, key: jax.Array) -> dict[str, dict[str, jax.Array]]:
    """Returns the tables of removals and exchanges; both begin with the intact network."""
    blocks = trained.blocks
    single = np.unique(np.linspace(0, blocks - 1, min(blocks, MOST)).round().astype(int))
    sets = np.repeat(some(blocks)[1:], DRAWS)  # removals of one block are in ``single``
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
    """Measures training loss and error with blocks ``[blocks]`` kept or not, in an order."""
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
    """Measures gradients along single and all paths of each length, before and after training."""
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
