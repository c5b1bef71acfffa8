"""Words numbers and the rows of a summary for people."""

import pandas as pd


def percent(fraction: float) -> str:
    """Returns an error as a percentage, with as many digits as it needs."""
    digits = 1 if round(fraction, 4) >= 0.1 else 2
    return f"{100 * fraction:.{digits}f}%"


#: The columns of a summary in the words for people.
COLUMNS = (
    "depth",
    "network",
    "rate",
    "training error",
    "95% interval",
    "training loss",
    "test error",
    "p",
    "failed",
)

#: The marks of a chosen rate that is the lowest or highest of those tried.
EDGES = {"lowest": "↓", "highest": "↑", "": " "}


def texts(summary: pd.DataFrame) -> list[dict[str, str]]:
    """Returns the rows of a summary as texts, by :data:`COLUMNS`."""
    rows = []
    for row in summary.itertuples():
        interval = f"[{100 * row.train_error_low:.2f}, {100 * row.train_error_high:.2f}]"
        values = (
            f"{row.depth}",
            row.kind,
            f"{row.learning_rate:g}{EDGES[row.rate_at_edge]}",
            f"{100 * row.train_error:.2f}%",
            "" if pd.isna(row.train_error_low) else interval,
            f"{row.train_loss:.2g}",
            f"{100 * row.test_error:.2f}%",
            "" if pd.isna(row.p_value) else f"{row.p_value:.2g}",
            _failures(row),
        )
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _failures(row) -> str:
    words = [f"{getattr(row, name)} {name}" for name in ("diverged", "dead") if getattr(row, name)]
    return f"{', '.join(words)} of {row.seeds}" if words else ""
