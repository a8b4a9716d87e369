"""Processes that judge captures, as an Executor that outlives them: where one dies, there are new ones for what comes next."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.resource_tracker import ensure_running
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Processes(Executor):
    """So many processes. A task whose process dies fails with BrokenProcessPool, as do those that are under way then.

    None outlives this program, however that ends.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._others = set(active_children())
        # multiprocessing's own helper is started by the first process otherwise, which would hear of Ctrl-C then.
        ensure_running()
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        # "spawn" starts afresh: a copy of this process would be one of its locks and threads too.
        return ProcessPoolExecutor(self._count, get_context("spawn"), _end_with_parent)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """A task for the next process that is free."""
        # Ctrl-C goes to all processes of a terminal, and we end ours ourselves. A process that is started here, as they are,
        # never hears of a signal that we do not hear of, not even before its first line.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(function, *args, **kwargs)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._new()
            return self._pool.submit(function, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have done what was submitted."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def terminate(self) -> None:
        """End the processes now."""
        for process in set(active_children()) - self._others:
            process.terminate()
        self.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """In a process that judges: end it when the one that started it is no more, killed ones included."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()
