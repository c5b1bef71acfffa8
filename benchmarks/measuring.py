"""Provides the shared parts of benchmarks: interleaved timing, tables, machine rates, PyTorch.

A *side* is something whose seconds are measured.  :func:`alternate` interleaves all sides of a
comparison, in rounds whose order is reversed every other time, so that all see the same state of
the machine; ratios are of seconds measured in the same round.
"""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments.lab.system import environment, startup

startup.import_jax(environment.usable_cores())  # every core a device, as in studies

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

from resnet_jax import runs_mesh  # noqa: E402

#: The files in which Linux describes a cache of a core.
_OF_A_CACHE = "level", "type", "size"


class Side(NamedTuple):
    """Describes one side of a comparison.

    Attributes:
      name: name of the side.
      seconds: function that measures the seconds of one unit of its work.
      operations: floating-point operations of a unit; 0 if they are not counted.
      moved: bytes that a unit must at least read or write; 0 if they are not counted.
      unit: name of the unit; sides with different units are not compared, and get no ratio.
      rounds: the most rounds in which it takes part.
      first: seconds of the first unit, compilation included, known once it was measured.
    """

    name: str
    seconds: Callable[[], float]
    operations: float = 0.0
    moved: float = 0.0
    unit: str = "step"
    rounds: int = 1000
    first: Callable[[], float] | float = 0.0


def alternate(sides: Sequence[Side], rounds: int) -> list[list[float]]:
    """Returns the seconds of each side in each round; sides are interleaved."""
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        turns = list(zip(sides, taken, strict=True))
        for side, seconds in turns if number % 2 == 0 else reversed(turns):
            if number < side.rounds:
                seconds.append(side.seconds())
    return taken


def seconds_of(function: Callable, *arguments) -> float:
    """Returns the seconds of one call, until its results are ready."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def gemm() -> Side:
    """Returns a side for the machine's rate of operations: 1024x1024 products in float32."""
    matrix, times = jnp.ones((1024, 1024)), 5
    product = jax.jit(lambda a, b: a @ b)
    product(matrix, matrix).block_until_ready()
    several = lambda: [product(matrix, matrix) for _ in range(times)]
    return Side("GEMM-1024", lambda: seconds_of(several) / times, 2 * 1024**3, unit="product")


def triad() -> Side:
    """Returns a side for the memory bandwidth: a = b + 3·c of long arrays, on all devices."""
    mesh = runs_mesh()
    split = NamedSharding(mesh, PartitionSpec("runs"))
    length = mesh.size * 2**24  # 64 MiB per array and device, larger than all caches
    a, b, c = (jax.device_put(jnp.full(length, value), split) for value in (0.0, 1.0, 2.0))
    # The result overwrites the old a: the system would first clear new memory.
    add = jax.jit(lambda a, b, c: b + 3 * c, donate_argnums=0, keep_unused=True)
    arrays = [add(a, b, c)]

    def once() -> float:
        arrays.append(add(arrays.pop(), b, c).block_until_ready())
        start = time.perf_counter()
        arrays.append(add(arrays.pop(), b, c).block_until_ready())
        return time.perf_counter() - start

    return Side("triad", once, 0, 3.0 * b.nbytes, unit="triad")


class PeerError(Exception):
    """Reports that a measurement failed in PyTorch's process."""


class Torch:
    """Runs PyTorch in a separate process with ``threads`` threads; see ``torch_peer.py``."""

    def __init__(self, python: str, threads: int):
        self.threads, self._asking = threads, threading.Lock()
        command = [python, str(pathlib.Path(__file__).with_name("torch_peer.py"))]
        command += [f"--threads={threads}"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.about = self.ask(what="device")

    def ask(self, **request) -> dict:
        """Returns the answer to a request.

        Raises:
          PeerError: the request failed; the process goes on.
        """
        assert self._process.stdin and self._process.stdout
        with self._asking:  # one at a time, or answers would be swapped
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"PyTorch's process ended at {request}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def side(self, units: float, operations: float, mode: str, unit="step", **request) -> Side:
        """Returns a side whose unit of work is ``units`` times that of the request."""
        first: list[float] = []
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        where = threads if self.about["device"] == "cpu" else self.about["device"]

        def seconds() -> float:
            answer = self.ask(mode=mode, **request)
            first.append(answer.get("first", 0.0))
            return units * answer["seconds"]

        name = " ".join(["PyTorch", mode, *filter(None, [request.get("precision")])])
        return Side(f"{name}, {where}", seconds, operations, unit=unit, first=lambda: first[0])


def torches(python: str) -> list[Torch]:
    """Returns processes with one thread, if there are several cores, and all; [] for no Python."""
    if not python:
        return []
    everything = Torch(python, environment.usable_cores())
    on_cpu, several = everything.about["device"] == "cpu", environment.usable_cores() > 1
    return [Torch(python, 1), everything] if on_cpu and several else [everything]


def parser(about: str | None, rounds: int, **options) -> argparse.ArgumentParser:
    """Returns a parser of the options of all benchmarks and of ``options``, defaults as text."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds, help=f"by default {rounds}")
    made.add_argument("--quick", action="store_true", help="little of everything, to try it out")
    made.add_argument("--out", default="runs/benchmarks", help="by default runs/benchmarks")
    for name, default in options.items():
        about = (
            f"by default {default}" if default else "of an interpreter that has it; else left out"
        )
        made.add_argument(f"--{name}", default=default, help=about)
    return made


def numbers(text: str) -> list[int]:
    """Returns the integers in a text like ``"16,64"``."""
    return [int(word) for word in text.split(",") if word]


class Report:
    """Collects the rows of a table, and at the end prints and writes it with the environment."""

    def __init__(self, name: str, out: str, torches: Sequence[Torch] = (), unit: str = "ms"):
        self._unit = unit
        self._name, self._out = name, pathlib.Path(out)
        self._rows: list[dict] = []
        kinds = [d.device_kind for d in jax.devices()]
        self._environment = environment.describe(kinds, jax.config)
        self._environment |= machine()
        if torches:
            self._environment["torch"] = torches[-1].about
        self._out.mkdir(parents=True, exist_ok=True)
        self.on_gpu = jax.default_backend() != "cpu"

    def compare(self, case: dict, sides: Sequence[Side], rounds: int) -> None:
        """Measures sides interleaved, and adds a row for each; ratios are relative to the first."""
        print(f"{self._name}: {case}: {len(sides)} sides, {rounds} rounds", flush=True)
        taken = alternate(sides, rounds)
        peak = max(
            (s.operations / statistics.median(t) for s, t in zip(sides, taken, strict=True)
             if s.unit == "product"), default=0.0,
        )  # fmt: skip
        for side, seconds in zip(sides, taken, strict=True):
            row = {**case, "side": side.name, "rounds": len(seconds)}
            row |= spread(self._unit, seconds, {"ms": 1e3, "s": 1.0}[self._unit])
            if side.unit == sides[0].unit:
                pairs = zip(seconds, taken[0], strict=False)
                row |= spread("ratio", [ours and each / ours for each, ours in pairs])
            middle = statistics.median(seconds)
            row["gflops"] = side.operations / middle / 1e9 or ""
            row["share_of_gemm"] = (side.operations / middle / peak if peak else 0) or ""
            row["gigabytes_per_s"] = side.moved / middle / 1e9 or ""
            row["first_s"] = (side.first() if callable(side.first) else side.first) or ""
            self.add(row)

    def add(self, row: dict) -> None:
        """Adds a row, and prints it."""
        self._rows.append(row)
        print("  " + ", ".join(f"{k} {text(v)}" for k, v in row.items() if v != ""), flush=True)

    def finish(self) -> None:
        """Prints the table, and writes it (CSV) and the environment (JSON)."""
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        names = [name for name in names if any(row.get(name, "") != "" for row in self._rows)]
        cells = [names, *([text(row.get(name, "")) for name in names] for row in self._rows)]
        with (self._out / f"{self._name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(cells)
        machine = json.dumps(self._environment, indent=1)
        (self._out / f"{self._name}.json").write_text(machine + "\n", encoding="utf-8")
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        print(f"\n{self._name}, on {machine}")
        if not self.on_gpu:
            print("GPU column is empty: no GPU here")
        for line in cells:
            print("  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)))


def machine() -> dict:
    """Returns more facts that timings depend on, except those that cannot be found out."""
    about = {"xla_flags": os.environ.get("XLA_FLAGS", "")}
    with contextlib.suppress(OSError, ValueError):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        about["memory"] = f"{pages / 2**30:.0f} GiB"
    for index in pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        with contextlib.suppress(OSError):
            level, kind, size = ((index / name).read_text().strip() for name in _OF_A_CACHE)
            about[f"cache, level {level}, {kind.lower()}"] = size
    return about


def spread(name: str, values: Sequence[float], factor: float = 1.0) -> dict[str, float]:
    """Returns the median, least and greatest of values, as columns."""
    found = statistics.median(values), min(values), max(values)
    names = name, f"{name}_min", f"{name}_max"
    return {key: factor * value for key, value in zip(names, found, strict=True)}


def text(value) -> str:
    """Returns a value as text; floats have four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
