"""What a study says while it runs: a bar with time left on a terminal, and a line a cell always."""

import contextlib
import time
from collections.abc import Iterator

import rich.console
import rich.progress

from experiments.lab.system.errors import printable

#: How often a log, which has no bar, hears where the study is.
LOG_SECONDS = 30.0


class Progress:
    """Progress over a known amount of work, counted in layer-steps, the unit that takes time."""

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
        """Shows the bar of so much work for as long as the block runs."""
        self._bar.update(self._task, total=max(total, 1))
        with self._bar:
            yield self

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        self._console.print(printable(line), markup=False, soft_wrap=True)

    def now(self, description: str) -> None:
        """Says what is being done."""
        self._bar.update(self._task, description=description)
        if not self._console.is_terminal and time.monotonic() > self._said + LOG_SECONDS:
            self._said = time.monotonic()
            task = self._bar.tasks[0]
            share = task.completed / (task.total or 1)
            left = (self._said - self._start) * (1 - share) / max(share, 1e-9)
            self.say(f"{description} ({share:.0%} of all, about {left:.0f} s left)")

    def done(self, work: int) -> None:
        """Counts work as done."""
        self._bar.advance(self._task, work)
