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
from resnet_jax.training import optimizers

PLATFORMS = ("cuda", "tpu")
NONE, LAYER = normalization.NoNorm, normalization.LayerNorm


def population(network, shape, tile=None, runs=4):
    """So many runs on one device, in calls of three steps."""
    x, y = np.ones((4, *shape), np.float32), np.zeros(4, np.int32)
    training = Training(
        from_linen(network),
        lambda rate: optimizers.momentum(rate, 0.0),
        optimizers.constant(1),
        batch_size=4,
        chunk=3,
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
    """Each family, norm, rematerialisation, precision and map; no number is in double precision."""
    network, shape, tile = CASES[name]
    these = population(network, shape, tile)
    program = lowered(these, platform)
    start = these._start.trace(these._runs, these._data)
    for text in (program, start.lower(lowering_platforms=(platform,)).as_text()):
        assert not OUTSIDE.search(text) and not DOUBLE.search(text)
    assert ("bf16" in program) == (network.parts.dtype is BFLOAT16)


def test_what_leaves_a_program_would_be_seen():
    told = jax.jit(lambda x: jax.pure_callback(np.sin, x, x)).lower(jnp.ones(()))
    assert OUTSIDE.search(told.as_text())
    with jax.enable_x64(True):
        assert DOUBLE.search(jax.jit(lambda x: 2 * x).lower(np.ones(3)).as_text())


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_convolutions_are_grouped_where_that_was_chosen(platform):
    """Those of 3x3, forwards and backwards and to measure: there are as many with one run."""
    of = lambda form, tile: convolutions(
        lowered(population(*cifar(Parts(form=form)), tile), platform)
    )
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
    assert "stablehlo.scatter" in text("cpu")
    for platform in PLATFORMS:
        assert "stablehlo.scatter" not in text(platform)
