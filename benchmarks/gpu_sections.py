"""Runs one section of ``on_gpu.py``, which starts a separate process for each."""

import argparse
import contextlib
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import gpu_studies
from measuring import PeerError, Torch, spread, text

HERE = pathlib.Path(__file__).parent
#: The seconds that compilers get from the start of a section; cases not ready then are omitted.
PATIENCE = 70
IMAGE, ROW = (32, 32, 3), (64,)
RESNET = {"kind": "step", "family": "cifar", "precision": "bfloat16", "map": "vmap"}
DENSE = {"kind": "step", "width": 64, "map": "vmap", "shape": ROW, "chunk": 20}
#: The XLA flag for the operations that are recorded once and launched together.
COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer="
BUFFERED = "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,WHILE"
#: The fields of a case that are not shown as columns.
HIDDEN = ("kind", "shape", "shapes", "chunk", "family", "width", "profile", "batch")


class Worker:
    """Runs a case in a separate process; see ``gpu_workers.py``."""

    def __init__(self, case: dict):
        self.case = case
        told = {name: value for name, value in case.items() if name != "xla_flags"}
        command = [sys.executable, str(HERE / "gpu_workers.py"), json.dumps(told)]
        flags = f"{os.environ.get('XLA_FLAGS', '')} {case.get('xla_flags', '')}".strip()
        pipe, variables = subprocess.PIPE, {**os.environ, "XLA_FLAGS": flags}
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=variables)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put("")

    def is_ready(self, seconds: float) -> bool:
        """Returns whether the process reports ready in time; otherwise kills it."""
        try:
            ready = self._lines.get(timeout=max(seconds, 0.01)) == "ready"
        except queue.Empty:
            ready = False
        if not ready:
            self._process.kill()
        return ready

    def rows(self) -> Iterator[dict]:
        """Starts the measurement and yields its rows; an error is a row too."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has failed, and its output says why
            print(file=self._process.stdin, flush=True)
        try:
            while line := self._lines.get(timeout=PATIENCE):
                if line.startswith("{"):  # and is not the output of a library
                    yield json.loads(line)
        except queue.Empty:
            self._process.kill()
            yield {"error": f"not measured in {PATIENCE} s"}


class Section:
    """Holds the options of a section, and writes its rows."""

    def __init__(self, name: str, out: str, torch_python: str, quick: bool):
        self.name, self.quick, self.folder = name, quick, pathlib.Path(out)
        self._torch_python = torch_python

    def add(self, **row) -> None:
        """Prints a row, and writes it at once."""
        row = {"section": self.name, **{key: text(value) for key, value in row.items()}}
        with (self.folder / "on_gpu.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print("  " + "  ".join(f"{key}={value}" for key, value in row.items()), flush=True)

    @contextlib.contextmanager
    def peer(self) -> Iterator[Torch | None]:
        """Yields PyTorch's process, or None if there is no PyTorch."""
        torch = None
        if self._torch_python:
            try:
                torch = Torch(self._torch_python, os.cpu_count() or 1)
            except SystemExit as error:
                self.add(mode="PyTorch", error=str(error)[:150])
        yield torch

    def measure(self, cases: Iterable[dict], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Compiles all cases at the same time, then measures them one after the other."""
        start, others = time.perf_counter(), threading.Thread(target=meanwhile, daemon=True)
        workers = [Worker(case) for case in cases]
        others.start()
        left = lambda: PATIENCE - (time.perf_counter() - start)
        ready = [worker for worker in workers if self._is_ready(worker, left())]
        others.join(max(left(), 0))
        if others.is_alive():
            self.add(note="PyTorch still compiles beside what follows")
        for worker in ready:
            for row in worker.rows():
                self.add(**shown(worker.case), **row)

    def _is_ready(self, worker: Worker, seconds: float) -> bool:
        ready = worker.is_ready(seconds)
        if not ready:
            self.add(**shown(worker.case), error=f"not compiled in {PATIENCE} s")
        return ready


def shown(case: dict) -> dict:
    """Returns a case as columns."""
    return {name: value for name, value in case.items() if name not in HIDDEN}


def request_of(depth: int, shape: tuple, mode: str, precision: str) -> dict:
    """Returns the request for PyTorch's process."""
    return {
        "what": "step", "depth": depth, "shape": shape, "width": 64, "batch": 128, "runs": 8,
        "mode": mode, "precision": precision,
    }  # fmt: skip


def warm(torch: Torch | None, depth: int, shape: tuple, modes: dict) -> Callable[[], None]:
    """Returns a function that lets PyTorch compile all that will be measured."""

    def ask() -> None:
        for mode, precision in modes.items() if torch else ():
            with contextlib.suppress(PeerError):
                torch.ask(**request_of(depth, shape, mode, precision), steps=1)

    return ask


def peers(section: Section, torch: Torch, depth: int, shape: tuple, modes: dict) -> None:
    """Adds rows of PyTorch's milliseconds per step of one run, by mode and its precision."""
    for mode, precision in modes.items():
        row = {"depth": depth, "mode": f"PyTorch {mode}", "precision": precision}
        asked = request_of(depth, shape, mode, precision)
        share = asked["runs"] if mode == "vmap" else 1
        try:
            first = torch.ask(**asked, steps=3)
            steps = max(3, min(300, int(0.15 / first["seconds"])))
            taken = [torch.ask(**asked, steps=steps)["seconds"] / share for _ in range(3)]
            section.add(**row, **spread("ms", taken, 1e3), compile_s=first.get("first", 0.0))
        except PeerError as error:
            section.add(**row, error=str(error)[:150])


def resnet(section: Section) -> None:
    depths, runs, shape = ((8, 14), 2, (8, 8, 3)) if section.quick else ((20, 56), 32, IMAGE)
    of = {**RESNET, "shape": shape, "depth": depths[0], "runs": runs}
    cases = [
        {**of, "profile": True},
        {**of, "depth": depths[1]},
        *({**of, "convolution": form} for form in ("packed", "stock", "mapped", "shifts")),
        {**of, "precision": "float32"},
        {**of, "precision": "float32", "exact": "highest"},
        {**of, "map": "vmap:8"},
        {**of, "runs": 8},
        {**of, "runs": 1},
        {**of, "runs": 4, "map": "map"},
        {**of, "convolution": "patches"},
        {**of, "deterministic": False},
    ]
    modes = {"graphs": "bfloat16", "compile": "bfloat16", "eager": "bfloat16"}
    with section.peer() as torch:
        section.measure(cases[: 3 if section.quick else None], warm(torch, depths[0], shape, modes))
        for depth in depths if torch else ():
            peers(section, torch, depth, shape, modes)


def dense(section: Section) -> None:
    depths, (few, some, many) = ((8, 10), (2, 4, 8)) if section.quick else ((64, 256), (8, 64, 512))
    of = {**DENSE, "depth": depths[0], "runs": many}
    cases = [
        {**of, "profile": True},
        {**of, "exact": "highest"},
        {**of, "map": f"vmap:{some}"},
        {**of, "deterministic": False},
        {**of, "precision": "bfloat16"},
        *({**of, "runs": runs} for runs in (few, some)),
        {**of, "map": "map", "runs": few},
        # Without command buffers, and with command buffers that include loops.
        {**of, "runs": few, "xla_flags": COMMAND_BUFFERS},
        {**of, "runs": few, "xla_flags": f"{COMMAND_BUFFERS}{BUFFERED}"},
        *({**of, "depth": depths[1], "runs": runs} for runs in (few, some, many)),
    ]
    modes = {"graphs": "tf32", "compile": "tf32", "eager": "tf32", "vmap": "tf32"}
    with section.peer() as torch:
        section.measure(cases[: 3 if section.quick else None], warm(torch, depths[0], ROW, modes))
        for depth in depths if torch else ():
            peers(section, torch, depth, ROW, modes)
            modes = {"graphs": "tf32"}


def convolutions(section: Section) -> None:
    sizes = {"runs": 32, "batch": 128, "shapes": [(32, 16), (16, 32), (8, 64)]}
    if section.quick:
        sizes = {"runs": 2, "batch": 4, "shapes": [(8, 8)]}
    forms = "columns", "packed", "patches", "shifts", "mapped", "stock"
    section.measure({"kind": "convolutions", **sizes, "form": form} for form in forms)


def loops(section: Section) -> None:
    cases = [
        {**DENSE, "depth": 64, "runs": 1},
        {**DENSE, "depth": 64, "runs": 512},
        {**RESNET, "shape": IMAGE, "depth": 20, "runs": 1, "convolution": "stock"},
    ]
    cases = [{**DENSE, "depth": 8, "runs": 2}] if section.quick else cases
    section.measure({**case, "kind": "loop"} for case in cases)


def memory(section: Section) -> None:
    deep = {**DENSE, "depth": 10_000, "runs": 2, "chunk": 4}
    images = {**RESNET, "shape": IMAGE}
    cases = [
        {**DENSE, "depth": 64, "runs": 64},
        {**DENSE, "depth": 64, "runs": 512},
        {**DENSE, "depth": 64, "runs": 512, "map": "vmap:64"},
        deep,
        {**deep, "remat": "sqrt"},
        {**images, "depth": 20, "runs": 8},
        {**images, "depth": 20, "runs": 8, "convolution": "stock"},
        {**images, "depth": 56, "runs": 4, "precision": "float32"},
    ]
    cases = [{**DENSE, "depth": 8, "runs": 2}] if section.quick else cases
    section.measure({**case, "kind": "memory"} for case in cases)


SECTIONS = {
    function.__name__: function for function in (resnet, dense, convolutions, loops, memory)
} | {
    function.__name__: function
    for function in (
        gpu_studies.smoke,
        gpu_studies.bits,
        gpu_studies.studies,
        gpu_studies.tests,
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("out")
    parser.add_argument("--torch_python", default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    section = Section(options.section, options.out, options.torch_python, options.quick)
    SECTIONS[options.section](section)


if __name__ == "__main__":
    main()
