"""Compares the memory that a study will need with what is free, before anything is started."""

import contextlib
import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from experiments.lab.system import cgroups

if TYPE_CHECKING:
    import jax

    from resnet_jax.training.population import Footprint

#: Copies of the states during a checkpoint: on the devices, as arrays, and twice as bytes.
_SAVED = 4

#: The memory of the rest of a process: Python, JAX, and its compiler at work.
BASE_BYTES = 2**29

_BOOT = "proc/sys/kernel/random/boot_id"

#: The unit of /proc.
_KIB = 1024


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
    whole = min([whole, *(group.limit for group in cgroups.memory()), *_address_space()[:1]])
    free, used = _free_bytes(), _own("VmRSS:")
    now = min(whole, used + free) if free > 0 and used > 0 else whole
    return Room(max(whole - BASE_BYTES, 0), max(now - BASE_BYTES, 0))


def _free_bytes() -> int:
    """Returns the bytes that are free in the machine or container; 0 if that is unknown."""
    free = _KIB * cgroups.field(cgroups.ROOT / "proc/meminfo", "MemAvailable:")
    return min([free, *(group.free for group in cgroups.memory()), *_address_space()[1:]])


def _address_space() -> tuple[int, ...]:
    """Returns what "ulimit -v" grants, and what of it is left; nothing if it grants all."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return () if limit == resource.RLIM_INFINITY else (limit, max(limit - _own("VmSize:"), 0))


def _own(name: str) -> int:
    """Returns the bytes of memory of a kind that this process has; 0 if that is unknown."""
    return _KIB * cgroups.field(cgroups.ROOT / "proc/self/status", name)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Makes allocations beyond the free memory fail within the block, so that no process is killed.

    Linux grants memory that it does not have; when this is used, it kills the largest process.
    """
    free, used = _free_bytes(), _own("VmData:")
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
    """Returns how many processes have been killed for memory, since which boot, and who counts."""
    try:
        boot = (cgroups.ROOT / _BOOT).read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    counter, count = cgroups.killed()
    return {"boot": boot, "counter": counter, "memory_kills": count}


def text(count: int) -> str:
    """Returns a number of bytes as text, in a suitable unit."""
    power = min(max(count.bit_length() - 1, 0) // 10, 3)
    return f"{count / 1024**power:,.1f} {('B', 'KiB', 'MiB', 'GiB')[power]}"
