"""The terminal: tables, sentences and warnings."""

import sys
from collections.abc import Sequence

import rich.box
import rich.console
import rich.markup
import rich.table

from experiments.lab.system.errors import printable


def plain_console(width: int = 120) -> rich.console.Console:
    """The terminal, or so many columns of a file."""
    console = rich.console.Console(highlight=False)
    return console if console.is_terminal else rich.console.Console(highlight=False, width=width)


def warn(line: str) -> None:
    """Says on stderr what went wrong and was mended."""
    print(printable(line), file=sys.stderr)


def width() -> int:
    """Returns the columns of the terminal; of a file, as many as tables take."""
    return plain_console(width=150).width


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    totals: Sequence[str] = (),
    sections: bool = True,
) -> None:
    """Prints a table of texts.

    Args:
      columns: their headers.
      rows: a text a column.
      title: above the table.
      totals: a text a column, below the rows; none by default.
      sections: whether a space parts rows whose first texts differ.
    """
    drawn = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        title=rich.markup.escape(title) or None,
        title_justify="left",
        show_footer=bool(totals),
    )
    for header, total in zip(columns, totals or [""] * len(columns), strict=True):
        drawn.add_column(header, total, justify="right", no_wrap=not sections)
    previous = rows[0][0] if rows else None
    for row in rows:
        if sections and row[0] != previous:
            drawn.add_section()
        previous = row[0]
        drawn.add_row(*map(rich.markup.escape, row))
    plain_console(width=150).print(drawn)


def show_lines(lines: Sequence[str]) -> None:
    """Prints sentences."""
    console = plain_console()
    for line in lines:  # a terminal would break words, and files keep lines whole
        console.print(line, markup=False, soft_wrap=not console.is_terminal)
