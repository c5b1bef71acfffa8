import dataclasses

import numpy as np
import pytest

from resnet_jax.nn import activations
from resnet_jax.theory.particles import original
from resnet_jax.theory.propagation import BATCH, LAYER, NONE, Setting, plain

HE = Setting()


@pytest.mark.parametrize("norm", [NONE, BATCH, LAYER])
def test_without_shortcuts_it_is_the_closed_form(norm):
    """Exactly at w = 0; and by particles, at a weight that carries nothing."""
    closed = plain(3, dataclasses.replace(HE, norm=norm))
    exact = original(3, dataclasses.replace(HE, norm=norm, shortcut_weight=0.0))
    for one, other in zip(exact, closed, strict=True):
        np.testing.assert_array_equal(one, other)
    sampled = original(3, dataclasses.replace(HE, norm=norm, shortcut_weight=1e-9))
    for one, other in zip(sampled, closed, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.03, atol=0.01)


def test_biases_follow_the_closed_form():
    """Without shortcuts, by particles at a weight that carries nothing."""
    setting = Setting(weight_variance=1.0, bias_variance=0.5)
    closed = plain(4, dataclasses.replace(setting, shortcut_weight=0.0))
    sampled = original(4, dataclasses.replace(setting, shortcut_weight=1e-9))
    for one, other in zip(sampled, closed, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.03, atol=0.01)


def test_linear_blocks_by_hand():
    # Without an activation to close the block, w² + b² a block, and 1 for each linear layer.
    linear = Setting(
        activation=activations.linear, weight_variance=1.0, shortcut_weight=0.8, branch_weight=0.5
    )
    seen = original(5, linear, particles=2**12)
    np.testing.assert_allclose(seen.power, 0.89 ** np.arange(6), rtol=1e-3)
    np.testing.assert_allclose(seen.gradient, 0.89 ** np.arange(5, -1, -1), rtol=1e-6)
    np.testing.assert_allclose(seen.cosine, np.zeros(6), atol=1e-3)


def test_first_residual_block_by_hand():
    """E max(a + z, 0)², a = max(x, 0): half of the time a is 0; its power .5, that of z 1.

    1/2 E max(z, 0)² = 1/4, and 1/2 E[max(x + z, 0)² | x > 0] = 2 · (3π/4 + 1/2) / 2π, the second
    moment of a Gaussian of variance 2 over the wedge of angle 3π/4.
    """
    wedge = 2 * (3 * np.pi / 4 + 1 / 2) / (2 * np.pi)
    assert original(1, HE).power[1] == pytest.approx(1 / 4 + wedge, rel=2e-3)


def test_growth_of_the_lectures_blocks():
    """Power x2.40 per block (and its gradient 2.04), once the first are passed."""
    seen = original(30, HE)
    ratio = lambda values: (values[25] / values[5]) ** (1 / 20)
    assert ratio(seen.power) == pytest.approx(2.40, abs=0.005)
    assert 1 / ratio(seen.gradient) == pytest.approx(2.045, abs=0.01)


def test_normalised_branches_let_power_grow_by_addition():
    """A walk of unit steps that ReLU holds above 0: it gains less than 1, and nears that."""
    for norm in (BATCH, LAYER):
        gains = np.diff(original(20, dataclasses.replace(HE, norm=norm)).power)
        assert (gains > 0.6).all() and (gains < 1).all() and gains[-1] > 0.85


def test_deep_networks_keep_their_angles_finite():
    seen = original(1500, HE, particles=256)
    assert np.isinf(seen.power[-1]) and np.isinf(seen.gradient[0])
    assert np.isfinite(seen.cosine).all() and np.isfinite(seen.gradient_correlation).all()


def test_samples_are_the_same_for_one_seed_and_differ_between_seeds():
    one, same, other = (original(3, HE, particles=64, seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_error_of_the_sample_is_as_promised():
    """As documented for 2^15 particles and 54 blocks; here for 2^13, twice as large, and half."""
    runs = [original(27, HE, particles=2**13, seed=seed) for seed in range(6)]
    assert np.std([np.log(run.power[-1]) for run in runs]) < 2 * 0.01
    assert np.std([np.log(run.gradient[0]) for run in runs]) < 2 * 0.08


def test_impossible_numbers_are_refused():
    for blocks, particles in ((-1, 64), (3, 4)):
        with pytest.raises(ValueError, match="network"):
            original(blocks, HE, particles)
