"""Trains one group of runs: calls of its program, measurements, checkpoints and results."""

import time
from collections.abc import Callable

from experiments.lab.build.compilation import CompiledGroup
from experiments.lab.build.experiment import CALL_SECONDS, Experiment
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.run import course, rows
from experiments.lab.run.course import Course
from experiments.lab.run.rows import Readings
from experiments.lab.store.checkpoints import Checkpoint
from experiments.lab.store.store import Store
from experiments.lab.system.errors import ContentError
from experiments.lab.system.interrupts import Interrupted, Interrupts
from experiments.lab.system.progress import Progress
from resnet_jax.training.run import State

#: The least time between checkpoints, as a multiple of the time that the last one took.
CHECKPOINT_PATIENCE = 50


def name_of(group: Group, config: Config) -> str:
    """Returns a group's name for users: its depth, and the names in which its variant differs."""
    telling = [getattr(group.cell.variant, name) for name in config.varying()]
    return ", ".join([f"depth {group.cell.depth}", *telling])


class Trainee:
    """Trains a compiled group of runs, from the first step to results in the store."""

    def __init__(
        self,
        ready: CompiledGroup,
        experiment: Experiment,
        store: Store,
        interrupts: Interrupts,
        progress: Progress,
    ):
        """Takes what it needs; trains nothing yet."""
        self._ready, self._group, self._population = ready, ready.group, ready.population
        self._experiment, self._steps = experiment, experiment.config.steps
        self._store, self._interrupts, self._progress = store, interrupts, progress
        self._name = name_of(ready.group, experiment.config)
        self._checkpoint_seconds, self._stride = 0.0, 1

    def train(self, checkpoint: Checkpoint | None, left: Callable[[int, float], float]) -> float:
        """Trains to the last step, adds the results to the store, and returns seconds of training.

        Args:
          checkpoint: checkpoint from which to continue, if there is one.
          left: function of the step, and of the seconds trained here, to those left in the study.

        Raises:
          Interrupted: an interrupt asked to stop before the last step; a checkpoint is written.
        """
        begin = now = self._begin(checkpoint)
        saved, pause = time.perf_counter(), 0.0
        patience = self._experiment.config.checkpoint_seconds
        while now.step < self._steps:
            rest = left(now.step, now.seconds - begin.seconds)
            self._progress.now(f"{self._name}: step {now.step} of {self._steps}", rest)
            now = self._further(now)
            if now.step == self._steps:
                break
            due = time.perf_counter() - saved > max(patience, pause)
            if due or self._interrupts.asked:
                pause = CHECKPOINT_PATIENCE * self._save(now)
                saved = time.perf_counter()
            if self._interrupts.asked:
                raise Interrupted
        self._finish(now)
        return now.seconds

    def _begin(self, checkpoint: Checkpoint | None) -> Course:
        if checkpoint is not None:
            try:
                now = course.from_arrays(checkpoint.arrays, checkpoint.step, self._population)
                if now.step > self._steps:
                    raise ContentError("it is past the last step")
            except ContentError as error:
                self._store.set_aside(self._group, str(error), self._progress.say)
            else:
                self._progress.say(f"{self._name}: goes on from step {now.step}")
                return now
        start = time.perf_counter()
        states, metrics = self._ready.advance(None, 0, True)
        read = self._read_of(states, 0)
        return Course(states, 0, [(0, metrics)], time.perf_counter() - start, read)

    def _read_of(self, states: State, step: int) -> Readings:
        return [(step, self._ready.read(states))] if step in self._ready.at else []

    def _further(self, now: Course) -> Course:
        """Trains some more steps, but not past a stop, and returns the new course."""
        stop = self._next_stop(now.step)
        steps = min(self._stride, stop - now.step, self._experiment.chunk)
        step, start = now.step + steps, time.perf_counter()
        states, metrics = self._ready.advance(now.states, steps, step == stop)
        elapsed = time.perf_counter() - start
        fit = int(steps * CALL_SECONDS / max(elapsed, 1e-9))
        self._stride = max(1, min(4 * steps, fit))
        measured, read = now.measured, now.read
        if step == stop:
            measured = [*measured, (step, metrics)]
            read = [*read, *self._read_of(states, step)]
        return Course(states, step, measured, now.seconds + time.perf_counter() - start, read)

    def _next_stop(self, step: int) -> int:
        """Returns the next step to measure at: regular steps, the last, and those of a reading."""
        stride = self._experiment.measuring_stride
        regular = min((step // stride + 1) * stride, self._steps)
        return min([regular, *(at for at in self._ready.at if at > step)])

    def _save(self, now: Course) -> float:
        """Writes a checkpoint, and returns the seconds that it took."""
        start = time.perf_counter()
        self._store.save(self._group, now.step, course.to_arrays(now, self._population))
        seconds = time.perf_counter() - start
        self._checkpoint_seconds += seconds
        return seconds

    def _finish(self, now: Course) -> None:
        group, runs = self._group, len(self._group.runs)
        self._progress.say(
            f"{self._name}: {runs} runs × {self._steps} steps in {now.seconds:.1f} s, "
            f"compiled in {self._ready.compile_seconds:.1f} s"
        )
        timings = {
            **group.cell.columns(),
            "runs": runs,
            "compile_seconds": f"{self._ready.compile_seconds:.3f}",
            "run_seconds": f"{now.seconds:.3f}",
            "checkpoint_seconds": f"{self._checkpoint_seconds:.3f}",
        }
        states = self._population.unpad(now.states)
        self._store.add(
            group,
            rows.results(states, now.measured),
            rows.history(now.measured),
            rows.readings(now.read),
            timings,
        )
