"""When a program that waits for packets is to end: Ctrl-C, a request of the system, the end of whoever started it.

A signal does not interrupt what is being done, and no packet is handled by halves: it makes something readable that the
program waits for together with its packets.
"""

import ctypes
import os
import signal
from contextlib import suppress
from types import FrameType

PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """A context manager for the main thread; `select` finds it readable when the program is to end."""

    def __init__(self) -> None:
        self.asked = False
        """Whether the program is to end."""
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Stop":
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        for number in SIGNALS:
            # What runs in the background of a script is told to ignore Ctrl-C, which is not meant for it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._take)
        # If the signal was there before it was wished for, nobody would ever ask.
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        self.asked = os.getppid() != parent
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)
        os.close(self._reading)
        os.close(self._writing)

    def fileno(self) -> int:
        """For `select`."""
        return self._reading

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        with suppress(BlockingIOError):
            os.write(self._writing, b"\0")
