import jax.numpy as jnp
import numpy as np

from resnet_jax.shortcuts import zero_pad


def test_equal_widths_are_left_alone():
    x = jnp.ones((2, 3))
    np.testing.assert_array_equal(zero_pad(x, 3), x)


def test_wider_is_padded_and_narrower_cut():
    x = jnp.array([[1.0, 2.0]])
    np.testing.assert_array_equal(zero_pad(x, 4), [[1.0, 2.0, 0.0, 0.0]])
    np.testing.assert_array_equal(zero_pad(x, 1), [[1.0]])
