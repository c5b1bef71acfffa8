"""Power, variance, angle and gradient at each block, against networks of this library.

Sources: without normalisation Poole et al. 2016 (arXiv 1606.05340) and Yang & Schoenholz 2017
(arXiv 1712.08969), with batch normalisation Yang et al. 2019 (arXiv 1902.08129), for the lecture's
order the recursion in :mod:`resnet_jax.theory.particles`.  Beyond their error over seeds means may
be off by B/width, and with batch normalisation by B/batch, for theory knows neither width nor
batch; and cosines, where they are predicted from particles, by 0.01.  Biases are zero, or of
variance 1.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pytest

from resnet_jax.nn import activations
from resnet_jax.theory.particles import original
from resnet_jax.theory.propagation import BATCH, LAYER, Propagation, Setting, plain, pre_activation

pytestmark = pytest.mark.facts

BLOCKS, WIDTH, BATCH_SIZE = 8, 128, 128

numerical = functools.partial(original, particles=2**14)
leaky = functools.partial(jax.nn.leaky_relu, negative_slope=0.3)


class Fact(NamedTuple):
    """What should predict networks, and with which activation the library builds them."""

    follow: Callable[[int, Setting], Propagation]
    setting: Setting = Setting()
    activation: Callable = jax.nn.relu


TANH = Setting(activation=activations.tanh)

FACTS = {
    "plain": Fact(plain, Setting(shortcut_weight=0.0)),
    "plain, biases": Fact(plain, Setting(shortcut_weight=0.0, bias_variance=1.0)),
    "original": Fact(numerical),
    "original, biases": Fact(numerical, Setting(bias_variance=1.0)),
    "original, w = .6": Fact(numerical, Setting(shortcut_weight=0.6)),
    "original, branches / √B": Fact(numerical, Setting(branch_weight=BLOCKS**-0.5)),
    "original, tanh": Fact(numerical, TANH, jax.nn.tanh),
    "pre": Fact(pre_activation),
    "pre, biases": Fact(pre_activation, Setting(bias_variance=1.0)),
    "pre, w = .7": Fact(pre_activation, Setting(shortcut_weight=0.7)),
    "pre, branches / √B": Fact(pre_activation, Setting(branch_weight=BLOCKS**-0.5)),
    "pre, tanh": Fact(pre_activation, TANH, jax.nn.tanh),
    "pre, leaky": Fact(
        pre_activation, Setting(activation=activations.leaky_relu(0.3)), activation=leaky
    ),
    "layer, plain": Fact(plain, Setting(norm=LAYER, shortcut_weight=0.0)),
    "layer, original": Fact(numerical, Setting(norm=LAYER)),
    "layer, pre": Fact(pre_activation, Setting(norm=LAYER)),
    "layer, pre, branches / √B": Fact(
        pre_activation, Setting(norm=LAYER, branch_weight=BLOCKS**-0.5)
    ),
    "layer, pre, tanh": Fact(
        pre_activation, dataclasses.replace(TANH, norm=LAYER), activation=jax.nn.tanh
    ),
    "batch, plain": Fact(plain, Setting(norm=BATCH, shortcut_weight=0.0)),
    "batch, original": Fact(numerical, Setting(norm=BATCH)),
    "batch, original, w = .7": Fact(numerical, Setting(norm=BATCH, shortcut_weight=0.7)),
    "batch, pre": Fact(pre_activation, Setting(norm=BATCH)),
    "batch, pre, branches / √B": Fact(
        pre_activation, Setting(norm=BATCH, branch_weight=BLOCKS**-0.5)
    ),
    "batch, pre, tanh": Fact(
        pre_activation, dataclasses.replace(TANH, norm=BATCH), activation=jax.nn.tanh
    ),
    "batch, pre, leaky": Fact(
        pre_activation,
        Setting(norm=BATCH, activation=activations.leaky_relu(0.3)),
        activation=leaky,
    ),
}

# Those of one program in the library, so that it is compiled once.
GROUPS = {
    "original": ["plain", "original", "original, w = .6", "original, branches / √B"],
    "original, biases": ["plain, biases", "original, biases"],
    "original, tanh": ["original, tanh"],
    "pre": ["pre", "pre, w = .7", "pre, branches / √B"],
    "pre, biases": ["pre, biases"],
    "pre, tanh": ["pre, tanh"],
    "pre, leaky": ["pre, leaky"],
    "layer, original": ["layer, plain", "layer, original"],
    "layer, pre": ["layer, pre", "layer, pre, branches / √B"],
    "batch, original": ["batch, plain", "batch, original", "batch, original, w = .7"],
    "batch, pre": ["batch, pre", "batch, pre, branches / √B"],
    "layer, pre, tanh": ["layer, pre, tanh"],
    "batch, pre, tanh": ["batch, pre, tanh"],
    "batch, pre, leaky": ["batch, pre, leaky"],
}


@functools.cache
def predicted(name: str) -> Propagation:
    return FACTS[name].follow(BLOCKS, FACTS[name].setting)


def simulated(facts, name: str, **changes) -> Propagation:
    follow, setting, activation = FACTS[name]
    norm = "batch" if setting.norm is BATCH else "layer" if setting.norm is LAYER else "none"
    order = "pre" if follow is pre_activation else "original"
    batch = {"batch": BATCH_SIZE, "seeds": 12, "still": True} if norm == "batch" else {}
    weights = setting.shortcut_weight, setting.branch_weight
    changes = {"activation": activation, "biases": setting.bias_variance, **changes}
    parts = facts.parts(norm, order, **changes)
    return facts.simulate(facts.Case(parts, BLOCKS, *weights, width=WIDTH, **batch))


def disagreements(facts, seen: Propagation, name: str) -> set[tuple[str, int]]:
    """Where simulation and prediction differ: field and depth."""
    places = [(field, BLOCKS // 2) for field in Propagation._fields]
    places += [(field, BLOCKS) for field in ("power", "variance", "cosine")]
    places += [(field, 0) for field in ("gradient", "gradient_correlation")]
    follow, setting, _ = FACTS[name]
    relative = BLOCKS * (1 / WIDTH + (setting.norm is BATCH) / BATCH_SIZE)
    theory = predicted(name)
    found = set()
    for field, depth in places:
        noise = 0.0
        if field in ("cosine", "gradient_correlation"):
            # Of a centred batch the mean cosine is not zero, but minus one in its size.
            noise = 0.01 * (follow is numerical) + (setting.norm is BATCH) / BATCH_SIZE
        value = getattr(theory, field)[depth]
        allowance = noise + relative * abs(value)
        if not facts.agrees(getattr(seen, field)[:, depth], value, allowance):
            found.add((field, depth))
    return found


def equal(name: str, other: str) -> bool:
    """Whether theory predicts the very same of two kinds."""
    pairs = zip(predicted(name), predicted(other), strict=True)
    return all(np.allclose(*pair, rtol=1e-9) for pair in pairs)


def test_theory_tells_all_but_two_pairs_apart():
    """He's weights keep the power that layer normalisation would restore: there it does nothing.

    And behind an odd activation inputs have nothing in common for batch normalisation to take away.
    """
    pairs = {pair for pair in itertools.combinations(FACTS, 2) if equal(*pair)}
    assert pairs == {("plain", "layer, plain"), ("layer, pre, tanh", "batch, pre, tanh")}
    assert sorted(FACTS) == sorted(itertools.chain(*GROUPS.values()))


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_networks_do_as_predicted_and_not_as_others(facts, group):
    """A missing normalisation, another order, weight or activation: each is told apart."""
    for name in GROUPS[group]:
        seen = simulated(facts, name)
        assert disagreements(facts, seen, name) == set(), name
        for other in FACTS:
            assert equal(name, other) or disagreements(facts, seen, other), (name, other)


def test_growth_of_the_lectures_block(facts):
    """Power by 2.40 a block, squared gradient by 2.045, and by 1.96 in the very first."""
    seen = simulated(facts, "original")
    power = seen.power[:, -1] / seen.power[:, 4]
    gradient, first = (
        seen.gradient[:, 1] / seen.gradient[:, 5],
        seen.gradient[:, 0] / seen.gradient[:, 1],
    )
    for values, growth, blocks in [(power, 2.4, 4), (gradient, 2.045, 4), (first, 1.96, 1)]:
        agrees = lambda a, values=values, n=blocks: facts.agrees(values, a**n, n / WIDTH * a**n)
        assert agrees(growth)
        assert not agrees(1.5) and not agrees(2.8)
    assert not facts.agrees(power, 2.0**4, 4 / WIDTH * 2.0**4)  # as with pre-activation


def test_lecuns_initialisation_is_told_apart(facts):
    """Weights of half the variance; He's own predictions fail, and those for half of it hold."""
    seen = simulated(facts, "pre", init=facts.lecun)
    assert {("power", BLOCKS), ("gradient", 0)} <= disagreements(facts, seen, "pre")
    half = pre_activation(BLOCKS, Setting(weight_variance=1.0))
    for field, depth in (("power", BLOCKS), ("gradient", 0)):
        value = getattr(half, field)[depth]
        assert value == pytest.approx(1.25**BLOCKS)
        assert facts.agrees(getattr(seen, field)[:, depth], value, BLOCKS / WIDTH * value)
