"""Computes closed forms for deep networks: paths, singular values, depth scales, multipliers.

:mod:`resnet_jax.theory.propagation` and :mod:`resnet_jax.theory.particles` follow a network from
block to block; here are single numbers and laws.  "Exact" means exact for infinitely wide networks,
where the law is about networks.  A law that holds only in the limit of great depth or size, or that
is read off a numerical result, says so.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from resnet_jax.nn.activations import cosine_map, cosine_slope
from resnet_jax.theory.propagation import Propagation, Setting, Start, pre_activation

Follow = Callable[[int, Setting], Propagation]


def path_lengths(blocks: int, weight: float = 1.0) -> np.ndarray:
    """Returns the fraction of paths of each length, or of what comes along them.  Exact.

    P(m) = binom(B, m) r^m / (1 + r)^B: each of 2^B paths takes a block's branch or its shortcut
    (Veit et al. 2016, arXiv 1605.06431, sections 3 and 5).

    Args:
      blocks: B.
      weight: r, the weight of a branch relative to a shortcut; 1 counts paths, and the ratio of
        their squared gradients (b² times the branch's over w²) tells how much of the gradient each
        length brings.

    Returns:
      ``[blocks + 1]``, by the number of branches passed.

    Raises:
      ValueError: the weight or the number of blocks is negative.
    """
    if blocks < 0 or weight < 0:
        raise ValueError(f"neither blocks ({blocks}) nor weight ({weight}) may be negative")
    from scipy import stats  # its import takes a second, which training need not wait for

    return stats.binom.pmf(np.arange(blocks + 1), blocks, weight / (1 + weight))


def expected_blocks(blocks: int, last: float = 0.5) -> float:
    """Returns how many branches survive stochastic depth on average, B - (1 - p)(B + 1)/2.  Exact.

    At p = 1/2 it is (3B - 1)/4 (Huang et al. 2016, arXiv 1603.09382, section 3).

    Args:
      blocks: B.
      last: p, the probability of survival of the last branch; see
        :func:`resnet_jax.nn.branches.survival`.
    """
    return blocks - (1 - last) * (blocks + 1) / 2


def product_singular_value(layers: int) -> float:
    """Returns the squared largest singular value of a product of Gaussian matrices.

    It is (L + 1)^(L + 1) / L^L for L square matrices of variance 1/n, as n goes to infinity with L
    fixed (Penson & Życzkowski 2011, arXiv 1103.3453): asymptotic in size.  The mean square of all
    singular values is 1.  A product of orthogonal matrices has 1 (Saxe et al. 2013,
    arXiv 1312.6120).
    """
    return (layers + 1) * (1 + 1 / layers) ** layers if layers else 1.0


def batch_norm_explosion(batch: int | None = None) -> float:
    """Returns how squared gradients grow per plain layer of ReLU and batch normalisation.  Exact.

    λ = (B - 2 + C(c) + C'(c)) / ((B - 3)(1 - C(c))),  c = -1/(B - 1),

    where C is :func:`resnet_jax.nn.activations.cosine_map`, and λ = π/(π - 1) for an infinite batch
    (Yang et al. 2019, arXiv 1902.08129).  Normalised units are uniform on a sphere over the batch:
    its radius gives 1/(B - 3), and the projections in the gradient give C and C'.  The law holds
    for layers far from both ends and gradients that differ from example to example, whatever the
    variance of the weights.

    Args:
      batch: B, the number of examples; None for infinitely many.

    Raises:
      ValueError: with three examples or fewer the mean is infinite.
    """
    if batch is None:
        return np.pi / (np.pi - 1)
    if batch < 4:
        raise ValueError(f"at least four examples are needed, not {batch}")
    c = -1 / (batch - 1)
    map_, slope = float(cosine_map(c)), float(cosine_slope(c))
    return (batch - 2 + map_ + slope) / ((batch - 3) * (1 - map_))


def shortcut_explosion(shortcut_weight: float, layers: int = 2) -> float:
    """Returns how squared gradients grow per block, with normalised ReLU branches.

    It is w² + (1 - w²) k^m, k = π/(π - 1), for pre-activation blocks of m layers, w < 1, an
    infinite batch, and any branch weight.  This is exact once the variance over the batch has
    settled, where the branch makes up for what the shortcut takes away.  At w = 1 growth falls with
    depth as 1 + k²/l instead.

    Raises:
      ValueError: the weight is not in [0, 1).
    """
    if not 0 <= shortcut_weight < 1:
        raise ValueError(f"the variance settles for weights in [0, 1), not at {shortcut_weight}")
    return shortcut_weight**2 + (1 - shortcut_weight**2) * batch_norm_explosion() ** layers


def alignment(layers: int, shortcut_weight: float = 0.0) -> float:
    """Returns how far the cosine of two inputs is from 1 after many ReLU layers.

    Asymptotically in depth, 1 - c ≈ 9π² / (2 (1 - w²)² L²) for branches of one layer and
    weight √(1 - w²), without normalisation: from 1 - C(1 - δ) = δ - (2√2/3π) δ^(3/2) + O(δ^(5/2)).
    """
    return 9 * np.pi**2 / (2 * ((1 - shortcut_weight**2) * layers) ** 2)


def padding_factor(size: int) -> float:
    """Returns the factor of a 3x3 layer on power, due to zero padding.  Asymptotic in depth.

    It is ((1 + 2 cos(π/(n + 1))) / 3)², for ReLU networks with He's initialisation, plain and
    without normalisation.  After such a layer the power of a pixel is the mean over the nine pixels
    around it, of which those beyond the border are zero.  The factor is the largest eigenvalue of
    that mean, which is symmetric, so that squared gradients shrink alike.  With circular padding it
    would be 1, and the power averaged over pixels would follow the recursion of fully connected
    networks (Xiao et al. 2018, arXiv 1806.05393, section 2).

    Args:
      size: n, pixels on a side.

    Raises:
      ValueError: the size is less than 1.
    """
    if size < 1:
        raise ValueError(f"an image has one pixel or more on a side, not {size}")
    return float(((1 + 2 * np.cos(np.pi / (size + 1))) / 3) ** 2)


def depth_multipliers(growth: float, alpha: float, adaptive: bool = True) -> tuple[float, float]:
    """Returns the factors on branches and on the rates of their weights as a network deepens.

    They are (m^-α, m^(α-1)) for Adam and (m^-α, m^(2α-1)) for gradient descent, with momentum or
    without: α = 1/2 is depth-μP (Yang et al. 2023, arXiv 2310.02244; Bordelon et al. 2023,
    arXiv 2309.16620), α = 1 is CompleteP (Dey et al. 2025, arXiv 2505.01618).

    The requirement is that a step moves the last features equally at every depth.  With
    a[l+1] = a[l] + m^-α F(a[l], W[l]), a change ΔW of the weights of all of the m blocks moves the
    last features by m · m^-α · ΔW.  Adam's ΔW is the rate r, whatever the gradient's size, so that
    m^(1-α) r must not depend on m.  The ΔW of gradient descent is r times a gradient, which
    contains the branch's m^-α once more, so that m^(1-2α) r must not.

    Args:
      growth: m, the number of blocks over that at which the rate was chosen.
      alpha: α.
      adaptive: whether the size of updates does not depend on that of the gradient, as with Adam.

    Returns:
      The factor on the branch, and that on the learning rate of its layers.
    """
    return growth**-alpha, growth ** (alpha - 1 if adaptive else 2 * alpha - 1)


def feature_change(
    blocks: int, branch: float, rate: float, adaptive: bool, power: float | None = None
) -> float:
    """Returns how far a step moves the last features, relative to their size.  Leading order.

    Up to a constant, it is r Σ b²/p[l] for gradient descent and r Σ b/√p[l] for Adam, over blocks
    l = 1 ... B, in pre-activation networks at infinite width.  Where branches and head are
    layer-normalised, the stream has the power p[l] = p[0] + l b², the loss's gradient there falls
    like 1/√p[l], and what a branch adds arrives as b/√p[l] of the last features.  A step changes
    the branch's weights by r b/√p[l] in gradient descent and by r in Adam, along the gradient, so
    that the changes of all blocks add up.  The updates of stem and head are not counted.

    Args:
      blocks: B.
      branch: b, the same for all branches.
      rate: r, the learning rate of their weights.
      adaptive: see :func:`depth_multipliers`.
      power: p[0], relative to the power of a branch (with He's weights that is 1); None where
        branches of 1/√B or less, without layer normalisation, leave every p[l] at its initial size.

    Returns:
      The movement.  Without rates and for great depth, with b = m^-α and α ≥ 1/2, where every p[l]
      stays bounded, it goes as m^(1-2α) for gradient descent and m^(1-α) for Adam, for which
      :func:`depth_multipliers` compensates; with layer normalisation and α < 1/2, as at b = 1, p
      outgrows its initial value, and the movement grows as log B and √B respectively.
    """
    powers = np.ones(blocks) if power is None else power + branch**2 * np.arange(1, blocks + 1)
    arriving = branch / np.sqrt(powers)
    return rate * float((arriving if adaptive else arriving**2).sum())


def gradient_depth_scale(gradient: np.ndarray) -> float:
    """Fits the number of blocks in which squared gradients grow e-fold, over the middle half.

    It is ξ = 1/log χ (Schoenholz et al. 2017, arXiv 1611.01232), negative where gradients vanish;
    the quarters at both ends, where gradients settle, are left out.

    Args:
      gradient: squared gradients ``[blocks + 1]``, predicted or measured.

    Raises:
      ValueError: there are fewer than four blocks.
    """
    blocks = len(gradient) - 1
    if blocks < 4:
        raise ValueError(f"a depth scale needs at least four blocks, not {blocks}")
    first, last = blocks // 4, blocks - blocks // 4
    growth = np.log(gradient[first] / gradient[last])
    with np.errstate(divide="ignore"):
        return float(np.divide(last - first, growth))


def depth_of(
    follow: Follow, setting: Setting, reached: Callable[[Propagation], bool], most: int = 1024
) -> float:
    """Returns the least number of blocks from which on a condition holds.

    Gradients have exploded, say, where ``lambda there: there.gradient[0] >= 1e4``, and inputs look
    alike where ``lambda there: there.cosine[-1] >= 0.95``.  The result is exact or numerical, as
    ``follow`` is.

    Args:
      follow: function from :mod:`resnet_jax.theory.propagation` or
        :mod:`resnet_jax.theory.particles`.
      setting: setting of the network.
      reached: whether the condition holds; if it does at some depth, then at all greater depths, on
        which the bisection relies.
      most: number of blocks at which the search ends.

    Returns:
      The number of blocks; infinity if there are more than ``most``.
    """
    holds = lambda blocks: reached(follow(blocks, setting))
    low, high = -1, 0
    while not holds(high):
        if high >= most:
            return np.inf
        low, high = high, min(max(2 * high, 1), most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def cosine_depth_scale(setting: Setting, blocks: int = 200) -> float:
    """Returns the number of pre-activation blocks in which cosines settle e-fold.  Numerical.

    It is ξ = -1/log |dc'/dc| at the fixed point of cosines (Schoenholz et al. 2017, section 3),
    which ``blocks`` blocks should have reached.  ReLU networks with He's initialisation and without
    normalisation have no such scale: there the result grows with ``blocks``, and :func:`alignment`
    is the law.

    Args:
      setting: setting of the network; at w = 0 it is plain.
      blocks: number of blocks before the slope is taken.
    """
    settled = pre_activation(blocks, setting)
    power, variance, cosine = settled.power[-1], settled.variance[-1], settled.cosine[-1]
    step = 1e-5
    ends = []
    for moved in (cosine - step, min(cosine + step, 1.0)):
        start = Start(power, moved, 1 - variance / power)
        there = pre_activation(1, dataclasses.replace(setting, start=start))
        ends.append((moved, there.cosine[-1]))
    (before, low), (after, high) = ends
    return float(-1 / np.log(abs((high - low) / (after - before))))
