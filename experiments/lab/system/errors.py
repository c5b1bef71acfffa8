"""Defines the errors that users can correct, and words their messages."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Reports a mistake of the user, in one line that says what is wrong and how to correct it."""


class ContentError(Exception):
    """Reports invalid content; the caller adds the name of the file or flag to the message."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns a hint for an unknown name: the most similar known one, if any, and all of them."""
    known = list(known)
    begun = [one for one in known if len(name) > 3 and one.startswith(name)]
    near = begun or difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known are {', '.join(known)}"


def printable(text: str, most: int = 600) -> str:
    """Returns any text as one line of bounded length, without control characters."""
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return "".join(letter if letter.isprintable() else " " for letter in text)
