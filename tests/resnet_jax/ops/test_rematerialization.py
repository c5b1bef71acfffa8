import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Parts, dense_network, from_linen
from resnet_jax.nn import branches
from resnet_jax.nn.blocks import BASIC, Block
from resnet_jax.nn.networks import ResidualNetwork, StageShape, Stem
from resnet_jax.ops import normalization
from resnet_jax.ops.rematerialization import block_inputs, products, segment_inputs

pytestmark = pytest.mark.slow

REMATS = [products, block_inputs, segment_inputs]
KEY = jax.random.key(3)


@pytest.mark.parametrize("scan", REMATS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 16, 17])
def test_a_scan_by_hand(scan, count):
    """carry ← carry · x, whose derivative by each x is the product of the others."""
    xs = jnp.arange(1.0, count + 1)

    def product(xs):
        carry, ys = scan(lambda carry, x: (carry * x, carry), jnp.ones(()), xs)
        return carry, ys

    carry, ys = product(xs)
    np.testing.assert_allclose(carry, np.prod(xs))
    np.testing.assert_allclose(ys, np.cumprod([1, *xs[:-1]]), rtol=1e-6)
    gradient = jax.grad(lambda xs: product(xs)[0])(xs)
    np.testing.assert_allclose(gradient, np.prod(xs) / xs, rtol=1e-5)


def outcome(module, x, params, key=KEY):
    """Loss, statistics and gradients, in one program."""
    network = from_linen(module)

    def loss(params):
        logits, statistics = network.forward(params, x, jnp.float32(0.7), key)
        return jnp.sin(logits).sum(), statistics

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


@pytest.mark.parametrize("scan", REMATS)
@pytest.mark.parametrize(
    "parts",
    [
        Parts(),
        Parts(norm=normalization.LayerNorm),
        Parts(norm=normalization.NoNorm),
        Parts(branch=branches.stochastic_depth()),
    ],
)
def test_dense_networks_and_their_gradients_are_the_same(scan, parts):
    module = dense_network(12, 4, 3, parts)
    x = jax.random.normal(jax.random.key(1), (6, 5))
    params = from_linen(module).init(KEY, x)
    expected = outcome(module.clone(remat=jax.lax.scan), x, params)  # which keeps everything
    actual = outcome(module.clone(remat=scan), x, params)
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-5)


Convolved = functools.partial(Block, layers=BASIC)


@pytest.mark.parametrize("scan", REMATS)
def test_convolutional_ones_too(scan):
    module = ResidualNetwork(Stem(2, size=3), [StageShape(2, blocks=4)], 3, block=Convolved)
    x = jax.random.normal(jax.random.key(1), (4, 6, 6, 1))
    params = from_linen(module).init(KEY, x)
    actual = outcome(module.clone(remat=scan), x, params)
    expected = outcome(module.clone(remat=jax.lax.scan), x, params)
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-5)


class Noisy(nn.Module):
    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        z = self.parts.dropout(self.parts.linear(self.width)(a), 0.5)
        return shortcut_weight * a + branch_weight * z


@pytest.mark.parametrize("scan", REMATS)
def test_a_block_of_ones_own_draws_the_same_noise(scan):
    module = dense_network(12, 4, 3, block=Noisy)
    x = jax.random.normal(jax.random.key(1), (6, 5))
    params = from_linen(module).init(KEY, x)
    plain = module.clone(remat=jax.lax.scan)
    expected, other = outcome(plain, x, params), outcome(plain, x, params, jax.random.key(4))
    actual = outcome(module.clone(remat=scan), x, params)
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert abs(other[0][0] - expected[0][0]) > 1e-3  # noise there is


class Stock(nn.Module):
    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        return shortcut_weight * a + branch_weight * nn.tanh(nn.Dense(self.width)(a))


@pytest.mark.parametrize(("scan", "times"), [(products, 1), (block_inputs, 2)])
def test_no_product_is_computed_twice_unless_that_is_asked_for(scan, times):
    """Not in a block of stock layers either: forwards, and two gradients."""
    x = jnp.ones((6, 5))
    for block, layers in ((Stock, 1), (Block, 2)):
        module = dense_network(12, 4, 3, Parts(norm=normalization.NoNorm), block=block)
        network = from_linen(module.clone(remat=scan))
        params = network.init(KEY, x)
        logits = functools.partial(network.forward, x=x, shortcut_weight=jnp.ones(()))
        loss = lambda params, logits=logits: logits(params)[0].sum()
        program = jax.jit(jax.grad(loss)).lower(params).as_text()
        ends = 2 + 2  # the examples have no gradient, and the logits' sum needs no logits
        assert program.count("dot_general") == ends + layers * (2 + times)


@pytest.mark.parametrize("scan", REMATS)
def test_it_begins_with_the_same_bits(scan):
    module, x = dense_network(12, 4, 3), jnp.ones((2, 5))
    actual = from_linen(module.clone(remat=scan)).init(KEY, x)
    chex.assert_trees_all_equal(actual, from_linen(module).init(KEY, x))


def kept(scan, blocks, batch=50, width=8):
    """Numbers that a stack keeps for its gradient, parameters apart."""
    module = dense_network(2 + 2 * blocks, width, 3, block=Block).clone(remat=scan)
    network, x = from_linen(module), jax.ShapeDtypeStruct((batch, width), jnp.float32)
    params = jax.eval_shape(network.init, KEY, x)
    forward = lambda params, x: jax.vjp(
        lambda params: network.forward(params, x, jnp.ones(()), None)[0], params
    )[1]
    residuals = jax.tree.leaves(jax.eval_shape(forward, params, x))
    return sum(leaf.size for leaf in residuals if batch in leaf.shape[-2:]) / (batch * width)


def test_what_is_kept_is_what_is_promised():
    """In units of a block's input; what stem and head keep is the difference of two depths."""
    per_block = lambda scan, few, many: (kept(scan, many) - kept(scan, few)) / (many - few)
    assert per_block(products, 16, 64) == pytest.approx(3, abs=0.1)
    assert per_block(block_inputs, 16, 64) == pytest.approx(1, abs=0.1)
    # A sixteenth part of 256 blocks' inputs, and of 64 an eighth.
    assert kept(segment_inputs, 256) - kept(segment_inputs, 64) == pytest.approx(8, abs=1.5)
