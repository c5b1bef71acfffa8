import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from resnet_jax import Block, Parts, dense_network
from resnet_jax.nn import branches, orders, shortcuts
from resnet_jax.nn.blocks import BASIC, NOISE, Dropout
from resnet_jax.nn.shortcuts import Shortcut, zero_pad
from resnet_jax.ops import normalization

NO_NORM = Parts(norm=normalization.NoNorm)
ONE = jnp.ones(())
IMAGE = jnp.arange(1.0, 17).reshape(1, 4, 4, 1)


class Around(nn.Module):
    """A shortcut alone."""

    shortcut: Shortcut
    features: int
    stride: int = 1
    parts: Parts = NO_NORM

    @nn.compact
    def __call__(self, a):
        return self.shortcut(a, self.features, self.stride, self.parts)


def tree(module, a):
    variables = jax.eval_shape(module.init, jax.random.key(0), a)
    return jax.tree.map(jnp.shape, variables.get("params", {}))


class TestOptionA:
    def test_equal_widths_are_left_alone(self):
        x = jnp.ones((2, 3))
        np.testing.assert_array_equal(zero_pad(x, 3), x)

    def test_wider_is_padded_and_narrower_cut(self):
        x = jnp.array([[1.0, 2.0]])
        np.testing.assert_array_equal(zero_pad(x, 4), [[1.0, 2.0, 0.0, 0.0]])
        np.testing.assert_array_equal(zero_pad(x, 1), [[1.0]])

    def test_images_by_hand(self):
        """Every other pixel from the first on; the new channel is 0."""
        padded = zero_pad(IMAGE, 2, 2)
        np.testing.assert_array_equal(padded[0, :, :, 0], [[1, 3], [9, 11]])
        np.testing.assert_array_equal(padded[0, :, :, 1], np.zeros((2, 2)))
        np.testing.assert_array_equal(zero_pad(IMAGE[:, :3, :3], 1, 2).ravel(), [1, 3, 9, 11])

    def test_it_has_no_parameters_and_leaves_the_branch(self):
        around = Around(shortcuts.identity, 2, 2)
        assert tree(around, IMAGE) == {}
        carried, gate = around.apply({}, IMAGE)
        np.testing.assert_array_equal(carried, zero_pad(IMAGE, 2, 2))
        assert gate == 1


class TestProjections:
    def test_c_by_hand(self):
        """A 1x1 convolution on every other pixel: [1, 3, 9, 11] times 2 and -1, plus 0 and 5."""
        kernel, bias = jnp.array([2.0, -1.0]).reshape(1, 1, 1, 2), jnp.array([0.0, 5.0])
        params = {"shortcut": {"kernel": kernel, "bias": bias}}
        carried, gate = Around(shortcuts.projection, 2, 2).apply({"params": params}, IMAGE)
        np.testing.assert_array_equal(carried[0, :, :, 0], [[2, 6], [18, 22]])
        np.testing.assert_array_equal(carried[0, :, :, 1], [[4, 2], [-4, -6]])
        assert gate == 1

    def test_c_projects_everywhere_and_b_where_shapes_change(self):
        dense = jnp.ones((2, 4))
        kernel = lambda width: {"shortcut": {"kernel": (4, width), "bias": (width,)}}
        for width in (4, 6):
            assert tree(Around(shortcuts.projection, width), dense) == kernel(width)
        needed = shortcuts.projection_where_needed
        assert tree(Around(needed, 4), dense) == {}
        assert tree(Around(needed, 6), dense) == kernel(6)
        assert tree(Around(needed, 1), IMAGE) == {}
        assert set(tree(Around(needed, 1, stride=2), IMAGE)) == {"shortcut"}
        np.testing.assert_array_equal(Around(needed, 4).apply({}, dense)[0], dense)

    @pytest.mark.parametrize(
        ("order", "names"),
        [
            (orders.original, {"shortcut", "shortcut_norm"}),
            (orders.pre_activation, {"shortcut"}),
        ],
    )
    def test_they_are_normalised_where_the_branch_is(self, order, names):
        around = Around(shortcuts.projection, 4, parts=Parts(order=order))
        params = tree(around, IMAGE)
        assert set(params) == names
        assert set(params["shortcut"]) == {"kernel"}


def test_constant_factors():
    carried, branch = Around(shortcuts.constant(0.5, 0.25), 2, 2).apply({}, IMAGE)
    np.testing.assert_array_equal(carried, 0.5 * zero_pad(IMAGE, 2, 2))
    assert branch == 0.25


@pytest.mark.parametrize("make", [shortcuts.exclusive_gate, shortcuts.shortcut_gate])
@pytest.mark.parametrize("bias", [-6.0, 0.0])
class TestGates:
    def test_they_begin_at_their_bias(self, make, bias):
        around = Around(make(bias), 2, parts=Parts())  # a bias also beside a normalisation
        params = around.init(jax.random.key(0), jnp.ones((1, 3)))["params"]
        np.testing.assert_array_equal(params["gate"]["bias"], [bias, bias])
        params["gate"]["kernel"] *= 0
        carried, branch = around.apply({"params": params}, jnp.array([[1.0, 2.0, 3.0]]))
        closed = {-6.0: 0.0024726232, 0.0: 0.5}[bias]  # 1 / (1 + e^-bias)
        np.testing.assert_allclose(carried, [[1 - closed, 2 - 2 * closed]], rtol=1e-6)
        expected = closed if make is shortcuts.exclusive_gate else 1.0
        np.testing.assert_allclose(branch * jnp.ones((1, 2)), np.full((1, 2), expected), rtol=1e-5)

    def test_every_pixel_and_channel_has_a_gate_of_its_own(self, make, bias):
        around = Around(make(bias), 2, 2)
        kernel = jnp.array([0.5, -0.25]).reshape(1, 1, 1, 2)
        params = {"gate": {"kernel": kernel, "bias": jnp.full(2, bias)}}
        assert tree(around, IMAGE) == jax.tree.map(jnp.shape, params)
        carried, _ = around.apply({"params": params}, IMAGE)
        kept = np.array([[1.0, 3], [9, 11]])
        expected = kept * (1 - 1 / (1 + np.exp(-(0.5 * kept + bias))))
        np.testing.assert_allclose(carried[0, :, :, 0], expected, rtol=1e-5)
        np.testing.assert_array_equal(carried[0, :, :, 1], np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("shortcut", "expected"),
    # a = [2, 4] and z = g(a): the lecture's block of two identities adds 1·z to w·a, w = 3.
    [
        (shortcuts.identity, [8, 16]),
        (shortcuts.constant(0.5, 0.25), [3.5, 7]),
        (shortcuts.exclusive_gate(0.0), [4, 8]),  # half of each
        (shortcuts.shortcut_gate(0.0), [5, 10]),
    ],
)
def test_the_sum_of_a_block(shortcut, expected):
    eye = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
    params = {"linear_1": eye, "linear_2": eye, "gate": jax.tree.map(jnp.zeros_like, eye)}
    block = Block(2, parts=Parts(norm=normalization.NoNorm, shortcut=shortcut))
    actual = block.apply({"params": params}, jnp.array([[2.0, 4.0]]), jnp.array(3.0))
    np.testing.assert_allclose(actual, [expected], rtol=1e-6)


class TestDropout:
    def test_without_a_key_it_is_the_identity(self):
        carried, branch = Around(shortcuts.dropout(0.5), 2, 2).apply({}, IMAGE)
        np.testing.assert_array_equal(carried, zero_pad(IMAGE, 2, 2))
        assert branch == 1

    def test_with_a_key_it_drops_its_share_and_keeps_the_mean(self):
        ones = jnp.ones((100, 100))
        drop = lambda key: Around(shortcuts.dropout(0.2), 100).apply({}, ones, rngs={NOISE: key})[0]
        dropped = np.asarray(drop(jax.random.key(0)))
        np.testing.assert_allclose(np.unique(dropped), [0, 1.25])
        # deviation of the share √(0.2 · 0.8 / 10,000) = 0.004, of the mean 1.25 times that
        assert abs((dropped == 0).mean() - 0.2) < 4 * 0.004
        assert abs(dropped.mean() - 1) < 4 * 0.005
        np.testing.assert_array_equal(drop(jax.random.key(0)), dropped)
        assert not np.array_equal(drop(jax.random.key(1)), dropped)

    def test_every_block_of_a_stack_draws_its_own(self):
        """Silent branches: of the ones that enter, 1/2, 1/4, 1/8 are left after each block."""
        parts = Parts(
            norm=normalization.NoNorm, branch=branches.learned, shortcut=shortcuts.dropout(0.5)
        )
        module = dense_network(8, 100, 3, parts)
        x = jnp.ones((40, 2))
        params = module.init(jax.random.key(0), x, ONE)["params"]
        params["stem"] = jax.tree.map(jnp.ones_like, params["stem"])
        _, seen = module.apply(
            {"params": params},
            x,
            ONE,
            rngs={NOISE: jax.random.key(1)},
            mutable=["intermediates"],
            capture_intermediates=lambda module, _: isinstance(module, Dropout),
        )
        (outputs,) = jax.tree.leaves(seen)
        chex.assert_shape(outputs, (3, 40, 100))
        # deviations below √(1/4 / 4000) = 0.008
        np.testing.assert_allclose((outputs > 0).mean((1, 2)), [1 / 2, 1 / 4, 1 / 8], atol=0.032)


def test_a_strided_block_halves_what_it_carries():
    parts = Parts(norm=normalization.NoNorm, branch=branches.learned)
    block = Block(2, stride=2, parts=parts, layers=BASIC)
    variables = block.init(jax.random.key(0), IMAGE, ONE)
    np.testing.assert_array_equal(block.apply(variables, IMAGE, ONE), zero_pad(IMAGE, 2, 2))
