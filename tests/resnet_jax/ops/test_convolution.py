import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Conv, convolve

LAYOUT = ("NHWC", "HWIO", "NHWC")


def stock(x, kernel, stride=1):
    """The same convolution as JAX has it, with JAX's own gradients."""
    margin = [(kernel.shape[0] // 2,) * 2] * 2
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), margin, dimension_numbers=LAYOUT
    )


def arguments(size, image, batch=3, features=(3, 5), dtype=None):
    random = np.random.RandomState(size)
    x = random.randn(batch, *image, features[0])
    return jnp.array(x, dtype), jnp.array(random.randn(size, size, *features), dtype)


def value_and_gradients(operation, x, kernel, stride):
    """The value and both gradients, of a cotangent that is no constant, in one program."""

    @jax.jit
    def all_three(x, kernel):
        y, gradients = jax.vjp(lambda x, kernel: operation(x, kernel, stride), x, kernel)
        return y, *gradients(jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    return all_three(x, kernel)


# Sides of both parities; from (4, 4) down the output has so few pixels that it is made of patches,
# and where the kernel covers the image from every pixel it is one product.
@pytest.mark.parametrize("image", [(9, 10), (4, 4), (3, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_value_and_gradients_equal_the_stock_operation(float64, size, stride, image):
    x, kernel = arguments(size, image)
    actual = value_and_gradients(convolve, x, kernel, stride)
    expected = value_and_gradients(stock, x, kernel, stride)
    chex.assert_trees_all_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("image", "stride"), [((16, 16), 2), ((4, 4), 1)])
def test_single_precision_costs_rounding_only(image, stride):
    """Against the stock operation in double precision."""
    x, kernel = arguments(3, image, 8, (8, 8), np.float32)
    actual = jax.device_get(value_and_gradients(convolve, x, kernel, stride))
    with jax.enable_x64(True):
        exact = value_and_gradients(stock, jnp.float64(x), jnp.float64(kernel), stride)
        exact = jax.device_get(exact)
    for each, truth in zip(actual, exact, strict=True):
        assert each.dtype == np.float32
        assert abs(each - truth).max() < 3e-6 * abs(truth).max()


def test_by_hand():
    """A kernel with one 1 shifts the image against it, and zeros come in from outside."""
    image = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    right = jnp.zeros((3, 3, 1, 1)).at[1, 2].set(1)  # every pixel takes its right neighbour
    np.testing.assert_array_equal(convolve(image, right)[0, :, :, 0], [[2, 0], [4, 0]])
    np.testing.assert_array_equal(convolve(image, jnp.ones((3, 3, 1, 1))).ravel(), [10] * 4)
    np.testing.assert_array_equal(convolve(image, jnp.ones((3, 3, 1, 1)), 2).ravel(), [10])


@pytest.mark.parametrize("image", [(5, 6), (3, 3)])
def test_reverse_over_reverse_is_exact(float64, image):
    """Documented as differentiable once; twice in reverse mode is right as well."""
    x, kernel = arguments(3, image, 2, (2, 3))

    def curvature(operation):
        def slope(x, kernel):
            gradients = jax.grad(lambda *a: jnp.sin(operation(*a)).sum(), (0, 1))(x, kernel)
            return sum(jnp.cos(each).sum() for each in gradients)

        return jax.jit(jax.grad(slope, (0, 1)))(x, kernel)

    chex.assert_trees_all_close(curvature(convolve), curvature(stock), rtol=1e-9, atol=1e-9)


def test_forward_mode_is_refused():
    x, kernel = arguments(3, (6, 6))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(convolve, (x, kernel), (x, kernel))


def test_gradients_have_a_forward_mode_in_loops_too(float64):
    x, kernel = arguments(3, (5, 6), 2, (2, 2))
    kernels = jnp.stack([kernel, kernel[::-1]])

    def product(operation):
        def loss(kernels):
            layer = lambda a, kernel: (jnp.sin(operation(a, kernel)), None)
            return jax.lax.scan(layer, x, kernels)[0].sum()

        return jax.jit(lambda v: jax.jvp(jax.grad(loss), (kernels,), (v,))[1])(jnp.cos(kernels))

    chex.assert_trees_all_close(product(convolve), product(stock), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("image", "stride"), [((6, 5), 2), ((3, 4), 1)])
def test_runs_may_be_vectorised(float64, image, stride):
    runs = [arguments(3, image, 2, (2, 3)), arguments(3, image, 2, (2, 3))]
    runs[1] = jax.tree.map(lambda leaf: leaf[::-1] + 1, runs[1])
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    mapped = jax.vmap(lambda x, k: value_and_gradients(convolve, x, k, stride))(*together)
    for index, one in enumerate(runs):
        alone = value_and_gradients(convolve, *one, stride)
        chex.assert_trees_all_close([leaf[index] for leaf in mapped], list(alone), rtol=1e-12)


@pytest.mark.parametrize(
    ("images", "kernel", "stride"),
    [
        ((1, 4, 4, 2), (2, 2, 2, 3), 1),  # an even size
        ((1, 4, 4, 2), (3, 1, 2, 3), 1),  # not square
        ((1, 4, 4, 2), (3, 3, 2), 1),
        ((1, 4, 4, 2), (3, 3, 2, 3), 0),
        ((1, 4, 4, 2), (3, 3, 1, 3), 1),  # other channels
        ((4, 4, 2), (3, 3, 2, 3), 1),  # no batch
    ],
)
def test_what_is_no_convolution_is_refused(images, kernel, stride):
    with pytest.raises(ValueError, match="kernel"):
        convolve(jnp.ones(images), jnp.ones(kernel), stride)


def test_the_module_brings_its_kernel_and_a_bias_where_asked():
    x = jnp.ones((1, 2, 2, 3))
    params = Conv(4, 3, use_bias=True).init(jax.random.key(0), x)["params"]
    assert jax.tree.map(jnp.shape, params) == {"kernel": (3, 3, 3, 4), "bias": (4,)}
    assert set(Conv(4, 3).init(jax.random.key(0), x)["params"]) == {"kernel"}
    ones = {"kernel": jnp.ones((3, 3, 3, 4)), "bias": jnp.arange(4.0)}
    y = Conv(4, 3, stride=2, use_bias=True).apply({"params": ones}, x)
    np.testing.assert_array_equal(y, [[[[12, 13, 14, 15]]]])
