"""States the findings of a study of degradation, in sentences computed from its summary."""

import pandas as pd

from experiments.lab.analysis import labels
from experiments.lab.analysis.wording import percent


def turning_point(curve: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Returns the point of least training error (among equals, the shallowest), and the deepest.

    Args:
      curve: the rows of a summary for one variant and shortcut weight.
    """
    curve = curve.sort_values("depth")
    return curve.loc[curve.train_error.idxmin()], curve.iloc[-1]


def rises(curve: pd.DataFrame) -> bool:
    """Returns whether training error turns up with depth.

    It does if the 95% interval at the deepest point lies wholly above the one at the least error.
    """
    least, deepest = turning_point(curve)
    return bool(deepest.train_error_low > least.train_error_high)


def falls(curve: pd.DataFrame) -> bool:
    """Returns whether training error keeps falling with depth.

    It does if it is least at the deepest point, and the 95% interval there lies wholly below the
    one at the shallowest point.
    """
    least, deepest = turning_point(curve)
    shallowest = curve.sort_values("depth").iloc[0]
    improved = deepest.train_error_high < shallowest.train_error_low
    return bool(improved and deepest.train_error <= least.train_error)


def sentences(summary: pd.DataFrame) -> list[str]:
    """Returns one sentence for each variant: where each kind's training error rises, if it does."""
    lines = []
    for key, name in labels.variants(summary).items():
        variant = labels.of(summary, key)
        clauses = [_clause(curve) for _, curve in variant.groupby("shortcut_weight")]
        text = "; ".join(clauses) + _comparison(variant)
        lines.append(f"{_capital(name)}: {text}." if name else f"{_capital(text)}.")
    return lines


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _clause(curve: pd.DataFrame) -> str:
    kind = f"{curve.kind.iloc[0]} networks"
    least, deepest = turning_point(curve)
    final = f"{percent(deepest.train_error)} at {deepest.depth} layers"
    lowest = f"least at {least.depth} layers ({percent(least.train_error)})"
    if len(curve) == 1:
        text = f"{kind} reach a training error of {final}"
    elif curve.train_error_low.isna().any():
        text = f"{kind} have a training error {lowest}, and {final}; one seed leaves no interval"
    elif rises(curve):
        slightly = " slightly" if deepest.train_error - least.train_error < 0.01 else ""
        text = f"{kind} get{slightly} worse with depth: training error is {lowest} and rises to "
        text += final
    elif falls(curve):
        text = f"{kind} keep improving with depth: training error falls to {final}"
    elif curve.train_error.nunique() == 1:
        text = f"{kind} have a training error of {percent(least.train_error)} at every depth"
    else:
        text = f"{kind} show no clear rise: training error is {lowest}, and {final}"
    diverged = int(curve.diverged.sum())
    return text + (f" ({diverged} of {int(curve.seeds.sum())} runs diverged)" if diverged else "")


def _comparison(variant: pd.DataFrame) -> str:
    """Returns a clause that compares plain and residual networks at the deepest common depth."""
    plain, residual = (
        variant[variant.shortcut_weight == weight].set_index("depth") for weight in (0.0, 1.0)
    )
    common = set(plain.index) & set(residual.index)
    if not common:
        return ""
    depth = max(common)
    one, other = plain.loc[depth], residual.loc[depth]
    difference = 100 * (one.train_error - other.train_error)
    if difference == 0:
        return f"; at {depth} layers they do not differ"
    word = "below" if difference > 0 else "above"
    p_value = f" (paired p = {other.p_value:.2g}, {other.seeds} seeds)" if other.seeds > 1 else ""
    return f"; at {depth} layers residual lies {abs(difference):.3g} points {word} plain{p_value}"


def notes(summary: pd.DataFrame, held_out: bool) -> list[str]:
    """Returns the notes below the table of a summary.

    Args:
      summary: summary of a study.
      held_out: whether examples held out from the training set replace the test set.
    """
    lines = [
        "Rates: of those tried, the one with the lowest mean training error over all seeds, "
        "for each depth and kind; ↓ was the lowest tried and ↑ the highest, so that one beyond it "
        "may be better."
    ]
    if held_out:
        lines.append("Test means the training examples held out; the test set was not touched.")
    if summary.diverged.any():
        lines.append("A diverged run classifies nothing: its error counts as 100%.")
    return lines
