import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resnet_jax import (
    Data,
    Network,
    Parts,
    ResidualNetwork,
    Run,
    Training,
    WarmUp,
    dense_network,
    from_linen,
)
from resnet_jax.nn import branches, families, initializers, shortcuts
from resnet_jax.nn.blocks import BASIC
from resnet_jax.nn.networks import StageShape, Stem
from resnet_jax.ops import normalization
from resnet_jax.training import augmentation as augmentations
from resnet_jax.training import losses as losses_module
from resnet_jax.training import optimizers
from resnet_jax.training.run import batch_indices


def run(seed=0, weight=1.0, rate=0.05):
    return Run(jnp.int32(seed), jnp.float32(weight), jnp.float32(rate))


def training(
    network=None, batch_size=10, chunk=8, optimizer=optimizers.momentum, steps=20, **options
):
    network = network or from_linen(dense_network(6, 4, 3))
    return Training(
        network,
        lambda rate: optimizer(rate, 0.0),
        optimizers.cosine(steps),
        batch_size,
        chunk,
        **options,
    )


def advance(one, state, who, data, *chunks):
    step = jax.jit(one.advance)
    for steps in chunks:
        state = step(state, who, data, jnp.int32(steps))
    return state


class TestBatches:
    def test_an_epoch_is_a_shuffle_of_all_examples(self):
        indices = batch_indices(jax.random.key(0), jnp.int32(0), 9, examples=30, batch_size=10)
        for epoch in range(3):
            seen = np.sort(np.ravel(indices[3 * epoch : 3 * epoch + 3]))
            np.testing.assert_array_equal(seen, np.arange(30))
        assert not np.array_equal(indices[0:3], indices[3:6])

    @pytest.mark.parametrize("batch_size", [4, 7, 30])
    @pytest.mark.parametrize("first", [0, 1, 5, 13])
    @pytest.mark.parametrize("chunk", [1, 3, 8])
    def test_they_do_not_depend_on_the_chunks(self, batch_size, first, chunk):
        whole = batch_indices(jax.random.key(1), jnp.int32(0), 24, 30, batch_size)
        part = batch_indices(jax.random.key(1), jnp.int32(first), chunk, 30, batch_size)
        np.testing.assert_array_equal(part, whole[first : first + chunk])

    def test_a_remainder_sits_its_epoch_out(self):
        indices = batch_indices(jax.random.key(0), jnp.int32(0), 2, examples=9, batch_size=4)
        assert len(np.unique(indices)) == 8


def purpose_key(seed, purpose):
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), purpose)


def cross_entropy_and_error(logits, labels):
    logits = np.asarray(logits, np.float64)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    return losses.mean(), np.mean(logits.argmax(1) != labels)


def ordinary_loop(network, params, data, seed, steps, rate, augment=None, factor=lambda error: 1):
    """Momentum in a Python loop, on batches chosen and augmented by the keys of the design.

    Args:
      factor: of the batch's error to the factor on the rate of its step.

    Returns:
      The parameters, the last gradient, and the statistics of each batch.
    """
    velocity, measured = jax.tree.map(jnp.zeros_like, params), []
    batches = batch_indices(purpose_key(seed, 1), jnp.int32(0), steps, 30, 10)

    @jax.jit
    def slopes(params, x, y):
        def loss(params):
            logits, statistics = network.forward(params, x, jnp.ones(()), None)
            picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
            return -picked.mean(), (logits, statistics)

        return jax.grad(loss, has_aux=True)(params)

    for step, rows in enumerate(batches):
        x, y = data.x_train[rows], data.y_train[rows]
        if augment:
            x = augment(jax.random.fold_in(purpose_key(seed, 3), step), x)
        gradient, (logits, statistics) = slopes(params, x, y)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradient)
        now = rate(step) * factor(np.mean(np.argmax(logits, 1) != y))
        params = jax.tree.map(lambda p, v, now=now: p - now * v, params, velocity)
        measured.append(statistics)
    return params, gradient, measured


def cosine_rate(step):
    return 0.05 * optimizers.cosine(20)(step)


def test_training_equals_an_ordinary_loop(tiny_data):
    network = from_linen(dense_network(6, 4, 3))
    one = training(network)
    state = one.start(run(seed=3), tiny_data)
    actual = advance(one, state, run(seed=3), tiny_data, 7)
    params, gradient, _ = ordinary_loop(network, state.params, tiny_data, 3, 7, cosine_rate)
    chex.assert_trees_all_close(actual.params, params, rtol=1e-4, atol=1e-5)
    power = sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(actual.gradient_norm, np.sqrt(power), rtol=1e-4)
    assert actual.step == 7 and actual.diverged_at == -1 and not actual.dead
    assert actual.statistics == {} and actual.warm


def jitter(key, x):
    return x + 0.3 * jax.random.normal(key, x.shape)


@pytest.mark.slow
def test_augmented_with_running_statistics_and_a_warm_up_as_well(tiny_data):
    """The same loop; the rate of 0.05 stays at a tenth until the running error falls below 0.88."""
    network = from_linen(dense_network(6, 4, 3))
    options = {"augmentation": jitter, "warm_up": WarmUp(0.005, 0.88), "running_statistics": True}
    one = training(network, **options)
    start = one.start(run(seed=3), tiny_data)
    assert start.error == 1 and not start.warm

    running, warm, factors = 1.0, False, []

    def factor(error):
        nonlocal running, warm
        factors.append(1.0 if warm else 0.1)
        running = 0.9 * running + 0.1 * error
        warm = warm or running < 0.88
        return factors[-1]

    params, _, measured = ordinary_loop(
        network, start.params, tiny_data, 3, 8, cosine_rate, jitter, factor
    )
    assert 0 < factors.count(0.1) < 7 and factors == sorted(factors)  # it ended on the way
    actual = advance(one, start, run(seed=3), tiny_data, 8)
    chex.assert_trees_all_close(actual.params, params, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(actual.error, running, rtol=1e-5)
    assert actual.warm

    first = network.forward(start.params, tiny_data.x_train[:10], jnp.ones(()), None)[1]
    chex.assert_trees_all_close(start.statistics, first, rtol=1e-5, atol=1e-6)
    average = first
    for statistics in measured:
        average = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, average, statistics)
    chex.assert_trees_all_close(actual.statistics, average, rtol=1e-3, atol=1e-5)
    logits = network.predict(actual.params, average, tiny_data.x_test, jnp.ones(()))
    loss, error = cross_entropy_and_error(logits, tiny_data.y_test)
    metrics = one.measure(actual, run(seed=3), tiny_data)
    np.testing.assert_allclose([metrics.test_loss, metrics.test_error], [loss, error], rtol=1e-3)


def test_a_warm_up_that_is_over_does_not_come_back(tiny_data):
    """Errors of 0 and 1 in turn, by a network that is right on even labels alone."""
    certain = lambda p, x: jnp.stack([1 + p, 0 * p], -1)[None] * jnp.ones((x.shape[0], 1))
    one = training(scalar_network(certain), batch_size=1, warm_up=WarmUp(0.5, 0.92))
    state = advance(one, one.start(run(), tiny_data), run(), right(tiny_data), 1)
    assert state.warm  # 0.9 · 1 + 0.1 · 0
    np.testing.assert_allclose(state.error, 0.9, rtol=1e-6)
    state = advance(one, state, run(), wrong(tiny_data), 4)
    np.testing.assert_allclose(state.error, 1 - 0.1 * 0.9**4, rtol=1e-6)
    assert state.error > 0.92 and state.warm
    cold = advance(one, one.start(run(), tiny_data), run(), wrong(tiny_data), 4)
    assert not cold.warm and cold.error == 1


def right(data):
    return data._replace(y_train=0 * data.y_train)


def wrong(data):
    return data._replace(y_train=1 + 0 * data.y_train)


def test_noise_has_a_key_for_every_step():
    """One parameter p with logits [u p, 0] and label 0, u drawn by the network in training."""
    data = Data(np.zeros((4, 1), np.float32), np.zeros(4, np.int32), *[np.zeros(0)] * 2)

    def forward(params, x, weight, key):
        u = 1.0 if key is None else jax.random.uniform(key)
        return jnp.stack([u * params["p"], 0 * params["p"]])[None] * jnp.ones((x.shape[0], 1)), {}

    network = scalar_network(lambda p, x: x)._replace(forward=forward)
    one = training(network, 2, optimizer=optimizers.sgd)
    p = 1.0
    for step in range(3):
        u = float(jax.random.uniform(jax.random.fold_in(purpose_key(5, 2), step)))
        p += cosine_rate(step) * u * (1 - 1 / (1 + np.exp(-u * p)))
    who = run(seed=5)
    state = advance(one, one.start(who, data), who, data, 3)
    np.testing.assert_allclose(state.params["p"], p, rtol=1e-6)
    state = advance(one, one.start(who, data), run(seed=6), data, 3)
    assert abs(state.params["p"] - p) > 1e-4


def test_shortcuts_that_fall_have_the_weight_of_their_step():
    """Logits [w p, 0] and label 0: the gradient of the loss is -w σ(-w p), w = 1, 3/4, 1/2, 1/4."""
    data = Data(*[np.zeros((2, 1), np.float32), np.zeros(2, np.int32)] * 2)
    forward = lambda p, w, x: jnp.stack([w * p, 0 * p])[None] * jnp.ones((x.shape[0], 1))
    network = scalar_network(None)._replace(
        forward=lambda params, x, w, key: (forward(params["p"], w, x), {}),
        predict=lambda params, statistics, x, w: forward(params["p"], w, x),
    )
    falling = optimizers.linear(4)
    one = training(network, 2, optimizer=optimizers.sgd, shortcut_schedule=falling)
    state, p = one.start(run(weight=2.0), data), 1.0
    for step in range(4):
        w = 2 * (1 - step / 4)
        metrics = one.measure(state, run(weight=2.0), data)
        np.testing.assert_allclose(metrics.train_loss, np.log1p(np.exp(-w * p)), rtol=1e-5)
        p += cosine_rate(step) * w / (1 + np.exp(w * p))
        state = advance(one, state, run(weight=2.0), data, 1)
        np.testing.assert_allclose(state.params["p"], p, rtol=1e-6)
    ended = one.measure(state, run(weight=2.0), data)
    np.testing.assert_allclose([ended.train_loss, ended.test_loss], np.log(2), rtol=1e-6)
    assert training(network).shortcut_weight(run(weight=2.0), 3) == 2.0


@pytest.mark.slow
def test_chunks_change_no_bit(tiny_data):
    one = training()
    start = one.start(run(), tiny_data)
    whole = advance(one, start, run(), tiny_data, 8, 6)
    chunks = advance(one, start, run(), tiny_data, 1, 5, 2, 4, 2)
    chex.assert_trees_all_equal(whole, chunks)
    other = advance(one, one.start(run(1), tiny_data), run(1), tiny_data, 8, 6)
    assert not np.array_equal(other.params["head"]["kernel"], whole.params["head"]["kernel"])


def pattern(key, shape, dtype=jnp.float32):
    phase = jax.random.key_data(key)[0] / 2.0**32
    return jnp.sin(9 * phase + jnp.arange(np.prod(shape), dtype=dtype)).reshape(shape) / 2


@pytest.mark.slow
def test_nor_with_convolutions_noise_augmentation_and_warm_up():
    """All that draws keys or keeps averages, at once, on images."""
    random = np.random.RandomState(0)
    x, y = random.randn(12, 4, 4, 1).astype(np.float32), np.arange(12, dtype=np.int32) % 3
    data = Data(x[:8], y[:8], x[8:], y[8:])
    parts = Parts(
        init=initializers.Init(pattern),  # compiles faster than random numbers
        branch=branches.stochastic_depth(0.5),
        shortcut=shortcuts.dropout(0.2),
    )
    stages = [StageShape(2, 2), StageShape(4, 1, 2)]
    augment = augmentations.compose([augmentations.crop, augmentations.flip])
    one = training(
        from_linen(ResidualNetwork(Stem(2, 3), stages, 3, parts, families.blocks_of(BASIC))),
        batch_size=4,
        augmentation=augment,
        warm_up=WarmUp(0.005, 0.8),
        running_statistics=True,
    )
    program = jax.jit(one.advance)
    start = jax.jit(one.start)(run(), data)

    def train(state, who, *chunks):
        for steps in chunks:
            state = program(state, who, data, jnp.int32(steps))
        return state

    whole = train(start, run(), 8)
    chex.assert_trees_all_equal(whole, train(start, run(), 1, 5, 2))
    chex.assert_trees_all_equal(whole, train(start, run(), 8))
    head = lambda state: np.asarray(state.params["head"]["kernel"])
    assert not np.array_equal(head(train(start, run(1), 8)), head(whole))  # of other draws


@pytest.mark.slow
def test_residual_training_learns(tiny_data):
    one = training(chunk=50, steps=50)
    before = one.start(run(), tiny_data)
    after = advance(one, before, run(), tiny_data, 50)
    first, last = (one.measure(state, run(), tiny_data) for state in (before, after))
    assert last.train_loss < 0.5 * first.train_loss
    assert last.train_error < 0.2 < first.train_error


@pytest.mark.slow
def test_a_run_that_blows_up_is_flagged_at_its_step(tiny_data):
    """Unnormalised, at a rate of 10^12, the second forward pass overflows."""
    network = from_linen(dense_network(6, 4, 3, Parts(norm=normalization.NoNorm)))
    one = training(network, optimizer=optimizers.sgd)
    wild = run(rate=1e12)
    one_step = advance(one, one.start(wild, tiny_data), wild, tiny_data, 1)
    assert one_step.diverged_at == -1
    state = advance(one, one_step, wild, tiny_data, 4)
    assert state.diverged_at == 1
    metrics = one.measure(state, wild, tiny_data)
    assert metrics.train_error == 1 and metrics.test_error == 1
    assert metrics.train_loss == np.inf and metrics.test_loss == np.inf


def scalar_network(forward):
    """A network of one parameter, to put any number anywhere."""
    return Network(
        init=lambda key, x: {"p": jnp.ones(())},
        forward=lambda params, x, w, key: (forward(params["p"], x), {}),
        predict=lambda params, statistics, x, w: forward(params["p"], x),
        first=lambda params: params,
    )


@pytest.mark.parametrize(
    ("forward", "why"),
    [
        (lambda p, x: jnp.stack([p * jnp.inf, p], -1)[None] * x[:, :2], "infinite logits"),
        (lambda p, x: x[:, :3] + 0 * jnp.sqrt(p - 1), "a NaN gradient under a finite loss"),
        (lambda p, x: x[:, :3] * (1 + p * 1e38), "an infinite gradient"),
    ],
)
def test_what_is_not_finite_is_divergence(tiny_data, forward, why):
    del why
    data = tiny_data._replace(x_train=abs(tiny_data.x_train), y_train=0 * tiny_data.y_train)
    scaled = lambda p, x: forward(p, x) * jnp.array([[1.0, 1e-3, 1e3]])[:, : forward(p, x).shape[1]]
    one = training(scalar_network(scaled))
    state = advance(one, one.start(run(), data), run(), data, 1)
    assert state.diverged_at == 0


def test_a_steep_gradient_is_no_divergence(tiny_data):
    """Its square overflows float32; the norm itself, and the parameter after a step, do not."""
    norms = []
    for steepness in (1e15, 1e25):
        one = training(scalar_network(lambda p, x, s=steepness: x[:, :3] * (1 + (p - 1) * s)))
        state = advance(one, one.start(run(), tiny_data), run(), tiny_data, 1)
        assert state.diverged_at == -1
        norms.append(float(state.gradient_norm))
    assert norms[1] / norms[0] == pytest.approx(1e10, rel=1e-3)


def test_parameters_that_become_nan_are_seen_though_the_loss_hides_them(tiny_data):
    """The forward pass ignores the parameter once it is NaN, as XLA's ReLU has been seen to do."""

    def forward(p, x):
        return x[:, :3] * jnp.where(jnp.isnan(p), 0.0, 1 + 0 * p)

    def to_nan(rate, weight_decay):
        del rate, weight_decay
        return optax.stateless(lambda update, params: {"p": jnp.full((), jnp.nan)})

    one = training(scalar_network(forward), optimizer=to_nan)
    state = advance(one, one.start(run(), tiny_data), run(), tiny_data, 3)
    assert state.diverged_at == 0
    assert one.measure(state, run(), tiny_data).train_error == 1


@pytest.mark.slow
def test_a_network_that_no_gradient_reaches_is_dead(tiny_data):
    """Plain, unnormalised and with a branch that starts at zero: nothing but the head's bias."""
    parts = Parts(norm=normalization.NoNorm, branch=branches.learned)
    one = training(from_linen(dense_network(6, 4, 3, parts)))
    plain = advance(one, one.start(run(), tiny_data), run(weight=0.0), tiny_data, 3)
    residual = advance(one, one.start(run(), tiny_data), run(weight=1.0), tiny_data, 3)
    assert plain.dead and plain.diverged_at == -1
    assert not residual.dead
    # After one step only the scales that began at zero have moved, but the stem is reached.
    parts = Parts(branch=branches.learned)
    one = training(from_linen(dense_network(6, 4, 3, parts)))
    assert not advance(one, one.start(run(), tiny_data), run(), tiny_data, 1).dead


def test_measurement_by_hand():
    """Two logits [x, 0]: at x = 0 the loss is ln 2; at x = 2 it is ln(1 + e^-2)."""
    data = Data(
        x_train=np.array([[0.0], [2.0]], np.float32),
        y_train=np.array([0, 0], np.int32),
        x_test=np.array([[2.0], [2.0]], np.float32),
        y_test=np.array([0, 1], np.int32),
    )
    one = training(scalar_network(lambda p, x: jnp.concatenate([x, 0 * x], 1)), batch_size=1)
    metrics = one.measure(one.start(run(), data), run(), data)
    small = np.log1p(np.exp(-2.0))
    np.testing.assert_allclose(metrics.train_loss, (np.log(2) + small) / 2, rtol=1e-6)
    np.testing.assert_allclose(metrics.test_loss, (small + small + 2) / 2, rtol=1e-6)
    assert metrics.train_error == 0 and metrics.test_error == 0.5


@pytest.mark.parametrize("at_once", [1, 7, 30, 500])
def test_measuring_in_chunks_is_measuring_at_once(tiny_data, monkeypatch, at_once):
    """Thirty and ten examples, which seven does not divide."""
    monkeypatch.setattr(losses_module, "MEASURED_AT_ONCE", at_once)
    network = from_linen(dense_network(4, 4, 3))
    one = training(network, running_statistics=True)
    state = one.start(run(), tiny_data)
    metrics = one.measure(state, run(), tiny_data)
    for name in ("train", "test"):
        x, y = getattr(tiny_data, f"x_{name}"), getattr(tiny_data, f"y_{name}")
        logits = network.predict(state.params, state.statistics, x, jnp.ones(()))
        expected = cross_entropy_and_error(logits, y)
        actual = getattr(metrics, f"{name}_loss"), getattr(metrics, f"{name}_error")
        np.testing.assert_allclose(actual, expected, rtol=1e-5)
        assert 0 < expected[1] < 1


def test_numpy_arrays_serve_where_a_program_closes_over_them(tiny_data):
    """As in a loop of one's own, which jits a function of the state alone."""
    one = training(from_linen(dense_network(4, 4, 3)))
    numpy = Data(*map(np.asarray, tiny_data))
    state = jax.jit(lambda: one.start(run(), numpy))()
    state = jax.jit(lambda state: one.advance(state, run(), numpy, 2))(state)
    metrics = jax.jit(lambda state: one.measure(state, run(), numpy))(state)
    same = one.advance(one.start(run(), tiny_data), run(), tiny_data, 2)
    chex.assert_trees_all_close(state.params, same.params, atol=1e-5)
    assert np.isfinite(metrics.train_loss)
