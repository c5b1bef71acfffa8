"""Directions: filters as long as those of the weights, and nothing else moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import cifar_network, dense_network, from_linen
from resnet_jax.diagnostics import directions


def parameters(module, x):
    """Made up, of the shapes that a network's have; none is zero."""
    shapes = jax.eval_shape(from_linen(module).init, jax.random.key(0), x)
    random = np.random.RandomState(0)
    return jax.tree.map(lambda leaf: jnp.asarray(random.rand(*leaf.shape) + 0.5), shapes)


@pytest.fixture(scope="module")
def dense(own_block):
    """Parameters of twice four blocks, a direction, and the same filter-normalised."""
    params = parameters(dense_network(18, (5, 6), 3, block=own_block), jnp.ones((2, 7)))
    raw = directions.random_direction(jax.random.key(2), params)
    return params, raw, directions.filter_normalised(raw, params)


def test_by_hand():
    weights = {"kernel": jnp.array([[3.0, 0.0], [4.0, 1.0]]), "bias": jnp.array([2.0, 2.0])}
    drawn = {"kernel": jnp.array([[0.0, 2.0], [2.0, 0.0]]), "bias": jnp.array([9.0, 9.0])}
    made = directions.filter_normalised(drawn, weights)
    np.testing.assert_allclose(made["kernel"], [[0, 1], [5, 0]])  # columns of length 5 and 1
    np.testing.assert_array_equal(made["bias"], 0)


def test_every_block_of_a_stack_has_filters_of_its_own(dense):
    params, raw, made = dense
    kernel = lambda tree: np.asarray(tree["stage_1"]["stack"]["first"]["kernel"])
    assert kernel(params).shape == (4, 5, 5)
    length = lambda tree: np.linalg.norm(kernel(tree), axis=1)
    np.testing.assert_allclose(length(made), length(params), rtol=1e-5)
    np.testing.assert_allclose(kernel(made) * kernel(raw) > 0, True)  # the way is not turned
    ratio = kernel(made) / kernel(raw)
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(5, 1), rtol=1e-5)


def test_a_layer_is_no_stack_for_its_name(dense):
    kernels = [np.asarray(tree["stage_2"]["first"]["stack"]["kernel"]) for tree in dense[::2]]
    np.testing.assert_allclose(*(np.linalg.norm(kernel, axis=0) for kernel in kernels), rtol=1e-5)


def test_biases_and_normalisations_do_not_move(dense):
    params, _, made = dense
    stack = made["stage_1"]["stack"]
    still = [made["head"]["bias"], stack["BatchNorm_0"]["scale"], stack["BatchNorm_0"]["bias"]]
    for leaf in (*still, stack["heat"]):  # stacked ones have a depth axis, and are no weights
        np.testing.assert_array_equal(leaf, 0)
    gate = np.asarray(stack["gate"])  # one input a unit: it moves by its own length
    np.testing.assert_allclose(abs(gate), params["stage_1"]["stack"]["gate"], rtol=1e-6)


def test_convolutions_count_filters_by_output_channels():
    params = parameters(cifar_network(8, 3, width=2), jnp.ones((1, 4, 4, 3)))
    raw = directions.random_direction(jax.random.key(1), params)
    made = directions.filter_normalised(raw, params)
    kernels = [
        (w, d) for w, d in zip(*map(jax.tree.leaves, (params, made)), strict=True) if w.ndim == 4
    ]
    assert len(kernels) > 4  # of the stem and of the first blocks; others are stacked
    for pair in kernels:
        lengths = [np.sqrt((np.asarray(array) ** 2).sum((0, 1, 2))) for array in pair]
        assert lengths[0].shape == pair[0].shape[-1:]
        np.testing.assert_allclose(*lengths, rtol=1e-5)


def test_directions_depend_on_the_key_and_the_shape_alone(dense):
    params, raw, _ = dense
    again = directions.random_direction(jax.random.key(2), jax.tree.map(jnp.zeros_like, params))
    jax.tree.map(np.testing.assert_array_equal, raw, again)
    other = directions.random_direction(jax.random.key(3), params)
    leaves = [np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(t)]) for t in (raw, other)]
    assert abs(np.corrcoef(*leaves)[0, 1]) < 0.2 and abs(leaves[0].std() - 1) < 0.1


def test_slices_are_values_at_moved_parameters():
    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}
    axes = [
        {"a": jnp.array([1.0, 0.0]), "b": jnp.array(0.0)},
        {"a": jnp.array([0.0, 1.0]), "b": jnp.array(-1.0)},
    ]
    points = jnp.array([[0.0, 0.0], [2.0, 0.0], [-1.0, 0.5]])
    product = lambda p: {"value": p["a"][0] * p["a"][1] * p["b"]}
    found = directions.sliced(product, params, axes, points)
    np.testing.assert_allclose(found["value"], [6, 18, 0])
