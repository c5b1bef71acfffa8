import subprocess
import sys
from types import SimpleNamespace

import pytest

from experiments import memory
from experiments.config import Config
from experiments.errors import UserError
from resnet_jax import Counts

COUNTS = Counts(layers=4, parameters=41, multiply_adds=0, activations=11, largest=5)


def test_by_hand():
    config = Config(batch_size=7, optimizer="adam")
    states = 10 * 41 * 3 * 2  # runs, parameters, slots and one, read and written
    steps = 2 * 41 * 2 + 2 * 7 * 11 * 4  # gradients, and what is kept for them, of two runs
    assert memory.peak_bytes(config, COUNTS, 10, 1000, at_once=2) == 4 * (states + steps) + 1000


def test_measuring_many_examples_at_once_counts():
    config = Config(batch_size=1)
    less, more = (
        memory.peak_bytes(config, COUNTS, 1, 0, at_once=1, measured=count) for count in (0, 100)
    )
    assert more - less == 4 * (100 * 5 * 4 - 11 * 4)  # instead of a step's


def test_vectorised_runs_need_their_activations_at_once():
    large = COUNTS._replace(activations=10**5)
    mapped = memory.peak_bytes(Config(), large, 64, 0, at_once=2)
    assert memory.peak_bytes(Config(), large, 64, 0, at_once=64) > 10 * mapped


def test_only_what_cannot_fit_is_refused():
    memory.refuse_what_cannot_fit(4, COUNTS, 2**30, available=2**30)
    with pytest.raises(UserError, match="1.0 GiB"):
        memory.refuse_what_cannot_fit(4, COUNTS, 2**30 + 1, available=2**30)


def test_accelerators_count_their_own_memory():
    device = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 5})
    assert memory.available_bytes([device, device]) == 10
    cpu = SimpleNamespace(memory_stats=lambda: None)
    assert memory.available_bytes([cpu]) == memory.available_bytes() > 2**28


def test_within_bounds_to_ask_for_too_much_fails():
    """In a process of its own, since the bound is the process's."""
    script = (
        "import numpy as np; from experiments import memory\n"
        "with memory.bounded():\n"
        "    try: np.empty(4 * memory.available_bytes(), np.uint8)\n"
        "    except MemoryError as error: assert memory.is_lack(error)\n"
        "    else: raise SystemExit('was given')\n"
        "np.empty(2**28, np.uint8)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_lack_of_memory_is_told_from_other_errors():
    assert memory.is_lack(RuntimeError("INTERNAL: Out of memory allocating 6402560000 bytes."))
    assert memory.is_lack(RuntimeError("RESOURCE_EXHAUSTED: ...")) and memory.is_lack(MemoryError())
    assert not memory.is_lack(RuntimeError("INVALID_ARGUMENT"))
