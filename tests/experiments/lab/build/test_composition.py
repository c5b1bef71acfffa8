import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lab.build import composition
from experiments.lab.config.config import Config
from experiments.lab.config.vocabulary import OF_VARIANTS, SHORTCUT_SCHEDULES
from resnet_jax import WarmUp, count
from resnet_jax.nn import branches, shortcuts
from resnet_jax.ops import normalization

IMAGE = jax.ShapeDtypeStruct((1, 8, 8), jnp.float32)


def network(depth, **fields):
    config = Config(depths=(depth,), **fields)
    return composition.network(config, depth, config.variants()[0], (8, 8), 10)


@pytest.mark.parametrize("norm", [*OF_VARIANTS["norm"]])
@pytest.mark.parametrize("order", [*OF_VARIANTS["order"]])
@pytest.mark.parametrize("shortcut", [*OF_VARIANTS["shortcut"]])
@pytest.mark.parametrize(("family", "depth"), [("dense", 6), ("cifar", 8)])
def test_every_combination_is_a_network_of_its_depth(family, depth, norm, order, shortcut):
    module = network(
        depth, family=family, width=4, norm=(norm,), order=(order,), shortcut=(shortcut,)
    )
    assert count(module, IMAGE).layers == depth


@pytest.mark.parametrize("factor", [1, 3])
def test_widths(factor):
    """By hand: a stem of 8 x 8 pixels, and 9 weights for each pair of channels."""
    dense = network(4, width=5, width_factor=factor, norm=("none",))
    n = 5 * factor
    assert count(dense, IMAGE).parameters == 64 * n + n + 2 * (n * n + n) + 10 * n + 10
    conv = network(2, family="cifar", width=5, width_factor=factor, norm=("none",))
    assert count(conv, IMAGE).parameters == 9 * 5 + 5 + 5 * 10 + 10  # no block, so no factor


def test_fixup_brings_its_scalars_and_initialisation():
    config = Config(branch_scale=("fixup",), norm=("none",))
    parts = composition.parts(config.variants()[0])
    assert parts.norm is normalization.ScalarBias and parts.branch == branches.fixup
    assert parts.init.zero_head


def step_of_ones(variant, blocks):
    """The first updates at a rate of 1 where every gradient is 1: inside the stages, and outside.

    Adam's is the gradient's sign; of a step of momentum nothing is left from before.
    """
    params = {"stem": jnp.ones(()), "stage_1": {"stack": jnp.ones(3)}, "head": jnp.ones(())}
    rule = composition.optimizer(variant, blocks)(1.0, 0.0)
    updates, _ = rule.update(params, rule.init(params), params)
    assert updates["stem"] == updates["head"]
    return -updates["stage_1"]["stack"][0], -updates["stem"]


@pytest.mark.parametrize(
    ("optimizer", "scale", "inside"),
    [
        ("sgd", "one", 1),
        ("adam", "inverse_sqrt", 1),
        ("sgd", "depth:0.5", 1),  # m^(2α-1), m = 4
        ("momentum", "depth:1", 4),
        ("nesterov", "depth:1", 4 * 1.9),
        ("adam", "depth:0.5", 0.5),  # m^(α-1)
        ("adamw", "depth:1", 1),
    ],
)
def test_rates_of_blocks_follow_the_depth(optimizer, scale, inside):
    config = Config(optimizer=(optimizer,), branch_scale=(scale,))
    actual = step_of_ones(config.variants()[0], blocks=8)
    outside = 1.9 if optimizer == "nesterov" else 1
    np.testing.assert_allclose(actual, [inside, outside], rtol=1e-5)


def test_depth_scaled_networks_of_the_base_depth_are_as_they_were():
    config = Config(branch_scale=("one", "depth:1"))
    one, scaled = config.variants()
    weights = [composition.parts(variant).branch.weights(2, None) for variant in (one, scaled)]
    np.testing.assert_array_equal(*weights)
    assert step_of_ones(one, blocks=2) == step_of_ones(scaled, blocks=2)


def test_schedules_of_shortcuts_and_warm_ups_by_name():
    assert SHORTCUT_SCHEDULES.value("constant") is None
    assert SHORTCUT_SCHEDULES.value("annealed")(4)(3) == 0.25
    variants = Config(warmup=("none", "error:0.7")).variants()
    assert [composition.warm_up(variant) for variant in variants] == [None, WarmUp(error=0.7)]


def test_numbers_become_what_they_name():
    variant = dataclasses.replace(Config().variants()[0], shortcut="constant:0.25/2")
    carried, gate = composition.parts(variant).shortcut(np.ones((1, 2)), 2, 1, None)
    assert gate == 2 and carried.tolist() == [[0.25, 0.25]]
    assert Config(shortcut=("dropout", "A")).variants()[0].shortcut == "dropout:0.5"
    plain = composition.parts(Config().variants()[0])
    assert plain.shortcut is shortcuts.identity
