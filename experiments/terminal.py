"""The summary as a table in the terminal."""

import itertools
import pathlib
import sys

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


def plain_console(width: int = 120) -> rich.console.Console:
    """The terminal, or so many columns of a file."""
    console = rich.console.Console(highlight=False)
    return console if console.is_terminal else rich.console.Console(highlight=False, width=width)


def warn(line: str) -> None:
    """Says on stderr what went wrong and was mended."""
    print(line, file=sys.stderr)


def show_paper(beside: pd.DataFrame, source: str, settings: dict, deviations: list[str]) -> None:
    """Prints a paper's numbers beside ours, and what sets the two apart."""
    varying = [name for name in ("block", "order", "shortcut") if beside[name].nunique() > 1]
    drawn = rich.table.Table(box=rich.box.SIMPLE_HEAD, title="Test error, %", title_justify="left")
    for header in ("depth", "network", *varying, "paper", "ours", "95% interval", "seeds"):
        drawn.add_column(header, justify="right", no_wrap=True)
    for row in beside.to_dict("records"):
        ran = not pd.isna(row["ours"])
        known = ran and not pd.isna(row["ours_low"])
        interval = f"[{row['ours_low']:.2f}, {row['ours_high']:.2f}]" if known else ""
        drawn.add_row(
            f"{row['depth']}",
            row["kind"],
            *(row[name] for name in varying),
            f"{row['paper']}",
            f"{row['ours']:.2f}" if ran else "not run",
            rich.markup.escape(interval),
            f"{row['seeds']:.0f}" if ran else "",
        )
    console = plain_console()
    console.print(drawn)
    measured_on = "validation" if settings["holdout"] else "test"
    console.print(
        f"Paper: {source}, on CIFAR-10. Ours: {measured_on} set of {settings['dataset']}, "
        f"{settings['steps']:,} steps of {settings['batch_size']}, final step.",
        markup=False,
        soft_wrap=True,
    )
    if deviations:
        console.print(f"Not the paper's networks: {', '.join(deviations)}.", markup=False)


def show(summary: pd.DataFrame, workdir: pathlib.Path, held_out: bool = False) -> None:
    """Prints the table, what was found, and where everything lies.

    Args:
      summary: of a study.
      workdir: where everything lies.
      held_out: whether examples held out of the training set took the test set's place.
    """
    console = plain_console()
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
    if held_out:
        console.print("Test means the training examples held out; the test set was not touched.")
    if summary.diverged.any():
        console.print("A diverged run classifies nothing: its error counts as 100%.")
    console.print(f"Tables and figures: {workdir}", markup=False, soft_wrap=True)
