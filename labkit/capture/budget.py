"""Bounds on what one capture may cost: memory, octets, time.

    meter = Meter(Budget(memory=256 << 20, seconds=10))
    with open_capture("a.pcapng", meter) as capture:
        octets = sum(len(frame.data) for frame in capture)
    if meter.spent:
        print(meter.spent.message)

A reader with a meter ends at the octet where a bound is reached. What was read before can be judged; `Meter.spent` says what
was not read. Octets and time are checked with each chunk of the file, memory with some of them (LOOKS). `Meter.frames` checks
all with each few packets.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from mmap import PAGESIZE
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.capture.base import Frame

DEFAULT_MEMORY = 512_000_000
"""Octets of memory that judging one capture may take."""

FOR_READING = 0.75
"""The share of the memory at which the reading ends: the verdict needs the rest."""

STRIDE = 128
"""Packets between two checks."""

LOOKS = 128
"""How often memory is measured while as many octets are read as its bound has: Linux takes 10 µs to say how much it is."""

STATISTICS = "/proc/self/statm"
"""Where Linux says how much memory this process uses, in pages: the second number is what is resident."""


class Budget(NamedTuple):
    """What judging one capture may cost."""

    memory: int = DEFAULT_MEMORY
    """Octets that the process may grow by."""
    octets: int | None = None
    """Octets of the capture, uncompressed; None: any number."""
    seconds: float | None = None
    """None: any time."""


class Spent(NamedTuple):
    """The bound that was reached."""

    kind: str
    """A kind of `labkit.analysis.limit_kinds.BUDGETS`."""
    message: str


class Meter:
    """Measures what one capture costs, from now on."""

    def __init__(self, budget: Budget, clock: Callable[[], float] = monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._until = None if budget.seconds is None else clock() + budget.seconds
        self._octets = 0
        self._look = 0
        """The octets of the capture after which its memory is measured next."""
        self._most = resident() + int(budget.memory * FOR_READING)
        self.spent: Spent | None = None
        """The first bound that was reached."""

    @property
    def is_bounded(self) -> bool:
        """Whether somebody has set a bound."""
        return self._budget != Budget()

    def restart(self) -> None:
        """Begin to judge the same capture anew. What it costs now counts; the time goes on."""
        self._octets, self._look, self.spent = 0, 0, None

    def rewind(self) -> None:
        """Begin to count the octets of the same capture anew."""
        self._octets = self._look = 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done within costs the capture nothing: importing code, which serves all captures."""
        before, begin = resident(), self._clock()
        yield
        self._most += max(0, resident() - before)
        if self._until is not None:
            self._until += self._clock() - begin

    def take(self, count: int) -> int:
        """How many of the next `count` octets may be read; 0 once a bound is reached."""
        most = self._budget.octets
        if most is not None and self._octets + count > most:
            count = most - self._octets
            self._stop("size", _("labkit reads only the first {n:,} bytes of a capture (--max-bytes)").format(n=most))
        elif self._octets >= self._look:
            self._look = self._octets + self._budget.memory // LOOKS
            if self.over():
                return 0
        elif self._is_spent():
            return 0
        self._octets += count
        return count

    def over(self) -> bool:
        """Whether a bound is reached; this measures memory and time."""
        if not self._is_spent() and resident() > self._most:
            text = _("judging this capture takes more memory than {n} MB (--memory)")
            self._stop("memory", text.format(n=self._budget.memory // 1_000_000))
        return self.spent is not None

    def _is_spent(self) -> bool:
        """Whether a bound is reached, without a look at the memory."""
        if self.spent is None and self._until is not None and self._clock() > self._until:
            text = _("labkit judges a capture for at most {n:g} seconds (--max-seconds)")
            self._stop("time", text.format(n=self._budget.seconds))
        return self.spent is not None

    def frames(self, frames: "Iterable[Frame]") -> "Iterator[Frame]":
        """Pass on frames until a bound is reached."""
        left = STRIDE
        for frame in frames:
            yield frame
            left -= 1
            if not left:
                # The reader itself ends where the octets do.
                if self.over() and self.spent and self.spent.kind != "size":
                    return
                left = STRIDE

    def _stop(self, kind: str, message: str) -> None:
        self.spent = self.spent or Spent(kind, message)


def resident() -> int:
    """Octets of memory that this process uses; where the system does not say, the most that it has used."""
    with suppress(OSError, ValueError, IndexError):
        file = os.open(STATISTICS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(file, 256).split()[1]) * PAGESIZE
        finally:
            os.close(file)
    from resource import RUSAGE_SELF, getrusage
    from sys import platform

    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if platform == "darwin" else 1024)
