"""The lock of a work directory: one process at a time, and none that is dead.

The kernel holds it for as long as the process lives, so it outlives no crash; the file only says
who that is.
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

#: For how long the moment in which another process looks whether the lock is free is waited out.
_PATIENCE = 1.0
#: Of what the holder says: so much, filled up with blanks, that no old word shows behind it.
_LEAST_BYTES, _MOST_BYTES = 1000, 10_000


def holder(directory: pathlib.Path) -> dict:
    """What the last process that held the lock of a directory said of itself; {} if unknown."""
    try:
        said = json.loads(sealed.read_at_most(directory / NAME, _MOST_BYTES))
    except (ContentError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def check(directory: pathlib.Path) -> None:
    """Raises :class:`UserError`, naming the holder, where a lock is held; writes nothing."""
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
    """The lock of a directory, held from the moment it is made."""

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
        """Says in the lock's file who holds it, and what it is doing."""
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": self._since}
        content = json.dumps({**who, **what}).encode()
        with contextlib.suppress(OSError):  # no space for a courtesy is no reason to stop
            os.pwrite(self._descriptor, content.ljust(_LEAST_BYTES), 0)
            os.ftruncate(self._descriptor, max(len(content), _LEAST_BYTES))

    def release(self) -> None:
        """Gives the lock back; what was being done is no longer."""
        self.say()
        os.close(self._descriptor)
        self._descriptor = -1  # the number may soon be another file's


def _in_use(directory: pathlib.Path) -> UserError:
    deadline = time.monotonic() + _PATIENCE
    while not _is_alive(who := holder(directory)) and time.monotonic() < deadline:
        time.sleep(0.01)  # it has the lock, and has not said so yet
    named = f"process {who.get('pid')} on {who.get('host')} since {who.get('since')}"
    return UserError(
        f"--workdir={directory} is in use by {named if who else 'another process'}; wait for it, "
        "or name another directory"
    )


def _is_alive(who: dict) -> bool:
    """Whether the process that a lock's file names may be the one that holds it."""
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
    """Whether the file of that name is one of ours, or empty."""
    path = directory / NAME
    return path.is_file() and (path.stat().st_size == 0 or "pid" in holder(directory))
