"""Curvature, against matrices that are written down."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from resnet_jax import dense_network, from_linen
from resnet_jax.diagnostics import curvature

pytestmark = pytest.mark.slow  # many networks are compiled


def symmetric(values, seed=0):
    """A matrix of given eigenvalues."""
    rotation, _ = np.linalg.qr(np.random.RandomState(seed).randn(len(values), len(values)))
    return jnp.asarray(rotation * np.asarray(values) @ rotation.T, jnp.float32)


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ([-3, 0, 0, 1, 2, 10], 6),  # as many steps as the space has dimensions
        ([-3, 0, 0, 1, 2, 10], 20),  # and more
        ([1, 2, 5, 7], 12),  # rows beyond the end bring no zeros into a positive spectrum
        ([4, 4, 4, 4, 4], 3),
        ([-2, -1, -1, -0.5], 8),
        (np.concatenate([[-20, 100], np.linspace(-1, 1, 198)]), 12),  # long before the end
    ],
)
def test_extremes_are_those_of_the_matrix(values, steps):
    matrix = symmetric(values)
    start = jnp.asarray(np.random.RandomState(1).randn(len(values)), jnp.float32)
    found = curvature.extreme_eigenvalues(lambda vector: matrix @ vector, start, steps)
    scale = max(map(abs, values))
    np.testing.assert_allclose(found.least, min(values), atol=2e-5 * scale)
    np.testing.assert_allclose(found.greatest, max(values), atol=2e-5 * scale)
    assert max(found.least_error, found.greatest_error) < 1e-2 * scale
    np.testing.assert_allclose(found.along_start, start @ matrix @ start, rtol=1e-4)


def test_too_few_steps_stay_inside_the_spectrum_and_say_so():
    values = np.linspace(0, 1, 300)
    matrix = symmetric(values)
    start = jnp.asarray(np.random.RandomState(1).randn(300), jnp.float32)
    found = curvature.extreme_eigenvalues(lambda vector: matrix @ vector, start, 5)
    assert 0 < found.least < 0.1 and 0.9 < found.greatest < 1
    assert found.greatest_error > 0.005
    nearest = abs(values - float(found.greatest)).min()
    assert nearest <= found.greatest_error


def test_nothing_is_known_of_the_zero_matrix_but_zero():
    found = curvature.extreme_eigenvalues(jnp.zeros_like, jnp.ones(4), 3)
    np.testing.assert_array_equal(jnp.stack(list(found)), 0)


def test_products_are_those_of_the_hessian(float64):
    """Also where layers and normalisations bring gradients of their own, in a stack."""
    x, y = jax.random.normal(jax.random.key(0), (9, 5)), jnp.arange(9) % 3
    network = from_linen(dense_network(6, 4, 3))
    flat, as_tree = ravel_pytree(jax.tree.map(jnp.float64, network.init(jax.random.key(1), x)))

    def loss(flat):
        logits, _ = network.forward(as_tree(flat), x, jnp.ones(()), None)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    gradient = jax.jit(jax.grad(loss))
    vector = jax.random.normal(jax.random.key(2), flat.shape)
    product = jax.jit(lambda vector: curvature.hessian_vector_product(loss, flat)(vector))(vector)
    step = 1e-6
    differences = (gradient(flat + step * vector) - gradient(flat - step * vector)) / (2 * step)
    np.testing.assert_allclose(product, differences, rtol=1e-4, atol=1e-5)


def test_of_a_function_of_a_tree():
    params = {"a": jnp.array([1.0, 1.0]), "b": jnp.array(0.0)}
    function = lambda p: 2 * p["a"][0] ** 2 - 3 * p["b"] ** 2 + p["a"][1]
    start = {"a": jnp.array([1.0, 1.0]), "b": jnp.array(1.0)}
    found = curvature.of_function(function, params, start, 3)
    np.testing.assert_allclose([found.least, found.greatest], [-6, 4], atol=1e-4)
    np.testing.assert_allclose(found.along_start, 4 - 6, atol=1e-4)
