"""The report as one HTML page: it needs no network, and says nothing in any file's own words.

Every value is escaped by the template engine, figures are part of the page, and a policy in its
head forbids the browser to load anything from anywhere.
"""

import base64
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jinja2

FOOTER = "Drawn by resnet_jax from the tables next to this file; the same command draws it again."

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Picture(NamedTuple):
    """A figure of a page: an image as text, and what it shows."""

    source: str
    caption: str


class Table(NamedTuple):
    """A table of a page; rows with the same first text stand together.

    A narrow terminal leaves out the columns named in ``wide``.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    wide: Sequence[str] = ()


class Listing(NamedTuple):
    """Names and values."""

    title: str
    entries: Iterable[tuple[str, str]]


class Page(NamedTuple):
    """What a report says, in its order."""

    title: str
    about: str
    found: Sequence[str]
    warnings: Sequence[str]
    figures: Sequence[Picture]
    tables: Sequence[Table]
    listings: Sequence[Listing]
    footer: str


def picture(path: pathlib.Path, caption: str) -> Picture:
    """An SVG file as part of a page; as an image it can run no script."""
    content = base64.b64encode(path.read_bytes()).decode()
    return Picture(f"data:image/svg+xml;base64,{content}", caption)


def words(value: object) -> str:
    """What JSON can hold as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {words(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(words, value))
    return f"{value}"


def html(page: Page) -> str:
    """The page as text."""
    return _TEMPLATES.get_template("report.html").render(page._asdict())
