import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import convolve
from resnet_jax.ops import forms

LAYOUT = ("NHWC", "HWIO", "NHWC")
ON_CPU = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the form of CPU")

#: All that there are, by name.
FORMS = {name: value for name, value in vars(forms).items() if isinstance(value, forms.Form)}


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


#: What each choice of the file needs to be made: for shapes that suit it and for others.
CHOICES = {
    "direct": {"_MANY_CHANNELS": 99, "_MEDIUM_IMAGE": 0},
    "by columns": {"_MANY_CHANNELS": 99, "_MEDIUM_IMAGE": 99},
    "winograd": {"_MANY_CHANNELS": 1},
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("image", [(6, 8), (6, 7)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch", [1, 6, 7])
def test_however_it_is_done_and_cut_into_chunks(float64, monkeypatch, batch, stride, image, choice):
    """Into chunks of one or several images, also where the batch is prime."""
    most = 4 * image[0] * image[1] * 5  # numbers of at most four images
    for name, value in {**CHOICES[choice], "_CHUNK": most, "_SMALL_CHUNK": most}.items():
        monkeypatch.setattr(forms, name, value)
    x, kernel = arguments(3, image, batch)
    actual = value_and_gradients(convolve, x, kernel, stride)
    expected = value_and_gradients(stock, x, kernel, stride)
    chex.assert_trees_all_close(actual, expected, rtol=1e-10, atol=1e-10)


@ON_CPU
def test_many_channels_take_sixteen_products_a_tile():
    """4x4 images of 32 channels: 4 tiles of 16 products each instead of 16 pixels of 9."""
    x, kernel = arguments(3, (4, 4), features=(32, 32), dtype=jnp.float32)
    dots = lambda features: str(
        jax.make_jaxpr(forms._on_cpu, static_argnums=(2, 3))(
            x[..., :features], kernel[:, :, :features], 1, (1, 1)
        )
    )
    assert re.search(r"f32\[16,12,32\] = dot_general", dots(32))
    assert not re.search(r"f32\[16,", dots(31))


@ON_CPU
def test_images_of_medium_size_meet_all_columns_of_the_kernel_at_once():
    """8x8 images of 3 channels: 9 numbers a column, and 3 columns of 5 in the kernel."""
    lower = jax.make_jaxpr(forms._on_cpu, static_argnums=(2, 3))
    lowered = lambda image: str(lower(*arguments(3, image, dtype=jnp.float32), 1, (1, 1)))
    assert "f32[192,15] = dot_general" in lowered((8, 8))
    assert "conv_general_dilated" in lowered((9, 8))


@ON_CPU
def test_large_batches_are_cut_and_small_ones_are_not():
    """A cut shows as a loop, in the gradient of a convolution that has none otherwise."""

    def loops(batch):
        loss = lambda kernel, x: convolve(x, kernel).sum()
        arguments = jnp.ones((3, 3, 16, 16)), jnp.ones((batch, 32, 32, 16))
        return jax.jit(jax.grad(loss)).lower(*arguments).as_text().count("stablehlo.while")

    assert loops(4) == 0
    assert loops(128) == 1


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("size", "stride", "image"), [(3, 1, (6, 5)), (3, 2, (6, 7)), (5, 2, (6, 4))]
)
def test_every_form_is_the_stock_operation(float64, monkeypatch, name, size, stride, image):
    """Of one run, and of runs that are vectorised: seven, and six, which are packed in twos."""
    monkeypatch.setattr(forms, "_PACKED_CHANNELS", 6)
    operation = functools.partial(convolve, form=FORMS[name])
    both = lambda operation: lambda *one: value_and_gradients(operation, *one, stride)
    expected = both(stock)(*arguments(size, image))
    chex.assert_trees_all_close(both(operation)(*arguments(size, image)), expected, atol=1e-10)
    for runs in (6, 7):
        each = [arguments(size, image) for _ in range(runs)]
        stacked = tuple(
            jnp.stack(leaves) + jnp.arange(runs).reshape(-1, 1, 1, 1, 1)
            for leaves in zip(*each, strict=True)
        )
        expected = jax.lax.map(lambda one: both(stock)(*one), stacked)
        actual = jax.vmap(both(operation))(*stacked)
        chex.assert_trees_all_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_a_form_that_is_wrong_would_be_seen(float64):
    """The comparison can fail: a kernel that is not turned gives other gradients."""
    wrong = forms.Form(forms.STOCK.value, lambda x, kernel, dy, stride: (x, kernel))
    operation = functools.partial(convolve, form=wrong)
    actual = value_and_gradients(operation, *arguments(3, (6, 5)), 1)
    expected = value_and_gradients(stock, *arguments(3, (6, 5)), 1)
    np.testing.assert_allclose(actual[0], expected[0])
    assert abs(actual[1] - expected[1]).max() > 0.1


def grouped(form, runs=3):
    """How many convolutions of a form's program over runs are grouped, and how many there are."""
    x, kernel = (jnp.stack([each] * runs) for each in arguments(3, (6, 8), features=(4, 4)))
    loss = lambda x, kernel: (convolve(x, kernel, 1, form) ** 2).sum()
    program = jax.jit(jax.vmap(jax.grad(loss, (0, 1)))).trace(x, kernel)
    text = program.lower(lowering_platforms=("cuda",)).as_text()
    groups = re.findall(r"batch_group_count = (\d+).*feature_group_count = (\d+)", text)
    return sum(each != ("1", "1") for each in groups), len(groups)


def test_which_forms_make_groups_of_runs():
    """Of the image, and both gradients."""
    assert grouped(forms.STOCK) == grouped(forms.BY_PLATFORM) == (3, 3)
    assert grouped(forms.PATCHES) == grouped(forms.COLUMNS) == grouped(forms.SHIFTS) == (0, 0)
    assert grouped(forms.MAPPED) == (0, 4)  # in its loop a value that nobody reads is left in
    assert grouped(forms.PACKED) == (0, 3)  # three runs of four channels fit into one
    assert grouped(forms.PACKED, runs=32) == (0, 6)  # twice 16


def test_runs_are_packed_by_channels():
    together = forms._together
    assert [together(32, features) for features in (3, 16, 32, 64, 128)] == [16, 4, 2, 1, 1]
    assert together(7, 16) == 1 and together(6, 16) == 3


@pytest.mark.slow
def test_narrow_numbers_are_added_up_in_single_precision():
    """Against sums of the same numbers in single precision: one rounding, or that of three sums."""
    x, kernel = arguments(3, (8, 8), 16, (8, 8), jnp.bfloat16)
    dy = jnp.sin(jnp.arange(16 * 8 * 8 * 8)).reshape(16, 8, 8, 8).astype(jnp.bfloat16)
    wide = [each.astype(jnp.float32) for each in (x, kernel, dy)]
    exact = stock(*wide[:2]), *jax.vjp(stock, *wide[:2])[1](wide[2])
    for name, form in FORMS.items():
        actual = form.value(x, kernel, 1), *form.gradients(x, kernel, dy, 1)
        for each, truth in zip(actual, exact, strict=True):
            assert each.dtype == jnp.bfloat16
            error = abs(each.astype(jnp.float32) - truth).max() / abs(truth).max()
            assert error < 3 * 2**-9, (name, error)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"MAPPED", "PACKED"}))
def test_gradients_have_gradients(float64, name):
    """Of the kernel alone, in both modes, also of runs that share their images."""
    form = FORMS[name]

    def second(operation):
        loss = lambda x, kernel: jnp.sin(operation(x, kernel)).sum()
        along = lambda x, kernel: jax.jvp(
            jax.grad(lambda kernel: loss(x, kernel)), (kernel,), (jnp.cos(kernel),)
        )
        twice = lambda x, kernel: jax.grad(
            lambda kernel: jnp.cos(jax.grad(loss, 1)(x, kernel)).sum()
        )(kernel)
        return lambda *one: (along(*one)[1], twice(*one))

    x, kernel = (jnp.stack([each, each + 1]) for each in arguments(3, (6, 5)))
    for axes, images in (((0, 0), x), ((None, 0), x[0])):
        of = lambda operation, axes=axes, images=images: jax.vmap(second(operation), axes)(
            images, kernel
        )
        actual, expected = of(functools.partial(convolve, form=form)), of(stock)
        chex.assert_trees_all_close(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["MAPPED", "PACKED"])
def test_some_are_differentiable_once_alone(name):
    """An error, and no wrong number: studies that take curvatures refuse them."""
    loss = lambda kernel, x: jnp.sin(convolve(x, kernel, 1, FORMS[name])).sum()
    x, kernel = arguments(3, (6, 5))
    with pytest.raises(ValueError):
        jax.grad(lambda kernel: jax.grad(loss)(kernel, x).sum())(kernel)
