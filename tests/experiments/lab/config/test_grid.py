import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.system.errors import ContentError


def test_cells_come_shallow_first_with_their_variants():
    config = Config(depths=(8, 2), norm=("batch", "none"))
    listed = [(cell.depth, cell.variant.norm) for cell in grid.cells(config)]
    assert listed == [(2, "batch"), (2, "none"), (8, "batch"), (8, "none")]


def test_runs_come_by_rate_and_weight_with_the_seed_fastest():
    config = Config(depths=(2, 4), deepest_plain=2, learning_rates=(0.1, 0.05), num_seeds=2)
    shallow, deep = grid.cells(config)
    listed = [tuple(run[1:]) for run in grid.runs(config, shallow)]
    assert listed == [(r, w, s) for r in (0.1, 0.05) for w in (0.0, 1.0) for s in (0, 1)]
    assert {run.shortcut_weight for run in grid.runs(config, deep)} == {1.0}
    assert len(grid.all_runs(config)) == 8 + 4


def test_rates_of_adam_are_a_share_of_the_others():
    config = Config(depths=(4,), optimizer=("sgd", "adam", "adamw"), adaptive_share=0.25)
    rates = [{run.learning_rate for run in grid.runs(config, cell)} for cell in grid.cells(config)]
    assert rates == [{0.1, 0.05, 0.02, 0.01}] + [{0.025, 0.0125, 0.005, 0.0025}] * 2


def test_cells_without_runs_are_none():
    config = Config(
        depths=(2,),
        branch_scale=("learned", "one"),
        shortcut_weights=(0.0,),
        silent_plain=False,
        num_seeds=1,
        learning_rates=(0.1,),
    )
    (cell,) = grid.cells(config)
    assert cell.variant.branch_scale == "one" and len(grid.all_runs(config)) == 1


def test_a_run_is_read_back_from_its_row():
    config = Config(shortcut=("exclusive_gate",), branch_scale=("stochastic_depth",))
    for run in grid.all_runs(config):
        assert grid.run_of({name: str(value) for name, value in run.columns().items()}) == run


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "-1"},
        {"seed": "1.5"},
        {"depth": "1"},
        {"learning_rate": "nan"},
        {"norm": "$x$"},
        {"norm": ""},
        {"block": "<script>"},
        {"family": None},
        {"shortcut_weight": [1]},
    ],
)
def test_a_row_that_names_no_run_is_refused(change):
    row = grid.all_runs(Config())[0].columns()
    with pytest.raises(ContentError):
        grid.run_of({**row, **change})
    del row[next(iter(change))]
    with pytest.raises(ContentError):
        grid.run_of(row)


def test_names_of_groups_are_harmless_and_tell_them_apart():
    runs = grid.all_runs(Config(depths=(4,)))
    groups = [Group(runs[0].cell, tuple(runs[:count])) for count in range(1, 9)]
    odd = runs[0].cell.__class__("../../etc/ü" * 40, "b", 4, runs[0].cell.variant)
    groups.append(Group(odd, (runs[0]._replace(cell=odd),)))
    names = {group.name for group in groups}
    assert len(names) == len(groups)
    for name in names:
        assert (
            len(name) < 80 and name.replace("-", "").replace("_", "").isalnum() and name.isascii()
        )
