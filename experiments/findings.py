"""What a study of degradation found, in words computed from its summary."""

import pandas as pd

from experiments import labels


def percent(fraction: float) -> str:
    """An error as a percentage, with as many digits as it needs."""
    digits = 1 if round(fraction, 4) >= 0.1 else 2
    return f"{100 * fraction:.{digits}f}%"


def turning_point(curve: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Where training error is least over depth (the shallowest of equals), and the deepest point.

    Args:
      curve: the rows of a summary for one variant and shortcut weight.
    """
    curve = curve.sort_values("depth")
    return curve.loc[curve.train_error.idxmin()], curve.iloc[-1]


def rises(curve: pd.DataFrame) -> bool:
    """Whether training error turns up with depth.

    It does where the 95% interval at the deepest point lies wholly above that at the least error.
    """
    least, deepest = turning_point(curve)
    return bool(deepest.train_error_low > least.train_error_high)


def sentences(summary: pd.DataFrame) -> list[str]:
    """One sentence a variant: where each kind's training error turns up, if it does."""
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
    if len(curve) == 1:
        text = f"{kind} reach a training error of {final}"
    elif rises(curve):
        slightly = " slightly" if deepest.train_error - least.train_error < 0.01 else ""
        text = (
            f"{kind} get{slightly} worse with depth: training error is least at {least.depth} "
            f"layers ({percent(least.train_error)}) and rises to {final}"
        )
    elif least.depth == deepest.depth:
        text = f"{kind} keep improving with depth: training error falls to {final}"
    else:
        text = (
            f"{kind} show no clear rise: least training error {percent(least.train_error)} "
            f"at {least.depth} layers, {final}"
        )
    diverged = int(curve.diverged.sum())
    return text + (f" ({diverged} of {int(curve.seeds.sum())} runs diverged)" if diverged else "")


def _comparison(variant: pd.DataFrame) -> str:
    """Plain against residual at the deepest point."""
    deepest = variant[variant.depth == variant.depth.max()].set_index("shortcut_weight")
    if not {0.0, 1.0} <= set(deepest.index):
        return ""
    plain, residual = deepest.loc[0.0], deepest.loc[1.0]
    p_value = f"paired p = {residual.p_value:.2g}, {residual.seeds} seeds"
    difference = 100 * (plain.train_error - residual.train_error)
    if difference == 0:
        return f"; at {plain.depth} layers they do not differ"
    word = "below" if difference > 0 else "above"
    return (
        f"; at {plain.depth} layers residual lies {abs(difference):.3g} points {word} plain "
        f"({p_value})"
    )
