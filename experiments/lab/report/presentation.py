"""Presentation: what a study found, as files of its work directory and on the terminal."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from experiments.lab.report import figures, page, terminal
from experiments.lab.report.page import Table
from experiments.lab.store import layout, manifest, results


class Drawn(NamedTuple):
    """A figure, and what it shows."""

    figure: Figure
    caption: str


class Presentation(NamedTuple):
    """What a study says, in the order of its report.

    Attributes:
      title: a question.
      about: what it rests on.
      found: sentences.
      figures: by the names of their files, without suffix.
      shown: tables to read.
      written: tables to compute with, by the names of their files.
    """

    title: str
    about: str
    found: Sequence[str]
    figures: Mapping[str, Drawn]
    shown: Sequence[Table]
    written: Mapping[str, pd.DataFrame]


def publish(workdir: pathlib.Path, these: Presentation) -> None:
    """Writes a study's tables, figures and page, and prints what it found."""
    write(workdir, these)
    for table in these.shown:
        drawn = terminal.table(table.columns, table.rows, sections=True, folding=table.columns)
        terminal.show_table(drawn)
    notes = [table.note for table in these.shown if table.note]
    terminal.show_lines([*these.found, *notes, f"Tables, figures and report: {workdir}"])


def write(workdir: pathlib.Path, these: Presentation) -> None:
    """Writes a study's tables, figures/ and report.html into its work directory."""
    for name, table in these.written.items():
        layout.write_text(workdir / name, table.to_csv(index=False, lineterminator="\n"))
    for name, drawn in these.figures.items():
        figures.save(drawn.figure, workdir / layout.FIGURES, name)
    text = page.html(
        page.Page(
            title=these.title,
            about=these.about,
            found=these.found,
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / layout.FIGURES / f"{name}.svg", drawn.caption)
                for name, drawn in these.figures.items()
            ],
            tables=these.shown,
            listings=_listings(workdir, manifest.read(workdir)["settings"]),
            footer=page.FOOTER,
        )
    )
    layout.write_text(workdir / layout.REPORT, text)


def _listings(workdir: pathlib.Path, settings: dict) -> list[page.Listing]:
    """What a study asked for, and what it ran on."""
    return [
        page.Listing(title, [(name, page.words(value)) for name, value in entries.items()])
        for title, entries in (
            ("What was asked for", settings),
            ("What it ran on", results.environment_of(workdir)),
        )
    ]
