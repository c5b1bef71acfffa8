import jax
import jax.numpy as jnp
import pytest

from resnet_jax import (
    Parts,
    ResidualNetwork,
    cifar_network,
    count,
    count_layers,
    dense_network,
    imagenet_network,
)
from resnet_jax.nn import orders, shortcuts
from resnet_jax.nn.blocks import BASIC, BOTTLENECK, BOTTLENECK_3X3
from resnet_jax.nn.counting import Counts, each_layer
from resnet_jax.nn.families import blocks_of
from resnet_jax.nn.networks import StageShape, Stem
from resnet_jax.ops import normalization

PROJECTED = Parts(shortcut=shortcuts.projection_where_needed)
PRE_ACTIVATION = Parts(shortcut=shortcuts.projection_where_needed, order=orders.pre_activation)


def images(side, count=1):
    return jax.ShapeDtypeStruct((count, side, side, 3), jnp.float32)


def test_a_dense_network_by_hand():
    """Stem 6·4, two blocks of two 4·4, head 4·3, all with biases."""
    x = jax.ShapeDtypeStruct((2, 6), jnp.float32)
    module = dense_network(6, 4, 3, Parts(norm=normalization.NoNorm))
    parameters = (24 + 4) + 4 * (16 + 4) + (12 + 3)
    assert count(module, x) == Counts(6, parameters, 24 + 4 * 16 + 12, 5 * 4 + 3, 4)


def test_a_layer_is_no_stack_for_its_name(own_block):
    """Two stages of two blocks of two layers, of whose weights those of layers are counted."""
    x = jax.ShapeDtypeStruct((2, 6), jnp.float32)
    counted = count(dense_network(10, (4, 6), 3, block=own_block), x)
    weights = 24 + 4 * 16 + 2 * 36 + 24 + 36 + 18  # the first block of the second stage widens
    assert (counted.layers, counted.multiply_adds) == (10, weights)
    assert counted.activations == 5 * 4 + 4 * 6 + 3


def test_a_convolutional_network_by_hand():
    """2x2 images of 3 channels, the stem at 2 channels, a block with a stride and a projection.

    Stem: 3x3·3·2 = 54 at 4 pixels.  Block at one pixel: 3x3·2·5 = 90, 3x3·5·5 = 225, and 2·5 = 10
    on its shortcut; head 5·7 = 35.  Norms have a scale and a bias: stem 2·2, block 3 · 2·5.
    """
    module = ResidualNetwork(Stem(2, 3), [StageShape(5, 1, 2)], 7, PROJECTED, blocks_of(BASIC))
    counted = count(module, images(2, count=4))
    assert counted.layers == 4
    assert counted.parameters == 54 + 4 + 90 + 225 + 10 + 30 + 35 + 7
    assert counted.multiply_adds == 4 * 54 + 90 + 225 + 10 + 35
    assert counted.activations == 4 * 2 + 5 + 5 + 5 + 7


def test_each_layer_in_its_place():
    module = cifar_network(14, 10, width=2)
    layers = each_layer(module, images(8, count=2))
    assert [layer.name for layer in (layers[0], layers[-1])] == [("stem",), ("head",)]
    found = {layer.name: layer for layer in layers}
    assert len(found) == len(layers) == 2 + 2 + 4 + 4  # stem, head; the first stage has no first
    stacked = found["stage_3", "stack", "conv_2"]
    assert stacked.layers == 1 and stacked.kernel == (3, 3, 8, 8) and stacked.output == (2, 2, 8)
    deeper = found["stage_1", "stack", "conv_1"]
    assert deeper.layers == 2 and deeper.kernel == (3, 3, 2, 2) and deeper.output == (8, 8, 2)
    assert deeper.multiply_adds == 2 * 64 * 9 * 2 * 2
    assert found["stage_2", "first", "conv_1"].multiply_adds == 16 * 9 * 2 * 4
    assert sum(layer.layers for layer in layers) == 14


@pytest.mark.parametrize("n", [3, 5, 7, 9, 18, 200])
def test_the_cifar_networks_of_he_et_al_2015(n):
    """0.27M, 0.46M, 0.66M, 0.85M, 1.7M and 19.4M parameters (table 6), here exactly."""
    counted = count(cifar_network(6 * n + 2, 10), images(32))
    exact = (6 * n + 2, 97216 * n - 21926, 14155776 * n - 1916288)
    assert counted[:3] == exact
    printed = {3: 0.27, 5: 0.46, 7: 0.66, 9: 0.85, 18: 1.7, 200: 19.4}[n]
    assert counted.parameters / 1e6 == pytest.approx(printed, abs=0.005 if n < 10 else 0.05)


@pytest.mark.parametrize(
    ("depth", "parts", "layers", "parameters", "multiply_adds"),
    [
        (18, PROJECTED, BASIC, 11_689_512, 1_814_073_344),
        (34, PROJECTED, BASIC, 21_797_672, 3_663_761_408),
        (50, PROJECTED, BOTTLENECK, 25_557_032, 3_857_973_248),
        (50, PROJECTED, BOTTLENECK_3X3, 25_557_032, 4_089_184_256),
        (101, PROJECTED, BOTTLENECK, 44_549_160, 7_570_194_432),
        (152, PROJECTED, BOTTLENECK, 60_192_808, 11_282_415_616),
        # without projections: the plain networks, and the residual ones with option A
        (18, Parts(), BASIC, 11_515_688, 1_794_805_760),
        (34, Parts(), BASIC, 21_623_848, 3_644_493_824),
    ],
)
def test_the_imagenet_networks_of_he_et_al_2015(depth, parts, layers, parameters, multiply_adds):
    counted = count(imagenet_network(depth, 1000, parts, layers), images(224))
    assert counted[:3] == (depth, parameters, multiply_adds)


@pytest.mark.parametrize(
    ("depth", "layers", "factor", "parameters"),
    [
        (26, BASIC, 10, 36_479_194),  # WRN-28-10: 25 convolutions and 3 projections
        (164, BOTTLENECK, 1, 1_703_258),
        (1001, BOTTLENECK, 1, 10_327_706),
    ],
)
def test_wide_and_pre_activation_networks(depth, layers, factor, parameters):
    module = cifar_network(depth, 10, PRE_ACTIVATION, layers, width_factor=factor)
    assert count(module, images(32))[:2] == (depth, parameters)


@pytest.mark.parametrize(
    ("shortcut", "extra"),
    [
        (shortcuts.projection, 9 + 2),  # a kernel a block, and its norm's scale and bias
        (shortcuts.exclusive_gate(-6.0), 9 + 1),  # a kernel a block, and its bias
        (shortcuts.shortcut_gate(-6.0), 9 + 1),
        (shortcuts.dropout(0.5), 0),
    ],
)
def test_what_lies_on_shortcuts_is_no_layer(shortcut, extra):
    x = jax.ShapeDtypeStruct((1, 6), jnp.float32)
    plain = count(dense_network(8, 9, 3), x)
    other = count(dense_network(8, 9, 3, Parts(shortcut=shortcut)), x)
    assert other.layers == plain.layers == 8
    assert other.parameters - plain.parameters == 3 * 9 * extra
    assert other.multiply_adds - plain.multiply_adds == (3 * 81 if extra else 0)


def test_layers_are_counted_from_arrays_as_from_shapes():
    module, x = cifar_network(14, 3, width=2), jnp.ones((1, 4, 4, 3))
    shapes = jax.eval_shape(module.init, jax.random.key(0), x, jnp.ones(()))["params"]
    assert count_layers(shapes) == 14
    assert count_layers(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)) == 14
