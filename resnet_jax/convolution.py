"""Convolution with gradients that stay fast inside loops on CPU.

XLA on CPU is fast for convolutions in one layout only (images NHWC, kernels HWIO), and brings the
gradients of ``lax.conv`` into it only outside loops; inside a scan over layers or steps they run 30
to 100 times slower.  Here both gradients are written as convolutions in that layout to begin with:

    y  = x ∗ w                        (padding (size - 1) / 2 on each side)
    dx = dy' ∗ flip(w)ᵀ               (dy' is dy, dilated by the stride)
    dw = xᵀ ∗ dy', channels of x in the place of the batch, and the batch in that of channels

Small images are convolved as one product of their patches with the kernel, and the weight gradient
is accumulated over pieces of the batch that stay in a core's cache: choices by static shape, made
in this file alone.  Other platforms keep the stock operation and its gradients.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, zeros

from resnet_jax.linear import product

LAYOUT = ("NHWC", "HWIO", "NHWC")

#: Up to this many pixels in the output image, patches and one matrix product are faster.
_SMALL_IMAGE = 16

#: Floats of the activations in one piece of a weight gradient: half of a core's second-level cache.
_PIECE = 2**17


def _direct(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    before = (kernel.shape[0] - 1) // 2
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [(before, before)] * 2, dimension_numbers=LAYOUT
    )


def _by_patches(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The convolution as one product: patches ``[pixels, size² · in]`` with the kernel."""
    size, before = kernel.shape[0], (kernel.shape[0] - 1) // 2
    batch, height, width, features = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    padded = jnp.pad(x, [(0, 0), (before, before), (before, before), (0, 0)])
    shifted = [
        jax.lax.slice(
            padded,
            (0, down, right, 0),
            (batch, down + (rows - 1) * stride + 1, right + (columns - 1) * stride + 1, features),
            (1, stride, stride, 1),
        )
        for down in range(size)
        for right in range(size)
    ]
    patches = jnp.concatenate(shifted, -1).reshape(-1, size * size * features)
    y = patches @ kernel.reshape(-1, kernel.shape[-1])
    return y.reshape(batch, rows, columns, -1)


def _on_cpu(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    pixels = -(-x.shape[1] // stride) * -(-x.shape[2] // stride)
    return (_by_patches if pixels <= _SMALL_IMAGE else _direct)(x, kernel, stride)


def _dilated(dy: jax.Array, shape: tuple[int, ...], stride: int) -> jax.Array:
    """``dy`` at every ``stride``-th pixel of an image of zeros, of the size of ``x``."""
    if stride == 1:
        return dy
    return jnp.zeros((*shape[:3], dy.shape[-1]), dy.dtype).at[:, ::stride, ::stride].set(dy)


def _pieces(x: jax.Array, dy: jax.Array) -> int:
    """Into how many equal pieces the batch is cut: the fewest that fit, of those that divide it."""
    batch, most = x.shape[0], max(_PIECE // max(x[0].size, dy[0].size), 1)
    counts = (count for count in range(1, batch + 1) if batch % count == 0)
    return next(count for count in counts if batch // count <= most)


def _piece_of_weight_gradient(x: jax.Array, dy: jax.Array, size: int) -> jax.Array:
    before = (size - 1) // 2
    dw = jax.lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        dy.transpose(1, 2, 0, 3),
        (1, 1),
        [(before, before)] * 2,
        dimension_numbers=LAYOUT,
    )
    return dw.transpose(1, 2, 0, 3)


def _weight_gradient(x: jax.Array, dy: jax.Array, size: int) -> jax.Array:
    """The kernel's gradient at stride 1, summed over pieces of the batch."""
    pieces = _pieces(x, dy)
    if pieces == 1:
        return _piece_of_weight_gradient(x, dy, size)
    cut = lambda array: array.reshape(pieces, -1, *array.shape[1:])

    def add(total, piece):
        return total + _piece_of_weight_gradient(piece[0], piece[1], size), None

    start = jnp.zeros((size, size, x.shape[-1], dy.shape[-1]), x.dtype)
    return jax.lax.scan(add, start, (cut(x), cut(dy)))[0]


def _gradients_on_cpu(x, kernel, dy, stride):
    dy = _dilated(dy, x.shape, stride)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return _on_cpu(dy, turned, 1), _weight_gradient(x, dy, kernel.shape[0])


def _stock_gradients(x, kernel, dy, stride):
    return jax.vjp(functools.partial(_direct, stride=stride), x, kernel)[1](dy)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_on_cpu, stride=stride),
        default=functools.partial(_direct, stride=stride),
    )


def _forward(x, kernel, stride):
    return _convolve(x, kernel, stride), (x, kernel)


def _backward(stride, residuals, dy):
    return jax.lax.platform_dependent(
        *residuals,
        dy,
        cpu=functools.partial(_gradients_on_cpu, stride=stride),
        default=functools.partial(_stock_gradients, stride=stride),
    )


_convolve.defvjp(_forward, _backward)


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Cross-correlation of images with a square kernel, padded by (size - 1) / 2 on every side.

    Differentiable once in reverse mode, in both arguments; forward mode is a ``TypeError``.

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
    return _convolve(x, kernel, stride)


class Conv(nn.Module):
    """Convolution with a learned kernel ``[size, size, in, features]``; see :func:`convolve`."""

    features: int
    size: int
    stride: int = 1
    use_bias: bool = False
    kernel_init: Initializer = nn.initializers.he_normal()
    bias_init: Initializer = zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images ``[batch, height, width, in]`` to ``[batch, height', width', features]``."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        y = convolve(x, self.param("kernel", self.kernel_init, shape), self.stride)
        if self.use_bias:
            y += self.param("bias", self.bias_init, (self.features,)).reshape(1, 1, 1, -1)
        return y
