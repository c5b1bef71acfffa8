"""Lesions in numbers and words, from readings made up so that the answer is known."""

import numpy as np
import pandas as pd
import pytest

from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.lesion import curves, findings
from resnet_jax import theory

LECTURE = Variant("batch", "original", "A", "one", "he")
SEEDS = (0, 1)


def runs(weight, rows, seeds=SEEDS):
    """Rows of a table, the same for every seed but where they are functions of it."""
    key = dict(zip(VARIANT_FIELDS, LECTURE.names(), strict=True))
    key |= {"family": "dense", "block": "dense", "depth": 8, "learning_rate": 0.1}
    of = lambda row, seed: {name: v(seed) if callable(v) else v for name, v in row.items()}
    return pd.DataFrame(
        [
            {**key, "shortcut_weight": weight, "seed": seed, **of(row, seed)}
            for seed in seeds
            for row in rows
        ]
    )


def removed(errors):
    """Rows of the intact network, of three blocks removed one by one, and of sets of 2 and 3."""
    intact, singles, sets = errors
    rows = [{"removed": 0, "which": np.nan, "train_error": intact}]
    rows += [{"removed": 1, "which": i, "train_error": e} for i, e in enumerate(singles)]
    rows += [{"removed": count, "which": np.nan, "train_error": e} for count, e in sets]
    return [{**row, "remeasured_error": row["train_error"]} for row in rows]


def swapped(*taus_and_errors):
    return [
        {"swaps": swaps, "kendall_tau": tau, "train_error": e, "remeasured_error": e}
        for swaps, (tau, e) in enumerate(taus_and_errors)
    ]


def of_paths(norms, shares):
    """At first every path brings as much; after training what is given."""
    ends = ([1.0] * 4, [0.0, 0.0, 0.0, 1.0]), (norms, shares)
    return [
        {"trained": trained, "length": k, "path_norm": n, "path_rms": n, "length_share": s}
        for trained, columns in enumerate(ends)
        for k, (n, s) in enumerate(zip(*columns, strict=True))
    ]


@pytest.fixture
def found():
    """A residual network of three blocks, whose second one is needed, and a plain one."""
    in_seed = lambda seed: 0.1 * seed
    lesioned = removed((0.0, (in_seed, 0.4, 0.0), [(2, 0.5), (2, 0.7), (3, 0.9)]))
    exchanged = swapped((1.0, 0.0), (0.67, 0.2), (1.0, 0.0), (-1.0, 0.6))
    along = of_paths([1.0, 0.5, 0.25, 0.125], [0.25, 0.5, 0.25, 0.0])
    broken = removed((0.01, (0.9, 0.9, 0.9), [(2, 0.9), (3, 0.9)]))
    tables = [
        pd.concat([runs(1.0, rows), runs(0.0, other)])
        for rows, other in ((lesioned, broken), (exchanged, exchanged), (along, along))
    ]
    chosen = pd.concat([runs(weight, [{}]) for weight in (0.0, 1.0)])
    return curves.of_tables(*tables, chosen)


def test_errors_are_averaged_within_seeds_and_then_over_them(found):
    plain, residual = found
    assert [each.name for each in found] == ["plain", "residual"] and residual.blocks == 3
    assert not plain.paths and plain.without(1).mean == pytest.approx(0.9)
    np.testing.assert_allclose(residual.without(1).mean, (0.4 / 3 + 0.5 / 3) / 2)
    assert residual.without(2).mean == pytest.approx(0.6)
    assert residual.most_missed() == (2, pytest.approx(0.4))
    assert residual.half() == 1 and residual.shuffled().mean == pytest.approx(0.6)


def test_orders_are_gathered_by_their_correlation(found):
    shown = curves.curve(found[1].swapped, "correlation", "train_error")
    np.testing.assert_allclose(shown.x, [-0.9, 0.7, 1.0])
    np.testing.assert_allclose(shown.mean, [0.6, 0.2, 0.0])  # what is in order again is intact


def test_paths_by_count_and_norm_and_by_share(found):
    initial, trained = found[1].paths
    np.testing.assert_allclose(initial.product.mean, theory.path_lengths(3))
    # 1, 3 / 2, 3 / 4, 1 / 8 of 27 / 8: a binomial law of weight 1/2; and of 1/4 for squares.
    np.testing.assert_allclose(trained.product.mean, theory.path_lengths(3, 0.5))
    np.testing.assert_allclose(trained.independent, theory.path_lengths(3, 0.25))
    np.testing.assert_allclose(trained.single.mean, [1, 0.5, 0.25, 0.125])
    assert initial.mean_length.mean == 3 and trained.mean_length.mean == 1
    assert curves.least_length(trained, 0.95) == 2  # 26 of 27, of 7 in 8 paths


def test_the_sentences_say_what_was_found(found):
    first, second = findings.sentences(found)
    assert "removing one of 3 blocks" in first
    assert "plain from 1.00% to 90.0%; residual from 0.00% to 15.0%" in first
    assert "block 2 is missed most (40.0%)" in second
    assert "3.0 branches on average at first and along 1.0 after training" in second
    assert "at most 2 branches bring 95% of it, and are 88% of all paths" in second
    rows = findings.texts(found)
    assert {len(row) for row in rows} == {len(findings.COLUMNS)}
    assert rows[0][-2:] == ["", ""] and rows[1][-2:] == ["3.0 of 3", "1.0 of 3"]


def test_diverged_networks_lose_nothing_more_and_have_no_paths():
    lost = removed((1.0, (1.0, 1.0, 1.0), [(2, 1.0), (3, 1.0)]))
    along = of_paths([np.nan] * 4, [np.nan] * 4)
    tables = (runs(1.0, rows) for rows in (lost, swapped((1.0, 1.0), (0.3, 1.0)), along))
    (found,) = curves.of_tables(*tables, runs(1.0, [{}]))
    assert np.isnan(found.paths[1].single.mean).all()
    first, second = findings.sentences([found])
    assert "residual from 100.0% to 100.0%" in first and "branches" not in second
    assert findings.texts([found])[0][-2:] == ["3.0 of 3", ""]


def test_networks_without_blocks_have_nothing_to_lose():
    intact = [{"removed": 0, "which": np.nan, "train_error": 0.1, "remeasured_error": 0.1}]
    one = [{"trained": t, "length": 0, "path_norm": 1.0, "path_rms": 1.0} for t in (0, 1)]
    tables = intact, swapped((1.0, 0.1)), [{**row, "length_share": 1.0} for row in one]
    (found,) = curves.of_tables(*(runs(1.0, rows) for rows in tables), runs(1.0, [{}]))
    assert findings.texts([found]) == []
    assert "no blocks" in findings.sentences([found])[0]
    assert findings.summary_columns(found)["blocks"] == 0
