"""Ctrl-C while captures are read.

The first Ctrl-C ends the reading: labkit judges the packets that were read as a capture that was cut. The second one ends
the program. A signal takes effect between two packets, except while the program waits for octets or for another process.
"""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.capture import Frame


class Interrupts:
    """Handle SIGINT within a `with` block; `seen` says whether it came."""

    def __init__(self) -> None:
        self.seen = False
        self._waiting = False

    def __enter__(self) -> "Interrupts":
        # A background program ignores the signal, and a caller may have a handler of its own: neither is replaced.
        self._installed = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        try:
            if self._installed:
                signal.signal(signal.SIGINT, self._handle)
        except ValueError:
            self._installed = False  # not the main thread, which alone gets signals
        return self

    def __exit__(self, *exc: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        again, self.seen = self.seen, True
        if again or self._waiting:
            raise KeyboardInterrupt

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a signal end the block at any place. The block then ends without an exception, and `seen` is true."""
        try:
            self._waiting = True
            yield
        except KeyboardInterrupt:
            self.seen = True
        finally:
            self._waiting = False

    def frames(self, frames: Iterable["Frame"]) -> Iterator["Frame"]:
        """Pass on the frames up to an interruption."""
        iterator = iter(frames)
        while not self.seen:
            try:
                self._waiting = True
                frame = next(iterator, None)
                self._waiting = False
            except KeyboardInterrupt:
                self._waiting, self.seen = False, True
                return
            if frame is None:
                return
            yield frame
