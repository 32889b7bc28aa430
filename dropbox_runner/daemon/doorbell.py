"""The doorbell. It carries no message on purpose: the folders hold the truth, a ring only says "look again"."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from contextlib import suppress


class Doorbell:
    """Rung by the watcher, a signal, a finished process or a timer.

    A pipe and not an Event: `threading.Event.set` in a signal handler can deadlock the thread that waits on it.
    """

    def __init__(self) -> None:
        self._hear, self._ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def ring(self) -> None:
        """Ask for another look. Safe in any thread and in any signal handler."""
        with suppress(BlockingIOError):  # full: it has been rung 65,536 times and not been answered yet
            os.write(self._ring, b"!")

    def close(self) -> None:
        """Take it down; nobody may ring it any more."""
        os.close(self._hear)
        os.close(self._ring)

    def wait(self, seconds: float, processes: Iterable[int] = ()) -> None:
        """Wait for a ring, for one of these pidfds to end, or for the time to pass.

        Rings are drained before the look that follows, so one that comes during a look causes the next one.
        """
        poll = select.poll()
        for descriptor in (self._hear, *processes):
            poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        with suppress(BlockingIOError):
            while os.read(self._hear, 65536):
                pass
