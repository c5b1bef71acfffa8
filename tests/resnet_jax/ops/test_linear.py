import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.ops.linear import dot_general

ROWS_BY_COLUMNS = (((1,), (0,)), ((), ()))


def test_value_and_gradients_equal_the_stock_product(float64):
    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel, dy = (
        jax.random.normal(key, shape, jnp.float64)
        for key, shape in zip(keys, [(7, 5), (5, 3), (7, 3)], strict=True)
    )
    actual, gradient = jax.vjp(lambda x, k: dot_general(x, k, ROWS_BY_COLUMNS), x, kernel)
    np.testing.assert_allclose(actual, x @ kernel, rtol=1e-12)
    dx, d_kernel = gradient(dy)
    np.testing.assert_allclose(dx, dy @ kernel.T, rtol=1e-12)
    np.testing.assert_allclose(d_kernel, x.T @ dy, rtol=1e-12)


def test_other_contractions_are_stock():
    x, kernel = jnp.arange(24.0).reshape(2, 3, 4), jnp.arange(8.0).reshape(4, 2)
    actual = dot_general(x, kernel, (((2,), (0,)), ((), ())))
    np.testing.assert_allclose(actual, np.asarray(x) @ np.asarray(kernel))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the lowering of CPU")
def test_no_product_contracts_rows_on_cpu():
    """What the file is for: in the compiled gradient every product is row by column."""

    def rows_contracted(product):
        loss = lambda x, kernel: product(x, kernel).sum() ** 2
        compiled = (
            jax.jit(jax.grad(loss, 1)).lower(jnp.ones((96, 64)), jnp.ones((64, 32))).compile()
        )
        return "lhs_contracting_dims={0}" in compiled.as_text()

    assert not rows_contracted(lambda x, kernel: dot_general(x, kernel, ROWS_BY_COLUMNS))
    assert rows_contracted(lambda x, kernel: x @ kernel)
