"""Time on the wire: nanoseconds since the run began, on a monotonic clock, and the wall-clock time that belongs to them."""

import time

SECOND = 1_000_000_000


class Clock:
    """A clock that starts at 0."""

    def __init__(self) -> None:
        self._begin = time.monotonic_ns()
        self._epoch = time.time_ns()

    def now(self) -> int:
        """Nanoseconds since the start."""
        return time.monotonic_ns() - self._begin

    def wall(self, now: int) -> int:
        """Convert a time of this clock to nanoseconds since 1970-01-01."""
        return self._epoch + now

    def sleep_until(self, deadline: int) -> None:
        """Wait until an absolute time, so that delays do not add up over several waits."""
        while (left := deadline - self.now()) > 0:
            time.sleep(left / SECOND)
