"""Plain convolutions at infinite width, pixel by pixel."""

import numpy as np
import pytest

from resnet_jax import theory
from resnet_jax.theory import pixels, propagation
from resnet_jax.theory.propagation import BATCH, LAYER, Setting, Start

SETTING = Setting(shortcut_weight=0.0, start=Start(2.0, 0.3), gradient_correlation=0.5)


def test_a_mean_over_nine_counts_zeros_beyond_the_border():
    seen = pixels.spread(np.ones((4, 4)))
    np.testing.assert_allclose(seen[0], [4 / 9, 6 / 9, 6 / 9, 4 / 9])
    np.testing.assert_allclose(seen[1, 1:3], 1)
    np.testing.assert_allclose(pixels.spread(np.ones((4, 4)), 2), [[4 / 9, 6 / 9], [6 / 9, 1]])


@pytest.mark.parametrize(("size", "stride"), [(5, 1), (4, 2), (5, 2), (1, 1)])
def test_gradients_take_the_same_way_back(size, stride):
    """⟨spread x, y⟩ = ⟨x, gather y⟩."""
    random = np.random.RandomState(0)
    x = random.randn(size, size)
    there = pixels.spread(x, stride)
    y = random.randn(*there.shape)
    assert (there * y).sum() == pytest.approx((x * pixels.gather(y, size, stride)).sum())


@pytest.mark.parametrize("pre_activation", [False, True])
@pytest.mark.parametrize("norm", [propagation.NONE, LAYER])
def test_without_borders_pixels_do_as_units(pre_activation, norm, monkeypatch):
    """With circular padding a fully connected network's recursion holds."""
    circular = lambda x, stride=1: (
        sum(np.roll(x, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    )[::stride, ::stride]
    monkeypatch.setattr(pixels, "spread", circular)
    setting = Setting(
        norm=norm, shortcut_weight=0.0, start=Start(2.0, 0.3), gradient_correlation=0.5
    )
    found = pixels.plain([1] * 6, 4, setting, pre_activation)
    follow = propagation.pre_activation if pre_activation else propagation.plain
    for name, values in follow(6, setting)._asdict().items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_far_from_its_ends_a_layer_takes_what_its_borders_take(size):
    blocks = 60
    found = pixels.plain([1] * blocks, size, SETTING)
    factor = theory.padding_factor(size) ** SETTING.layers
    assert found.power[-1] / found.power[-2] == pytest.approx(factor, rel=1e-6)
    assert found.gradient[0] / found.gradient[1] == pytest.approx(factor, rel=1e-6)


def test_by_hand():
    """One block of one layer on 2x2 pixels: each sees all four, of nine taps."""
    setting = Setting(shortcut_weight=0.0, layers=1, start=Start(2.0, 0.0))
    found = pixels.plain([1], 2, setting)
    np.testing.assert_allclose(found.power, [1, 4 / 9])
    np.testing.assert_allclose(found.gradient, [4 / 9, 1])
    np.testing.assert_allclose(found.cosine, [1 / np.pi, 0.4937], atol=1e-4)
    halved = pixels.plain([2], 2, setting)  # one pixel is left, which has seen all four
    np.testing.assert_allclose(halved.power, [1, 4 / 9])
    np.testing.assert_allclose(halved.gradient, [4 / 9, 1])


def test_batches_and_biases_are_refused():
    with pytest.raises(ValueError, match="batch normalisation sees more"):
        pixels.plain([1], 4, Setting(norm=BATCH))
    with pytest.raises(ValueError, match="biases"):
        pixels.plain([1], 4, Setting(bias_variance=0.1))
