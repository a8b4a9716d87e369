"""A thread that does one task after the other.

`concurrent.futures` has more, and brings `logging` and a dozen other modules: importing those takes as long as verifying tens of
thousands of packets.
"""

from collections import deque
from collections.abc import Callable
from threading import Lock, Semaphore, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Task(Generic[T]):
    """What a worker is to do, and then its result."""

    def __init__(self, work: Callable[..., T], *values: Any) -> None:
        self._work, self._values = work, values
        self._running = Lock()
        self._running.acquire()
        self._error: BaseException | None = None
        self._result: T

    def run(self) -> None:
        """Do it."""
        try:
            self._result = self._work(*self._values)
        except BaseException as error:
            self._error = error
        finally:
            self._running.release()

    @property
    def over(self) -> bool:
        """Whether it is done, or has failed."""
        return not self._running.locked()

    def result(self) -> T:
        """Wait until it is done; return or raise what it did."""
        with self._running:
            pass
        if self._error is not None:
            raise self._error
        return self._result


class Worker:
    """The thread, as a context manager: its end waits for all tasks."""

    def __init__(self) -> None:
        self._tasks: deque[Task[Any] | None] = deque()
        self._waiting = Semaphore(0)
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._add(None)
        self._thread.join()

    def submit(self, work: Callable[..., T], *values: Any) -> Task[T]:
        """Call a function with values when all tasks before are done."""
        task = Task(work, *values)
        self._add(task)
        return task

    def _add(self, task: Task[Any] | None) -> None:
        self._tasks.append(task)
        self._waiting.release()

    def _run(self) -> None:
        while True:
            self._waiting.acquire()
            task = self._tasks.popleft()
            if task is None:
                return
            task.run()
