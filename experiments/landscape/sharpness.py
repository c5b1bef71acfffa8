"""Measures the sharpness of slices of the loss around trained networks, as numbers over seeds.

None is compared with theory: for networks of finite width and depth there is none.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.lab.analysis import labels
from experiments.lab.analysis.summary import KIND
from experiments.lab.analysis.wording import percent
from resnet_jax.statistics import Interval, log_interval, t_interval

#: The rise of the loss, in nats, at which the width of a minimum is measured.
RISE = 0.1


class Measure(NamedTuple):
    """Describes a number that is measured of each run.

    Attributes:
      title: title of its column in the table; None if it is only in summary.csv.
      text: function that writes a value.
      interval: function that computes the interval over seeds.
    """

    title: str | None
    text: Callable[[float], str]
    interval: Callable[[np.ndarray], Interval] = t_interval


def _two_digits(value: float) -> str:
    return f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _factor(value: float) -> str:
    return f"{float(f'{value:.2g}'):,g}"


MEASURES = {
    "width": Measure("width", _two_digits),
    "held_width": Measure(None, _two_digits),
    "excess": Measure("above convex", _percent),
    "descent": Measure("descent", _percent),
    "greatest": Measure("λmax", _factor, log_interval),
    "ratio": Measure("|λmin/λmax|", _factor, log_interval),
    "ratio_along": Measure(None, _factor, log_interval),
}

NOTE = (
    f"Width: of the slice around the trained network where the loss is at most {RISE:g} nats above "
    "its own, in lengths of a filter-normalised direction, 2 at most. Above convex: the furthest "
    "that the slice rises above its convex envelope, over its range. Descent: the share of all "
    "change of the loss, from the trained network to both ends of the slice, that is downhill. λ: "
    "extreme eigenvalues of the Hessian at the trained network (lognormal means). Means over two "
    "directions, and 95% intervals over seeds; diverged runs have no landscape."
)


def width(distances: np.ndarray, losses: np.ndarray, rise: float = RISE) -> float:
    """Returns the length of the part of a slice around its middle where the loss is low.

    Args:
      distances: distances of the points; the middle one is 0.
      losses: losses there, interpolated linearly between points.
      rise: how far the loss may be above that in the middle.
    """
    middle = len(losses) // 2
    if not np.isfinite(losses[middle]):
        return np.nan
    one, other = slice(middle, None), slice(middle, None, -1)
    level = losses[middle] + rise
    return sum(_reach(abs(distances[way]), losses[way], level) for way in (one, other))


def _reach(distances: np.ndarray, losses: np.ndarray, level: float) -> float:
    above = ~(losses <= level)  # NaN is above
    if not above.any():
        return float(distances[-1])
    end = int(above.argmax())
    share = (level - losses[end - 1]) / (losses[end] - losses[end - 1])
    share = share if np.isfinite(share) else 0.0
    return float(distances[end - 1] + share * (distances[end] - distances[end - 1]))


def excess(distances: np.ndarray, losses: np.ndarray) -> float:
    """Returns how far a slice rises above its convex envelope, over its range: 0 if convex."""
    distances, losses = _finite_part(distances, losses)
    if len(losses) < 3 or np.ptp(losses) == 0:
        return np.nan
    corners: list[int] = []
    for index in range(len(losses)):
        while len(corners) > 1 and not _turns_up(distances, losses, [*corners[-2:], index]):
            corners.pop()
        corners.append(index)
    envelope = np.interp(distances, distances[corners], losses[corners])
    return float((losses - envelope).max() / np.ptp(losses))


def _turns_up(distances: np.ndarray, losses: np.ndarray, corners: list[int]) -> bool:
    """Returns whether the slope grows at the second of three points."""
    run, rise = np.diff(distances[corners]), np.diff(losses[corners])
    return bool(rise[0] * run[1] < rise[1] * run[0])


def descent(losses: np.ndarray) -> float:
    """Returns the downhill share of all change on the way from the middle to both ends."""
    _, losses = _finite_part(np.arange(len(losses)), losses)
    middle = len(losses) // 2
    changes = np.concatenate([np.diff(losses[middle:]), np.diff(losses[middle::-1])])
    total = abs(changes).sum()
    return float(-changes[changes < 0].sum() / total) if total else np.nan


def _finite_part(distances: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the widest part around the middle with finite losses only; empty if it has none."""
    middle = len(losses) // 2
    lost = abs(np.flatnonzero(~np.isfinite(losses)) - middle)
    reach = int(lost.min()) if len(lost) else middle + 1
    part = slice(middle - reach + 1, middle + reach)
    return distances[part], losses[part]


def of_runs(lines: pd.DataFrame, curvatures: pd.DataFrame) -> pd.DataFrame:
    """Returns a row a run: the measures of its slices, as means over its lines.

    Args:
      lines: table of readings along lines.
      curvatures: table of readings of curvature.
    """
    keys = [*KIND, "seed"]
    rows = []
    for key, run in lines.groupby(keys, sort=False):
        measured = [_of_line(line.sort_values("distance")) for _, line in run.groupby("direction")]
        rows.append(dict(zip(keys, key, strict=True)) | pd.DataFrame(measured).mean().to_dict())
    table = curvatures.assign(ratio=abs(curvatures.least / curvatures.greatest))
    along = (
        table.groupby(keys, as_index=False).ratio.mean().rename(columns={"ratio": "ratio_along"})
    )
    there = table[np.isclose(table.distance, 0)][[*keys, "least", "greatest", "ratio"]]
    return pd.DataFrame(rows).merge(there, on=keys).merge(along, on=keys)


def _of_line(line: pd.DataFrame) -> dict[str, float]:
    distances, losses = line.distance.to_numpy(), line.train_loss.to_numpy()
    return {
        "width": width(distances, losses),
        "held_width": width(distances, line.held_loss.to_numpy()),
        "excess": excess(distances, losses),
        "descent": descent(losses),
    }


def summarise(runs: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a study's summary with each measure and its 95% interval over seeds.

    Diverged runs have no landscape, and are left out of the measures.
    """
    rows = []
    for _, row in summary.iterrows():
        same = runs[(runs[KIND] == row[KIND]).all(axis=1)]
        columns: dict[str, float] = {}
        for name, measure in MEASURES.items():
            known = same[name][np.isfinite(same[name])].to_numpy()
            mean, low, high = measure.interval(known) if len(known) else [np.nan] * 3
            columns |= {name: mean, f"{name}_low": max(low, 0.0), f"{name}_high": high}
        rows.append({**row, **columns})
    return pd.DataFrame(rows)


def texts(table: pd.DataFrame) -> tuple[tuple[str, ...], list[list[str]]]:
    """Returns columns and rows of the table for people."""
    names = labels.series(table)
    titles = tuple(measure.title for measure in MEASURES.values() if measure.title)
    rows = []
    for depth, here in table.groupby("depth"):
        for key, name in names.items():
            rows += [
                [f"{depth}", name, percent(row.train_error), *_measures(row)]
                for _, row in labels.of(here, key).iterrows()
            ]
    return ("depth", "network", "error", *titles), rows


def _measures(row: pd.Series) -> list[str]:
    cells = []
    for name, (title, text, _) in MEASURES.items():
        mean, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
        interval = "" if np.isnan(high) else f" [{text(low)}, {text(high)}]"
        if title:
            cells.append("" if np.isnan(mean) else f"{text(mean)}{interval}")
    return cells


#: The measures by which plain and residual networks are compared, and the words for two values.
_QUESTIONS = {
    "width": f"the loss stays within {RISE:g} nats over {{}} of a direction's length",
    "excess": "slices rise above their convex envelope by {} of their range",
    "greatest": "the Hessian's greatest eigenvalue is {}",
}


def sentences(table: pd.DataFrame) -> list[str]:
    """Returns sentences that compare plain and residual networks, and held statistics."""
    lines = []
    for key, name in labels.variants(table).items():
        for depth, here in labels.of(table, key).groupby("depth"):
            pair = [here[here.shortcut_weight == weight] for weight in (0.0, 1.0)]
            if all(map(len, pair)):
                where = f"At {depth} layers" + (f" ({name})" if name else "")
                plain, residual = (rows.iloc[0] for rows in pair)
                answers = [
                    _answer(words, plain, residual, measure)
                    for measure, words in _QUESTIONS.items()
                ]
                lines.append(f"{where}, plain and residual: {'; '.join(answers)}.")
    shares = (table.held_width / table.width).dropna()
    if len(shares) and (table.norm == "batch").all():
        lines.append(
            "With the statistics of batch normalisation held as they were at the trained network, "
            f"the slices are {shares.min():.2g} to {shares.max():.2g} times as wide."
        )
    return lines


def _answer(words: str, plain: pd.Series, residual: pd.Series, name: str) -> str:
    if np.isnan(plain[name]) or np.isnan(residual[name]):
        return words.format("(not known)")
    text = MEASURES[name].text
    ends = [row[f"{name}_{end}"] for row in (plain, residual) for end in ("low", "high")]
    apart = ends[0] > ends[3] or ends[2] > ends[1]
    overlap = "" if apart else " (intervals overlap)" if np.isfinite(ends).all() else ""
    return words.format(f"{text(plain[name])} and {text(residual[name])}{overlap}")
