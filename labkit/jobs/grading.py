"""Grade hand-ins in a process of their own: a file that makes it fail, or die, costs its own result only."""

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager

from labkit.capture.budget import Budget
from labkit.i18n import _
from labkit.jobs.processes import Processes
from labkit.teach.grade.classroom import Grader, safely
from labkit.teach.grade.judging import without
from labkit.teach.grade.task import UNREADABLE, Result, Task


@contextmanager
def apart(budget: Budget) -> Iterator[Grader]:
    """What grades one file after the other, each within a budget, in another process."""
    pool = Processes(1, memory=2 * budget.memory)

    def grade(task: Task, octets: bytes, name: str) -> Result:
        try:
            return pool.submit(safely, task, octets, name, budget).result()
        except BrokenExecutor:
            reason = _("grading this file ended labkit's process, maybe for want of memory; grade it by hand")
            return without(task, UNREADABLE, reason, file=name)

    try:
        yield grade
    finally:
        pool.terminate()
