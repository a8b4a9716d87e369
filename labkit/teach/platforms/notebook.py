"""Notebooks (otter-grader, nbgrader): the message of an assertion, and `check`, the function that makes it.

    from labkit.teach.platforms.notebook import check

    check("handshake", "submission.pcap")

A test cell is right if nothing is raised; nbgrader scores 0 for anything on standard error, to which nothing is written.
"""

from pathlib import Path

from labkit.teach.grade.archive import files
from labkit.teach.grade.classroom import grade_files
from labkit.teach.grade.task import Result, Task
from labkit.teach.platforms._text import failed, feedback_text

SUMMARY = "the message of an assertion in a notebook (otter-grader, nbgrader)"


def render(result: Result, failure: str) -> str:
    """The feedback; nothing for a hand-in with all its points."""
    if failure:
        return failed(failure)
    return "" if result.share >= 1 else feedback_text(result)


def check(task: Task | str | Path, handin: str | Path, part: str | None = None) -> None:
    """Raise AssertionError, with the feedback, unless a hand-in has all points: of the whole task, or of one part.

    `task` is a task, or the name or file of an assignment. InputError, ScenarioError if one of them cannot be read.
    """
    if not isinstance(task, Task):
        from labkit.teach.assign import Assignment
        from labkit.teach.assign.material import material

        task = material(Assignment.load(task), 0).task
    result = grade_files(task, files(str(handin)))
    if part is None:
        message = render(result, "")
    else:
        found = next(each for each in result.parts if each.name == part)
        message = "" if found.passed else found.reason
    if message:
        raise AssertionError(message)
