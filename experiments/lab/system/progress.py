"""Shows progress: a bar with the time left if on a terminal, and always a line for each cell."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import rich.console
import rich.progress
import rich.progress_bar
import rich.table
import rich.text

from experiments.lab.system.errors import printable

#: Seconds between lines of progress in a log, which has no bar.
LOG_SECONDS = 30.0


class Progress:
    """Shows progress in time: what has passed, and what is said to be left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Shows nothing yet."""
        self._console = rich.console.Console(stderr=True, highlight=False)
        self._bar = rich.progress.Progress(
            _Column(self._drawn),
            _Column(lambda: rich.text.Text(self._told())),
            rich.progress.TextColumn(
                "{task.description}",
                table_column=rich.table.Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            expand=True,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting")
        self._clock = clock
        self._start = self._said = self._at = clock()
        self._left = math.nan

    @contextlib.contextmanager
    def shown(self) -> Iterator["Progress"]:
        """Shows a bar while the block runs."""
        with self._bar:
            yield self

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        self._console.print(printable(line), markup=False, soft_wrap=not self._console.is_terminal)

    def now(self, description: str, left: float = math.nan) -> None:
        """Shows what is being done, and how many seconds everything takes from now on."""
        self._bar.update(self._task, description=description)
        self._at, self._left = self._clock(), left
        if not self._console.is_terminal and self._at > self._said + LOG_SECONDS:
            self._said = self._at
            self.say(": ".join(filter(None, [self._told(), description])))

    def _share(self) -> float:
        """Returns the share of the whole time that has passed; NaN if that is unknown."""
        passed, rest = self._clock() - self._start, self._rest()
        return passed / max(passed + rest, 1e-9)

    def _rest(self) -> float:
        """Returns the seconds left; NaN if unknown."""
        return max(self._left - (self._clock() - self._at), 0.0) if self._left >= 0 else math.nan

    def _told(self) -> str:
        if math.isnan(self._share()):
            return ""
        minutes, seconds = divmod(round(self._rest()), 60)
        return f"{self._share():.0%}, about {minutes}:{seconds:02} left"

    def _drawn(self) -> rich.progress_bar.ProgressBar:
        share = self._share()
        unknown = math.isnan(share)
        return rich.progress_bar.ProgressBar(
            total=None if unknown else 1.0, completed=0.0 if unknown else share, width=16
        )


class _Column(rich.progress.ProgressColumn):
    """Draws a part of the line anew each time the line is drawn."""

    def __init__(self, draw: Callable[[], rich.console.RenderableType]):
        super().__init__(rich.table.Column(no_wrap=True))
        self._draw = draw

    def render(self, task: rich.progress.Task) -> rich.console.RenderableType:
        return self._draw()
