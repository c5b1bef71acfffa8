"""Describes activation functions as the theory of wide networks sees them: by Gaussian moments.

The units of a wide layer are jointly Gaussian over the random draw of its weights.  So the theory
needs only two expectations of an activation function φ, E φ(u)φ(v) and E φ'(u)φ'(v), for u and v of
mean 0, variance q and correlation c.  Both are exact for piecewise linear functions (Cho & Saul
2009, "Kernel methods for deep learning", section 2, degrees 1 and 0), and numerical for others
(Poole et al. 2016, arXiv 1606.05340, eqs. 3 and 5).  All computations are in float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Moment = Callable[[ArrayLike, ArrayLike], np.ndarray]
Map = Callable[[np.ndarray], np.ndarray]

# For smooth functions under a Gaussian, the trapezoidal rule gains digits with every point.  With
# this step the moments of tanh are exact to rounding errors up to q = 10, to 1e-9 up to 30, and to
# 2e-5 up to 100.
_STEP, _REACH = 1 / 16, 8.5


class Activation(NamedTuple):
    """Holds an activation function φ and its moments.

    Attributes:
      function: φ, elementwise.
      derivative: φ', elementwise.
      covariance: ``(q, c)`` to E φ(u)φ(v), elementwise.
      slope: ``(q, c)`` to E φ'(u)φ'(v), elementwise; the derivative of ``covariance`` with respect
        to the covariance qc (Poole et al. 2016, section 3).
      homogeneous: whether φ(sx) = sφ(x) for all s > 0.
    """

    function: Map
    derivative: Map
    covariance: Moment
    slope: Moment
    homogeneous: bool

    def power(self, q: ArrayLike) -> np.ndarray:
        """Returns the mean square E φ(u)² for variances q."""
        return self.covariance(q, 1.0)

    def variance(self, q: ArrayLike) -> np.ndarray:
        """Returns the variance E φ(u)² - (E φ(u))² for variances q."""
        return self.covariance(q, 1.0) - self.covariance(q, 0.0)


def cosine_map(cosine: ArrayLike) -> np.ndarray:
    """Returns the cosine of two inputs after a wide ReLU layer, given the cosine before it.  Exact.

    C(c) = [√(1 - c²) + (π - arccos c) c] / π

    (Cho & Saul 2009, eq. 6 over its value at angle 0; Balduzzi et al. 2017, arXiv 1702.08591.)

    Args:
      cosine: c, any shape; raw cosines, without subtracting a mean.

    Raises:
      ValueError: a cosine lies outside [-1, 1].
    """
    c = _checked(cosine)
    return (np.sqrt(1 - c**2) + (np.pi - np.arccos(c)) * c) / np.pi


def cosine_slope(cosine: ArrayLike) -> np.ndarray:
    """Returns the derivative of :func:`cosine_map`, C'(c) = 1 - arccos(c)/π.  Exact.

    This is also the factor by which the backward pass through such a layer shrinks the correlation
    of two inputs' gradients, where c is the cosine in front of the ReLU (Balduzzi et al. 2017).
    """
    return 1 - np.arccos(_checked(cosine)) / np.pi


def leaky_relu(alpha: float) -> Activation:
    """Returns the activation that is x for positive x and αx elsewhere.  Exact.

    From φ(x) = αx + (1 - α) max(x, 0) and the functions above follow

    E φ(u)φ(v) = q [αc + (1 - α)² C(c)/2],  E φ'(u)φ'(v) = α + (1 - α)² C'(c)/2.
    """
    kink = (1 - alpha) ** 2 / 2
    return Activation(
        function=lambda x: np.where(x > 0, x, alpha * x),
        derivative=lambda x: np.where(x > 0, 1.0, alpha),
        covariance=lambda q, c: np.asarray(q) * (alpha * np.asarray(c) + kink * cosine_map(c)),
        slope=lambda q, c: alpha + kink * cosine_slope(c) + 0 * np.asarray(q),
        homogeneous=True,
    )


def smooth(function: Map, derivative: Map) -> Activation:
    """Returns the activation of a smooth function that grows no faster than a power.  Numerical.

    The double integral over x and y, with u = √q x and v = √q (cx + √(1 - c²) y), is computed by
    the trapezoidal rule.
    """
    return Activation(
        function=function,
        derivative=derivative,
        covariance=lambda q, c: _gaussian_pair(function, q, c),
        slope=lambda q, c: _gaussian_pair(derivative, q, c),
        homogeneous=False,
    )


def _gaussian_pair(function: Map, q: ArrayLike, cosine: ArrayLike) -> np.ndarray:
    x = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()

    def one(q, c):
        u = np.sqrt(q) * x
        v = c * u[:, None] + np.sqrt(1 - c**2) * u[None]
        return (weights * function(u)) @ (function(v) @ weights)

    return np.vectorize(one, otypes=[float])(q, _checked(cosine))


def _checked(cosine: ArrayLike) -> np.ndarray:
    # Rounding errors may push a cosine slightly beyond 1.
    c = np.asarray(cosine, np.float64)
    if (abs(c) > 1 + 1e-9).any():
        raise ValueError(f"a cosine lies between -1 and 1, not at {c}")
    return np.clip(c, -1, 1)


#: The rectified linear unit max(x, 0).
relu = leaky_relu(0.0)

#: The identity x.
linear = leaky_relu(1.0)

#: The hyperbolic tangent.
tanh = smooth(np.tanh, lambda x: 1 / np.cosh(np.clip(x, -300, 300)) ** 2)
