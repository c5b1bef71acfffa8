"""Gradients along paths, held to networks written out, whose gradients are stopped by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from resnet_jax import (
    Parts,
    cifar_network,
    dense_network,
    from_linen,
    interventions,
    orders,
    paths,
    shortcuts,
)

ONE = jnp.ones(())
X = jax.random.normal(jax.random.key(7), (5, 6))
Y = jnp.array([0, 1, 2, 0, 1])
#: Of three blocks, which branches each path takes.
PATHS = np.array(list(itertools.product([False, True], repeat=3)))


def held(module, x, weight=ONE):
    """Where a network's blocks lie, and variables that are not as initialised."""
    random = np.random.RandomState(0)
    draw = lambda leaf: jnp.asarray(leaf + 0.3 * random.randn(*leaf.shape))
    params = jax.tree.map(draw, module.init(jax.random.key(0), x, ONE)["params"])
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
    stop = jax.lax.stop_gradient

    def loss(x):
        a = x @ params["stem"]["kernel"]
        if order is orders.original:
            a = nn.relu(normalise(params["stem_norm"], statistics["stem_norm"], a))
        for index, through in enumerate(taken):
            layer = jax.tree.map(
                lambda leaf, index=index: leaf[index],
                (params["stage_1"]["stack"], statistics["stage_1"]["stack"]),
            )
            z = branch_by_hand(order, *layer, a if through else stop(a))
            a = weight * (stop(a) if through else a) + z
            a = nn.relu(a) if order is orders.original else a
        if order is orders.pre_activation:
            a = nn.relu(normalise(params["head_norm"], statistics["head_norm"], a))
        logits = a @ params["head"]["kernel"] + params["head"]["bias"][None]
        return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()

    return jax.grad(loss)(X)


@pytest.mark.parametrize("order", [orders.original, orders.pre_activation])
@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_gradients_along_paths_are_those_stopped_by_hand(float64, order, weight):
    weight = jnp.array(weight)
    module = dense_network(8, 4, 3, Parts(order=order))
    where, params, statistics = held(module, X, weight)
    expected = [gradient_by_hand(order, params, statistics, weight, taken) for taken in PATHS]
    norms = [jnp.sqrt((each**2).sum()) for each in expected]
    of_module = module, where, params, statistics, X, Y, weight
    np.testing.assert_allclose(paths.of_single_paths(*of_module, PATHS), norms, rtol=1e-6)

    sums = [sum(expected[i] for i in np.flatnonzero(PATHS.sum(1) == k)) for k in range(4)]
    whole = sum(sums)
    found = paths.by_length(*of_module, 3)
    np.testing.assert_allclose(found.norm, [jnp.sqrt((each**2).sum()) for each in sums], rtol=1e-6)
    shares = [(each * whole).sum() / (whole**2).sum() for each in sums]
    np.testing.assert_allclose(found.share, shares, rtol=1e-6, atol=1e-9)
    few = paths.by_length(*of_module, 2)  # the last is of two and more
    np.testing.assert_allclose(few.share, [*shares[:2], sum(shares[2:])], rtol=1e-6, atol=1e-9)


class Own(nn.Module):
    """A block of a user's own, that knows nothing of paths."""

    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        gate = self.param("gate", nn.initializers.ones, (1, self.width))
        z = self.parts.norm()(self.parts.linear(self.width)(a))
        return self.parts.activation(a * shortcut_weight + branch_weight * nn.sigmoid(gate) * z)


IMAGES = jax.random.normal(jax.random.key(8), (5, 4, 4))


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (dense_network(5, 4, 3, block=Own, layers_per_block=1), X),
        (cifar_network(14, 3, width=2), IMAGES),
        (cifar_network(8, 3, Parts(shortcut=shortcuts.exclusive_gate(-1.0)), width=2), IMAGES),
    ],
    ids=["own", "cifar", "gated"],
)
def test_paths_of_all_lengths_add_up_to_the_gradient(float64, module, x):
    where, params, statistics = held(module, x)

    def loss(x):
        logits = from_linen(module).predict(params, statistics, x, ONE)
        return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()

    whole = jnp.sqrt((jax.grad(loss)(x) ** 2).sum())
    blocks = sum(place.blocks for place in where)
    of_module = module, where, params, statistics, x, Y, ONE
    together = paths.by_length(*of_module, 0)  # all in one
    np.testing.assert_allclose(together.norm, [whole], rtol=1e-6)
    ends = paths.of_single_paths(*of_module, np.array([[False] * blocks, [True] * blocks]))
    by_length = paths.by_length(*of_module, blocks)
    np.testing.assert_allclose(by_length.norm[jnp.array([0, blocks])], ends, rtol=1e-6)
    assert by_length.norm.shape == (blocks + 1,) and len(np.unique(by_length.norm)) > 2


def test_a_plain_network_has_one_path(float64):
    module = dense_network(8, 4, 3)
    where, params, statistics = held(module, X, jnp.zeros(()))
    found = paths.by_length(module, where, params, statistics, X, Y, jnp.zeros(()), 3)
    np.testing.assert_allclose(found.share, [0, 0, 0, 1], atol=1e-12)
