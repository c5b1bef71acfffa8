"""Files that are there whole, or as they were before."""

import os
import pathlib


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file beside its place, and renames it into it."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
