"""Defines forms of a convolution: the formulas for it and its gradients, by platform and shape.

A form is written for one run, as all networks are.  Forms are chosen for what they become when runs
are vectorised (``vmap`` over images and kernels):

* XLA's own convolution becomes a convolution grouped by runs;
* products of patches, columns or shifts become batched matrix products;
* :data:`MAPPED` and :data:`PACKED` detect the vectorisation: the first computes one run after the
  other, the second packs several runs into one convolution of more channels.

:data:`CPU` chooses by static shape.  On CPU, XLA is fast for convolutions in one layout only, and
brings the gradients of ``lax.conv`` into that layout only outside loops; inside a scan over layers
or steps they run 30 to 100 times slower.  So the gradient of the images is written as a convolution
in that layout from the start, and the gradient of the kernel as a matrix product.  Faster formulas
replace the convolution where there are any, most of them on chunks of the batch that fit a core's
cache: Winograd's with enough channels (:mod:`resnet_jax.ops.winograd`), one product of patches with
the kernel for small images, and one of columns with those of the kernel for somewhat larger ones.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap, sequential_vmap

from resnet_jax.ops import lowerings, winograd
from resnet_jax.ops.lowerings import Padding
from resnet_jax.ops.precision import at_least_single

#: On CPU, output images of up to this many pixels are fastest as one matrix product of patches, as
#: are grey images of any size.
_SMALL_IMAGE = 16

#: Output images of up to this many pixels and few channels are fastest as products of columns.
_MEDIUM_IMAGE = 64

#: From this many channels up, Winograd's algorithm saves more than its transforms cost.
_MANY_CHANNELS = 32

#: The most floats in the images of one chunk of a batch, so that intermediate arrays stay in a
#: core's second-level cache; and the most for products of columns, which are fastest all at once.
_SMALL_CHUNK, _CHUNK = 2**16, 2**17

#: The most pixels in one partial sum of a kernel's gradient: accelerators need more such sums than
#: they have multiprocessors.
_PIXELS = 2**13

#: The most input channels of a kernel into which the kernels of several runs are packed.
_PACKED_CHANNELS = 64


class Form(NamedTuple):
    """Describes how to compute a convolution of one run, with padding (size - 1) / 2.

    Attributes:
      value: ``(x, kernel, stride) -> y``.
      gradients: ``(x, kernel, dy, stride) -> (dx, dkernel)``.
    """

    value: Callable[[jax.Array, jax.Array, int], jax.Array]
    gradients: Callable[[jax.Array, jax.Array, jax.Array, int], tuple[jax.Array, jax.Array]]


def _direct(x, kernel, stride):
    return lowerings.direct(x, kernel, stride, lowerings.even_padding(kernel.shape[0]))


def _direct_gradients(x, kernel, dy, stride):
    return jax.vjp(functools.partial(_direct, stride=stride), x, kernel)[1](dy)


#: Uses XLA's own convolution and gradients, which are grouped by runs where runs are vectorised.
STOCK = Form(_direct, _direct_gradients)


# Forms for accelerators, in addition to the stock one.


def _of_phases(convolve: Callable, x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    kernel, padding = lowerings.kernel_of_phases(kernel, stride)
    return convolve(lowerings.phases(x, stride), kernel, padding)


def _at_once(taps_of: Callable) -> Callable:
    """Sums the kernel's gradient over chunks of the batch that are computed at the same time."""

    def of_chunks(x, dy, padding):
        chunks = _chunks(x.shape[0], _PIXELS // (dy.shape[1] * dy.shape[2]))
        of_chunk = functools.partial(taps_of, padding=padding)
        return jax.vmap(of_chunk)(_cut(x, chunks), _cut(dy, chunks)).sum(0)

    return of_chunks


def _by_products(convolve: Callable, taps_of: Callable) -> Form:
    """Returns a form of matrix products, which become batched products where runs are vectorised.

    Args:
      convolve: ``(images, kernel, padding) -> images`` at stride 1.
      taps_of: ``(images, gradient, padding) -> gradient of the kernel``.
    """
    return Form(
        functools.partial(_of_phases, convolve),
        functools.partial(lowerings.gradients_by, convolve, _at_once(taps_of)),
    )


PATCHES = _by_products(
    lambda x, kernel, padding: lowerings.by_patches(x, kernel, 1, padding),
    lowerings.taps_by_patches,
)
COLUMNS = _by_products(lowerings.by_columns, lowerings.taps_by_columns)
SHIFTS = _by_products(lowerings.by_shifts, lowerings.taps_by_shifts)


def _mapped_value(x, kernel, stride):
    return sequential_vmap(functools.partial(_direct, stride=stride))(x, kernel)


def _mapped_gradients(x, kernel, dy, stride):
    return sequential_vmap(functools.partial(_direct_gradients, stride=stride))(x, kernel, dy)


#: Computes the stock form of one run after the other, even where all else is vectorised over runs.
#: Its gradients cannot be differentiated again, nor can those of :data:`PACKED`.
MAPPED = Form(_mapped_value, _mapped_gradients)


def _together(runs: int, features: int) -> int:
    """Returns how many runs are packed into one convolution."""
    most = max(1, _PACKED_CHANNELS // features)
    return max(count for count in range(1, most + 1) if runs % count == 0)


def _pack_images(x: jax.Array, count: int) -> jax.Array:
    """Packs images ``[runs, ..., features]`` into ``[runs / count, ..., count · features]``."""
    x = x.reshape(-1, count, *x.shape[1:])
    return jnp.moveaxis(x, 1, 4).reshape(x.shape[0], *x.shape[2:5], -1)


def _unpack_images(x: jax.Array, count: int) -> jax.Array:
    x = x.reshape(*x.shape[:4], count, -1)
    return jnp.moveaxis(x, 4, 1).reshape(-1, *x.shape[1:4], x.shape[-1])


def _pack_kernels(kernel: jax.Array, count: int) -> jax.Array:
    """Packs kernels ``[runs, size, size, in, out]`` as diagonal blocks of fewer, larger kernels."""
    kernel = kernel.reshape(-1, count, *kernel.shape[1:])
    blocks = jnp.einsum("gkhwio,kl->ghwkilo", kernel, jnp.eye(count, dtype=kernel.dtype))
    return blocks.reshape(*blocks.shape[:3], count * blocks.shape[4], -1)


def _unpack_kernels(kernel: jax.Array, count: int) -> jax.Array:
    groups, size, _, features, out = kernel.shape
    blocks = kernel.reshape(groups, size, size, count, features // count, count, out // count)
    blocks = jnp.moveaxis(jnp.diagonal(blocks, axis1=3, axis2=5), -1, 1)
    return blocks.reshape(-1, *blocks.shape[2:])


def _for_each(function: Callable, *arrays: jax.Array):
    """Applies a function to one group after the other, in an unrolled loop."""
    results = [function(*group) for group in zip(*arrays, strict=True)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


def _packed(alone: Callable, several: Callable) -> Callable:
    """Returns a function: ``alone`` for one run, ``several`` where all arrays are vectorised."""
    function = custom_vmap(alone)

    @function.def_vmap
    def over_runs(size, batched, *arrays):
        if all(batched):
            results = several(_together(size, arrays[0].shape[-1]), *arrays)
        else:
            axes = [0 if each else None for each in batched]
            results = jax.vmap(alone, axes, axis_size=size)(*arrays)
        return results, jax.tree.map(lambda _: True, results)

    return function


def _packed_value(x, kernel, stride):
    def several(count, x, kernel):
        packed = _pack_images(x, count), _pack_kernels(kernel, count)
        return _unpack_images(_for_each(functools.partial(_direct, stride=stride), *packed), count)

    return _packed(functools.partial(_direct, stride=stride), several)(x, kernel)


def _packed_gradients(x, kernel, dy, stride):
    one = functools.partial(_direct_gradients, stride=stride)

    def several(count, x, kernel, dy):
        kernels = _pack_kernels(kernel, count)
        packed = _pack_images(x, count), kernels, _pack_images(dy, count)
        d_images, d_kernels = _for_each(one, *packed)
        return _unpack_images(d_images, count), _unpack_kernels(d_kernels, count)

    return _packed(one, several)(x, kernel, dy)


#: Packs several runs into one convolution of up to 64 channels, with their kernels on its diagonal.
PACKED = Form(_packed_value, _packed_gradients)


# The form for CPUs.


def _chunks(batch: int, most: int) -> int:
    """Returns into how few equal chunks of at most ``most`` examples a batch can be cut."""
    counts = (count for count in range(1, batch + 1) if batch % count == 0)
    return next(count for count in counts if batch // count <= max(most, 1))


def _cut(array: jax.Array, chunks: int) -> jax.Array:
    return array.reshape(chunks, -1, *array.shape[1:])


def _suits_winograd(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> bool:
    even = x.shape[1] % 2 == x.shape[2] % 2 == 0
    return (
        even
        and (stride, padding, kernel.shape[0]) == (1, (1, 1), 3)
        and min(kernel.shape[2:]) >= _MANY_CHANNELS
    )


def _in_chunks(of_chunk: Callable, x: jax.Array, most: int) -> jax.Array:
    """Maps images by a function, one chunk of the batch after the other."""
    y = jax.lax.map(of_chunk, _cut(x, _chunks(x.shape[0], most // x[0].size)))
    return y.reshape(x.shape[0], *y.shape[2:])


def _on_cpu(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    if _suits_winograd(x, kernel, stride, padding):
        return _in_chunks(lambda chunk: winograd.convolve_3x3(chunk, kernel), x, _SMALL_CHUNK)
    pixels = -(-x.shape[1] // stride) * -(-x.shape[2] // stride)
    if pixels <= _SMALL_IMAGE or x.shape[-1] == 1:
        return lowerings.by_patches(x, kernel, stride, padding)
    if stride == 1 and pixels <= _MEDIUM_IMAGE and max(kernel.shape[2:]) < _MANY_CHANNELS:
        by_columns = lambda chunk: lowerings.by_columns(chunk, kernel, padding)
        return _in_chunks(by_columns, x, _CHUNK)
    return lowerings.direct(x, kernel, stride, padding)


def _taps_on_cpu(x: jax.Array, dy: jax.Array, padding: Padding) -> jax.Array:
    """Sums the kernel's gradient at stride 1 over chunks of the batch, one after the other."""
    most, size = _SMALL_CHUNK // max(x[0].size, dy[0].size), sum(padding) + 1
    chunks = _chunks(x.shape[0], most)
    if chunks == 1:
        return lowerings.taps_by_columns(x, dy, padding)

    def add(total, chunk):
        return total + lowerings.taps_by_columns(*chunk, padding), None

    start = jnp.zeros((size, size, x.shape[-1], dy.shape[-1]), x.dtype)
    return jax.lax.scan(add, start, (_cut(x, chunks), _cut(dy, chunks)))[0]


def _widened(function: Callable, *arguments):
    """Computes in single precision at least and rounds at the end: CPUs have nothing faster.

    The last argument is the stride.
    """
    *arrays, stride = arguments
    results = function(*map(at_least_single, arrays), stride)
    return jax.tree.map(lambda result: result.astype(arrays[0].dtype), results)


def _value_on_cpu(x, kernel, stride):
    return _on_cpu(x, kernel, stride, lowerings.even_padding(kernel.shape[0]))


_gradients_on_cpu = functools.partial(
    lowerings.gradients_by,
    lambda x, kernel, padding: _on_cpu(x, kernel, 1, padding),
    _taps_on_cpu,
)

#: Chooses formulas by static shape, for programs that loop over layers or runs on CPU.
CPU = Form(
    functools.partial(_widened, _value_on_cpu), functools.partial(_widened, _gradients_on_cpu)
)


def _of_platform(cpu: Callable, default: Callable) -> Callable:
    def function(*arguments):
        *arrays, stride = arguments
        of = lambda function: lambda *arrays: function(*arrays, stride)
        return jax.lax.platform_dependent(*arrays, cpu=of(cpu), default=of(default))

    return function


#: Uses :data:`CPU` on CPU, and :data:`STOCK` elsewhere.
BY_PLATFORM = Form(
    _of_platform(CPU.value, STOCK.value), _of_platform(CPU.gradients, STOCK.gradients)
)
