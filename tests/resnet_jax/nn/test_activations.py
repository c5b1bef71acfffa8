import numpy as np
import pytest
import scipy.integrate

from resnet_jax.nn import activations

EVERY = [
    activations.relu,
    activations.leaky_relu(0.2),
    activations.linear,
    activations.tanh,
]


def iterated(times):
    cosine = 0.0
    for _ in range(times):
        cosine = activations.cosine_map(cosine)
    return float(cosine)


@pytest.mark.parametrize(
    ("times", "cosine"),
    [(1, 0.3183), (2, 0.4937), (3, 0.6048), (10, 0.8715), (50, 0.98786), (100, 0.99642)],
)
def test_cosine_map_of_relu(times, cosine):
    assert iterated(times) == pytest.approx(cosine, abs=6e-5 if times < 50 else 6e-6)


def test_cosine_map_at_its_ends():
    # Opposite inputs share no active unit, equal ones all of theirs; 1/π at a right angle.
    np.testing.assert_allclose(activations.cosine_map([-1, 0, 1]), [0, 1 / np.pi, 1], atol=1e-15)
    np.testing.assert_allclose(activations.cosine_slope([-1, 0, 1]), [0, 0.5, 1], atol=1e-15)


def test_cosine_slope_is_the_derivative():
    c, step = np.linspace(-0.9, 0.9, 7), 1e-6
    rise = activations.cosine_map(c + step) - activations.cosine_map(c - step)
    np.testing.assert_allclose(activations.cosine_slope(c), rise / (2 * step), rtol=1e-8)


def test_cosines_beyond_one_are_refused():
    for function in (activations.cosine_map, activations.cosine_slope):
        with pytest.raises(ValueError, match="between -1 and 1"):
            function(1.01)
        assert function(1 + 1e-12) == 1


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.3, 1.0, -1.0])
def test_power_of_leaky_relu_by_hand(alpha):
    # Half of the inputs are positive, and half are multiplied by α; at α = -1 it is |x|.
    leaky = activations.leaky_relu(alpha)
    assert leaky.power(3.0) == pytest.approx(3 * (1 + alpha**2) / 2)
    mean = (1 - alpha) * np.sqrt(3 / (2 * np.pi))
    assert leaky.variance(3.0) == pytest.approx(leaky.power(3.0) - mean**2)


@pytest.mark.parametrize(("q", "error"), [(0.3, 1e-10), (10.0, 1e-10), (30.0, 1e-9), (100.0, 2e-5)])
def test_moments_of_tanh_by_adaptive_quadrature(q, error):
    density = lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    integral = lambda f: scipy.integrate.quad(f, -12, 12, epsabs=1e-12, limit=200, points=[0])[0]
    power = integral(lambda x: density(x) * np.tanh(np.sqrt(q) * x) ** 2)
    slope = integral(lambda x: density(x) / np.cosh(np.sqrt(q) * x) ** 4)
    assert activations.tanh.power(q) == pytest.approx(power, abs=error)
    assert activations.tanh.slope(q, 1.0) == pytest.approx(slope, abs=error)
    assert activations.tanh.covariance(q, 0.0) == pytest.approx(0, abs=1e-15)
    assert activations.tanh.covariance(q, -1.0) == pytest.approx(-power, abs=error)


def test_covariance_of_tanh_in_two_dimensions():
    q, c = 1.5, 0.6

    def integrand(y, x):
        u, v = np.sqrt(q) * x, np.sqrt(q) * (c * x + np.sqrt(1 - c**2) * y)
        return np.tanh(u) * np.tanh(v) * np.exp(-(x**2 + y**2) / 2) / (2 * np.pi)

    expected = scipy.integrate.dblquad(integrand, -9, 9, -9, 9, epsabs=1e-8)[0]
    assert activations.tanh.covariance(q, c) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("activation", EVERY)
@pytest.mark.parametrize("c", [-0.5, 0.0, 0.8])
def test_slope_is_the_derivative_of_covariance(activation, c):
    q, step = 1.7, 1e-5
    rise = activation.covariance(q, c + step) - activation.covariance(q, c - step)
    assert activation.slope(q, c) == pytest.approx(rise / (2 * step * q), rel=1e-7)


@pytest.mark.parametrize("activation", EVERY)
def test_moments_against_a_sample(activation):
    q, c = 1.7, 0.4
    x, y = np.random.default_rng(0).standard_normal((2, 200_000))
    u, v = np.sqrt(q) * x, np.sqrt(q) * (c * x + np.sqrt(1 - c**2) * y)
    for function, moment in [
        (activation.function, activation.covariance),
        (activation.derivative, activation.slope),
    ]:
        products = function(u) * function(v)
        # Five standard errors: a false alarm in a million.
        error = 5 * products.std() / np.sqrt(len(x)) + 1e-12
        assert abs(products.mean() - moment(q, c)) < error


@pytest.mark.parametrize("activation", EVERY)
def test_arrays_are_taken_elementwise(activation):
    q, c = np.array([[0.5], [2.0]]), np.array([0.0, 0.3, 0.9])
    for moment in (activation.covariance, activation.slope):
        values = moment(q, c)
        assert values.shape == (2, 3)
        assert values[1, 2] == pytest.approx(float(moment(2.0, 0.9)))


def test_homogeneous_functions_are():
    x = np.linspace(-2, 2, 9)
    for activation in EVERY:
        scaled = activation.function(3 * x)
        assert np.allclose(scaled, 3 * activation.function(x)) == activation.homogeneous
