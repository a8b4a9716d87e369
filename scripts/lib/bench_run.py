"""Run programs several times and measure them: wall time, processor time and peak memory of whole processes."""

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
"""Seconds that one run may take, estimated from a shorter run."""

Progress = Callable[[str], None]
Turn = Callable[[], "list[Run]"]
"""Runs each of some programs once."""


@dataclass(frozen=True)
class Run:
    """One run of a program."""

    wall: float
    cpu: float
    peak: int
    """Peak memory of its largest process, in octets."""
    code: int


@dataclass(frozen=True)
class Measured:
    """Several runs of one program on a number of packets or other units."""

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
        """Octets: the maximum of all runs."""
        return max(run.peak for run in self.runs)

    @property
    def each(self) -> float:
        """Seconds for each packet or other unit."""
        return self.wall / self.units

    @property
    def spread(self) -> float:
        """The longest run divided by the shortest: 1 on a quiet machine."""
        return max(run.wall for run in self.runs) / min(run.wall for run in self.runs)


class FailedError(Exception):
    """A program ended with an unexpected exit code."""


def run(command: Sequence[str], expected: Sequence[int] = (0,), environment: dict[str, str] | None = None) -> Run:
    """Run a program to its end and drop its output. FailedError for an unexpected exit code."""
    begin = perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        cwd="/",  # the configuration of a project, such as labkit's own, would be read too
    )
    watch = _Watch(process.pid)
    watch.start()
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = perf_counter() - begin
    watch.over.set()
    watch.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stderr:
        process.stderr.close()
    if process.returncode not in expected:
        last = (errors.decode("utf-8", "replace").splitlines() or [""])[-1]
        raise FailedError(f"{Path(command[0]).name} ended with {process.returncode}: {last}")
    # The system counts at least what this process held when the other one began. Below that, the watch is more precise.
    peak = usage.ru_maxrss * 1024
    own = getrusage(RUSAGE_SELF).ru_maxrss * 1024
    return Run(
        wall, usage.ru_utime + usage.ru_stime, watch.peak if peak <= own and watch.peak else peak, process.returncode
    )


class _Watch(Thread):
    """Read the peak memory of a process every few milliseconds until the process ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._place = Path(f"/proc/{pid}/status")
        self.over = Event()
        self.peak = 0
        """Octets; 0 if the system does not say."""

    def run(self) -> None:
        """Read until the process ends."""
        while not self.over.wait(0.005):
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", self._place.read_text("utf-8", "replace"))
            except OSError:
                return
            if found:
                self.peak = int(found[1]) * 1024


def climb(sizes: Sequence[int], seconds: Callable[[int], float], patience: float = PATIENCE) -> int:
    """Return the largest of some ascending sizes that probably takes no more than `patience` seconds.

    `seconds(size)` measures one size after the other while the estimate for the next one stays below that.
    """
    chosen = sizes[0]
    taken = seconds(chosen)
    for size in sizes[1:]:
        if taken * size / chosen > patience:
            break
        chosen = size
        taken = seconds(chosen)
    return chosen


def in_turn(
    commands: dict[str, Callable[[], Run]], runs: int, measured: "Callable[[Turn], list[Run]]" = lambda turn: turn()
) -> dict[str, tuple[Run, ...]]:
    """Run the commands in turns, so that changes of the machine's load affect all of them. `measured` takes a turn, and may take
    it again."""
    turns = [measured(lambda: [command() for command in commands.values()]) for _ in range(runs)]
    return dict(zip(commands, zip(*turns, strict=True), strict=True))


def joined(runs: Sequence[Run]) -> Run:
    """Runs one after the other as if they were one."""
    return Run(sum(each.wall for each in runs), sum(each.cpu for each in runs), max(each.peak for each in runs), 0)


def say(text: str) -> None:
    """Print the progress to standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
