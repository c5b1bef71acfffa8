"""What a study will need, predicted from shapes alone, so that what cannot fit is never started."""

import contextlib
import os
import pathlib
import resource
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from experiments.config import Config
from experiments.errors import UserError
from resnet_jax.counting import Counts

if TYPE_CHECKING:
    import jax

_FLOAT = 4
_SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2, "adamw": 2}
#: Tensors of the size of a layer's output that are kept for its gradient, normalisation included.
_KEPT_PER_LAYER = 4

#: Where Linux says how much memory a container may use, and how much it does.
_CONTAINERS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
#: Where it says how often it killed for memory: in the container, or else in all.
_KILLS = (
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
    "/proc/vmstat",
)
_BOOT = "/proc/sys/kernel/random/boot_id"


def peak_bytes(
    config: Config, counts: Counts, runs: int, data_bytes: int, at_once: int, measured: int = 0
) -> int:
    """Bytes that training a group of runs in one program takes.

    Args:
      config: of the study.
      counts: of one of the networks.
      runs: in the group.
      data_bytes: of the data set, all copies of it.
      at_once: how many runs are in the middle of a step at the same moment.
      measured: examples that a measurement takes at a time.
    """
    states = runs * counts.parameters * (1 + _SLOTS[config.optimizer]) * 2  # read, and written
    gradients = at_once * counts.parameters * 2
    step = config.batch_size * counts.activations * _KEPT_PER_LAYER
    measurement = measured * counts.largest * _KEPT_PER_LAYER  # layer by layer; nothing is kept
    working = at_once * max(step, measurement)
    return _FLOAT * (states + gradients + working) + data_bytes


def available_bytes(devices: Iterable["jax.Device"] = ()) -> int:
    """Memory of the given accelerators; of this machine or container, where they have none."""
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    if any(limits):
        return sum(limits)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *(limit for path, _ in _CONTAINERS if (limit := _number_in(path)))])


def refuse_what_cannot_fit(depth: int, counts: Counts, needed: int, available: int) -> None:
    """Raises :class:`UserError`, with the figures, where a depth needs more than there is."""
    if needed > available:
        raise UserError(
            f"--depths: depth {depth} needs about {_gigabytes(needed)} "
            f"({counts.parameters:,} parameters a run, {counts.activations:,} activations an "
            f"example), and this machine has {_gigabytes(available)}; take fewer layers, "
            "channels or examples a step"
        )


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Within the block, to ask for more memory than there is fails, and kills no process.

    Linux promises memory that it does not have, and when it is used kills whoever is largest.
    """
    free, used = _field("/proc/meminfo", "MemAvailable:"), _field("/proc/self/status", "VmData:")
    for limit_path, usage_path in _CONTAINERS:
        limit, usage = _number_in(limit_path), _number_in(usage_path)
        free = min(free, limit - usage) if limit and usage else free
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
    """Whether an error says that there was not enough memory."""
    words = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def kills() -> dict:
    """When this machine was started, and how many processes were killed for memory since."""
    try:
        boot = pathlib.Path(_BOOT).read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    path = next((path for path in _KILLS if pathlib.Path(path).exists()), _KILLS[-1])
    return {"boot": boot, "memory_kills": _field(path, "oom_kill", unit=1)}


def _number_in(path: str) -> int | None:
    """The number that a file holds; None where it does not."""
    try:
        return int(pathlib.Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _field(path: str, name: str, unit: int = 1024) -> int:
    """A figure of a file of names and figures, in units; 0 where there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in pathlib.Path(path).read_text(encoding="ascii").splitlines():
            if line.split()[:1] == [name]:
                return int(line.split()[1]) * unit
    return 0


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
