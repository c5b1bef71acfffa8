"""Branches that begin at zero, or are scaled down with depth."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resnet_jax import dense_network
from resnet_jax.nn import branches, initializers
from resnet_jax.ops import normalization

pytestmark = pytest.mark.facts


@pytest.mark.parametrize(
    ("norm", "order", "silent"),
    [
        # SkipInit and ReZero (arXiv 2002.10444, 2003.04887).
        ("none", "pre", {"branch": branches.learned}),
        # Goyal et al. 2017 (arXiv 1706.02677, section 5.1).
        ("batch", "original", {"init": initializers.zero_last}),
    ],
)
def test_silent_networks_do_not_depend_on_depth(facts, norm, order, silent):
    """Output and gradient leave as they entered, to the bit (where the last ReLU passes them)."""
    simulate = lambda parts: facts.simulate(facts.Case(parts, 20, width=8, seeds=4, alike=False))
    seen = simulate(facts.parts(norm, order, **silent))
    for values in (seen.power, seen.variance, seen.gradient[:, :-1]):
        np.testing.assert_array_equal(values, np.broadcast_to(values[:, :1], values.shape))
    if order == "pre":
        np.testing.assert_array_equal(seen.gradient, np.ones_like(seen.gradient))
    loud = simulate(facts.parts(norm, order))
    assert (loud.power[:, -1] > 2 * loud.power[:, 0]).all()


@pytest.mark.slow
def test_branches_over_the_root_of_depth_keep_power_bounded(facts):
    """(1 + 1/L)^L, which nears e, without normalisation; 2^L with branches as they are."""
    blocks = 16
    case = facts.Case(facts.parts("none", "pre"), blocks, branch_weight=blocks**-0.5)
    seen = facts.simulate(case)
    power = (1 + 1 / blocks) ** blocks
    assert abs(power / math.e - 1) < 0.04
    # Of 16 branches of a sixteenth each, one counts: off by 1/width.
    assert facts.agrees(seen.power[:, -1] / seen.power[:, 0], power, 0.01 * power)
    assert facts.agrees(seen.gradient[:, 0], power, 0.01 * power)
    whole = facts.simulate(dataclasses.replace(case, branch_weight=1.0))
    assert not facts.agrees(whole.power[:, -1] / whole.power[:, 0], power, 0.01 * power)


@pytest.mark.parametrize("blocks", [4, 54])
def test_fixup_scales_the_first_layer_of_a_branch(facts, blocks, width=16):
    """He's weights times B^(-1/2), silent ends (Zhang et al. 2019, arXiv 1901.09321, section 3)."""

    def drawn(init, key):
        parts = dataclasses.replace(facts.parts(), norm=normalization.ScalarBias, init=init)
        network = dense_network(2 * blocks + 2, width, 10, parts)
        params = network.init(key, jnp.zeros((1, width)), jnp.ones(()))["params"]
        stack = params["stage_1"]["stack"]
        ends = stack["linear_2"]["kernel"], params["head"]["kernel"]
        return (stack["linear_1"]["kernel"] ** 2).mean(), jnp.array(
            [abs(end).max() for end in ends]
        )

    keys = jax.random.split(jax.random.key(0), 12)
    draw = lambda init: jax.jit(lambda keys: jax.lax.map(lambda key: drawn(init, key), keys))(keys)
    squares, ends = draw(initializers.fixup)
    assert not ends.any()
    seen = width * np.asarray(squares, float)
    assert facts.agrees(seen, 2 / blocks)
    assert not facts.agrees(seen, 2 / blocks**0.5)  # as of branches of three layers
    squares, ends = draw(initializers.he)
    assert ends.all() and not facts.agrees(width * np.asarray(squares, float), 2 / blocks)


def test_fixup_begins_at_the_loss_of_guessing(facts, classes=10):
    """ln(classes) but for rounding (Zhang et al. 2019, arXiv 1901.09321); He's does not."""
    x = jax.random.normal(jax.random.key(1), (5, 8))

    def loss(**choices):
        parts = dataclasses.replace(facts.parts("none"), norm=normalization.ScalarBias, **choices)
        module = dense_network(10, 8, classes, parts)
        logits = module.init_with_output(jax.random.key(0), x, jnp.ones(()))[0]
        labels = jnp.arange(5) % classes
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    fixup = loss(init=initializers.fixup, branch=branches.fixup)
    np.testing.assert_allclose(fixup, math.log(classes), rtol=3e-7)
    assert abs(loss() - math.log(classes)) > 0.1
