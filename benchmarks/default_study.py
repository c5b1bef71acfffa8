"""The whole default study against the same trainings as an ordinary PyTorch loop.

    python benchmarks/default_study.py --torch_python=PATH

Ours is timed as a process, from start to figure, compilation included.  PyTorch's loop (eager, at
its better thread count) is timed on a subset, one plain and one residual run of each depth, and
multiplied by the number of runs; what it would need for start-up, test set, tables and figures is
given to it for nothing.  Both are measured in turn, ROUNDS times.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from experiments.degradation import STUDY
from experiments.environment import usable_cores

ROUNDS = 2


def ours() -> float:
    """Seconds of the study as a process, without a compilation cache."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "experiments.degradation"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - start


def torch_loop(python: str, threads: int) -> float:
    """Seconds that all runs of the study would take, from two of each depth."""
    config = STUDY.defaults
    command = [python, str(pathlib.Path(__file__).with_name("torch_dense.py"))]
    command += [f"--depths={','.join(map(str, config.depths))}", f"--width={config.width}"]
    command += [f"--batch={config.batch_size}", f"--steps={config.steps}", f"--threads={threads}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    runs = config.num_seeds * len(config.shortcut_weights) * len(config.learning_rates)
    return sum(json.loads(line)["seconds_per_run"] for line in out.splitlines()) * runs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch_python", required=True)
    python = parser.parse_args().torch_python
    rows = []
    for _ in range(ROUNDS):
        study = ours()
        loops = {threads: torch_loop(python, threads) for threads in sorted({1, usable_cores()})}
        best = min(loops.values())
        rows.append((study, best, best / study))
        details = ", ".join(f"{count} threads {value:.0f} s" for count, value in loops.items())
        print(f"study {study:.1f} s; PyTorch loop {details}; ratio {best / study:.1f}", flush=True)
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print("median: study {:.1f} s, PyTorch loop {:.0f} s, ratio {:.1f}".format(*medians))


if __name__ == "__main__":
    main()
