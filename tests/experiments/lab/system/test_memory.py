import resource
import subprocess
import sys
from types import SimpleNamespace

from experiments.lab.system import memory
from resnet_jax.training.population import Footprint

CORE, CARD = SimpleNamespace(platform="cpu"), SimpleNamespace(platform="gpu")
FOOTPRINT = Footprint(data=1000, state=10, each=310, alone=310, tile=1)


def test_by_hand():
    here = 1000 + 3 * 2 * 10 + 310  # on each of two devices; the last run is there twice
    assert memory.needed_bytes(FOOTPRINT, 5, [CARD] * 2) == 2 * here
    assert memory.needed_bytes(FOOTPRINT, 2, [CARD] * 2) == 2 * (1000 + 310)
    assert memory.needed_bytes(FOOTPRINT, 5, [CORE] * 2) == 2 * here + 1000  # and as it was read


def test_tiles_of_vectorised_runs_by_hand():
    all_at_once = FOOTPRINT._replace(each=25, tile=None)
    assert [all_at_once.total(runs) for runs in (1, 2, 7)] == [1310, 1050, 1175]
    threes = all_at_once._replace(tile=3)
    assert [threes.total(runs) for runs in (1, 3)] == [1310, 1075]
    assert threes.total(4) == 1000 + 2 * 25 + 2 * 4 * 10  # twice two
    assert threes.total(7) == 1000 + 3 * 25 + 2 * 9 * 10  # three times three, two of them copies


def test_a_checkpoint_of_many_runs_takes_more_than_their_training():
    assert memory.needed_bytes(FOOTPRINT, 100, [CORE]) == 2 * 1000 + 100 * 4 * 10
    assert memory.needed_bytes(FOOTPRINT, 100, [CARD]) == 1000 + 100 * 20 + 310


def test_bytes_are_told_in_a_unit_that_suits_them():
    counts = (0, 1023, 1024, 3 * 2**19, 2**30, 5 * 2**42)
    texts = ["0.0 B", "1,023.0 B", "1.0 KiB", "1.5 MiB", "1.0 GiB", "20,480.0 GiB"]
    assert list(map(memory.text, counts)) == texts


def test_accelerators_count_their_own_memory():
    device = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 5})
    assert memory.room([device, device]) == (10, 10)
    cpu = SimpleNamespace(memory_stats=lambda: None)
    assert memory.room([cpu]).whole == memory.room().whole > 2**28


def made_up(monkeypatch, root, free, group=None, address_space=resource.RLIM_INFINITY):
    """A machine of 8 GiB with so much free, of which this process uses a quarter of one."""
    sizes = {"SC_PAGE_SIZE": 2**12, "SC_PHYS_PAGES": 2**21}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (address_space, address_space))
    files = {
        "proc/meminfo": f"MemAvailable: {free // 1024} kB",
        "proc/self/status": f"VmSize: {2**20} kB\nVmRSS: {2**18} kB",
        "proc/self/cgroup": "0::/",
    }
    if group:
        limit, used = group
        files |= {
            "sys/fs/cgroup/memory.max": f"{limit}",
            "sys/fs/cgroup/memory.current": f"{used}",
            "sys/fs/cgroup/memory.stat": f"inactive_file {2**20}",
        }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(memory.cgroups, "ROOT", root)
    return memory.room()


def test_room_is_what_is_free_less_what_a_process_takes(monkeypatch, tmp_path):
    gib, own, base = 2**30, 2**28, memory.BASE_BYTES
    room = lambda *arguments: made_up(monkeypatch, tmp_path, *arguments)
    assert room(5 * gib) == (8 * gib - base, 5 * gib + own - base)
    assert room(8 * gib) == (8 * gib - base, 8 * gib - base)
    assert room(0) == (8 * gib - base, 8 * gib - base)  # nobody says
    assert room(2**20) == (8 * gib - base, 0)
    # A gigabyte of addresses is in use.
    assert room(5 * gib, None, 3 * gib) == (3 * gib - base, 2 * gib + own - base)
    assert room(5 * gib, (4 * gib, 3 * gib)) == (4 * gib - base, gib + 2**20 + own - base)


def test_within_bounds_to_ask_for_too_much_fails():
    """In a process of its own, since the bound is the process's."""
    script = (
        "import numpy as np; from experiments.lab.system import memory\n"
        "with memory.bounded():\n"
        "    try: np.empty(4 * memory.room().whole, np.uint8)\n"
        "    except MemoryError as error: assert memory.is_lack(error)\n"
        "    else: raise SystemExit('was given')\n"
        "np.empty(2**28, np.uint8)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_lack_of_memory_is_told_from_other_errors():
    assert memory.is_lack(RuntimeError("INTERNAL: Out of memory allocating 6402560000 bytes."))
    assert memory.is_lack(RuntimeError("RESOURCE_EXHAUSTED: ...")) and memory.is_lack(MemoryError())
    assert not memory.is_lack(RuntimeError("INVALID_ARGUMENT"))
