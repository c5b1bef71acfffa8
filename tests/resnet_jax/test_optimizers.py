import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resnet_jax import optimizers


def parameter_after(optimizer, steps, rate=0.1, weight_decay=0.0, gradient=1.0):
    rule = optimizer(rate, weight_decay)
    parameter = jnp.array(2.0)
    state = rule.init(parameter)
    for _ in range(steps):
        update, state = rule.update(jnp.array(gradient), state, parameter)
        parameter = optax.apply_updates(parameter, update)
    return float(parameter)


@pytest.mark.parametrize(
    ("optimizer", "steps", "expected"),
    [
        (optimizers.sgd, 2, 2 - 0.1 - 0.1),
        (optimizers.momentum, 2, 2 - 0.1 - 0.19),  # velocities 1 and 1.9
        (optimizers.nesterov, 1, 2 - 0.1 * 1.9),
        (optimizers.adam, 2, 2 - 0.1 - 0.1),  # the sign of a constant gradient
        (optimizers.adamw, 2, 2 - 0.1 - 0.1),
    ],
)
def test_steps_by_hand(optimizer, steps, expected):
    assert parameter_after(optimizer, steps) == pytest.approx(expected, rel=1e-5)


def test_l2_passes_through_momentum_and_adamw_is_decoupled():
    # momentum: gradients 0 + 0.5·2 = 1, then 0.5·1.9 = 0.95; velocities 1 and 1.85
    decayed = parameter_after(optimizers.momentum, 2, weight_decay=0.5, gradient=0.0)
    assert decayed == pytest.approx(2 - 0.1 - 0.185)
    decoupled = parameter_after(optimizers.adamw, 1, weight_decay=0.5, gradient=0.0)
    assert decoupled == pytest.approx(2 * (1 - 0.1 * 0.5))


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        (optimizers.constant, [0, 99], [1, 1]),
        (optimizers.step_decay, [0, 49, 51, 74, 76], [1, 1, 0.1, 0.1, 0.01]),
        (optimizers.cosine, [0, 50, 100], [1, 0.5, 0]),
        (optimizers.warmup, [0, 4, 9, 10, 99], [0.1, 0.5, 1, 1, 1]),
        (optimizers.warmup_cosine, [0, 9, 10, 55, 100], [0.1, 1, 1, 0.5, 0]),
    ],
)
def test_schedules_over_100_steps(schedule, at, expected):
    values = [schedule(100)(jnp.array(step)) for step in at]
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "schedule",
    [
        optimizers.constant,
        optimizers.step_decay,
        optimizers.cosine,
        optimizers.warmup,
        optimizers.warmup_cosine,
    ],
)
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_schedules_of_hardly_any_steps_are_finite(schedule, steps):
    assert 0 <= schedule(steps)(jnp.array(0)) <= 1
