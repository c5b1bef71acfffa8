"""What a study of degradation shows on the terminal."""

import pathlib

import pandas as pd

from experiments.degradation import findings, published
from experiments.lab.analysis import labels, wording
from experiments.lab.report import terminal

#: What a terminal of 80 columns has no room for.
_WIDE_ONLY = ("training loss", "test error")


def show(summary: pd.DataFrame, workdir: pathlib.Path, held_out: bool = False) -> None:
    """Prints the table, what was found, and where everything lies.

    Args:
      summary: of a study.
      workdir: where everything lies.
      held_out: whether examples held out of the training set took the test set's place.
    """
    console = terminal.plain_console()
    columns = [c for c in wording.COLUMNS if console.width >= 110 or c not in _WIDE_ONLY]
    for key, name in labels.variants(summary).items():
        rows = [
            [row[column] for column in columns] for row in wording.texts(labels.of(summary, key))
        ]
        console.print(terminal.table(columns, rows, title=name, sections=True, folding=("failed",)))
    terminal.show_lines(
        [
            *findings.sentences(summary),
            *findings.notes(summary, held_out),
            f"Tables, figures and report: {workdir}",
        ]
    )


def show_paper(beside: pd.DataFrame, notes: list[str]) -> None:
    """Prints a paper's numbers beside ours, and what sets the two apart."""
    terminal.plain_console().print(terminal.table(*published.texts(beside), title=published.TITLE))
    terminal.show_lines(notes)
