"""What is made of readings, by readings made up so that the answer is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from experiments.lab.analysis import configurations, predictions
from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from resnet_jax.theory import pixels, propagation

PRE = Variant("none", "pre_activation", "A", "one", "he")


def table(variant=PRE, weight=1.0, seeds=6, blocks=4, growth=2.0, spread=0.0):
    """Readings of networks whose power grows by a factor a block, as gradients do backwards."""
    chance, rows = np.random.RandomState(0), []
    for seed in range(seeds):
        noise = np.exp(spread * chance.randn(blocks + 1) / 2)
        for place in range(blocks + 1):
            rows.append(
                dict(zip(VARIANT_FIELDS, variant.names(), strict=True))
                | {"shortcut_weight": weight, "depth": 2 * blocks + 2, "seed": seed, "step": 0}
                | {"place": place, "rms": growth ** (place / 2) * noise[place]}
                | {"gradient": 5 * growth ** ((blocks - place) / 2)}
                | {"cosine": 0.2, "gradient_correlation": 0.9}
            )
    return pd.DataFrame(rows)


def test_what_grows_as_theory_has_it_lies_on_it():
    (found,) = configurations.of_blocks(table(), follows_theory=True)
    np.testing.assert_allclose(found.curves["power"].mean, 2.0 ** np.arange(5))
    np.testing.assert_allclose(found.curves["power"].theory, 2.0 ** np.arange(5))
    np.testing.assert_allclose(found.curves["gradient"].theory, 2.0 ** np.arange(4, -1, -1))
    assert found.curves["cosine"].theory[0] == pytest.approx(0.2)
    assert found.verdict == "healthy" and found.name == "residual, pre-activation"


def test_a_mean_away_from_theory_is_told_in_standard_errors():
    rows = table(growth=2.2, spread=0.3, seeds=40)
    (found,) = configurations.of_blocks(rows, follows_theory=True)
    power = found.curves["power"]
    assert (power.low < power.mean).all() and (power.mean < power.high).all()
    assert power.z[4] > 3 > abs(power.z[1])  # 1.1 to the fourth, in spread 0.3 / √40


def test_fit_allows_for_noise_and_then_for_finite_width():
    rows = table(growth=2.2, spread=0.1, seeds=40)
    fits = []
    for width in (0, 2, 8, 64):
        (found,) = configurations.of_blocks(rows, True, width=width, batch=32)
        curve = found.curves["power"]
        assert curve.fit[0] == "yes"  # where both begin
        fits.append(configurations.worst_fit(curve))
    # A block more than theory's by 1.1, .095 in logarithms: an eighth is allowed, a 64th is not.
    assert fits == ["no", "near", "near", "no"]
    (found,) = configurations.of_blocks(table(), True)
    assert {configurations.worst_fit(curve) for curve in found.curves.values()} <= {"yes", "no"}
    (silent,) = configurations.of_blocks(table(), False)
    assert {configurations.worst_fit(curve) for curve in silent.curves.values()} == {""}


def test_convolutions_read_before_sides_were_have_no_theory():
    rows = table().assign(family="cifar", shortcut_weight=0.0)
    for theory in (True, False):
        (found,) = configurations.of_blocks(rows, theory)
        assert np.isnan(found.curves["power"].theory).all()
    (found,) = configurations.of_blocks(rows.assign(side=8.0), True)
    assert found.curves["power"].theory[-1] < found.curves["power"].theory[0]


def test_one_seed_tests_nothing():
    (found,) = configurations.of_blocks(table(seeds=1), True, width=8, batch=8)
    assert {configurations.worst_fit(curve) for curve in found.curves.values()} == {""}


def test_what_is_allowed_adds_up_over_blocks_and_over_batches_where_they_count():
    passed = np.array([0, 10])
    np.testing.assert_allclose(configurations.allowance(passed, 128, None), [0, 10 / 128])
    np.testing.assert_allclose(configurations.allowance(passed, 128, 64), [0, 10 / 128 + 10 / 64])


def test_curves_are_written_place_by_place():
    found = configurations.of_blocks(table(seeds=3, blocks=4), True)
    curves = configurations.curves(found)
    assert len(curves) == 4 * 5
    power = curves[curves.quantity == "power"]
    np.testing.assert_allclose(power["mean"], 2.0 ** np.arange(5))
    np.testing.assert_allclose(power.theory, power["mean"])
    assert (power.fit == "yes").all()


def test_logarithms_of_factors_are_averaged():
    """Of lognormal powers the mean is exp(s²/2) times the middle, and known without rare ones."""
    (found,) = configurations.of_blocks(table(spread=2.0, seeds=4000, growth=1.0), False)
    assert found.curves["power"].mean[0] == pytest.approx(np.exp(2.0**2 / 2), rel=0.2)
    assert np.isnan(found.curves["power"].theory).all()


def test_explosions_and_silence():
    (loud,) = configurations.of_blocks(table(blocks=20), True)
    assert loud.verdict == "exploding"
    silent = table(weight=0.0)
    silent.loc[silent.place > 0, "rms"] = 0
    (found,) = configurations.of_blocks(silent, True)
    assert found.verdict == "vanishing"
    row = configurations.summary([loud, found])
    assert row.verdict.tolist() == ["exploding", "vanishing"] and row.power[1] == 0


def test_networks_are_called_by_all_that_is_not_usual():
    other = Variant("none", "original", "C", "depth:0.5", "he", "adam", "error:0.8", "annealed")
    name = configurations.name_of(1.0, other)
    for word in ("projection everywhere", "α = 0.5", "Adam", "warm-up to error 0.8", "annealed"):
        assert word in name
    assert configurations.name_of(0.0, dataclasses.replace(PRE, order="original")) == "plain"


def test_kinds_keep_apart_and_in_order():
    both = pd.concat([table(weight=1.0), table(weight=0.0), table(weight=0.5)])
    found = configurations.of_blocks(both, True)
    assert [each.shortcut_weight for each in found] == [1.0, 0.0, 0.5]


class TestPredictions:
    def of(self, weight=1.0, **changes):
        names = dict(zip(VARIANT_FIELDS, PRE.names(), strict=True)) | changes
        return predictions.of_blocks(Variant(**names), weight, 10, 1.0, 0.3, 1.0)

    def test_names_become_settings(self):
        start = propagation.Start(1.0, 0.3)
        batch = propagation.Setting(norm=propagation.BATCH, start=start)
        expected = propagation.pre_activation(10, batch)
        np.testing.assert_allclose(self.of(norm="batch").gradient, expected.gradient)
        scaled = self.of(branch_scale="inverse_sqrt")
        assert scaled.power[-1] == pytest.approx(1.1**10)
        by_depth = self.of(branch_scale="depth:1")  # b² = 1/25 at ten blocks, of a base of two
        assert by_depth.power[-1] == pytest.approx(1.04**10)

    def test_silent_branches_are_known(self):
        silent = [{"init": "zero_last"}, {"branch_scale": "learned"}, {"branch_scale": "fixup"}]
        for changes in silent:
            assert predictions.branches_are_silent(dataclasses.replace(PRE, **changes))
        for changes in ({}, {"branch_scale": "inverse_sqrt"}, {"branch_scale": "stochastic_depth"}):
            assert not predictions.branches_are_silent(dataclasses.replace(PRE, **changes))

    def test_a_silent_branch_changes_nothing(self):
        silent = {"init": "zero_last"}, {"branch_scale": "learned"}, {"branch_scale": "fixup"}
        for changes in silent:
            np.testing.assert_allclose(self.of(**changes).power, 1)
            np.testing.assert_allclose(self.of(**changes).gradient, 1)
            assert self.of(0.0, **changes) is None  # nor does anything pass

    def test_orthogonal_weights_have_the_moments_of_hes(self):
        np.testing.assert_array_equal(self.of(init="orthogonal"), self.of())

    def test_the_original_order_begins_in_front_of_its_activation(self):
        found = self.of(order="original")
        assert found.power[0] == pytest.approx(1, rel=1e-3)
        assert found.cosine[0] == pytest.approx(0.3, abs=5e-3)

    def test_how_far_a_step_moves_features(self):
        def change(blocks, weight=1.0, **changes):
            names = dict(zip(VARIANT_FIELDS, PRE.names(), strict=True)) | changes
            return predictions.feature_change(Variant(**names), weight, blocks, 1.0)

        for norm in ("none", "batch"):
            scaled = {"norm": norm, "branch_scale": "inverse_sqrt"}
            assert change(16, **scaled) == change(4, **scaled) == pytest.approx(1)
            assert change(16, optimizer="adam", **scaled) == pytest.approx(4)
            assert change(16, norm=norm, branch_scale="depth:1") == pytest.approx(2)  # 8 · 16/64
            assert np.isnan(change(16, norm=norm))  # it explodes
        assert change(2, norm="layer") == pytest.approx(1 / 2 + 1 / 3)
        assert change(2, norm="layer", optimizer="adamw") == pytest.approx(2**-0.5 + 3**-0.5)
        assert np.isnan(change(2, norm="layer", weight=0.0))
        assert np.isnan(change(2, norm="layer", branch_scale="learned"))
        assert np.isnan(change(2, norm="layer", shortcut_schedule="annealed"))

    def test_plain_convolutions_are_followed_pixel_by_pixel(self):
        def of(weight=0.0, **changes):
            names = dict(zip(VARIANT_FIELDS, PRE.names(), strict=True)) | changes
            sides = np.array([8.0, 8, 4, 2])
            return predictions.of_blocks(Variant(**names), weight, 3, 1.0, 0.3, 1.0, sides)

        start = propagation.Start(1.0, 0.3)
        setting = propagation.Setting(shortcut_weight=0.0, start=start)
        expected = pixels.plain([1, 2, 2], 8, setting, pre_activation=True)
        np.testing.assert_allclose(of().power, expected.power)
        assert of(order="original").power[0] == pytest.approx(1, rel=1e-3)
        assert of(weight=1.0) is None and of(norm="batch") is None

    def test_what_theory_does_not_know_has_none(self):
        assert self.of(order="activation_first") is None
        assert self.of(branch_scale="stochastic_depth:0.5") is None
        assert self.of(shortcut="C") is None
