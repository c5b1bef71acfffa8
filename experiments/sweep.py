"""The sweep: trains the cells of a study that are not in its store yet."""

import concurrent.futures
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from experiments import cells, environment, memory
from experiments.cells import Cell
from experiments.composition import OwnBlock
from experiments.config import Config
from experiments.datasets import Dataset
from experiments.progress import Progress
from experiments.store import Store
from resnet_jax.counting import Counts
from resnet_jax.population import Population, runs_mesh
from resnet_jax.training import Metrics, State

#: How long one call of a compiled program is meant to take, so that progress moves and an
#: interrupt is heard; how a training is cut into calls changes none of its bits.
CALL_SECONDS = 1.0

#: On CPU LLVM's first level compiles a quarter faster than its third, to programs of dense layers
#: that are a tenth faster; those of convolutions are 7 % slower, and keep the third.
COMPILER_OPTIONS: dict[str, dict[str, str | bool]] = {
    "cpu": {"xla_backend_optimization_level": "1"}
}

#: Of the program that draws initial weights, once: unoptimised it compiles several times faster.
START_OPTIONS: dict[str, dict[str, str | bool]] = {"cpu": {"xla_backend_optimization_level": "0"}}


def train(
    study: str, config: Config, dataset: Dataset, block: OwnBlock | None, store: Store
) -> None:
    """Trains every waiting cell and adds its rows to the store.

    Raises:
      UserError: a cell cannot fit into memory; nothing was trained.
    """
    finished = store.finished_cells()
    waiting = [
        cell
        for cell in cells.cells(config)
        if tuple(map(str, cell.columns().values())) not in finished
    ]
    mesh = runs_mesh()
    counts = {cell: cells.counts(cell, config, dataset, block) for cell in cells.cells(config)}
    for cell, count in counts.items():
        needed = _needed_bytes(cell, count, config, dataset, mesh)
        memory.refuse_what_cannot_fit(cell.depth, count, needed)
    progress = Progress(sum(cell.depth for cell in waiting) * config.steps)
    progress.say(f"{study}: {_what_runs(config, dataset, len(waiting), counts)}")
    if not store.start(environment.describe([device.device_kind for device in jax.devices()])):
        progress.say(
            "warning: finished cells ran on other versions or devices; the results are not "
            "comparable to the bit (environment.json has both)"
        )

    def compiled(cell: Cell) -> CompiledCell:
        start = time.perf_counter()
        population = cells.build(cell, config, dataset, block, mesh)
        backend = jax.default_backend()
        options = COMPILER_OPTIONS.get(backend) if cell.family == "dense" else None
        advance = population.compile(options, START_OPTIONS.get(backend))
        return CompiledCell(cell, population, advance, time.perf_counter() - start)

    with progress.shown():
        progress.now("compiling")
        for ready in _one_ahead(compiled, waiting):
            _train_cell(ready, config, store, progress)


class CompiledCell(NamedTuple):
    """A cell ready to train: ``advance`` is its compiled program (:meth:`Population.compile`)."""

    cell: Cell
    population: Population
    advance: Callable
    compile_seconds: float


def _one_ahead(function: Callable, items: Iterable) -> Iterator:
    """``map(function, items)``, each computed in the background while its forerunner is used."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as background:
        last = None
        for item in items:
            upcoming = background.submit(function, item)
            if last is not None:
                yield last.result()
            last = upcoming
        if last is not None:
            yield last.result()


def _needed_bytes(
    cell: Cell, counts: Counts, config: Config, dataset: Dataset, mesh: jax.sharding.Mesh
) -> int:
    vectorised = cells.how_mapped(config, mesh) == "vmap"
    at_once = len(cells.runs(config, cell.depth).seed) if vectorised else mesh.size
    data_bytes = sum(array.nbytes for array in dataset[:4]) * (1 + mesh.size)
    measured = cells.measured_at_once(config, dataset)
    return memory.peak_bytes(config, cell.depth, counts, data_bytes, at_once, measured)


def _what_runs(config: Config, dataset: Dataset, waiting: int, counts: dict[Cell, Counts]) -> str:
    devices = jax.devices()
    total, runs = len(counts), sum(len(cells.runs(config, cell.depth).seed) for cell in counts)
    done = f" ({total - waiting} finished before)" if waiting < total else ""
    largest = max(count.parameters for count in counts.values())
    return (
        f"{dataset.about}, {len(dataset.x_train):,} training and {len(dataset.x_test):,} test "
        f"examples; {runs:,} runs in {total} cells{done}, up to {largest:,} parameters "
        f"each; {len(devices)} × {devices[0].device_kind}"
    )


def _train_cell(ready: CompiledCell, config: Config, store: Store, progress: Progress) -> None:
    cell, population = ready.cell, ready.population
    several = len(config.variants()) > 1
    name = f"depth {cell.depth}" + (f", {', '.join(cell.variant.names())}" if several else "")
    start = time.perf_counter()
    states, measured = _advance_to_the_end(name, ready, config, progress)
    seconds = time.perf_counter() - start
    progress.say(
        f"{name}: {population.size} runs × {config.steps} steps in {seconds:.1f} s, "
        f"compiled in {ready.compile_seconds:.1f} s"
    )
    timings = {
        "compile_seconds": f"{ready.compile_seconds:.3f}",
        "run_seconds": f"{seconds:.3f}",
    }
    store.add_cell(
        _result_rows(cell, config, population.unpad(states), measured[-1][1]),
        _history_rows(cell, config, measured),
        [cell.columns() | timings],
    )


def _advance_to_the_end(
    name: str, ready: CompiledCell, config: Config, progress: Progress
) -> tuple[State, list[tuple[int, Metrics]]]:
    """Trains a cell; returns its final states, and (step, metrics) from step 0 to the last."""
    states, metrics = ready.advance(None, 0, True)
    measured = [(0, metrics)]
    step, stride = 0, 1
    while step < config.steps:
        progress.now(f"{name}: step {step} of {config.steps}")
        border = min(measured[-1][0] + cells.measuring_stride(config), config.steps)
        steps = min(stride, border - step, cells.chunk_size(config))
        start = time.perf_counter()
        states, metrics = ready.advance(states, steps, step + steps == border)
        elapsed = time.perf_counter() - start
        step += steps
        if step == border:
            measured.append((step, metrics))
        stride = max(1, min(4 * steps, int(steps * CALL_SECONDS / elapsed)))
        progress.done(ready.cell.depth * steps)
    progress.now("compiling the next")
    return states, measured


def _run_columns(cell: Cell, config: Config) -> list[dict]:
    """What identifies each run of a cell in a table, in the order of :func:`cells.runs`."""
    return [
        {**cell.columns(), "shortcut_weight": weight, "learning_rate": rate, "seed": seed}
        for rate in config.learning_rates
        for weight in config.shortcut_weights_at(cell.depth)
        for seed in config.seeds()
    ]


def _text(value: np.ndarray) -> str:
    """The shortest digits that give back the same float32."""
    return str(np.float32(value))


def _known(step: int, metrics: Metrics) -> list[tuple[str, np.ndarray]]:
    """What is known at a step: before the first there has been no gradient."""
    names = metrics._asdict().items()
    return [(name, values) for name, values in names if step or name != "gradient_norm"]


def _result_rows(cell: Cell, config: Config, states: State, metrics: Metrics) -> list[dict]:
    status = cells.status(states, metrics)
    lost_at = np.where(states.diverged_at >= 0, states.diverged_at, config.steps)
    return [
        {
            **run,
            "steps": config.steps,
            "status": status[index],
            "diverged_at": lost_at[index] if status[index] == "diverged" else "",
            **{name: _text(values[index]) for name, values in _known(config.steps, metrics)},
        }
        for index, run in enumerate(_run_columns(cell, config))
    ]


def _history_rows(cell: Cell, config: Config, measured: list[tuple[int, Metrics]]) -> list[dict]:
    return [
        {**run, "step": step, "metric": name, "value": _text(values[index])}
        for index, run in enumerate(_run_columns(cell, config))
        for step, metrics in measured
        for name, values in _known(step, metrics)
    ]
