"""Zeros around images take power and gradients from plain convolutional networks.

Xiao et al. 2018 (arXiv 1806.05393, section 2), with zeros in the place of their circular padding.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Block
from resnet_jax.nn.blocks import BASIC
from resnet_jax.theory import pixels
from resnet_jax.theory.propagation import LAYER, NONE, Setting, Start, plain

pytestmark = pytest.mark.facts

STRIDES, SIZE, WIDTH = (1, 1, 2, 1), 8, 48
RELATIVE = 2 * len(STRIDES) / WIDTH  # one a layer in its width


def simulated(parts, seeds=16):
    """Power, cosine of two inputs, squared gradient: between blocks ``[seeds, blocks + 1]``."""
    blocks = [Block(WIDTH, blocks=4, parts=parts, layers=BASIC, stride=each) for each in STRIDES]
    plain = jnp.zeros(()), jnp.ones(())

    def one(key):
        key, start, end = jax.random.split(key, 3)
        x = jax.random.normal(start, (2, SIZE, SIZE, WIDTH))
        x = parts.activation(parts.norm().init_with_output(start, x)[0])

        def behind(block, a, key):
            variables = block.init(key, a, *plain)
            return block.apply(variables, a, *plain, mutable=["statistics"])[0]

        def forward(sinks):
            seen = [x]
            for block, sink, key in zip(blocks, sinks, keys, strict=True):
                seen.append(behind(block, seen[-1] + sink, key))
            return seen[-1], seen

        keys = jax.random.split(key, len(blocks))
        sinks = [jnp.zeros((2, side, side, WIDTH)) for side in (8, 8, 8, 4)]
        out, pull, seen = jax.vjp(forward, sinks, has_aux=True)
        # The same for all pixels, as the head has it.
        cotangent = jnp.broadcast_to(jax.random.normal(end, (1, 1, 1, WIDTH)), out.shape)
        gradients = jnp.array([(g**2).sum() for g in [*pull(cotangent)[0], cotangent]])
        rows = [a.reshape(2, -1) for a in seen]
        cosines = [a @ b / jnp.linalg.norm(a) / jnp.linalg.norm(b) for a, b in rows]
        power = jnp.array([(a**2).mean() for a in seen])
        return power, jnp.array(cosines), gradients / gradients[-1]

    found = jax.lax.map(one, jax.random.split(jax.random.key(0), seeds))
    return [np.asarray(values, float) for values in found]


@pytest.mark.slow
@pytest.mark.optimized
@pytest.mark.parametrize("norm", [NONE, LAYER])
def test_borders_take_what_they_take(facts, norm):
    """Also at a stride.  Without borders theory fails, and so does that of the other norm."""
    parts = facts.parts("none" if norm is NONE else "layer")
    power, cosine, gradient = simulated(parts)
    setting = Setting(norm=norm, shortcut_weight=0.0, start=Start(1.0, 0.0))
    theory = pixels.plain(STRIDES, SIZE, setting)
    others = plain(len(STRIDES), setting), pixels.plain(STRIDES, SIZE, Setting(norm=NONE))

    def agrees(values, predicted):
        return facts.agrees(values, predicted, RELATIVE * abs(predicted))

    for place in (2, 4):
        assert agrees(power[:, place], theory.power[place])
        assert agrees(cosine[:, place], theory.cosine[place])
    assert agrees(gradient[:, 0], theory.gradient[0])
    # Layer norm gives every pixel one power again, and gradients in all are as without borders.
    wrong = others[0] if norm is NONE else others[1]
    assert not agrees(gradient[:, 0], wrong.gradient[0])
    assert not agrees(power[:, 4], wrong.power[4])
