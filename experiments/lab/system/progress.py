"""Shows progress: a bar with the time left if on a terminal, and always a line for each cell."""

import contextlib
import time
from collections.abc import Iterator

import rich.console
import rich.progress

from experiments.lab.system.errors import printable

#: Seconds between lines of progress in a log, which has no bar.
LOG_SECONDS = 30.0


class Progress:
    """Shows progress over a known amount of work, counted in layer-steps, which time goes with."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        self._console = rich.console.Console(stderr=True, highlight=False)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=1)
        self._start = self._said = time.monotonic()

    @contextlib.contextmanager
    def shown(self, total: int) -> Iterator["Progress"]:
        """Shows a bar over ``total`` units of work while the block runs."""
        self._bar.update(self._task, total=max(total, 1))
        with self._bar:
            yield self

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        self._console.print(printable(line), markup=False, soft_wrap=True)

    def now(self, description: str) -> None:
        """Shows what is being done."""
        self._bar.update(self._task, description=description)
        if not self._console.is_terminal and time.monotonic() > self._said + LOG_SECONDS:
            self._said = time.monotonic()
            task = self._bar.tasks[0]
            share = task.completed / (task.total or 1)
            left = (self._said - self._start) * (1 - share) / max(share, 1e-9)
            self.say(f"{description} ({share:.0%} of all, about {left:.0f} s left)")

    def done(self, work: int) -> None:
        """Counts units of work as done."""
        self._bar.advance(self._task, work)
