"""Remedies, from results made up so that the answer is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.trainable_depth import figures, remedies

LECTURE = Variant("batch", "original", "A", "one", "he")
BETTER = Variant("none", "pre_activation", "A", "learned", "he")
DEPTHS = (8, 16, 32)


def runs(variant, weight, errors, rates=(0.1, 0.01), worse=0.3):
    """Rows of results: errors by depth, one a seed, at the first rate; at the others by so much."""
    return [
        dict(zip(VARIANT_FIELDS, variant.names(), strict=True))
        | {"family": "dense", "block": "dense", "depth": depth, "seed": seed, "status": "healthy"}
        | {"shortcut_weight": weight, "learning_rate": rate}
        | dict.fromkeys(("train_error", "test_error"), error + (worse if place else 0))
        | dict.fromkeys(("train_loss", "test_loss"), error + (worse if place else 0))
        for depth, of_seeds in zip(DEPTHS, errors, strict=True)
        for seed, error in enumerate(of_seeds)
        for place, rate in enumerate(rates)
    ]


@pytest.fixture
def results():
    """Plain networks fail at 16 with one seed of two, residual ones at 32; others never do."""
    return pd.DataFrame(
        runs(LECTURE, 0.0, [(0.0, 0.0), (0.0, 0.4), (0.6, 0.8)])
        + runs(LECTURE, 1.0, [(0.0, 0.0), (0.02, 0.0), (0.1, 0.3)], rates=(0.01, 0.1))
        + runs(BETTER, 1.0, [(0.0, 0.0), (0.0, 0.0), (0.03, 0.0)])
    )


def test_the_deepest_come_first_at_the_rates_chosen_for_each_depth(results):
    better, residual, plain = remedies.of_results(results, knows=False)
    assert better.reach.words == "≥ 32" and better.variant == BETTER
    assert residual.reach.words == "16" and plain.reach.words == "8"
    assert [seed.words for seed in plain.seeds] == ["8", "16"]  # the seed of 0.4 comes first
    assert plain.failure() == ("20.0%", "0.1↑") and better.failure() == ("", "")
    assert residual.failure()[1] == "0.01↓" and residual.failed_at_lowest_rate
    assert not plain.failed_at_lowest_rate
    assert [other.words for other in better.others] == ["16", "≥ 32"]


def test_diverged_runs_are_told_where_networks_fail(results):
    lost = (results.shortcut_weight == 0) & (results.depth == 16) & (results.seed == 1)
    results.loc[lost, "status"] = "diverged"
    *_, plain = remedies.of_results(results, knows=False)
    assert plain.failure()[0] == "20.0% (1 of 2 diverged)"
    assert remedies.table([plain]).diverged.tolist() == [1]


def test_what_trains_again_is_told():
    (found,) = remedies.of_results(
        pd.DataFrame(runs(LECTURE, 1.0, [(0.0,), (0.5,), (0.0,)])), knows=False
    )
    assert found.reach.again == (32,)
    (line,) = [line for line in remedies.sentences([found]) if "again" in line]
    assert "Fails at 16 layers and trains again at 32" in line


def test_sentences_count(results):
    lines = remedies.sentences(remedies.of_results(results, knows=False))
    plain, shortcuts, seeds, *limits, rates = lines
    assert plain == "Without shortcuts, 1 of 1 train deepest, to 8 layers: plain, batch norm."
    assert shortcuts.startswith("With shortcuts, 1 of 2 train deepest, to 32 layers, the deepest")
    assert "no normalisation. Least deep, 16: residual, batch norm." in shortcuts
    assert seeds == "In 2 of 3, every seed alone comes to the same depth."
    assert [line.split(",")[1][:7] for line in limits] == [" 1 of 3", " 3 of 3"]
    assert rates.startswith("1 of 2 that fail somewhere chose the lowest rate")


def test_a_table_keeps_what_is_not_known_empty(results):
    rows = remedies.table(remedies.of_results(results, knows=True))
    assert rows.trains_to.tolist() == [32, 16, 8]
    np.testing.assert_array_equal(rows.fails_at, [np.nan, 32, 16])
    assert rows.least_seed_trains_to.tolist() == [32, 16, 8]
    assert rows.greatest_seed_trains_to.tolist() == [32, 16, 16]


@pytest.mark.parametrize(
    ("variant", "weight", "depth", "verdict"),
    [
        (LECTURE, 0.0, 8, "shattered"),
        (LECTURE, 0.0, 64, "BN-explosion"),
        (Variant("none", "original", "A", "one", "he"), 0.0, 64, "angle collapse"),
        (Variant("none", "pre_activation", "A", "one", "he"), 1.0, 64, "exploding"),
        (BETTER, 1.0, 64, "healthy"),
        (BETTER, 0.0, 64, ""),  # nothing passes
        (Variant("none", "original", "A", "fixup", "he"), 1.0, 64, "healthy"),
        (Variant("batch", "original", "A", "one", "orthogonal"), 0.0, 64, "BN-explosion"),
        (Variant("batch", "original", "A", "stochastic_depth:0.5", "he"), 1.0, 64, ""),
        (LECTURE, 0.0, 2, ""),  # no block
    ],
)
def test_theory_gives_the_verdicts_of_wide_networks(variant, weight, depth, verdict):
    assert remedies.foretold(variant, weight, depth) == verdict


def test_theorys_verdicts_are_counted(results):
    found = remedies.of_results(results, knows=True)
    plain = found[-1]
    assert plain.foretold() == "shattered, BN-explosion from 32"
    assert found[0].foretold() == "healthy"
    assert plain.ill_from == 32 and np.isnan(found[0].ill_from)
    line = remedies.sentences(found)[-1]
    assert line.endswith(": healthy 5 of 5, shattered 1 of 3, BN-explosion 0 of 1.")


def test_a_network_that_is_trained_in_two_ways_counts_once():
    warm = dataclasses.replace(LECTURE, warmup="error:0.8")
    other_weights = dataclasses.replace(LECTURE, init="orthogonal")
    rows = [
        *runs(LECTURE, 1.0, [(0.0,), (0.5,), (0.5,)]),
        *runs(warm, 1.0, [(0.0,), (0.0,), (0.5,)]),
        *runs(other_weights, 1.0, [(0.0,), (0.5,), (0.5,)]),
    ]
    line = remedies.sentences(remedies.of_results(pd.DataFrame(rows), knows=True))[-1]
    assert "on 6 different networks as initialised" in line
    # At 8 layers both train, and at 16 He's weights do, with a warm-up.
    assert line.endswith("healthy 3 of 4, shattered 0 of 2.")


def test_charts_show_every_remedy_and_variant(results):
    found = remedies.of_results(results, knows=False)
    bars = figures.reaches(found).axes[0]
    assert [text.get_text() for text in bars.get_yticklabels()] == [each.name for each in found]
    assert [bar.get_x() + bar.get_width() for bar in bars.patches[:3]] == [32, 16, 8]
    panels = [axes for axes in figures.errors(found).axes if axes.get_visible()]
    assert len(panels) == 2
