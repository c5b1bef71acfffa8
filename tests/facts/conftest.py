"""Networks of the library at initialisation, over seeds, and how they are held to a prediction.

Seeds are fixed, so that a test passes or fails for good.  Of all the choices of seeds that there
are, some three in a hundred would fail some sound test: about 310 comparisons must hold, each
with a rate of false alarms of 1e-4.  That is a bound, as far as means over seeds are Gaussian:
comparisons within a simulation go together, and allowances are wider than what they allow for.
Another 4,000 or so, with predictions of other networks, tell these apart.
"""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import linen as nn

from resnet_jax import Block, Parts
from resnet_jax.nn import initializers, orders
from resnet_jax.nn.blocks import DENSE
from resnet_jax.ops import normalization
from resnet_jax.theory.propagation import Propagation

# A sound test fails once in so many choices of its seeds.
FALSE_ALARMS = 1e-4


@dataclasses.dataclass(frozen=True)
class Case:
    """Blocks of the library between a Gaussian input and a Gaussian cotangent.

    ``alike`` sends the same cotangent into every example, ``still`` holds the statistics of
    normalisations still in the gradient.
    """

    parts: Parts
    blocks: int
    shortcut_weight: float = 1.0
    branch_weight: float = 1.0
    width: int = 128
    batch: int = 4
    seeds: int = 24
    layers: tuple = DENSE
    alike: bool = True
    still: bool = False


def _walk(case, weights, key, x, cotangent):
    """Activations and gradients ``[blocks + 1, batch, width]``."""
    block = Block(case.width, blocks=case.blocks, parts=case.parts, layers=case.layers)

    def body(a, one):
        key, sink = one
        a = a + sink
        params = {"params": block.init(key, a, *weights)["params"]}
        out, statistics = block.apply(params, a, *weights, mutable=["statistics"])
        if case.still:
            out = block.apply({**params, **jax.lax.stop_gradient(statistics)}, a, *weights)
        return out, a

    def forward(sinks):
        out, entered = jax.lax.scan(body, x, (jax.random.split(key, case.blocks), sinks))
        return out, jnp.concatenate([entered, out[None]])

    _, pull, a = jax.vjp(forward, jnp.zeros((case.blocks, *x.shape)), has_aux=True)
    return a, jnp.concatenate([pull(cotangent)[0], cotangent[None]])


def _mean_cosine(rows):
    rows = rows / jnp.linalg.norm(rows, axis=-1, keepdims=True)
    count = rows.shape[1]
    return ((rows.sum(1) ** 2).sum(-1) - count) / (count * (count - 1))


def _measure(case, weights, key):
    first, second, third = jax.random.split(key, 3)
    parts, shape = case.parts, (case.batch, case.width)
    x = jax.random.normal(first, shape)
    if parts.order is orders.original:  # as behind a stem
        norm = parts.norm()
        x = parts.activation(norm.init_with_output(second, x)[0])
    cotangent = jax.random.normal(second, (1 if case.alike else case.batch, case.width))
    a, g = _walk(case, weights, third, x, jnp.broadcast_to(cotangent, shape))
    gradient = (g**2).mean((1, 2))
    return Propagation(
        (a**2).mean((1, 2)),
        a.var(1, ddof=1).mean(1),
        _mean_cosine(a),
        gradient / gradient[-1],
        _mean_cosine(g),
    )


@functools.cache
def _program(case):
    """One for all weights of shortcuts and branches."""
    return jax.jit(
        lambda keys, *weights: jax.lax.map(lambda key: _measure(case, weights, key), keys)
    )


def simulate(case: Case) -> Propagation:
    """What happens at every depth, for every seed: ``[seeds, blocks + 1]``."""
    keys = jax.random.split(jax.random.key(0), case.seeds)
    program = _program(dataclasses.replace(case, shortcut_weight=1.0, branch_weight=1.0))
    seen = program(keys, np.float32(case.shortcut_weight), np.float32(case.branch_weight))
    return Propagation(*[np.asarray(values, np.float64) for values in seen])


def agrees(values: np.ndarray, predicted: float, allowance: float = 0.0) -> bool:
    """Whether the mean over independent ``values`` may be ``predicted``.

    It may lie off by Student's quantile at the rate of false alarms above, and by the ``allowance``
    for what widths and batches that are not infinite leave out.
    """
    error = values.std(ddof=1) / np.sqrt(len(values))
    quantile = scipy.stats.t.ppf(1 - FALSE_ALARMS / 2, len(values) - 1)
    return bool(abs(values.mean() - predicted) <= quantile * error + allowance)


@dataclasses.dataclass(frozen=True)
class Biased(Parts):
    """Parts whose layers begin with Gaussian biases; those of the library begin at 0."""

    bias_variance: float = 0.0

    def linear(self, features, **options):
        biases = nn.initializers.normal(self.bias_variance**0.5)
        return super().linear(features, **{"use_bias": True, "bias_init": biases, **options})


def parts(norm: str = "none", order: str = "original", biases: float = 0.0, **changes) -> Parts:
    """What blocks are composed of, by the names of tests; ``biases`` is their variance."""
    norms = {
        "none": normalization.NoNorm,
        "batch": normalization.BatchNorm,
        "layer": normalization.LayerNorm,
    }
    order = {"original": orders.original, "pre": orders.pre_activation}[order]
    if biases:
        return Biased(norm=norms[norm], order=order, bias_variance=biases, **changes)
    return Parts(norm=norms[norm], order=order, **changes)


@pytest.fixture(scope="session")
def facts():
    """The functions above."""
    return SimpleNamespace(
        Case=Case,
        simulate=simulate,
        agrees=agrees,
        parts=parts,
        lecun=initializers.Init(nn.initializers.lecun_normal()),
    )
