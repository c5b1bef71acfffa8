"""Predicts and prints what a study would cost, without training anything."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax

from experiments.lab.build import compilation
from experiments.lab.build.experiment import Experiment
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Cell, Group, RunKey
from experiments.lab.cost.estimates import Estimate, Estimates, duration
from experiments.lab.cost.plan import Plan
from experiments.lab.cost.rates import Rate
from experiments.lab.report import terminal
from experiments.lab.store import manifest
from experiments.lab.store.store import Store
from experiments.lab.system import memory
from experiments.lab.system.interrupts import Interrupted, Interrupts
from resnet_jax.nn.counting import Counts

#: The least seconds for which steps are timed, if one call of the program may take that many.
TIMED_SECONDS = 0.5

#: The number of runs on each device that are timed, where they are mapped one by one.
_TILE = 4

#: The number of calls without steps that are timed.
_CALLS = 5


def tell(study: str, experiment: Experiment, store: Store, interrupts: Interrupts) -> None:
    """Prints what is still to be trained, and its cost; writes nothing to the store.

    Args:
      study: name of the study.
      experiment: what the study trains.
      store: store of the study.
      interrupts: interrupts to obey.

    Raises:
      UserError: a cell cannot fit into memory.
      Interrupted: an interrupt asked to stop.
    """
    plan, config = Plan(experiment), experiment.config
    begun = store.look()
    failed = set() if config.retry_failed else {run for g in store.failures for run in g.runs}
    groups = plan.groups(store.finished | failed, begun)
    plan.check(groups)
    estimates, started = Estimates(experiment, plan.counts), time.process_time()
    told = _measure(experiment, estimates, groups, interrupts)
    times = [estimates.of(group, begun.get(group, 0)) for group in groups]
    rows = list(_rows(plan, estimates, groups, times))
    _show(config, rows)
    around = started + estimates.report_seconds()
    seconds = around + sum(map(sum, times))
    runs = sum(row.runs for row in rows)
    said = (
        f"{study}: {runs:,} runs to train{_before(len(store.finished), len(failed))}; about "
        f"{duration(seconds)} on {len(jax.devices())} × {jax.devices()[0].device_kind}, "
        f"{duration(around)} of them to start and report; {memory.text(plan.available)} of memory "
        f"free{told}. Nothing was trained."
    )
    terminal.show_lines([said])


def _measure(
    experiment: Experiment, estimates: Estimates, groups: list[Group], interrupts: Interrupts
) -> str:
    """Measures the rates that are unknown, and returns what to say of all of them."""
    start, told = time.perf_counter(), "; their times kept from before" if groups else ""
    for kind, rate in _Probe(experiment).unknown(estimates, groups):
        if interrupts.asked:
            raise Interrupted
        estimates.keep_rate(kind, rate)
        took = duration(time.perf_counter() - start)
        told = f"; their times measured now, in {took}, and kept"
    return told


def _before(done: int, failed: int) -> str:
    """Returns what to say of runs that are not trained again."""
    said = f", {done:,} done before" if done else ""
    return said + (f", {failed:,} failed before (--retry_failed tries again)" if failed else "")


class _Row(NamedTuple):
    """Holds what is still to be trained of a cell, and its cost."""

    cell: Cell
    counts: Counts
    groups: int
    runs: int
    multiply_adds: float
    memory: int
    compiling: float
    training: float


def _rows(
    plan: Plan, estimates: Estimates, groups: list[Group], times: list[Estimate]
) -> Iterator[_Row]:
    compiling = {group: each.compiling for group, each in zip(groups, times, strict=True)}
    training = dict(zip(groups, estimates.beside(times), strict=True))
    for cell, counts in plan.counts.items():
        its = [group for group in groups if group.cell == cell]
        if its:
            yield _Row(
                cell,
                counts,
                len(its),
                sum(len(group.runs) for group in its),
                sum(map(estimates.multiply_adds, its)),
                max(map(plan.needed, its)),
                sum(compiling[group] for group in its),
                sum(training[group] for group in its),
            )


def _show(config: Config, rows: list[_Row]) -> None:
    """Prints the rows and their totals."""
    several = config.varying()
    sums = {
        "depth": "total",
        **dict.fromkeys(several, ""),
        "runs": f"{sum(row.runs for row in rows):,}",
        "parameters": "",
        "multiply-adds": "",
        "in all": f"{sum(row.multiply_adds for row in rows):.1e}",
        "memory": memory.text(max((row.memory for row in rows), default=0)),
        "compile": duration(sum(row.compiling for row in rows)),
        "train": duration(sum(row.training for row in rows)),
    }
    lines = []
    for row in rows:
        variant = dataclasses.asdict(row.cell.variant)
        lines.append(
            [
                f"{row.cell.depth}",
                *(variant[name] for name in several),
                f"{row.runs:,}" + (f" in {row.groups}" if row.groups > 1 else ""),
                f"{row.counts.parameters:,}",
                f"{row.counts.multiply_adds:,}",
                f"{row.multiply_adds:.1e}",
                memory.text(row.memory),
                duration(row.compiling),
                duration(row.training),
            ]
        )
    terminal.show_table([*sums], lines, totals=[*sums.values()], sections=False)


class _Probe:
    """Measures rates on small networks of a kind."""

    def __init__(self, experiment: Experiment):
        dataset, batch = experiment.dataset, experiment.config.batch_size
        few = min(4 * batch, len(dataset.x_train))
        first = {name: getattr(dataset, name)[:few] for name in dataset._fields[:4]}
        statistics = "running" if experiment.running_statistics else "whole"
        steps = max(experiment.config.steps, 300)
        small = dataclasses.replace(experiment, dataset=dataset._replace(**first))
        self._experiment = small.but(steps=steps, statistics=statistics)

    def unknown(self, estimates: Estimates, groups: Iterable[Group]) -> Iterator[tuple[dict, Rate]]:
        """Measures each kind whose rate is unknown, and yields it with its rate."""
        alike: dict[str, list[Group]] = {}
        for group in groups:
            if not estimates.is_known(group):
                alike.setdefault(manifest.digest(estimates.kind(group)), []).append(group)
        for its in alike.values():
            one_by_one = self._experiment.tile == 1
            runs = _TILE if one_by_one else estimates.at_once(its[0])
            depth = self._depth(max(group.cell.depth for group in its))
            yield estimates.kind(its[0]), self._rate(its[0].cell, depth, runs)

    def _depth(self, deepest: int) -> int:
        """Returns a small depth with so many blocks that most of a step is spent in them."""
        family = self._experiment.config.of_family
        if family.depths:
            return self._experiment.depths_up_to(deepest)[0]
        place = 4 if family.stages > 1 else 8
        known = self._experiment.depths_up_to(1000)
        return min(known[place], max(deepest, known[1]))

    def _rate(self, cell: Cell, depth: int, tile: int) -> Rate:
        """Measures a depth with ``tile`` runs on each device, or as many as fit into memory."""
        cell = dataclasses.replace(cell, depth=depth)
        experiment, config = self._experiment, self._experiment.config
        counts = experiment.counts(cell)
        tile = self._fitting(cell, tile)
        runs = [
            RunKey(cell, config.learning_rates[-1], config.shortcut_weights[-1], seed)
            for seed in range(tile * experiment.mesh.size)
        ]
        ready = compilation.compile_group(Group(cell, tuple(runs)), experiment)
        call, step = _call_and_step_seconds(ready.advance, experiment.chunk)
        return Rate(counts.multiply_adds, step / tile, ready.compile_seconds, call / tile)

    def _fitting(self, cell: Cell, tile: int) -> int:
        devices = self._experiment.devices
        available = memory.room(devices).now
        footprint = self._experiment.footprint(cell)
        while tile > 1 and memory.needed_bytes(footprint, tile * len(devices), devices) > available:
            tile //= 2
        return tile


def _call_and_step_seconds(advance: Callable, most: int) -> tuple[float, float]:
    """Returns a program's seconds for a call without steps, and for a step of the longest call.

    Both are minima over several calls: other processes make calls slower, never faster.
    """
    states, _ = advance(None, 1, False)

    def seconds(steps: int) -> float:
        nonlocal states
        start = time.perf_counter()
        states, _ = advance(states, steps, False)
        return time.perf_counter() - start

    call = min(seconds(0) for _ in range(_CALLS))
    steps, best = 1, math.inf
    deadline = time.perf_counter() + 4 * TIMED_SECONDS
    while time.perf_counter() < deadline:
        elapsed = seconds(steps)
        best = min(best, max(elapsed - call, elapsed / 2) / steps)
        if elapsed < TIMED_SECONDS:
            steps = min(2 * steps, most)
    return call, best
