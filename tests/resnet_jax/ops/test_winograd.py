import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.ops.winograd import convolve_3x3


def stock(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), [(1, 1)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("image", [(2, 2), (4, 6), (8, 2)])
def test_whole_numbers_are_convolved_exactly(image):
    """In float32, whose every intermediate is then a multiple of a quarter."""
    random = np.random.RandomState(0)
    x = random.randint(-8, 9, (3, *image, 5)).astype(np.float32)
    kernel = random.randint(-8, 9, (3, 3, 5, 2)).astype(np.float32)
    np.testing.assert_array_equal(convolve_3x3(x, kernel), stock(x, kernel))


def test_one_tile_by_hand():
    """The kernel of ones sums what each pixel sees: all four pixels, in an image of 2x2."""
    x = jnp.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(convolve_3x3(x, jnp.ones((3, 3, 1, 1))), jnp.full_like(x, 10))


def test_rounding_stays_near_that_of_the_sum_itself():
    """Root mean squares over 32,768 outputs; Lavin & Gray's table 3 has the two within a factor 2.

    A transform that loses digits, as those of larger tiles do, is far from it.
    """
    random = np.random.RandomState(0)
    x = random.randn(8, 8, 8, 64)
    kernel = random.randn(3, 3, 64, 64) / 24
    with jax.enable_x64(True):
        exact = np.asarray(stock(jnp.asarray(x), jnp.asarray(kernel)))
    single = x.astype(np.float32), kernel.astype(np.float32)
    error = lambda y: np.sqrt(np.mean(np.square(np.asarray(y, np.float64) - exact)))
    assert error(convolve_3x3(*single)) < 4 * error(stock(*single)) < 1e-5
