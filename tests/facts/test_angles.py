"""How angles between inputs, and between their gradients, change from layer to layer."""

import dataclasses

import numpy as np
import pytest

from resnet_jax import Layer, activations
from resnet_jax.propagation import Setting, pre_activation

pytestmark = pytest.mark.facts

ONE_LAYER = (Layer(),)


@pytest.fixture(scope="module")
def plain(facts):
    """Ten layers of ReLU, from inputs at a right angle."""
    parts = facts.parts("none", "pre")
    return facts.simulate(
        facts.Case(parts, 10, shortcut_weight=0.0, width=256, batch=32, layers=ONE_LAYER)
    )


def test_inputs_align(facts, plain):
    """Cho & Saul 2009, eq. 6; He's and LeCun's weights alike, for the angle knows no scale."""
    for depth, cosine in [(1, 0.3183), (2, 0.4937), (3, 0.6048), (10, 0.8715)]:
        assert facts.agrees(plain.cosine[:, depth], cosine, depth / 256)
        assert not facts.agrees(plain.cosine[:, depth], cosine**2, depth / 256)


def test_gradients_of_plain_networks_shatter(facts, plain):
    """Balduzzi et al. 2017 (arXiv 1702.08591): .0337 behind ten layers; not as linear networks."""
    seen = plain.gradient_correlation[:, 0]
    assert facts.agrees(seen, 0.0337, 0.1 * 0.0337)
    assert not facts.agrees(seen, 1.0)
    assert not facts.agrees(seen, 0.5**10, 0.1 * 0.5**10)  # as if inputs stayed at right angles


def test_weighted_shortcuts_slow_alignment(facts):
    """c' = w² c + (1 - w²) C(c), .7076 at w² = .9 and 54 blocks of one layer from 0."""
    case = facts.Case(
        facts.parts("none", "pre"),
        54,
        shortcut_weight=0.9**0.5,
        branch_weight=0.1**0.5,
        seeds=12,
        layers=ONE_LAYER,
    )
    seen = facts.simulate(case)
    # Fluctuations grow with the layers that count, 5.4 over the width.
    assert facts.agrees(seen.cosine[:, -1], 0.7076, 0.1 * 54 / 128)
    assert facts.agrees(seen.power[:, -1], 1.0, 0.1 * 54 / 128)
    setting = Setting(layers=1, shortcut_weight=0.9**0.5, branch_weight=0.1**0.5)
    theory = pre_activation(54, setting)
    assert facts.agrees(
        seen.gradient_correlation[:, 0], theory.gradient_correlation[0], 0.1 * 54 / 128
    )
    unweighted = facts.simulate(dataclasses.replace(case, shortcut_weight=0.0, branch_weight=1.0))
    assert not facts.agrees(unweighted.cosine[:, -1], 0.7076, 0.1 * 54 / 128)


def test_products_of_gradient_correlations():
    """As printed: .0337 at 10 layers, 1.44e-4 at 100."""
    for layers, printed in [(10, 0.0337), (100, 1.44e-4)]:
        cosine, product = 0.0, 1.0
        for _ in range(layers):
            product *= float(activations.cosine_slope(cosine))
            cosine = float(activations.cosine_map(cosine))
        np.testing.assert_allclose(product, printed, rtol=3e-3)
