"""Diagnostics, held to the same numbers computed block by block without a scan or probes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from resnet_jax import Block, Parts, cifar_network, dense_network, diagnostics, imagenet_network
from resnet_jax.diagnostics import probes
from resnet_jax.nn import blocks, orders
from resnet_jax.ops import normalization

pytestmark = pytest.mark.slow  # many networks are compiled

X = jnp.asarray(np.random.RandomState(0).randn(12, 6), jnp.float32)
Y = jnp.asarray(np.arange(12) % 3)
PARTS = {
    "original": Parts(),
    "pre_activation": Parts(order=orders.pre_activation, norm=normalization.LayerNorm),
    "bare": Parts(norm=normalization.NoNorm),
}


@functools.cache
def compiled(network):
    """The diagnosis of a network, as a compiled function of ``(params, x, y, shortcut_weight)``."""
    return jax.jit(functools.partial(diagnostics.diagnose, network))


def start(network, x=X):
    return network.init(jax.random.key(1), x, jnp.ones(()))["params"]


def tail(parts, params, a, first, weight):
    """The logits of what enters block ``first``, block by block."""
    stack = params["stage_1"]["stack"]
    for index in range(first, 4):
        here = jax.tree.map(lambda leaf, index=index: leaf[index], stack)
        block = Block(width=5, blocks=4, parts=parts)
        a = block.apply({"params": here}, a, weight, 1.0, mutable=["statistics"])[0]
    if not parts.order.stem_norm:
        variables = {"params": params.get("head_norm", {})}
        a = parts.norm().apply(variables, a, mutable=["statistics"])[0]
    a = a if parts.order.stem_activation else nn.relu(a)
    return a @ params["head"]["kernel"] + params["head"]["bias"][None]


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("name", PARTS)
def test_blocks_are_those_of_a_network_without_probes(name, weight):
    parts, weight = PARTS[name], jnp.float32(weight)
    network = dense_network(10, 5, 3, parts)
    params = start(network)
    found, _ = compiled(network)(params, X, Y, weight)
    a = X @ params["stem"]["kernel"]  # biases begin at zero
    if parts.order.stem_norm:
        variables = {"params": params.get("stem_norm", {})}
        a = nn.relu(parts.norm().apply(variables, a, mutable=["statistics"])[0])
    loss = lambda a, first: optax.softmax_cross_entropy_with_integer_labels(
        tail(parts, params, a, first, weight), Y
    ).mean()
    for first in range(5):
        np.testing.assert_allclose(found.rms[first], jnp.sqrt((a**2).mean()), rtol=1e-5)
        np.testing.assert_allclose(found.cosine[first], probes.mean_cosine(a), rtol=1e-4, atol=1e-6)
        gradient = jax.grad(loss)(a, first)
        np.testing.assert_allclose(
            found.gradient[first], jnp.linalg.norm(gradient), rtol=2e-4, atol=1e-7
        )
        if first < 4:
            here = jax.tree.map(lambda leaf, i=first: leaf[i], params["stage_1"]["stack"])
            block = Block(width=5, blocks=4, parts=parts)
            a = block.apply({"params": here}, a, weight, 1.0, mutable=["statistics"])[0]
    assert np.isnan(found.branch_to_shortcut[-1])
    assert np.isinf(found.branch_to_shortcut[:-1]).all() == (weight == 0)


def test_gradient_correlation_is_that_of_each_example_alone():
    """Without normalisation a network is a function of each example, and so is its gradient."""
    parts = PARTS["bare"]
    network = dense_network(10, 5, 3, parts)
    params = start(network)
    found, _ = compiled(network)(params, X, Y, jnp.ones(()))
    a = nn.relu(X @ params["stem"]["kernel"])
    alone = jax.vmap(jax.grad(lambda one: tail(parts, params, one[None], 0, 1.0)[0, 0]))(a)
    np.testing.assert_allclose(found.gradient_correlation[0], probes.mean_cosine(alone), rtol=1e-4)
    assert found.gradient_correlation[-1] == pytest.approx(1, abs=1e-5)  # all meet one head


def test_layers_hold_their_weights_and_gradients():
    network = dense_network(10, 5, 3)
    params = start(network)
    _, found = compiled(network)(params, X, Y, jnp.ones(()))

    def loss(params):
        logits = network.apply({"params": params}, X, jnp.ones(()), mutable=["statistics"])[0]
        return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()

    gradient = jax.grad(loss)(params)
    for tree, values in ((params, found.weight), (gradient, found.weight_gradient)):
        stack = tree["stage_1"]["stack"]
        kernels = [tree["stem"]["kernel"]]
        for index in range(4):
            kernels += [stack[f"linear_{layer}"]["kernel"][index] for layer in (1, 2)]
        kernels.append(tree["head"]["kernel"])
        expected = [np.linalg.norm(kernel) for kernel in kernels]
        np.testing.assert_allclose(values, expected, rtol=1e-4)
    np.testing.assert_allclose(found.response[:-1], 1, atol=1e-3)  # normalised
    np.testing.assert_allclose(found.input_rms[0], np.sqrt((X**2).mean()), rtol=1e-6)


class Mine(nn.Module):
    """A block of one's own: a layer of another kind, used in another way."""

    width: int
    blocks: int
    parts: Parts
    stride: int = 1

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        z = nn.Dense(self.width, name="mine")(nn.tanh(a))
        return shortcut_weight * a + branch_weight * z


@pytest.mark.parametrize(
    ("network", "shape", "depth", "blocks"),
    [
        (dense_network(2, 5, 3), (6,), 2, 0),
        (dense_network(5, 5, 3, block=Mine, layers_per_block=1), (6,), 5, 3),
    ],
)
def test_with_or_without_blocks_and_with_one_of_ones_own(network, shape, depth, blocks):
    x = jnp.asarray(np.random.RandomState(0).randn(6, *shape), jnp.float32)
    diagnosis = compiled(network)(start(network, x), x, Y[:6], jnp.ones(()))
    for values in diagnosis.blocks:
        assert values.shape == (blocks + 1 if blocks else 0,)
        assert np.isfinite(values[:-1]).all()
    for values in diagnosis.layers:
        assert values.shape == (depth,) and np.isfinite(values).all()


def test_a_layer_is_neither_block_nor_stack_for_its_name(own_block):
    """Of two blocks the second widens, and stands in no stack; it alone is doubled."""
    network = dense_network(6, (5, 7), 3, block=own_block)
    params, one = start(network), jnp.ones(())
    shapes = jax.eval_shape(functools.partial(diagnostics.diagnose, network), params, X, Y, one)
    assert {values.shape for values in shapes.blocks} == {(3,)}
    assert {values.shape for values in shapes.layers} == {(6,)}
    changed = {**params, "stage_2": jax.tree.map(lambda leaf: 2 * leaf, params["stage_2"])}
    change = diagnostics.relative_change(network, params, changed, X, one)
    np.testing.assert_allclose(change, [0, 0, 0, 1, 1, 0], atol=1e-6)
    moved = jax.jit(functools.partial(diagnostics.feature_change, network))
    np.testing.assert_array_equal(moved(params, changed, X, one).change > 0, [False, False, True])


@pytest.mark.parametrize(
    ("network", "shape", "depth", "blocks"),
    [
        (cifar_network(14, 3, width=4), (4, 4), 14, 6),
        (imagenet_network(50, 3, layers=blocks.BOTTLENECK, width=4), (32, 32, 3), 50, 16),
    ],
)
def test_every_family(network, shape, depth, blocks):
    x = jax.ShapeDtypeStruct((6, *shape), jnp.float32)
    params = jax.eval_shape(network.init, jax.random.key(0), x, jnp.ones(()))["params"]
    run = functools.partial(diagnostics.diagnose, network)
    found = jax.eval_shape(run, params, x, Y[:6], jnp.ones(()))
    assert {values.shape for values in found.blocks} == {(blocks + 1,)}
    assert {values.shape for values in found.layers} == {(depth,)}


def test_a_line_of_inputs():
    network = dense_network(6, 8, 3, PARTS["bare"])
    params = start(network)
    line = X[0], X[1] - X[0], jnp.ones(())
    along = diagnostics.gradients_along(network, params, {}, *line, points=9)
    assert along.shape == (9,) and along[0] == pytest.approx(1, abs=1e-5)
    assert (abs(along) <= 1 + 1e-5).all() and along[8] < along[1]
    straight = dense_network(6, 8, 3, Parts(norm=normalization.NoNorm, activation=lambda a: a))
    even = diagnostics.gradients_along(straight, start(straight), {}, *line, points=9)
    np.testing.assert_allclose(even, 1, atol=1e-5)  # a linear network has one gradient


def test_relative_change_is_by_layer():
    network = dense_network(10, 5, 3)
    params = start(network)
    stack = params["stage_1"]["stack"] | {
        "linear_2": {"kernel": 1.5 * params["stage_1"]["stack"]["linear_2"]["kernel"]}
    }
    changed = params | {"stage_1": {"stack": stack}}
    change = diagnostics.relative_change(network, params, changed, X, jnp.ones(()))
    np.testing.assert_allclose(change, [0, *[0, 0.5] * 4, 0], atol=1e-6)


def test_features_move_as_block_by_block_by_hand():
    """The branches of an unnormalised network doubled: each block's, from what came before it."""
    parts = PARTS["bare"]
    network = dense_network(10, 5, 3, parts)
    params = start(network)
    double = lambda stack: stack | {"linear_2": jax.tree.map(lambda w: 2 * w, stack["linear_2"])}
    changed = params | {"stage_1": {"stack": double(params["stage_1"]["stack"])}}
    rms, found = diagnostics.feature_change(network, params, changed, X, jnp.float32(0.7))
    np.testing.assert_allclose(
        rms, compiled(network)(params, X, Y, jnp.float32(0.7))[0].rms, rtol=1e-5
    )
    old = new = nn.relu(X @ params["stem"]["kernel"])
    expected = [0.0]
    for index in range(4):
        here = jax.tree.map(lambda leaf, i=index: leaf[i], params["stage_1"]["stack"])
        block = Block(width=5, blocks=4, parts=parts)
        old = block.apply({"params": here}, old, 0.7, 1.0)
        new = block.apply({"params": double(here)}, new, 0.7, 1.0)
        expected.append(float(jnp.linalg.norm(new - old) / jnp.linalg.norm(old)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert min(expected[1:]) > 0.1


@pytest.mark.parametrize(
    ("network", "shape", "places"),
    [(dense_network(2, 5, 3), (6,), 0), (cifar_network(14, 3, width=4), (4, 4), 7)],
)
def test_features_of_every_stage_move_or_there_are_none(network, shape, places):
    x = jax.ShapeDtypeStruct((6, *shape), jnp.float32)
    params = jax.eval_shape(network.init, jax.random.key(0), x, jnp.ones(()))["params"]
    run = functools.partial(diagnostics.feature_change, network)
    found = jax.eval_shape(run, params, params, x, jnp.ones(()))
    assert {values.shape for values in found} == {(places,)}
