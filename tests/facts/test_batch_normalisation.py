"""What batch normalisation does to gradients (Yang et al. 2019, arXiv 1902.08129)."""

import dataclasses

import pytest

from resnet_jax import normalization, theory
from resnet_jax.propagation import BATCH, NONE, Setting, pre_activation

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


@pytest.mark.parametrize("batch", [8, 32])
def test_plain_gradients_explode_the_more_the_smaller_the_batch(facts, batch):
    """Norms by 1.337 a layer for 8 examples, 1.234 for 32; each layer may be off by 1/width."""
    seen = growth(facts, batch)
    predicted = theory.batch_norm_explosion(batch) ** LAYERS
    assert facts.agrees(seen, predicted, LAYERS / WIDTH * predicted)
    infinite = theory.batch_norm_explosion() ** LAYERS
    assert not facts.agrees(seen, infinite, LAYERS / WIDTH * infinite)


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
