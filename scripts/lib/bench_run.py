"""Running programs and measuring them: wall time, processor time and peak memory of whole processes, several times."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from threading import Event, Thread
from time import perf_counter

PATIENCE = 8.0
"""Seconds that one run may take, as far as a shorter one lets us foresee."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One run of a program."""

    wall: float
    cpu: float
    peak: int
    """Octets that it held at most (of the largest of its processes)."""
    code: int


@dataclass(frozen=True)
class Measured:
    """Several runs of one program on so many packets (or other units)."""

    units: int
    runs: tuple[Run, ...]

    @property
    def wall(self) -> float:
        """Seconds: the median."""
        return median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """Seconds of processor time: the median."""
        return median(run.cpu for run in self.runs)

    @property
    def peak(self) -> int:
        """Octets: the most of all runs."""
        return max(run.peak for run in self.runs)

    @property
    def each(self) -> float:
        """Seconds for a packet (or another unit)."""
        return self.wall / self.units

    @property
    def spread(self) -> float:
        """The longest run by the shortest: 1 on a quiet machine."""
        return max(run.wall for run in self.runs) / min(run.wall for run in self.runs)


class FailedError(Exception):
    """A program did not do what it should."""


def run(command: Sequence[str], expected: Sequence[int] = (0,), environment: dict[str, str] | None = None) -> Run:
    """Run a program to its end; what it prints is thrown away. FailedError for another exit code than those expected."""
    begin = perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    watch = _Watch(process.pid)
    watch.start()
    told = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = perf_counter() - begin
    watch.over.set()
    watch.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stderr:
        process.stderr.close()
    if process.returncode not in expected:
        last = (told.decode("utf-8", "replace").splitlines() or [""])[-1]
        raise FailedError(f"{Path(command[0]).name} ended with {process.returncode}: {last}")
    # The system's figure is at least what this process held when the other began: below that, the watch knows better.
    peak = usage.ru_maxrss * 1024
    own = getrusage(RUSAGE_SELF).ru_maxrss * 1024
    return Run(
        wall, usage.ru_utime + usage.ru_stime, watch.peak if peak <= own and watch.peak else peak, process.returncode
    )


class _Watch(Thread):
    """Looks at how much memory a process has held at most, every few milliseconds, as long as it is there."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._place = Path(f"/proc/{pid}/status")
        self.over = Event()
        self.peak = 0
        """Octets; 0 where the system does not say."""

    def run(self) -> None:
        """Until it is over."""
        while not self.over.wait(0.005):
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", self._place.read_text("utf-8", "replace"))
            except OSError:
                return
            if found:
                self.peak = int(found[1]) * 1024


def climb(sizes: Sequence[int], seconds: Callable[[int], float], patience: float = PATIENCE) -> int:
    """The largest of some sizes, given from the smallest, that is likely to take no longer than `patience`.

    `seconds` is asked for one size after the other, as long as the next one can be expected to take no more than that.
    """
    chosen = sizes[0]
    taken = seconds(chosen)
    for size in sizes[1:]:
        if taken * size / chosen > patience:
            break
        chosen = size
        taken = seconds(chosen)
    return chosen


def in_turn(commands: dict[str, Callable[[], Run]], runs: int) -> dict[str, tuple[Run, ...]]:
    """Each command so often, one after the other and all over again, so that none has the quiet hour for itself."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            found[name].append(command())
    return {name: tuple(each) for name, each in found.items()}


def say(text: str) -> None:
    """What is being done, on standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
