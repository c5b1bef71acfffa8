"""Trajectories, from histories and readings made up so that the answer is known."""

import numpy as np
import pandas as pd
import pytest

from experiments.dynamics import trajectories
from experiments.lab.config.variants import VARIANT_FIELDS, Variant

LECTURE = Variant("batch", "original", "A", "one", "he")
STEPS = (0, 1, 10)


def tables(weight=0.0, depth=6, errors=(0.9, 0.85, 0.5), ratios=(1e6, 1e3, 2.0), variant=LECTURE):
    """Of two seeds, and two blocks: the gradient in front is ``ratios`` times that behind."""
    run = dict(zip(VARIANT_FIELDS, variant.names(), strict=True))
    run |= {"shortcut_weight": weight, "depth": depth}
    chosen, history, blocks, layers = [], [], [], []
    for seed in (0, 1):
        chosen.append(run | {"seed": seed, "status": "healthy"})
        for step, error, ratio in zip(STEPS, errors, ratios, strict=True):
            at = run | {"seed": seed, "step": step}
            history.append(at | {"metric": "train_loss", "value": 2.5 - error / 2})
            history.append(at | {"metric": "train_error", "value": error})
            for place in range(3):
                blocks.append(
                    at
                    | {"place": place, "rms": 1.0, "cosine": 0.1 * place}
                    | {"gradient_correlation": 1.0}
                    | {"gradient": 3 * ratio ** (1 - place / 2)}
                )
            for place in range(depth):
                dead = 1.0 if place == 0 else 0.2 * seed
                layers.append(at | {"place": place, "dead": dead, "input_rms": 1.0})
    return [*map(pd.DataFrame, (chosen, history, blocks, layers))]


def test_every_step_is_followed_from_the_first_block_to_the_last():
    (found,) = trajectories.of_runs(*tables())
    assert found.steps.tolist() == list(STEPS) and found.name == "plain" and found.diverged == 0
    ratio = found.middle(trajectories.FIRST) / found.middle(trajectories.LAST)
    np.testing.assert_allclose(ratio, [1e6, 1e3, 2.0])
    np.testing.assert_allclose(found.measures[trajectories.COSINE], 0.2)
    np.testing.assert_allclose(found.measures[trajectories.DEAD], [[0, 0.2]] * 3)  # not of inputs
    assert found.verdicts == ["BN-explosion", "BN-explosion", "healthy"]
    assert found.begins() == 10
    (never,) = trajectories.of_runs(*tables(errors=(0.9, 0.9, 0.8)))
    assert np.isnan(never.begins())


def test_diverged_runs_are_counted_and_have_no_numbers():
    chosen, history, blocks, layers = tables()
    chosen.loc[chosen.seed == 1, "status"] = "diverged"
    lost = lambda table: (table.seed == 1) & (table.step == 10)
    blocks.loc[lost(blocks), ["rms", "cosine"]] = np.inf, 0.0
    layers.loc[lost(layers), "input_rms"] = np.nan  # units of NaN count as alive
    history.loc[lost(history) & (history.metric == "train_loss"), "value"] = np.inf
    (found,) = trajectories.of_runs(chosen, history, blocks, layers)
    assert found.diverged == 1 and found.verdicts[-1] == "exploding"
    for name, values in found.measures.items():
        assert np.isnan(values[-1, 1]) == (name != trajectories.ERROR)
        assert np.isfinite(values[:, 0]).all() and np.isfinite(found.middle(name)).all()


def test_sentences_tell_when_learning_begins_and_how_gradients_lie_then():
    pairs = zip(tables(), tables(weight=1.0, errors=(0.9, 0.3, 0.0), ratios=(2, 3, 4)), strict=True)
    found = trajectories.of_runs(*[pd.concat(both) for both in pairs])
    (line,) = trajectories.sentences(found)
    assert "Plain, with batch norm, 6 layers" in line
    assert "1e+06 (step 0), 2 (step 10) times those at the last" in line
    assert "BN-explosion from step 0, healthy from step 10" in line
    assert "below 80.0% from step 10 and ends at 50.0%" in line
    assert "With shortcuts they are 2 (step 0), 3 (step 1), 4 (step 10) times those" in line
    assert line.endswith("from step 1 and ends at 0.00%.")


@pytest.mark.parametrize("init", ["he", "zero_last"])
def test_only_networks_that_carry_are_followed_and_kinds_keep_apart(init):
    variant = Variant("batch", "pre_activation", "A", "one", init)
    found = trajectories.of_runs(*tables(variant=variant))
    assert bool(found) == (init == "he")
    assert [*trajectories.by_kind(found)] == (["pre-activation"] if found else [])
    assert trajectories.sentences([]) == []


def test_what_is_never_finite_is_said_to_be_so():
    chosen, history, blocks, layers = tables()
    blocks["rms"] = 1e30  # the square overflows in single precision
    history.loc[history.metric == "train_loss", "value"] = np.inf
    said = trajectories.sentences(trajectories.of_runs(chosen, history, blocks, layers))
    assert "at the first block are finite at no step" in said[0]
    assert "training loss is infinite" in said[0]
