"""Presentation: what a study found, as files of its work directory and on the terminal."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from experiments.lab.report import figures, page, terminal
from experiments.lab.report.page import Table
from experiments.lab.store import layout, manifest, results
from experiments.lab.system.errors import printable

#: A terminal of fewer columns has no room for some of a table's.
_WIDE = 110


class Presentation(NamedTuple):
    """What a study says, in the order of its report.

    Attributes:
      title: a question.
      about: what it rests on.
      found: sentences.
      summary: the table to compute with.
      figures: by the names of their files, without suffix, functions that draw them.
      captions: what each figure shows.
      shown: tables to read.
      more: further tables to compute with, by the names of their files.
    """

    title: str
    about: str
    found: Sequence[str]
    summary: pd.DataFrame
    figures: Mapping[str, Callable[[], Figure]]
    captions: Mapping[str, str]
    shown: Sequence[Table]
    more: Mapping[str, pd.DataFrame] = {}


def publish(workdir: pathlib.Path, these: Presentation) -> None:
    """Writes a study's tables, figures and page, and prints what it found."""
    write(workdir, these)
    notes = []
    for table in these.shown:
        columns, rows = _fitting(table, terminal.width())
        terminal.show_table(columns, rows, table.title)
        left_out = [column for column in table.columns if column not in columns]
        if left_out:
            notes.append(f"A wider terminal shows {' and '.join(left_out)}, as does the report.")
        notes += filter(None, [table.note])
    terminal.show_lines([*these.found, *notes, f"Tables, figures and report: {workdir}"])


def _fitting(table: Table, width: int) -> tuple[list[str], list[list[str]]]:
    """Returns the columns of a table that a terminal has room for, and their rows."""
    narrow = width < _WIDE
    places = [
        place for place, column in enumerate(table.columns) if not (narrow and column in table.wide)
    ]
    of = lambda row: [row[place] for place in places]
    return of(table.columns), [of(row) for row in table.rows]


def write(workdir: pathlib.Path, these: Presentation) -> None:
    """Writes a study's tables, figures/ and report.html into its work directory."""
    for name, table in {layout.SUMMARY: these.summary, **these.more}.items():
        layout.write_text(workdir / name, table.to_csv(index=False, lineterminator="\n"))
    failed = _draw(workdir / layout.FIGURES, these.figures)
    text = page.html(
        page.Page(
            title=these.title,
            about=these.about,
            found=these.found,
            warnings=[*results.failures_of(workdir), *failed.values()],
            figures=[
                page.picture(workdir / layout.FIGURES / f"{name}.svg", these.captions[name])
                for name in these.figures
                if name not in failed
            ],
            tables=these.shown,
            listings=_listings(workdir, manifest.read(workdir)["settings"]),
            footer=page.FOOTER,
        )
    )
    layout.write_text(workdir / layout.REPORT, text)


def _draw(folder: pathlib.Path, drawn: Mapping[str, Callable[[], Figure]]) -> dict[str, str]:
    """Draws figures and writes them, each on its own; returns a line for each that cannot be."""
    failed = {}
    for name, draw in drawn.items():
        try:
            figures.save(draw(), folder, name)
        except OSError:  # no space, no permission
            raise
        except Exception as error:
            reason = printable(f"{type(error).__name__}: {error}", most=200)
            figures.remove(folder, name)  # as it was before
            failed[name] = f"The figure {name} cannot be drawn ({reason})."
            terminal.warn(f"warning: {failed[name]}")
    return failed


def _listings(workdir: pathlib.Path, settings: dict) -> list[page.Listing]:
    """What a study asked for, and what it ran on."""
    return [
        page.Listing(title, [(name, page.words(value)) for name, value in entries.items()])
        for title, entries in (
            ("What was asked for", settings),
            ("What it ran on", results.environment_of(workdir)),
        )
    ]
