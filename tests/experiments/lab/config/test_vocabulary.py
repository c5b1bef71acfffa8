"""Every row of the vocabulary: what it stands for, how it is typed, and where it makes no sense."""

import dataclasses

import pytest

from experiments.lab.config import vocabulary
from experiments.lab.config.config import Config
from experiments.lab.config.entries import Names
from experiments.lab.config.families import FAMILIES
from experiments.lab.config.variants import KINDS, USUAL, VARIANT_FIELDS, Variant
from experiments.lab.config.vocabulary import BRANCH_SCALES, MATMUL_PRECISIONS, NORMS, SHORTCUTS
from experiments.lab.system.errors import UserError
from resnet_jax.nn import families

TABLES = [each for each in vars(vocabulary).values() if isinstance(each, Names)] + [FAMILIES]
ROWS = [pytest.param(names, name, id=f"{names.flag}-{name}") for names in TABLES for name in names]


@pytest.mark.parametrize(("names", "name"), ROWS)
def test_every_row_stands_for_something(names, name):
    chosen = names.parse(name)
    assert chosen.entry.wrong(*chosen.numbers) or names.parse(chosen.text) == chosen
    assert chosen.entry.made == "" or chosen.value() is not None
    for also in ("theory", "norm", "init"):
        where = getattr(chosen.entry, also, "")
        assert not isinstance(where, str) or not where or vocabulary_value(where) is not None


def vocabulary_value(where):
    return Names("any", dataclasses.replace(NORMS["none"], made=where)).value("none")


@pytest.mark.parametrize(("names", "name"), ROWS)
def test_numbers_are_written_or_left_away(names, name):
    numbers = names[name].numbers
    if numbers and not names[name].wrong(*numbers):
        typed = f"{name}:{'/'.join(map(str, numbers))}"
        assert names.parse(typed) == names.parse(name)
    with pytest.raises(UserError, match="numbers after the colon"):
        names.parse(f"{name}:1/2/3")


def test_numbers_after_a_name():
    assert SHORTCUTS.parse("A").numbers == ()
    assert SHORTCUTS.parse("constant").numbers == (0.5, 0.5)
    assert SHORTCUTS.parse("constant:0/1").numbers == (0.0, 1.0)
    for wrong in ("constant:1", "A:1", "dropout:half", "dropout:nan", "constant:1/inf"):
        with pytest.raises(UserError):
            SHORTCUTS.parse(wrong)


def test_one_name_may_mean_two_things():
    """A constant shortcut takes two numbers, and a constant schedule none."""
    assert SHORTCUTS.parse("constant").text == "constant:0.5/0.5"
    assert vocabulary.SHORTCUT_SCHEDULES.parse("constant").text == "constant"
    with pytest.raises(UserError, match="takes none"):
        vocabulary.SHORTCUT_SCHEDULES.parse("constant:0.5/0.5")


def test_the_canonical_form_has_every_digit():
    for number in (0.1, 0.1234567, 0.1234568, 1 / 3, 1e-7):
        text = SHORTCUTS.parse(f"constant:{number!r}/1").text
        assert SHORTCUTS.parse(text).numbers == (number, 1.0)
    assert SHORTCUTS.parse("constant:-0/2.0").text == "constant:0/2"


def test_an_unknown_name_is_refused_with_the_nearest():
    for name in ("default", "high", "highest"):
        MATMUL_PRECISIONS.parse(name)
    with pytest.raises(UserError, match="--matmul_precision=exact: .*highest"):
        MATMUL_PRECISIONS.parse("exact")
    assert MATMUL_PRECISIONS.get("exact") is None
    assert NORMS.rank("unheard-of") == len([*NORMS])


def test_the_fields_of_a_variant_are_those_that_have_names():
    assert tuple(field.name for field in dataclasses.fields(Variant)) == VARIANT_FIELDS
    of_config = {field.name: field.metadata["names"] for field in dataclasses.fields(Config)}
    assert all(of_config[name] is names for name, names in vocabulary.OF_VARIANTS.items())
    assert all(names is None or names.flag == name for name, names in of_config.items())


def test_theory_is_shown_for_every_normalisation_that_there_is():
    assert {kind.norm for kind in KINDS} == {*NORMS}


@pytest.mark.parametrize(
    ("changes", "config", "said"),
    [
        ({"norm": "batch"}, {"batch_size": 1}, "--batch_size=1"),
        ({"norm": "layer"}, {"batch_size": 1}, ""),
        ({"branch_scale": "fixup"}, {}, "--branch_scale=fixup"),
        ({"branch_scale": "fixup", "norm": "none"}, {}, ""),
        ({"order": "activation_before_addition", "init": "zero_last"}, {}, "never learns"),
        ({"order": "activation_before_addition"}, {}, ""),
        ({"branch_scale": "stochastic_depth"}, {}, "a plain network is cut"),
        ({"branch_scale": "stochastic_depth"}, {"shortcut_weights": (1.0,)}, ""),
    ],
)
def test_a_row_knows_where_it_makes_no_sense(changes, config, said):
    variant = dataclasses.replace(USUAL, **changes)
    config = Config(**config).comparing([variant])
    found = [
        names[getattr(variant, field).partition(":")[0]].problem(config, variant)
        for field, names in vocabulary.OF_VARIANTS.items()
    ]
    assert [line for line in found if line] == ([] if not said else [*filter(None, found)])
    assert any(said in line for line in found)


@pytest.mark.parametrize("blocks", [1, 2, 8])
def test_theorys_branch_weights_are_those_that_networks_have(blocks):
    for name in ("one", "inverse_sqrt", "depth"):
        chosen = BRANCH_SCALES.parse(name)
        weights = chosen.value().weights(blocks, None)
        expected = chosen.entry.weight(blocks, *chosen.numbers)
        assert weights.tolist() == pytest.approx([expected] * blocks)
    assert BRANCH_SCALES["learned"].weight(blocks) == BRANCH_SCALES.value("learned").multiplier


def test_families_have_the_depths_that_the_library_has():
    depths = sorted(depth for known in FAMILIES["imagenet"].depths.values() for depth in known)
    assert depths == sorted(families.IMAGENET_STAGES)
    for name in ("basic", "bottleneck", "bottleneck_3x3"):
        assert vocabulary.BLOCKS[name].layers == len(vocabulary.BLOCKS.value(name))
