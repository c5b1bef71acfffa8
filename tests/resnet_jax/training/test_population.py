import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Run, Training, dense_network, from_linen
from resnet_jax.training import optimizers, population
from resnet_jax.training.population import Population, product, runs_mesh

TRAINING = Training(
    from_linen(dense_network(6, 4, 3)),
    lambda rate: optimizers.momentum(rate, 0.0),
    optimizers.constant(20),
    batch_size=10,
    chunk=10,
)
#: Programs that run once; tests/reliability/test_independence.py has those of studies.
QUICKLY: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}


def train(runs, data, tile=1, devices=2, chunks=(10, 10)):
    mesh = runs_mesh(jax.devices()[:devices])
    these = Population(TRAINING, runs, data, mesh, tile)
    advance, states = these.compile(QUICKLY, QUICKLY), None
    for steps in chunks:
        states, metrics = advance(states, steps, True)
    return these.unpad(states), metrics


def take(tree, rows):
    return jax.tree.map(lambda leaf: leaf[np.asarray(rows)], tree)


def test_product_lists_all_combinations_with_the_seed_fastest():
    runs = product([3, 4], [0.0, 1.0], [0.1])
    np.testing.assert_array_equal(runs.seed, [3, 4, 3, 4])
    np.testing.assert_array_equal(runs.shortcut_weight, [0, 0, 1, 1])
    np.testing.assert_array_equal(runs.learning_rate, np.float32([0.1] * 4))


@pytest.mark.slow
def test_mapped_equals_looped_to_the_bit(tiny_data):
    """Against the same training of one run after the other, without any population."""
    runs = product([0, 5], [0.0, 1.0], [0.1])
    states, metrics = train(runs, tiny_data)

    def alone(state, run, data):
        state = TRAINING.advance(state, run, data, jnp.int32(10))
        state = TRAINING.advance(state, run, data, jnp.int32(10))
        return state, TRAINING.measure(state, run, data)

    first = Run(*[field[0] for field in runs])
    start = jax.jit(TRAINING.start).lower(first, tiny_data).compile(QUICKLY)
    train_alone = jax.jit(alone).lower(start(first, tiny_data), first, tiny_data).compile(QUICKLY)
    for index in range(4):
        one = Run(*[field[index] for field in runs])
        expected = train_alone(start(one, tiny_data), one, tiny_data)
        chex.assert_trees_all_equal(take((states, metrics), index), expected)


@pytest.mark.slow
def test_mapped_and_vectorised_agree(tiny_data):
    """To rounding, over few steps: vectorising changes the last bits, and training amplifies."""
    runs = product([0, 1, 2], [0.0, 1.0], [0.1, 0.01])
    mapped, vectorised = (train(runs, tiny_data, tile, chunks=(3,)) for tile in (1, None))
    chex.assert_trees_all_close(mapped, vectorised, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_seeds_differ_and_weights_share_their_start(tiny_data):
    runs = product([0, 1], [0.0, 1.0], [0.1])
    these = Population(TRAINING, runs, tiny_data, runs_mesh(), 1)
    advance = these.compile(QUICKLY, QUICKLY)
    states, _ = advance(None, 0, False)
    params = these.unpad(states.params)
    assert not np.array_equal(*take(params["stem"]["kernel"], [0, 1]))
    chex.assert_trees_all_equal(take(params, [0, 1]), take(params, [2, 3]))
    states, _ = advance(states, 1, False)
    params = these.unpad(states.params)
    assert not np.array_equal(*take(params["stem"]["kernel"], [0, 2]))


@pytest.mark.slow
def test_a_run_does_not_depend_on_its_neighbours(tiny_data):
    many = product([0, 1, 2], [0.0, 1.0], [0.1, 0.01])
    together = train(many, tiny_data)
    for rows in ([7], [7, 2, 11]):
        apart = train(take(many, rows), tiny_data)
        chex.assert_trees_all_equal(apart, take(together, rows))
    assert len(set(together[1].train_loss)) == len(together[1].train_loss)  # the control


@pytest.mark.slow
def test_nor_on_the_number_of_devices_or_chunks(tiny_data):
    runs = product([0, 1, 2], [1.0], [0.1])  # three runs on two devices: one is padding
    expected = train(runs, tiny_data)
    chex.assert_trees_all_equal(train(runs, tiny_data, devices=1), expected)
    chex.assert_trees_all_equal(train(runs, tiny_data, chunks=(1, 4, 9, 6)), expected)


@pytest.mark.slow
def test_a_neighbour_that_diverges_changes_no_bit(tiny_data):
    calm = product([0, 1], [1.0], [0.1])
    wild = product([0, 1], [1.0], [0.1, 1e30])
    states, metrics = train(wild, tiny_data)
    assert (states.diverged_at[2:] >= 0).all() and (metrics.train_error[2:] == 1).all()
    chex.assert_trees_all_equal(take((states, metrics), [0, 1]), train(calm, tiny_data))


@pytest.mark.slow
@pytest.mark.parametrize("tile", [1, 2, None])
def test_two_compilations_a_population(tiny_data, tile):
    these = Population(TRAINING, product([0, 1], [0.0, 1.0], [0.1]), tiny_data, runs_mesh(), tile)
    compilations = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        advance, states = these.compile(), None
        for steps, measure in ((0, True), (3, False), (10, True), (1, True)):
            states, metrics = advance(states, steps, measure)
            assert (metrics is not None) == measure
        assert len(compilations) == 2  # the start, and all the rest
        jax.jit(lambda x: x * 3)(np.float32(1))  # the listener does hear compilations
        assert len(compilations) == 3
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_tiles_are_even():
    even = population.even_tile
    assert [even(7, tile) for tile in (None, 1, 2, 3, 4, 6, 7, 9)] == [7, 1, 2, 3, 4, 4, 7, 7]
    assert [even(1, tile) for tile in (None, 1, 5)] == [1, 1, 1]


@pytest.mark.slow
def test_tiles_come_to_what_all_runs_at_once_do(tiny_data):
    """Seven runs on two devices: four on each, twice two, one of them a copy."""
    runs = product([0, 1, 2, 3, 4, 5, 6], [1.0], [0.1])
    at_once = train(runs, tiny_data, None, chunks=(3,))
    tiles = train(runs, tiny_data, 2, chunks=(3,))
    assert tiles[1].train_loss.shape == (7,)
    chex.assert_trees_all_close(tiles, at_once, rtol=1e-3, atol=1e-4)


def test_a_tile_follows_the_other():
    """Six runs in threes: a loop of two turns around what is vectorised over three."""
    one = lambda each, shared: each * shared
    jaxpr = jax.make_jaxpr(population.over_runs(one, 3))(jnp.arange(6.0), jnp.float32(2))
    (loop,) = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "scan"]
    assert loop.params["length"] == 2
    assert loop.params["jaxpr"].in_avals[-1].shape == (3,)
    np.testing.assert_array_equal(
        population.over_runs(one, 3)(jnp.arange(6.0), jnp.float32(2)), 2 * np.arange(6)
    )
