"""Defines optimisers and learning-rate schedules, as values.

A schedule is made for a number of steps and multiplies the learning rate: ``schedule(steps)`` maps
a step count to a factor in [0, 1].  An optimiser ``optimizer(learning_rate, weight_decay)`` is an
Optax gradient transformation.  Its learning rate may be an array or a function of the step count,
so that the runs of one compiled program can differ in their rate.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

Optimizer = Callable[[optax.ScalarOrSchedule, float], optax.GradientTransformation]
Schedule = Callable[[int], optax.Schedule]


def _with_l2(transformation, learning_rate, weight_decay: float, **options):
    """Adds L2 regularisation: the decay joins the gradient, and passes through momentum with it."""
    update = transformation(learning_rate, **options)
    if not weight_decay:
        return update
    return optax.chain(optax.add_decayed_weights(weight_decay), update)


#: Stochastic gradient descent (SGD), without momentum.
sgd: Optimizer = functools.partial(_with_l2, optax.sgd)

#: SGD with heavy-ball momentum 0.9, as He et al. 2015 train (section 3.4).
momentum: Optimizer = functools.partial(_with_l2, optax.sgd, momentum=0.9)

#: SGD with Nesterov's momentum 0.9.
nesterov: Optimizer = functools.partial(_with_l2, optax.sgd, momentum=0.9, nesterov=True)

#: Adam (Kingma & Ba 2014, arXiv 1412.6980), with L2 regularisation in the gradient.
adam: Optimizer = functools.partial(_with_l2, optax.adam)


def adamw(learning_rate: optax.ScalarOrSchedule, weight_decay: float):
    """Returns Adam with decoupled weight decay (Loshchilov & Hutter 2017, arXiv 1711.05101)."""
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def multiplied(optimizer: Optimizer, factor: float, where: Callable[[Any], Any]) -> Optimizer:
    """Returns an optimiser whose learning rate is multiplied for some of the parameters.

    Args:
      optimizer: an optimiser whose updates are proportional to its rate, as those above are
        (decoupled weight decay included).
      factor: factor on the learning rate.
      where: function from the parameters to booleans in their places.
    """

    def made(learning_rate, weight_decay):
        update = optimizer(learning_rate, weight_decay)
        return optax.chain(update, optax.masked(optax.scale(factor), where))

    return made


def constant(steps: int) -> optax.Schedule:
    """Keeps the learning rate as it is."""
    del steps
    return optax.constant_schedule(1.0)


def linear(steps: int) -> optax.Schedule:
    """Falls linearly from 1 to 0, which it reaches exactly; compiled, Optax's ends 1e-8 off."""
    last = max(steps, 1)
    return lambda step: jnp.maximum(last - step, 0) / last


def step_decay(steps: int) -> optax.Schedule:
    """Divides by ten at 1/2 and at 3/4 of the steps (He et al. 2015, section 4.2)."""
    return optax.piecewise_constant_schedule(1.0, {steps // 2: 0.1, 3 * steps // 4: 0.1})


def step_decay_thrice(steps: int) -> optax.Schedule:
    """Divides by ten at 1/2, 3/4 and 11/12 of the steps (Li et al. 2018, arXiv 1712.09913)."""
    return optax.piecewise_constant_schedule(
        1.0, {steps // 2: 0.1, 3 * steps // 4: 0.1, 11 * steps // 12: 0.1}
    )


def cosine(steps: int) -> optax.Schedule:
    """Follows half a cosine from 1 to 0, without restarts.

    See Loshchilov & Hutter 2016, arXiv 1608.03983.
    """
    return optax.cosine_decay_schedule(1.0, max(steps, 1))


def warmup(steps: int) -> optax.Schedule:
    """Rises linearly from 1/n to 1 over the first n steps (a tenth of all), then is constant."""
    n = max(steps // 10, 1)
    return lambda count: optax.linear_schedule(0.0, 1.0, n)(count + 1)


def warmup_cosine(steps: int) -> optax.Schedule:
    """Rises like :func:`warmup`, then follows half a cosine down to 0 over the other steps."""
    n = max(steps // 10, 1)
    return optax.join_schedules([warmup(steps), cosine(steps - n)], [n])
