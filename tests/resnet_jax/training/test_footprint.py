"""Predicted bytes: by hand for small programs, and against the compiler's own figures for cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import Data, Parts, Run, Training, cifar_network, dense_network, from_linen
from resnet_jax.ops import normalization, rematerialization
from resnet_jax.training import footprint, optimizers, population
from resnet_jax.training.population import runs_mesh

X = jax.ShapeDtypeStruct((8, 8), np.float32)
BYTES = 8 * 8 * 4
COUNT = jax.ShapeDtypeStruct((), np.int32)


def extra(function, owned=(), borrowed=X):
    """Arrays of 8x8 that a function takes, besides some scalars."""
    return round(footprint.program_bytes(function, owned, borrowed) / BYTES, 1)


def test_a_chain_of_products_needs_two_at_a_time():
    assert extra(lambda _, x: x @ x @ x @ x) == 2


def test_elementwise_operations_make_one_array_and_none_of_their_own():
    assert extra(lambda _, x: jnp.sin(x) * 2 + 1) == 1
    assert extra(lambda _, x: jnp.sin(x).sum()) == 0


def test_what_is_owned_counts_and_is_used_again():
    assert extra(lambda x, _: jnp.sin(x), X, ()) == 1
    assert extra(lambda x, _: x @ x, X, ()) == 2


def test_a_loop_updates_in_place():
    loop = lambda x, steps: jax.lax.fori_loop(0, steps, lambda _, x: x + 1, x)
    assert extra(loop, X, COUNT) == 1
    products = lambda x, steps: jax.lax.fori_loop(0, steps, lambda _, x: x @ x, x)
    assert extra(products, X, COUNT) == 2


def product_then_sine(x, _):
    return jnp.sin(x @ x), None


def gradient(body):
    """Of ten products and sines, one after the other in a scan."""
    return lambda _, x: jax.grad(lambda x: jax.lax.scan(body, x, None, 10)[0].sum())(x)


def test_a_gradient_keeps_what_it_needs_and_rematerialisation_does_not():
    kept = extra(gradient(product_then_sine))
    assert 20 < kept < 26  # the input of each product and of each sine, and what is at work
    fewer = extra(gradient(jax.checkpoint(product_then_sine)))
    assert 10 < fewer < 17  # what enters each


def test_what_is_added_to_a_part_of_an_array_takes_no_array_of_zeros():
    part = jax.ShapeDtypeStruct((1, 8), np.float32)
    widened = lambda row: jax.lax.dynamic_update_slice(jnp.zeros((8, 8)), row, (0, 0))
    assert extra(lambda x, row: x + widened(row), X, part) == 1


def test_the_greatest_branch_counts():
    branches = lambda big, x: jax.lax.cond(big, lambda: (x @ x @ x).sum(), lambda: 0.0)
    assert extra(branches, jax.ShapeDtypeStruct((), np.bool_)) == 2


def training(network, batch_size):
    optimizer = lambda rate: optimizers.momentum(rate, 0.0)
    return Training(from_linen(network), optimizer, optimizers.constant(9), batch_size, 5)


def data(shape, examples):
    x, y = np.zeros((examples, *shape), np.float32), np.zeros(examples, np.int32)
    return Data(x, y, x[:10], y[:10])


LAYER = Parts(norm=normalization.LayerNorm)
DEEP = dense_network(1000, 32, 5)
BLOCKS = DEEP.clone(remat=rematerialization.block_inputs)
SEGMENTS = DEEP.clone(remat=rematerialization.segment_inputs)
CELLS = {
    "activations": (training(dense_network(30, 16, 5), 400), data((6,), 500), 1),
    "parameters": (training(dense_network(8, 128, 5), 10), data((6,), 30), 1),
    "vectorised": (training(dense_network(12, 48, 5, LAYER), 50), data((6,), 90), None),
    "convolutional": (training(cifar_network(14, 5, width=8), 50), data((8, 8), 60), 1),
    "deep": (training(DEEP, 40), data((6,), 90), 1),
    "by blocks": (training(BLOCKS, 40), data((6,), 90), 1),
    "by segments": (training(SEGMENTS, 40), data((6,), 90), 1),
}


#: Left to the long form.
ONCE = ("by blocks", "by segments", "parameters")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "runs"),
    [
        *((name, 4) for name in CELLS if name not in ONCE),
        *(pytest.param(name, 4, marks=pytest.mark.long) for name in ONCE),
        pytest.param("activations", 1, marks=pytest.mark.long),
        pytest.param("parameters", 1, marks=pytest.mark.long),
    ],
)
def test_predicted_is_what_the_compiler_takes(name, runs):
    one, examples, tile = CELLS[name]
    mesh = runs_mesh(jax.devices()[:1])
    predicted = population.footprint(one, examples, tile).total(runs)
    these = Run(np.arange(runs, dtype=np.int32), *[np.ones(runs, np.float32)] * 2)
    start = jax.vmap(one.start, in_axes=(0, None))
    states = jax.eval_shape(start, these, examples)
    program = jax.jit(population._chunk_program(one, mesh, tile), donate_argnums=0)
    compiled = program.lower(states, these, examples, np.int32(0), np.bool_(True)).compile()
    found = compiled.memory_analysis()
    measured = found.argument_size_in_bytes + found.output_size_in_bytes
    measured += found.temp_size_in_bytes - found.alias_size_in_bytes
    assert 0.8 < predicted / measured < 1.2
