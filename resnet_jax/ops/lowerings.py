"""Implements formulas of a convolution: several ways to compute it and its kernel's gradient.

All use the layouts NHWC for images and HWIO for kernels, and all but :func:`direct` and
:func:`by_patches` have stride 1.  Larger strides are reduced to stride 1 by space-to-depth: in the
*phases* of an image every stride-th pixel is one pixel, and the pixels in between become more of
its features (:func:`phases`, :func:`kernel_of_phases`).

:mod:`resnet_jax.ops.forms` decides which formula is used where.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from resnet_jax.ops.precision import at_least_single

LAYOUT = ("NHWC", "HWIO", "NHWC")

Padding = tuple[int, int]  # pixels before and after, the same in both directions


def even_padding(size: int) -> Padding:
    """Returns the padding with which a kernel of odd size keeps an image's size."""
    return (size - 1) // 2, (size - 1) // 2


def direct(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Computes the convolution by XLA's own operation."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [padding] * 2, dimension_numbers=LAYOUT
    )


def _patches(x: jax.Array, size: int, stride: int, padding: Padding) -> jax.Array:
    """Returns what a kernel sees at every pixel: ``[batch, height, width, size · size · in]``."""
    patches = jnp.pad(x, [(0, 0), padding, padding, (0, 0)])
    for axis in (2, 1):  # the columns of each patch, then its rows
        reach = patches.shape[axis] - size + 1
        shifted = [
            jax.lax.slice_in_dim(patches, first, first + reach, stride, axis)
            for first in range(size)
        ]
        patches = jnp.concatenate(shifted, -1)
    return patches


def by_patches(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Computes the convolution as one product: patches ``[pixels, size² · in]`` with the kernel."""
    patches = _patches(x, kernel.shape[0], stride, padding)
    rows = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return rows.reshape(*patches.shape[:3], -1)


def by_columns(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Computes the convolution as one product, of columns of pixels ``[pixels, size · in]``.

    Each column is multiplied by all columns of the kernel at once, and the products are shifted and
    added.
    """
    size, (_, height, width, _) = kernel.shape[0], x.shape
    rows = jnp.pad(x, [(0, 0), padding, (0, 0), (0, 0)])
    columns = jnp.concatenate([rows[:, i : i + height] for i in range(size)], -1)
    taps = kernel.swapaxes(1, 2).reshape(columns.shape[-1], -1)  # [row, in] x [column, out]
    met = (columns.reshape(-1, columns.shape[-1]) @ taps).reshape(*x.shape[:3], size, -1)
    met = jnp.pad(met, [(0, 0), (0, 0), padding, (0, 0), (0, 0)])
    return functools.reduce(jnp.add, (met[:, :, j : j + width, j] for j in range(size)))


def _shifts(x: jax.Array, size: int, padding: Padding) -> list[jax.Array]:
    """Returns the image ``[pixels, in]`` as each tap of a kernel sees it, in row-major order."""
    _, height, width, features = x.shape
    x = jnp.pad(x, [(0, 0), padding, padding, (0, 0)])
    return [
        x[:, i : i + height, j : j + width].reshape(-1, features)
        for i in range(size)
        for j in range(size)
    ]


def by_shifts(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Computes the convolution as a sum of one product per tap, without patches in memory."""
    size = kernel.shape[0]
    shifts = zip(_shifts(x, size, padding), kernel.reshape(-1, *kernel.shape[2:]), strict=True)
    wide = at_least_single(kernel).dtype
    products = (jnp.matmul(rows, tap, preferred_element_type=wide) for rows, tap in shifts)
    return functools.reduce(jnp.add, products).astype(x.dtype).reshape(*x.shape[:3], -1)


def phases(x: jax.Array, stride: int) -> jax.Array:
    """Makes every ``stride``-th pixel of an image one pixel, and those in between its features."""
    batch, height, width, features = x.shape
    x = jnp.pad(x, [(0, 0), (0, -height % stride), (0, -width % stride), (0, 0)])
    x = x.reshape(batch, x.shape[1] // stride, stride, -1, stride, features)
    return x.swapaxes(2, 3).reshape(*x.shape[:2], x.shape[3], -1)


def kernel_of_phases(kernel: jax.Array, stride: int) -> tuple[jax.Array, Padding]:
    """Returns the kernel and padding that do to phases what ``kernel`` does to the image."""
    size, margin = kernel.shape[0], (kernel.shape[0] - 1) // 2
    before, after = -(-margin // stride), margin // stride
    first = before * stride - margin
    last = (before + 1 + after) * stride - size - first
    kernel = jnp.pad(kernel, [(first, last), (first, last), (0, 0), (0, 0)])
    pixels = before + 1 + after
    kernel = kernel.reshape(pixels, stride, pixels, stride, *kernel.shape[2:])
    return kernel.swapaxes(1, 2).reshape(pixels, pixels, -1, kernel.shape[-1]), (before, after)


def turned(kernel: jax.Array) -> jax.Array:
    """Returns the kernel that maps the gradient of a convolution's output to that of its input."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def taps_by_columns(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
    """Computes the kernel's gradient as one product of shifted images.

    Tap (i, j) is the product of row shift i of ``dy`` with column shift j of ``x``.  The factors
    are ``x[pixels, size · in]`` in its shifts along the width, and ``dy[pixels, size · out]`` in
    its shifts along the height, which are those of ``x`` in the opposite direction.
    """
    before, after = padding
    size, (_, height, width, _) = before + after + 1, x.shape
    columns = jnp.pad(x, [(0, 0), (0, 0), padding, (0, 0)])
    columns = jnp.concatenate([columns[:, :, j : j + width] for j in range(size)], -1)
    rows = jnp.pad(dy, [(0, 0), (after, before), (0, 0), (0, 0)])
    rows = jnp.concatenate([rows[:, i : i + height] for i in reversed(range(size))], -1)
    taps = _over_rows(columns.reshape(-1, columns.shape[-1]), rows.reshape(-1, rows.shape[-1]))
    return taps.reshape(size, x.shape[-1], size, dy.shape[-1]).transpose(2, 0, 1, 3)


def taps_by_patches(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
    """Computes the kernel's gradient as one product of the image's patches with ``dy``."""
    size = sum(padding) + 1
    patches = _patches(x, size, 1, padding)
    taps = _over_rows(patches.reshape(-1, patches.shape[-1]), dy.reshape(-1, dy.shape[-1]))
    return taps.reshape(size, size, x.shape[-1], dy.shape[-1])


def taps_by_shifts(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
    """Computes the kernel's gradient tap by tap, without patches in memory."""
    size, rows = sum(padding) + 1, dy.reshape(-1, dy.shape[-1])
    taps = jnp.stack([_over_rows(shift, rows) for shift in _shifts(x, size, padding)])
    return taps.reshape(size, size, x.shape[-1], dy.shape[-1])


def _over_rows(x: jax.Array, dy: jax.Array) -> jax.Array:
    """Computes ``xᵀ · dy``, accumulated in single precision at least."""
    return jnp.matmul(x.T, dy, preferred_element_type=at_least_single(dy).dtype)


def gradients_by(
    convolve: Callable,
    taps_of: Callable,
    x: jax.Array,
    kernel: jax.Array,
    dy: jax.Array,
    stride: int,
) -> tuple[jax.Array, jax.Array]:
    """Computes the gradients of images and kernel at any stride, from formulas for stride 1.

    Args:
      convolve: ``(images, kernel, padding) -> images``.
      taps_of: ``(images, gradient, padding) -> gradient of the kernel``.
      x: images.
      kernel: kernel of the convolution.
      dy: gradient of the convolution's output.
      stride: stride of the convolution.
    """
    # The phases are convolved at stride 1; the maps from image and kernel to theirs are linear.
    of_phases, image_of = jax.vjp(lambda x: phases(x, stride), x)
    kernel, kernel_of, (before, after) = jax.vjp(
        lambda kernel: kernel_of_phases(kernel, stride), kernel, has_aux=True
    )
    d_phases = convolve(dy, turned(kernel), (after, before))
    taps = taps_of(of_phases, dy, (before, after)).astype(kernel.dtype)
    return *image_of(d_phases), *kernel_of(taps)
