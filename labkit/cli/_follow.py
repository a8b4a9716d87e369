"""Print the segments of frames that pass, as `labkit show` does, while something else reads the same frames."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TYPE_CHECKING

import click

from labkit.cli._common import echo

if TYPE_CHECKING:
    from labkit.capture import Frame


class Follower:
    """A context manager whose `follow` passes frames on, and prints the segment of each one before the next is taken.

    The table reads frames as it needs them, and so does the other reader. So the table has a thread of its own; only one of the
    two runs at a time.
    """

    def __init__(self) -> None:
        self._frames: SimpleQueue[Frame | None] = SimpleQueue()
        self._waits = Semaphore(0)
        """Counts how often the table has asked for a frame."""
        self._over = False
        self._context = click.get_current_context(silent=True)
        """The command's, which knows whether its output has colours."""
        self._thread = Thread(target=self._print, daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        self._waits.acquire()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._frames.put(None)
        self._thread.join()

    def follow(self, frames: "Iterable[Frame]") -> "Iterator[Frame]":
        """Pass frames on."""
        for frame in frames:
            if not self._over:
                self._frames.put(frame)
                self._waits.acquire()
            yield frame

    def _print(self) -> None:
        from labkit.analysis.states import observe
        from labkit.report.conversation_table import FORMATS, TableStyle

        try:
            # If the reader of the table has gone away, printing the verdict fails in the same way.
            with suppress(OSError), self._context.scope(cleanup=False) if self._context else nullcontext():
                for line in FORMATS["text"](observe(self._taken()), TableStyle(live=True, several=True)):
                    echo(line)
        finally:
            self._over = True  # the other reader goes on alone
            self._waits.release()

    def _taken(self) -> "Iterator[Frame]":
        self._waits.release()
        while (frame := self._frames.get()) is not None:
            yield frame
            self._waits.release()
