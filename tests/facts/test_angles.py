"""How angles between inputs, and between their gradients, change from layer to layer."""

import dataclasses

import numpy as np
import pytest

from resnet_jax import Layer, theory
from resnet_jax.nn import activations
from resnet_jax.theory.propagation import Setting, pre_activation

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


@pytest.mark.slow
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


def iterated(layers):
    """Cosines of the map ``[layers + 1]``, from 0."""
    cosines = [0.0]
    for _ in range(layers):
        cosines.append(float(activations.cosine_map(cosines[-1])))
    return np.array(cosines)


def test_cosines_of_deep_networks():
    """C^50 = .98786, C^100 = .99642, and 1 - c nears 9π²/(2L²) from below (Cho & Saul 2009)."""
    cosines = iterated(20_000)
    np.testing.assert_allclose(cosines[[50, 100]], [0.98786, 0.99642], atol=5e-6)
    depths = np.array([100, 1000, 20_000])
    np.testing.assert_allclose([theory.alignment(n) for n in depths], 4.5 * np.pi**2 / depths**2)
    ratios = (1 - cosines[depths]) / [theory.alignment(n) for n in depths]
    np.testing.assert_allclose(ratios, [0.805, 0.971, 0.998], atol=1e-3)


@pytest.mark.optimized
def test_inputs_align_over_fifty_layers(facts):
    """Their distance 1 - c, .0516 behind 20 layers and .0121 behind 50; off by layers/width."""
    case = facts.Case(
        facts.parts("none", "pre"),
        50,
        shortcut_weight=0.0,
        width=256,
        batch=8,
        seeds=32,
        layers=ONE_LAYER,
    )
    distances = 1 - facts.simulate(case).cosine
    for depth, cosine, wrong in [(20, 1 - 0.0516, (10, 50)), (50, 0.98786, (20, 100))]:
        agrees = lambda c, d=depth: facts.agrees(distances[:, d], 1 - c, d / 256 * (1 - c))
        assert agrees(cosine)
        assert not any(agrees(iterated(layers)[-1]) for layers in wrong)


@pytest.mark.optimized
def test_gradients_shatter_over_twenty_layers(facts):
    """The product of C'(c) over 20 layers, .0082, and over the last ten (Balduzzi et al. 2017).

    A product of random matrices of width n turns all gradients towards the direction of its largest
    singular value, which lends two of them a correlation of some L/10n besides.  That is allowed
    for here; to see the 1.44e-4 of 100 layers, networks would have to be 100,000 units wide.
    """
    layers, width = 20, 512
    case = facts.Case(
        facts.parts("none", "pre"),
        layers,
        shortcut_weight=0.0,
        width=width,
        batch=16,
        seeds=24,
        layers=ONE_LAYER,
    )
    seen = facts.simulate(case).gradient_correlation
    slopes = activations.cosine_slope(iterated(layers))
    for first in (0, 10):
        agrees = lambda value, first=first: facts.agrees(
            seen[:, first], value, 0.1 * (layers - first) / width
        )
        assert agrees(np.prod(slopes[first:layers]))
        assert not agrees(1.0)
        assert not agrees(np.prod(slopes[first // 2 : layers // 2]))  # half as deep
        weighted = Setting(layers=1, shortcut_weight=0.9**0.5, branch_weight=0.1**0.5)
        assert not agrees(pre_activation(layers, weighted).gradient_correlation[first])
    assert not facts.agrees(seen[:, 10], 0.5**10, 0.1 * 10 / width)  # as at right angles


def test_products_of_gradient_correlations():
    """As printed: .0337 at 10 layers, 1.44e-4 at 100, where no simulation can follow (above)."""
    for layers, printed in [(10, 0.0337), (100, 1.44e-4)]:
        slopes = activations.cosine_slope(iterated(layers)[:-1])
        np.testing.assert_allclose(np.prod(slopes), printed, rtol=3e-3)
