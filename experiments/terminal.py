"""The summary as a table in the terminal."""

import pathlib
import sys
from collections.abc import Sequence

import pandas as pd
import rich.box
import rich.console
import rich.markup
import rich.table

from experiments import findings, labels, published
from experiments.errors import printable

#: What a terminal of 80 columns has no room for.
_WIDE_ONLY = ("training loss", "test error")


def table(summary: pd.DataFrame, title: str, wide: bool) -> rich.table.Table:
    """The summary of one variant."""
    drawn = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=title or None, title_justify="left")
    shown = [name for name in findings.COLUMNS if wide or name not in _WIDE_ONLY]
    for header in shown:
        drawn.add_column(header, justify="right", no_wrap=header != "failed")
    previous = None
    for texts in findings.texts(summary):
        if previous not in (None, texts["depth"]):
            drawn.add_section()
        previous = texts["depth"]
        drawn.add_row(*(rich.markup.escape(texts[name]) for name in shown))
    return drawn


def plain_console(width: int = 120) -> rich.console.Console:
    """The terminal, or so many columns of a file."""
    console = rich.console.Console(highlight=False)
    return console if console.is_terminal else rich.console.Console(highlight=False, width=width)


def warn(line: str) -> None:
    """Says on stderr what went wrong and was mended."""
    print(printable(line), file=sys.stderr)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; rows with the same first text stand together."""
    drawn = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for header in columns:
        drawn.add_column(header, justify="right")
    previous = rows[0][0] if rows else None
    for row in rows:
        if row[0] != previous:
            drawn.add_section()
        previous = row[0]
        drawn.add_row(*map(rich.markup.escape, row))
    plain_console(width=150).print(drawn)


def show_lines(lines: Sequence[str]) -> None:
    """Prints sentences."""
    console = plain_console()
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def show_paper(beside: pd.DataFrame, notes: list[str]) -> None:
    """Prints a paper's numbers beside ours, and what sets the two apart."""
    columns, rows = published.texts(beside)
    drawn = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=published.TITLE, title_justify="left")
    for header in columns:
        drawn.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(rich.markup.escape, row))
    console = plain_console()
    console.print(drawn)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)


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
    for note in findings.notes(summary, held_out):
        console.print(note, markup=False, soft_wrap=True)
    console.print(f"Tables, figures and report: {workdir}", markup=False, soft_wrap=True)
