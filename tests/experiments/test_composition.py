import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import composition
from experiments.config import CHOICES, Config, split_name
from experiments.errors import UserError
from experiments.validation import BLOCK_LAYERS, IMAGENET_DEPTHS
from resnet_jax import branches, count, families, normalization, shortcuts

IMAGE = jax.ShapeDtypeStruct((1, 8, 8), jnp.float32)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("norm", composition.NORMS),
        ("order", composition.ORDERS),
        ("shortcut", composition.SHORTCUTS),
        ("branch_scale", composition.BRANCH_SCALES),
        ("init", composition.INITS),
        ("optimizer", composition.OPTIMIZERS),
        ("schedule", composition.SCHEDULES),
        ("augment", composition.AUGMENTATIONS),
        ("remat", composition.REMATS),
        ("precision", composition.PRECISIONS),
    ],
)
def test_every_choice_has_its_function(name, table):
    assert tuple(table) == CHOICES[name]


def test_what_is_checked_before_jax_is_what_the_library_has():
    assert {name: len(layers) for name, layers in composition.BLOCKS.items()} == BLOCK_LAYERS
    depths = sorted(depth for known in IMAGENET_DEPTHS.values() for depth in known)
    assert depths == sorted(families.IMAGENET_STAGES)


def network(depth, **fields):
    config = Config(depths=(depth,), **fields)
    return composition.network(config, depth, config.variants()[0], (8, 8), 10)


@pytest.mark.parametrize("norm", CHOICES["norm"])
@pytest.mark.parametrize("order", CHOICES["order"])
@pytest.mark.parametrize("shortcut", CHOICES["shortcut"])
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


def test_numbers_after_a_name():
    assert split_name("A") == ("A", ())
    assert split_name("constant") == ("constant", (0.5, 0.5))
    assert split_name("constant:0/1") == ("constant", (0.0, 1.0))
    for wrong in ("constant:1", "A:1", "dropout:half", "dropout:nan", "constant:1/inf"):
        with pytest.raises(UserError):
            split_name(wrong)
    variant = dataclasses.replace(Config().variants()[0], shortcut="constant:0.25/2")
    carried, gate = composition.parts(variant).shortcut(np.ones((1, 2)), 2, 1, None)
    assert gate == 2 and carried.tolist() == [[0.25, 0.25]]
    assert Config(shortcut=("dropout", "A")).variants()[0].shortcut == "dropout:0.5"
    plain = composition.parts(Config().variants()[0])
    assert plain.shortcut is shortcuts.identity
