"""Best rates of losses that are made up, so that the answer is known."""

import numpy as np
import pandas as pd
import pytest

from experiments.depth_transfer import optima
from experiments.lab.config.config import Config

(USUAL,) = Config().variants()
RATES = 2.0 ** np.arange(-6, 1)


def results(loss_of, depths=(6, 10, 18), seeds=3, rates=RATES, **variant):
    """Rows whose final loss is a function of depth, seed and rate; infinite where it diverged."""
    rows = []
    for depth in depths:
        for seed in range(seeds):
            for rate in rates:
                loss = loss_of(depth, seed, rate)
                row = {
                    "family": "dense",
                    "block": "dense",
                    "depth": depth,
                    **vars(USUAL),
                    **variant,
                }
                row |= {"shortcut_weight": 1.0, "learning_rate": rate, "seed": seed}
                row |= {"status": "healthy" if np.isfinite(loss) else "diverged"}
                rows.append(row | {"train_loss": loss})
    return pd.DataFrame(rows)


def parabola(best):
    """A loss whose logarithm is least at the logarithm of a rate that depends on depth and seed."""
    return lambda depth, seed, rate: np.exp((np.log2(rate) - best(depth, seed)) ** 2 - 3)


def test_a_parabolas_vertex_is_found_between_the_rates():
    best = optima.of_seeds(results(parabola(lambda depth, seed: -2.3 - seed / 10)))
    np.testing.assert_allclose(best.log_rate, [-2.3, -2.4, -2.5] * 3)
    assert (best.edge == "").all()
    np.testing.assert_allclose(best.loss[0], np.exp(0.3**2 - 3))


@pytest.mark.parametrize(("at", "edge"), [(-9.0, "lowest"), (-5.8, "lowest"), (0.4, "highest")])
def test_a_best_rate_at_the_edge_stays_there_and_is_named(at, edge):
    best = optima.of_seeds(results(parabola(lambda *_: at)))
    assert set(best.edge) == {edge}
    assert set(best.log_rate) == {-6.0 if edge == "lowest" else 0.0}


def test_a_single_rate_is_no_edge():
    best = optima.of_seeds(results(parabola(lambda *_: 0), rates=[0.25]))
    assert set(best.edge) == {""} and set(best.log_rate) == {-2.0}


def test_beside_a_diverged_rate_the_best_stays_where_it_was_tried():
    smooth = parabola(lambda *_: -2.3)
    cut = lambda depth, seed, rate: smooth(depth, seed, rate) if rate < 0.4 else np.inf
    best = optima.of_seeds(results(cut))
    assert set(best.log_rate) == {-2.0} and set(best.edge) == {""}


def test_where_all_diverge_there_is_none():
    lost = lambda depth, seed, rate: np.inf if seed == 0 else parabola(lambda *_: -2)(0, 0, rate)
    best = optima.of_seeds(results(lost))
    assert best.log_rate.isna().tolist() == [True, False, False] * 3
    summary = optima.over_seeds(best)
    assert summary.diverged.tolist() == [1, 1, 1] and (summary.best_rate == 0.25).all()
    nothing = optima.over_seeds(optima.of_seeds(results(lambda *_: np.inf)))
    assert nothing.best_rate.isna().all() and (nothing.diverged == 3).all()


def test_losses_of_zero_are_as_good_as_each_other():
    best = optima.of_seeds(results(lambda depth, seed, rate: 0.0 if rate > 0.1 else 1.0))
    assert np.isfinite(best.log_rate).all()


def test_the_summary_is_the_geometric_mean_with_its_interval():
    best = optima.of_seeds(results(parabola(lambda depth, seed: -3 + (seed - 1) / 2)))
    row = optima.over_seeds(best).iloc[0]
    assert row.best_rate == pytest.approx(2.0**-3) and row.kind == "residual"
    half = 4.303 * 0.5 / 3**0.5  # Student's, of -3.5, -3, -2.5
    np.testing.assert_allclose(
        np.log2([row.best_rate_low, row.best_rate_high]), [-3 - half, -3 + half], rtol=1e-3
    )
    alone = optima.over_seeds(optima.of_seeds(results(parabola(lambda *_: -3), seeds=1)))
    assert alone.best_rate.notna().all() and alone.best_rate_low.isna().all()


def test_slopes_are_of_the_layers_in_blocks():
    """4, 8 and 16 of them; the seeds' slopes are -0.5, -0.6 and -0.7."""
    best = optima.of_seeds(
        results(parabola(lambda d, seed: -(0.5 + seed / 10) * np.log2((d - 2) / 4) - 2))
    )
    slope = optima.slope(best, "log_rate")
    assert slope.mean == pytest.approx(-0.6)
    assert slope.high - slope.mean == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)
    assert np.isnan(optima.slope(best[best.depth == 6], "log_rate").mean)
    assert np.isnan(optima.slope(best.assign(depth=2), "log_rate").mean)  # no blocks


def test_what_the_shallow_networks_rate_costs_the_deep_ones():
    """Best at -2 and -4, whole steps of the grid: exp(2²) times the lowest loss."""
    runs = results(parabola(lambda depth, _: -2 if depth == 6 else -4), depths=(6, 18))
    price = lambda runs: optima.price(runs, optima.of_seeds(runs))
    assert price(runs) == (pytest.approx(np.exp(4)), 6, 18)
    between = results(parabola(lambda depth, _: -2.5 if depth == 6 else -4), depths=(6, 18))
    np.testing.assert_allclose(price(between)[0], np.exp((1 + 4) / 2))  # halfway, in logarithms
    wild = lambda depth, seed, rate: np.inf if (depth, seed) == (18, 0) and rate > 0.1 else rate**-1
    assert np.isinf(price(results(wild, depths=(6, 18)))[0])


@pytest.mark.parametrize("depth", [6, 18])
def test_where_all_diverge_no_price_is_known(depth):
    lost = lambda of, seed, rate: np.inf if of == depth else rate
    runs = results(lost, depths=(6, 18))
    assert np.isnan(optima.price(runs, optima.of_seeds(runs))[0])
