"""Trains the runs of a study that are not in its store yet."""

import concurrent.futures
import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator

import jax

from experiments.lab.build import compilation
from experiments.lab.build.compilation import CompiledGroup
from experiments.lab.build.experiment import Experiment
from experiments.lab.build.readings import Reading
from experiments.lab.config import grid
from experiments.lab.config.grid import Cell, Group
from experiments.lab.cost.estimates import Estimates
from experiments.lab.cost.plan import Plan
from experiments.lab.cost.remaining import Remaining
from experiments.lab.run.trainee import Trainee, name_of
from experiments.lab.store.checkpoints import Checkpoint
from experiments.lab.store.store import Store
from experiments.lab.system import environment, memory
from experiments.lab.system.interrupts import Interrupted, Interrupts
from experiments.lab.system.lock import Lock
from experiments.lab.system.progress import Progress
from resnet_jax.nn.counting import Counts


def train(
    study: str,
    experiment: Experiment,
    store: Store,
    interrupts: Interrupts,
    report: Callable[[], None],
    reading: Reading | None = None,
) -> None:
    """Trains every run that is missing, group by group, and adds the results to the store.

    Args:
      study: name of the study.
      experiment: what the study trains.
      store: store for the results.
      interrupts: interrupts to obey.
      report: function called at the end, while the directory is locked, if there are results.
      reading: what is read in addition to losses and errors; None for nothing.

    Raises:
      UserError: a cell cannot fit into memory, or the directory is in use; nothing was trained.
      Interrupted: an interrupt asked to stop; finished work is kept.
    """
    plan, progress = Plan(experiment), Progress()
    estimates = Estimates(experiment, plan.counts)
    sweep = _Sweep(study, experiment, store, interrupts, progress, plan, estimates)
    kinds = [device.device_kind for device in jax.devices()]
    here = environment.describe(kinds, jax.config)
    retry = experiment.config.retry_failed
    with store.opened(here, progress.say, retry) as lock, memory.bounded():
        interrupts.last = lock.say
        sweep.train(lock, *sweep.prepare(lock), reading)
        if interrupts.asked:
            raise Interrupted
        if store.finished:
            start = time.perf_counter()
            report()
            estimates.keep_report(time.perf_counter() - start)


@dataclasses.dataclass(frozen=True)
class _Sweep:
    """Trains a study whose directory is locked by this process."""

    study: str
    experiment: Experiment
    store: Store
    interrupts: Interrupts
    progress: Progress
    plan: Plan
    estimates: Estimates

    def prepare(self, lock: Lock) -> tuple[list[Group], dict[Group, Checkpoint]]:
        """Returns the groups to train, in order, and the checkpoints from which some continue.

        Raises:
          UserError: a group that was begun does not fit into the memory that is free.
        """
        store, config, say = self.store, self.experiment.config, self.progress.say
        begun = store.checkpoints(say)
        if not config.retry_failed:
            _note_killed(lock, self.plan.groups(store.finished, begun), store)
        failed = {run for group in store.failures for run in group.runs}
        groups = self.plan.groups(store.finished | failed, begun)
        self.plan.check(groups)
        steps = {group: point.step for group, point in begun.items()}
        about = _what_runs(self.experiment, groups, self.plan.counts, len(store.finished))
        say(f"{self.study}: {about}{self.estimates.total(groups, steps)}")
        if config.precision != "float32" and jax.default_backend() == "cpu":
            say(f"{self.study}: --precision={config.precision} makes nothing faster on a CPU")
        return groups, begun

    def train(
        self,
        lock: Lock,
        groups: list[Group],
        begun: dict[Group, Checkpoint],
        reading: Reading | None,
    ) -> None:
        """Trains groups one after the other, while the next one is compiled.

        Raises:
          Interrupted: an interrupt asked to stop; a checkpoint is written.
        """
        compiled = functools.partial(
            compilation.compile_group, experiment=self.experiment, reading=reading
        )
        steps = {group: point.step for group, point in begun.items()}
        remaining = Remaining(self.estimates, groups, steps)
        with self.progress.shown():
            for group, ready in _one_ahead(compiled, groups):
                if self.interrupts.asked:
                    raise Interrupted
                name = name_of(group, self.experiment.config)
                self.progress.now(f"{name}: compiling", remaining.compiling(group))
                lock.say(at=group.name, **memory.kills())
                self._train_group(group, ready, begun.pop(group, None), remaining)
                lock.say()

    def _train_group(
        self,
        group: Group,
        ready: "concurrent.futures.Future[CompiledGroup]",
        checkpoint: Checkpoint | None,
        remaining: Remaining,
    ) -> None:
        """Trains a group, or records that there was not enough memory for it."""
        try:
            compiled = ready.result()
            trainee = Trainee(compiled, self.experiment, self.store, self.interrupts, self.progress)
            with self.interrupts.deferred():
                seconds = trainee.train(checkpoint, functools.partial(remaining.training, group))
                compiling = compiled.compile_seconds
                self.estimates.keep(group, seconds, compiling, not remaining.is_last(group))
                remaining.done(group, compiling, seconds)
        except (RuntimeError, MemoryError) as error:
            if not memory.is_lack(error):
                raise
            self.store.fail(group, "there was not enough memory")
            name = name_of(group, self.experiment.config)
            self.progress.say(f"{name}: not enough memory; recorded as failed")


def _note_killed(lock: Lock, groups: Iterable[Group], store: Store) -> None:
    """Records a group as failed if the last process here was killed for lack of memory at it."""
    then, now = lock.before, memory.kills()
    comparable = all(then.get(name) == now[name] for name in ("boot", "counter"))
    killed = comparable and then.get("memory_kills") != now["memory_kills"]
    for group in groups:
        if killed and group.name == then.get("at"):
            store.fail(group, "its process was killed, as the machine ran out of memory")


def _one_ahead(function: Callable, items: Iterable) -> Iterator[tuple]:
    """Yields each item and the future of ``function(item)``, started while the last one is used."""
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
    experiment: Experiment, groups: list[Group], counts: dict[Cell, Counts], done: int
) -> str:
    config, dataset, devices = experiment.config, experiment.dataset, jax.devices()
    total = len(grid.all_runs(config))
    failed = total - done - sum(len(group.runs) for group in groups)
    before = [f"{done:,} of them done before"] * bool(done)
    before += [f"{failed:,} failed before: --retry_failed tries again"] * bool(failed)
    so_far = f" ({', '.join(before)})" if before else ""
    cells = f"{len(counts)} cell{'s' * (len(counts) > 1)}"
    more = f", trained in {len(groups)} groups" if len(groups) > len(counts) else ""
    largest = max(count.parameters for count in counts.values())
    return (
        f"{dataset.about}, {len(dataset.x_train):,} training and {len(dataset.x_test):,} test "
        f"examples; {total:,} runs{so_far} in {cells}{more}, up to {largest:,} "
        f"parameters each; {len(devices)} × {devices[0].device_kind}"
    )
