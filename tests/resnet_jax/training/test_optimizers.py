import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resnet_jax.training import optimizers


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
    "optimizer",
    [optimizers.sgd, optimizers.momentum, optimizers.nesterov, optimizers.adam, optimizers.adamw],
)
def test_a_multiplied_rate_is_a_rate_multiplied_for_some(optimizer):
    """Two parameters of one value and gradients; the second has a quarter of the rate."""
    where = lambda params: {"a": False, "b": True}
    rule = optimizers.multiplied(optimizer, 0.25, where)(lambda count: 0.1 * (1 - count / 2), 0.5)
    params = {"a": jnp.array(2.0), "b": jnp.array(2.0)}
    state = rule.init(params)
    updates, state = rule.update({"a": jnp.array(1.0), "b": jnp.array(1.0)}, state, params)
    slow = optimizer(lambda count: 0.025 * (1 - count / 2), 0.5)
    alone, kept = slow.update(jnp.array(1.0), slow.init(params["b"]), params["b"])
    assert updates["b"] == pytest.approx(float(alone), rel=1e-6)
    assert updates["a"] == pytest.approx(4 * float(alone), rel=1e-6)
    params = {name: params[name] + updates[name] for name in params}
    updates, _ = rule.update({"a": jnp.array(-3.0), "b": jnp.array(-3.0)}, state, params)
    alone, _ = slow.update(jnp.array(-3.0), kept, params["b"])
    assert updates["b"] == pytest.approx(float(alone), rel=1e-5)


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        (optimizers.constant, [0, 99], [1, 1]),
        (optimizers.linear, [0, 25, 100], [1, 0.75, 0]),
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
        optimizers.linear,
        optimizers.step_decay,
        optimizers.cosine,
        optimizers.warmup,
        optimizers.warmup_cosine,
    ],
)
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_schedules_of_hardly_any_steps_are_finite(schedule, steps):
    assert 0 <= schedule(steps)(jnp.array(0)) <= 1
