"""Compiles one case of ``on_gpu.py`` in a separate process, and measures it when asked to.

    python benchmarks/gpu_workers.py '{"kind": "step", "depth": 20, ...}'

Prints ``ready`` when its programs are compiled, waits for a line, then measures and prints its rows
as JSON.  So cases compile in parallel and are measured one after the other; one whose compiler
never ends can be killed and delays no other.  (XLA holds a lock on the card while it tries kernels,
so that in one process all wait for the slowest.)
"""

import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator

import measuring
from populations import Trainee, random_data, settings

import jax  # isort: skip
import jax.numpy as jnp
import numpy as np

from experiments.lab.build import compilation, mapping
from experiments.lab.build.experiment import Experiment, runs_of
from experiments.lab.config import grid
from experiments.lab.config.grid import Group
from resnet_jax.training import population

BATCH, ROUNDS = 128, 5
#: The intended seconds of one timing.
LONG_ENOUGH = 0.15
#: The number of kernels of a profile that are shown.
SHOWN = 12

Rows = Iterator[dict]
Measure = Callable[[], Rows]


def milliseconds(seconds: Callable[[], float], rounds: int = ROUNDS) -> dict[str, float]:
    """Returns the median, least and greatest of some timings, after one that is not counted."""
    seconds()
    return measuring.spread("ms", [seconds() for _ in range(rounds)], 1e3)


def configuration(case: dict):
    """Returns configuration and data of a case: depth, runs, shape, and a configuration's fields.

    ``exact`` is the precision of products in float32.
    """
    fields = {key: value for key, value in case.items() if key not in ("exact", "profile")}
    depth, runs, shape = (fields.pop(name) for name in ("depth", "runs", "shape"))
    if "exact" in case:
        jax.config.update("jax_default_matmul_precision", case["exact"])
    config = settings(depth, runs, fields.pop("chunk", 8), batch_size=BATCH, **fields)
    return config, random_data(tuple(shape))


def step(case: dict) -> Measure:
    """Compiles a step; measures milliseconds per step and run, and TFLOP/s by formula."""
    trainee = Trainee(*configuration(case), begin=False)

    def measure() -> Rows:
        trainee.step_seconds(1)
        steps = max(1, min(trainee.chunk, int(LONG_ENOUGH / trainee.step_seconds(2))))
        found = milliseconds(lambda: trainee.step_seconds(steps) / trainee.runs)
        rate = 6 * trainee.counts.multiply_adds * BATCH / found["ms"] / 1e9
        yield {**found, "tflops": rate, "compile_s": trainee.compile_seconds}
        if case.get("profile"):
            yield from profiled(trainee)

    return measure


def profiled(trainee: Trainee, steps: int = 4) -> Rows:
    """Yields the kernels that take most of a step; ``busy`` above 1 means that some overlap."""
    seconds = trainee.step_seconds(steps)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            trainee.step_seconds(steps)
        kernels = kernel_times(pathlib.Path(folder))
    whole = sum(each for each, _ in kernels.values())
    yield {"busy": whole / steps / seconds}
    for name, (each, calls) in sorted(kernels.items(), key=lambda item: -item[1][0])[:SHOWN]:
        yield {"kernel": name[:70], "share": each / whole, "calls": calls / steps}


def kernel_times(folder: pathlib.Path) -> dict[str, list]:
    """Returns the seconds and calls of each kernel that a profile recorded on the card."""
    found: dict[str, list] = {}
    (file,) = folder.rglob("*.xplane.pb")
    for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
        lines = plane.lines if "GPU" in plane.name else ()
        for event in (event for line in lines if "Stream" in line.name for event in line.events):
            entry = found.setdefault(event.name, [0.0, 0])
            entry[0] += 1e-9 * event.duration_ns
            entry[1] += 1
    return found


def convolutions(case: dict) -> Measure:
    """Measures milliseconds of each pass alone of 3x3 convolutions over runs, in one form.

    Images are ``side`` x ``side`` with ``channels`` channels, for each pair in ``shapes``.
    """
    form = mapping.FORMS[case["form"]]
    passes = {
        "forwards": lambda x, kernel, dy: form.value(x, kernel, 1),
        "to image": lambda x, kernel, dy: form.gradients(x, kernel, dy, 1)[0],
        "to kernel": lambda x, kernel, dy: form.gradients(x, kernel, dy, 1)[1],
    }
    options = compilation.training_options(settings(8, 2, 1, family="cifar"))
    programs = {}
    for side, channels in case["shapes"]:
        images = (case["runs"], case["batch"], side, side, channels)
        kernels = (case["runs"], 3, 3, channels, channels)
        x, kernel, dy = (jax.ShapeDtypeStruct(s, jnp.bfloat16) for s in (images, kernels, images))
        for name, function in passes.items():
            lowered = jax.jit(jax.vmap(function)).lower(x, kernel, dy)
            programs[side, channels, name] = lowered.compile(options), images, kernels

    def measure() -> Rows:
        for (side, channels, name), (program, images, kernels) in programs.items():
            x, kernel = jnp.ones(images, jnp.bfloat16), jnp.ones(kernels, jnp.bfloat16)
            arguments = x, kernel, x
            several = lambda program=program, a=arguments: [program(*a) for _ in range(10)]
            found = milliseconds(lambda several=several: measuring.seconds_of(several) / 10)
            yield {"image": side, "channels": channels, "pass": name, **found}

    return measure


def loop(case: dict) -> Measure:
    """Measures a step in a loop of 20, whose length is an argument or known to the compiler."""
    config, dataset = configuration(case)
    runs, options = case["runs"], compilation.training_options(config)
    (cell,) = grid.cells(config)
    training = Experiment(config, dataset).training(cell)
    these = runs_of(Group(cell, tuple(grid.runs(config, cell))))
    data = jax.device_put(population.Data(*dataset[:4]))
    states = jax.jit(population.over_runs(training.start, None))(these, data)
    many = population.over_runs(lambda each, shared: training.advance(*each, *shared), None)
    argument = jax.jit(lambda states, steps: many((states, these), (data, steps)))
    constant = jax.jit(lambda states: many((states, these), (data, 20)))
    argument = argument.lower(states, np.int32(20)).compile(options)
    constant = constant.lower(states).compile(options)

    def measure() -> Rows:
        seconds = lambda: measuring.seconds_of(argument, states, np.int32(20)) / 20 / runs
        yield {"length": "argument", **milliseconds(seconds)}
        seconds = lambda: measuring.seconds_of(constant, states) / 20 / runs
        yield {"length": "constant", **milliseconds(seconds)}

    return measure


def memory(case: dict) -> Measure:
    """Measures the device's peak bytes after some steps, next to the prediction from shapes."""
    config, dataset = configuration(case)
    (cell,), experiment = grid.cells(config), Experiment(config, dataset)
    here = -(-case["runs"] // experiment.mesh.size)
    predicted = experiment.footprint(cell).total(here)
    trainee = Trainee(config, dataset, begin=False)

    def measure() -> Rows:
        trainee.step_seconds(2)
        per_layer = 1e6 * trainee.step_seconds(4) / case["depth"] / case["runs"]
        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
        found = {"predicted_mib": predicted / 2**20, "peak_mib": peak / 2**20}
        found["ratio"] = predicted / peak if peak else 0.0
        yield {**found, "us_per_layer": per_layer, "compile_s": trainee.compile_seconds}

    return measure


KINDS = {"step": step, "convolutions": convolutions, "loop": loop, "memory": memory}


def main() -> None:
    case, ready = json.loads(sys.argv[1]), False
    try:
        measure: Callable[[], Iterable[dict]] = KINDS[case.pop("kind")](case)
        print("ready", flush=True)
        ready = True
        sys.stdin.readline()
        for row in measure():
            print(json.dumps(row), flush=True)
    except Exception as error:  # out of memory, or no such kernel
        told = f"{type(error).__name__} {error}"[:150].replace("\n", " ")
        print(*["ready"] * (not ready), json.dumps({"error": told}), sep="\n", flush=True)
    os._exit(0)  # without waiting for threads of the compiler


if __name__ == "__main__":
    main()
