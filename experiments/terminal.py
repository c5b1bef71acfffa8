"""The summary as a table in the terminal."""

import pathlib

import pandas as pd
import rich.box
import rich.console
import rich.table

from experiments import findings
from experiments.config import VARIANT_FIELDS


def table(summary: pd.DataFrame) -> rich.table.Table:
    """The summary's numbers; of the variants' columns only those that differ."""
    varying = [name for name in VARIANT_FIELDS if summary[name].nunique() > 1]
    headers = [*varying, "depth", "network", "rate", "training error, 95% interval"]
    headers += ["training loss", "test error", "failed", "p"]
    drawn = rich.table.Table(*headers, box=rich.box.SIMPLE_HEAD)
    for column in drawn.columns[len(varying) :]:
        column.justify = "right"
    previous = None
    for row in summary.itertuples():
        if previous not in (None, row.depth):
            drawn.add_section()
        previous = row.depth
        drawn.add_row(
            *[getattr(row, name) for name in varying],
            f"{row.depth}",
            row.kind,
            f"{row.learning_rate:g}",
            _error(row.train_error, row.train_error_low, row.train_error_high),
            f"{row.train_loss:.2g}",
            findings.percent(row.test_error),
            _failures(row),
            "" if pd.isna(row.p_value) else f"{row.p_value:.2g}",
        )
    return drawn


def _error(mean: float, low: float, high: float) -> str:
    interval = "" if pd.isna(low) else f" [{100 * low:5.2f}, {100 * high:5.2f}]"
    return f"{100 * mean:.2f}%{interval}"


def _failures(row) -> str:
    words = [f"{getattr(row, name)} {name}" for name in ("diverged", "dead") if getattr(row, name)]
    return f"{', '.join(words)} of {row.seeds}" if words else ""


def show(summary: pd.DataFrame, workdir: pathlib.Path) -> None:
    """Prints the table, what was found, and where everything lies."""
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console = rich.console.Console(highlight=False, width=120)
    console.print(table(summary))
    for sentence in findings.sentences(summary):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(
        "Rates: of those tried, the one with the lowest mean training error over all seeds, "
        "for each depth and kind.",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"Tables and figures: {workdir}", markup=False, soft_wrap=True)
