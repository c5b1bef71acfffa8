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
    Run,
    Training,
    blocks,
    dense_network,
    from_linen,
    normalization,
    optimizers,
)
from resnet_jax.training import batch_indices


def run(seed=0, weight=1.0, rate=0.05):
    return Run(jnp.int32(seed), jnp.float32(weight), jnp.float32(rate))


def training(network=None, batch_size=10, chunk=8, optimizer=optimizers.momentum, steps=20):
    network = network or from_linen(dense_network(6, 4, 3))
    return Training(
        network, lambda rate: optimizer(rate, 0.0), optimizers.cosine(steps), batch_size, chunk
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


def test_training_equals_an_ordinary_loop(tiny_data):
    """Against Optax in a Python loop on batches chosen by the same keys."""
    network = from_linen(dense_network(6, 4, 3))
    one = training(network)
    state = one.start(run(seed=3), tiny_data)
    actual = advance(one, state, run(seed=3), tiny_data, 7)

    params = state.params
    schedule = optimizers.cosine(20)
    rule = optax.sgd(lambda count: 0.05 * schedule(count), momentum=0.9)
    slots = rule.init(params)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 3), 1)
    for rows in batch_indices(key, jnp.int32(0), 7, 30, 10):

        def loss(params, rows=rows):
            logits, _ = network.forward(params, tiny_data.x_train[rows], jnp.ones(()))
            picked = jnp.take_along_axis(
                jax.nn.log_softmax(logits), tiny_data.y_train[rows][:, None], 1
            )
            return -picked.mean()

        gradient = jax.grad(loss)(params)
        update, slots = rule.update(gradient, slots, params)
        params = optax.apply_updates(params, update)
    chex.assert_trees_all_close(actual.params, params, rtol=1e-4, atol=1e-5)
    power = sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(actual.gradient_norm, np.sqrt(power), rtol=1e-4)
    assert actual.step == 7 and actual.diverged_at == -1 and not actual.dead


def test_chunks_change_no_bit(tiny_data):
    one = training()
    start = one.start(run(), tiny_data)
    whole = advance(one, start, run(), tiny_data, 8, 6)
    pieces = advance(one, start, run(), tiny_data, 1, 5, 2, 4, 2)
    chex.assert_trees_all_equal(whole, pieces)
    other = advance(one, one.start(run(1), tiny_data), run(1), tiny_data, 8, 6)
    assert not np.array_equal(other.params["head"]["kernel"], whole.params["head"]["kernel"])


def test_residual_training_learns(tiny_data):
    one = training(chunk=50, steps=50)
    before = one.start(run(), tiny_data)
    after = advance(one, before, run(), tiny_data, 50)
    first, last = (one.measure(state, run(), tiny_data) for state in (before, after))
    assert last.train_loss < 0.5 * first.train_loss
    assert last.train_error < 0.2 < first.train_error


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
        forward=lambda params, x, w: (forward(params["p"], x), {}),
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


def test_a_network_that_no_gradient_reaches_is_dead(tiny_data):
    """Plain, unnormalised and with a branch that starts at zero: nothing but the head's bias."""
    parts = Parts(norm=normalization.NoNorm, branch_scale=blocks.learned_scale)
    one = training(from_linen(dense_network(6, 4, 3, parts)))
    plain = advance(one, one.start(run(), tiny_data), run(weight=0.0), tiny_data, 3)
    residual = advance(one, one.start(run(), tiny_data), run(weight=1.0), tiny_data, 3)
    assert plain.dead and plain.diverged_at == -1
    assert not residual.dead
    # After one step only the scales that began at zero have moved, but the stem is reached.
    parts = Parts(branch_scale=blocks.learned_scale)
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
