"""Programs as they are handed to the compilers of GPUs and TPUs, looked at on any machine."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from resnet_jax import (
    Data,
    Parts,
    Population,
    Training,
    cifar_network,
    dense_network,
    from_linen,
    imagenet_network,
    product,
    runs_mesh,
)
from resnet_jax.nn import blocks
from resnet_jax.ops import forms, normalization, rematerialization
from resnet_jax.training import augmentation, optimizers

PLATFORMS = ("cuda", "tpu")
NONE, LAYER = normalization.NoNorm, normalization.LayerNorm


def population(network, shape, tile=None, runs=4, **fields):
    """So many runs on one device, in calls of three steps."""
    x, y = np.ones((4, *shape), np.float32), np.zeros(4, np.int32)
    training = Training(
        from_linen(network),
        lambda rate: optimizers.momentum(rate, 0.0),
        optimizers.constant(1),
        batch_size=4,
        chunk=3,
        **fields,
    )
    these = product(range(runs), [1.0], [0.1])
    return Population(training, these, Data(x, y, x, y), runs_mesh(jax.devices()[:1]), tile)


def dense(parts=Parts(), **fields):
    return dense_network(10, 4, 3, parts).clone(**fields), (6,)


def cifar(parts=Parts(), **fields):
    return cifar_network(14, 3, parts, width=4).clone(**fields), (8, 8, 1)


def imagenet(parts=Parts(), **fields):
    layers = blocks.BOTTLENECK
    return imagenet_network(50, 3, parts, layers, width=4, small_images=True).clone(**fields), (
        8,
        8,
        3,
    )


def traced(population):
    """The program of a chunk, before it is lowered for a platform."""
    shared = population._runs, population._data
    return population._program.trace(population._shapes(), *shared, np.int32(0), np.bool_(True))


def lowered(population, platform):
    """The program of a chunk as text, for a platform."""
    return traced(population).lower(lowering_platforms=(platform,)).as_text()


def convolutions(text):
    """How many convolutions a program has, and how many of them are grouped."""
    groups = re.findall(r"batch_group_count = (\d+).*feature_group_count = (\d+)", text)
    return len(groups), sum(each != ("1", "1") for each in groups)


def turns_told_later(text):
    """How many loops of a lowered program do not count to a constant, those of lowerings too."""
    conditions = re.findall(r"stablehlo\.while.*?cond \{(.*?)\} do \{", text, re.DOTALL)
    assert len(conditions) == text.count("stablehlo.while")
    constant = r"(%\S+) = stablehlo\.constant dense<\d+> : tensor<i32>\s+"
    known = constant + r"%\S+ = stablehlo\.compare +LT, %iterArg\w*, \1, +SIGNED"
    return sum(not re.search(known, each) for each in conditions)


def scatters(text):
    """The types of the indices of all scatters of a lowered program."""
    ends = r'"stablehlo\.scatter".*?\}\) : \(tensor<\S+>, tensor<(\S+)>, tensor<\S+>\) ->'
    found = re.findall(ends, text, re.DOTALL)
    assert len(found) == text.count('"stablehlo.scatter"')
    return found


def is_window(indices):
    """Whether they are the corner of a single window: ``[axes]``, with no axis of windows."""
    return indices.count("x") == 1


#: What leaves the device while a program runs.
OUTSIDE = re.compile(r"stablehlo\.(infeed|outfeed|send|recv)\b|callback")
DOUBLE = re.compile(r"\bf64\b|xf64>")

BFLOAT16 = jnp.bfloat16
CASES = {
    "dense": (*dense(), None),
    "dense, tiles": (*dense(Parts(norm=LAYER), remat=rematerialization.block_inputs), 2),
    "dense, one by one": (
        *dense(Parts(norm=NONE, dtype=BFLOAT16), remat=rematerialization.segment_inputs),
        1,
    ),
    "cifar": (*cifar(Parts(form=forms.COLUMNS, dtype=BFLOAT16)), None),
    "cifar, tiles": (*cifar(Parts(norm=NONE), remat=rematerialization.segment_inputs), 2),
    "cifar, one by one": (*cifar(Parts(norm=LAYER)), 1),
    "imagenet": (*imagenet(Parts(form=forms.COLUMNS), remat=rematerialization.block_inputs), None),
}


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", CASES)
def test_programs_lower_and_speak_to_nobody(name, platform):
    """Each family, norm, rematerialisation, precision and map; no number is in double precision.

    All loops but that over steps count to a constant, also any that lowering itself makes.
    """
    network, shape, tile = CASES[name]
    these = population(network, shape, tile)
    program = lowered(these, platform)
    start = these._start.trace(these._runs, these._data)
    start = start.lower(lowering_platforms=(platform,)).as_text()
    for text in (program, start):
        assert not OUTSIDE.search(text) and not DOUBLE.search(text)
    assert ("bf16" in program) == (network.parts.dtype is BFLOAT16)
    assert (turns_told_later(program), turns_told_later(start)) == (1, 0)
    # But for gradients of segments cut out of a stack, where runs are vectorised.
    cut = network.remat is rematerialization.segment_inputs and tile != 1
    assert all(cut and is_window(indices) for indices in scatters(program))


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_nor_do_augmentation_and_measuring_in_chunks(platform):
    """They draw, and loop over chunks of the examples; the program is as quiet as others."""
    augment = augmentation.compose([augmentation.crop, augmentation.flip, augmentation.cutout])
    fields = {"augmentation": augment, "running_statistics": True}
    program = traced(population(*cifar(Parts(form=forms.COLUMNS)), **fields))
    assert loops(program.jaxpr.jaxpr) == [0]
    text = program.lower(lowering_platforms=(platform,)).as_text()
    assert turns_told_later(text) == 1 and not scatters(text)
    assert not OUTSIDE.search(text) and not DOUBLE.search(text)


def test_what_leaves_a_program_would_be_seen():
    told = jax.jit(lambda x: jax.pure_callback(np.sin, x, x)).lower(jnp.ones(()))
    assert OUTSIDE.search(told.as_text())
    for line in (
        '%1:2 = "stablehlo.infeed"(%0) <{infeed_config = ""}>',
        '%1 = "stablehlo.outfeed"(%arg0, %0)',
        '%1 = "stablehlo.send"(%arg0, %0) <{is_host_transfer = true}>',
        '%1:2 = "stablehlo.recv"(%0) <{is_host_transfer = true}>',
        "%1 = stablehlo.custom_call @xla_ffi_python_gpu_callback(%arg0)",
    ):
        assert OUTSIDE.search(line)
    with jax.enable_x64(True):
        text = jax.jit(lambda x: x.sum()).lower(np.ones(3)).as_text()
    found = [each for each in re.findall(r"tensor<[^>]*>", text) if DOUBLE.search(each)]
    assert {"tensor<f64>", "tensor<3xf64>"} <= set(found)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nor_would_a_callback_of_another_platform_pass(platform):
    """Where no device of the platform is at hand it does not even lower."""
    told = jax.jit(lambda x: jax.pure_callback(np.sin, x, x)).trace(jnp.ones(()))
    try:
        text = told.lower(lowering_platforms=(platform,)).as_text()
    except ValueError as error:
        assert "different from the lowering platform" in str(error)
    else:
        assert OUTSIDE.search(text)


@pytest.mark.slow
def test_convolutions_are_grouped_where_that_was_chosen():
    """Those of 3x3, forwards and backwards and to measure: there are as many with one run."""

    def of(form, tile):
        program = traced(population(*cifar(Parts(form=form)), tile))  # once, for all platforms
        texts = [program.lower(lowering_platforms=(each,)).as_text() for each in PLATFORMS]
        assert [turns_told_later(text) for text in texts] == [1] * len(PLATFORMS)
        cuda, tpu = map(convolutions, texts)
        assert cuda == tpu
        return cuda

    every, none = of(forms.STOCK, 1)
    assert every > 20 and none == 0
    assert of(forms.BY_PLATFORM, 1) == (every, 0)
    # But for the stem where all runs are measured on the same images, of both sets.
    assert of(forms.STOCK, None) == of(forms.STOCK, 2) == (every, every - 2)
    assert of(forms.COLUMNS, None) == of(forms.PATCHES, 2) == of(forms.SHIFTS, None) == (0, 0)
    mapped, grouped = of(forms.MAPPED, None)
    assert mapped >= every and grouped == 0
    packed, grouped = of(forms.PACKED, None)
    assert packed >= every and grouped == 0


def loops(jaxpr):
    """Loops of a program whose number of turns no compiler knows, with their depth in others."""
    found, is_jaxpr = [], lambda value: isinstance(value, Jaxpr | ClosedJaxpr)

    def visit(jaxpr, depth):
        for eqn in jaxpr.eqns:
            inside = depth + (eqn.primitive.name in ("while", "scan"))
            if eqn.primitive.name == "while":
                found.append(depth)
            for each in jax.tree.leaves(list(eqn.params.values()), is_leaf=is_jaxpr):
                if is_jaxpr(each):
                    visit(getattr(each, "jaxpr", each), inside)

    visit(jaxpr, 0)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("tile", [1, 2, None])
@pytest.mark.parametrize("make", [dense, cifar])
def test_only_the_loop_over_steps_has_a_length_that_is_told_later(make, tile):
    """A GPU's host is asked after each turn of such a loop; those over layers are none.

    The one over steps lies in that over runs or tiles, where there is one.
    """
    for remat in (rematerialization.products, rematerialization.segment_inputs):
        network, shape = make(remat=remat)
        jaxpr = traced(population(network, shape, tile)).jaxpr.jaxpr
        assert loops(jaxpr) == [int(tile is not None)]


def test_a_loop_that_is_not_known_would_be_seen():
    def turns(x, n):
        layer = lambda x, _: (jax.lax.fori_loop(0, n, lambda _, x: x + 1, x), None)
        return jax.lax.scan(layer, x, None, length=3)[0]

    assert loops(jax.make_jaxpr(turns)(1.0, 5).jaxpr) == [1]
    static = lambda x: jax.lax.fori_loop(0, 5, lambda _, x: x + 1, x)
    assert loops(jax.make_jaxpr(static)(1.0).jaxpr) == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nor_would_one_pass_that_is_lowered(platform):
    def text(function, *arguments):
        program = jax.jit(function).trace(*arguments)
        return program.lower(lowering_platforms=(platform,)).as_text()

    told = lambda x, n: jax.lax.fori_loop(0, n, lambda _, x: x + 1, x)
    layers = lambda x, n: jax.lax.scan(lambda x, _: (told(x, n), None), x, None, length=3)[0]
    assert turns_told_later(text(layers, 1.0, 5)) == 1
    assert turns_told_later(text(jax.vmap(layers), jnp.ones(2), jnp.arange(2))) == 1
    # A constant is there, but it is not counted to.
    until = lambda x: jax.lax.while_loop(lambda x: x > 0, lambda x: x - 2, x)
    assert turns_told_later(text(until, 5)) == 1
    assert turns_told_later(text(lambda x: told(x, 5), 1.0)) == 0


def test_means_over_a_batch_are_sums_on_accelerators():
    """Into which what makes the rows is fused; on CPU they are products with ones."""
    mean = jax.jit(normalization._batch_mean).trace(jnp.ones((4, 3)))
    text = lambda platform: mean.lower(lowering_platforms=(platform,)).as_text()
    assert "dot_general" in text("cpu")
    for platform in PLATFORMS:
        assert "dot_general" not in text(platform) and "reduce" in text(platform)


@pytest.mark.slow
def test_a_step_has_no_scatter_on_accelerators():
    """They are slow where they have to be deterministic; on CPU the loss has one."""
    program = traced(population(*dense()))
    text = lambda platform: program.lower(lowering_platforms=(platform,)).as_text()
    of_loss = set(scatters(text("cpu")))
    assert not all(map(is_window, of_loss))  # so that it is seen where windows are let pass
    for platform in PLATFORMS:
        assert "stablehlo.scatter" not in text(platform)
