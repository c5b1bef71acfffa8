"""Reads what Linux grants the control groups of this process: memory, and time of processors.

A group lies in others, and the limit of each of them counts.  Version 2 of control groups has one
tree of folders, version 1 a tree for each controller.
"""

import contextlib
import math
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

#: The folder that everything is read from; tests have their own.
ROOT = pathlib.Path("/")

#: Files for the limit and the use of memory, the field of ``memory.stat`` that counts cached files,
#: and the file that counts killed processes; in version 2, and in version 1.
_MEMORY = (
    ("memory.max", "memory.current", "inactive_file", "memory.events"),
    (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
        "memory.oom_control",
    ),
)


class Memory(NamedTuple):
    """Holds a group's memory in bytes.

    Attributes:
      limit: what its processes may use together.
      free: what of it they do not use, or use for cached files, which can be dropped.
    """

    limit: int
    free: int


def memory() -> list[Memory]:
    """Returns the memory of each group with a limit, the innermost first."""
    found = []
    for folder in _folders("memory"):
        for limits, uses, cached, _ in _MEMORY:
            limit, used = number(folder / limits), number(folder / uses)
            if limit and used is not None:
                dropped = field(folder / "memory.stat", cached)
                found.append(Memory(limit, max(limit - used + dropped, 0)))
    return found


def killed() -> tuple[str, int]:
    """Returns the file that counts processes killed for lack of memory, and its count.

    It counts those of this group, or of the whole machine if no group does.
    """
    files = [folder / kills for folder in _folders("memory") for *_, kills in _MEMORY]
    path = next(filter(pathlib.Path.exists, files), ROOT / "proc/vmstat")
    return f"{path}", field(path, "oom_kill")


def cores() -> int | None:
    """Returns how many cores the least quota is worth, rounded up; None if there is no quota."""
    quotas = []
    for folder in _folders("cpu"):
        with contextlib.suppress(OSError, ValueError):
            quotas.append(_quota(folder))
    return min((max(1, math.ceil(quota)) for quota in quotas if quota > 0), default=None)


def _quota(folder: pathlib.Path) -> float:
    """Returns a group's quota in cores; raises OSError or ValueError if it has none."""
    if (both := folder / "cpu.max").exists():
        quota, period = both.read_text(encoding="ascii").split()
    else:
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        quota, period = ((folder / name).read_text(encoding="ascii") for name in files)
    return int(quota) / max(int(period), 1)  # "max" and -1 are no quotas


def _folders(controller: str) -> Iterator[pathlib.Path]:
    """Yields the folders of this process's group and of those around it, the innermost first."""
    top = ROOT / "sys/fs/cgroup"
    try:
        lines = (ROOT / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = top / controller if controllers else top
        # A container may not see the folders on the way to its group; its own is the uppermost.
        folder = base if ".." in group else base / group.lstrip("/")
        yield from filter(pathlib.Path.is_dir, [folder, *folder.parents][: _depth(folder, base)])


def _depth(folder: pathlib.Path, base: pathlib.Path) -> int:
    return len(folder.parts) - len(base.parts) + 1


def number(path: pathlib.Path) -> int | None:
    """Returns the number in a file; None if it holds none."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def field(path: pathlib.Path, name: str) -> int:
    """Returns the number after a name in a file; 0 if there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            if line.split()[:1] == [name]:
                return int(line.split()[1])
    return 0
