"""Agreement, from summaries and configurations made up so that the answer is known."""

import dataclasses

import numpy as np
import pandas as pd

from experiments.dynamics import agreement
from experiments.lab.analysis.configurations import Configuration
from experiments.lab.config.variants import VARIANT_FIELDS, Variant

LECTURE = Variant("batch", "original", "A", "one", "he")
BARE = Variant("none", "original", "A", "one", "he")
SILENT = Variant("batch", "original", "A", "one", "zero_last")


def of(errors):
    """Judged and other rows, of ``(variant, weight, depth, verdict): training error``."""
    found = [Configuration(*key[:3], {}, key[3]) for key in errors]
    summary = pd.DataFrame(
        [
            dict(zip(VARIANT_FIELDS, variant.names(), strict=True))
            | {"shortcut_weight": weight, "depth": depth, "train_error": error}
            for (variant, weight, depth, _), error in errors.items()
        ]
    )
    ends = [each._replace(verdict="x") for each in found]
    return agreement.of_configurations(summary, found, ends)


def test_a_score_counts_what_was_foretold():
    table = of(
        {
            (LECTURE, 1.0, 8, "healthy"): 0.0,
            (LECTURE, 1.0, 16, "healthy"): 0.049,
            (LECTURE, 1.0, 32, "healthy"): 0.05,
            (LECTURE, 0.0, 8, "shattered"): 0.01,
            (LECTURE, 0.0, 16, "BN-explosion"): 0.7,
            (BARE, 0.0, 16, "angle collapse"): 1.0,
        }
    )
    found = agreement.score(agreement.judged(table))
    np.testing.assert_array_equal(found.counts, [[2, 1], [1, 2]])
    assert found.agreement.mean == 4 / 6
    assert found.p_value == 1.0  # of 20 tables 9 are as they are, and 9 the other way round
    counts = agreement.by_verdict(table)
    assert counts.index.tolist() == ["BN-explosion", "angle collapse", "shattered", "healthy"]
    assert counts.train.tolist() == [0, 0, 1, 2] and counts.configurations.sum() == 6
    score, by_verdict, failed, trained = agreement.sentences(table)
    assert "Of 3 networks that are healthy as initialised 2 train" in score
    assert "of 3 others 1" in score and "4 of 6 (67%" in score
    assert "healthy: 2 of 3" in by_verdict
    assert failed.endswith("failed: residual, with batch norm, 32 layers (healthy).")
    assert trained.endswith("the same: plain, with batch norm, 8 layers (shattered).")
    assert table.verdict_at_end.eq("x").all()


def test_a_network_that_is_trained_in_two_ways_counts_once():
    warm = dataclasses.replace(LECTURE, warmup="error:0.8")
    table = of(
        {
            (LECTURE, 1.0, 8, "healthy"): 0.01,
            (LECTURE, 1.0, 16, "healthy"): 0.3,
            (warm, 1.0, 8, "healthy"): 0.02,
            (warm, 1.0, 16, "healthy"): 0.03,
            (LECTURE, 0.0, 16, "BN-explosion"): 0.7,
        }
    )
    assert agreement.distinct(table).train_error.tolist() == [0.01, 0.03, 0.7]
    assert "3 of 3 (100%" in agreement.sentences(table)[0]


def test_what_cannot_pass_anything_on_is_not_judged():
    table = of({(SILENT, 0.0, 8, "vanishing"): 0.9, (SILENT, 1.0, 8, "healthy"): 0.0})
    judged = agreement.judged(table)
    assert len(table) == 2 and judged.shortcut_weight.tolist() == [1.0]
    (nothing,) = agreement.sentences(judged[:0])
    assert "nothing to predict" in nothing


def test_networks_without_blocks_have_no_verdict():
    table = of({(LECTURE, 1.0, 8, "healthy"): 0.0})
    shallow = table[["shortcut_weight", "train_error", *VARIANT_FIELDS]].assign(depth=2)
    found = [Configuration(LECTURE, 1.0, 8, {}, "healthy")]
    both = agreement.of_configurations(pd.concat([shallow, table[shallow.columns]]), found, found)
    assert both.verdict.isna().tolist() == [True, False] and len(agreement.judged(both)) == 1
