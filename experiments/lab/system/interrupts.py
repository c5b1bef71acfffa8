"""Handles interrupts: a request to stop is noticed at once, even while compiled code runs."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

#: The exit status of an interrupted command: try again later.
STATUS = 75

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupted(Exception):  # noqa: N818, it is no error
    """Signals that a request to stop was obeyed: what was to be kept is saved."""


class Interrupts:
    """Handles requests to stop.

    During work that is worth finishing, the first request is only noted, and a second one ends the
    process at once.  At any other moment nothing can be lost, and the first one ends it at once.

    Attributes:
      asked: whether to stop at the next good moment.
      line: line to print when the process ends.
      last: function to call before that; it must be quick.
    """

    def __init__(self, line: str):
        """Takes the line to print when the process ends."""
        self.asked = False
        self.line = line
        self.last: Callable[[], None] = lambda: None
        self._busy = False

    @contextlib.contextmanager
    def heard(self) -> Iterator["Interrupts"]:
        """Handles signals while the block runs; does nothing outside the process's main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        # Python's handlers wait until compiled code returns.  A byte in a pipe does not, and a
        # separate thread reads it.
        hear, tell = os.pipe()
        os.set_blocking(tell, False)
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, lambda *_: None)
        watch = threading.Thread(target=self._watch, args=(hear,), daemon=True)
        watch.start()
        try:
            yield self
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            os.close(tell)
            watch.join()
            os.close(hear)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Marks the block as work that is worth finishing."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _watch(self, hear: int) -> None:
        while heard := os.read(hear, 1):
            if heard[0] not in _SIGNALS:
                continue
            if self.asked or not self._busy:
                self.leave()
            self.asked = True

    def leave(self) -> NoReturn:
        """Ends the process at once; XLA may still be running, and would crash an orderly exit."""
        cursor = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""  # a bar may have hidden it
        with contextlib.suppress(OSError, ValueError):
            self.last()
            sys.stderr.write(f"{cursor}{self.line}\n")
            sys.stderr.flush()
            sys.stdout.flush()
        os._exit(STATUS)
