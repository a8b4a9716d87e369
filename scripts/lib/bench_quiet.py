"""Measure when the machine is quiet.

What others do on it, or beside a virtual machine, slows some programs more than others, so that even the ratio of two that take
turns is another one then.
"""

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter, sleep
from typing import TypeVar

from bench_run import run

LIMIT = 1.1
"""How much longer a fixed piece of work may take on a quiet machine than at its fastest."""
PROBES = 5
"""Times that the work is done to see how long it takes."""
FIRST_PROBES = 40
"""The same in the beginning, when it is not known what its fastest is."""
PAUSE = 2.0
"""Seconds from one look to the next while the machine is not quiet."""

T = TypeVar("T")


def work() -> float:
    """Seconds of a fixed piece of work: a program of Python starts and imports some modules."""
    return run([sys.executable, "-I", "-c", "import asyncio"]).wall


class Quiet:
    """Waits until the machine is quiet, for some time."""

    def __init__(self, patience: float, work: Callable[[], float] = work) -> None:
        """`patience`: seconds for waiting and for what is measured again, until `renew`. 0: measure at once, whatever the
        machine does."""
        self._patience = patience
        self.waits = patience > 0
        self.again = 0
        """Measurements that were repeated, for the machine was not quiet afterwards."""
        self._left = patience
        self._work = work
        self._fastest = 0.0
        self._slowest = 0.0
        """Of the looks before and after the measurements that count."""

    @property
    def worst(self) -> float:
        """How much longer than at its fastest the work took while what counts was measured: 1 on a quiet machine."""
        return self._slowest / self._fastest if self._fastest else 1.0

    def renew(self) -> None:
        """Have all patience again."""
        self._left = self._patience

    def measure(self, once: Callable[[], T], prepare: Callable[[], object] = bool) -> T:
        """What `once` gives on a quiet machine, or on this one when the time for waiting is over. `prepare` comes before it each
        time, whatever the machine does."""
        while self.waits:
            prepare()
            begin = perf_counter()
            before = self._look()
            while not self._is_quiet(before) and perf_counter() - begin < self._left:
                sleep(PAUSE)
                before = self._look()
            found = once()
            after = self._look()
            self._left -= perf_counter() - begin
            if self._is_quiet(max(before, after)) or self._left <= 0:
                self._slowest = max(self._slowest, before, after)
                return found
            self.again += 1
        prepare()
        return once()

    def _look(self) -> float:
        """Seconds that the work takes now."""
        found = [self._work() for _ in range(PROBES if self._fastest else FIRST_PROBES)]
        self._fastest = min(found + [self._fastest] * bool(self._fastest))
        return median(found)

    def _is_quiet(self, seconds: float) -> bool:
        return seconds <= LIMIT * self._fastest
