import itertools

import numpy as np
import pytest

from resnet_jax.statistics import (
    fisher_exact_test,
    log_interval,
    share_interval,
    sign_flip_test,
    slope_interval,
    t_interval,
)


def test_t_interval_by_hand():
    # mean 2, deviation 1, n = 3, t quantile 4.3027: half-width 4.3027 / √3
    interval = t_interval(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(interval, [2, 2 - 2.48414, 2 + 2.48414], rtol=1e-5)


def test_slopes_by_hand():
    """Of 1, 2 and 3, whatever the lines' heights; a missing point changes none of them."""
    x = np.array([0.0, 1.0, 3.0])
    samples = np.array([x + 5, 2 * x, 3 * x - 1])
    np.testing.assert_allclose(slope_interval(x, samples), t_interval(np.array([1.0, 2.0, 3.0])))
    samples[0, 1] = np.nan
    np.testing.assert_allclose(slope_interval(x, samples).mean, 2)
    bent = np.array([[0.0, 1.0, 0.0]])  # least squares: covariance -1/3 over variance 14/9, of 3
    np.testing.assert_allclose(slope_interval(x, bent).mean, -1 / 14, atol=1e-12)
    assert (
        np.isnan(slope_interval(x, bent).low) and np.isnan(slope_interval(x, bent * np.nan)).all()
    )


def test_t_intervals_hold_the_mean_as_often_as_promised():
    values = np.random.RandomState(0).randn(4000, 5)
    held = np.mean([low <= 0 <= high for _, low, high in map(t_interval, values)])
    # binomial deviation 0.0034; four of them: a false alarm once in 16,000 seeds
    assert abs(held - 0.95) < 4 * 0.0035


def test_intervals_of_one_value_and_of_diverged_runs():
    assert t_interval(np.array([3.0])).mean == 3
    assert np.isnan(t_interval(np.array([3.0])).low)
    assert t_interval(np.array([1.0, np.inf])).mean == np.inf
    assert np.isnan(t_interval(np.array([1.0, np.inf])).high)
    with pytest.raises(ValueError, match="at least one"):
        t_interval(np.array([]))


@pytest.mark.parametrize("pairs", [5, 6, 8])
def test_the_least_p_value_is_two_to_the_one_minus_n(pairs):
    better = np.arange(1.0, pairs + 1)
    assert sign_flip_test(better, np.zeros(pairs)) == 2.0 ** (1 - pairs)


def test_sign_flips_by_enumeration():
    differences = np.array([0.3, -0.1, 0.5, 0.2, 0.0])
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=5)]
    expected = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_test(differences, np.zeros(5)) == pytest.approx(expected)


def test_no_difference_has_p_value_one():
    assert sign_flip_test(np.ones(4), np.ones(4)) == 1
    assert sign_flip_test(np.ones(1), np.zeros(1)) == 1


def test_unpaired_values_are_refused():
    with pytest.raises(ValueError, match="pairs"):
        sign_flip_test(np.ones(3), np.ones(4))


class TestLogInterval:
    def test_products_of_many_factors(self):
        """About 95% of the intervals hold exp(s²/2), the mean, where few samples come near it."""
        chance, held = np.random.RandomState(0), 0
        for _ in range(400):
            low, high = log_interval(np.exp(1.5 * chance.randn(32)))[1:]
            held += low < np.exp(1.5**2 / 2) < high
        assert 0.90 < held / 400 < 0.98

    def test_equal_values_have_no_width(self):
        assert log_interval(np.array([3.0, 3.0, 3.0])) == pytest.approx((3, 3, 3))

    def test_zeros_and_single_values_have_no_interval(self):
        for values in ([0.0, 1.0], [2.0], [np.inf, 1.0]):
            mean, low, high = log_interval(np.array(values))
            assert mean == np.mean(values) and np.isnan(low) and np.isnan(high)


def test_share_intervals_by_hand():
    # none of n: the greatest share that leaves it a chance of 2.5 % is 1 - 0.025^(1/n)
    np.testing.assert_allclose(share_interval(0, 5), [0, 0, 1 - 0.025**0.2])
    np.testing.assert_allclose(share_interval(5, 5), [1, 0.025**0.2, 1])
    share, low, high = share_interval(4, 8)
    assert share == 0.5 and low == pytest.approx(1 - high) and low < 0.2
    for hits, count in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="no share"):
            share_interval(hits, count)


def test_fishers_exact_test_of_the_lady_tasting_tea():
    assert fisher_exact_test(np.array([[4, 0], [0, 4]])) == pytest.approx(2 / 70)
    assert fisher_exact_test(np.array([[3, 1], [1, 3]])) == pytest.approx(34 / 70)
    assert fisher_exact_test(np.array([[3, 0], [5, 0]])) == 1  # there is nothing to tell
