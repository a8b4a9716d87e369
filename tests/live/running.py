"""Run labkit commands in the background of a test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from labkit.live.lab import Lab

TOP = Path(__file__).parents[2]


class Running:
    """A running labkit command that has printed its first line of stderr, `first_line`; a context manager that ends it."""

    def __init__(self, lab: Lab, *words: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(TOP), "LANGUAGE": "en", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labkit", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | lab.environment(),
        )
        assert self.process.stderr is not None
        self.first_line = self.process.stderr.readline()

    def line(self) -> str:
        """Wait for the next line of its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Send a signal; return the exit code and the rest of standard output and error."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        """Wait for its end; return the same as `end`."""
        output, errors = self.process.communicate(timeout=30)
        return self.process.returncode, output, errors

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def until(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Wait until a condition holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
