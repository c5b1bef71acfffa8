"""Users' mistakes, and how a list of names helps to mend them."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake its maker can mend: the message is one line that says what is wrong and how."""


class ContentError(Exception):
    """What is wrong with a file's content, for its reader to say which file and flag it is."""


def suggest(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name: the nearest known one, if any is near, and all of them."""
    known = list(known)
    begun = [one for one in known if len(name) > 3 and one.startswith(name)]
    near = begun or difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known are {', '.join(known)}"


def printable(text: str, most: int = 600) -> str:
    """One line of bounded length without control characters, whatever a file had in it."""
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return "".join(letter if letter.isprintable() else " " for letter in text)
