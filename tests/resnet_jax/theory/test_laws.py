import dataclasses
import functools
import math

import numpy as np
import pytest

from resnet_jax import theory
from resnet_jax.nn import activations, branches
from resnet_jax.ops.convolution import convolve
from resnet_jax.theory.particles import original
from resnet_jax.theory.propagation import BATCH, LAYER, Setting, plain, pre_activation

K = math.pi / (math.pi - 1)


def test_path_lengths_by_hand():
    np.testing.assert_allclose(theory.path_lengths(3), [1 / 8, 3 / 8, 3 / 8, 1 / 8])
    # Three branches of a third of the shortcut's weight each: (3, 1) to the third, over 4³.
    np.testing.assert_allclose(theory.path_lengths(3, 1 / 3), [27 / 64, 27 / 64, 9 / 64, 1 / 64])
    np.testing.assert_array_equal(theory.path_lengths(2, 0.0), [1, 0, 0])


def test_path_lengths_of_54_blocks():
    """Veit et al. 2016 (arXiv 1605.06431): mean 27, and .980 of them from 19 to 35."""
    shares = theory.path_lengths(54)
    assert shares.sum() == pytest.approx(1)
    assert shares @ np.arange(55) == pytest.approx(27)
    assert shares[19:36].sum() == pytest.approx(0.980, abs=5e-4)
    with pytest.raises(ValueError, match="negative"):
        theory.path_lengths(54, -1.0)


@pytest.mark.parametrize(("blocks", "last"), [(54, 0.5), (7, 0.2), (1, 0.5)])
def test_expected_blocks_are_the_sum_of_survivals(blocks, last):
    expected = theory.expected_blocks(blocks, last)
    np.testing.assert_allclose(branches.survival(blocks, last).sum(), expected, rtol=1e-6)
    assert theory.expected_blocks(54) == 40.25


def test_singular_values_of_products_by_hand():
    # One Gaussian matrix has 2² (Marchenko & Pastur), two have 27/4.
    values = [theory.product_singular_value(layers) for layers in (0, 1, 2)]
    np.testing.assert_allclose(values, [1, 4, 27 / 4])
    assert theory.product_singular_value(10_000) == pytest.approx(math.e * 10_000.5, rel=1e-6)


@pytest.mark.parametrize(
    # Norms; as simulated: 1.335, 1.234, 1.214, 1.204.
    ("batch", "norm"),
    [(8, 1.3372), (32, 1.2337), (128, 1.2164), (512, 1.2125), (None, 1.2112)],
)
def test_explosion_behind_batch_normalisation(batch, norm):
    assert theory.batch_norm_explosion(batch) ** 0.5 == pytest.approx(norm, abs=5e-5)


def test_explosion_falls_with_the_batch_to_its_limit():
    rates = [theory.batch_norm_explosion(batch) for batch in (4, 5, 8, 100, 10_000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(K, rel=1e-3)
    with pytest.raises(ValueError, match="four examples"):
        theory.batch_norm_explosion(3)


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("branch", [0.3, 1.0])
def test_shortcuts_damp_explosion(weight, branch):
    setting = Setting(norm=BATCH, shortcut_weight=weight, branch_weight=branch)
    seen = pre_activation(400, setting)
    expected = theory.shortcut_explosion(weight)
    assert seen.gradient[200] / seen.gradient[201] == pytest.approx(expected)
    assert theory.gradient_depth_scale(seen.gradient) == pytest.approx(1 / math.log(expected))
    with pytest.raises(ValueError, match="weights"):
        theory.shortcut_explosion(1.0)


@pytest.mark.parametrize("weight", [0.0, 0.9**0.5])
def test_alignment_in_the_end(weight):
    setting = Setting(shortcut_weight=weight, branch_weight=(1 - weight**2) ** 0.5, layers=1)
    distance = 1 - pre_activation(20_000, setting).cosine[-1]
    assert theory.alignment(20_000, weight) == pytest.approx(distance, rel=0.02)


def test_depth_multipliers_by_hand():
    assert theory.depth_multipliers(4, 0.5) == (0.5, 0.5)
    assert theory.depth_multipliers(4, 1.0) == (0.25, 1.0)
    assert theory.depth_multipliers(1, 0.5) == (1.0, 1.0)
    assert theory.depth_multipliers(4, 0.5, adaptive=False) == (0.5, 1.0)
    assert theory.depth_multipliers(4, 1.0, adaptive=False) == (0.25, 4.0)
    assert theory.depth_multipliers(4, 0.0, adaptive=False) == (1.0, 0.25)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("adaptive", [False, True])
def test_depth_multipliers_keep_the_change_of_a_linear_network(alpha, adaptive):
    """A unit through m blocks a + b v a of v = 0 becomes a: its change by one step is r Σ b Δv.

    Gradient descent has Δv = b, and Adam Δv = 1, the gradient's sign.
    """

    def change(blocks):
        branch, rate = theory.depth_multipliers(blocks, alpha, adaptive)
        return rate * sum(branch * (1 if adaptive else branch) for _ in range(blocks))

    np.testing.assert_allclose([change(16), change(256)], change(1))


def test_feature_change_by_hand():
    """Two blocks of b = 2: a stream of 1 + 4 and 1 + 8; rates multiply."""
    assert theory.feature_change(2, 2.0, 1.0, False, 1.0) == pytest.approx(4 / 5 + 4 / 9)
    expected = 3 * (2 / 5**0.5 + 2 / 3)
    assert theory.feature_change(2, 2.0, 3.0, True, 1.0) == pytest.approx(expected)
    assert (
        theory.feature_change(4, 0.5, 1.0, False) == 1 and theory.feature_change(0, 1, 1, True) == 0
    )


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("power", [None, 2.0])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_feature_change_does_not_move_with_depth_where_rates_follow(adaptive, power, alpha):
    def change(m, follow=True):
        branch, rate = theory.depth_multipliers(m, alpha, adaptive)
        return theory.feature_change(m, branch, rate if follow else 1.0, adaptive, power)

    assert change(4000) / change(1000) == pytest.approx(1, rel=2e-3)
    power_of_4 = (1 - alpha) if adaptive else (1 - 2 * alpha)
    assert change(4000, False) / change(1000, False) == pytest.approx(4**power_of_4, rel=2e-3)


def test_feature_change_of_whole_branches_grows_with_a_root_or_a_logarithm():
    change = lambda blocks, adaptive: theory.feature_change(blocks, 1.0, 1.0, adaptive, 1.0)
    assert change(40_000, True) / change(10_000, True) == pytest.approx(2, rel=0.01)
    assert change(40_000, False) - change(10_000, False) == pytest.approx(np.log(4), rel=1e-3)


def test_depth_scale_of_gradients_by_hand():
    levels = np.exp(np.arange(8, -1, -1) / 3)
    assert theory.gradient_depth_scale(levels) == pytest.approx(3)
    assert theory.gradient_depth_scale(1 / levels) == pytest.approx(-3)
    assert theory.gradient_depth_scale(np.ones(9)) == np.inf
    with pytest.raises(ValueError, match="four blocks"):
        theory.gradient_depth_scale(np.ones(4))


def grown(factor):
    return lambda there: there.gradient[0] >= factor


def test_where_gradients_have_exploded():
    normalised = Setting(norm=BATCH, shortcut_weight=0.0)
    # k² a block: k^24 is 9,878 and k^26 21,260.
    assert theory.depth_of(plain, normalised, grown(1e4)) == 13
    assert theory.depth_of(plain, normalised, grown(K**2 * 0.999)) == 1
    assert theory.depth_of(plain, normalised, grown(1.0)) == 0
    residual = dataclasses.replace(normalised, shortcut_weight=1.0)
    at = theory.depth_of(pre_activation, residual, grown(1e4))
    gradients = [pre_activation(blocks, residual).gradient[0] for blocks in (at - 1, at)]
    assert gradients[0] < 1e4 <= gradients[1]


def test_where_inputs_look_alike():
    """Of orthogonal inputs a ReLU makes the cosine 1/π; residual blocks halve the way there."""
    one_layer = Setting(layers=1, shortcut_weight=0.0)
    alike = lambda cosine: lambda there: there.cosine[-1] >= cosine
    assert theory.depth_of(pre_activation, one_layer, alike(0.0)) == 0
    assert theory.depth_of(pre_activation, one_layer, alike(0.318)) == 1
    assert theory.depth_of(pre_activation, one_layer, alike(0.319)) == 2
    residual = dataclasses.replace(one_layer, shortcut_weight=1.0)
    assert theory.depth_of(pre_activation, residual, alike(0.159)) == 1
    # As deep as the asymptotic law of alignment says.
    far = theory.depth_of(pre_activation, one_layer, alike(1 - theory.alignment(400)))
    assert far == pytest.approx(400, rel=0.05)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 8, 13, 63, 64])
def test_a_depth_is_found_wherever_it_lies(depth):
    reached = lambda there: len(there.power) > depth
    assert theory.depth_of(plain, Setting(), reached, most=64) == depth
    assert theory.depth_of(plain, Setting(), lambda there: len(there.power) > 65, most=64) == np.inf


def test_stronger_shortcuts_move_the_boundary_of_the_lectures_order():
    follow = functools.partial(original, particles=2**10)
    depths = [
        theory.depth_of(follow, Setting(norm=BATCH, shortcut_weight=weight), grown(1e4))
        for weight in (0.0, 0.7, 1.0)
    ]
    assert depths[0] == 13 and depths[1] in range(16, 20) and depths[2] in range(48, 64)


def test_how_soon_cosines_settle():
    plainly = {"shortcut_weight": 0.0, "layers": 1}
    # Centred cosines start out of 0 at a slope of 1/2 over 1 - 1/π.
    batch = Setting(norm=BATCH, **plainly)
    assert theory.cosine_depth_scale(batch) == pytest.approx(-1 / math.log(K / 2), rel=1e-4)
    # tanh without biases beyond its critical variance: cosines settle at 0.
    tanh = Setting(activation=activations.tanh, weight_variance=1.5, **plainly)
    power = pre_activation(300, tanh).power[-1]
    ratio = 1.5 * activations.tanh.slope(power, 0.0)
    expected = -1 / math.log(ratio)
    assert theory.cosine_depth_scale(tanh, 300) == pytest.approx(expected, rel=1e-3)
    # And a shortcut takes longer to forget.
    layer = Setting(norm=LAYER, activation=activations.tanh, layers=1, shortcut_weight=0.0)
    halfway = dataclasses.replace(layer, shortcut_weight=0.8, branch_weight=0.6)
    assert theory.cosine_depth_scale(halfway) > 2 * theory.cosine_depth_scale(layer)


def test_padding_takes_the_share_of_power_that_images_lose():
    """Of one pixel 8 of 9 neighbours are zeros; of two by two, five."""
    np.testing.assert_allclose(theory.padding_factor(1), 1 / 9)
    np.testing.assert_allclose(theory.padding_factor(2), 4 / 9)
    for size in (3, 8):
        along = (np.eye(size) + np.eye(size, k=1) + np.eye(size, k=-1)) / 3
        greatest = np.linalg.eigvalsh(np.kron(along, along))[-1]
        assert theory.padding_factor(size) == pytest.approx(greatest)
    assert theory.padding_factor(10**6) == pytest.approx(1)
    with pytest.raises(ValueError, match="one pixel"):
        theory.padding_factor(0)


@pytest.mark.parametrize("size", [3, 8])
def test_a_convolution_loses_as_much_power_as_padding_takes(size):
    """Where power has settled over the pixels: as a sine along both sides, the eigenvector."""
    chance = np.random.RandomState(0)
    along = np.sin(np.pi * np.arange(1, size + 1) / (size + 1))
    signs = chance.choice(
        [-1.0, 1.0], (1, size, size, 16)
    )  # He's factor 2 makes up for ReLU's half
    image = signs * np.sqrt(np.outer(along, along))[None, :, :, None]
    kernel = chance.randn(3, 3, 16, 400) * np.sqrt(1 / (9 * 16))
    after = np.asarray(convolve(image.astype(np.float32), kernel.astype(np.float32)))
    assert (after**2).mean() / (image**2).mean() == pytest.approx(
        theory.padding_factor(size), rel=0.05
    )
