"""Compares the predictions of a dry run with measurements: seconds of cells, bytes of programs.

    python benchmarks/predictions.py

predicted_seconds: a study (of --flags; by default the default study) is predicted by a dry run,
with no rates known before, and then trained, with no program compiled before.  A row for each cell:
seconds of compilation and of training, predicted (``told``) and measured (``seen``), and their
ratios; a last row for all cells, and for the whole process.

predicted_memory: bytes that training a group takes on a device, predicted from shapes, and as the
compiler plans for the program (arguments, results and temporary arrays), for all kinds of cells.
"""

import csv
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from measuring import Report, parser
from populations import random_data, settings

from experiments.lab.build import compilation
from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.commandline import parse
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.cost.estimates import Estimates
from experiments.lab.data import datasets

#: The shapes of an example.
ROW, SMALL, IMAGE = (64,), (8, 8, 1), (32, 32, 3)

#: For each cell: depth, runs on all devices, shape of an example, and other configuration fields.
CELLS: dict[str, tuple[int, int, tuple[int, ...], dict]] = {
    "dense": (64, 64, ROW, {}),
    "dense, a run a device": (64, 2, ROW, {}),
    "dense, wide": (8, 16, ROW, {"width": 512}),
    "dense, deep": (1000, 2, ROW, {}),
    "dense, deep, remat=block": (1000, 2, ROW, {"remat": "block"}),
    "dense, deep, remat=sqrt": (1000, 2, ROW, {"remat": "sqrt"}),
    "dense, deep, remat=sqrt, several": (1000, 8, ROW, {"remat": "sqrt"}),
    "dense, layer norm, adam": (128, 8, ROW, {"norm": ("layer",), "optimizer": ("adam",)}),
    "dense, vectorised": (64, 16, ROW, {"map": "vmap"}),
    "cifar, 8x8": (20, 4, SMALL, {"family": "cifar"}),
    "cifar, 32x32, a run a device": (20, 2, IMAGE, {"family": "cifar"}),
    "imagenet, 32x32": (18, 2, IMAGE, {"family": "imagenet", "batch_size": 16}),
}


def told(config: Config) -> dict[tuple[str, ...], tuple[float, float]]:
    """Predicts seconds of compilation and training for each cell, from the rates stored.

    The keys are the values of a cell's columns, as text.
    """
    experiment, found = Experiment(config, datasets.load(config.dataset)), list(grid.cells(config))
    estimates = Estimates(experiment, {cell: experiment.counts(cell) for cell in found})
    groups = [Group(cell, tuple(grid.runs(config, cell))) for cell in found]
    times = [estimates.of(group) for group in groups]
    rows = zip(found, times, estimates.beside(times), strict=True)
    return {
        tuple(map(str, cell.columns().values())): (time.compiling, training)
        for cell, time, training in rows
    }


def launch(flags: list[str]) -> float:
    """Returns the seconds of a study, from start to figure."""
    command = [sys.executable, "-m", "experiments.degradation", *flags]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{flags}: {done.stderr}")
    return time.perf_counter() - start


def seconds_rows(flags: list[str], report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # for this process too, which looks up rates there
        flags = [*flags, f"--workdir={folder}/study", "--compilation_cache=none"]
        measuring = launch([*flags, "--dry_run"])
        config = parse(Config(), flags)
        known = told(config)
        whole = launch(flags)
        with pathlib.Path(folder, "study", "timings.csv").open(encoding="utf-8") as file:
            seen = list(csv.DictReader(file))
    sums = dict.fromkeys(("compile_told", "compile_seen", "train_told", "train_seen"), 0.0)
    for row in seen:
        compiling, training = known[tuple(row[name] for name in grid.CELL_COLUMNS)]
        found = {"compile_told": compiling, "compile_seen": float(row["compile_seconds"])}
        found |= {"train_told": training, "train_seen": float(row["run_seconds"])}
        sums = {name: sums[name] + seconds for name, seconds in found.items()}
        which = {name: row[name] for name in ("depth", *config.varying(), "runs")}
        report.add({**which, **with_ratios(found)})
    runs = sum(int(row["runs"]) for row in seen)
    whole_run = {"dry_run": measuring, "process": whole}
    report.add({"depth": "all", "runs": runs, **with_ratios(sums), **whole_run})


def with_ratios(seconds: dict[str, float]) -> dict[str, float]:
    ratios = {
        f"{what}_ratio": seconds[f"{what}_told"] / seconds[f"{what}_seen"]
        for what in ("compile", "train")
    }
    return seconds | ratios


def memory_row(name: str) -> dict:
    """Returns a row of bytes on a device, as predicted and as the compiler plans."""
    depth, runs, shape, fields = CELLS[name]
    config = settings(depth, runs, 20, **fields)
    experiment = Experiment(config, random_data(shape))
    (cell,) = grid.cells(config)
    group = Group(cell, tuple(grid.runs(config, cell)))
    told = experiment.footprint(cell).total(-(-runs // experiment.mesh.size))
    program, _ = experiment.population(group).lower()
    plan = program.compile(compilation.training_options(config)).memory_analysis()
    seen = plan.argument_size_in_bytes + plan.output_size_in_bytes
    seen += plan.temp_size_in_bytes - plan.alias_size_in_bytes
    row = {"cell": name, "depth": depth, "runs": runs}
    return row | {"mib_told": told / 2**20, "mib_seen": seen / 2**20, "ratio": told / seen}


def main() -> None:
    options = parser(__doc__, rounds=1, flags="").parse_args()
    flags, names = options.flags.split(), list(CELLS)
    if options.quick:
        flags, names = [*flags, "--depths=2,8", "--num_seeds=1"], names[:2]
    memory = Report("predicted_memory", options.out)
    for name in names:
        memory.add(memory_row(name))
    memory.finish()
    seconds = Report("predicted_seconds", options.out)
    seconds_rows(flags, seconds)
    seconds.finish()


if __name__ == "__main__":
    main()
