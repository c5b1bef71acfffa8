import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from resnet_jax import Parts, cifar_network, dense_network
from resnet_jax.diagnostics import probes
from resnet_jax.nn import orders, shortcuts
from resnet_jax.nn.networks import SINKS
from resnet_jax.ops import normalization

pytestmark = pytest.mark.slow  # many networks are compiled


def batch(*shape, seed=0):
    return jnp.asarray(np.random.RandomState(seed).randn(*shape), jnp.float32)


class TestNumbers:
    def test_examples_that_are_alike(self):
        x = jnp.array([[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]])
        assert probes.mean_cosine(x) == pytest.approx(1)
        assert probes.effective_rank(x) == pytest.approx(1)

    def test_examples_at_right_angles(self):
        x = 3 * jnp.eye(4)
        assert probes.mean_cosine(x) == 0
        assert probes.effective_rank(x) == pytest.approx(4)

    def test_a_pair_by_hand(self):
        x = jnp.array([[3.0, 4.0], [4.0, 3.0]])  # 24 / 25; eigenvalues 49 and 1
        assert probes.mean_cosine(x) == pytest.approx(24 / 25)
        assert probes.effective_rank(x) == pytest.approx(50**2 / (49**2 + 1))

    def test_forward_by_hand(self):
        seen = probes.forward(jnp.array([[1.0, 0.0], [3.0, 0.0]]))
        assert seen.rms == pytest.approx(10**0.5 / 2)
        assert seen.deviation == pytest.approx((10 / 4 - 1) ** 0.5)
        assert seen.dead == 0.5

    def test_backward_by_hand(self):
        seen = probes.backward(jnp.array([[3.0, 0.0], [0.0, 4.0]]))
        assert seen.norm == pytest.approx(5) and seen.correlation == 0

    def test_nothing_overflows_or_divides_by_zero(self):
        assert probes.euclidean(jnp.array([3e30, 4e30])) == pytest.approx(5e30)
        small = probes.forward(batch(4, 6))
        large = probes.forward(1e30 * batch(4, 6))
        np.testing.assert_allclose(large.rms, 1e30 * small.rms, rtol=1e-5)
        np.testing.assert_allclose(large.cosine, small.cosine, rtol=1e-4)
        np.testing.assert_allclose(large.rank, small.rank, rtol=1e-4)
        assert probes.forward(jnp.zeros((2, 3, 3, 5))).side == 3
        assert probes.forward(jnp.zeros((2, 3, 4, 5))).side == 0  # not square
        silent = probes.forward(jnp.zeros((4, 6)))
        np.testing.assert_array_equal(np.array(silent), [0, 0, 0, 0, 1, 1])

    def test_images_count_every_pixel_and_share_features(self):
        x = batch(5, 3, 3, 2).at[..., 1].set(0)
        seen, flat = probes.forward(x), probes.forward(x.reshape(5, -1))
        np.testing.assert_allclose(seen[:4], flat[:4])
        assert seen.dead == 0.5


def test_a_probe_changes_neither_value_nor_gradient():
    x, weights = batch(4, 3), batch(3, 3, seed=1)
    nothing = probes.Backward(jnp.zeros(()), jnp.zeros(()))
    loss = lambda x, sink: jnp.tanh(probes.probe(x, sink) @ weights).sum()
    plain = lambda x: jnp.tanh(x @ weights).sum()
    assert loss(x, nothing) == plain(x)
    gradient, seen = jax.grad(loss, (0, 1))(x, nothing)
    expected = jax.grad(plain)(x)
    np.testing.assert_array_equal(gradient, expected)
    chex.assert_trees_all_close(seen, probes.backward(expected))


def test_nor_do_all_of_them_in_a_network():
    network, x = cifar_network(8, 3, Parts(), width=4), batch(4, 4, 4, 1)
    one = jnp.ones(())
    params = network.init(jax.random.key(0), x, one)["params"]

    def loss(params, sinks, probed):
        interceptor = (
            probes.Probes(compares=True)
            if probed
            else lambda call, *rest: call(*rest[0], **rest[1])
        )
        with nn.intercept_methods(interceptor):
            logits, seen = network.apply(
                {"params": params, **sinks}, x, one, mutable=["statistics", probes.RECORDS, SINKS]
            )
        return (logits**2).sum(), (logits, seen["statistics"])

    gradient = jax.jit(jax.grad(loss, has_aux=True), static_argnums=2)
    probed, plain = gradient(params, {}, True), gradient(params, {}, False)
    chex.assert_trees_all_close(probed, plain, rtol=1e-5, atol=1e-6)


class TestCalls:
    def of(self, network, *shape):
        x = batch(*shape)
        params = network.init(jax.random.key(0), x, jnp.ones(()))["params"]
        return probes.rehearse(network, params, x, jnp.ones(()))[0]

    def test_layers_come_in_the_order_of_the_network(self):
        calls = self.of(
            cifar_network(14, 3, Parts(shortcut=shortcuts.projection), width=4), 2, 4, 4
        )
        assert calls.blocks == [
            ("stage_1", "stack"),
            ("stage_2", "first"),
            ("stage_2", "stack"),
            ("stage_3", "first"),
            ("stage_3", "stack"),
        ]
        assert calls.layers[0] == ("stem",) and calls.layers[-1] == ("head",)
        assert calls.layers[1:3] == [("stage_1", "stack", "conv_1"), ("stage_1", "stack", "conv_2")]
        assert len(calls.layers) == 2 + 2 * 5  # none of them on a shortcut

    def test_a_response_is_behind_the_normalisation_that_follows(self):
        names = lambda calls: ["/".join(path[-1:]) for path in calls.responses]
        shape = (3, 6)
        original = self.of(dense_network(4, 5, 3), *shape)
        assert names(original) == ["stem_norm", "norm_1", "norm_2", "head"]
        pre = self.of(dense_network(4, 5, 3, Parts(order=orders.pre_activation)), *shape)
        assert names(pre) == ["stem", "norm_2", "linear_2", "head"]
        bare = self.of(dense_network(4, 5, 3, Parts(norm=normalization.NoNorm)), *shape)
        assert names(bare) == ["stem", "linear_1", "linear_2", "head"]


def test_branch_and_shortcut_are_compared_each_alone():
    """Before an activation sums are linear: with twice the branch the ratio is twice as large."""
    parts = Parts(order=orders.pre_activation, norm=normalization.NoNorm)
    network, x = dense_network(4, 5, 3, parts), batch(6, 5)
    block = network.block(width=5, blocks=1, parts=parts)
    params = block.init(jax.random.key(0), x, jnp.ones(()), jnp.ones(()))
    bound = block.bind(params)
    ratio = lambda *weights: probes.branch_to_shortcut(bound, x, *map(jnp.asarray, weights))
    branch = probes.root_mean_square(block.apply(params, x, 0.0, 1.0))
    assert ratio(1.0, 1.0) == pytest.approx(float(branch / probes.root_mean_square(x)), rel=1e-5)
    assert ratio(0.5, 1.0) == pytest.approx(2 * float(ratio(1.0, 1.0)), rel=1e-5)
    assert ratio(0.0, 1.0) == np.inf and ratio(1.0, 0.0) == 0
