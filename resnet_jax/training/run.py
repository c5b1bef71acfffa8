"""Trains one run, as pure functions over chunks of steps.

A run is one training of one network: a seed, a shortcut weight and a learning rate.  Everything
random in it comes from its own seed, folded by purpose and then by epoch or step, so that no run
depends on another, and plain and residual runs of one seed share initial weights and batches.

Keys: ``root -> seed -> purpose -> epoch`` for batches, and ``-> step`` for noise and augmentation.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from resnet_jax.nn.functional import Array, Network, Params, Statistics
from resnet_jax.training.augmentation import Augmentation
from resnet_jax.training.batches import batch_indices
from resnet_jax.training.losses import loss_and_error, mean_loss_and_error

_INIT, _BATCHES, _NOISE, _AUGMENTATION, _READINGS = range(5)  # purposes of a run's keys

#: The generator of all that is random, whatever JAX was told to take by default.
_GENERATOR = "threefry2x32"

#: The fraction of the running statistics and of the running error that a step keeps.
_MEMORY = 0.9


class Run(NamedTuple):
    """Holds what distinguishes runs: scalars, or arrays ``[runs]`` for a population."""

    seed: Array
    shortcut_weight: Array
    learning_rate: Array


class Data(NamedTuple):
    """Holds a dataset: examples ``[count, ...]`` and integer labels ``[count]``.

    NumPy arrays serve as well as JAX arrays; a program that closes over them holds a copy.
    """

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array

    def traced(self) -> "Data":
        """Returns the same dataset as JAX arrays, which traced numbers can index."""
        return Data(*map(jnp.asarray, self))


class State(NamedTuple):
    """Holds the state of a run.

    Attributes:
      params: the network's parameters.
      optimizer: the optimiser's state.
      step: number of updates made.
      diverged_at: first step whose loss, gradient or updated parameters were not finite; -1 while
        there is none.
      dead: whether, at the last step, no gradient reached the first layer although there was loss
        to reduce: its norm was zero in float32.
      gradient_norm: Euclidean norm over all parameters at the last step; 0 before the first.
      statistics: running averages of what the normalisations measured on the batches; empty where
        measurements do not use them.
      error: running average of the batches' error as a fraction; 1 without a warm-up.
      warm: whether the warm-up is over.
    """

    params: Params
    optimizer: Any
    step: jax.Array
    diverged_at: jax.Array
    dead: jax.Array
    gradient_norm: jax.Array
    statistics: Statistics
    error: jax.Array
    warm: jax.Array


class Metrics(NamedTuple):
    """Holds measurements of a run: mean cross-entropies in nats, errors as fractions."""

    train_loss: jax.Array
    train_error: jax.Array
    test_loss: jax.Array
    test_error: jax.Array
    gradient_norm: jax.Array


def _key(run: Run, purpose: int) -> jax.Array:
    root = jax.random.key(0, impl=_GENERATOR)
    return jax.random.fold_in(jax.random.fold_in(root, run.seed), purpose)


def reading_key(run: Run) -> jax.Array:
    """Returns the key for draws that inspect a run, which training never uses."""
    return _key(run, _READINGS)


def _step_key(run: Run, purpose: int, step: jax.Array) -> jax.Array:
    return jax.random.fold_in(_key(run, purpose), step)


def _powers(tree) -> jax.Array:
    """Returns the sum of squares of each leaf ``[leaves]``."""
    return jnp.stack([jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)])


def _norm(tree) -> jax.Array:
    """Returns the Euclidean norm of a tree, even where its square overflows."""
    leaves = jax.tree.leaves(tree)
    peak = jnp.stack([abs(leaf).max() for leaf in leaves]).max()
    return peak * jnp.sqrt(jnp.stack([((leaf / peak) ** 2).sum() for leaf in leaves]).sum())


def _is_finite(tree) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


class WarmUp(NamedTuple):
    """Keeps the learning rate low until the network has begun to learn (He et al. 2015, sec. 4.2).

    Attributes:
      rate: the greatest learning rate during the warm-up.
      error: running error of the batches, as a fraction, below which the warm-up ends for good.
    """

    rate: float = 0.01
    error: float = 0.8


@dataclasses.dataclass(frozen=True)
class Training:
    """Trains a network by an optimiser, as pure functions of one run.

    Attributes:
      network: the network's pure functions.
      optimizer: function of the learning-rate schedule of a run.
      schedule: function from the step count to the factor on the run's learning rate.
      batch_size: examples per step.
      chunk: the greatest number of steps in one call of ``advance``.
      augmentation: augmentation of each batch; None for the examples as they are.
      warm_up: warm-up of the learning rate; None for none.
      shortcut_schedule: function from the step count to the factor on the run's shortcut weight;
        None for 1 always.
      running_statistics: whether measurements normalise by running averages over the batches, as
        large training sets need, instead of by statistics of the whole training set.
    """

    network: Network
    optimizer: Callable[[optax.Schedule], optax.GradientTransformation]
    schedule: optax.Schedule
    batch_size: int
    chunk: int
    augmentation: Augmentation | None = None
    warm_up: WarmUp | None = None
    shortcut_schedule: optax.Schedule | None = None
    running_statistics: bool = False

    def start(self, run: Run, data: Data) -> State:
        """Returns the state before the first step."""
        data = data.traced()
        params = self.network.init(_key(run, _INIT), data.x_train[:1])
        statistics = {}
        if self.running_statistics:  # they start from a batch, not from an arbitrary 0 and 1
            batch = data.x_train[: self.batch_size]
            weight = self.shortcut_weight(run, 0)
            statistics = self.network.forward(params, batch, weight, None)[1]
        return State(
            params,
            self._update_rule(run, 1.0).init(params),
            step=jnp.zeros((), jnp.int32),
            diverged_at=jnp.full((), -1, jnp.int32),
            dead=jnp.zeros((), bool),
            gradient_norm=jnp.zeros(()),
            statistics=statistics,
            error=jnp.ones(()),
            warm=jnp.array(self.warm_up is None),
        )

    def advance(self, state: State, run: Run, data: Data, steps: jax.Array) -> State:
        """Returns the state after ``steps`` more steps.

        ``steps`` may be traced, up to ``chunk``; how a training is cut into calls changes no bit.
        """
        data = data.traced()
        count, first = data.x_train.shape[0], state.step
        indices = batch_indices(_key(run, _BATCHES), first, self.chunk, count, self.batch_size)

        def body(_, state):
            rows = indices[state.step - first]
            x = data.x_train[rows]
            if self.augmentation is not None:
                x = self.augmentation(_step_key(run, _AUGMENTATION, state.step), x)
            return self._step(state, run, x, data.y_train[rows])

        return jax.lax.fori_loop(0, steps, body, state)

    def measure(self, state: State, run: Run, data: Data) -> Metrics:
        """Measures a run on the whole training and test sets, without augmentation and noise.

        Batch normalisation uses the running statistics, or those of the whole training set for both
        sets; see the attribute ``running_statistics``.  Shortcuts have the weight of the run's
        current step: at the end of a schedule, its final weight.
        """
        data, weight = data.traced(), self.shortcut_weight(run, state.step)
        if self.running_statistics:
            predict = lambda x: self.network.predict(state.params, state.statistics, x, weight)
            train_loss, train_error = mean_loss_and_error(predict, data.x_train, data.y_train)
            test_loss, test_error = mean_loss_and_error(predict, data.x_test, data.y_test)
        else:
            logits, statistics = self.network.forward(state.params, data.x_train, weight, None)
            train_loss, train_error = loss_and_error(logits, data.y_train)
            logits = self.network.predict(state.params, statistics, data.x_test, weight)
            test_loss, test_error = loss_and_error(logits, data.y_test)
        healthy = state.diverged_at < 0

        def loss_of(loss):  # a diverged run has no loss, and classifies nothing
            return jnp.where(healthy & ~jnp.isnan(loss), loss, jnp.inf)

        return Metrics(
            loss_of(train_loss),
            jnp.where(healthy, train_error, 1.0),
            loss_of(test_loss),
            jnp.where(healthy, test_error, 1.0),
            state.gradient_norm,
        )

    def shortcut_weight(self, run: Run, step: Array | int) -> Array:
        """Returns the shortcut weight of a run at a step, which its schedule may change."""
        if self.shortcut_schedule is None:
            return run.shortcut_weight
        return run.shortcut_weight * self.shortcut_schedule(step)

    def _update_rule(self, run: Run, factor: Array | float) -> optax.GradientTransformation:
        return self.optimizer(lambda count: run.learning_rate * self.schedule(count) * factor)

    def _warm_up(self, state: State, run: Run, error: jax.Array) -> tuple[jax.Array | float, dict]:
        """Returns the factor on the rate of a step, and the state's fields after the step."""
        if self.warm_up is None:
            return 1.0, {}
        running = _MEMORY * state.error + (1 - _MEMORY) * error
        warm = state.warm | (running < self.warm_up.error)
        low = jnp.minimum(1.0, self.warm_up.rate / run.learning_rate)
        return jnp.where(state.warm, 1.0, low), {"error": running, "warm": warm}

    def _step(self, state: State, run: Run, x: jax.Array, y: jax.Array) -> State:
        key = _step_key(run, _NOISE, state.step)
        weight = self.shortcut_weight(run, state.step)

        def batch_loss(params):
            logits, statistics = self.network.forward(params, x, weight, key)
            loss, error = loss_and_error(logits, y)
            return loss, (error, statistics)

        (loss, (error, statistics)), gradient = jax.value_and_grad(batch_loss, has_aux=True)(
            state.params
        )
        factor, warmth = self._warm_up(state, run, error)
        rule = self._update_rule(run, factor)
        update, optimizer_state = rule.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, update)
        powers = _powers(gradient)
        # The loss alone is not enough: XLA on CPU can turn a NaN into a zero on its way through
        # ReLU, so that a network of NaNs reports the loss of a random guess.
        finite, gradient_norm = jax.lax.cond(
            jnp.isfinite(powers.sum() + _powers(params).sum() + loss),
            lambda: (jnp.array(True), jnp.sqrt(powers.sum())),
            lambda: (_is_finite((gradient, params, loss)), _norm(gradient)),  # or squares overflow
        )
        first = ~finite & (state.diverged_at < 0)
        if self.running_statistics:
            average = lambda old, new: _MEMORY * old + (1 - _MEMORY) * new
            state = state._replace(statistics=jax.tree.map(average, state.statistics, statistics))
        return state._replace(
            params=params,
            optimizer=optimizer_state,
            step=state.step + 1,
            diverged_at=jnp.where(first, state.step, state.diverged_at),
            dead=(_powers(self.network.first(gradient)).sum() == 0) & (loss > 0),
            gradient_norm=gradient_norm,
            **warmth,
        )
