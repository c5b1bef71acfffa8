"""The summary as a table in the terminal."""

import itertools
import pathlib

import pandas as pd
import rich.box
import rich.console
import rich.markup
import rich.table

from experiments import findings, labels

#: How a chosen rate is marked that is the lowest or highest of those tried.
_EDGES = {"lowest": "↓", "highest": "↑", "": " "}


_COLUMNS = (
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

#: What a terminal of 80 columns has no room for.
_WIDE_ONLY = ("training loss", "test error")


def table(summary: pd.DataFrame, title: str, wide: bool) -> rich.table.Table:
    """The summary of one variant."""
    drawn = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=title or None, title_justify="left")
    shown = [wide or name not in _WIDE_ONLY for name in _COLUMNS]
    for header in itertools.compress(_COLUMNS, shown):
        drawn.add_column(header, justify="right", no_wrap=header != "failed")
    previous = None
    for row in summary.itertuples():
        if previous not in (None, row.depth):
            drawn.add_section()
        previous = row.depth
        interval = f"[{100 * row.train_error_low:.2f}, {100 * row.train_error_high:.2f}]"
        texts = (
            f"{row.depth}",
            row.kind,
            f"{row.learning_rate:g}{_EDGES[row.rate_at_edge]}",
            f"{100 * row.train_error:.2f}%",
            "" if pd.isna(row.train_error_low) else rich.markup.escape(interval),
            f"{row.train_loss:.2g}",
            f"{100 * row.test_error:.2f}%",
            "" if pd.isna(row.p_value) else f"{row.p_value:.2g}",
            _failures(row),
        )
        drawn.add_row(*itertools.compress(texts, shown))
    return drawn


def _failures(row) -> str:
    words = [f"{getattr(row, name)} {name}" for name in ("diverged", "dead") if getattr(row, name)]
    return f"{', '.join(words)} of {row.seeds}" if words else ""


def show(summary: pd.DataFrame, workdir: pathlib.Path) -> None:
    """Prints the table, what was found, and where everything lies."""
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console = rich.console.Console(highlight=False, width=120)
    for key, name in labels.variants(summary).items():
        console.print(table(labels.of(summary, key), name, wide=console.width >= 110))
    for sentence in findings.sentences(summary):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(
        "Rates: of those tried, the one with the lowest mean training error over all seeds, "
        "for each depth and kind; ↓ was the lowest tried and ↑ the highest, so that one beyond it "
        "may be better.",
        markup=False,
        soft_wrap=True,
    )
    if summary.diverged.any():
        console.print("A diverged run classifies nothing: its error counts as 100%.")
    console.print(f"Tables and figures: {workdir}", markup=False, soft_wrap=True)
