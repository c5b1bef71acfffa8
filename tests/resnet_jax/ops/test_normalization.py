import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.ops.normalization import BatchNorm, LayerNorm, NoNorm, ScalarBias, batch_norm


def stock(x, scale, bias):
    """Batch normalisation in textbook form, for JAX to differentiate."""
    mean, variance = x.mean(0, keepdims=True), x.var(0, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 1e-5) * scale[None] + bias[None]


def arguments(dtype):
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (12, 5), dtype) * 3 + 1
    scale, bias = jax.random.normal(keys[1], (5,), dtype), jax.random.normal(keys[2], (5,), dtype)
    return (x, scale, bias), jax.random.normal(keys[3], (12, 5), dtype)


def test_value_and_gradient_equal_the_stock_operation(float64):
    inputs, cotangent = arguments(jnp.float64)
    expected, stock_gradient = jax.vjp(stock, *inputs)
    actual, gradient = jax.vjp(lambda *a: batch_norm(*a)[0], *inputs)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
    chex.assert_trees_all_close(gradient(cotangent), stock_gradient(cotangent), rtol=1e-9)


def test_by_hand():
    x = jnp.array([[1.0], [3.0]])
    y, mean, variance = batch_norm(x, jnp.array([2.0]), jnp.array([5.0]), 0.0)
    np.testing.assert_allclose(y, [[3.0], [7.0]], rtol=1e-6)
    np.testing.assert_allclose([mean[0], variance[0]], [2.0, 1.0])


def test_a_large_mean_costs_no_accuracy():
    (x, scale, bias), _ = arguments(jnp.float32)
    x = jnp.round(x * 64) / 64  # so that adding the mean is exact
    near, _, _ = batch_norm(x, scale, bias)
    far, _, variance = batch_norm(x + 4096, scale, bias)
    np.testing.assert_allclose(far, near, atol=2e-3)
    np.testing.assert_allclose(variance, x.var(0), rtol=1e-4)
    naive = ((x + 4096) ** 2).mean(0) - (x + 4096).mean(0) ** 2
    assert not np.allclose(naive, x.var(0), rtol=1e-1)  # what the two passes are for


def test_statistics_are_recorded_when_mutable_and_used_when_not():
    module = BatchNorm()
    x = jax.random.normal(jax.random.key(0), (8, 3)) * 2 + 1
    variables = module.init(jax.random.key(1), x)
    y, written = module.apply(variables, x, mutable=["statistics"])
    np.testing.assert_allclose(written["statistics"]["mean"], x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(written["statistics"]["variance"], x.var(0), rtol=1e-5)
    replayed = module.apply({**variables, **written}, x[:2])
    np.testing.assert_allclose(replayed, y[:2], rtol=1e-4, atol=1e-5)


def test_batch_norm_averages_over_all_axes_but_the_last():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 5))
    module = BatchNorm()
    variables = module.init(jax.random.key(1), x)
    y, _ = module.apply(variables, x, mutable=["statistics"])
    np.testing.assert_allclose(y.mean((0, 1, 2)), np.zeros(5), atol=1e-6)
    np.testing.assert_allclose(y.std((0, 1, 2)), np.ones(5), rtol=1e-4)


def test_layer_norm_normalises_each_example_alone():
    x = jax.random.normal(jax.random.key(0), (4, 16)) * 3 + 100
    y = LayerNorm().apply(LayerNorm().init(jax.random.key(0), x), x)
    np.testing.assert_allclose(y.mean(1), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(y.std(1), np.ones(4), rtol=1e-3)


def test_no_norm_is_the_identity_without_parameters():
    x = jnp.arange(6.0).reshape(2, 3)
    variables = NoNorm().init(jax.random.key(0), x)
    assert not jax.tree.leaves(variables)
    np.testing.assert_array_equal(NoNorm().apply(variables, x), x)


@pytest.mark.parametrize("factory", [BatchNorm, LayerNorm])
def test_scale_can_start_at_zero(factory):
    x = jax.random.normal(jax.random.key(0), (4, 3))
    variables = factory(scale_init=jax.nn.initializers.zeros).init(jax.random.key(0), x)
    np.testing.assert_array_equal(variables["params"]["scale"], np.zeros(3))


def test_a_scalar_bias_adds_one_number():
    x = jnp.arange(6.0).reshape(2, 3)
    variables = ScalarBias().init(jax.random.key(0), x)
    chex.assert_trees_all_equal(variables, {"params": {"bias": jnp.zeros(())}})
    y = ScalarBias().apply({"params": {"bias": jnp.array(2.0)}}, x)
    np.testing.assert_array_equal(y, x + 2)
    given = ScalarBias(scale_init=jax.nn.initializers.zeros).apply(variables, x)
    np.testing.assert_array_equal(given, x)  # it has no scale that could begin at zero
