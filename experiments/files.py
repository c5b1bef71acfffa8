"""What is written to disk: every file whole and lasting, or as it was before.

The only module that changes files and directories of a study.  Whatever it has done when it
returns survives a crash of process or machine.
"""

import itertools
import os
import pathlib

#: Ends the name of a file that is being written.  What a killed process leaves of it is no file.
PART = ".part"


def make_directory(path: pathlib.Path) -> None:
    """Makes a directory, and those above it."""
    for directory in reversed([path, *path.parents]):
        if not directory.exists():
            try:
                directory.mkdir()
            except FileExistsError:  # another process was quicker
                continue
            _sync(directory.parent)


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file beside its place, and renames it into it.

    Raises:
      OSError: it cannot be written; the file is as it was, and no space is lost.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def remove(path: pathlib.Path) -> None:
    """Removes a file, if it is there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _sync(path.parent)


def move(path: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """Moves a file into a directory, under a name that is free there; returns where it is now."""
    make_directory(directory)
    names = itertools.chain([path.name], (f"{path.name}.{number}" for number in itertools.count(1)))
    free = next(directory / name for name in names if not (directory / name).exists())
    path.replace(free)
    _sync(directory)
    _sync(path.parent)
    return free


def remove_parts(directory: pathlib.Path) -> None:
    """Removes what killed processes left half written."""
    for path in directory.glob(f"*{PART}"):
        remove(path)


def _sync(directory: pathlib.Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
