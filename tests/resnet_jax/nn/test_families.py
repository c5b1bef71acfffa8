import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from resnet_jax import Block, Parts, cifar_network, count_layers, dense_network, imagenet_network
from resnet_jax.nn import families, shortcuts
from resnet_jax.nn.blocks import BOTTLENECK
from resnet_jax.nn.networks import StageShape, Stem


def shapes(module, *image):
    x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    return jax.eval_shape(module.init, jax.random.key(0), x, jnp.ones(()))["params"]


@pytest.mark.parametrize("depth", [2, 4, 20, 110, 1000, 10_000])
def test_depth_is_counted_from_the_tree(depth):
    assert count_layers(shapes(dense_network(depth, 4, 3), 6)) == depth


@pytest.mark.parametrize("depth", [2, 8, 14, 110, 1202, 60_002])
def test_so_is_that_of_cifar_networks(depth):
    assert count_layers(shapes(cifar_network(depth, 3, width=2), 4, 4, 3)) == depth


@pytest.mark.parametrize(
    "make",
    [
        *(lambda depth=depth: dense_network(depth, 4, 3) for depth in (5, 1, 0, -2)),
        lambda: dense_network(8, (4, 8), 3),
        *(lambda depth=depth: cifar_network(depth, 3) for depth in (18, 21, 1, -4)),
        *(lambda depth=depth: cifar_network(depth, 3, layers=BOTTLENECK) for depth in (18, 21)),
        *(lambda depth=depth: imagenet_network(depth, 3) for depth in (20, 50, 2)),
        *(lambda depth=depth: imagenet_network(depth, 3, layers=BOTTLENECK) for depth in (18, 56)),
    ],
)
def test_depths_of_another_form_are_refused(make):
    with pytest.raises(ValueError, match="layers"):
        make()


def test_cifar_stages():
    """He et al. 2015, section 4.2: 16, 32 and 64 filters; widths multiply stages, not the stem."""
    network = cifar_network(20, 10)
    assert network.stem == Stem(16, 3)
    assert list(network.stages) == [StageShape(16, 3), StageShape(32, 3, 2), StageShape(64, 3, 2)]
    network = cifar_network(29, 10, layers=BOTTLENECK, width=8, width_factor=3)
    assert network.stem == Stem(8, 3)
    assert list(network.stages) == [StageShape(96, 3), StageShape(192, 3, 2), StageShape(384, 3, 2)]


def test_imagenet_stages():
    """He et al. 2015, table 1."""
    network = imagenet_network(34, 10)
    assert network.stem == Stem(64, 7, 2, pool=True)
    assert list(network.stages) == [
        StageShape(64, 3),
        StageShape(128, 4, 2),
        StageShape(256, 6, 2),
        StageShape(512, 3, 2),
    ]
    network = imagenet_network(152, 10, layers=BOTTLENECK, width=8, width_factor=2)
    assert network.stem.width == 8
    assert [tuple(stage) for stage in network.stages] == [
        (64, 3, 1),
        (128, 8, 2),
        (256, 36, 2),
        (512, 3, 2),
    ]
    assert imagenet_network(18, 10, small_images=True).stem == Stem(64, 3)


def sides(module, side):
    """Height of what leaves the stem and each stage, in the order of their names."""
    x = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    seen = lambda module, _: str(module.name).startswith("st") and module.name != "stack"
    run = lambda x: module.init_with_output(
        jax.random.key(0), x, jnp.ones(()), mutable=True, capture_intermediates=seen
    )
    logits, variables = jax.eval_shape(run, x)
    outputs = {
        path[0].key: leaf.shape[1]
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables["intermediates"])
    }
    del outputs["stem_norm"]
    assert logits.shape == (2, 7)
    return [outputs[name] for name in sorted(outputs, key=lambda name: (name != "stem", name))]


@pytest.mark.parametrize(
    ("module", "side", "expected"),
    [
        (cifar_network(8, 7, width=2), 32, [32, 32, 16, 8]),
        (cifar_network(8, 7, width=2), 8, [8, 8, 4, 2]),
        (cifar_network(11, 7, layers=BOTTLENECK, width=4), 5, [5, 5, 3, 2]),
        # 7x7 convolution to 112, pooling to 56
        (imagenet_network(18, 7, width=2), 224, [112, 56, 28, 14, 7]),
        (imagenet_network(18, 7, width=2, small_images=True), 32, [32, 32, 16, 8, 4]),
    ],
)
def test_each_stage_but_the_first_halves_the_image(module, side, expected):
    assert sides(module, side) == expected


def test_a_bottlenecks_first_stage_widens_without_a_stride():
    """Its stem has 16 channels and its blocks 64: option A pads, and B projects, there as well."""
    params = shapes(cifar_network(11, 10, layers=BOTTLENECK), 8, 8, 3)
    assert set(params["stage_1"]) == {"first"}
    assert params["stage_1"]["first"]["conv_1"]["kernel"].shape == (1, 1, 16, 16)
    assert params["stage_1"]["first"]["conv_3"]["kernel"].shape == (1, 1, 16, 64)
    parts = Parts(shortcut=shortcuts.projection_where_needed)
    params = shapes(cifar_network(11, 10, parts, BOTTLENECK), 8, 8, 3)
    assert params["stage_1"]["first"]["shortcut"]["kernel"].shape == (1, 1, 16, 64)


class Three(nn.Module):
    """A block of one's own: three layers, and a stride."""

    width: int
    blocks: int
    parts: Parts
    stride: int = 1

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight=1.0):
        size = None if a.ndim == 2 else 3
        z = self.parts.layer(self.width, size, self.stride, name="a")(a)
        for name in "bc":
            z = self.parts.layer(self.width, size, name=name)(z)
        carried, _ = shortcuts.identity(a, self.width, self.stride, self.parts)
        return self.parts.activation(branch_weight * z + shortcut_weight * carried)


def test_blocks_of_ones_own():
    module = dense_network(11, 4, 3, block=Three, layers_per_block=3)
    assert count_layers(shapes(module, 6)) == 11
    module = cifar_network(20, 3, width=2, block=Three, layers_per_block=3)
    assert count_layers(shapes(module, 4, 4, 3)) == 20
    assert [stage.width for stage in module.stages] == [2, 4, 8]
    with pytest.raises(ValueError, match="3 layers a block"):
        cifar_network(14, 3, block=Three, layers_per_block=3)


def test_blocks_of_given_layers():
    block = families.blocks_of(BOTTLENECK)(width=8, parts=Parts(), name="it")
    assert isinstance(block, Block) and block.layers is BOTTLENECK and block.width == 8
