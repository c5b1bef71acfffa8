"""Implements convolution, with custom gradients where XLA compiles the stock ones badly.

A form (:mod:`resnet_jax.ops.forms`) says which formulas compute a convolution.  The default form
stays fast inside loops on CPU, and is XLA's own convolution elsewhere.

An image so small that the kernel reaches from every pixel to every other is flattened to one row,
and the kernel becomes one dense matrix: of the 4 · 9 = 36 taps of a 3x3 kernel on a 2x2 image, only
16 meet a pixel.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, zeros
from jax.typing import DTypeLike

from resnet_jax.ops import forms
from resnet_jax.ops.forms import Form
from resnet_jax.ops.linear import product
from resnet_jax.ops.rematerialization import keep


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x: jax.Array, kernel: jax.Array, stride: int, form: Form) -> jax.Array:
    return form.value(x, kernel, stride)


def _forward(x, kernel, stride, form):  # plain operations, so that gradients have a forward mode
    return keep(form.value(x, kernel, stride)), (x, kernel)


def _backward(stride, form, residuals, dy):
    return form.gradients(*residuals, dy, stride)


_convolve.defvjp(_forward, _backward)


def _kernel_of_image(kernel: jax.Array, height: int, width: int) -> jax.Array:
    """Returns a kernel's matrix ``[height · width · in, height · width · out]`` for small images.

    Pixel i of the input reaches pixel k of the output through tap i - k + (size - 1) / 2.
    """
    middle, turned = (kernel.shape[0] - 1) // 2, kernel[::-1, ::-1]

    def reached(array, pixel, length, axis):
        return jax.lax.slice_in_dim(array, middle - pixel, middle - pixel + length, axis=axis)

    rows = jnp.stack([reached(turned, pixel, height, 0) for pixel in range(height)])
    both = jnp.stack([reached(rows, pixel, width, 2) for pixel in range(width)])
    # [column in, row in, row out, column out, in, out]
    matrix = both.transpose(1, 0, 4, 2, 3, 5)
    return matrix.reshape(height * width * kernel.shape[2], -1)


def convolve(
    x: jax.Array, kernel: jax.Array, stride: int = 1, form: Form = forms.BY_PLATFORM
) -> jax.Array:
    """Cross-correlates images with a square kernel, zero-padded by (size - 1) / 2 on every side.

    It can be differentiated in reverse mode any number of times, and its gradients in forward mode;
    forward mode alone raises a ``TypeError``.  The forms ``MAPPED`` and ``PACKED`` can be
    differentiated only once.

    Args:
      x: images ``[batch, height, width, in]``.
      kernel: ``[size, size, in, out]``, of odd size.
      stride: step between pixels of the output, in both directions.
      form: formulas that compute it; all forms give the same result up to rounding errors.

    Returns:
      Images ``[batch, ⌈height / stride⌉, ⌈width / stride⌉, out]``.

    Raises:
      ValueError: the kernel is not square, its size is not odd, the stride is below 1, or the
        numbers of channels of images and kernel differ.
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
    if stride == 1 and max(x.shape[1:3]) <= (size + 1) // 2:  # every pixel sees all others
        matrix = _kernel_of_image(kernel, *x.shape[1:3])
        return product(x.reshape(x.shape[0], -1), matrix).reshape(*x.shape[:3], -1)
    return _convolve(x, kernel, stride, form)


class Conv(nn.Module):
    """Convolves with a learned kernel ``[size, size, in, features]``; see :func:`convolve`."""

    features: int
    size: int
    stride: int = 1
    use_bias: bool = False
    kernel_init: Initializer = nn.initializers.he_normal()
    bias_init: Initializer = zeros
    dtype: DTypeLike | None = None
    form: Form = forms.BY_PLATFORM

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images ``[batch, height, width, in]`` to ``[batch, height', width', features]``."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        y = convolve(x, kernel, self.stride, self.form)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,))
            y += bias.reshape(1, 1, 1, -1).astype(y.dtype)
        return y
