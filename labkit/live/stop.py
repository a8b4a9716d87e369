"""Orderly end of a program that waits for packets: on Ctrl-C, SIGTERM or SIGHUP, or when its parent ends.

A signal does not interrupt the handling of a packet. It makes a descriptor readable, for which the program waits together
with its packets.
"""

import ctypes
import os
import signal
from contextlib import suppress
from types import FrameType

PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """A context manager for the main thread; `select` reports it readable when the program should end."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Stop":
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        for number in SIGNALS:
            # A shell script starts background commands with SIGINT ignored, because Ctrl-C is not meant for them.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._request)
        # If the parent ends before prctl takes effect, no signal comes.
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        self.requested = os.getppid() != parent
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)
        os.close(self._read_end)
        os.close(self._write_end)

    def fileno(self) -> int:
        """The descriptor for `select`."""
        return self._read_end

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        with suppress(BlockingIOError):
            os.write(self._write_end, b"\0")
