"""Processes that judge captures, as an Executor: where one dies, its task has failed, and a new one does what comes next.

Each process belongs to a thread, which gives it a task over a pipe and waits for what comes back. So it is known whose task
was lost, and a process can be ended at any moment: its thread finds the end of the pipe, and nobody else notices.
"""

import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from pickle import dumps, loads
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Processes(Executor):
    """So many processes. A task whose process dies fails with BrokenExecutor, as no other does.

    None outlives this program, however that ends.
    """

    def __init__(self, count: int) -> None:
        # multiprocessing's own helper is started with the first process otherwise, and lets that one hear of Ctrl-C.
        ensure_running()
        self._threads = ThreadPoolExecutor(count, initializer=_hear_no_ctrl_c)
        self._all = [_Process() for _ in range(count)]
        self._free: SimpleQueue[_Process] = SimpleQueue()
        for process in self._all:
            self._free.put(process)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """A task for the next process that is free."""
        return self._threads.submit(self._result, function, args, kwargs)

    def _result(self, function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
        process = self._free.get()  # there are as many as there are threads
        try:
            return process.result(function, args, kwargs)
        finally:
            self._free.put(process)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have done what was submitted; where nobody waits for that, at the program's end."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            self._end()

    def terminate(self) -> None:
        """End the processes now."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._end()
        self._threads.shutdown()

    def _end(self) -> None:
        for process in self._all:
            process.end()


class _Process:
    """One process after the other, each for as many tasks as it survives."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ended = False
        self._process: SpawnProcess | None = None
        self._pipe: Connection[Any, Any] | None = None

    def result(self, function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
        """What a process makes of a task: its result, or what it raised. BrokenExecutor where it dies over it."""
        pipe = self._pipe or self._start()
        try:
            pipe.send((function, args, kwargs))
            done, value = pipe.recv()
        except (EOFError, OSError):
            pipe.close()
            self._pipe = None
            raise BrokenExecutor from None
        if not done:
            raise value
        return value  # type: ignore[no-any-return]

    def _start(self) -> "Connection[Any, Any]":
        # "spawn" starts afresh: a copy of this process would be one of its locks and threads too.
        context = get_context("spawn")
        with self._lock:
            if self._ended:
                raise BrokenExecutor
            here, there = context.Pipe()
            self._process = context.Process(target=_work, args=(there,), daemon=True)
            self._process.start()
            # The pipe has an end when nobody else has this one.
            there.close()
            self._pipe = here
            return here

    def end(self) -> None:
        """End the process, and start none again."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()
                self._process.join()


def _hear_no_ctrl_c() -> None:
    """In a thread that starts processes: Ctrl-C goes to all that a terminal runs, and we end ours ourselves.

    A process that is started here, as they are, never hears of a signal that we do not hear of, not even before its first line.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _work(pipe: "Connection[Any, Any]") -> None:
    """What a process does: one task after the other, up to the end of the pipe."""
    _end_with_parent()
    while True:
        try:
            octets = pipe.recv_bytes()
        except EOFError:
            return
        try:
            function, args, kwargs = loads(octets)  # noqa: S301 - from the process that started this one
            answer = dumps((True, function(*args, **kwargs)))
        except Exception as error:
            answer = dumps((False, error))
        pipe.send_bytes(answer)


def _end_with_parent() -> None:
    """End this process when the one that started it is no more, killed ones included."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()
