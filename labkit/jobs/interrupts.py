"""Ctrl-C while captures are read.

The first Ctrl-C ends the reading: labkit judges the packets that were read as a capture that was cut. The second one ends
the program. A signal takes effect between two packets, except while the program waits for octets or for another process.
"""

import signal
from collections.abc import Iterable, Iterator
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

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        again, self.seen = self.seen, True
        # At a step of `_Waiting` itself an exception would escape from it: then `seen` says enough.
        if again or (self._waiting and (frame is None or frame.f_code not in _Waiting.STEPS)):
            raise KeyboardInterrupt

    def waiting(self) -> "_Waiting":
        """Let a signal end the block at any place. The block then ends without an exception, and `seen` is true.

        A block that may wait for long looks at `seen` first: the signal may have come just before.
        """
        return _Waiting(self)

    def frames(self, frames: Iterable["Frame"]) -> Iterator["Frame"]:
        """Pass on the frames up to an interruption."""
        iterator = iter(frames)
        while True:
            try:
                self._waiting = True
                frame = None if self.seen else next(iterator, None)
                self._waiting = False
            except KeyboardInterrupt:
                self._waiting, self.seen = False, True
                return
            if frame is None:
                return
            yield frame


class _Waiting:
    """A block that a signal may end anywhere. Not a generator: a signal at its first step would leave it without a block."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        self._interrupts._waiting = True

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> bool:
        self._interrupts._waiting = False
        if kind is not KeyboardInterrupt:
            return False
        self._interrupts.seen = True
        return True

    STEPS = (__enter__.__code__, __exit__.__code__)
