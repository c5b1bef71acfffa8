"""Predicts images and gradients in wide plain convolutional networks at initialisation, by pixel.

The taps of a kernel are independent.  So with infinitely many channels, a pixel's moment (power or
covariance) is the mean, over the pixels that a kernel reaches, of the moment after the activation,
and zero beyond the border (Xiao et al. 2018, arXiv 1806.05393, section 2, whose padding is
circular: there the mean over pixels follows the recursion of fully connected layers).  In the
backward pass, moments of gradients go the same way.  The rate at which both shrink in the end is
:func:`resnet_jax.theory.laws.padding_factor`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from resnet_jax.theory.propagation import Propagation, Setting

#: The number of taps of a kernel on a side.
_TAPS = 3


class PixelMoments(NamedTuple):
    """Holds moments over channels at every pixel ``[size, size]``, of one input or of the two.

    Attributes:
      power: E u², or that of a gradient, summed over channels.
      covariance: E uv, or that of the two inputs' gradients.
    """

    power: np.ndarray
    covariance: np.ndarray


#: A step of the forward pass, which also returns its backward pass.
Step = Callable[[PixelMoments], tuple[PixelMoments, Callable[[PixelMoments], PixelMoments]]]


def spread(x: np.ndarray, stride: int = 1) -> np.ndarray:
    """Returns the mean over the nine pixels around each ``stride``-th one of ``x[size, size]``."""
    padded = np.pad(x, _TAPS // 2)
    rows, columns = x.shape
    shifts = [padded[i : i + rows, j : j + columns] for i in range(_TAPS) for j in range(_TAPS)]
    return np.mean(shifts, axis=0)[::stride, ::stride]


def gather(x: np.ndarray, size: int, stride: int = 1) -> np.ndarray:
    """Applies the transpose of :func:`spread`, and returns an image of ``size``."""
    sparse = np.zeros((size, size))
    sparse[::stride, ::stride] = x
    return spread(sparse)  # symmetric at stride 1


def _weigh(setting: Setting, stride: int) -> Step:
    variance = setting.weight_variance

    def step(m: PixelMoments):
        size = len(m.power)
        back = lambda g: PixelMoments(*[variance * gather(x, size, stride) for x in g])
        return PixelMoments(*[variance * spread(x, stride) for x in m]), back

    return step


def _normalise(setting: Setting) -> Step:
    def step(m: PixelMoments):
        # By the power alone: batch normalisation, which needs the variance, is refused below.
        divisor = np.vectorize(setting.norm.divisor)(m.power, m.power)
        by_pixel = lambda m: PixelMoments(*[x / divisor for x in m])
        return by_pixel(m), by_pixel

    return step


def _activate(setting: Setting) -> Step:
    activation = setting.activation

    def step(m: PixelMoments):
        q, cosine = m.power, m.covariance / m.power
        slope, pair_slope = activation.slope(q, 1.0), activation.slope(q, cosine)
        after = PixelMoments(activation.power(q), activation.covariance(q, cosine))
        return after, lambda g: PixelMoments(slope * g.power, pair_slope * g.covariance)

    return step


def plain(
    strides: Sequence[int], size: int, setting: Setting, pre_activation: bool = False
) -> Propagation:
    """Follows a network of 3x3 convolutions without shortcuts, with zero-padded images.  Exact.

    Args:
      strides: stride of each block's first layer.
      size: size of the image that enters the first block, in pixels on a side, all of one power.
      setting: setting of the network, without batch normalisation and biases.  Its weights of
        shortcut and branch are ignored, and ``start`` is what it is for fully connected networks of
        this order.
      pre_activation: whether blocks normalise and activate first.

    Returns:
      Means over pixels, except for ``gradient``, which is of the sum over all pixels and channels,
      as the norm of a gradient is.

    Raises:
      ValueError: the network normalises by batches, whose pixels are not independent, or has
        biases.
    """
    if setting.norm.centres:
        raise ValueError("batch normalisation sees more of an image than its pixels one by one")
    if setting.bias_variance:
        raise ValueError("networks with biases are followed without images only")
    power, cosine, _ = setting.start
    moments = PixelMoments(np.full((size, size), power), np.full((size, size), power * cosine))
    front = [_normalise(setting), _activate(setting)]
    before, ways = [], []
    if not pre_activation:
        moments, _ = _through(front, moments)
    for stride in strides:
        weighed = [[_weigh(setting, each)] for each in (stride, *[1] * (setting.layers - 1))]
        layers = [front + weigh if pre_activation else weigh + front for weigh in weighed]
        before.append(moments)
        moments, back = _through([step for layer in layers for step in layer], moments)
        ways.append(back)
    before.append(moments)
    return _assemble(before, ways, front if pre_activation else [], setting)


def _through(
    steps: Sequence[Step], m: PixelMoments
) -> tuple[PixelMoments, Callable[[PixelMoments], PixelMoments]]:
    """Applies several steps, and returns the moments after them and their backward pass."""
    ways = []
    for step in steps:
        m, way = step(m)
        ways.append(way)

    def back(gradient: PixelMoments) -> PixelMoments:
        for way in reversed(ways):
            gradient = way(gradient)
        return gradient

    return m, back


def _assemble(before, ways, behind, setting: Setting) -> Propagation:
    """Returns arrays with a depth axis, from moments between blocks and blocks' backward passes."""
    # After the last activation the head averages over pixels, so that all count alike.
    ones = np.ones_like(before[-1].power)
    last = _through(behind, before[-1])[1](PixelMoments(ones, ones)).power
    gradients = [PixelMoments(last, setting.gradient_correlation * last)]
    for way in reversed(ways):
        gradients.append(way(gradients[-1]))
    gradients.reverse()
    mean = lambda field, each: np.array([getattr(m, field).mean() for m in each])
    total = np.array([m.power.sum() for m in gradients])
    power, covariance = mean("power", before), mean("covariance", before)
    return Propagation(
        power,
        power - covariance,
        covariance / power,
        total / total[-1],
        np.array([m.covariance.sum() for m in gradients]) / total,
    )
