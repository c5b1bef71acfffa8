"""Power behind plain layers of several weights, biases and activations."""

import functools

import jax
import pytest

from resnet_jax import Layer

pytestmark = pytest.mark.facts

LAYERS, WIDTH = 10, 128

# Weight variance times the share of power that the activation leaves, and variance of biases.
MAPS = {
    "He": (2 / 2, 0.0),
    "LeCun": (1 / 2, 0.0),
    "LeCun, biases": (1 / 2, 0.1),
    "He, biases": (2 / 2, 0.3),
    "He, leaky": (2 * (1 + 0.5**2) / 2, 0.0),
}


def power(name: str, layers: int) -> float:
    """Of q' = σw² q/2 + σb², from 1; with a leaky ReLU of slope α, σw² (1 + α²)/2."""
    factor, biases = MAPS[name]
    return functools.reduce(lambda q, _: factor * q + biases, range(layers), 1.0)


@pytest.mark.parametrize("name", MAPS)
def test_power_behind_plain_layers(facts, name):
    """He et al. 2015 (arXiv 1502.01852, section 2.2); biases, Poole et al. 2016, eq. 3.

    Means may be off by layers/width.  LeCun's weights, Flax's default, lose half a layer: 2^-L.
    """
    choices = {"init": facts.lecun} if "LeCun" in name else {}
    if "leaky" in name:
        choices["activation"] = functools.partial(jax.nn.leaky_relu, negative_slope=0.5)
    parts = facts.parts("none", "pre", biases=MAPS[name][1], **choices)
    case = facts.Case(parts, LAYERS, shortcut_weight=0.0, width=WIDTH, layers=(Layer(),))
    seen = facts.simulate(case)
    for depth in (1, LAYERS // 2, LAYERS):
        value = power(name, depth)
        assert facts.agrees(seen.power[:, depth], value, depth / WIDTH * value)
    if name == "LeCun":
        assert facts.agrees(seen.power[:, -1], 2.0**-LAYERS, LAYERS / WIDTH * 2.0**-LAYERS)
    for other in set(MAPS) - {name}:
        value = power(other, LAYERS)
        assert not facts.agrees(seen.power[:, -1], value, LAYERS / WIDTH * value), other
