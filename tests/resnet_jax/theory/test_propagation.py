import dataclasses

import numpy as np
import pytest

from resnet_jax.nn import activations
from resnet_jax.theory.propagation import BATCH, LAYER, NONE, Setting, Start, plain, pre_activation

K = np.pi / (np.pi - 1)
HE = Setting()


def test_plain_he_networks_keep_power_and_gradient():
    seen = plain(10, HE)
    for values, level in ((seen.power, 0.5), (seen.gradient, 1.0)):
        np.testing.assert_allclose(values, np.full(11, level))


def test_plain_lecun_networks_halve_both_at_every_layer():
    seen = plain(10, dataclasses.replace(HE, weight_variance=1.0, layers=1))
    np.testing.assert_allclose(seen.power, 0.5 ** np.arange(1, 12))
    np.testing.assert_allclose(seen.gradient, 0.5 ** np.arange(10, -1, -1))


@pytest.mark.parametrize("variance", [1.0, 2.0])
def test_biases_add_their_variance_to_power_and_covariance_and_nothing_to_gradients(variance):
    """By hand, q' = σ² q/2 + σb² and likewise for the covariance, behind each layer."""
    setting = Setting(weight_variance=variance, bias_variance=0.3, layers=1, shortcut_weight=0.0)
    seen, unbiased = (
        pre_activation(12, s) for s in (setting, dataclasses.replace(setting, bias_variance=0.0))
    )
    power, cosine = 1.0, 0.0
    for depth in range(13):
        assert seen.power[depth] == pytest.approx(power)
        assert seen.cosine[depth] == pytest.approx(cosine)
        covariance = variance / 2 * power * float(activations.cosine_map(cosine)) + 0.3
        power = variance / 2 * power + 0.3
        cosine = covariance / power
    np.testing.assert_allclose(seen.gradient, unbiased.gradient)
    # The same behind the activation.
    between = plain(
        11, dataclasses.replace(setting, start=Start(variance / 2 + 0.3, seen.cosine[1]))
    )
    np.testing.assert_allclose(between.power, seen.power[1:] / 2)
    np.testing.assert_allclose(between.cosine, activations.cosine_map(seen.cosine[1:]))


def test_biases_of_residual_networks_by_hand():
    """A block of one layer adds σ² q/2 + σb² to a power q: 1, 2.5, 5.5."""
    seen = pre_activation(2, Setting(bias_variance=0.5, layers=1))
    np.testing.assert_allclose(seen.power, [1, 2.5, 5.5])
    np.testing.assert_allclose(seen.gradient, [4, 2, 1])


def test_biases_are_taken_away_by_batch_normalisation_behind_them():
    for field in zip(
        plain(4, Setting(norm=BATCH)), plain(4, Setting(norm=BATCH, bias_variance=0.5)), strict=True
    ):
        np.testing.assert_allclose(*field)


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_leaky_relu_multiplies_power(alpha):
    leaky = dataclasses.replace(HE, activation=activations.leaky_relu(alpha), layers=1)
    seen = plain(4, leaky)
    np.testing.assert_allclose(seen.power[1:] / seen.power[:-1], np.full(4, 1 + alpha**2))
    np.testing.assert_allclose(seen.gradient[:-1] / seen.gradient[1:], np.full(4, 1 + alpha**2))


def test_plain_angles_are_those_of_the_map():
    seen = plain(9, dataclasses.replace(HE, layers=1))
    np.testing.assert_allclose(seen.cosine[[0, 1, 2, 9]], [0.3183, 0.4937, 0.6048, 0.8715], 2e-4)


@pytest.mark.parametrize(("layers", "correlation"), [(10, 0.0337), (100, 1.44e-4)])
def test_gradients_shatter_in_plain_networks(layers, correlation):
    seen = pre_activation(layers, dataclasses.replace(HE, layers=1, shortcut_weight=0.0))
    assert seen.gradient_correlation[0] == pytest.approx(correlation, rel=2e-3)
    half = dataclasses.replace(HE, layers=1, shortcut_weight=0.0, gradient_correlation=0.5)
    np.testing.assert_allclose(
        pre_activation(layers, half).gradient_correlation, seen.gradient_correlation / 2
    )


def test_residual_power_and_gradient_double_at_every_block():
    seen = pre_activation(54, HE)
    assert seen.power[-1] == pytest.approx(1.8e16, rel=2e-3)
    np.testing.assert_allclose(seen.power, 2.0 ** np.arange(55))
    np.testing.assert_allclose(seen.gradient, seen.power[::-1])


@pytest.mark.parametrize("blocks", [1, 10, 1000])
def test_branches_over_the_root_of_depth(blocks):
    seen = pre_activation(blocks, dataclasses.replace(HE, branch_weight=blocks**-0.5))
    assert seen.power[-1] == pytest.approx((1 + 1 / blocks) ** blocks)
    if blocks == 1000:
        assert seen.power[-1] == pytest.approx(np.e, rel=1e-3)


def test_silent_branches_change_nothing():
    seen = pre_activation(7, Setting(branch_weight=0.0, start=Start(3.0, 0.4)))
    for values, level in zip(seen, (3, 1.8, 0.4, 1, 1), strict=True):
        np.testing.assert_allclose(values, np.full(8, level))


def test_weighted_shortcuts_keep_power_and_slow_alignment():
    weighted = Setting(shortcut_weight=0.9**0.5, branch_weight=0.1**0.5, layers=1)
    seen = pre_activation(54, weighted)
    np.testing.assert_allclose(seen.power, np.ones(55))
    assert seen.cosine[-1] == pytest.approx(0.7076, abs=5e-5)


@pytest.mark.parametrize(("blocks", "explosion"), [(10, 49), (30, 405), (54, 1350)])
def test_batch_normalised_residual_networks(blocks, explosion):
    seen = pre_activation(blocks, dataclasses.replace(HE, norm=BATCH))
    np.testing.assert_allclose(seen.variance, 1 + np.arange(blocks + 1) / K)
    np.testing.assert_allclose(seen.power, 1 + np.arange(blocks + 1.0))
    factors = 1 + K / (1 + np.arange(blocks) / K)
    np.testing.assert_allclose(seen.gradient[0], factors.prod())
    assert seen.gradient[0] == pytest.approx(explosion, rel=6e-3)


def test_batch_normalised_plain_networks():
    seen = plain(108, dataclasses.replace(HE, norm=BATCH, layers=1))
    assert seen.gradient[0] == pytest.approx(9e17, rel=0.05)
    np.testing.assert_allclose(seen.gradient[:-1] / seen.gradient[1:], np.full(108, K))
    # What inputs share is taken away at once, and that ReLU outputs are positive is left.
    np.testing.assert_allclose(seen.cosine, np.full(109, 1 / np.pi))


def test_inputs_decorrelate_about_their_mean():
    """Centred cosines go through (C(c) - 1/π)/(1 - 1/π), and are taken from raw ones here."""
    start = Start(1.0, 0.5, common=0.0)
    seen = plain(3, Setting(norm=BATCH, layers=1, start=start))
    c = 0.5
    for raw in seen.cosine:
        map_ = activations.cosine_map(c)
        assert raw == pytest.approx(map_)
        c = (map_ - 1 / np.pi) / (1 - 1 / np.pi)
    assert c < 0.25


def test_common_power_is_seen_by_batch_normalisation_alone():
    typical, centred = Start(2.0, 0.5), Start(2.0, 0.5, common=0.0)
    for norm in (NONE, LAYER):
        one, other = (pre_activation(3, Setting(norm=norm, start=s)) for s in (typical, centred))
        np.testing.assert_array_equal(one, other)
    assert pre_activation(3, Setting(norm=BATCH, start=typical)).variance[0] == 1
    assert pre_activation(3, Setting(norm=BATCH, start=centred)).variance[0] == 2


def test_layer_normalised_residual_networks_by_hand():
    # Each branch adds a power of 1, and its gradient is divided by the power that enters.
    seen = pre_activation(6, dataclasses.replace(HE, norm=LAYER))
    np.testing.assert_allclose(seen.power, np.arange(1.0, 8))
    np.testing.assert_allclose(seen.gradient, 7 / np.arange(1.0, 8))


def test_no_blocks_at_all():
    for follow in (plain, pre_activation):
        seen = follow(0, Setting(activation=activations.tanh))
        assert all(values.shape == (1,) for values in seen)
    with pytest.raises(ValueError, match="-1"):
        pre_activation(-1, HE)


def test_linear_networks_keep_angles():
    linear = Setting(activation=activations.linear, weight_variance=1.0, start=Start(1.0, 0.3))
    for follow in (plain, pre_activation):
        seen = follow(5, linear)
        np.testing.assert_allclose(seen.cosine, np.full(6, 0.3))
        np.testing.assert_allclose(seen.gradient_correlation, np.ones(6))


@pytest.mark.parametrize("variance", [0.1, 2.0])
@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize("follow", [plain, pre_activation])
def test_ten_thousand_blocks(follow, bias, variance):
    """Powers leave the range of numbers; angles do not."""
    setting = dataclasses.replace(HE, weight_variance=variance, bias_variance=bias)
    seen = follow(10_000, setting)
    assert np.isfinite(seen.cosine).all() and np.isfinite(seen.gradient_correlation).all()
    assert (np.diff(seen.cosine) >= -1e-12).all()
    assert not np.isnan(seen.power).any() and not np.isnan(seen.gradient).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"shortcut_weight": -0.1},
        {"shortcut_weight": 0.0, "branch_weight": 0.0},
        {"layers": 0},
        {"weight_variance": 0.0},
        {"bias_variance": -0.1},
        {"start": Start(power=0.0)},
        {"start": Start(cosine=1.5)},
        {"gradient_correlation": -2.0},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        Setting(**wrong)
