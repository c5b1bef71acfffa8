"""A training step of the CIFAR networks against PyTorch eager, channels_last, on all cores.

    python benchmarks/convolutional_step.py [--torch_python=PATH]

Ours: two runs (batch 128, batch norm, momentum) in one compiled chunk of several steps, a run a
device.  PyTorch's: one run after the other, each on all cores.  Both are measured in turn, ROUNDS
times; GEMM-1024 stands beside.  Operations are counted by formula: 6 for each multiply-add and
example (forward, and twice backward).  Prints medians and writes convolutional_step.csv to --out;
and compiles 20 and 1,202 layers, to compare.
"""

import argparse
import csv
import pathlib
import statistics
import subprocess
import sys
import time

import jax
import numpy as np

from experiments import environment

jax.config.update("jax_num_cpu_devices", environment.usable_cores())

from experiments.sweep import START_OPTIONS  # noqa: E402
from resnet_jax import (  # noqa: E402
    Data,
    Population,
    Training,
    cifar_network,
    count,
    from_linen,
    optimizers,
    product,
    runs_mesh,
)

BATCH, CHUNK, ROUNDS, RUNS = 128, 5, 7, 2
#: Depth, side of the image, channels.
CASES = [(20, 32, 3), (20, 8, 1), (56, 32, 3), (56, 8, 1)]
#: Depths that are only compiled, for images of 32x32x3.
COMPILED = [20, 1202]


def population(depth: int, side: int, channels: int):
    """A compiled population, as a function of its states that takes CHUNK steps."""
    random = np.random.RandomState(0)
    x = random.randn(4 * BATCH, side, side, channels).astype(np.float32)
    y = random.randint(0, 10, 4 * BATCH).astype(np.int32)
    training = Training(
        from_linen(cifar_network(depth, 10)),
        lambda rate: optimizers.momentum(rate, 0.0),
        optimizers.constant(1),
        BATCH,
        CHUNK,
    )
    start = time.perf_counter()
    runs = product(range(RUNS), [1.0], [0.01])
    advance = Population(training, runs, Data(x, y, x[:BATCH], y[:BATCH]), runs_mesh(), "map")
    compiled = advance.compile(None, START_OPTIONS.get(jax.default_backend()))
    return compiled, time.perf_counter() - start


class Torch:
    """PyTorch in a process of its own, asked for one measurement at a time."""

    def __init__(self, python: str):
        command = [python, str(pathlib.Path(__file__).with_name("torch_convolutional.py"))]
        command += [f"--threads={environment.usable_cores()}", f"--batch={BATCH}"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def seconds(self, *case: int) -> float:
        """The median of some steps of one run."""
        assert self._process.stdin and self._process.stdout
        print(*case, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def gemm_gflops() -> float:
    matrix = jax.numpy.ones((1024, 1024))
    product_of = jax.jit(lambda a, b: a @ b)
    product_of(matrix, matrix).block_until_ready()
    start = time.perf_counter()
    jax.block_until_ready([product_of(matrix, matrix) for _ in range(10)])
    return 10 * 2 * 1024**3 / (time.perf_counter() - start) / 1e9


def measure(case: tuple[int, int, int], torch: Torch | None) -> dict:
    depth, side, channels = case
    advance, compile_seconds = population(*case)
    states, _ = advance(None, 2, False)
    ours, theirs, peaks = [], [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        states, _ = advance(states, CHUNK, False)
        jax.block_until_ready(states)
        ours.append((time.perf_counter() - start) / CHUNK)
        peaks.append(gemm_gflops())
        if torch:
            theirs.append(RUNS * torch.seconds(*case))
    image = jax.ShapeDtypeStruct((1, side, side, channels), np.float32)
    step = statistics.median(ours)
    rate = 6 * count(cifar_network(depth, 10), image).multiply_adds * BATCH * RUNS / step / 1e9
    row = {"depth": depth, "image": f"{side}x{side}x{channels}"}
    row |= {"compile_s": f"{compile_seconds:.1f}", "step_ms": f"{1e3 * step:.1f}"}
    row |= {"gflops": f"{rate:.0f}", "gemm_gflops": f"{statistics.median(peaks):.0f}"}
    if torch:
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        row |= {"torch_ms": f"{1e3 * statistics.median(theirs):.1f}", "ours/torch": f"{ratio:.2f}"}
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch_python", default="")
    parser.add_argument("--out", default="runs")
    arguments = parser.parse_args()
    torch = Torch(arguments.torch_python) if arguments.torch_python else None
    rows = []
    for case in CASES:
        rows.append(measure(case, torch))
        print(rows[-1], flush=True)
    for depth in COMPILED:
        print({"depth": depth, "compile_s": f"{population(depth, 32, 3)[1]:.1f}"}, flush=True)
    pathlib.Path(arguments.out).mkdir(exist_ok=True)
    with (pathlib.Path(arguments.out) / "convolutional_step.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(environment.describe([device.device_kind for device in jax.devices()]))


if __name__ == "__main__":
    sys.exit(main())
