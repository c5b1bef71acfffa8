"""Locks a work directory: one process at a time may use it.

The kernel holds the lock while the process lives, so that a crash releases it; the file only says
which process that is.
"""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import socket
import time

from experiments.lab.system import sealed
from experiments.lab.system.errors import ContentError, UserError

NAME = "lock"

#: Seconds to wait, since another process may hold the lock for a moment to see whether it is free.
_PATIENCE = 1.0
#: The holder's text is padded with blanks to the first, so that it covers any older text.
_LEAST_BYTES, _MOST_BYTES = 1000, 10_000


def holder(directory: pathlib.Path) -> dict:
    """Returns what the last holder of a directory's lock wrote about itself; {} if unknown."""
    try:
        said = json.loads(sealed.read_at_most(directory / NAME, _MOST_BYTES))
    except (ContentError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def check(directory: pathlib.Path) -> None:
    """Raises :class:`UserError`, which names the holder, if a lock is held; writes nothing."""
    try:
        descriptor = os.open(directory / NAME, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(directory) from None
    finally:
        os.close(descriptor)


class Lock:
    """Holds the lock of a directory, from its construction on."""

    def __init__(self, directory: pathlib.Path):
        """Takes the lock.

        Raises:
          UserError: another process holds it.
        """
        self._descriptor = os.open(directory / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        deadline = time.monotonic() + _PATIENCE
        while not self._taken():
            if time.monotonic() > deadline:
                os.close(self._descriptor)
                raise _in_use(directory)
            time.sleep(0.01)
        self.before = holder(directory)
        self._since = datetime.datetime.now().isoformat(timespec="seconds")

    def _taken(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def say(self, **what: object) -> None:
        """Writes into the lock's file which process holds it, and what it is doing."""
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": self._since}
        content = json.dumps({**who, **what}).encode()
        with contextlib.suppress(OSError):  # a full disk is no reason to stop here
            os.pwrite(self._descriptor, content.ljust(_LEAST_BYTES), 0)
            os.ftruncate(self._descriptor, max(len(content), _LEAST_BYTES))

    def release(self) -> None:
        """Releases the lock, and clears what the file says that the process is doing."""
        self.say()
        os.close(self._descriptor)
        self._descriptor = -1  # the number may soon be another file's


def _in_use(directory: pathlib.Path) -> UserError:
    deadline = time.monotonic() + _PATIENCE
    while not _is_alive(who := holder(directory)) and time.monotonic() < deadline:
        time.sleep(0.01)  # the holder has the lock, but has not written its id yet
    named = f"process {who.get('pid')} on {who.get('host')} since {who.get('since')}"
    return UserError(
        f"--workdir={directory} is in use by {named if who else 'another process'}; wait for it, "
        "or name another directory"
    )


def _is_alive(who: dict) -> bool:
    """Returns whether the process that a lock's file names may be its holder."""
    if not isinstance(who.get("pid"), int) or who.get("host") != socket.gethostname():
        return bool(who)
    try:
        os.kill(who["pid"], 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def is_ours(directory: pathlib.Path) -> bool:
    """Returns whether the file named ``lock`` in a directory is one of ours, or empty."""
    path = directory / NAME
    return path.is_file() and (path.stat().st_size == 0 or "pid" in holder(directory))
