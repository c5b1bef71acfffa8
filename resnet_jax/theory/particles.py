"""Predicts infinitely wide networks of the original order by particles: units are not Gaussian.

After a shortcut and an activation, a unit keeps its own history.  Units of a wide network are still
independent of each other, so that a sample of them, each followed through all blocks, gives what
:mod:`resnet_jax.theory.propagation` has in closed form for the other order.
"""

import numpy as np

from resnet_jax.theory.propagation import (
    Moments,
    Propagation,
    Setting,
    activate,
    affine,
    assemble,
    begin,
    normalise,
    plain,
    unit,
)


class _Normals:
    """Draws standard normal pairs ``[2, particles]``, evenly spread: quantiles in random order."""

    def __init__(self, particles: int, seed: int):
        from scipy import special  # its import takes a second, which training need not wait for

        self.particles = particles
        self._random = np.random.default_rng(seed)
        self._quantiles = special.ndtri((np.arange(particles) + 0.5) / particles)

    def pair(self, cosine: float, besides: np.ndarray) -> np.ndarray:
        """Draws a pair of the given cosine in the sample, orthogonal to the rows of ``besides``.

        This removes most of the sampling error.
        """
        basis = np.linalg.qr(besides.T)[0]
        first, second = (self._random.permutation(self._quantiles) for _ in range(2))
        first = self._unit(first - basis @ (first @ basis))
        second = second - basis @ (second @ basis)
        second = self._unit(second - (first * second).mean() * first)
        cosine = np.clip(cosine, -1, 1)
        return np.stack([first, cosine * first + np.sqrt(1 - cosine**2) * second])

    def _unit(self, row: np.ndarray) -> np.ndarray:
        return row / np.sqrt((row**2).mean())


def original(blocks: int, setting: Setting, particles: int = 2**15, seed: int = 0) -> Propagation:
    """Follows a network of the lecture's order, a' = φ(w a + b z).  Numerical; exact at w = 0.

    At infinite width the units of a layer are independent and identically distributed.  A unit
    passes a block by a' = φ(s), s = w a + b z, where z is Gaussian with the power of the branch's
    end.  Its gradient comes back as g = w φ'(s) g' + b ζ, where ζ is Gaussian with the mean square
    of φ'(s) g' times that of the branch's derivative, and s is from the unit's own forward pass.
    (For blocks without the last φ there is a closed form: Yang & Schoenholz 2017,
    arXiv 1712.08969.)

    With 2^15 particles, 54 blocks and ReLU, the standard deviation over ``seed`` is 0.5 % of power
    and 4 % of gradient without normalisation, and 0.01 % and 0.9 % with batch normalisation;
    cosines are off by 0.002, gradient correlations by 0.003 and one part in ten.  Errors fall with
    the square root of ``particles``; memory is 8 bytes per block and particle.

    Args:
      blocks: number of blocks.
      setting: setting of the network.
      particles: number of units that are followed.
      seed: seed of the sample; one seed gives the same sample everywhere.

    Raises:
      ValueError: the number of blocks is negative, or there are fewer than eight particles.
    """
    if setting.shortcut_weight == 0:
        return plain(blocks, setting)
    if blocks < 0 or particles < 8:
        raise ValueError(f"no network has {blocks} blocks, or is seen by {particles} particles")
    normals = _Normals(particles, seed)
    moments, scales, chains, derivatives = _forwards(blocks, setting, normals)
    slopes, correlations = _backwards(setting, normals, chains, derivatives)
    result = assemble(moments, scales, [(slope, slope) for slope in slopes], setting)
    return result._replace(gradient_correlation=np.array(correlations))


def _forwards(blocks: int, setting: Setting, normals: _Normals):
    """Returns moments and scales ``[blocks + 1]``, moments of branches and φ'(s) ``[blocks]``."""
    w, b, activation = setting.shortcut_weight, setting.branch_weight, setting.activation
    m = normalise(begin(setting), setting.norm)
    constant = np.ones((1, normals.particles))
    a = activation.function(_gaussian(m, normals, constant))
    moments, scales, chains, derivatives = [_measure(a, setting)], [0.0], [], []
    for _ in range(blocks):
        m, scale = unit(moments[-1], setting)
        a = a / np.exp(scale / 2)
        for index in range(setting.layers):
            m = activate(m, activation) if index else m
            m = normalise(affine(m, setting, scales[-1] + scale), setting.norm)
        s = w * a + b * _gaussian(m, normals, np.concatenate([constant, a]))
        a = activation.function(s)
        moments.append(_measure(a, setting))
        scales.append(scales[-1] + scale)
        chains.append(m)
        derivatives.append(activation.derivative(s).astype(np.float32))
    return moments, scales, chains, derivatives


def _backwards(setting: Setting, normals: _Normals, chains, derivatives):
    """Returns the growth of squared gradients ``[blocks]``, the pair's cosines ``[blocks + 1]``."""
    w, b = setting.shortcut_weight, setting.branch_weight
    slopes, cosines = [], [setting.gradient_correlation]
    g = normals.pair(cosines[0], np.ones((1, normals.particles)))
    for m, derivative in zip(reversed(chains), reversed(derivatives), strict=True):
        h = derivative * g
        power, product = (h**2).mean(), (h[0] * h[1]).mean()
        back = m._replace(power=m.slope * power, covariance=m.pair_slope * product)
        g = w * h + b * _gaussian(back, normals, h)
        slopes.append((g**2).mean())
        cosines.append((g[0] * g[1]).mean() / slopes[-1])
        g = g / np.sqrt(slopes[-1])
    return slopes[::-1], cosines[::-1]


def _gaussian(m: Moments, normals: _Normals, besides: np.ndarray) -> np.ndarray:
    cosine = m.covariance / m.power if m.power else 0.0
    return np.sqrt(m.power) * normals.pair(cosine, besides)


def _measure(a: np.ndarray, setting: Setting) -> Moments:
    covariance = float((a[0] * a[1]).mean())
    # After batch normalisation all units have the same mean over inputs: that over units.
    common = float(a.mean()) ** 2 if setting.norm.centres else covariance
    return Moments(float((a**2).mean()), covariance, common)
