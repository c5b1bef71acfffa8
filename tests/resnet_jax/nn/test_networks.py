import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Block, Parts, ResidualNetwork, cifar_network, count_layers, dense_network
from resnet_jax.nn import branches, initializers, networks, orders, shortcuts
from resnet_jax.nn.blocks import NOISE
from resnet_jax.nn.networks import Stem
from resnet_jax.ops import normalization

X = jax.random.normal(jax.random.key(7), (5, 6))
ONE, ZERO = jnp.ones(()), jnp.zeros(())
NO_NORM = Parts(norm=normalization.NoNorm)


def shapes(module, x=X):
    return jax.eval_shape(module.init, jax.random.key(0), x, ONE)["params"]


def test_the_lectures_five_blocks_by_hand():
    """Stem and head are identities; every block has first = 1, second = diag(1, -1), biases 0.

    Residual: [1, 2] -> z = [1, -2] -> g([2, 0]) = [2, 0] -> [4, 0] -> [8, 0] -> [16, 0] -> [32, 0].
    Plain: [1, 2] -> g([1, -2]) = [1, 0], and so it stays.
    """
    module = dense_network(12, 2, 2, NO_NORM)
    eye, none = jnp.eye(2), jnp.zeros(2)
    stack = {
        "linear_1": {"kernel": jnp.stack([eye] * 5), "bias": jnp.zeros((5, 2))},
        "linear_2": {"kernel": jnp.stack([jnp.diag(jnp.array([1.0, -1.0]))] * 5)}
        | {"bias": jnp.zeros((5, 2))},
    }
    params = {
        "stem": {"kernel": eye, "bias": none},
        "stage_1": {"stack": stack},
        "head": {"kernel": eye, "bias": none},
    }
    x = jnp.array([[1.0, 2.0]])
    assert count_layers(params) == 12
    np.testing.assert_allclose(module.apply({"params": params}, x, ONE), [[32.0, 0.0]])
    np.testing.assert_allclose(module.apply({"params": params}, x, ZERO), [[1.0, 0.0]])


@pytest.mark.parametrize("order", [orders.original, orders.pre_activation])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_scan_equals_a_loop_over_blocks(order, weight):
    parts = Parts(order=order)
    module = dense_network(10, 4, 3, parts)
    params = module.init(jax.random.key(0), X, ONE)["params"]
    weight = jnp.array(weight)
    expected = X @ params["stem"]["kernel"]

    def activate(name, a):
        norm = normalization.BatchNorm()
        y, _ = norm.apply({"params": params[name]}, a, mutable=["statistics"])
        return jax.nn.relu(y)

    if order.stem_norm:
        expected = activate("stem_norm", expected)
    for index in range(4):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], params["stage_1"]["stack"])
        block = Block(4, parts=parts)
        expected, _ = block.apply({"params": layer}, expected, weight, mutable=["statistics"])
    if not order.stem_norm:
        expected = activate("head_norm", expected)
    expected = expected @ params["head"]["kernel"] + params["head"]["bias"][None]
    actual, _ = module.apply({"params": params}, X, weight, mutable=["statistics"])
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def conv(params, a, stride=1):
    """A 3x3 convolution as JAX has it."""
    layout = ("NHWC", "HWIO", "NHWC")
    strides = (stride, stride)
    margin = [(1, 1)] * 2
    return jax.lax.conv_general_dilated(
        a, params["kernel"], strides, margin, dimension_numbers=layout
    )


def norm_and_activation(params, a, activation=jax.nn.relu):
    """Textbook batch normalisation of images, then the activation."""
    mean, variance = (f((0, 1, 2), keepdims=True) for f in (a.mean, a.var))
    scale, bias = (params[name].reshape(1, 1, 1, -1) for name in ("scale", "bias"))
    return activation((a - mean) / jnp.sqrt(variance + 1e-5) * scale + bias)


def carried(a, stride, width):
    a = a[:, ::stride, ::stride]
    return jnp.pad(a, [(0, 0)] * 3 + [(0, width - a.shape[-1])])


def lectures_block(params, a, weight, stride, is_first):
    del is_first
    z = norm_and_activation(params["norm_1"], conv(params["conv_1"], a, stride))
    z = norm_and_activation(params["norm_2"], conv(params["conv_2"], z), lambda z: z)
    return jax.nn.relu(weight * carried(a, stride, z.shape[-1]) + z)


def pre_activation_block(params, a, weight, stride, is_first):
    activated = norm_and_activation(params["norm_1"], a)
    z = norm_and_activation(params["norm_2"], conv(params["conv_1"], activated, stride))
    z = conv(params["conv_2"], z)
    return weight * carried(activated if is_first else a, stride, z.shape[-1]) + z


def cifar_by_hand(params, x, weight, block):
    """Every block written out, as a list of layers would have it."""
    a = conv(params["stem"], x)
    if "stem_norm" in params:
        a = norm_and_activation(params["stem_norm"], a)
    for index in (1, 2, 3):
        stage = params[f"stage_{index}"]
        stride = 1 + (index > 1)
        if "first" in stage:
            a, stride = block(stage["first"], a, weight, stride, True), 1
        for position in range(len(stage["stack"]["conv_1"]["kernel"])):
            layer = jax.tree.map(lambda leaf, at=position: leaf[at], stage["stack"])
            a = block(layer, a, weight, stride, False)
    if "head_norm" in params:
        a = norm_and_activation(params["head_norm"], a)
    return a.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"][None]


@pytest.mark.parametrize(
    ("order", "block"),
    [(orders.original, lectures_block), (orders.pre_activation, pre_activation_block)],
)
def test_a_cifar_network_equals_its_blocks_written_out(float64, order, block):
    module = cifar_network(14, 3, Parts(order=order), width=2)
    x = jnp.array(np.random.RandomState(0).randn(3, 8, 8, 3))
    random = np.random.RandomState(1)
    params = jax.tree.map(lambda leaf: random.randn(*leaf.shape), shapes(module, x))
    run = jax.jit(lambda w: module.apply({"params": params}, x, w, mutable=["statistics"])[0])
    by_hand = jax.jit(lambda w: cifar_by_hand(params, x, w, block))
    for weight in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(run(jnp.array(weight)), by_hand(jnp.array(weight)), rtol=1e-8)


@pytest.mark.parametrize(
    ("make", "x", "depth"),
    [
        (lambda parts: dense_network(8, 4, 3, parts), X, 8),
        (lambda parts: cifar_network(20, 3, parts, width=2), jnp.ones((1, 4, 4)), 20),
    ],
    ids=["dense", "cifar"],
)
def test_every_weight_starts_from_a_key_of_its_own(make, x, depth):
    """Shown by weights that are their own keys: no two layers, and no two blocks, share one."""
    own_key = lambda key, shape, _=None: jnp.full(shape, jax.random.key_data(key)[1] / 2.0**32)
    module = make(Parts(init=initializers.Init(own_key)))
    params = jax.jit(module.init)(jax.random.key(0), x, ONE)["params"]
    kernels = [
        leaf if "stack" in [entry.key for entry in path] else leaf[None]
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if path[-1].key == "kernel"
    ]
    keys = np.concatenate([each.reshape(len(each), -1).max(1) for each in kernels])
    assert len(np.unique(keys)) == len(keys) == depth


def test_stages_may_widen_and_narrow():
    module = dense_network(14, (4, 8, 2), 3)
    tree = shapes(module)
    assert count_layers(tree) == 14
    assert tree["stage_2"]["first"]["linear_1"]["kernel"].shape == (4, 8)
    assert tree["stage_3"]["stack"]["linear_2"]["kernel"].shape == (1, 2, 2)
    apply = lambda params: module.apply({"params": params}, X, ONE, mutable=["statistics"])[0]
    assert jax.eval_shape(apply, tree).shape == (5, 3)


def test_dense_networks_flatten_images():
    module = dense_network(4, 4, 3)
    images = X.reshape(5, 2, 3)
    params = module.init(jax.random.key(0), images, ONE)
    np.testing.assert_array_equal(
        module.apply(params, images, ONE, mutable=["statistics"])[0],
        module.apply(params, X, ONE, mutable=["statistics"])[0],
    )


def test_convolutional_ones_give_grey_images_a_channel():
    module = ResidualNetwork(Stem(4, 3), [], 3)
    images = jax.random.normal(jax.random.key(0), (5, 4, 4))
    params = module.init(jax.random.key(0), images, ONE)
    assert params["params"]["stem"]["kernel"].shape == (3, 3, 1, 4)
    np.testing.assert_array_equal(
        module.apply(params, images, ONE, mutable=["statistics"])[0],
        module.apply(params, images[..., None], ONE, mutable=["statistics"])[0],
    )


def test_pooling_by_hand():
    """Maxima of 3x3 about every other pixel of 1 ... 16: 6, 8, 14, 16, of mean 11."""
    module = ResidualNetwork(Stem(1, 1, pool=True), [], 1, NO_NORM)
    image = jnp.arange(1.0, 17).reshape(1, 4, 4, 1)
    one = lambda *shape: {"kernel": jnp.ones(shape), "bias": jnp.zeros(1)}
    params = {"stem": one(1, 1, 1, 1), "head": one(1, 1)}
    np.testing.assert_allclose(module.apply({"params": params}, image, ONE), [[11.0]])


def unit_network(rule, shortcut=shortcuts.identity):
    """Four blocks of one unit, in two stages that widen to two; all weights are 1, biases 0.

    A block of branch weight b makes a into (1 + b) a, and what the widening adds stays 0.
    """
    parts = Parts(norm=normalization.NoNorm, branch=rule, shortcut=shortcut)
    module = dense_network(10, (1, 2), 2, parts)
    tree = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes(module, jnp.ones((1, 1))))
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if path[-1].key == "kernel":
            parent = tree
            for entry in path[:-1]:
                parent = parent[entry.key]
            parent["kernel"] = jnp.broadcast_to(jnp.eye(*leaf.shape[-2:]), leaf.shape)
    run = lambda rngs=None: module.apply({"params": tree}, jnp.ones((1, 1)), ONE, rngs=rngs)
    return jax.jit(run)


def test_branch_weights_reach_their_blocks_in_turn():
    rule = branches.BranchRule(lambda blocks, key: jnp.arange(1.0, blocks + 1))
    np.testing.assert_allclose(unit_network(rule)(), [[2 * 3 * 4 * 5, 0]])
    np.testing.assert_allclose(unit_network(branches.unit)(), [[2**4, 0]])
    np.testing.assert_allclose(unit_network(branches.inverse_sqrt)(), [[1.5**4, 0]])


def test_what_lies_inside_the_stages():
    module = dense_network(10, (1, 2), 2)
    params = shapes(module, jnp.ones((1, 1)))
    inside = networks.inside_stages(params)
    assert jax.tree.structure(inside) == jax.tree.structure(params)
    for path, value in jax.tree_util.tree_leaves_with_path(inside):
        assert value == (path[0].key in ("stage_1", "stage_2"))
    assert {"stem", "head"} < set(params)


def test_chance_acts_with_a_generator_and_is_expected_without():
    run = unit_network(branches.stochastic_depth(0.5))
    np.testing.assert_allclose(run(), [[1.875 * 1.75 * 1.625 * 1.5, 0]], rtol=1e-6)
    drawn = [float(run({NOISE: jax.random.key(seed)})[0, 0]) for seed in range(20)]
    assert set(drawn) <= {2.0**survivors for survivors in range(5)}
    assert len(set(drawn)) > 2
    assert float(run({NOISE: jax.random.key(0)})[0, 0]) == drawn[0]
