"""The compiled programs themselves: what makes them fast, small and silent, without any clock."""

import dataclasses
import math
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import (
    Data,
    Parts,
    Population,
    Training,
    blocks,
    cifar_network,
    dense_network,
    families,
    forms,
    from_linen,
    normalization,
    optimizers,
    orders,
    product,
    runs_mesh,
    shortcuts,
)
from resnet_jax.networks import ResidualNetwork, StageShape, Stem

pytestmark = pytest.mark.slow  # whole programs are compiled
ON_CPU = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the lowering of CPU")
#: Of the machine code alone, which is not looked at: HLO is optimised all the same.
QUICKLY: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}


def population(network, shape, batch=4, seeds=(0,)):
    """A plain and a residual run of each seed."""
    x, y = np.ones((batch, *shape), np.float32), np.zeros(batch, np.int32)
    training = Training(
        from_linen(network),
        lambda rate: optimizers.momentum(rate, 0.0),
        optimizers.constant(1),
        batch,
        chunk=3,
    )
    return Population(training, product(seeds, [0.0, 1.0], [0.1]), Data(x, y, x, y), runs_mesh(), 1)


def optimised(population):
    """The program of a chunk, as XLA optimised it."""
    return population.lower()[0].compile(QUICKLY).as_text()


def of_cifar(depth, side, channels, batch=128, seeds=(0,)):
    return population(cifar_network(depth, 10), (side, side, channels), batch, seeds)


@pytest.fixture(scope="module")
def cifar_program():
    """Of a size at which many ways to convolve are taken, with loops of layers and of runs."""
    return optimised(of_cifar(20, 32, 3, seeds=(0, 1)))


@pytest.fixture(scope="module")
def dense_population():
    return population(dense_network(10, 4, 3), (6,))


@pytest.fixture(scope="module")
def dense_program(dense_population):
    return optimised(dense_population)


def without_libraries(program):
    """A program without the computations that XLA hands to a library as a whole."""
    library = set(re.findall(r"kind=kCustom, calls=(\S+?)[,\s]", program))
    computations = re.split(r"\n(?=\S)", program)
    return "\n".join(each for each in computations if each.split(" ", 1)[0] not in library)


def slow_convolutions(program):
    """Convolutions outside libraries for which XLA on CPU has naive loops only.

    Fast ones are NHWC, HWIO, NHWC, not dilated, not reversed and not grouped.
    """
    pattern = r"= \S+ convolution\(.*?\), (.*?)(?:, metadata=|\n)"
    return [
        text
        for text in re.findall(pattern, without_libraries(program))
        if "dim_labels=b01f_01io->b01f" not in text
        or re.search(r"dilate|reversal|group_count", text)
    ]


def stock(x, kernel, stride=1):
    margin = [(kernel.shape[0] // 2,) * 2] * 2
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), margin, dimension_numbers=layout
    )


@ON_CPU
def test_no_convolution_of_a_training_program_is_slow(cifar_program):
    """They are all inside loops: of runs, of steps, and most of layers."""
    assert slow_convolutions(cifar_program) == []
    assert slow_convolutions(optimised(of_cifar(20, 8, 1, seeds=(0, 1)))) == []


@ON_CPU
def test_nor_is_one_of_a_stem_of_7x7_of_bottlenecks_or_of_projections():
    stem, stages = Stem(64, 7, stride=2, pool=True), (StageShape(128, 2), StageShape(256, 2, 2))
    parts = Parts(shortcut=shortcuts.projection_where_needed)
    bottlenecks = families.blocks_of(blocks.BOTTLENECK_3X3)
    network = ResidualNetwork(stem, stages, 10, parts, bottlenecks)
    program = optimised(population(network, (32, 32, 3), 32))
    assert slow_convolutions(program) == []
    assert "7x7" in program


@ON_CPU
def test_stock_gradients_would_be():
    """The check can fail: on JAX's own gradients it does, at the weights of seven layers."""
    network = cifar_network(8, 10, Parts(form=forms.STOCK))
    found = slow_convolutions(optimised(population(network, (32, 32, 3), 128)))
    assert len(found) >= 7
    assert any("dilate" in each for each in found)
    assert any("dim_labels=b01f_01io" not in each for each in found)


@ON_CPU
def test_vectorised_weights_would_be():
    """And so it does where runs are vectorised, which makes groups of them."""
    runs = jax.vmap(stock)
    arguments = jnp.ones((3, 4, 8, 8, 2)), jnp.ones((3, 3, 3, 2, 5))
    found = slow_convolutions(jax.jit(runs).lower(*arguments).compile(QUICKLY).as_text())
    assert any("group_count=3" in each for each in found)


#: What reaches out of a program: to the host, or to other devices, while it runs.
OUTSIDE = re.compile(
    r" (infeed|outfeed|send|recv|all-reduce|all-gather|all-to-all|collective-[a-z]+)(-[a-z]+)?\("
    r"|custom_call_target=\"[^\"]*callback[^\"]*\""
)


def test_a_program_speaks_to_nobody_while_it_runs(cifar_program, dense_program):
    assert not OUTSIDE.search(cifar_program) and not OUTSIDE.search(dense_program)
    # It would be seen: a host callback, and a sum over devices.
    told = jax.jit(lambda x: jax.pure_callback(np.sin, x, x)).lower(jnp.ones(())).compile()
    assert OUTSIDE.search(told.as_text())
    split = jax.sharding.NamedSharding(runs_mesh(), jax.sharding.PartitionSpec("runs"))
    summed = jax.jit(jnp.sum, in_shardings=split).lower(jnp.ones(runs_mesh().size)).compile()
    assert runs_mesh().size == 1 or OUTSIDE.search(summed.as_text())
    for line in (
        "  %infeed.1 = ((f32[3]{0}, pred[]), token[]) infeed(%token.2)",
        "  %send.4 = (f32[2]{0}, u32[], token[]) send(%p.1, %token.3), channel_id=1",
        "  %start = (f32[2]{0}, f32[2]{0}) all-reduce-start(%p.1, %p.2), to_apply=%add",
    ):
        assert OUTSIDE.search(line)


def test_states_are_updated_in_place(dense_population, dense_program):
    """Every array of the states that go in is given to one that comes out."""
    header, states = dense_program.split("\n", 1)[0], jax.tree.leaves(dense_population.states)
    assert len(re.findall(r"(?:may|must)-alias", header)) == len(states)


@pytest.mark.parametrize(
    ("make", "shallow", "deep"),
    [
        (lambda depth: population(dense_network(depth, 4, 3), (6,)), 10, 1000),
        # From 14 layers on, where all three stages have blocks to stack.
        (lambda depth: of_cifar(depth, 8, 1, 4), 20, 1202),
    ],
    ids=["dense", "cifar"],
)
def test_programs_do_not_grow_with_depth(make, shallow, deep):
    """Both that train and that draw the initial weights, before XLA sees them."""
    lines = [
        [len(program.as_text().splitlines()) for program in make(depth).lower()]
        for depth in (shallow, deep)
    ]
    assert lines[0] == lines[1]


def test_optimised_programs_do_not_grow_either(dense_program):
    """But for what XLA fuses otherwise at other sizes, within a tenth."""
    deep = optimised(population(dense_network(1000, 4, 3), (6,)))
    instructions = lambda text: len(re.findall(r"^\s+(?:ROOT )?%\S+ = ", text, re.MULTILINE))
    assert instructions(dense_program) > 1000
    assert abs(instructions(deep) / instructions(dense_program) - 1) < 0.1


def kept_for_the_gradient(network, x):
    """Numbers that stacks of blocks keep, besides their parameters, until the gradient is taken."""
    weight = jnp.ones(())
    params = jax.eval_shape(network.init, jax.random.key(0), x, weight)["params"]

    def forward(params, weight):
        return network.apply({"params": params}, x, weight, mutable=["statistics"])[0]

    backward = jax.eval_shape(
        lambda params, weight: jax.vjp(lambda params: forward(params, weight), params)[1],
        params,
        weight,
    )
    shapes = lambda tree: Counter((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree))
    others = shapes(backward) - shapes(params)
    stacked = {shape[0] for shape, _ in shapes(params) if len(shape) > 2 and shape[0] in LENGTHS}
    return sum(
        count * math.prod(shape) * dtype.itemsize / 4
        for (shape, dtype), count in others.items()
        if shape[:1] and shape[0] in stacked
    )


#: Blocks of a stack; no other axis of the networks below is as long.
LENGTHS = (6, 7)


def kept_by(stages, norm):
    """By hand, of stages of so many blocks: pixels, channels of each array, and of each norm.

    Batch norm keeps a mean and a deviation of each channel; and there is the branch's weight.
    """
    of_norm = 2 if norm is normalization.BatchNorm else 0
    return sum(
        blocks * (EXAMPLES * pixels * sum(arrays) + of_norm * sum(norms) + 1)
        for blocks, pixels, arrays, norms in stages
    )


EXAMPLES = 5
NORMS = (normalization.NoNorm, normalization.BatchNorm, normalization.LayerNorm)


def of_stages(blocks, arrays, norms):
    """Three stages, each with half as many pixels on a side and twice as many channels."""
    wider = lambda channels, stage: [2**stage * each for each in channels]
    return [
        (blocks[stage], 64 // 4**stage, wider(arrays, stage), wider(norms, stage))
        for stage in range(3)
    ]


def dense(parts):
    return dense_network(16, 4, 3, parts), jnp.ones((EXAMPLES, 9))


def basic(parts):
    return cifar_network(44, 3, parts, width=4), jnp.ones((EXAMPLES, 8, 8, 3))


def bottleneck(parts):
    layers = blocks.BOTTLENECK
    return cifar_network(65, 3, parts, layers, width=4), jnp.ones((EXAMPLES, 8, 8, 3))


PRE, PROJECTION = Parts(order=orders.pre_activation), Parts(shortcut=shortcuts.projection)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("make", "parts", "stages"),
    [
        (dense, Parts(), [(7, 1, [4, 4, 4], [4, 4])]),
        (dense, PRE, [(7, 1, [4, 4], [4, 4])]),
        (basic, Parts(), of_stages((7, 6, 6), [4, 4, 4], [4, 4])),
        (basic, PRE, of_stages((6, 6, 6), [4, 4], [4, 4])),
        (basic, PROJECTION, of_stages((7, 6, 6), [4, 4, 4, 4], [4, 4, 4])),
        (bottleneck, Parts(), of_stages((6, 6, 6), [16, 4, 4, 16], [4, 4, 16])),
    ],
    ids=["dense", "dense, pre", "basic", "basic, pre", "projections", "bottleneck"],
)
def test_what_a_block_keeps_for_its_gradient(make, parts, stages, norm):
    """Each of these costs memory with every layer, so one more is to be argued for.

    What enters the block and what its linear maps compute; all between them is made from it again,
    and what is added last, to no activation, is not asked for.
    """
    network, x = make(dataclasses.replace(parts, norm=norm))
    assert kept_for_the_gradient(network, x) == kept_by(stages, norm)


@pytest.mark.parametrize("make", [dense, basic])
def test_a_plain_scan_would_keep_more(make):
    network, x = make(Parts())
    plain = network.clone(remat=jax.lax.scan)
    assert kept_for_the_gradient(plain, x) > 1.3 * kept_for_the_gradient(network, x)
