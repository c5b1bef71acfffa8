import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Parts, cifar_network, dense_network, from_linen, imagenet_network
from resnet_jax.nn import initializers, shortcuts
from resnet_jax.nn.blocks import BOTTLENECK
from resnet_jax.ops import normalization

X = jax.random.normal(jax.random.key(9), (16, 6))
IMAGES = jnp.ones((2, 4, 4, 3))
ONE = jnp.ones(())


def quick(key, shape, dtype=jnp.float32):
    """Weights of He's power, another draw for every key; compiles faster than a normal one."""
    fraction = jax.random.key_data(key)[0] / 2.0**32
    values = jnp.sin(1 + 9 * fraction * (1 + jnp.arange(np.prod(shape))))
    return values.reshape(shape).astype(dtype) * np.float32(4 / np.prod(shape[:-1])) ** 0.5


QUICK = Parts(init=initializers.Init(quick))


def test_forward_normalises_by_the_batch_and_predict_by_given_statistics():
    network = from_linen(dense_network(6, 4, 3))
    params = network.init(jax.random.key(0), X)
    logits, statistics = network.forward(params, X, ONE, None)
    predicted = network.predict(params, statistics, X, ONE)
    np.testing.assert_allclose(predicted, logits, rtol=1e-4, atol=1e-5)
    # A row's prediction is its own affair; in a batch of its own, forward is not.
    alone = network.predict(params, statistics, X[:3], ONE)
    np.testing.assert_allclose(alone, predicted[:3], rtol=1e-5, atol=1e-6)
    assert not np.allclose(network.forward(params, X[:3], ONE, None)[0], logits[:3], atol=1e-2)


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (dense_network(8, 4, 3, QUICK), X),
        (cifar_network(14, 3, QUICK, width=2), IMAGES),
        (cifar_network(11, 3, QUICK, BOTTLENECK, width=4), IMAGES),
        (imagenet_network(18, 3, QUICK, width=2, small_images=True), IMAGES),
    ],
    ids=["dense", "cifar", "bottleneck", "imagenet"],
)
def test_the_shortcut_weight_does_not_enter_initialisation(module, x):
    init = jax.jit(lambda key, weight: module.init(key, x, weight)["params"])
    plain = init(jax.random.key(0), jnp.zeros(()))
    chex.assert_trees_all_equal(plain, init(jax.random.key(0), ONE))
    chex.assert_trees_all_equal(plain, jax.jit(from_linen(module).init)(jax.random.key(0), x))
    other = init(jax.random.key(1), ONE)
    assert not np.array_equal(other["stem"]["kernel"], plain["stem"]["kernel"])


def test_noise_acts_on_forward_with_a_key_alone():
    parts = Parts(norm=normalization.NoNorm, shortcut=shortcuts.dropout(0.5))
    network = from_linen(dense_network(6, 4, 3, parts))
    params = network.init(jax.random.key(0), X)
    quiet, statistics = network.forward(params, X, ONE, None)
    assert statistics == {}
    np.testing.assert_array_equal(quiet, network.predict(params, statistics, X, ONE))
    noisy = [network.forward(params, X, ONE, jax.random.key(seed))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2], atol=0.1)
    assert not np.allclose(noisy[0], quiet, atol=0.1)


def test_the_first_layer_is_the_stem():
    network = from_linen(cifar_network(8, 3, width=2))
    params = jax.eval_shape(network.init, jax.random.key(0), IMAGES)
    assert network.first(params)["kernel"].shape == (3, 3, 3, 2)
