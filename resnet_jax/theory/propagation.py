"""Predicts inputs and gradients in infinitely wide networks at initialisation, block by block.

The shortcut and branch of a block are weighted by w and b as in :mod:`resnet_jax.nn.blocks`.  A
layer's weights are independent, of mean 0 and variance σ²/n, where n is the number of its input
units, and its biases have variance σb².  Power is the mean square over units.  Two inputs are
followed, and what all inputs have in common: for batch normalisation, the batch is infinite.

Sources: power and angle, Poole et al. 2016 (arXiv 1606.05340, section 2); gradients, Schoenholz et
al. 2017 (arXiv 1611.01232); residual networks, Yang & Schoenholz 2017 (arXiv 1712.08969); batch
normalisation, Yang et al. 2019 (arXiv 1902.08129).
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from resnet_jax.nn.activations import Activation, relu


class Norm(NamedTuple):
    """Describes a normalisation in wide networks.

    Attributes:
      divisor: ``(power, variance)`` of the input, over units and over inputs, to the square of what
        the input is divided by.
      centres: whether it subtracts what all inputs have in common.
    """

    divisor: Callable[[float, float], float]
    centres: bool = False


#: No normalisation.
NONE = Norm(lambda power, variance: 1.0)

#: Batch normalisation over an infinite batch.
BATCH = Norm(lambda power, variance: variance, centres=True)

#: Layer normalisation over infinitely many units of mean 0, as units after random weights are.
LAYER = Norm(lambda power, variance: power)


class Start(NamedTuple):
    """Describes the output of the stem, before any normalisation or activation.

    Attributes:
      power: power of one input.
      cosine: cosine between the two inputs that are followed.
      common: fraction of the power that is the same for all inputs (that of their mean); only batch
        normalisation uses it.  None for that of two typical inputs, ``cosine``.
    """

    power: float = 1.0
    cosine: float = 0.0
    common: float | None = None


@dataclasses.dataclass(frozen=True)
class Setting:
    """Describes a network, except for its depth and the order of its blocks.

    Attributes:
      activation: φ, from :mod:`resnet_jax.nn.activations`.
      norm: :data:`NONE`, :data:`BATCH` or :data:`LAYER`.
      shortcut_weight: w.
      branch_weight: b.
      weight_variance: σ², 2 for He's initialisation and 1 for LeCun's.
      bias_variance: σb², of the biases that every layer of a branch adds to its units.
      layers: number of weight layers in a branch.
      start: input of the first block, or, in the original order, of the normalisation and
        activation in front of it.
      gradient_correlation: cosine of the two inputs' gradients after the last block.

    Raises:
      ValueError: a number is out of its range, or neither shortcut nor branch carries anything.
    """

    activation: Activation = relu
    norm: Norm = NONE
    shortcut_weight: float = 1.0
    branch_weight: float = 1.0
    weight_variance: float = 2.0
    bias_variance: float = 0.0
    layers: int = 2
    start: Start = Start()
    gradient_correlation: float = 1.0

    def __post_init__(self):
        if self.shortcut_weight < 0 or not (self.shortcut_weight or self.branch_weight):
            raise ValueError("shortcut weights are not negative, and not zero beside a zero branch")
        if self.layers < 1:
            raise ValueError(f"a branch has at least one layer, not {self.layers}")
        if not (self.weight_variance > 0 and self.start.power > 0):
            raise ValueError("weights and start need a positive variance and power")
        if self.bias_variance < 0:
            raise ValueError(f"the variance of biases is not negative, as {self.bias_variance} is")
        if not all(abs(c) <= 1 for c in (self.start.cosine, self.gradient_correlation)):
            raise ValueError("cosines lie between -1 and 1")


class Propagation(NamedTuple):
    """Holds predictions between blocks ``[blocks + 1]``, from the first input to the last output.

    Attributes:
      power: mean square of an input's activations; infinite beyond 1e308.
      variance: mean square of their distance to the mean over all inputs; without batch
        normalisation, over inputs that all have the cosine of the two.
      cosine: cosine of the two inputs' activations, without subtracting a mean.
      gradient: mean square of the gradient with respect to the activations, relative to that after
        the last block.  Statistics of batch normalisation are held constant.  This includes
        gradients of a loss if their mean over the batch vanishes, as it does on balanced classes.
      gradient_correlation: cosine of the two inputs' gradients.
    """

    power: np.ndarray
    variance: np.ndarray
    cosine: np.ndarray
    gradient: np.ndarray
    gradient_correlation: np.ndarray


class Moments(NamedTuple):
    """Holds the moments of one layer's units, and of derivatives through the layers so far.

    Attributes:
      power: E u².
      covariance: E uv, of the two inputs.
      common: power of the mean over all inputs.
      slope: mean square of the derivative of a unit here with respect to those the layers began
        with, summed over the latter.
      pair_slope: the same for the product of the two inputs' derivatives.
    """

    power: float
    covariance: float
    common: float
    slope: float = 1.0
    pair_slope: float = 1.0


def weigh(m: Moments, variance: float, bias: float = 0.0) -> Moments:
    """Returns the moments after a layer's weights and biases.

    ``variance`` is that of a weight times the number of input units.  A bias is the same for all
    inputs, and adds nothing to derivatives: q' = σ² q + σb² (Poole et al. 2016, eq. 3; Schoenholz
    et al. 2017, section 2).
    """
    power, covariance, common, *slopes = (variance * moment for moment in m)
    return Moments(power + bias, covariance + bias, common + bias, *slopes)


def affine(m: Moments, setting: Setting, scale: float = 0.0) -> Moments:
    """Returns the moments after a layer's weights and biases, both in units of e^``scale``."""
    bias = setting.bias_variance and setting.bias_variance * float(np.exp(-scale))
    return weigh(m, setting.weight_variance, bias)


def normalise(m: Moments, norm: Norm) -> Moments:
    """Returns the moments after a normalisation."""
    divisor = norm.divisor(m.power, m.power - m.common)
    taken = m.common if norm.centres else 0.0
    return Moments(
        (m.power - taken) / divisor,
        (m.covariance - taken) / divisor,
        (m.common - taken) / divisor,
        m.slope / divisor,
        m.pair_slope / divisor,
    )


def activate(m: Moments, activation: Activation) -> Moments:
    """Returns the moments after the activation, if units are Gaussian in front of it."""
    q, cosine = m.power, m.covariance / m.power
    return Moments(
        float(activation.power(q)),
        float(activation.covariance(q, cosine)),
        float(activation.covariance(q, m.common / q)),
        m.slope * float(activation.slope(q, 1.0)),
        m.pair_slope * float(activation.slope(q, cosine)),
    )


def begin(setting: Setting) -> Moments:
    """Returns the moments of the stem's output."""
    power, cosine, common = setting.start
    return Moments(power, power * cosine, power * (cosine if common is None else common))


def pre_activation(blocks: int, setting: Setting) -> Propagation:
    """Follows a network whose blocks normalise and activate first.  Exact.

    With x a moment between inputs (power or covariance) and f the branch's layers,
    x' = w² x + b² f(x).  In the backward pass, the gradient's moments are multiplied by w² + b²
    f'(x) at each block (Yang & Schoenholz 2017): units of a branch are independent of those on the
    shortcut.  At w = 0 this is a plain network.

    Args:
      blocks: number of blocks.
      setting: setting of the network.

    Raises:
      ValueError: the number of blocks is negative.
    """
    w2, b2 = setting.shortcut_weight**2, setting.branch_weight**2
    moments, factors, scales = [begin(setting)], [], [0.0]
    for _ in range(_counted(blocks)):
        m, scale = unit(moments[-1], setting)
        end = m
        for _ in range(setting.layers):
            end = activate(normalise(end, setting.norm), setting.activation)
            end = affine(end, setting, scales[-1] + scale)
        end = Moments(*[w2 * x + b2 * y for x, y in zip(m, end, strict=True)])
        moments.append(end._replace(slope=1.0, pair_slope=1.0))
        factors.append((end.slope, end.pair_slope))
        scales.append(scales[-1] + scale)
    return assemble(moments, scales, factors, setting)


def plain(blocks: int, setting: Setting) -> Propagation:
    """Follows the original order without shortcuts (w = 0), between activations.  Exact.

    Moments pass through weights, normalisation and activation in each layer (Poole et al. 2016,
    eqs. 3 and 5).  Those of gradients are multiplied by σ² E φ'(u)φ'(v) in each, over what
    normalisations divide by (Schoenholz et al. 2017).  The shortcut weight is ignored.

    Args:
      blocks: number of blocks.
      setting: setting of the network.

    Raises:
      ValueError: the number of blocks is negative.
    """
    start = activate(normalise(begin(setting), setting.norm), setting.activation)
    moments, factors, scales = [start._replace(slope=1.0, pair_slope=1.0)], [], [0.0]
    for _ in range(_counted(blocks)):
        end, scale = unit(moments[-1], setting)
        for index in range(setting.layers):
            end = normalise(affine(end, setting, scales[-1] + scale), setting.norm)
            if index == setting.layers - 1:
                end = weigh(end, setting.branch_weight**2)
            end = activate(end, setting.activation)
        moments.append(end._replace(slope=1.0, pair_slope=1.0))
        factors.append((end.slope, end.pair_slope))
        scales.append(scales[-1] + scale)
    return assemble(moments, scales, factors, setting)


def unit(m: Moments, setting: Setting) -> tuple[Moments, float]:
    """Returns the moments over their power, and its logarithm, where the activation is homogeneous.

    It does so only without normalisation, where powers may leave the range of floating-point
    numbers long before anything else does.  Biases must be taken in the same unit.
    """
    if not setting.activation.homogeneous or setting.norm is not NONE:
        return m, 0.0
    shares = m._replace(power=1.0, covariance=m.covariance / m.power, common=m.common / m.power)
    return shares, float(np.log(m.power))


def assemble(moments, scales, factors, setting: Setting) -> Propagation:
    """Returns arrays with a depth axis.

    Args:
      moments: ``[blocks + 1]``.
      scales: ``[blocks + 1]``, logarithms of the factors on the moments.
      factors: ``[blocks]``, factors of a block on squared gradients, and on the pair's products.
      setting: setting of the network.
    """
    power, covariance, common = np.array([m[:3] for m in moments]).T
    back = lambda values: np.append(np.cumsum(np.asarray(values, float)[::-1])[::-1], 0.0)
    slope, pair_slope = np.array(factors, float).reshape(-1, 2).T
    common = common if setting.norm.centres else covariance
    shrinking = np.append(np.cumprod((pair_slope / slope)[::-1])[::-1], 1.0)
    with np.errstate(over="ignore", divide="ignore"):
        # Logarithms are added, because 0 times an infinite scale must be 0.
        scaled = lambda moment: np.exp(np.log(np.maximum(moment, 0)) + scales)
        return Propagation(
            scaled(power),
            scaled(power - common),
            covariance / power,
            np.exp(back(np.log(slope))),
            setting.gradient_correlation * shrinking,
        )


def _counted(blocks: int) -> int:
    if blocks < 0:
        raise ValueError(f"a network has no or more blocks, not {blocks}")
    return blocks
