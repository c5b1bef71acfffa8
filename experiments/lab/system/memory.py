"""Compares the memory that a study will need with what is free, before anything is started."""

import contextlib
import os
import pathlib
import resource
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import jax

    from resnet_jax.training.population import Footprint

#: Copies of the states during a checkpoint: on the devices, as arrays, and twice as bytes.
_SAVED = 4

#: The memory of the rest of a process: Python, JAX, and its compiler at work.
BASE_BYTES = 2**29

#: Files in which Linux says how much memory a container may use, and how much it uses; and the file
#: and field for how much of that is cached files, which can be dropped.
_CONTAINERS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        ("/sys/fs/cgroup/memory.stat", "inactive_file"),
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"),
    ),
)
#: Files that count processes killed for lack of memory: in the container, or else in all.
_KILLS = (
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
    "/proc/vmstat",
)
_BOOT = "/proc/sys/kernel/random/boot_id"


def needed_bytes(footprint: "Footprint", runs: int, devices: Sequence["jax.Device"]) -> int:
    """Returns the bytes that training a group in one program takes, on all devices together.

    Where devices are cores, they share the machine's memory with the data set as it was read, and
    with checkpoints.
    """
    training = len(devices) * footprint.total(-(-runs // len(devices)))
    if devices[0].platform != "cpu":
        return training
    return max(footprint.data + training, saving_bytes(footprint, runs, devices))


def saving_bytes(footprint: "Footprint", runs: int, devices: Sequence["jax.Device"]) -> int:
    """Returns the bytes of a group's checkpoint if devices are cores, for any batch; else 0."""
    if devices[0].platform != "cpu":
        return 0
    return (1 + len(devices)) * footprint.data + _SAVED * runs * footprint.state


class Room(NamedTuple):
    """Holds the bytes that training may take.

    Attributes:
      whole: bytes if nothing else ran here, the same at every launch.
      now: bytes next to the other processes that run; at most the whole.
    """

    whole: int
    now: int


def room(devices: Iterable["jax.Device"] = ()) -> Room:
    """Returns the memory of accelerators; of the machine or container, if they report none."""
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    if any(limits):
        return Room(sum(limits), sum(limits))
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    whole = min([whole, *(limit for path, *_ in _CONTAINERS if (limit := _number_in(path)))])
    free, used = _free_bytes(), _field("/proc/self/status", "VmRSS:")
    now = min(whole, used + free) if free > 0 and used > 0 else whole
    return Room(max(whole - BASE_BYTES, 0), max(now - BASE_BYTES, 0))


def _free_bytes() -> int:
    """Returns the bytes that are free in the machine or container; 0 if that is unknown."""
    free = _field("/proc/meminfo", "MemAvailable:")
    for limit_path, usage_path, cached in _CONTAINERS:
        limit, usage = _number_in(limit_path), _number_in(usage_path)
        free = min(free, limit - usage + _field(*cached, unit=1)) if limit and usage else free
    return max(free, 0)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Makes allocations beyond the free memory fail within the block, so that no process is killed.

    Linux grants memory that it does not have; when this is used, it kills the largest process.
    """
    free, used = _free_bytes(), _field("/proc/self/status", "VmData:")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if free <= 0 or used <= 0:
        yield
        return
    most = min([used + free, *(limit for limit in before if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def is_lack(error: BaseException) -> bool:
    """Returns whether an error says that there was not enough memory."""
    words = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def kills() -> dict:
    """Returns the id of this boot, and how many processes have been killed for memory since."""
    try:
        boot = pathlib.Path(_BOOT).read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    path = next((path for path in _KILLS if pathlib.Path(path).exists()), _KILLS[-1])
    return {"boot": boot, "memory_kills": _field(path, "oom_kill", unit=1)}


def _number_in(path: str) -> int | None:
    """Returns the number in a file; None if it holds none."""
    try:
        return int(pathlib.Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _field(path: str, name: str, unit: int = 1024) -> int:
    """Returns the number after a name in a file, times the unit; 0 if there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in pathlib.Path(path).read_text(encoding="ascii").splitlines():
            if line.split()[:1] == [name]:
                return int(line.split()[1]) * unit
    return 0


def text(count: int) -> str:
    """Returns a number of bytes as text, in a suitable unit."""
    power = min(max(count.bit_length() - 1, 0) // 10, 3)
    return f"{count / 1024**power:,.1f} {('B', 'KiB', 'MiB', 'GiB')[power]}"
