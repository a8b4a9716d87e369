"""An Executor of processes that survives their death: the task of a dead process fails, and a new process does the next.

Each process belongs to a thread, which sends it a task over a pipe and waits for the answer. So the thread knows which task
was lost, and a process may be killed at any moment: only its own thread meets the end of the pipe.
"""

import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from pickle import dumps, loads
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Literal, ParamSpec, TypeVar

RESERVED = 1 << 30
"""Octets of address space that the compiled engine may reserve."""

P = ParamSpec("P")
T = TypeVar("T")


class Processes(Executor):
    """`count` processes. If one dies, its task fails with BrokenExecutor, and no other task does.

    All of them end with this program, however it ends. `memory`: octets that each may take beyond what it starts with; a task
    that wants more gets a MemoryError.
    """

    def __init__(self, count: int, memory: int | None = None) -> None:
        # A new interpreter would look for modules in the current folder first, where hand-ins may lie.
        os.environ["PYTHONSAFEPATH"] = "1"
        self._all = [_Process(memory) for _ in range(count)]
        if _has_one_thread():
            # To copy this process takes a tenth of the time that a new one takes.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            for each in self._all:
                each.start("fork")
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._threads = ThreadPoolExecutor(count, initializer=_block_ctrl_c)
        self._free: SimpleQueue[_Process] = SimpleQueue()
        for process in self._all:
            self._free.put(process)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Give a task to the next process that is free."""
        return self._threads.submit(self._result, function, args, kwargs)

    def _result(self, function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
        process = self._free.get()  # there is one for each thread
        try:
            return process.result(function, args, kwargs)
        finally:
            self._free.put(process)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes after their tasks. Without `wait`, they end with the program."""
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
    """One process at a time; a new one replaces one that died."""

    def __init__(self, memory: int | None) -> None:
        self._memory = memory
        self._lock = Lock()
        self._ended = False
        self._process: BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None

    def result(self, function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
        """Run a task, and return its result or raise its exception. BrokenExecutor if the process dies."""
        pipe = self._pipe or self.start()
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

    def start(self, how: Literal["fork", "spawn"] = "spawn") -> "Connection[Any, Any]":
        """Start the process. "fork" would copy locks that other threads of this process hold."""
        if how == "spawn":
            # multiprocessing would start its own helper with the first process, and unblock SIGINT for that process.
            ensure_running()
            _block_ctrl_c()
        context: Any = get_context(how)  # every context has Process, but not the class that all of them share
        with self._lock:
            if self._ended:
                raise BrokenExecutor
            here, there = Pipe()
            self._process = context.Process(target=_work, args=(there, self._memory), daemon=True)
            self._process.start()
            # The pipe ends with the process only if this process has closed its copy.
            there.close()
            self._pipe = here
            return here

    def end(self) -> None:
        """Kill the process, and start no other one."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()
                self._process.join()


def _block_ctrl_c() -> None:
    """Block SIGINT in a thread that starts processes: a terminal sends it to them too, but this program ends them itself.

    A process inherits the blocked signals of the thread that starts it, so that it is safe from its first moment.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _has_one_thread() -> bool:
    """Whether this process surely has one thread only: Linux says so."""
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - pathlib would make objects of the names
    except OSError:
        return False


def _work(pipe: "Connection[Any, Any]", memory: int | None) -> None:
    """Run tasks in a process up to the end of the pipe. A process without memory for its answer ends without a word: whoever
    waits for the answer says which capture it was."""
    try:
        _serve(pipe, memory)
    except Exception:  # CPython then raises SystemError, too
        if os.environ.get("LABKIT_DEBUG"):
            raise
        os._exit(1)


def _serve(pipe: "Connection[Any, Any]", memory: int | None) -> None:
    _end_with_parent()
    if memory is not None:
        _bound_memory(memory)
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


def _bound_memory(octets: int) -> None:
    """Let this process take so much memory beyond what it has. The compiled engine reserves RESERVED, of which it uses little."""
    import resource

    with suppress(OSError, ValueError, StopIteration):  # where the system does not say, it knows no such bound
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        held = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))
        _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = held + octets + RESERVED
        if hard == resource.RLIM_INFINITY or most <= hard:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _end_with_parent() -> None:
    """End this process when its parent ends, even if the parent is killed."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()
