"""Convolution with gradients that stay fast inside loops on CPU.

XLA on CPU is fast for convolutions in one layout only (images NHWC, kernels HWIO), and brings the
gradients of ``lax.conv`` into it only outside loops; inside a scan over layers or steps they run 30
to 100 times slower.  Here the gradient of images is written as a convolution in that layout to
begin with, and that of the kernel as a matrix product:

    y  = x ∗ w             (padding (size - 1) / 2 on each side)
    dx = dy ∗ flip(w)ᵀ
    dw = columns(x)ᵀ · rows(dy)

Columns are the image in its shifts along the width, rows the gradient in its shifts along the
height, which meet in every tap.

With a stride the same holds of the *phases* of x: every stride-th pixel is one, and the pixels
between are more of its features.

Where something is faster than such a convolution it takes its place, in pieces of the batch that
stay in a core's cache: Winograd's products where there are channels enough
(:mod:`resnet_jax.winograd`); for small images one product of their patches with the kernel, and for
somewhat larger ones of their columns with those of the kernel.  These are choices by static shape,
made in this file alone.  Other platforms keep the stock operation and its gradients.

Images so small that the kernel reaches from every pixel to every other are one row each, and the
kernel is one matrix: of the 36 taps of 3x3 on an image of 2x2 only 16 meet a pixel.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, zeros
from jax.typing import DTypeLike

from resnet_jax import winograd
from resnet_jax.linear import product
from resnet_jax.precision import at_least_single
from resnet_jax.rematerialization import keep

LAYOUT = ("NHWC", "HWIO", "NHWC")

#: Up to this many pixels in the output image, patches and one matrix product are faster; as for
#: grey images of any size.
_SMALL_IMAGE = 16

#: Up to this many, few channels are faster as products of columns.
_MEDIUM_IMAGE = 64

#: So many channels make Winograd's transforms worth their while.
_MANY_CHANNELS = 32

#: Floats of the images in one piece of a batch, so that what is made of them stays in a core's
#: second-level cache; and of those whose columns are taken, which are fastest all at once.
_SMALL_PIECE, _PIECE = 2**16, 2**17


Padding = tuple[int, int]  # before and after, in both directions


def _direct(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [padding] * 2, dimension_numbers=LAYOUT
    )


def _by_patches(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """The convolution as one product: patches ``[pixels, size² · in]`` with the kernel."""
    size = kernel.shape[0]
    patches = jnp.pad(x, [(0, 0), padding, padding, (0, 0)])
    for axis in (2, 1):  # the columns of each patch, then its rows
        reach = patches.shape[axis] - size + 1
        shifted = [
            jax.lax.slice_in_dim(patches, first, first + reach, stride, axis)
            for first in range(size)
        ]
        patches = jnp.concatenate(shifted, -1)
    rows = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return rows.reshape(*patches.shape[:3], -1)


def _by_columns(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """The convolution at stride 1 as one product, ``[pixels, size · in]`` of their columns.

    Each meets all columns of the kernel at once, and the results are added where they belong.
    """
    size, (_, height, width, _) = kernel.shape[0], x.shape
    rows = jnp.pad(x, [(0, 0), padding, (0, 0), (0, 0)])
    columns = jnp.concatenate([rows[:, i : i + height] for i in range(size)], -1)
    taps = kernel.swapaxes(1, 2).reshape(columns.shape[-1], -1)  # [row, in] x [column, out]
    met = (columns.reshape(-1, columns.shape[-1]) @ taps).reshape(*x.shape[:3], size, -1)
    met = jnp.pad(met, [(0, 0), (0, 0), padding, (0, 0), (0, 0)])
    return functools.reduce(jnp.add, (met[:, :, j : j + width, j] for j in range(size)))


def _suits_winograd(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> bool:
    even = x.shape[1] % 2 == x.shape[2] % 2 == 0
    return (
        even
        and (stride, padding, kernel.shape[0]) == (1, (1, 1), 3)
        and min(kernel.shape[2:]) >= _MANY_CHANNELS
    )


def _in_pieces(of_piece: Callable, x: jax.Array, most: int) -> jax.Array:
    """A map of images, of a piece of the batch after the other."""
    y = jax.lax.map(of_piece, _cut(x, _pieces(x, x, most)))
    return y.reshape(x.shape[0], *y.shape[2:])


def _on_cpu(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    if _suits_winograd(x, kernel, stride, padding):
        return _in_pieces(lambda piece: winograd.convolve_3x3(piece, kernel), x, _SMALL_PIECE)
    pixels = -(-x.shape[1] // stride) * -(-x.shape[2] // stride)
    if pixels <= _SMALL_IMAGE or x.shape[-1] == 1:
        return _by_patches(x, kernel, stride, padding)
    if stride == 1 and pixels <= _MEDIUM_IMAGE and max(kernel.shape[2:]) < _MANY_CHANNELS:
        return _in_pieces(lambda piece: _by_columns(piece, kernel, padding), x, _PIECE)
    return _direct(x, kernel, stride, padding)


def _even(size: int) -> Padding:
    return (size - 1) // 2, (size - 1) // 2


def _phases(x: jax.Array, stride: int) -> jax.Array:
    """Every ``stride``-th pixel of an image as a pixel, those between as more of its features."""
    batch, height, width, features = x.shape
    x = jnp.pad(x, [(0, 0), (0, -height % stride), (0, -width % stride), (0, 0)])
    x = x.reshape(batch, x.shape[1] // stride, stride, -1, stride, features)
    return x.swapaxes(2, 3).reshape(*x.shape[:2], x.shape[3], -1)


def _phases_of_kernel(kernel: jax.Array, stride: int) -> tuple[jax.Array, Padding]:
    """The kernel of stride 1 that does to phases what ``kernel`` does to the image; its padding."""
    size, margin = kernel.shape[0], (kernel.shape[0] - 1) // 2
    before, after = -(-margin // stride), margin // stride
    first = before * stride - margin
    last = (before + 1 + after) * stride - size - first
    kernel = jnp.pad(kernel, [(first, last), (first, last), (0, 0), (0, 0)])
    pixels = before + 1 + after
    kernel = kernel.reshape(pixels, stride, pixels, stride, *kernel.shape[2:])
    return kernel.swapaxes(1, 2).reshape(pixels, pixels, -1, kernel.shape[-1]), (before, after)


def _pieces(x: jax.Array, y: jax.Array, size: int) -> int:
    """Into how many equal pieces the batch is cut: the fewest that fit, of those that divide it."""
    batch, most = x.shape[0], max(size // max(x[0].size, y[0].size), 1)
    counts = (count for count in range(1, batch + 1) if batch % count == 0)
    return next(count for count in counts if batch // count <= most)


def _cut(array: jax.Array, pieces: int) -> jax.Array:
    return array.reshape(pieces, -1, *array.shape[1:])


def _by_shifts(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
    """The weight gradient as one product: the tap (i, j) is row shift i of dy times column j of x.

    ``x[pixels, size · in]`` in its shifts along the width and ``dy[pixels, size · out]`` in its
    shifts along the height, which are those of x the other way round.
    """
    before, after = padding
    size, (_, height, width, _) = before + after + 1, x.shape
    columns = jnp.pad(x, [(0, 0), (0, 0), padding, (0, 0)])
    columns = jnp.concatenate([columns[:, :, j : j + width] for j in range(size)], -1)
    rows = jnp.pad(dy, [(0, 0), (after, before), (0, 0), (0, 0)])
    rows = jnp.concatenate([rows[:, i : i + height] for i in reversed(range(size))], -1)
    taps = columns.reshape(-1, columns.shape[-1]).T @ rows.reshape(-1, rows.shape[-1])
    return taps.reshape(size, x.shape[-1], size, dy.shape[-1]).transpose(2, 0, 1, 3)


def _weight_gradient(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
    """The kernel's gradient at stride 1, summed over pieces of the batch."""
    pieces, size = _pieces(x, dy, _SMALL_PIECE), sum(padding) + 1
    if pieces == 1:
        return _by_shifts(x, dy, padding)

    def add(total, piece):
        return total + _by_shifts(*piece, padding), None

    start = jnp.zeros((size, size, x.shape[-1], dy.shape[-1]), x.dtype)
    return jax.lax.scan(add, start, (_cut(x, pieces), _cut(dy, pieces)))[0]


def _gradients_on_cpu(x, kernel, dy, stride):
    # Of the phases, whose convolution has stride 1; to and from them is a linear map.
    phases, image_of = jax.vjp(lambda x: _phases(x, stride), x)
    kernel, kernel_of, (before, after) = jax.vjp(
        lambda kernel: _phases_of_kernel(kernel, stride), kernel, has_aux=True
    )
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    d_phases = _on_cpu(dy, turned, 1, (after, before))
    return *image_of(d_phases), *kernel_of(_weight_gradient(phases, dy, (before, after)))


def _widened(function: Callable, *arrays: jax.Array, **options):
    """In single precision at least, rounded at the end: CPUs have nothing faster."""
    results = function(*map(at_least_single, arrays), **options)
    return jax.tree.map(lambda result: result.astype(arrays[0].dtype), results)


def _stock_gradients(x, kernel, dy, stride):
    padding = _even(kernel.shape[0])
    stock = functools.partial(_direct, stride=stride, padding=padding)
    return jax.vjp(stock, x, kernel)[1](dy)


def _value(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    padding = _even(kernel.shape[0])
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_widened, _on_cpu, stride=stride, padding=padding),
        default=functools.partial(_direct, stride=stride, padding=padding),
    )


_convolve = jax.custom_vjp(_value, nondiff_argnums=(2,))


def _forward(x, kernel, stride):  # of plain operations, so that gradients have a forward mode
    return keep(_value(x, kernel, stride)), (x, kernel)


def _backward(stride, residuals, dy):
    return jax.lax.platform_dependent(
        *residuals,
        dy,
        cpu=functools.partial(_widened, _gradients_on_cpu, stride=stride),
        default=functools.partial(_stock_gradients, stride=stride),
    )


_convolve.defvjp(_forward, _backward)


def _kernel_of_image(kernel: jax.Array, height: int, width: int) -> jax.Array:
    """The matrix ``[height · width · in, height · width · out]`` that a kernel is to small images.

    Pixel i of the input reaches pixel k of the output by the tap i - k + (size - 1) / 2.
    """
    middle, turned = (kernel.shape[0] - 1) // 2, kernel[::-1, ::-1]

    def reached(array, pixel, length, axis):
        return jax.lax.slice_in_dim(array, middle - pixel, middle - pixel + length, axis=axis)

    rows = jnp.stack([reached(turned, pixel, height, 0) for pixel in range(height)])
    both = jnp.stack([reached(rows, pixel, width, 2) for pixel in range(width)])
    # [column in, row in, row out, column out, in, out]
    matrix = both.transpose(1, 0, 4, 2, 3, 5)
    return matrix.reshape(height * width * kernel.shape[2], -1)


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Cross-correlation of images with a square kernel, padded by (size - 1) / 2 on every side.

    Differentiable in reverse mode, any number of times, and its gradients in forward mode; forward
    mode alone is a ``TypeError``.

    Args:
      x: images ``[batch, height, width, in]``.
      kernel: ``[size, size, in, out]``, of odd size.
      stride: the step between pixels of the output, in both directions.

    Returns:
      Images ``[batch, ⌈height / stride⌉, ⌈width / stride⌉, out]``.

    Raises:
      ValueError: the kernel is not square, not of odd size, or of another number of channels.
    """
    size = kernel.shape[0]
    if kernel.ndim != 4 or kernel.shape[1] != size or size % 2 == 0 or stride < 1:
        raise ValueError(
            f"a kernel is [size, size, in, out] with an odd size and a stride from 1 up, "
            f"not {kernel.shape} with stride {stride}"
        )
    if x.ndim != 4 or x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"images {x.shape} do not suit a kernel {kernel.shape}")
    if size == 1:
        x = x[:, ::stride, ::stride]
        return product(x.reshape(-1, x.shape[-1]), kernel[0, 0]).reshape(*x.shape[:3], -1)
    if stride == 1 and max(x.shape[1:3]) <= (size + 1) // 2:  # every pixel reaches every other
        matrix = _kernel_of_image(kernel, *x.shape[1:3])
        return product(x.reshape(x.shape[0], -1), matrix).reshape(*x.shape[:3], -1)
    return _convolve(x, kernel, stride)


class Conv(nn.Module):
    """Convolution with a learned kernel ``[size, size, in, features]``; see :func:`convolve`."""

    features: int
    size: int
    stride: int = 1
    use_bias: bool = False
    kernel_init: Initializer = nn.initializers.he_normal()
    bias_init: Initializer = zeros
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images ``[batch, height, width, in]`` to ``[batch, height', width', features]``."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        y = convolve(x, kernel, self.stride)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,))
            y += bias.reshape(1, 1, 1, -1).astype(y.dtype)
        return y
