"""Writes files atomically and durably: each is complete, or as it was before.

No other module changes the files and directories of a study, except its lock.  When a function here
returns, what it has done survives a crash of the process or the machine.
"""

import contextlib
import errno
import itertools
import os
import pathlib
import re

#: The ending of the name of a file that is being written: the process's id and a word.  If the
#: process is killed, such a file stays behind incomplete.
_PART = re.compile(r"\.\d+\.part$")


def make_directory(path: pathlib.Path) -> None:
    """Makes a directory, and its parents."""
    for directory in reversed([path, *path.parents]):
        if not directory.exists():
            with contextlib.suppress(FileExistsError):  # another process was quicker
                directory.mkdir()
            sync(directory.parent)


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file under a temporary name in its directory, and renames it.

    Raises:
      OSError: it cannot be written; the file is as it was, and no temporary file remains.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
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
    sync(path.parent)


def remove(path: pathlib.Path) -> None:
    """Removes a file, if it is there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync(path.parent)


def move(path: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """Moves a file into a directory, under a name that is free there; returns its new path."""
    make_directory(directory)
    names = itertools.chain([path.name], (f"{path.name}.{number}" for number in itertools.count(1)))
    free = next(directory / name for name in names if not (directory / name).exists())
    path.replace(free)
    sync(directory)
    sync(path.parent)
    return free


def is_part(path: pathlib.Path) -> bool:
    """Returns whether a file is one that a process has not finished writing."""
    return bool(_PART.search(path.name))


def remove_parts(directory: pathlib.Path) -> None:
    """Removes the incomplete files that killed processes left in a directory."""
    for path in directory.glob("*.part"):
        if is_part(path):
            remove(path)


def sync(directory: pathlib.Path) -> None:
    """Makes the entries of a directory durable, whichever process made them."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that does not sync directories
            raise
    finally:
        os.close(descriptor)
