import chex
import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax import dense_network, from_linen

X = jax.random.normal(jax.random.key(9), (16, 6))


def test_forward_normalises_by_the_batch_and_predict_by_given_statistics():
    network = from_linen(dense_network(6, 4, 3))
    params = network.init(jax.random.key(0), X)
    logits, statistics = network.forward(params, X, jnp.ones(()))
    predicted = network.predict(params, statistics, X, jnp.ones(()))
    np.testing.assert_allclose(predicted, logits, rtol=1e-4, atol=1e-5)
    # A row's prediction is its own affair; in a batch of its own, forward is not.
    alone = network.predict(params, statistics, X[:3], jnp.ones(()))
    np.testing.assert_allclose(alone, predicted[:3], rtol=1e-5, atol=1e-6)
    assert not np.allclose(network.forward(params, X[:3], jnp.ones(()))[0], logits[:3], atol=1e-2)


def test_the_shortcut_weight_does_not_enter_initialisation():
    module = dense_network(8, 4, 3)
    plain = module.init(jax.random.key(0), X, jnp.zeros(()))["params"]
    residual = module.init(jax.random.key(0), X, jnp.ones(()))["params"]
    chex.assert_trees_all_equal(plain, residual)
    chex.assert_trees_all_equal(plain, from_linen(module).init(jax.random.key(0), X))
    other = from_linen(module).init(jax.random.key(1), X)
    assert not np.array_equal(other["stem"]["kernel"], plain["stem"]["kernel"])
