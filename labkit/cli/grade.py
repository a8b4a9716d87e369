"""`labkit grade`: grade what a class handed in, or one hand-in in the form of a teaching platform."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._budget import budget_options, capture_budget
from labkit.cli._common import Command, Exit, echo, note, option
from labkit.cli._grade import (
    class_options,
    complete_assignments,
    feedback_option,
    load,
    load_pupils,
    table_options,
    write_platform,
)
from labkit.cli._output import STANDARD_OUTPUT, write_octets
from labkit.cli._paths import PATH, standard_input
from labkit.errors import InputError, UsageError
from labkit.i18n import N_, _, listed, ngettext, printable
from labkit.teach.platforms import names

if TYPE_CHECKING:
    from labkit.teach.grade.classroom import Grader, Grades, Pupil
    from labkit.teach.grade.task import Result, Task

SUFFIXES = {".csv": "csv", ".xlsx": "xlsx", ".json": "json", ".html": "html", ".htm": "html", ".txt": "text"}
"""Forms of the table of a class by the suffix of a file."""

STANDARD_INPUT = "-"


@click.command(
    "grade",
    cls=Command,
    section="teach",
    examples=(
        "labkit grade handshake handins/ --answers handshake.answers.json -o grades.xlsx --feedback feedback",
        "labkit grade handshake submission.pcap --format gradescope -o results.json",
    ),
)
@click.argument("assignment", shell_complete=complete_assignments)
@click.argument("handins", metavar="[HAND-INS]", required=False, type=PATH)
@class_options()
@table_options(
    N_(
        "Write the table: .csv, .xlsx, .json, .html or .txt. For a platform: the result, or a folder of them. Repeatable."
    ),
    N_("Form of the table on standard output, or the platform for which one hand-in is graded."),
)
@feedback_option
@option("--student", metavar="ID", help=N_("With a platform and --answers: whose hand-in it is."))
@option(
    "--metadata",
    type=PATH,
    metavar="FILE",
    help=N_("With a platform and --answers: Gradescope's submission_metadata.json, which says whose hand-in it is."),
)
@budget_options("64MiB", 60)
@option(
    "--package",
    type=click.Choice(["gradescope"]),
    help=N_("Write the autograder that is uploaded to a platform, as a zip archive (-o FILE); HAND-INS is not read."),
)
def command(
    assignment: str,
    handins: str | None,
    outputs: tuple[str, ...],
    format_: str,
    feedback: str | None,
    package: str | None,
    **options: Any,
) -> int:
    """Grade hand-ins: points, reasons, and what to mend.

    ASSIGNMENT is a shipped assignment or a .yaml file. HAND-INS is a folder, the zip archive that Moodle, Canvas or Gradescope
    exports, one file, or '-' for standard input. The exit code is 0 whatever the points are.

    With --format and a platform, HAND-INS is what one student handed in, and the result is always valid: if grading fails, it
    says so, the exit code is 0, and nothing is written to standard error. If the output is a folder, HAND-INS is a class.
    """
    if package is not None:
        return _package(assignment, outputs, options)
    if handins is None:
        raise UsageError(_("missing HAND-INS"))
    if feedback is not None and format_ in names():
        raise UsageError(_("--feedback goes with the table of a class, not with a platform"))
    for name in ("student", "metadata"):
        if options[name] is not None and format_ not in names():
            raise UsageError(_("--{name} needs a platform (--format): a table is of a whole class").format(name=name))
    folders = [each for each in outputs if each.endswith("/") or Path(each).is_dir()]
    if format_ in names() and not folders:
        return _one(assignment, handins, outputs, format_, options)
    if format_ in names() and len(folders) < len(outputs):
        raise UsageError(_("-o names a folder for the results of a class, or a file for that of one hand-in; not both"))
    if format_ not in names():
        check_outputs(outputs)
    grades = _graded(assignment, handins, options)
    if format_ in names():
        protect_handins(handins)
        _write_platform(grades, outputs, format_)
    else:
        write_grades(grades, outputs, format_, feedback, handins)
    return Exit.OK


# A class.


def _graded(assignment: str, handins: str, options: dict[str, Any]) -> "Grades":
    from labkit.cli._progress import ProgressLine
    from labkit.jobs.grading import apart
    from labkit.teach.grade.classroom import grade_class

    budget = capture_budget(options)
    loaded = load(assignment)
    pupils = load_pupils(loaded, options)
    found = _found(handins)
    check_any(found, pupils, handins)
    with ProgressLine(_("grading")) as progress, apart(budget) as grader:
        return grade_class(
            loaded.task if pupils is None else pupils[0].task,
            found,
            pupils,
            given=loaded.given(),
            grader=grader,
            on_progress=lambda number, total: progress.show(
                _(": {number} of {total}").format(number=number, total=total)
            ),
        )


def check_any(found: Sequence[Any], pupils: "Sequence[Pupil] | None", name: str) -> None:
    """InputError if there are neither hand-ins nor students who could have handed in something."""
    if not found and pupils is None:
        raise InputError(_("{name}: there is no file in it").format(name=printable(name)))


def _found(handins: str) -> "list[Any]":
    from labkit.teach.grade.handins import HandIn, find

    if handins != STANDARD_INPUT:
        return find(handins)
    return [HandIn(_("standard input"), ("-",), [_standard_input()])]


def _standard_input() -> Any:
    from labkit.teach.grade.archive import MAX_FILE, Entry

    octets = standard_input(MAX_FILE)
    return Entry((_("standard input"),), lambda: octets)


def check_outputs(outputs: tuple[str, ...]) -> None:
    """UsageError for a file whose suffix names no form of the table of a class, CaptureError for one that cannot be written: a
    class is not to be graded in vain."""
    from labkit.capture.sink import Sink

    for output in outputs:
        place = Path(output)
        if place.suffix.lower() not in SUFFIXES:
            text = _("{name}: the suffix names no form of the table; use one of {known}")
            raise UsageError(text.format(name=printable(output), known=listed(SUFFIXES)))
        # A folder that is missing will be made. To open a pipe is to write to it.
        if place.parent.is_dir() and (place.is_file() or place.is_dir() or not place.exists()):
            Sink(output).discard()


def protect_handins(handins: str) -> None:
    """Let no file whose name follows from a student's replace what a student handed in."""
    from labkit.capture.guard import protect

    if Path(handins).is_dir():
        protect(map(str, Path(handins).rglob("*")))


def write_grades(grades: "Grades", outputs: tuple[str, ...], format_: str, feedback: str | None, handins: str) -> None:
    """Write the tables and the feedback for a class."""
    from labkit.teach.files import write_file
    from labkit.teach.grade.pages import feedback as lines
    from labkit.teach.grade.pages import feedback_html

    for output in outputs:
        write_table(grades, output)
    if feedback is not None:
        protect_handins(handins)
        for row in grades.rows:
            text = "\n".join(lines(row.result)) + "\n"
            write_file(Path(feedback) / f"{row.file}.txt", text.encode("utf-8", "backslashreplace"))
            page = feedback_html(row.result).encode("utf-8", "backslashreplace")
            write_file(Path(feedback) / f"{row.file}.html", page)
        note(_("{folder}: feedback for {n}").format(folder=feedback, n=len(grades.rows)))
    if not outputs and format_ == "xlsx":
        write_octets(STANDARD_OUTPUT, [_table(grades, format_)])
    elif not outputs:
        echo(table_of(grades, format_), nl=False)
    _note_outcome(grades)


def write_table(grades: "Grades", output: str) -> None:
    """Write the table of a class in the form that the suffix of a file names."""
    from labkit.teach.files import write_file

    write_file(Path(output), _table(grades, SUFFIXES[Path(output).suffix.lower()]))
    note(_("{file}: the table").format(file=output))


def table_of(grades: "Grades", format_: str) -> str:
    """The table of a class for standard output."""
    return _shown(grades) if format_ == "text" else _table(grades, format_).decode("utf-8-sig")


def _note_outcome(grades: "Grades") -> None:
    students = [row for row in grades.rows if row.on_roster]
    read, remarks = sum(row.result.was_read for row in students), len(grades.remarks) + len(grades.strangers)
    text = ngettext("{read} of {n} student graded", "{read} of {n} students graded", len(students))
    more = ngettext("{n} remark for a person to judge", "{n} remarks for a person to judge", remarks)
    note(f"{text.format(read=read, n=len(students))}{_('; ')}{more.format(n=remarks)}")


def _table(grades: "Grades", form: str) -> bytes:
    from labkit.teach.grade import pages, table

    match form:
        case "csv":
            return table.to_csv(grades)
        case "xlsx":
            return table.to_xlsx(grades)
        case "json":
            return table.to_json(grades)
        case "html":
            return pages.class_page(grades).encode("utf-8", "backslashreplace")
    return ("\n".join(table.to_text(grades)) + "\n").encode("utf-8", "backslashreplace")


COLOURS: dict[str, dict[str, Any]] = {"good": {"fg": "green"}, "bad": {"fg": "red"}, "bold": {"bold": True}, "": {}}


def _shown(grades: "Grades") -> str:
    """The table for a terminal."""
    from labkit.teach.grade.table import to_text

    columns = 0
    if sys.stdout is not None and sys.stdout.isatty():
        from shutil import get_terminal_size

        columns = get_terminal_size().columns
    return "\n".join(to_text(grades, lambda text, name: click.style(text, **COLOURS[name]), columns)) + "\n"


def _write_platform(grades: "Grades", folders: Sequence[str], format_: str) -> None:
    from labkit.teach.files import write_file
    from labkit.teach.platforms import platform

    made = platform(format_)
    for row in grades.rows:
        text = made.render(row.result, "") + "\n"
        suffix = ".json" if text.startswith(("{", "[")) else ".txt"
        for folder in folders:
            write_file(Path(folder) / f"{row.file}{suffix}", text.encode("utf-8", "backslashreplace"))
    _note_outcome(grades)


# One hand-in for a platform.


def _one(assignment: str, handins: str, outputs: tuple[str, ...], format_: str, options: dict[str, Any]) -> int:
    """Grade one hand-in for a platform."""
    from functools import partial

    from labkit.teach.grade.classroom import safely

    budget = capture_budget(options)

    def graded() -> "Iterator[Task | Result]":
        task = _task(assignment, {**options, "quiet": True})
        yield task
        yield _one_result(task, handins, partial(safely, budget=budget))

    return write_platform(assignment, graded(), outputs, format_)


def _one_result(task: "Task", handins: str, grader: "Grader") -> "Result":
    from labkit.teach.grade.archive import files
    from labkit.teach.grade.classroom import grade_files
    from labkit.teach.grade.judging import without
    from labkit.teach.grade.task import NOTHING

    entries = [_standard_input()] if handins == STANDARD_INPUT else files(handins)
    if not entries:
        return without(task, NOTHING, _("nothing was handed in"))
    return grade_files(task, entries, grader)


def _task(assignment: str, options: dict[str, Any]) -> "Task":
    """The task of the student whose hand-in it is."""
    loaded = load(assignment)
    pupils = load_pupils(loaded, options)
    if pupils is None:
        return loaded.task
    return _pupil(pupils, options).task


def _pupil(pupils: "list[Pupil]", options: dict[str, Any]) -> "Pupil":
    from labkit.cli._grade import submitters
    from labkit.teach.grade.handins import HandIn, Matcher

    keys = submitters(options)
    if not keys:
        raise UsageError(_("each student has a task of their own; --student ID says whose hand-in it is"))
    asked = [HandIn(each[-1], each) for each in keys]
    matcher = Matcher((pupil.student for pupil in pupils), asked)
    why = ""
    for each in asked:
        student, why = matcher.find(each)
        if student is not None:
            return next(pupil for pupil in pupils if pupil.student.id == student)
    raise UsageError(_("{student}: {why}").format(student=printable(keys[0][-1]), why=why))


def _package(assignment: str, outputs: tuple[str, ...], options: dict[str, Any]) -> int:
    from labkit.teach.files import write_file
    from labkit.teach.platforms._gradescope_package import package as made

    if len(outputs) > 1:
        raise UsageError(_("--package writes one file"))
    loaded = load(assignment)
    pupils = load_pupils(loaded, options)
    target = outputs[0] if outputs else f"{loaded.task.name}-gradescope.zip"
    write_file(Path(target), made(loaded.task, pupils))
    note(_("{file}: upload it as the autograder of a Gradescope programming assignment").format(file=target))
    return Exit.OK
