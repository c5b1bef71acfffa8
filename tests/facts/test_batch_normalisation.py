"""What batch normalisation does to gradients (Yang et al. 2019, arXiv 1902.08129)."""

import dataclasses

import numpy as np
import pytest

from resnet_jax import theory
from resnet_jax.ops import normalization
from resnet_jax.theory.particles import original
from resnet_jax.theory.propagation import BATCH, LAYER, NONE, Setting, plain, pre_activation

pytestmark = pytest.mark.facts


WIDTH, LAYERS = 128, 8


def growth(facts, batch, **choices):
    """Of the squared gradient over the eight layers in the middle of twelve, plain ``[seeds]``."""
    parts = dataclasses.replace(facts.parts("batch"), **choices)
    case = facts.Case(
        parts, 6, shortcut_weight=0.0, width=WIDTH, batch=batch, seeds=32, alike=False
    )
    gradient = facts.simulate(case).gradient
    return gradient[:, 1] / gradient[:, 5]


# Batches, norms a layer as simulated before, and a batch that is told apart from each.
PRINTED = [(8, 1.335, None), (32, 1.234, None), (128, 1.214, 32), (512, 1.204, 32)]


@pytest.mark.slow
@pytest.mark.optimized
@pytest.mark.parametrize(("batch", "norm", "wrong"), PRINTED)
def test_plain_gradients_explode_the_more_the_smaller_the_batch(facts, batch, norm, wrong):
    """As by the formula and as printed; each layer may be off by 1/width.

    That is too much to tell 128 examples from infinitely many, which differ by 0.9 % a layer.
    """
    seen = growth(facts, batch)
    agrees = lambda a: facts.agrees(seen, a**LAYERS, LAYERS / WIDTH * a**LAYERS)
    assert agrees(theory.batch_norm_explosion(batch))
    assert agrees(norm**2)
    assert not agrees(theory.batch_norm_explosion(wrong))


@pytest.mark.parametrize(("batch", "norm", "wrong"), PRINTED)
def test_printed_norms_are_those_of_the_formula(batch, norm, wrong):
    """1.337, 1.234, 1.216 and 1.2125, to 1 %, for the printed ones are simulated.

    Their last lies below even the 1.2112 of an infinite batch, to which norms should fall.
    """
    assert theory.batch_norm_explosion(batch) ** 0.5 == pytest.approx(norm, rel=0.01)
    assert theory.batch_norm_explosion(wrong) ** 0.5 != pytest.approx(norm, rel=0.01)
    assert theory.batch_norm_explosion() ** 0.5 == pytest.approx(1.2112, abs=5e-5)


def test_explosion_of_108_layers_in_figures():
    """9e17 if plain, k^108; residual 2^54 = 1.8e16 without normalisation, and 1,350 with it.

    At depths that can be simulated the formulas are held to networks, above and below.
    """
    k = theory.batch_norm_explosion()
    assert k**108 == pytest.approx(9e17, rel=0.05)
    gradient = lambda follow, blocks, **choices: follow(blocks, Setting(**choices)).gradient[0]
    assert gradient(plain, 54, norm=BATCH) == pytest.approx(9e17, rel=0.05)
    assert gradient(plain, 54) == pytest.approx(1)
    assert gradient(pre_activation, 54) == pytest.approx(1.8e16, rel=2e-3)
    for blocks, printed in [(10, 49), (30, 405), (54, 1350)]:
        product = np.prod(1 + k / (1 + np.arange(blocks) / k))
        assert product == pytest.approx(printed, rel=6e-3)
        assert gradient(pre_activation, blocks, norm=BATCH) == pytest.approx(product)


@pytest.mark.slow
@pytest.mark.optimized
def test_residual_gradients_of_54_blocks(facts):
    """49, 405 and 1,350 over the first 10, 30 and 54 blocks, whatever lies behind them.

    As simulated before: 52, 426 and 1,411.  Off by B/width and B/batch.
    """
    size = 256
    case = facts.Case(facts.parts("batch", "pre"), 54, width=size, batch=size, seeds=8, alike=False)
    seen = facts.simulate(case)
    wrong = [
        Setting(),  # 2^B
        Setting(norm=BATCH, weight_variance=1.0),
        Setting(norm=BATCH, shortcut_weight=0.0),
    ]
    for blocks, theirs in [(10, 52), (30, 426), (54, 1411)]:
        growth, variance = seen.gradient[:, 0] / seen.gradient[:, blocks], seen.variance[:, blocks]
        allowance = 2 * blocks / size
        agrees = lambda values, value, allowance=allowance: facts.agrees(
            values, value, allowance * value
        )
        assert agrees(growth, theirs)
        assert agrees(growth, pre_activation(blocks, Setting(norm=BATCH)).gradient[0])
        assert agrees(variance, 1 + blocks / theory.batch_norm_explosion())
        for setting in wrong:
            prediction = pre_activation(blocks, setting)
            assert not agrees(growth, prediction.gradient[0])
            assert not agrees(variance, prediction.variance[-1])


@pytest.mark.slow
@pytest.mark.optimized
@pytest.mark.parametrize(
    ("norm", "blocks", "printed"),
    [
        (BATCH, 10, 149),
        pytest.param(BATCH, 30, 2050, marks=pytest.mark.long),
        (BATCH, 54, 9612),
        (LAYER, 54, 10.7),
    ],
)
def test_gradients_of_the_lectures_order(facts, norm, blocks, printed):
    """The recursion of :mod:`resnet_jax.theory.particles`, off by B/width and B/batch.

    Pre-activation's predictions, and those of the other normalisation, fail.
    """
    size, name = 256, "batch" if norm is BATCH else "layer"
    case = facts.Case(facts.parts(name), blocks, width=size, batch=size, seeds=8, alike=False)
    seen = facts.simulate(case)
    allowance = blocks / size * (2 if norm is BATCH else 1)
    agrees = lambda values, value: facts.agrees(values, value, allowance * value)
    there = original(blocks, Setting(norm=norm))
    assert there.gradient[0] == pytest.approx(printed, rel=0.05)
    assert agrees(seen.gradient[:, 0], there.gradient[0])
    assert agrees(seen.power[:, -1], there.power[-1])
    other = LAYER if norm is BATCH else BATCH
    for wrong in (
        pre_activation(blocks, Setting(norm=norm)),
        original(blocks, Setting(norm=other)),
    ):
        assert not agrees(seen.gradient[:, 0], wrong.gradient[0])


@pytest.mark.parametrize(("choice", "explodes"), [("lecun", True), ("none", False)])
def test_normalisation_explodes_whatever_the_weights(facts, choice, explodes):
    """LeCun's weights change nothing where each layer is normalised; without that all is level."""
    choices = {"lecun": {"init": facts.lecun}, "none": {"norm": normalization.NoNorm}}
    seen = growth(facts, 8, **choices[choice])
    for predicted, holds in [
        (theory.batch_norm_explosion(8) ** LAYERS, explodes),
        (1, not explodes),
    ]:
        assert facts.agrees(seen, predicted, LAYERS / WIDTH * predicted) == holds


@pytest.mark.slow
def test_residual_gradients_explode_polynomially(facts):
    """Variance 1 + B/k, squared gradient ∏ (1 + k/(1 + l/k)): 49 at ten blocks.

    In training, of gradients that differ from example to example; off by B/width and B/batch.
    """
    case = facts.Case(facts.parts("batch", "pre"), 10, batch=128, seeds=12, alike=False)
    seen, k = facts.simulate(case), theory.batch_norm_explosion()
    allowance = 10 * (1 / 128 + 1 / 128)
    agrees = lambda values, value: facts.agrees(values, value, allowance * value)
    assert agrees(seen.variance[:, -1], 1 + 10 / k)
    assert agrees(seen.gradient[:, 0], 49.25)
    for wrong in (Setting(), Setting(norm=BATCH, weight_variance=1.0)):
        assert not agrees(seen.gradient[:, 0], pre_activation(10, wrong).gradient[0])
    # What all examples have in common, a batch takes out of the gradient.
    common = facts.simulate(dataclasses.replace(case, alike=True))
    assert not agrees(common.gradient[:, 0], 49.25)
    bare = facts.simulate(dataclasses.replace(case, parts=facts.parts("none", "pre")))
    assert agrees(bare.gradient[:, 0], pre_activation(10, Setting(norm=NONE)).gradient[0])
    assert not agrees(bare.variance[:, -1], 1 + 10 / k)
