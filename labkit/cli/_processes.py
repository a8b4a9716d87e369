"""Processes that judge captures, as an Executor that outlives them: where one dies, there are new ones for what comes next."""

import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Processes(Executor):
    """So many processes. A task whose process dies fails with BrokenProcessPool, as do those that are under way then."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._others = set(active_children())
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        # "spawn" starts afresh: a copy of this process would be one of its locks and threads too.
        return ProcessPoolExecutor(self._count, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_DFL))

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """A task for the next process that is free."""
        try:
            return self._pool.submit(function, *args, **kwargs)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._new()
            return self._pool.submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have done what was submitted."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def terminate(self) -> None:
        """End the processes now."""
        for process in set(active_children()) - self._others:
            process.terminate()
        self.shutdown(wait=False, cancel_futures=True)
