"""Interrupts: a request to stop is heard at once, even while compiled code runs."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

#: The status with which an interrupted command leaves: try again later.
STATUS = 75

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupted(Exception):  # noqa: N818, it is no error
    """What was to be kept is kept, and the command may leave."""


class Interrupts:
    """Requests to stop.

    While something is under way that is worth finishing, the first request is noted, and a second
    one leaves at once.  At any other moment there is nothing to lose, and the first leaves at once.

    Attributes:
      asked: whether to stop at the next good moment.
      line: what to say when leaving.
      last: what to do before that, in no time.
    """

    def __init__(self, line: str):
        """Takes the line to say when leaving."""
        self.asked = False
        self.line = line
        self.last: Callable[[], None] = lambda: None
        self._busy = False

    @contextlib.contextmanager
    def heard(self) -> Iterator["Interrupts"]:
        """Hears signals for as long as the block runs; only in a process's main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        # Python's handlers wait until compiled code returns.  A byte in a pipe does not, and a
        # thread of its own hears it.
        hear, tell = os.pipe()
        os.set_blocking(tell, False)
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:  # as nohup has it
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
        """Marks what is worth finishing."""
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
        """Ends the process at once; XLA may be at work, and would crash an orderly exit."""
        cursor = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""  # a bar may have hidden it
        with contextlib.suppress(OSError, ValueError):
            self.last()
            sys.stderr.write(f"{cursor}{self.line}\n")
            sys.stderr.flush()
            sys.stdout.flush()
        os._exit(STATUS)
