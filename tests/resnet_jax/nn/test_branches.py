import jax
import numpy as np
import pytest

from resnet_jax.nn import branches


def test_survival_falls_linearly_to_the_last():
    np.testing.assert_allclose(branches.survival(4, 0.5), [0.875, 0.75, 0.625, 0.5])
    np.testing.assert_allclose(branches.survival(2, 0.0), [0.5, 0.0])
    # (3B - 1) / 4 blocks survive on average (Huang et al. 2016, section 3): 40.25 of 54
    np.testing.assert_allclose(branches.survival(54, 0.5).sum(), 40.25, rtol=1e-6)


def test_stochastic_depth_draws_zeros_and_ones_and_expects_their_mean():
    rule = branches.stochastic_depth(0.5)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.vmap(lambda key: rule.weights(10, key))(keys))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    probability = branches.survival(10, 0.5)
    # ten frequencies, each beyond four deviations once in 16,000 seeds
    assert (abs(drawn.mean(0) - probability) < 4 * np.sqrt(0.25 / 4000)).all()
    # blocks are drawn apart: the number that survives is as spread as independent draws
    spread = np.sum(probability * (1 - probability))
    assert drawn.sum(1).var() == pytest.approx(spread, rel=4 * np.sqrt(2 / 4000))
    np.testing.assert_array_equal(rule.weights(10, None), probability)


@pytest.mark.parametrize("key", [None, jax.random.key(0)])
def test_rules_without_chance(key):
    np.testing.assert_array_equal(branches.unit.weights(3, key), [1, 1, 1])
    np.testing.assert_allclose(branches.inverse_sqrt.weights(4, key), [0.5] * 4)
    np.testing.assert_array_equal(branches.learned.weights(3, key), [1, 1, 1])
    np.testing.assert_array_equal(branches.fixup.weights(3, key), [1, 1, 1])


def test_branches_scaled_by_depth_shrink_from_two_blocks_on():
    """m is a half of the blocks: 4 of 8, and m^-α a half and a quarter of it."""
    np.testing.assert_allclose(branches.depth_scaled(0.5).weights(8, None), [0.5] * 8)
    np.testing.assert_allclose(branches.depth_scaled(1.0).weights(8, None), [0.25] * 8)
    np.testing.assert_array_equal(branches.depth_scaled(1.0).weights(2, None), [1, 1])
    assert [branches.growth(blocks) for blocks in (0, 1, 2, 64)] == [1, 0.5, 1, 32]


def test_which_rules_have_scalars():
    assert branches.learned.multiplier == 0 and not branches.learned.biases
    assert branches.fixup.multiplier == 1 and branches.fixup.biases
    for rule in (branches.unit, branches.inverse_sqrt, branches.stochastic_depth()):
        assert rule.multiplier is None and not rule.biases


@pytest.mark.parametrize(
    "rule",
    [
        branches.unit,
        branches.inverse_sqrt,
        branches.stochastic_depth(),
        branches.fixup,
        branches.depth_scaled(1.0),
    ],
)
def test_a_network_without_blocks_has_no_weights(rule):
    assert rule.weights(0, jax.random.key(0)).shape == (0,)
