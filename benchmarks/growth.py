"""Measures the cost of depth and of the number of runs: compile time, program size, time, memory.

    python benchmarks/growth.py

growth_by_depth: dense networks of width 64 at depths from 10 to 10,000, two runs, batch 100, in
separate processes, interleaved: medians of the seconds of compilation, instructions of the
optimised program, milliseconds per step, microseconds per step, run and layer, the peak memory of
the process, and the temporary memory planned by the compiler.  A call takes ``steps`` steps: 20, or
as many as take two seconds, but at least four, since new memory is cleared for each call.
``gemm_gflops`` is the machine's rate, measured just before in the same process.  Then
--remat_depths, with every kind of rematerialisation.

growth_by_runs: populations of 1 to 32 runs of one depth, interleaved in one process, in
milliseconds per step and run; ``ratio`` is relative to the first row of a depth.  GEMM-1024 is
interleaved with them, in milliseconds per product, and has no ratio.
"""

import json
import pathlib
import re
import resource
import statistics
import subprocess
import sys

from measuring import Report, gemm, numbers, parser
from populations import Trainee, random_data, settings

from experiments.lab.build import compilation
from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.grid import Group

WIDTH, BATCH, FEATURES = 64, 100, 64
#: The intended seconds of the measured steps of a call, and the least number of steps.
LONG_ENOUGH, FEWEST = 2.0, 4


def measured(depth: int, fields: dict) -> dict:
    """Measures two runs of a depth in this process, which must have done nothing else."""
    config = settings(depth, 2, 20, width=WIDTH, batch_size=BATCH, **fields)
    dataset = random_data((FEATURES,))
    trainee = Trainee(config, dataset)
    product = gemm()
    rate = product.operations / statistics.median(product.seconds() for _ in range(3)) / 1e9
    steps = max(FEWEST, min(20, int(LONG_ENOUGH / trainee.step_seconds(1))))
    seconds = [trainee.step_seconds(steps) for _ in range(3)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Compiled again for the compiler's text and memory plan; the peak is already known.
    (cell,) = grid.cells(config)
    group = Group(cell, tuple(grid.runs(config, cell)))
    program, _ = Experiment(config, dataset).population(group).lower()
    compiled = program.compile(compilation.training_options(config))
    memory = compiled.memory_analysis()
    return {
        "compile_s": trainee.compile_seconds,
        "instructions": len(re.findall(r"^\s+(?:ROOT )?%?[\w.-]+ = ", compiled.as_text(), re.M)),
        "steps": steps,
        "us_per_layer": 1e6 * statistics.median(seconds) / depth / 2,
        "ms": 1e3 * statistics.median(seconds),
        "gemm_gflops": rate,
        "peak_mib": peak,
        "temp_mib": memory.temp_size_in_bytes / 2**20 if memory else 0.0,
    }


def in_a_process(depth: int, fields: dict) -> dict:
    """Runs :func:`measured` in a new process, and returns its answer."""
    command = [sys.executable, str(pathlib.Path(__file__)), "--child", json.dumps([depth, fields])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"depth {depth}, {fields}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def depth_rows(cases: list[tuple[int, str]], rounds: int, report: Report) -> None:
    """Measures depths and kinds of rematerialisation, interleaved; adds rows of medians.

    Ratios are relative to the first case, in the same rounds.
    """
    taken: dict[tuple[int, str], list[dict]] = {case: [] for case in cases}
    for number in range(rounds):
        for depth, remat in cases if number % 2 == 0 else reversed(cases):
            taken[depth, remat].append(in_a_process(depth, {"remat": remat}))
    first = next(iter(taken.values()))
    for (depth, remat), each in taken.items():
        row = {key: statistics.median(one[key] for one in each) for key in each[0]}
        ratios = {
            f"{key}_ratio": statistics.median(
                one[key] / other[key] for one, other in zip(each, first, strict=True)
            )
            for key in ("compile_s", "us_per_layer", "peak_mib")
        }
        report.add({"depth": depth, "remat": remat, "rounds": rounds, **row, **ratios})


def population_rows(depths: list[int], runs: list[int], rounds: int, report: Report) -> None:
    dataset = random_data((FEATURES,))
    for depth in depths:
        sides = []
        for count in runs:
            config = settings(depth, count, 20, width=WIDTH, batch_size=BATCH)
            trainee = Trainee(config, dataset)
            sides.append(trainee.side(f"{count} run{'s' * (count > 1)}", BATCH, 1 / count))
        sides.append(gemm())
        report.compare({"depth": depth}, sides, rounds)


def main() -> None:
    if "--child" in sys.argv:
        print(json.dumps(measured(*json.loads(sys.argv[-1]))))
        return
    more = {"depths": "10,100,1000,10000", "remat_depths": "256,4096"}
    more |= {"runs": "1,2,4,8,16,32", "run_depths": "16,64"}
    options = parser(__doc__, rounds=5, **more).parse_args()
    depths, remat_depths = numbers(options.depths), numbers(options.remat_depths)
    run_depths, runs = numbers(options.run_depths), numbers(options.runs)
    if options.quick:
        depths, remat_depths, run_depths, runs = depths[:3], remat_depths[:1], [16], runs[:3]
    rounds = 2 if options.quick else options.rounds
    by_depth, by_runs = (
        Report("growth_by_depth", options.out),
        Report("growth_by_runs", options.out),
    )
    depth_rows([(depth, "none") for depth in depths], min(rounds, 3), by_depth)
    ways = [(depth, remat) for depth in remat_depths for remat in ("none", "block", "sqrt")]
    depth_rows(ways, min(rounds, 3), by_depth)
    population_rows(run_depths, runs, rounds, by_runs)
    by_depth.finish()
    by_runs.finish()


if __name__ == "__main__":
    main()
