"""Implements normalisations: batch (with an explicit gradient), layer, and none.

Each is a module factory ``norm(scale_init=..., name=...)``, and none takes a ``train`` flag.
:class:`BatchNorm` normalises by the statistics of its batch, and records them, whenever the
collection ``"statistics"`` is mutable; otherwise it normalises by the statistics it is given.  In
:mod:`resnet_jax.nn.functional` the first case is ``forward`` and the second ``predict``.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, ones, zeros

from resnet_jax.ops.precision import at_least_single
from resnet_jax.ops.rematerialization import keep

EPSILON = 1e-5

#: The most rows that are summed at once, where the number of rows can be halved.
_CHUNK = 1024


def _batch_mean(x: jax.Array) -> jax.Array:
    """Returns the mean over rows ``[1, features]``.

    On CPU it is a product with ones, the fastest sum that XLA has there; elsewhere it is a sum,
    into which the operations that compute the rows are fused.
    """
    return jax.lax.platform_dependent(
        x, cpu=_mean_by_product, default=lambda x: x.mean(0, keepdims=True)
    )


def _mean_by_product(x: jax.Array) -> jax.Array:
    """Returns the mean over rows, as a product with ones.

    Many rows are first summed in chunks, which loses fewer digits: for 131,072 rows of mean 1,000
    and deviation 1, the mean is off by 1e-4 (the rows' own rounding error) instead of by 5e-3.
    """
    rows, features = x.shape
    chunks = 1
    while rows % (2 * chunks) == 0 and rows // chunks > _CHUNK:
        chunks *= 2
    ones = jnp.full((chunks, 1, rows // chunks), 1 / rows, x.dtype)
    sums = jnp.matmul(ones, x.reshape(chunks, -1, features), precision=jax.lax.Precision.HIGHEST)
    return sums.sum(0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float = EPSILON
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises each feature over the batch (Ioffe & Szegedy 2015, arXiv 1502.03167, alg. 1).

    The variance is taken about the mean, in two passes, so that a large mean costs no accuracy.

    Args:
      x: activations ``[batch, features]``.
      scale: γ ``[features]``.
      bias: β ``[features]``.
      epsilon: number added to the variance.

    Returns:
      The normalised activations ``[batch, features]``, in the precision of ``x``, and the batch's
      mean and (biased) variance ``[features]``, in single precision at least; no gradient flows
      through these two.
    """
    return _batch_norm_forward(x, scale, bias, epsilon)[0]


def _batch_norm_forward(x, scale, bias, epsilon):
    mean = keep(_batch_mean(at_least_single(x)))
    # x is kept here too, after the mean: a kept array is rounded to its own precision, which costs
    # an extra copy if a product follows, and nothing if an elementwise operation does.
    x = keep(x)
    centred = at_least_single(x) - mean
    variance = _batch_mean(centred * centred)
    inverse_deviation = keep(jax.lax.rsqrt(variance + epsilon))
    y = centred * (inverse_deviation * scale[None]) + bias[None]
    return (y.astype(x.dtype), mean[0], variance[0]), (x, scale, mean, inverse_deviation)


def _batch_norm_backward(epsilon, residuals, cotangents):
    # dx = γ r (dy − mean(dy) − x̂ mean(dy·x̂)), with r the inverse deviation and x̂ = (x − mean) r.
    del epsilon
    x, scale, mean, inverse_deviation = residuals
    dy = at_least_single(cotangents[0])
    normalised = (at_least_single(x) - mean) * inverse_deviation
    mean_dy = _batch_mean(dy)
    mean_dy_x = _batch_mean(dy * normalised)
    dx = (dy - mean_dy - normalised * mean_dy_x) * (inverse_deviation * scale[None])
    return dx.astype(x.dtype), mean_dy_x[0] * x.shape[0], mean_dy[0] * x.shape[0]


batch_norm.defvjp(_batch_norm_forward, _batch_norm_backward)


class BatchNorm(nn.Module):
    """Applies batch normalisation over all axes but the last; the module's docstring has its modes.

    Its parameters are ``scale`` and ``bias``, its statistics ``mean`` and ``variance``, each
    ``[features]``.
    """

    scale_init: Initializer = ones
    epsilon: float = EPSILON

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features = x.shape[-1:]
        scale = self.param("scale", self.scale_init, features)
        bias = self.param("bias", zeros, features)
        mean = self.variable("statistics", "mean", jnp.zeros, features)
        variance = self.variable("statistics", "variance", jnp.ones, features)
        rows = x.reshape(-1, features[0])
        if self.is_mutable_collection("statistics"):
            y, mean.value, variance.value = batch_norm(rows, scale, bias, self.epsilon)
        else:
            inverse_deviation = jax.lax.rsqrt(variance.value + self.epsilon)
            y = (rows - mean.value[None]) * (inverse_deviation * scale)[None] + bias[None]
        return y.reshape(x.shape).astype(x.dtype)


class NoNorm(nn.Module):
    """Returns its input unchanged, in place of a normalisation; it has no scale to initialise."""

    scale_init: Initializer = ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x


class ScalarBias(nn.Module):
    """Adds one learned scalar that starts at 0, in place of a normalisation.

    This is rule 3 of Fixup (Zhang et al. 2019, arXiv 1901.09321, section 3); it has no scale to
    initialise.
    """

    scale_init: Initializer = ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return (x + self.param("bias", zeros, ())).astype(x.dtype)


class LayerNorm(nn.LayerNorm):
    """Normalises each example over its own features (Ba et al. 2016, arXiv 1607.06450).

    In images it normalises each pixel over its channels.
    """

    epsilon: float = EPSILON
    use_fast_variance: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        return super().__call__(at_least_single(x), mask=mask).astype(x.dtype)


#: Normalisations that have neither a scale nor a bias for each feature.
WITHOUT_SCALE = (NoNorm, ScalarBias)

#: The normalisations of this module, a new one among them.
WITH_SCALE = tuple(
    each
    for each in [*vars().values()]
    if isinstance(each, type) and each.__module__ == __name__ and each not in WITHOUT_SCALE
)
