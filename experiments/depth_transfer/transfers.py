"""States which parametrisations keep their best learning rate as depth grows.

A parametrisation is a variant and a shortcut weight.  In tables and figures, rows are optimisers,
and columns are the other differences between parametrisations.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.depth_transfer import optima
from experiments.lab.analysis import labels, predictions
from experiments.lab.config.variants import VARIANT_FIELDS

#: The columns that identify a parametrisation.
SERIES = (*VARIANT_FIELDS, "shortcut_weight")

#: Slopes below this are rounding errors.
_NO_SLOPE = 1e-9

_PLACE = SERIES.index("optimizer")


class Parametrisations(NamedTuple):
    """Lays out the parametrisations of a table in rows and columns.

    Attributes:
      rows: optimisers.
      columns: the other differences between parametrisations, in words.
      keys: values of :data:`SERIES` for each row and column; not all are in the table.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    keys: Sequence[Sequence[tuple]]

    def places(self) -> Iterator[tuple[int, int, tuple]]:
        """Yields each row, column and key."""
        for row, of_row in enumerate(self.keys):
            for column, key in enumerate(of_row):
                yield row, column, key


def parametrisations(table: pd.DataFrame) -> Parametrisations:
    """Returns the layout of the parametrisations of a table."""
    rows = list(dict.fromkeys(table.optimizer))
    alike = table.assign(optimizer=rows[0])
    if table.shortcut_weight.nunique() > 1:
        columns = labels.series(alike)
    else:
        weight = table.shortcut_weight.iloc[0]
        names = labels.variants(alike)
        columns = {(*key, weight): name or labels.kind(weight) for key, name in names.items()}
    of_row = lambda name: [(*key[:_PLACE], name, *key[_PLACE + 1 :]) for key in columns]
    return Parametrisations(rows, [*columns.values()], [of_row(name) for name in rows])


def predicted(changes: pd.DataFrame, knows: bool) -> pd.DataFrame:
    """Predicts by theory how far a step at one rate moves the last features.

    Returns a row a parametrisation and depth, with ``log_change`` to base 2, up to a constant; NaN
    if theory does not cover it.

    Args:
      changes: see :func:`experiments.depth_transfer.reading.at_lowest_rates`.
      knows: whether theory covers the networks' blocks.
    """
    rows = []
    for key, runs in changes.groupby([*SERIES, "depth"], sort=False):
        row = dict(zip([*SERIES, "depth"], key, strict=True))
        blocks, power = (row["depth"] - 2) // 2, runs.power.mean()
        change = np.nan
        if knows and blocks:
            variant = labels.variant_of(runs.iloc[0])
            change = predictions.feature_change(variant, row["shortcut_weight"], blocks, power)
        rows.append(row | {"log_change": np.log2(change)})
    return pd.DataFrame(rows)


def of_parametrisations(
    results: pd.DataFrame, best: pd.DataFrame, changes: pd.DataFrame, theory: pd.DataFrame
) -> pd.DataFrame:
    """Returns how each parametrisation moves with depth: a row each, in the order of figures.

    Columns: those of :data:`SERIES`; ``optimiser`` and ``parametrisation``, in words; ``rate``, the
    slope of the logarithm of the best rate over that of depth, with its 95% interval ``_low`` and
    ``_high``, and ``rate_theory``, which compensates the features' change that theory predicts;
    ``change_1`` and so on, the slopes of the measured change after that many steps, and
    ``change_theory``, the predicted one at the depths tried; ``at_edge``, in how many of the seeds
    and depths (``optima``) the best rate was the lowest or highest tried; and ``price``,
    ``kept_from``, ``kept_at``, see :func:`experiments.depth_transfer.optima.price`.

    Args:
      results: the results table.
      best: see :func:`experiments.depth_transfer.optima.of_seeds`.
      changes: see :func:`experiments.depth_transfer.reading.at_lowest_rates`.
      theory: see :func:`predicted`.
    """
    layout, rows = parametrisations(results), []
    for place, column, key in layout.places():
        runs, seeds = labels.of(results, key), labels.of(best, key)
        if runs.empty:
            continue
        row = dict(zip(SERIES, key, strict=True))
        row |= {"optimiser": labels.words("optimizer", layout.rows[place])}
        row |= {"parametrisation": layout.columns[column]}
        row |= _interval("rate", optima.slope(seeds, "log_rate"))
        exponent = optima.slope(labels.of(theory, key).assign(seed=0), "log_change").mean
        row["rate_theory"] = -exponent
        for step, moved in labels.of(changes, key).groupby("step"):
            row |= _interval(f"change_{step}", optima.slope(moved, "log_change"))
        row |= {"change_theory": exponent, "at_edge": int((seeds.edge != "").sum())}
        row["optima"] = len(seeds)
        row |= dict(zip(("price", "kept_from", "kept_at"), optima.price(runs, seeds), strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(name: str, interval: Sequence[float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")


def _with_interval(row: pd.Series, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return _number(row[name]) + ("" if np.isnan(low) else f" [{_number(low)}, {_number(high)}]")


def rate_texts(slopes: pd.DataFrame, summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Returns columns and rows of the table of best rates; ↓ and ↑ mark edges for some seeds."""
    depths = sorted(summary.depth.unique())
    columns = ["optimiser", "parametrisation", *(f"{depth} layers" for depth in depths)]
    rows = []
    for _, row in slopes.iterrows():
        cells = labels.of(summary, tuple(row[name] for name in SERIES)).set_index("depth")
        cells = cells.sort_index()
        texts = [_best(cells.loc[depth]) if depth in cells.index else "" for depth in depths]
        rows.append([row.optimiser, row.parametrisation, *texts, _with_interval(row, "rate")])
        rows[-1] += [_number(row.rate_theory), _price(row), f"{cells.train_loss.iloc[-1]:.2g}"]
    return [*columns, "slope", "theory", "kept rate costs", f"loss at {depths[-1]}"], rows


def _best(cell: pd.Series) -> str:
    if np.isnan(cell.best_rate):
        return "diverged"
    edges = "↓" * bool(cell.lowest) + "↑" * bool(cell.highest)
    return f"{cell.best_rate:.2g}{edges}"


def _price(row: pd.Series) -> str:
    if np.isnan(row.price):
        return "not known"
    return "diverges" if np.isinf(row.price) else f"loss × {row.price:.3g}"


def change_texts(slopes: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Returns columns and rows of the coordinate check's table: slopes by number of steps."""
    names = _changes(slopes)
    steps = [int(name.removeprefix("change_")) for name in names]
    columns = ["optimiser", "parametrisation", *(f"{n} step{'s' * (n > 1)}" for n in steps)]
    rows = [
        [row.optimiser, row.parametrisation, *(_with_interval(row, name) for name in names)]
        + [_number(row.change_theory)]
        for _, row in slopes.iterrows()
    ]
    return [*columns, "theory"], rows


def _changes(slopes: pd.DataFrame) -> list[str]:
    return [name for name in slopes.columns if name.removeprefix("change_").isdecimal()]


def sentences(slopes: pd.DataFrame) -> list[str]:
    """Returns sentences on what moves with depth and what does not, from the data."""
    lines = [_moves(optimiser, rows) for optimiser, rows in slopes.groupby("optimiser", sort=False)]
    lines += [_agreement(slopes, "rate", "rate_theory", "the best rate")]
    first = _changes(slopes)[:1]  # theory predicts only one step
    lines += [
        _agreement(slopes, name, "change_theory", "the features' change in the first step")
        for name in first
    ]
    lines += [_prices(slopes), _edges(slopes)]
    return [line for line in lines if line]


def _moves(optimiser: str, rows: pd.DataFrame) -> str:
    """Returns a sentence on the parametrisations of an optimiser in which the best rate moves.

    Those whose best rates are mostly the lowest or highest tried are left out.
    """
    rows, clauses = rows[2 * rows.at_edge <= rows.optima], []
    falls, rises = rows.rate_high < -_NO_SLOPE, rows.rate_low > _NO_SLOPE
    for verb, these in (
        ("falls with", falls),
        ("rises with", rises),
        ("shows no slope with", rows.rate_low.notna() & ~falls & ~rises),
    ):
        names = [
            f"{row.parametrisation} ({_give_or_take(row)})" for _, row in rows[these].iterrows()
        ]
        clauses += [f"{verb} {', '.join(names)}"] if names else []
    name = optimiser[:1].upper() + optimiser[1:]
    return f"{name}: as depth grows the best rate {'; it '.join(clauses)}." if clauses else ""


def _give_or_take(row: pd.Series) -> str:
    return f"{_number(row.rate)} ± {_number(row.rate_high - row.rate)}"


def _agreement(slopes: pd.DataFrame, name: str, theory: str, what: str) -> str:
    known = slopes[slopes[f"{name}_low"].notna() & slopes[theory].notna()]
    if name == "rate":
        known = known[2 * known.at_edge <= known.optima]
    if known.empty:
        return ""
    low, high = known[f"{name}_low"], known[f"{name}_high"]
    inside = int(((low <= known[theory]) & (known[theory] <= high)).sum())
    off = (known[name] - known[theory]).abs().max()
    return (
        f"Theory's slope of {what} lies in {inside} of {len(known)} intervals, and at most "
        f"{off:.2f} from what was measured."
    )


def _prices(slopes: pd.DataFrame) -> str:
    first = slopes.iloc[0]
    if first.kept_from == first.kept_at:
        return ""
    costs = [
        f"{row.optimiser}, {row.parametrisation}: {_price(row)}" for _, row in slopes.iterrows()
    ]
    return (
        f"Tuned at {first.kept_from} layers and kept at {first.kept_at}, the rate costs: "
        f"{'; '.join(costs)}."
    )


def _edges(slopes: pd.DataFrame) -> str:
    edge = slopes[slopes.at_edge > 0]
    if edge.empty:
        return ""
    names = "; ".join(
        f"{row.optimiser}, {row.parametrisation} ({row.at_edge})" for _, row in edge.iterrows()
    )
    return (
        "The best rate is the lowest or highest tried, so that a better one may lie beyond and the "
        f"slope is steeper than it seems, in this many seeds and depths of: {names}."
    )
