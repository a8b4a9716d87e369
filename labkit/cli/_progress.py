"""Progress: one line on standard error, rewritten in place. Only a terminal gets it; a pipe gets the notices alone."""

import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from os import get_terminal_size
from time import monotonic

import click

from labkit.cli._common import note
from labkit.i18n import _, printable

BAR = 20
"""Characters of the bar."""

TICK = 1
"""Seconds between two updates of a waiting time."""

MIN_INTERVAL = 0.1
"""Seconds between two counts: a slow terminal need not keep up with the reader."""


class ProgressLine:
    """The line, as a context manager that removes it at the end. It is a `labkit.jobs.judging.Listener`."""

    def __init__(self, what: str = "") -> None:
        self._what = what
        self._shown = False
        # Asked once: each call would give the interpreter to other threads.
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._next = 0.0
        """When the next count may be shown."""
        self._notices: set[str] = set()
        self._stop_clock: Callable[[], None] | None = None

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()

    def on_capture(self, path: str, number: int, total: int) -> None:
        """Name the capture, with a bar where there are several."""
        self.clear()
        self._what = (bar(number, total) if total > 1 else "") + printable(path)
        if total > 1:
            self.show()

    def on_progress(self, packets: int, share: float | None = None) -> None:
        """Show the number of packets, unless a number was just shown."""
        if not self._terminal or (now := monotonic()) < self._next:
            return
        self._halt()
        self._next = now + MIN_INTERVAL
        done = "" if share is None else f", {share:.0%}"
        self.show(_(": {count:,} packets").format(count=packets) + done)

    def on_notice(self, text: str) -> None:
        """Print a line, once. Work that announces itself takes long: from now on the progress line shows the seconds."""
        self.clear()
        if text not in self._notices:
            self._notices.add(text)
            note(text)
        if self._terminal:
            self._start_clock()

    def show(self, more: str = "") -> None:
        """Show what is being done, and how far it is."""
        if self._terminal:
            self._shown = True
            # A second line could not be removed.
            what = fitting(self._what, _columns() - 1 - len(more))
            click.echo(f"\r\x1b[K{what}{more}", nl=False, err=True)

    def clear(self) -> None:
        """Remove the line, so that something else can be printed."""
        self._halt()
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._shown = False

    def _start_clock(self) -> None:
        from threading import Event, Thread

        over, began = Event(), monotonic()

        def tick() -> None:
            while not over.wait(TICK):
                self.show(_(": {seconds:.0f} s").format(seconds=monotonic() - began))

        thread = Thread(target=tick, daemon=True)

        def stop() -> None:
            over.set()
            thread.join()

        thread.start()
        self._stop_clock = stop

    def _halt(self) -> None:
        if self._stop_clock is not None:
            self._stop_clock()
            self._stop_clock = None


def bar(number: int, total: int) -> str:
    """A bar of the captures before this one: `[ 17/120] ##........ `."""
    done = BAR * (number - 1) // total
    return f"[{number:>{len(str(total))}}/{total}] {'#' * done}{'.' * (BAR - done)} "


def _columns() -> int:
    with suppress(OSError):
        return get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


def fitting(text: str, columns: int) -> str:
    """Cut a text to fit into columns of a terminal, where a Chinese character takes two."""
    from bisect import bisect
    from unicodedata import east_asian_width

    ends = list(accumulate(2 if east_asian_width(char) in "WF" else 1 for char in text))
    return text if not ends or ends[-1] <= columns else text[: bisect(ends, columns - 3)] + "..."
