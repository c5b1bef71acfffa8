"""What a custom block is, and what is wrong with one, before anything is compiled."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from experiments.lab.build import contract
from experiments.lab.build.composition import OwnBlock
from experiments.lab.build.experiment import Experiment
from experiments.lab.config.config import Config
from experiments.lab.data.datasets import Dataset
from experiments.lab.system.errors import UserError
from resnet_jax import Block, Parts
from resnet_jax.nn.blocks import BASIC

X, Y = np.zeros((12, 8, 8, 1), np.float32), np.zeros(12, np.int32)
DATASET = Dataset(X, Y, X[:4], Y[:4], 3, "zeros")
SCALE = 2.0


def identity(block, layers=1, **config):
    config = Config(**{"depths": (5,), "width": 4, **config})
    return contract.identity(Experiment(config, DATASET, OwnBlock(block, layers)))


class Mine(nn.Module):
    """A block with a number, as users write it."""

    width: int
    blocks: int
    parts: Parts
    ratio: float = 1.0

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        z = self.parts.norm()(self.parts.linear(self.width)(a))
        z = helper(z * self.ratio)
        return self.parts.activation(shortcut_weight * a + branch_weight * z)


def helper(z):
    return z * SCALE


def test_the_same_block_is_the_same():
    assert identity(Mine) == identity(Mine) == identity(functools.partial(Mine, ratio=1.0))
    assert identity(Mine).startswith("Mine ") and identity(Mine).endswith(", 1 layers")
    wrapped = identity(lambda **fields: Mine(**fields))
    assert wrapped.rpartition("> ")[2] == identity(Mine).partition(" ")[2]


def test_another_number_is_another_block(monkeypatch):
    """In a partial, a lambda's closure, a helper, a constant, an array, or a default."""
    usual = identity(Mine).split()[1]
    others = [identity(functools.partial(Mine, ratio=ratio)) for ratio in (2.0, 4.0)]
    for ratio in (3.0, 5.0):
        others.append(identity(lambda ratio=ratio, **fields: Mine(**fields, ratio=ratio)))
    monkeypatch.setitem(globals(), "SCALE", 7.0)
    others.append(identity(Mine))
    for shift in (1.0, 2.0):
        array = np.full((1, 4), shift, np.float32)
        monkeypatch.setitem(globals(), "helper", lambda z, array=array: z + array)
        others.append(identity(Mine))
    digests = [each.split(" ")[-3].rstrip(",") for each in others]
    assert len({usual, *digests}) == 1 + len(others)


def test_a_class_typed_at_a_prompt_and_edited_is_another():
    source = """
class Typed(nn.Module):
    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        z = self.parts.linear(self.width)(a)
        return ACT(shortcut_weight * a + branch_weight * z)
"""
    found = []
    for activation in ("nn.relu", "nn.tanh", "nn.relu"):
        names = {"nn": nn, "Parts": Parts}
        exec(source.replace("ACT", activation), names)
        found.append(identity(names["Typed"]))
    assert found[0] == found[2] != found[1]


def block_of(
    body, call="a, shortcut_weight, branch_weight", fields="blocks: int\n    parts: Parts"
):
    """A block whose call is written out."""
    source = f"""
class Theirs(nn.Module):
    width: int
    {fields}

    @nn.compact
    def __call__(self, {call}):
        {body}
"""
    names = {"nn": nn, "Parts": Parts, "jnp": jnp}
    exec(source, names)
    return names["Theirs"]


LINEAR = "z = self.parts.linear(self.width)(a); "
END = "return shortcut_weight * a + branch_weight * z"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (block_of(LINEAR + "return a + z"), "does not use shortcut_weight"),
        (
            block_of("z = nn.BatchNorm(False)(a); " + END),
            "batch_stats",
        ),
        (
            block_of("z = nn.Dropout(0.5, deterministic=False)(a); " + END),
            "fails: InvalidRngError",
        ),
        (block_of("z = nn.Dense(2 * self.width)(a); " + END), "fails: "),
        (block_of(LINEAR + "return a, z"), "fails: "),
        (block_of("z = self.parts.linaer(self.width)(a); " + END), "linaer"),
        (block_of("z = nn.Conv(self.width, (3, 3))(a); " + END), "fails: "),
        (block_of(LINEAR + "return a + z", call="a, branch_weight"), "fails: TypeError in "),
        (block_of(LINEAR + END, fields="parts: Parts"), "blocks"),
        (block_of("raise RuntimeError('mine')"), "mine"),
    ],
)
def test_what_breaks_the_contract_is_said_in_one_line(block, said):
    with pytest.raises(UserError) as refusal:
        identity(block)
    line = str(refusal.value)
    assert line.startswith("your block ") and said in line and "\n" not in line
    assert "parts.linear(width)" in line and "parts.norm()" in line


def test_blocks_of_images_are_told_how_to_make_layers_of_images():
    body = "z = self.parts.linear(self.width)(a); " + END
    fields = "stride: int\n    blocks: int\n    parts: Parts"
    with pytest.raises(UserError, match=r"parts.conv\(width, size, stride\)"):
        identity(block_of(body, fields=fields), family="cifar", depths=(8,))


def test_every_variant_is_tried():
    """One that fails without normalisation alone is found at the start."""
    body = "assert self.parts.norm.__name__ != 'NoNorm'; " + LINEAR + END
    identity(block_of(body))
    with pytest.raises(UserError, match="norm=none"):
        identity(block_of(body), norm=("batch", "none"))


@pytest.mark.parametrize("family", ["dense", "cifar", "imagenet"])
def test_more_variants_and_depths_leave_a_block_the_same(family):
    """These may be added to a study later, so they cannot be what tells blocks apart."""
    block, layers = (Mine, 1) if family == "dense" else (functools.partial(Block, layers=BASIC), 2)
    depths = {"dense": (2, 3, 5), "cifar": (2, 8, 14), "imagenet": (18, 34)}[family]
    of = lambda **more: identity(block, layers, family=family, **more)
    assert (
        of(depths=depths[:1])
        == of(depths=depths)
        == of(depths=depths[1:], norm=("none", "layer"))
        == of(depths=depths, norm=("batch",), init=("he", "zero_last"), convolution="stock")
    )


def test_a_block_not_made_for_the_usual_variant_is_identified_by_the_first():
    body = "assert self.parts.norm.__name__ == 'NoNorm'; " + LINEAR + END
    first = identity(block_of(body), norm=("none",))
    assert first == identity(block_of(body), norm=("none",), init=("he", "zero_last"))
    other = body.replace("branch_weight", "2 * branch_weight")
    assert first != identity(block_of(other), norm=("none",))


def test_a_key_may_be_among_the_constants(monkeypatch):
    found = []
    for number in (1, 2, 1):
        draw = lambda z, key=jax.random.key(number): z * jax.random.normal(key, ())
        monkeypatch.setitem(globals(), "helper", draw)
        found.append(identity(Mine))
    assert found[0] == found[2] != found[1]


def test_a_block_that_repeats_the_familys_own_is_fine():
    identity(Mine, norm=("batch", "layer", "none"), depths=(2, 5))
