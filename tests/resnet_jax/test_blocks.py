import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import DenseBlock, Parts, blocks, initializers, normalization

NO_NORM = Parts(norm=normalization.NoNorm)
A = jnp.array([[1.0, 2.0]])


def params(first, second, first_bias=(0.0, 0.0), second_bias=(0.0, 0.0)):
    return {
        "linear_1": {"kernel": jnp.array(first), "bias": jnp.array(first_bias)},
        "linear_2": {"kernel": jnp.array(second), "bias": jnp.array(second_bias)},
    }


def apply(block, tree, a, weight):
    return block.apply({"params": tree}, a, jnp.array(weight))


@pytest.mark.parametrize(
    ("weight", "expected"),
    # z1 = [1+0, 2-5] = [1, -3] -> g -> [1, 0]; z2 = [3, -1] + [0, -2] = [3, -3]
    [(0.0, [[3.0, 0.0]]), (1.0, [[4.0, 0.0]]), (2.0, [[5.0, 1.0]])],
)
def test_the_lectures_block_by_hand(weight, expected):
    tree = params([[1.0, 0.0], [0.0, 1.0]], [[3.0, -1.0], [7.0, 7.0]], (0.0, -5.0), (0.0, -2.0))
    actual = apply(DenseBlock(2, parts=NO_NORM), tree, A, weight)
    np.testing.assert_allclose(actual, expected)


def test_pre_activation_by_hand():
    # g(a) = [1, 0]; times first = [1, -1] -> g -> [1, 0]; times second = [3, -1]; nothing after.
    tree = params([[1.0, -1.0], [9.0, 9.0]], [[3.0, -1.0], [7.0, 7.0]])
    block = DenseBlock(2, parts=dataclasses.replace(NO_NORM, order=blocks.pre_activation))
    a = jnp.array([[1.0, -2.0]])
    np.testing.assert_allclose(apply(block, tree, a, 0.0), [[3.0, -1.0]])
    np.testing.assert_allclose(apply(block, tree, a, 1.0), [[4.0, -3.0]])


def test_a_narrower_input_is_zero_padded_on_the_shortcut():
    tree = {
        "linear_1": {"kernel": jnp.zeros((1, 2)), "bias": jnp.zeros(2)},
        "linear_2": {"kernel": jnp.zeros((2, 2)), "bias": jnp.array([1.0, 1.0])},
    }
    actual = apply(DenseBlock(2, parts=NO_NORM), tree, jnp.array([[5.0]]), 1.0)
    np.testing.assert_allclose(actual, [[6.0, 1.0]])


def test_branch_scales():
    tree = params(np.eye(2), np.eye(2))
    half = dataclasses.replace(NO_NORM, branch_scale=blocks.inverse_sqrt_scale)
    actual = apply(DenseBlock(2, blocks=4, parts=half), tree, A, 1.0)
    np.testing.assert_allclose(actual, 1.5 * A)
    learned = dataclasses.replace(NO_NORM, branch_scale=blocks.learned_scale)
    block = DenseBlock(2, blocks=4, parts=learned)
    fresh = block.init(jax.random.key(0), A, jnp.ones(()))["params"]
    assert fresh["branch_scale"]["scale"] == 0
    actual = apply(block, {**tree, "branch_scale": {"scale": jnp.array(3.0)}}, A, 1.0)
    np.testing.assert_allclose(actual, 4 * A)


NORMS = [normalization.BatchNorm, normalization.LayerNorm, normalization.NoNorm]


@pytest.mark.parametrize("order", [blocks.original, blocks.pre_activation])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "quiet",
    [{"init": initializers.zero_last}, {"branch_scale": blocks.learned_scale}],
    ids=["zero_last", "learned"],
)
def test_branches_that_start_at_zero_make_the_identity(order, norm, quiet):
    block = DenseBlock(4, parts=Parts(norm=norm, order=order, **quiet))
    a = jax.random.uniform(jax.random.key(0), (8, 4))  # not negative, as activations are
    variables = block.init(jax.random.key(1), a, jnp.ones(()))
    out, _ = block.apply(variables, a, jnp.ones(()), mutable=["statistics"])
    np.testing.assert_allclose(out, a, atol=1e-6)
    loud = DenseBlock(4, parts=Parts(norm=norm, order=order))
    out, _ = loud.apply(
        loud.init(jax.random.key(1), a, jnp.ones(())), a, jnp.ones(()), mutable=["statistics"]
    )
    assert not np.allclose(out, a, atol=0.1)


def test_both_orders_have_the_same_tree():
    def tree(order):
        return DenseBlock(4, parts=Parts(order=order)).init(jax.random.key(0), A, jnp.ones(()))

    original, pre = tree(blocks.original)["params"], tree(blocks.pre_activation)["params"]
    chex.assert_trees_all_equal_structs(original, pre)


def test_linear_layers_have_a_bias_only_without_normalisation():
    with_norm = DenseBlock(2).init(jax.random.key(0), A, jnp.ones(()))["params"]
    assert set(with_norm["linear_1"]) == {"kernel"}
    without = DenseBlock(2, parts=NO_NORM).init(jax.random.key(0), A, jnp.ones(()))["params"]
    assert set(without["linear_1"]) == {"kernel", "bias"}
