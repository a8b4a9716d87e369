"""Time on the wire: nanoseconds since a run began, on a clock that never steps, and what a calendar says of them."""

import time

SECOND = 1_000_000_000


class Clock:
    """Starts at 0 when it is made."""

    def __init__(self) -> None:
        self._begin = time.monotonic_ns()
        self._epoch = time.time_ns()

    def now(self) -> int:
        """Nanoseconds since the start."""
        return time.monotonic_ns() - self._begin

    def wall(self, now: int) -> int:
        """Such a time as nanoseconds since 1970-01-01."""
        return self._epoch + now

    def sleep_until(self, deadline: int) -> None:
        """Wait for a time. Deadlines are absolute, so that what one wait is late the next one is not."""
        while (left := deadline - self.now()) > 0:
            time.sleep(left / SECOND)
