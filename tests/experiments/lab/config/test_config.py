import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.validation import validate
from experiments.lab.config.variants import NETWORK_FIELDS, Variant
from experiments.lab.system.errors import UserError


def test_variants_pair_lists_and_repeat_single_names():
    config = Config(order=("original", "pre_activation"), branch_scale=("one", "inverse_sqrt"))
    assert config.variants() == (
        Variant("batch", "original", "A", "one", "he"),
        Variant("batch", "pre_activation", "A", "inverse_sqrt", "he"),
    )
    assert len(Config().variants()) == 1
    assert config.varying() == ["order", "branch_scale"] and Config().varying() == []


def test_variants_may_differ_in_their_training():
    config = Config(optimizer=("momentum", "adam"), shortcut_schedule=("annealed",))
    names = ("batch", "original", "A", "one", "he")
    assert config.variants() == (
        Variant(*names, shortcut_schedule="annealed"),
        Variant(*names, "adam", "none", "annealed"),
    )
    usual = Config().variants()[0]
    assert NETWORK_FIELDS == ("norm", "order", "shortcut", "branch_scale", "init")
    assert Variant(*[getattr(usual, name) for name in NETWORK_FIELDS]) == usual


def test_seeds_count_from_the_first():
    assert list(Config(num_seeds=3, first_seed=5).seeds()) == [5, 6, 7]


def test_plain_networks_can_stop_at_a_depth():
    config = Config(deepest_plain=8)
    (variant,) = config.variants()
    assert config.shortcut_weights_of(8, variant) == (0.0, 1.0)
    assert config.shortcut_weights_of(16, variant) == (1.0,)
    assert Config().shortcut_weights_of(10**6, variant) == (0.0, 1.0)


def test_annealing_begins_at_the_greatest_weight_where_shortcuts_are_kept_besides():
    config = Config(
        shortcut_weights=(0.0, 0.5, 1.0), shortcut_schedule=("constant", "annealed"), depths=(8,)
    )
    kept, annealed = config.variants()
    assert config.shortcut_weights_of(8, kept) == (0.0, 0.5, 1.0)
    assert config.shortcut_weights_of(8, annealed) == (1.0,)
    alone = Config(shortcut_weights=(0.0, 0.5, 1.0), shortcut_schedule=("annealed",))
    assert alone.shortcut_weights_of(8, annealed) == (0.0, 0.5, 1.0)
    other = Config(norm=("batch", "none"), shortcut_schedule=("annealed", "constant"))
    assert other.shortcut_weights_of(8, other.variants()[0]) == (0.0, 1.0)  # no twin is kept


def test_cells_without_runs_are_none():
    config = Config(
        shortcut_weights=(0.0,), shortcut_schedule=("constant", "annealed"), depths=(8, 16)
    )
    validate(config)
    assert [cell.variant.shortcut_schedule for cell in grid.cells(config)] == ["constant"] * 2


@pytest.mark.parametrize(
    ("change", "carries"),
    [
        ({}, True),
        ({"init": ("orthogonal",)}, True),
        ({"init": ("zero_last",)}, False),
        ({"branch_scale": ("inverse_sqrt",)}, False),
        ({"branch_scale": ("learned",)}, False),
        ({"branch_scale": ("stochastic_depth",)}, False),
        ({"branch_scale": ("fixup",), "norm": ("none",)}, False),
    ],
)
def test_plain_networks_with_silent_branches_can_be_left_out(change, carries):
    config = Config(silent_plain=False, shortcut_weights=(0.0, 0.5, 1.0), **change)
    validate(config)
    (variant,) = config.variants()
    assert variant.carries(0.0) == carries and variant.carries(0.5) and variant.carries(1.0)
    kinds = (0.0, 0.5, 1.0) if carries else (0.5, 1.0)
    assert config.shortcut_weights_of(8, variant) == kinds
    everything = Config(shortcut_weights=(0.0, 1.0), **change)
    assert everything.shortcut_weights_of(8, variant) == (0.0, 1.0)


def test_leaving_out_everything_is_refused():
    alone = {"silent_plain": False, "shortcut_weights": (0.0,)}
    with pytest.raises(UserError, match="add --shortcut_weights=1, or --silent_plain"):
        validate(Config(branch_scale=("learned",), **alone))
    validate(Config(branch_scale=("learned", "one"), **alone))  # the other is trained


def test_depths_follow_the_layers_of_ones_own_block():
    validate(Config(depths=(2, 5, 8)), layers_per_block=3)
    with pytest.raises(UserError, match="nearest are 2 and 5"):
        validate(Config(depths=(4,)), layers_per_block=3)
