"""What is said of how parametrisations move with depth, by tables that are made up."""

import numpy as np
import pandas as pd
import pytest

from experiments.depth_transfer import optima, transfers
from experiments.lab.config.config import Config

(USUAL,) = Config(order=("pre_activation",), norm=("layer",)).variants()


def study(exponents, depths=(4, 10, 34), seeds=3):
    """Results whose best rate moves by a power of the layers in blocks, and changes of features.

    Args:
      exponents: of each optimiser and branch scale.
      depths: of the networks.
      seeds: whose powers lie 1/50 apart.
    """
    results, changes = [], []
    for (optimizer, scale), exponent in exponents.items():
        for depth in depths:
            octaves = np.log2(max(depth - 2, 1) / 2)
            for seed in range(seeds):
                row = {**vars(USUAL), "optimizer": optimizer, "branch_scale": scale}
                row |= {"family": "dense", "block": "dense", "depth": depth, "seed": seed}
                row |= {"shortcut_weight": 1.0, "status": "healthy"}
                slope = exponent + (seed - (seeds - 1) / 2) / 50
                place = slope * octaves - 4
                for log_rate in range(-8, 1):
                    loss = np.exp((log_rate - place) ** 2)
                    results.append({**row, "learning_rate": 2.0**log_rate, "train_loss": loss})
                moved = {"log_change": -slope * octaves, "power": 1.0}
                changes += [{**row, "step": step, **moved} for step in (1, 5)]
    results = pd.DataFrame(results)
    best = optima.of_seeds(results)
    changes = pd.DataFrame(changes)
    theory = transfers.predicted(changes, knows=True)
    slopes = transfers.of_parametrisations(results, best, changes, theory)
    return slopes, optima.over_seeds(best)


EXPONENTS = {("momentum", "one"): 0.0, ("adam", "one"): -0.5, ("adam", "depth:1"): 0.25}


def test_a_row_a_parametrisation_with_theory_beside_it():
    slopes, _ = study(EXPONENTS)
    assert slopes.optimiser.tolist() == ["momentum", "Adam", "Adam"]
    assert slopes.parametrisation.tolist() == ["branch × 1", "branch × 1", "depth-scaled, α = 1"]
    np.testing.assert_allclose(slopes.rate, [0, -0.5, 0.25], atol=1e-12)
    half = 4.303 / 50 / 3**0.5
    np.testing.assert_allclose(slopes.rate_high - slopes.rate, half, rtol=1e-3)
    np.testing.assert_allclose(slopes.change_5, [0, 0.5, -0.25], atol=1e-12)
    blocks = [np.arange(1, count + 1) for count in (1, 4, 16)]  # layer norm, a stream of 1 + l
    octaves = np.log2([(1 / np.sqrt(1 + each)).sum() for each in blocks])
    np.testing.assert_allclose(slopes.change_theory[1], np.polyfit([1, 3, 5], octaves, 1)[0])
    assert (slopes.rate_theory == -slopes.change_theory).all()
    assert slopes.price.tolist()[0] == pytest.approx(1) and (slopes.at_edge == 0).all()


def test_sentences_follow_the_slopes():
    slopes, _ = study(EXPONENTS)
    said = " ".join(transfers.sentences(slopes))
    assert (
        "Momentum: as depth grows the best rate shows no slope with branch × 1 (0.00 ± 0.05)"
        in said
    )
    assert "Adam: as depth grows the best rate falls with branch × 1 (-0.50 ± 0.05)" in said
    assert "it rises with depth-scaled, α = 1 (0.25 ± 0.05)" in said
    off = f"{abs(slopes.rate - slopes.rate_theory).max():.2f}"
    assert f"slope of the best rate lies in 0 of 3 intervals, and at most {off} from" in said
    assert "in the first step lies in 0 of 3" in said and "lowest or highest" not in said
    agreeing = transfers.sentences(slopes.assign(rate_theory=[0.04, -0.54, 0.4]))
    assert "slope of the best rate lies in 2 of 3 intervals, and at most 0.15 from" in " ".join(
        agreeing
    )
    # Best at 2^-4 and 2^-6: the square of two octaves.
    assert f"Adam, branch × 1: loss × {np.exp(4):.3g}" in said


def test_a_best_rate_at_the_edge_is_said_and_marked():
    slopes, summary = study({("adam", "one"): -1.5})
    assert "in this many seeds and depths of: Adam, residual (3)" in transfers.sentences(slopes)[-1]
    columns, rows = transfers.rate_texts(slopes, summary)
    assert columns[2:5] == ["4 layers", "10 layers", "34 layers"]
    assert rows[0][2] == "0.062" and rows[0][4].endswith("↓")


def test_nothing_is_said_of_slopes_along_the_edge():
    """Best at the lowest rate everywhere: a slope of 0 that means nothing."""
    slopes, _ = study({("adam", "one"): -2.0}, depths=(34, 66))
    assert slopes.at_edge[0] == slopes.optima[0] == 6
    lines = transfers.sentences(slopes)
    assert not any("as depth grows" in line or "slope of the best rate" in line for line in lines)
    assert "(6)" in lines[-1]


@pytest.mark.parametrize("short", [{"seeds": 1}, {"depths": (34,)}, {"depths": (2,)}])
def test_what_gives_no_interval_claims_nothing(short):
    slopes, summary = study(EXPONENTS, **short)
    for line in transfers.sentences(slopes):
        assert "shows no slope" not in line and "intervals" not in line
    transfers.rate_texts(slopes, summary)
    assert len(transfers.change_texts(slopes)[1]) == 3


def test_optimisers_are_rows_and_the_rest_columns():
    table = pd.DataFrame([vars(USUAL) | {"optimizer": name} for name in ("sgd", "adam")])
    layout = transfers.parametrisations(table.assign(shortcut_weight=1.0))
    assert layout.rows == ["sgd", "adam"] and layout.columns == ["residual"]
    several = pd.concat([table.assign(shortcut_weight=weight) for weight in (0.0, 1.0)])
    layout = transfers.parametrisations(several)
    assert layout.columns == ["plain", "residual"]
    places = {(row, column): key for row, column, key in layout.places()}
    assert places[1, 0][transfers.SERIES.index("optimizer")] == "adam" and places[1, 0][-1] == 0
