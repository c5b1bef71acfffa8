import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from resnet_jax import Parts, cifar_network, dense_network, from_linen
from resnet_jax.diagnostics import interventions, lesions
from resnet_jax.nn import orders, shortcuts
from resnet_jax.nn.blocks import BASIC
from resnet_jax.nn.families import blocks_of
from resnet_jax.nn.networks import ResidualNetwork, StageShape, Stem

pytestmark = pytest.mark.slow  # many networks are compiled

X = jax.random.normal(jax.random.key(7), (5, 6))
IMAGES = jax.random.normal(jax.random.key(8), (3, 4, 4))
ONE, ZERO = jnp.ones(()), jnp.zeros(())


def trained(module, x, weight):
    """A network, where its blocks lie, its parameters, and statistics of the batch."""
    params = module.init(jax.random.key(0), x, ONE)["params"]
    _, statistics = from_linen(module).forward(params, x, weight, None)
    return interventions.places(module, params, x), params, statistics


def without(tree, index):
    """Of a dense network's single stack of three, variables with the block cut out."""
    left = jnp.arange(2) + (jnp.arange(2) >= index)
    return tree | {"stage_1": {"stack": jax.tree.map(lambda leaf: leaf[left], stack_of(tree))}}


def broken_at(tree, index):
    """The same variables with NaN for all of the block's."""
    stack = jax.tree.map(lambda leaf: leaf.at[index].set(jnp.nan), stack_of(tree))
    return tree | {"stage_1": {"stack": stack}}


def stack_of(tree):
    return tree["stage_1"]["stack"]


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({}, False),
        ({"order": orders.pre_activation}, False),
        ({"order": orders.norm_after_addition}, False),
        ({"shortcut": shortcuts.exclusive_gate(-1.0)}, False),
        ({"shortcut": shortcuts.projection}, False),
        ({"order": orders.pre_activation, "activation": jnp.tanh}, True),
    ],
    ids=["original", "pre-activation", "norm after addition", "gated", "projected", "own"],
)
def test_a_network_without_a_block_is_one_with_a_block_less(own_block, changes, own):
    """Held to a shallower network, from whose variables those of the block are cut.

    What is in the block has no say, even where nothing in it is a number.
    """
    block = {"block": own_block} if own else {}
    make = lambda depth: dense_network(depth, 4, 3, Parts(**changes), **block)
    deep, shallow = make(8), from_linen(make(6))

    @jax.jit
    def both(weight, index):
        where, params, statistics = trained(deep, X, weight)
        lesioned = lesions.remove(deep, where, jnp.arange(3) != index)
        cut, broken = without(params, index), broken_at(params, index)
        held = lesioned.predict(broken, statistics, X, weight)
        anew, _ = lesioned.forward(broken, X, weight, None)  # normalises by its own batch
        expected = shallow.predict(cut, without(statistics, index), X, weight)
        return (held, anew), (expected, shallow.forward(cut, X, weight, None)[0])

    for weight in (ZERO, ONE):
        for index in range(3):
            for actual, expected in zip(*both(weight, jnp.array(index)), strict=True):
                np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_whole_network_is_what_it_was_to_the_bit():
    module = dense_network(8, 4, 3)

    @jax.jit
    def both():
        where, params, statistics = trained(module, X, ONE)
        lesioned = lesions.remove(module, where, jnp.ones(3, bool))
        networks = lesioned, from_linen(module)
        return [network.predict(params, statistics, X, ONE) for network in networks]

    np.testing.assert_array_equal(*both())


def stem_by_hand(params, statistics, images):
    """A convolution as JAX has it, then normalisation by the statistics given, and ReLU."""
    z = jax.lax.conv_general_dilated(
        images[..., None],
        params["stem"]["kernel"],
        (1, 1),
        [(1, 1)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    of = {**statistics["stem_norm"], **params["stem_norm"]}
    mean, variance, scale, bias = (
        of[name].reshape(1, 1, 1, -1) for name in ("mean", "variance", "scale", "bias")
    )
    return jax.nn.relu((z - mean) / jnp.sqrt(variance + 1e-5) * scale + bias)


def test_removed_blocks_that_change_the_shape_leave_their_zero_padding():
    """Without any branch a network is its stem, every fourth pixel of it, zeros, and the head."""
    module = cifar_network(8, 3, width=2)

    @jax.jit
    def both(weight):
        where, params, statistics = trained(module, IMAGES, weight)
        assert [place[1:] for place in where] == [(0, 1), (1, 1), (2, 1)]
        lesioned = lesions.remove(module, where, jnp.zeros(3, bool))
        a = stem_by_hand(params, statistics, IMAGES)[:, ::4, ::4].mean((1, 2))
        head = params["head"]
        expected = jnp.pad(a, [(0, 0), (0, 6)]) @ head["kernel"] + head["bias"][None]
        return lesioned.predict(params, statistics, IMAGES, weight), expected

    for weight in (ZERO, ONE):
        np.testing.assert_allclose(*both(weight), rtol=1e-5, atol=1e-6)


def test_so_do_first_blocks_whose_split_follows_an_activation():
    """In pre-activation the first of convolutional blocks is another; none of two is left."""
    parts, block = Parts(order=orders.pre_activation), blocks_of(BASIC)
    make = lambda blocks: ResidualNetwork(Stem(2, 3), [StageShape(2, blocks)], 3, parts, block)
    deep, empty = make(2), from_linen(make(0))

    @jax.jit
    def both():
        where, params, statistics = trained(deep, IMAGES, ONE)
        assert [place.path[-1] for place in where] == ["first", "stack"]
        lesioned = lesions.remove(deep, where, jnp.zeros(2, bool))
        expected = empty.predict(params, statistics, IMAGES, ONE)
        return lesioned.predict(params, statistics, IMAGES, ONE), expected

    np.testing.assert_array_equal(*both())


def test_blocks_are_reordered_in_parameters_and_statistics():
    """By hand: the values of the second stage's blocks change places, and nothing else moves."""
    where = [
        interventions.Place(("stage_1", "stack"), 0, 2),
        interventions.Place(("stage_2", "first"), 2, 1),
        interventions.Place(("stage_2", "stack"), 3, 3),
    ]
    tree = {
        "stem": {"kernel": jnp.ones(2)},
        "stage_1": {"stack": {"kernel": jnp.array([10.0, 11.0])}},
        "stage_2": {"first": {"kernel": jnp.ones(3)}, "stack": {"kernel": jnp.arange(20.0, 23)}},
    }
    moved = lesions.reorder(tree, where, jnp.array([0, 1, 2, 4, 5, 3]))
    np.testing.assert_array_equal(moved["stage_2"]["stack"]["kernel"], [21, 22, 20])
    np.testing.assert_array_equal(moved["stage_1"]["stack"]["kernel"], [10, 11])
    assert moved["stage_2"]["first"] is tree["stage_2"]["first"]
    assert lesions.reorder({}, where, jnp.arange(6)) == {}  # as where nothing is normalised


def test_random_removals_take_as_many_as_they_are_asked_for():
    draw = jax.jit(lesions.random_removals, static_argnums=2)
    kept = draw(jax.random.key(0), np.array([0, 1, 3, 3, 3, 5]), 5)
    np.testing.assert_array_equal((~kept).sum(1), [0, 1, 3, 3, 3, 5])
    assert len(np.unique(kept[2:5], axis=0)) > 1


def test_random_swaps_stay_in_their_stacks():
    sizes = [(("stage_1", "stack"), 4), (("stage_2", "first"), 1), (("stage_2", "stack"), 3)]
    where = [
        interventions.Place(path, start, blocks)
        for (path, blocks), start in zip(sizes, (0, 4, 5), strict=True)
    ]
    counts = np.repeat([0, 1, 6], 10)
    orders = np.asarray(jax.jit(lambda: lesions.random_swaps(jax.random.key(0), counts, where))())
    np.testing.assert_array_equal(np.sort(orders[:, :4]), np.tile(np.arange(4), (30, 1)))
    np.testing.assert_array_equal(np.sort(orders[:, 5:]), np.tile(np.arange(5, 8), (30, 1)))
    np.testing.assert_array_equal((orders != np.arange(8)).sum(1)[:20], np.repeat([0, 2], 10))
    assert len(np.unique(orders[20:], axis=0)) > 5
    alone = [interventions.Place(("stage_1", "stack"), 0, 1)]
    np.testing.assert_array_equal(lesions.random_swaps(jax.random.key(0), counts[:3], alone), 0)
    assert lesions.random_swaps(jax.random.key(0), counts, []).shape == (30, 0)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 1, 4, 3], [0], []])
def test_kendalls_tau(order):
    expected = stats.kendalltau(np.arange(len(order)), order)[0] if len(order) > 1 else 1
    np.testing.assert_allclose(lesions.kendall_tau(np.array(order, int)), expected, rtol=1e-6)
