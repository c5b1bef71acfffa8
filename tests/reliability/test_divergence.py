"""A NaN in one run: flagged at its step, and not a bit changed in any other run.

XLA on CPU can turn a NaN into a zero on its way through ReLU, so that the loss says nothing.
"""

import jax
import numpy as np
import pytest

from resnet_jax import Training, dense_network, from_linen
from resnet_jax.nn.blocks import Parts
from resnet_jax.ops.normalization import BatchNorm, NoNorm
from resnet_jax.training import optimizers
from resnet_jax.training.population import Population, product, runs_mesh

STEPS, INJECTIONS = 20, 100
RUNS = product([0, 1, 2], [0.0, 1.0], [0.1])


def population(norm, tile, data):
    network = from_linen(dense_network(8, 6, 3, Parts(norm=norm)))
    training = Training(
        network,
        lambda rate: optimizers.momentum(rate, 0.0),
        optimizers.constant(STEPS),
        batch_size=10,
        chunk=STEPS,
    )
    return Population(training, RUNS, data, runs_mesh(), tile)


def poisoned(states, run, leaf, entry):
    """The states with a NaN in one parameter of one run."""
    leaves, tree = jax.tree.flatten(states.params)
    leaves = [np.array(each) for each in leaves]
    leaves[leaf].reshape(len(leaves[leaf]), -1)[run, entry] = np.nan
    return states._replace(params=jax.tree.unflatten(tree, leaves))


def run_of(tree, index):
    return [np.asarray(leaf)[index].tobytes() for leaf in jax.tree.leaves(tree)]


@pytest.mark.slow
@pytest.mark.parametrize("tile", [1, None])
@pytest.mark.parametrize("norm", [BatchNorm, NoNorm])
def test_a_nan_is_flagged_at_its_step_and_changes_no_neighbour(tiny_data, norm, tile):
    these = population(norm, tile, tiny_data)
    advance, chance = (
        these.compile(),
        np.random.RandomState(3 + (tile is None) + 2 * (norm is NoNorm)),
    )
    expected, _ = advance(None, STEPS, True)
    expected = these.unpad(expected)
    assert (expected.diverged_at == -1).all()
    sizes = [leaf[0].size for leaf in jax.tree.leaves(expected.params)]
    for _ in range(INJECTIONS // 4):  # over the four cases
        run, step = chance.randint(these.size), chance.randint(STEPS)
        leaf = chance.randint(len(sizes))
        states, _ = advance(None, step, False)
        states = poisoned(these.unpad(states), run, leaf, chance.randint(sizes[leaf]))
        states, metrics = advance(these.pad(states), STEPS - step, True)
        states = these.unpad(states)
        assert states.diverged_at[run] == step
        assert np.isinf(metrics.train_loss[run]) and metrics.train_error[run] == 1
        for other in range(these.size):
            if other != run:
                assert run_of(states, other) == run_of(expected, other)
        assert run_of(states, run) != run_of(expected, run)
