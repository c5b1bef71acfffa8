import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Block, Parts, cifar_network, dense_network
from resnet_jax.nn import orders
from resnet_jax.nn.blocks import BASIC, BOTTLENECK
from resnet_jax.ops import normalization

ALL = {
    "original": orders.original,
    "norm_after_addition": orders.norm_after_addition,
    "activation_before_addition": orders.activation_before_addition,
    "activation_first": orders.activation_first,
    "pre_activation": orders.pre_activation,
}
ONE = jnp.ones(())

every_order = pytest.mark.parametrize("order", ALL.values(), ids=ALL)


def spelled(block, layers=2):
    """The block as an expression: L for linear, N for norm, g for the activation."""
    name = lambda letter, index: lambda z: f"{letter}{index}({z})"
    return block(
        "a",
        lambda a, z: f"[{a} + {z}]",
        [name("L", index + 1) for index in range(layers)],
        [name("N", index + 1) for index in range(layers)],
        lambda z: f"g({z})",
    )


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (orders.original.block, "g([a + N2(L2(g(N1(L1(a)))))])"),
        (orders.norm_after_addition.block, "g(N2([a + L2(g(N1(L1(a))))]))"),
        (orders.activation_before_addition.block, "[a + g(N2(L2(g(N1(L1(a))))))]"),
        (orders.activation_first.block, "[a + N2(L2(g(N1(L1(g(a))))))]"),
        (orders.activation_first.first, "[g(a) + N2(L2(g(N1(L1(g(a))))))]"),
        (orders.pre_activation.block, "[a + L2(g(N2(L1(g(N1(a))))))]"),
        (orders.pre_activation.first, "[g(N1(a)) + L2(g(N2(L1(g(N1(a))))))]"),
    ],
)
def test_the_five_panels_of_figure_4(block, expected):
    assert spelled(block) == expected


def test_three_layers_and_one():
    three = "[a + L3(g(N3(L2(g(N2(L1(g(N1(a)))))))))]"
    assert spelled(orders.pre_activation.block, 3) == three
    assert spelled(orders.original.block, 3) == "g([a + N3(L3(g(N2(L2(g(N1(L1(a))))))))])"
    assert spelled(orders.original.block, 1) == "g([a + N1(L1(a))])"
    assert spelled(orders.pre_activation.block, 1) == "[a + L1(g(N1(a)))]"


@pytest.mark.parametrize(
    ("order", "expected"),
    # From a = [1, -2], with L1 = diag(1, -1) and L2 = diag(-2, 1), no biases and no norms:
    [
        # L1 a = [1, 2], g the same, L2 makes [-2, 2]; the sum [-1, 0], and g: [0, 0]
        (orders.original, [0.0, 0.0]),
        (orders.norm_after_addition, [0.0, 0.0]),
        # the branch ends in g([-2, 2]) = [0, 2]
        (orders.activation_before_addition, [1.0, 0.0]),
        # g(a) = [1, 0]; L1 keeps it, and so does g; L2 makes [-2, 0]
        (orders.activation_first, [-1.0, -2.0]),
        (orders.pre_activation, [-1.0, -2.0]),
        # where the split follows g, the shortcut carries [1, 0]
        (orders.activation_first._replace(block=orders.activation_first.first), [-1.0, 0.0]),
        (orders.pre_activation._replace(block=orders.pre_activation.first), [-1.0, 0.0]),
    ],
)
def test_each_order_by_hand(order, expected):
    diagonal = lambda *entries: {"kernel": jnp.diag(jnp.array(entries)), "bias": jnp.zeros(2)}
    params = {"linear_1": diagonal(1.0, -1.0), "linear_2": diagonal(-2.0, 1.0)}
    block = Block(2, parts=Parts(norm=normalization.NoNorm, order=order))
    actual = block.apply({"params": params}, jnp.array([[1.0, -2.0]]), ONE)
    np.testing.assert_allclose(actual, [expected])


@every_order
def test_what_the_stem_lacks_the_head_has(order):
    """Without blocks all orders are one network: norm and activation between stem and head."""
    x = jax.random.normal(jax.random.key(0), (8, 3))

    def logits(order):
        module = dense_network(2, 4, 3, Parts(order=order))
        params = module.init(jax.random.key(1), x, ONE)["params"]
        norms = {"stem_norm", "head_norm"} & set(params)
        assert norms == {"stem_norm" if order.stem_norm else "head_norm"}
        return module.apply({"params": params}, x, ONE, mutable=["statistics"])[0]

    np.testing.assert_array_equal(logits(order), logits(orders.original))
    assert np.ptp(np.asarray(logits(order))) > 0.1


@every_order
@pytest.mark.parametrize("layers", [2, 3])
def test_all_orders_have_one_tree(order, layers):
    """As many norms as layers, of the width that each normalises."""
    a = jax.ShapeDtypeStruct((2, 4, 4, 8), jnp.float32)
    block = Block(8, parts=Parts(order=order), layers=BASIC if layers == 2 else BOTTLENECK)
    params = jax.eval_shape(block.init, jax.random.key(0), a, ONE)["params"]
    assert {name for name in params if "norm" in name} == {f"norm_{i + 1}" for i in range(layers)}
    inner, widths = 8 // (1 if layers == 2 else 4), {}
    for index in range(1, layers + 1):
        widths[f"conv_{index}"] = inner if index < layers else 8
    assert {name: params[name]["kernel"].shape[-1] for name in widths} == widths
    if order is orders.pre_activation:  # each norm precedes its layer
        entering = [8] + [inner] * (layers - 1)
    else:
        entering = [inner] * (layers - 1) + [8]
    assert [params[f"norm_{i + 1}"]["scale"].shape[0] for i in range(layers)] == entering


@pytest.mark.parametrize("order", [orders.activation_first, orders.pre_activation])
def test_only_convolutional_networks_have_a_first_block_of_another_kind(order):
    x = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)

    def stages(module):
        params = jax.eval_shape(module.init, jax.random.key(0), x, ONE)["params"]
        return {name: set(params[name]) for name in params if name.startswith("stage")}

    both = {"first", "stack"}
    convolutional = cifar_network(14, 3, Parts(order=order), width=4)
    assert stages(convolutional) == {"stage_1": both, "stage_2": both, "stage_3": both}
    assert stages(dense_network(6, 4, 3, Parts(order=order))) == {"stage_1": {"stack"}}
    plain = dataclasses.replace(convolutional, parts=Parts(order=orders.original))
    assert stages(plain) == {"stage_1": {"stack"}, "stage_2": both, "stage_3": both}
