import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resnet_jax.training import losses

LABELS = jnp.array([0, 2, 1, 2])


@pytest.mark.parametrize("size", [1.0, 1e3, 1e30])
def test_the_form_of_accelerators_is_the_stock_loss(size):
    """In value and gradient, also where exponentials would overflow."""
    logits = size * jnp.array(np.random.RandomState(0).randn(4, 3), jnp.float32)
    weights = jnp.array([1.0, 2.0, -1.0, 0.5])

    def of(loss):
        return jax.value_and_grad(lambda logits: jnp.vdot(weights, loss(logits, LABELS)))(logits)

    expected = of(optax.softmax_cross_entropy_with_integer_labels)
    actual = of(losses._cross_entropies_by_comparison)
    chex.assert_trees_all_close(actual, expected, rtol=1e-6, atol=1e-6)


def test_by_hand():
    """Equal logits are a guess; one that is not finite is an error, whatever the others say."""
    each, wrong = losses.losses_and_errors(jnp.zeros((4, 3)), LABELS)
    np.testing.assert_allclose(each, [np.log(3)] * 4, rtol=1e-6)
    np.testing.assert_array_equal(wrong, [False, True, True, True])
    logits = jnp.array(
        [[9.0, 0.0, 0.0], [jnp.nan, 0.0, 9.0], [0.0, 9.0, -jnp.inf], [0.0, 0.0, 9.0]]
    )
    _, wrong = losses.losses_and_errors(logits, LABELS)
    np.testing.assert_array_equal(wrong, [False, True, True, False])
    loss, error = losses.loss_and_error(logits[:1], LABELS[:1])
    np.testing.assert_allclose(loss, np.log(1 + 2 * np.exp(-9)), rtol=1e-3)
    assert error == 0


def test_what_is_not_finite_stays_so_in_the_form_of_accelerators():
    logits = jnp.array([[jnp.nan, 0.0, 0.0], [jnp.inf, 0.0, 0.0]])
    each = losses._cross_entropies_by_comparison(logits, LABELS[:2])
    assert not np.isfinite(each).any()
