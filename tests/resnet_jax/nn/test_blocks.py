import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Block, Parts
from resnet_jax.nn import blocks, branches, initializers, orders
from resnet_jax.ops import normalization

NO_NORM = Parts(norm=normalization.NoNorm)
A = jnp.array([[1.0, 2.0]])
ONE = jnp.ones(())


def params(first, second, first_bias=(0.0, 0.0), second_bias=(0.0, 0.0)):
    return {
        "linear_1": {"kernel": jnp.array(first), "bias": jnp.array(first_bias)},
        "linear_2": {"kernel": jnp.array(second), "bias": jnp.array(second_bias)},
    }


def apply(block, tree, a, *weights):
    return block.apply({"params": tree}, a, *map(jnp.array, weights))


def shapes(block, a):
    variables = jax.eval_shape(block.init, jax.random.key(0), a, ONE)
    return jax.tree.map(jnp.shape, variables["params"])


@pytest.mark.parametrize(
    ("weight", "expected"),
    # z1 = [1+0, 2-5] = [1, -3] -> g -> [1, 0]; z2 = [3, -1] + [0, -2] = [3, -3]
    [(0.0, [[3.0, 0.0]]), (1.0, [[4.0, 0.0]]), (2.0, [[5.0, 1.0]])],
)
def test_the_lectures_block_by_hand(weight, expected):
    tree = params([[1.0, 0.0], [0.0, 1.0]], [[3.0, -1.0], [7.0, 7.0]], (0.0, -5.0), (0.0, -2.0))
    actual = apply(Block(2, parts=NO_NORM), tree, A, weight)
    np.testing.assert_allclose(actual, expected)


def test_pre_activation_by_hand():
    # g(a) = [1, 0]; times first = [1, -1] -> g -> [1, 0]; times second = [3, -1]; nothing after.
    tree = params([[1.0, -1.0], [9.0, 9.0]], [[3.0, -1.0], [7.0, 7.0]])
    block = Block(2, parts=dataclasses.replace(NO_NORM, order=orders.pre_activation))
    a = jnp.array([[1.0, -2.0]])
    np.testing.assert_allclose(apply(block, tree, a, 0.0), [[3.0, -1.0]])
    np.testing.assert_allclose(apply(block, tree, a, 1.0), [[4.0, -3.0]])


def test_a_narrower_input_is_zero_padded_on_the_shortcut():
    tree = {
        "linear_1": {"kernel": jnp.zeros((1, 2)), "bias": jnp.zeros(2)},
        "linear_2": {"kernel": jnp.zeros((2, 2)), "bias": jnp.array([1.0, 1.0])},
    }
    actual = apply(Block(2, parts=NO_NORM), tree, jnp.array([[5.0]]), 1.0)
    np.testing.assert_allclose(actual, [[6.0, 1.0]])


def test_the_branch_weight_multiplies_the_branch_alone():
    tree = params(np.eye(2), np.eye(2))
    np.testing.assert_allclose(apply(Block(2, parts=NO_NORM), tree, A, 1.0, 0.5), 1.5 * A)
    np.testing.assert_allclose(apply(Block(2, parts=NO_NORM), tree, A, 3.0, 0.0), 3 * A)
    np.testing.assert_allclose(apply(Block(2, parts=NO_NORM), tree, A, 3.0), 4 * A)


def test_a_learned_scale_begins_at_zero():
    block = Block(2, parts=dataclasses.replace(NO_NORM, branch=branches.learned))
    fresh = block.init(jax.random.key(0), A, ONE)["params"]
    chex.assert_shape(fresh["branch_scale"]["scale"], ())
    assert fresh["branch_scale"]["scale"] == 0
    tree = {**params(np.eye(2), np.eye(2)), "branch_scale": {"scale": jnp.array(3.0)}}
    np.testing.assert_allclose(apply(block, tree, A, 1.0), 4 * A)
    np.testing.assert_allclose(apply(block, tree, A, 1.0, 0.5), 2.5 * A)


def test_fixups_scalars_by_hand():
    """(a + 1) · 2 + 2, times 3, plus a: [1, 2] makes [6, 8], [18, 24], [19, 26]."""
    parts = Parts(norm=normalization.ScalarBias, branch=branches.fixup, init=initializers.fixup)
    block = Block(2, parts=parts)
    fresh = block.init(jax.random.key(0), A, ONE)["params"]
    scalars = {name: fresh[name] for name in fresh if "linear" not in name}
    zero = {"bias": jnp.zeros(())}
    expected = dict.fromkeys(("bias_1", "bias_2", "norm_1", "norm_2"), zero)
    expected["branch_scale"] = {"scale": jnp.ones(())}
    chex.assert_trees_all_equal(scalars, expected)
    assert {name: set(fresh[name]) for name in fresh if "linear" in name} == {
        "linear_1": {"kernel"},
        "linear_2": {"kernel"},
    }
    by_hand = scalars | {
        "linear_1": {"kernel": 2 * jnp.eye(2)},
        "linear_2": {"kernel": jnp.eye(2)},
        "bias_1": {"bias": ONE},
        "bias_2": {"bias": 2 * ONE},
        "branch_scale": {"scale": 3 * ONE},
    }
    np.testing.assert_allclose(apply(block, by_hand, A, 1.0), [[19, 26]])


NORMS = [normalization.BatchNorm, normalization.LayerNorm, normalization.NoNorm]


@pytest.mark.parametrize("order", [orders.original, orders.pre_activation])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "quiet",
    [{"init": initializers.zero_last}, {"branch": branches.learned}],
    ids=["zero_last", "learned"],
)
def test_branches_that_start_at_zero_make_the_identity(order, norm, quiet):
    block = Block(4, parts=Parts(norm=norm, order=order, **quiet))
    a = jax.random.uniform(jax.random.key(0), (8, 4))  # not negative, as activations are
    variables = block.init(jax.random.key(1), a, ONE)
    out, _ = block.apply(variables, a, ONE, mutable=["statistics"])
    np.testing.assert_allclose(out, a, atol=1e-6)
    loud = Block(4, parts=Parts(norm=norm, order=order))
    variables = loud.init(jax.random.key(1), a, ONE)
    out, _ = loud.apply(variables, a, ONE, mutable=["statistics"])
    assert not np.allclose(out, a, atol=0.1)


@pytest.mark.parametrize(
    ("order", "norm", "zeroed"),
    [
        (orders.original, normalization.BatchNorm, "norm_2"),
        (orders.activation_before_addition, normalization.BatchNorm, "norm_2"),
        (orders.activation_first, normalization.BatchNorm, "norm_2"),
        (orders.norm_after_addition, normalization.BatchNorm, "conv_2"),
        (orders.pre_activation, normalization.BatchNorm, "conv_2"),
        (orders.original, normalization.NoNorm, "conv_2"),
        (orders.original, normalization.ScalarBias, "conv_2"),
    ],
)
def test_zero_last_zeroes_the_last_operation_and_nothing_else(order, norm, zeroed):
    parts = Parts(norm=norm, order=order, init=initializers.zero_last)
    block = Block(2, parts=parts, layers=blocks.BASIC)
    fresh = block.init(jax.random.key(0), jnp.ones((1, 4, 4, 2)), ONE)["params"]
    weights = {
        name: leaf
        for name, leaves in fresh.items()
        for kind, leaf in leaves.items()
        if kind in ("kernel", "scale")
    }
    assert {name for name, leaf in weights.items() if not leaf.any()} == {zeroed}


def test_main_paths_have_the_kernels_of_figure_5():
    image = jax.ShapeDtypeStruct((1, 4, 4, 8), jnp.float32)

    def kernels(layers):
        tree = shapes(Block(16, stride=2, layers=layers), image)
        return [tree[f"conv_{index + 1}"]["kernel"] for index in range(len(layers))]

    assert kernels(blocks.BASIC) == [(3, 3, 8, 16), (3, 3, 16, 16)]
    narrow = [(1, 1, 8, 4), (3, 3, 4, 4), (1, 1, 4, 16)]
    assert kernels(blocks.BOTTLENECK) == kernels(blocks.BOTTLENECK_3X3) == narrow


@pytest.mark.parametrize(
    ("layers", "sides"),
    [(blocks.BASIC, [2, 2]), (blocks.BOTTLENECK, [2, 2, 2]), (blocks.BOTTLENECK_3X3, [4, 2, 2])],
)
def test_where_the_stride_is(layers, sides):
    block = Block(8, stride=2, layers=layers)

    def outputs(a):
        is_layer = lambda module, _: module.name is not None and module.name.startswith("conv")
        return block.init_with_output(
            jax.random.key(0), a, ONE, mutable=True, capture_intermediates=is_layer
        )

    image = jax.ShapeDtypeStruct((1, 4, 4, 8), jnp.float32)
    out, variables = jax.eval_shape(outputs, image)
    assert [leaf.shape[1] for leaf in jax.tree.leaves(variables["intermediates"])] == sides
    assert out.shape == (1, 2, 2, 8)


@pytest.mark.parametrize("image", [None, (4, 4)])
def test_layers_have_a_bias_only_without_normalisation(image):
    layers = blocks.BASIC if image else blocks.DENSE
    a = jax.ShapeDtypeStruct((1, *(image or ()), 2), jnp.float32)
    first = "conv_1" if image else "linear_1"
    for norm, expected in [
        (normalization.BatchNorm, {"kernel"}),
        (normalization.LayerNorm, {"kernel"}),
        (normalization.ScalarBias, {"kernel"}),
        (normalization.NoNorm, {"kernel", "bias"}),
    ]:
        assert set(shapes(Block(2, parts=Parts(norm=norm), layers=layers), a)[first]) == expected


def test_parts_print_what_differs_from_the_defaults():
    assert repr(Parts()) == "Parts()"
    changed = Parts(norm=normalization.LayerNorm, dtype=jnp.bfloat16)
    assert repr(changed) == "Parts(norm=LayerNorm, dtype=bfloat16)"
