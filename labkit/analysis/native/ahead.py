"""Read on in a file while what was read before is decoded."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from labkit.analysis.native.records import Memory

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


class Octets(Protocol):
    """A file that is read in order."""

    def into(self, buffer: memoryview) -> int:
        """Read on into a buffer; the number of octets, 0 at the end."""


class ReadAhead:
    """The next piece of a file, which another thread reads into memory of its own.

    Copying a file out of the system's memory takes as long as half of decoding it.
    """

    def __init__(self, file: Octets, thread: "Executor", octets: Memory, at: int, size: int) -> None:
        """A piece has `size` octets, but at the end of the file, and begins at `at` in its memory."""
        self._file, self._thread, self._at, self._size = file, thread, at, size
        self._octets = octets
        self._reading: Future[int] | None = None

    def next(self, octets: Memory, waiting: AbstractContextManager[None]) -> tuple[Memory, int | None]:
        """The memory with the next piece, and the piece's length: a shorter one is the last. `octets`, which is as large, is
        used for the piece after it. The length is None where an interruption of `waiting` ends the wait."""
        count = self._wait(waiting)
        if count is None:
            return octets, None
        read, self._octets = self._octets, octets
        self._reading = self._thread.submit(self._read) if count == self._size else None
        return read, count

    def rest(self, waiting: AbstractContextManager[None]) -> bytes:
        """What was read and not taken, so that somebody else can read on in the file."""
        if self._reading is None:
            return b""
        count = self._wait(waiting) or 0
        self._reading = None
        return bytes(self._octets.view[self._at : self._at + count])

    def _wait(self, waiting: AbstractContextManager[None]) -> int | None:
        if self._reading is None:
            self._reading = self._thread.submit(self._read)
        with waiting:
            return self._reading.result()
        return None

    def _read(self) -> int:
        piece = self._octets.view[self._at : self._at + self._size]
        have = 0
        while have < self._size and (count := self._file.into(piece[have:])):
            have += count
        return have
