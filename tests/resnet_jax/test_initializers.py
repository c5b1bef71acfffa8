import jax
import numpy as np
import pytest
import scipy.stats

from resnet_jax import initializers


@pytest.mark.parametrize("shape", [(64, 64), (128, 32)])
def test_he_has_variance_two_over_fan_in(shape):
    weights = initializers.he.kernel(jax.random.key(0), shape)
    # n·s²/σ² is at most as spread as chi-squared with n degrees of freedom (the distribution is
    # truncated); the test raises a false alarm once in 10,000 seeds, and LeCun's half fails it.
    statistic = np.sum(np.square(weights)) * shape[0] / 2
    low, high = scipy.stats.chi2.interval(1 - 1e-4, weights.size)
    assert low < statistic < high
    lecun = jax.nn.initializers.lecun_normal()(jax.random.key(0), shape)
    assert not low < np.sum(np.square(lecun)) * shape[0] / 2 < high


def test_orthogonal_keeps_norms_times_root_two():
    weights = initializers.orthogonal.kernel(jax.random.key(1), (16, 16))
    np.testing.assert_allclose(weights.T @ weights, 2 * np.eye(16), atol=1e-5)


def test_only_zero_last_begins_branches_at_zero():
    assert initializers.zero_last.zero_last
    assert not initializers.he.zero_last and not initializers.orthogonal.zero_last
