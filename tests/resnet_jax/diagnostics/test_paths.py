"""Gradients along paths, held to networks written out, whose gradients are stopped by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from resnet_jax import Parts, dense_network, from_linen
from resnet_jax.diagnostics import interventions, paths
from resnet_jax.nn import orders, shortcuts

pytestmark = pytest.mark.slow  # many networks are compiled

ONE = jnp.ones(())
X = jax.random.normal(jax.random.key(7), (5, 6))
Y = jnp.array([0, 1, 2, 0, 1])
#: Of three blocks, which branches each path takes.
PATHS = np.array(list(itertools.product([False, True], repeat=3)))


def held(module, x, weight=ONE):
    """Where a network's blocks lie, and variables that are not as initialised."""
    random = np.random.RandomState(0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x, ONE)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(0.6 * random.randn(*leaf.shape)), shapes)
    _, statistics = from_linen(module).forward(params, x, weight, None)
    return interventions.places(module, params, x), params, statistics


def normalise(params, statistics, z):
    scale = params["scale"] / jnp.sqrt(statistics["variance"] + 1e-5)
    return (z - statistics["mean"][None]) * scale[None] + params["bias"][None]


def branch_by_hand(order, params, statistics, a):
    norm = lambda name, z: normalise(params[name], statistics[name], z)
    if order is orders.original:
        z = nn.relu(norm("norm_1", a @ params["linear_1"]["kernel"]))
        return norm("norm_2", z @ params["linear_2"]["kernel"])
    z = nn.relu(norm("norm_1", a)) @ params["linear_1"]["kernel"]
    return nn.relu(norm("norm_2", z)) @ params["linear_2"]["kernel"]


def gradient_by_hand(order, params, statistics, weight, taken):
    """Of the mean loss by the examples, through the branch of blocks taken, else the shortcut."""
    only = lambda passes, a: jnp.where(passes, a, jax.lax.stop_gradient(a))

    def loss(x):
        a = x @ params["stem"]["kernel"]
        if order is orders.original:
            a = nn.relu(normalise(params["stem_norm"], statistics["stem_norm"], a))
        for index in range(3):
            layer = jax.tree.map(
                lambda leaf, index=index: leaf[index],
                (params["stage_1"]["stack"], statistics["stage_1"]["stack"]),
            )
            z = branch_by_hand(order, *layer, only(taken[index], a))
            a = weight * only(~taken[index], a) + z
            a = nn.relu(a) if order is orders.original else a
        if order is orders.pre_activation:
            a = nn.relu(normalise(params["head_norm"], statistics["head_norm"], a))
        logits = a @ params["head"]["kernel"] + params["head"]["bias"][None]
        return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()

    return jax.grad(loss)(X)


@pytest.mark.parametrize("order", [orders.original, orders.pre_activation])
def test_gradients_along_paths_are_those_stopped_by_hand(float64, order):
    module = dense_network(8, 4, 3, Parts(order=order))

    @jax.jit
    def both(weight):
        where, params, statistics = held(module, X, weight)
        loss = paths.Loss(module, where, params, statistics, X, Y, weight)
        by_hand = lambda taken: gradient_by_hand(order, params, statistics, weight, taken)
        found = [paths.by_length(loss, most) for most in (3, 2)]
        return paths.of_single_paths(loss, PATHS), *found, jax.lax.map(by_hand, PATHS)

    for weight in (1.0, 0.5, 0.0):  # without shortcuts there is one path
        single, all_told_apart, few, expected = both(jnp.array(weight))
        norms = lambda gradients: np.sqrt((gradients**2).sum((1, 2)))
        np.testing.assert_allclose(single, norms(expected), rtol=1e-6)
        sums = np.stack([expected[PATHS.sum(1) == k].sum(0) for k in range(4)])
        np.testing.assert_allclose(all_told_apart.norm, norms(sums), rtol=1e-6)
        whole = sums.sum(0)
        shares = (sums * whole).sum((1, 2)) / (whole**2).sum()
        np.testing.assert_allclose(all_told_apart.share, shares, rtol=1e-6, atol=1e-9)
        last = [*shares[:2], shares[2:].sum()]  # of two branches and more
        np.testing.assert_allclose(few.share, last, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "own"),
    [({}, True), ({"shortcut": shortcuts.exclusive_gate(-1.0)}, False)],
    ids=["own", "gated"],
)
def test_paths_of_all_lengths_add_up_to_the_gradient(float64, own_block, changes, own):
    """Through two stages, also where a block's weights stand in front of its layers."""
    block = {"block": own_block} if own else {}
    module = dense_network(10, (4, 6), 3, Parts(**changes), **block)

    @jax.jit
    def found():
        where, params, statistics = held(module, X)
        blocks = sum(place.blocks for place in where)

        def whole(x):
            logits = from_linen(module).predict(params, statistics, x, ONE)
            return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()

        ends = np.array([[False] * blocks, [True] * blocks])
        loss = paths.Loss(module, where, params, statistics, X, Y, ONE)
        together, by_length = (paths.by_length(loss, most).norm for most in (0, blocks))
        return jax.grad(whole)(X), together, by_length, paths.of_single_paths(loss, ends)

    whole, together, by_length, ends = found()
    np.testing.assert_allclose(together, [np.sqrt((whole**2).sum())], rtol=1e-6)
    np.testing.assert_allclose(by_length[jnp.array([0, -1])], ends, rtol=1e-6)
    assert len(np.unique(by_length)) == len(by_length) > 3
