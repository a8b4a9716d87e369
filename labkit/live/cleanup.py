"""A process that outlives another one only to clear up behind it, however that one ends.

It waits at the end of a pipe: when nobody holds the other end any more, its owner is gone, and it does what it was made
for. It holds nothing else but what it is given to hold: it keeps nothing alive that is not its business.
"""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress


class CleanupProcess:
    """Calls a function, in another process, when this process is gone or has dismissed it; a context manager.

    All descriptors but those of `holding` are closed in it. Make it while the process has one thread.
    """

    def __init__(self, duty: Callable[[], object], holding: Iterable[int] = ()) -> None:
        reading, self._writing = os.pipe()
        self.process = os.fork()
        """The number of the keeper's process."""
        if self.process == 0:
            _keep(reading, duty, set(holding))
        os.close(reading)

    def dismiss(self) -> None:
        """Let it do its duty now, and wait for that; nothing happens the second time."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
            with suppress(ChildProcessError):
                os.waitpid(self.process, 0)

    def __enter__(self) -> "CleanupProcess":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.dismiss()


def _keep(reading: int, duty: Callable[[], object], holding: set[int]) -> None:
    """The keeper's whole life. Signals of the terminal are not for it."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        last = 2
        for kept in sorted({reading, *holding}):
            os.closerange(last + 1, kept)
            last = kept
        os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
        while os.read(reading, 1):
            pass
        duty()
    finally:
        os._exit(0)
