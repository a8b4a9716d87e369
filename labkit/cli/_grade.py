"""What `labkit grade` and `labkit check-live` share: assignments, tasks, rosters, answer keys, who submitted, and the result
for a platform."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from labkit.cli._common import Exit, F, echo, note, option, options
from labkit.cli._paths import OUTPUT, PATH
from labkit.errors import InputError, LabkitError, UsageError
from labkit.i18n import N_, _, printable, unreadable

if TYPE_CHECKING:
    from labkit.teach.assign import Assignment
    from labkit.teach.grade.classroom import Pupil
    from labkit.teach.grade.task import Result, Task

TABLES = ("text", "csv", "json", "html")
"""Forms of the table of a class that go to standard output."""

MAX_METADATA = 1 << 20
"""Octets of Gradescope's metadata that are read."""


def complete_assignments(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an assignment: the shipped ones, else files."""
    from labkit.teach.assign import shipped

    names = [CompletionItem(name) for name in shipped() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def class_options() -> Callable[[F], F]:
    """Who is in the class, and what each student had to do."""
    return options(
        option(
            "--roster",
            type=PATH,
            metavar="ROSTER.csv",
            help=N_("The students, each of whom gets a row: a CSV file. Without it, each hand-in is a row."),
        ),
        option(
            "--column",
            metavar="NAME",
            help=N_("The column that identifies a student.  [default: as for 'labkit assign build']"),
        ),
        option(
            "--answers",
            type=PATH,
            metavar="FILE",
            help=N_("The answer key of 'labkit assign build': each student's own task, and the roster."),
        ),
    )


def table_options(output: str, form: str) -> Callable[[F], F]:
    """Where the grades go: `-o`, passed as `outputs`, and `--format`, passed as `format_`, with their help."""
    from labkit.teach.platforms import names

    return options(
        option("-o", "--output", "outputs", multiple=True, type=OUTPUT, metavar="FILE", help=output),
        option(
            "--format", "format_", type=click.Choice([*TABLES, *names()]), default="text", show_default=True, help=form
        ),
    )


feedback_option = option(
    "--feedback",
    type=PATH,
    metavar="FOLDER",
    help=N_("Write a feedback page and text for each student into FOLDER."),
)


@dataclass(frozen=True)
class Loaded:
    """An assignment, or the task that a package holds."""

    packed: "Task | None" = None
    assignment: "Assignment | None" = None

    @cached_property
    def task(self) -> "Task":
        """The task; that of an example student where each has one of their own."""
        if self.assignment is None:
            assert self.packed is not None  # noqa: S101 - one of the two is there
            return self.packed
        from labkit.teach.assign.material import material

        return material(self.assignment, 0).task

    def given(self) -> Mapping[str, str]:
        """The captures that labkit writes and nobody should hand in, by the digest of their packets."""
        if self.assignment is None:
            return {}
        from labkit.teach.assign.material import known_captures

        return known_captures(self.assignment)


def load(name: str) -> Loaded:
    """A shipped assignment, a .yaml file, or the .json task of a package."""
    if name.endswith(".json"):
        from labkit.teach.grade.task import Task

        try:
            return Loaded(Task.from_json(json.loads(Path(name).read_bytes())))
        except OSError as error:
            raise InputError(unreadable(name, error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(_("{name}: not a task of a package").format(name=printable(name))) from error
    from labkit.teach.assign import Assignment

    assignment = Assignment.load(name)
    if assignment.model.program is not None:
        text = _("{name}: what is handed in is a program; 'labkit check-live' runs and grades it")
        raise UsageError(text.format(name=printable(name)))
    return Loaded(assignment=assignment)


def load_pupils(loaded: Loaded, options: Mapping[str, Any]) -> "list[Pupil] | None":
    """The students with their tasks, in the order of the roster; None without roster and answer key."""
    from labkit.teach.grade.classroom import Pupil

    if options["answers"] is not None:
        pupils = _from_answers(loaded, options["answers"])
        if options["roster"] is None:
            return pupils
        tasks = {each.student.id: each.task for each in pupils}
        students = _students(options)
        missing = [each.id for each in students if each.id not in tasks]
        if missing:
            text = _("{student!r} is on the roster, but not in the answer key; run 'labkit assign build' again")
            raise UsageError(text.format(student=missing[0]))
        return [Pupil(each, tasks[each.id]) for each in students]
    if not loaded.task.shared and loaded.assignment is not None:
        text = _(
            "each student has a hand-out of their own: --answers FILE names the answer key of 'labkit assign build'"
        )
        if options["roster"] is not None:
            raise UsageError(text)
        if not options.get("quiet"):
            note(text + _("; grading with the example's values"))
    if options["roster"] is None:
        return None
    return [Pupil(each, loaded.task) for each in _students(options)]


def _from_answers(loaded: Loaded, path: str) -> "list[Pupil]":
    from labkit.teach.grade.answer_key import pupil, read_answers

    key = read_answers(path, pupil)
    if loaded.assignment is not None and key.digest != loaded.assignment.digest.hex():
        text = _("{name}: is the answer key of another assignment, or of another version")
        raise UsageError(text.format(name=printable(path)))
    return list(key.students.values())


def _students(options: Mapping[str, Any]) -> Any:
    from labkit.teach.roster import ID_COLUMNS, MAX_CLASS, read_roster

    found = read_roster(options["roster"], options["column"], ID_COLUMNS, MAX_CLASS)
    for hint in () if options.get("quiet") else found.hints:
        note(hint)
    return found.held()


def submitters(options: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Who handed in, each with what identifies them: from --student, or from Gradescope's metadata."""
    if options["student"] is not None:
        return [(options["student"],)]
    if options["metadata"] is None:
        return []
    name = printable(options["metadata"])
    try:
        with Path(options["metadata"]).open("rb") as file:
            users = json.loads(file.read(MAX_METADATA))["users"]
        return [tuple(str(each[key]) for key in ("sid", "email", "name") if each.get(key)) for each in users]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(_("{name}: cannot be read as Gradescope's metadata").format(name=name)) from error


def write_platform(assignment: str, graded: "Iterable[Task | Result]", outputs: Sequence[str], format_: str) -> int:
    """Write the result of one hand-in for a platform, which gets a valid one, and nothing else, whatever fails.

    `graded` yields the task as soon as it is known, and then the result.
    """
    from labkit.teach.files import write_file
    from labkit.teach.grade.judging import without
    from labkit.teach.grade.task import UNREADABLE, Result, Task
    from labkit.teach.platforms import platform

    task, result, failure = Task(assignment), None, ""
    try:
        for each in graded:
            if isinstance(each, Result):
                result = each
            else:
                task = each
    except LabkitError as error:
        failure = str(error)
    except Exception as error:  # the platform needs a result, whatever happens
        failure = f"{type(error).__name__}: {error}"
    failure = printable(failure)
    text = platform(format_).render(result or without(task, UNREADABLE, failure), failure) + "\n"
    if not outputs:
        echo(text, nl=False)
    for output in outputs:
        write_file(Path(output), text.encode("utf-8", "backslashreplace"))
    return Exit.OK
