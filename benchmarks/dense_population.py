"""How near the dense population step comes to the machine's own matrix product.

    python benchmarks/dense_population.py [--torch_python=PATH]

Trains 8 runs (4 seeds, plain and residual) at width 64, batch 128, batch normalisation, and
multiplies 1024x1024 matrices in turn with them, so that both see the same machine.  Operations are
counted by formula: 6 for each weight and example (forward, and twice backward).  With the path of
an interpreter that has PyTorch, the same step there (eager, one run after the other, 1 thread and
all) stands beside.  Prints a table of medians and writes dense_population.csv to --out.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import time

import jax
import numpy as np

from experiments import environment

jax.config.update("jax_num_cpu_devices", environment.usable_cores())

from experiments.sweep import COMPILER_OPTIONS  # noqa: E402
from resnet_jax import (  # noqa: E402
    Data,
    Parts,
    Population,
    Training,
    dense_network,
    from_linen,
    normalization,
    optimizers,
    product,
    runs_mesh,
)

WIDTH, BATCH, CHUNK, ROUNDS, FEATURES, CLASSES = 64, 128, 20, 9, 64, 10
NORMS = {"batch": normalization.BatchNorm, "none": normalization.NoNorm}


def operations(depth: int, runs: int) -> float:
    """Multiplications and additions of one step of all runs."""
    weights = FEATURES * WIDTH + (depth - 2) * WIDTH * WIDTH + WIDTH * CLASSES
    return 6 * weights * BATCH * runs


def population(depth: int, norm: str, how: str):
    """A compiled population, as a function of its states that takes CHUNK steps."""
    random = np.random.RandomState(0)
    x = random.randn(1797, FEATURES).astype(np.float32)
    y = random.randint(0, CLASSES, 1797).astype(np.int32)
    training = Training(
        from_linen(dense_network(depth, WIDTH, CLASSES, Parts(norm=NORMS[norm]))),
        lambda rate: optimizers.momentum(rate, 0.0),
        optimizers.constant(1),
        BATCH,
        CHUNK,
    )
    data = Data(x[:1500], y[:1500], x[1500:], y[1500:])
    runs = product(range(4), [0.0, 1.0], [0.001])
    start = time.perf_counter()
    advance = Population(training, runs, data, runs_mesh(), how).compile(
        COMPILER_OPTIONS.get(jax.default_backend())
    )
    return advance, time.perf_counter() - start


def seconds(function) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def torch_step(python: str, depth: int, threads: int) -> float:
    """Seconds of one PyTorch step of one run."""
    command = [python, str(pathlib.Path(__file__).with_name("torch_dense.py"))]
    command += [f"--depths={depth}", f"--batch={BATCH}", f"--width={WIDTH}", "--steps=60"]
    command += ["--measurements=0", f"--threads={threads}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out)["seconds_per_run"] / 60


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--depths", default="16,64,256")
    parser.add_argument("--torch_python", default="")
    parser.add_argument("--out", default="runs")
    arguments = parser.parse_args()
    matrix = jax.numpy.ones((1024, 1024))
    gemm = jax.jit(lambda a, b: a @ b)
    gemm(matrix, matrix).block_until_ready()
    rows = []
    for depth in map(int, arguments.depths.split(",")):
        programs, states, times = {}, {}, {"gemm": []}
        for norm, how in (("batch", "map"), ("batch", "vmap"), ("none", "map")):
            programs[norm, how], compile_seconds = population(depth, norm, how)
            states[norm, how], _ = programs[norm, how](None, 2, False)
            times[norm, how] = []
            print(f"depth {depth} {norm} {how}: compiled in {compile_seconds:.1f} s", flush=True)
        threads = sorted({1, environment.usable_cores()})
        for _ in range(ROUNDS):
            five = seconds(lambda: [gemm(matrix, matrix) for _ in range(5)])
            times["gemm"].append(five / 5)
            for key, advance in programs.items():
                start = time.perf_counter()
                states[key], _ = advance(states[key], CHUNK, False)
                jax.block_until_ready(states[key])
                times[key].append((time.perf_counter() - start) / CHUNK)
        peak = 2 * 1024**3 / np.median(times["gemm"]) / 1e9
        for norm, how in programs:
            step = float(np.median(times[norm, how]))
            rate = operations(depth, runs=8) / step / 1e9
            row = {"depth": depth, "norm": norm, "map": how, "step_ms": f"{1e3 * step:.2f}"}
            row |= {"gflops": f"{rate:.1f}", "gemm_gflops": f"{peak:.0f}"}
            row |= {"share_of_gemm": f"{rate / peak:.3f}"}
            for count in threads if arguments.torch_python and norm == "batch" else ():
                other = 8 * torch_step(arguments.torch_python, depth, count)
                row[f"torch_{count}_threads_ratio"] = f"{other / step:.1f}"
            rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    pathlib.Path(arguments.out).mkdir(exist_ok=True)
    with (pathlib.Path(arguments.out) / "dense_population.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    print(environment.describe([device.device_kind for device in jax.devices()]))
    print("  ".join(f"{name:>16s}" for name in columns))
    for row in rows:
        print("  ".join(f"{row.get(name, ''):>16}" for name in columns))


if __name__ == "__main__":
    sys.exit(main())
