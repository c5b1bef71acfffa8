import numpy as np
import pandas as pd
import pytest

from experiments.degradation import findings
from experiments.lab.analysis import labels
from experiments.lab.analysis.summary import choose_rates, summarise

VARIANT = {"norm": "batch", "order": "original", "shortcut": "A"}
VARIANT |= {"branch_scale": "one", "init": "he", "optimizer": "momentum"}
VARIANT |= {"warmup": "none", "shortcut_schedule": "constant"}


def results(errors, losses=None, depth=4, status="healthy", **variant):
    """Rows from {(weight, rate): errors by seed}."""
    rows = []
    for (weight, rate), values in errors.items():
        for seed, error in enumerate(values):
            loss = (losses or {}).get((weight, rate), values)[seed]
            rows.append(
                {"family": "dense", "block": "dense", "depth": depth, **VARIANT, **variant}
                | {"shortcut_weight": weight, "learning_rate": rate, "seed": seed}
                | {"status": "diverged" if loss == np.inf else status}
                | {"train_error": error, "train_loss": loss}
                | {"test_error": error, "test_loss": loss}
            )
    return pd.DataFrame(rows)


def test_the_rate_is_chosen_for_each_kind_by_mean_training_error():
    table = results(
        {(0.0, 0.1): [0.5, 0.5], (0.0, 0.01): [0.1, 0.2], (1.0, 0.1): [0.0, 0.1]}
        | {(1.0, 0.01): [0.2, 0.2]}
    )
    rates = choose_rates(table).groupby("shortcut_weight").learning_rate.unique()
    assert rates[0.0].tolist() == [0.01] and rates[1.0].tolist() == [0.1]


def test_a_choice_at_the_edge_of_the_grid_is_marked():
    errors = {(0.0, 0.1): [0.5], (0.0, 0.05): [0.2], (0.0, 0.01): [0.4], (1.0, 0.1): [0.1]}
    errors |= {(1.0, 0.05): [0.2], (2.0, 0.1): [0.3], (2.0, 0.01): [0.1], (3.0, 0.1): [0.1]}
    table = summarise(results(errors)).set_index("shortcut_weight")
    assert table.rate_at_edge.to_dict() == {0.0: "", 1.0: "highest", 2.0: "lowest", 3.0: ""}


def test_among_equals_by_loss_and_then_the_larger_rate():
    equal = {(0.0, 0.1): [0.0, 0.0], (0.0, 0.03): [0.0, 0.0], (0.0, 0.01): [0.0, 0.0]}
    losses = {(0.0, 0.1): [3.0, 3.0], (0.0, 0.03): [1.0, 1.0], (0.0, 0.01): [1.0, 1.0]}
    assert choose_rates(results(equal, losses)).learning_rate.unique().tolist() == [0.03]


def test_diverged_runs_count():
    """One diverged seed of two makes a mean error of a half, and an infinite loss."""
    table = results(
        {(0.0, 0.1): [0.0, 1.0], (0.0, 0.01): [0.6, 0.6]},
        {(0.0, 0.1): [0.0, np.inf], (0.0, 0.01): [0.6, 0.6]},
    )
    row = summarise(table).iloc[0]
    assert row.learning_rate == 0.1 and row.diverged == 1 and row.dead == 0
    assert row.train_error == 0.5 and row.train_loss == np.inf and np.isnan(row.train_loss_low)


def test_intervals_of_errors_stay_within_zero_and_one():
    row = summarise(results({(0.0, 0.1): [0.0, 0.0, 0.0, 0.1]})).iloc[0]
    assert row.train_error_low == 0 and 0 < row.train_error_high < 1
    assert row.train_loss_low < 0


def test_residual_is_paired_with_plain_by_seed():
    plain, residual = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    table = summarise(results({(0.0, 0.1): plain, (1.0, 0.1): residual}))
    assert table.kind.tolist() == ["plain", "residual"]
    assert pd.isna(table.p_value[0])
    assert table.p_value[1] == pytest.approx(2 / 2**6)


def test_one_seed_has_no_interval():
    row = summarise(results({(0.0, 0.1): [0.5]})).iloc[0]
    assert row.train_error == 0.5 and np.isnan(row.train_error_low)


def test_kinds_have_names():
    assert [labels.kind(w) for w in (0.0, 1.0, 0.25)] == ["plain", "residual", "shortcut 0.25"]


def study(curves):
    """A study of several depths from {weight: [errors by depth]}, five seeds a little apart."""
    frames = []
    for weight, means in curves.items():
        for depth, mean in zip((2, 4, 8), means, strict=True):
            spread = mean * np.array([0.98, 0.99, 1.0, 1.01, 1.02, 1.0])
            frames.append(results({(weight, 0.1): spread}, depth=depth))
    return summarise(pd.concat(frames, ignore_index=True))


def test_findings_tell_a_rise_from_a_fall():
    (sentence,) = findings.sentences(study({0.0: [0.3, 0.1, 0.6], 1.0: [0.3, 0.2, 0.1]}))
    assert "Plain networks get worse with depth" in sentence
    assert "least at 4 layers (10.0%) and rises to 60.0% at 8 layers" in sentence
    assert "residual networks keep improving with depth: training error falls to 10.0%" in sentence
    assert "residual lies 50 points below plain (paired p = 0.031, 6 seeds)" in sentence


def test_findings_say_the_opposite_when_the_data_do():
    (sentence,) = findings.sentences(study({0.0: [0.3, 0.2, 0.1], 1.0: [0.1, 0.2, 0.3]}))
    assert "Plain networks keep improving" in sentence
    assert "residual networks get worse" in sentence and "20 points above plain" in sentence


def test_findings_are_silent_about_what_the_intervals_leave_open():
    noisy = results({(0.0, 0.1): [0.1, 0.5, 0.9]}, depth=8)
    quiet = results({(0.0, 0.1): [0.4, 0.4, 0.4]}, depth=4)
    (sentence,) = findings.sentences(summarise(pd.concat([quiet, noisy], ignore_index=True)))
    assert "no clear rise" in sentence


def test_a_fall_is_claimed_only_where_the_intervals_are_apart():
    bumpy = study({0.0: [0.1, 0.9, 0.0999]})
    assert "keep improving" not in findings.sentences(bumpy)[0]


def test_findings_know_one_seed_and_equal_errors():
    one = [results({(0.0, 0.1): [error]}, depth=depth) for depth, error in ((4, 0.01), (8, 0.9))]
    (sentence,) = findings.sentences(summarise(pd.concat(one, ignore_index=True)))
    assert "one seed leaves no interval" in sentence and "no clear rise" not in sentence
    (sentence,) = findings.sentences(study({1.0: [0.0, 0.0, 0.0]}))
    assert sentence == "Residual networks have a training error of 0.00% at every depth."


def test_kinds_are_compared_at_the_deepest_depth_of_both():
    table = study({0.0: [0.3, 0.1, 0.6], 1.0: [0.3, 0.2, 0.1]})
    table = table[~((table.shortcut_weight == 0) & (table.depth == 8))]
    assert "at 4 layers residual lies 10 points above plain" in findings.sentences(table)[0]


def test_findings_name_the_variant_where_there_are_several():
    both = [results({(1.0, 0.1): [0.1]}, norm=norm) for norm in ("batch", "none")]
    sentences = findings.sentences(summarise(pd.concat(both, ignore_index=True)))
    assert [s.split(":")[0] for s in sentences] == ["Norm batch", "Norm none"]
