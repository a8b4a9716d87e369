"""A child process that cleans up after its parent, however the parent ends.

The child reads from a pipe whose write end only the parent holds. End of file means that the parent is gone; the child then
calls the cleanup function and exits.
"""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress


class CleanupProcess(AbstractContextManager["CleanupProcess"]):
    """Call a function in a child process when this process ends or calls `finish`; a context manager.

    The child closes all descriptors except those in `keep_open`. Create it while the process has one thread.
    """

    def __init__(self, cleanup: Callable[[], object], keep_open: Iterable[int] = ()) -> None:
        read_end, self._write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _wait_and_clean_up(read_end, cleanup, set(keep_open))
        os.close(read_end)

    def finish(self) -> None:
        """Start the cleanup and wait for its end. Later calls do nothing."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    def __exit__(self, *_exception: object) -> None:
        self.finish()


def _wait_and_clean_up(read_end: int, cleanup: Callable[[], object], keep_open: set[int]) -> None:
    """Run the child. It ignores the terminal's signals."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        last = 2
        for descriptor in sorted({read_end, *keep_open}):
            os.closerange(last + 1, descriptor)
            last = descriptor
        os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
        while os.read(read_end, 1):
            pass
        cleanup()
    finally:
        os._exit(0)
