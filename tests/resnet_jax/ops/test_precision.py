"""Networks that compute in bfloat16, whose numbers have 8 digits in base 2."""

import dataclasses

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Parts, cifar_network, dense_network, from_linen
from resnet_jax.nn import branches, orders
from resnet_jax.ops.convolution import convolve
from resnet_jax.ops.normalization import BatchNorm, LayerNorm, NoNorm, ScalarBias

pytestmark = pytest.mark.slow

KEY, BFLOAT16, HALF_DIGIT = jax.random.key(3), jnp.bfloat16, 2.0**-9


class Full(nn.Module):
    """A block of one's own that returns single precision whatever enters."""

    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        z = self.parts.linear(self.width)(a).astype(jnp.float32)
        return shortcut_weight * a + branch_weight * nn.tanh(z)


NETWORKS = {
    "dense": dense_network(8, 8, 3),
    "layer": dense_network(8, 8, 3, Parts(norm=LayerNorm, branch=branches.learned)),
    "fixup": dense_network(8, 8, 3, Parts(norm=ScalarBias, branch=branches.fixup)),
    "cifar": cifar_network(8, 3, width=4),
    "pre_activation": cifar_network(8, 3, Parts(order=orders.pre_activation), width=4),
    "own": dense_network(6, 8, 3, Parts(norm=NoNorm), block=Full),
}


def lowered(module):
    return module.clone(parts=dataclasses.replace(module.parts, dtype=BFLOAT16))


def examples(module):
    shape = (24, 5) if module.stem.size is None else (24, 8, 8, 1)
    return jax.random.normal(jax.random.key(1), shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_their_gradients_and_logits_stay_in_single_precision(name):
    module = NETWORKS[name]
    x, full, low = examples(module), from_linen(module), from_linen(lowered(module))
    params = full.init(KEY, x)
    chex.assert_trees_all_equal(low.init(KEY, x), params)
    logits, statistics = jax.jit(full.forward)(params, x, jnp.ones(()))

    def loss(params):
        logits, statistics = low.forward(params, x, jnp.ones(()))
        return jnp.sin(logits).sum(), (logits, statistics)

    gradient, outcome = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert {leaf.dtype for leaf in jax.tree.leaves((gradient, outcome))} == {jnp.dtype("float32")}
    # Half a digit for each of some dozens of operations, which batch norm magnifies: 1 to 15 of
    # them over 12 keys of each network.
    error = np.abs(outcome[0] - logits).max() / np.abs(logits).max()
    assert HALF_DIGIT / 10 < error < 40 * HALF_DIGIT
    chex.assert_trees_all_close(outcome[1], statistics, rtol=0.1, atol=0.1)
    predicted = jax.jit(low.predict)(params, outcome[1], x, jnp.ones(()))
    np.testing.assert_allclose(predicted, outcome[0], atol=40 * HALF_DIGIT * np.abs(logits).max())


@pytest.mark.parametrize("name", ["dense", "own"])
def test_all_products_but_the_heads_are_of_narrow_numbers(name):
    module = lowered(NETWORKS[name])
    network, x = from_linen(module), examples(module)
    params = jax.eval_shape(network.init, KEY, x)
    loss = lambda params: network.forward(params, x, jnp.ones(()))[0].sum()
    text = jax.jit(jax.value_and_grad(loss)).lower(params).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    of_weights = [line for line in products if "3xf32" not in line and "<1x" not in line]
    assert len(of_weights) >= 3 and all("bf16" in line for line in of_weights)
    assert sum("3xf32" in line for line in products) == 3  # the head's, and no more


@pytest.mark.parametrize("norm", [BatchNorm, LayerNorm])
def test_normalisations_compute_in_single_precision(norm):
    x = (10 + jax.random.normal(KEY, (64, 5))).astype(BFLOAT16)
    module = norm()
    params = module.init(KEY, x)["params"]

    def apply(x):
        return module.apply({"params": params}, x, mutable=["statistics"])[0]

    wide = x.astype(jnp.float32)
    np.testing.assert_array_equal(apply(x), apply(wide).astype(BFLOAT16))
    _, gradient = jax.vjp(apply, x)
    _, expected = jax.vjp(apply, wide)
    cotangent = jax.random.normal(jax.random.key(5), x.shape).astype(BFLOAT16)
    np.testing.assert_array_equal(
        gradient(cotangent)[0], expected(cotangent.astype(jnp.float32))[0].astype(BFLOAT16)
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators keep the stock operation")
@pytest.mark.parametrize("channels", [3, 32])
def test_convolutions_on_cpu_round_once(channels):
    narrow = lambda key, *shape: jax.random.normal(jax.random.key(key), shape).astype(BFLOAT16)
    x, kernel = narrow(1, 4, 8, 8, channels), narrow(2, 3, 3, channels, channels)
    y, gradient = jax.vjp(convolve, x, kernel)
    wide, wide_gradient = jax.vjp(convolve, x.astype(jnp.float32), kernel.astype(jnp.float32))
    chex.assert_trees_all_equal(y, wide.astype(BFLOAT16))
    narrowed = jax.tree.map(
        lambda leaf: leaf.astype(BFLOAT16), wide_gradient(y.astype(jnp.float32))
    )
    chex.assert_trees_all_equal(gradient(y), narrowed)
