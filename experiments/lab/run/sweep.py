"""The sweep: trains the runs of a study that are not in its store yet."""

import concurrent.futures
import functools
import time
from collections.abc import Callable, Iterable, Iterator

import jax

from experiments.lab.build import cells, compilation
from experiments.lab.build.compilation import CompiledGroup
from experiments.lab.build.composition import OwnBlock
from experiments.lab.build.readings import Reading
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Cell, Group
from experiments.lab.cost.estimates import Estimates
from experiments.lab.cost.plan import Plan
from experiments.lab.data.datasets import Dataset
from experiments.lab.run import course, rows
from experiments.lab.run.course import Course
from experiments.lab.run.rows import Read
from experiments.lab.store.checkpoints import Checkpoint
from experiments.lab.store.store import Store
from experiments.lab.system import environment, memory
from experiments.lab.system.errors import ContentError
from experiments.lab.system.interrupts import Interrupted, Interrupts
from experiments.lab.system.lock import Lock
from experiments.lab.system.progress import Progress
from resnet_jax.nn.counting import Counts
from resnet_jax.training.population import runs_mesh
from resnet_jax.training.run import State

#: A checkpoint waits until training has taken so many times as long as the last one took.
CHECKPOINT_PATIENCE = 50


def train(
    study: str,
    config: Config,
    dataset: Dataset,
    block: OwnBlock | None,
    store: Store,
    interrupts: Interrupts,
    report: Callable[[], None],
    reading: Reading | None = None,
) -> None:
    """Trains every run that is missing, group by group, and adds what comes out to the store.

    Args:
      study: its name.
      config: of the study.
      dataset: that it names.
      block: of the user's own, if there is one.
      store: for the results.
      interrupts: to heed.
      report: drawn at the end, while the directory is still ours, if there are results.
      reading: what is read besides losses and errors.

    Raises:
      UserError: a cell cannot fit into memory, or the directory is in use; nothing was trained.
      Interrupted: asked to stop; what was done is kept.
    """
    mesh = runs_mesh()
    plan = Plan(config, dataset, block, mesh)
    estimates = Estimates(config, dataset, block, mesh, plan.counts)
    progress = Progress()
    kinds = [device.device_kind for device in jax.devices()]
    here = environment.describe(kinds, jax.config.jax_default_matmul_precision)
    with store.opened(here, progress.say, config.retry_failed) as lock, memory.bounded():
        interrupts.last = lock.say
        begun = store.checkpoints(progress.say)
        if not config.retry_failed:
            _note_killed(lock, plan.groups(store.finished, begun), store)
        failed = {run for group in store.failures for run in group.runs}
        groups = plan.groups(store.finished | failed, begun)
        plan.check(groups)
        known = estimates.total(groups, {group: point.step for group, point in begun.items()})
        progress.say(f"{study}: {_what_runs(config, dataset, groups, plan.counts)}{known}")
        if config.precision != "float32" and jax.default_backend() == "cpu":
            progress.say(f"{study}: --precision={config.precision} makes nothing faster on a CPU")

        compiled = lambda group: compilation.compile_group(
            group, config, dataset, block, mesh, reading
        )
        with progress.shown(sum(group.cell.depth for group in groups) * (1 + config.steps)):
            progress.now("compiling")
            for group, ready in _one_ahead(compiled, groups):
                if interrupts.asked:
                    raise Interrupted
                lock.say(at=group.name, **memory.kills())
                try:
                    keep = functools.partial(estimates.keep, followed=group != groups[-1])
                    trainee = _Trainee(ready.result(), config, store, interrupts, progress, keep)
                    with interrupts.deferred():
                        trainee.train(begun.pop(group, None))
                except (RuntimeError, MemoryError) as error:
                    if not memory.is_lack(error):
                        raise
                    store.fail(group, "there was not enough memory")
                    progress.say(f"{_name(group, config)}: not enough memory; recorded as failed")
                lock.say()
        if interrupts.asked:
            raise Interrupted
        if store.finished:
            start = time.perf_counter()
            report()
            estimates.keep_report(time.perf_counter() - start)


def _note_killed(lock: Lock, groups: Iterable[Group], store: Store) -> None:
    """Records the group at which the last process here was killed for memory, if it was."""
    then, now = lock.before, memory.kills()
    killed = then.get("boot") == now["boot"] and then.get("memory_kills") != now["memory_kills"]
    for group in groups:
        if killed and group.name == then.get("at"):
            store.fail(group, "its process was killed, as the machine ran out of memory")


def _one_ahead(function: Callable, items: Iterable) -> Iterator[tuple]:
    """Each item and the future of ``function(item)``, begun while its forerunner is used."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as background:
        last = None
        for item in items:
            upcoming = item, background.submit(function, item)
            if last is not None:
                yield last
            last = upcoming
        if last is not None:
            yield last


def _what_runs(
    config: Config, dataset: Dataset, groups: list[Group], counts: dict[Cell, Counts]
) -> str:
    devices = jax.devices()
    total = len(grid.all_runs(config))
    waiting = sum(len(group.runs) for group in groups)
    done = f" ({total - waiting:,} of them done before)" if waiting < total else ""
    more = f", trained in {len(groups)} groups" if len(groups) > len(counts) else ""
    largest = max(count.parameters for count in counts.values())
    return (
        f"{dataset.about}, {len(dataset.x_train):,} training and {len(dataset.x_test):,} test "
        f"examples; {total:,} runs{done} in {len(counts)} cells{more}, up to {largest:,} "
        f"parameters each; {len(devices)} × {devices[0].device_kind}"
    )


def _name(group: Group, config: Config) -> str:
    telling = [getattr(group.cell.variant, name) for name in config.varying()]
    return ", ".join([f"depth {group.cell.depth}", *telling])


class _Trainee:
    """A group in training."""

    def __init__(
        self,
        ready: CompiledGroup,
        config: Config,
        store: Store,
        interrupts: Interrupts,
        progress: Progress,
        keep_times: Callable[[Group, float, float], None],
    ):
        self._keep_times = keep_times
        self._group, self._population, self._advance, self._compile_seconds = ready[:4]
        self._read, self._reads_at = ready.read, ready.at
        self._config, self._store = config, store
        self._interrupts, self._progress = interrupts, progress
        self._name = _name(ready.group, config)
        self._checkpoint_seconds, self._stride = 0.0, 1

    def train(self, checkpoint: Checkpoint | None) -> None:
        """Trains to the last step, and adds what came out to the store.

        Raises:
          Interrupted: asked to stop before the last step; a checkpoint is written.
        """
        now = self._begin(checkpoint)
        saved, pause = time.perf_counter(), 0.0
        while now.step < self._config.steps:
            self._progress.now(f"{self._name}: step {now.step} of {self._config.steps}")
            before, now = now.step, self._further(now)
            self._progress.done(self._group.cell.depth * (now.step - before))
            if now.step == self._config.steps:
                break
            due = time.perf_counter() - saved > max(self._config.checkpoint_seconds, pause)
            if due or self._interrupts.asked:
                pause = CHECKPOINT_PATIENCE * self._save(now)
                saved = time.perf_counter()
            if self._interrupts.asked:
                raise Interrupted
        self._finish(now)

    def _begin(self, checkpoint: Checkpoint | None) -> Course:
        if checkpoint is not None:
            try:
                now = course.from_arrays(checkpoint.arrays, checkpoint.step, self._population)
                if now.step > self._config.steps:
                    raise ContentError("it is past the last step")
            except ContentError as error:
                self._store.set_aside(self._group, str(error), self._progress.say)
            else:
                self._progress.say(f"{self._name}: goes on from step {now.step}")
                self._progress.done(self._group.cell.depth * (1 + now.step))
                return now
        start = time.perf_counter()
        states, metrics = self._advance(None, 0, True)
        read = self._read_of(states, 0)
        self._progress.done(self._group.cell.depth)
        return Course(states, 0, [(0, metrics)], time.perf_counter() - start, read)

    def _read_of(self, states: State, step: int) -> Read:
        return [(step, self._read(states))] if step in self._reads_at else []

    def _further(self, now: Course) -> Course:
        """Some steps further, but not past a stop."""
        stop = self._next_stop(now.step)
        steps = min(self._stride, stop - now.step, cells.chunk_size(self._config))
        step, start = now.step + steps, time.perf_counter()
        states, metrics = self._advance(now.states, steps, step == stop)
        elapsed = time.perf_counter() - start
        fit = int(steps * cells.CALL_SECONDS / max(elapsed, 1e-9))
        self._stride = max(1, min(4 * steps, fit))
        measured, read = now.measured, now.read
        if step == stop:
            measured = [*measured, (step, metrics)]
            read = [*read, *self._read_of(states, step)]
        return Course(states, step, measured, now.seconds + time.perf_counter() - start, read)

    def _next_stop(self, step: int) -> int:
        """Where losses are measured next: at regular steps, the last, and those of a reading."""
        stride = cells.measuring_stride(self._config)
        regular = min((step // stride + 1) * stride, self._config.steps)
        return min([regular, *(at for at in self._reads_at if at > step)])

    def _save(self, now: Course) -> float:
        """Writes a checkpoint; returns how long it took."""
        start = time.perf_counter()
        self._store.save(self._group, now.step, course.to_arrays(now, self._population))
        seconds = time.perf_counter() - start
        self._checkpoint_seconds += seconds
        return seconds

    def _finish(self, now: Course) -> None:
        group, runs = self._group, len(self._group.runs)
        self._progress.say(
            f"{self._name}: {runs} runs × {self._config.steps} steps in {now.seconds:.1f} s, "
            f"compiled in {self._compile_seconds:.1f} s"
        )
        timings = {
            **group.cell.columns(),
            "runs": runs,
            "compile_seconds": f"{self._compile_seconds:.3f}",
            "run_seconds": f"{now.seconds:.3f}",
            "checkpoint_seconds": f"{self._checkpoint_seconds:.3f}",
        }
        self._progress.now("compiling the next")
        states = self._population.unpad(now.states)
        results = rows.results(group, states, now.measured)
        history, readings = rows.history(group, now.measured), rows.readings(group, now.read)
        self._store.add(group, results, history, timings, readings)
        self._keep_times(group, now.seconds, self._compile_seconds)
