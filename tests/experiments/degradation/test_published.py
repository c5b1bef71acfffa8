import pandas as pd

from experiments.degradation import published, study
from experiments.lab.config.config import Config
from experiments.lab.config.vocabulary import BLOCKS, ORDERS, SHORTCUTS
from experiments.lab.store.manifest import settings_of


def row(depth, error, **fields):
    known = {"family": "cifar", "block": "basic", "order": "original", "shortcut": "A"}
    known |= {"shortcut_weight": 1.0, "seeds": 5, "learning_rate": 0.1}
    known |= {"norm": "batch", "init": "he", "branch_scale": "one"}
    known |= {"shortcut_schedule": "constant", "train_error": 0.01}
    known |= {"test_error_low": error - 0.01, "test_error_high": error + 0.01}
    return {**known, "depth": depth, "test_error": error, **fields}


def test_ours_stand_beside_the_papers_and_the_rest_is_not_run():
    rows = [row(56, 0.07), row(56, 0.5, shortcut_weight=0.0), row(20, 0.1, family="dense")]
    rows += [row(110, 0.2, shortcut="B"), row(8, 0.3), row(44, 0.3, norm="layer")]
    table = published.compare("he2015", pd.DataFrame(rows))
    ran = table[table.ours.notna()]
    assert ran[["depth", "kind", "paper"]].to_numpy().tolist() == [
        [56, "residual", 6.97],
        [56, "plain", "curves only"],
    ]
    assert ran.ours.round(6).tolist() == [7.0, 50.0] and ran.ours_low.round(6).tolist()[0] == 6.0
    assert len(table) == 11 and set(table.depth) == {20, 32, 44, 56, 110, 1202}


def test_of_several_trainings_of_a_network_the_best_fitted_stands_there():
    rows = [row(56, 0.06, train_error=0.02), row(56, 0.07, train_error=0.01)]
    rows += [row(56, 0.05, train_error=0.0, shortcut_schedule="annealed")]  # another network
    table = published.compare("he2015", pd.DataFrame(rows))
    assert table[table.ours.notna()].ours.round(6).tolist() == [7.0]


def test_every_network_of_a_paper_can_be_named_by_flags():
    assert ["none", *published.PAPERS] == [*study.PAPERS]
    for paper in published.PAPERS.values():
        for network in paper.networks:
            assert BLOCKS.parse(network.block) and ORDERS.parse(network.order)
            assert SHORTCUTS.parse(network.shortcut)


def test_other_networks_than_the_papers_are_named():
    here = settings_of(Config(family="cifar", width=16), "", "digest").shown
    assert published.deviations(here) == []
    other = settings_of(Config(family="cifar", width=4, width_factor=2), "Gated 1", "digest").shown
    assert published.deviations(other) == ["--width=4", "--width_factor=2", "--own_block=Gated 1"]
