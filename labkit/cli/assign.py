"""`labkit assign`: list and show assignments, and build what each student of a class gets."""

from pathlib import Path
from typing import Any

import click

from labkit.cli._common import Command, CommandGroup, echo, emit_json, format_option, note, option
from labkit.cli._grade import complete_assignments
from labkit.cli._paths import OUTPUT, PATH
from labkit.errors import UsageError
from labkit.i18n import N_, _, ngettext, printable


@click.group(
    "assign",
    cls=CommandGroup,
    section="teach",
    examples=("labkit assign list", "labkit assign build handshake --roster class.csv -o handouts"),
)
def command() -> None:
    """List, show and build assignments for a class.

    ASSIGNMENT is the name of a shipped assignment or a .yaml file. 'labkit grade' grades what students hand in.
    """


@command.command("list", cls=Command, examples=("labkit assign list", "labkit assign list --format json"))
@format_option("text", "json")
def list_(format_: str) -> None:
    """List the shipped assignments."""
    from labkit.teach.assign import Assignment, shipped

    found = [Assignment.load(name) for name in shipped()]
    if format_ == "json":
        rows = [
            {
                "name": each.name,
                "title": each.model.title,
                "summary": each.model.summary,
                "hand_in": each.model.hand_in,
                "points": _points(each),
            }
            for each in found
        ]
        emit_json({"assignments": rows})
        return
    width = max(len(each.name) for each in found)
    for each in found:
        echo(f"{click.style(each.name.ljust(width), bold=True)}  {each.model.hand_in:<16}  {each.model.summary}")
    note(_("'labkit assign show NAME' prints one to copy and change, 'labkit assign build' makes hand-outs"))


def _points(assignment: Any) -> float:
    questions = sum(each.points for each in assignment.model.questions if not each.bonus)
    return float(round(assignment.task().of + questions, 2))


@command.command(
    "show", cls=Command, examples=("labkit assign show handshake", "labkit assign show handshake > mine.yaml")
)
@click.argument("assignment", shell_complete=complete_assignments)
@option("--handout", is_flag=True, help=N_("Print the page of an example student instead, in Markdown."))
@option(
    "--models",
    type=PATH,
    metavar="FOLDER",
    help=N_("Write the solution and the model hand-ins into FOLDER instead, with the points that each gets."),
)
@option(
    "--answers",
    type=PATH,
    metavar="FILE",
    help=N_("With --models: write hand-ins of the students of this answer key, to try 'labkit grade' without a class."),
)
def show(assignment: str, handout: bool, models: str | None, answers: str | None) -> None:
    """Print an assignment's YAML: save it, change it, and give the file to 'labkit assign build' and 'labkit grade'."""
    if handout and models is not None:
        raise UsageError(_("--handout and --models exclude each other"))
    if answers is not None and models is None:
        raise UsageError(_("--answers needs --models"))
    from labkit.teach.assign import Assignment

    loaded = Assignment.load(assignment)
    if handout:
        from labkit.teach.assign.handout import markdown
        from labkit.teach.assign.material import material

        echo(markdown(material(loaded, 0)), nl=False)
    elif models is not None:
        _write_models(loaded, Path(models), answers)
    else:
        echo(loaded.source.text, nl=False)


def _write_models(loaded: Any, folder: Path, answers: str | None) -> None:
    from labkit.teach.assign.material import models as made
    from labkit.teach.files import write_file
    from labkit.teach.grade.task import PROGRAM, points_text

    found = [(model.name, own, model) for own, model in made(loaded)]
    if answers is not None:
        found = list(_class_models(loaded, answers))
    for name, own, model in found:
        # A command names a program's file, so that it keeps its name.
        file = f"{name}/{model.file}" if own.task.kind == PROGRAM else f"{name}{Path(model.file).suffix}"
        write_file(folder / file, model.octets)
        points = f"{points_text(model.points)}/{points_text(own.task.of)}"
        echo(f"{file:<36} {points:>7}  {_(model.why)}")


def _class_models(loaded: Any, answers: str) -> Any:
    """The model hand-ins in turn, each with the numbers of a student."""
    from labkit.teach.assign.material import models as made
    from labkit.teach.grade.answer_key import read_answers

    key = read_answers(answers, lambda each: (each["folder"], int(each["seed"], 16), each["place"]))
    for number, (folder, seed, place) in enumerate(key.students.values()):
        found = list(made(loaded, seed, place))
        own, model = found[number % len(found)]
        yield folder, own, model


@command.command(
    "build",
    cls=Command,
    examples=(
        "labkit assign build handshake --roster class.csv -o handouts",
        "labkit assign build mine.yaml --roster moodle.csv --column 'ID number' -o week3 --answers week3.answers.json",
    ),
)
@click.argument("assignment", shell_complete=complete_assignments)
@option(
    "--roster",
    type=PATH,
    required=True,
    metavar="ROSTER.csv",
    help=N_("The students: a CSV file as spreadsheets and learning platforms write it."),
)
@option(
    "--column",
    metavar="NAME",
    help=N_("The column that identifies a student.  [default: student id, id, ..., else the first]"),
)
@option("-o", "--output", type=OUTPUT, metavar="FOLDER", help=N_("Folder of the hand-outs.  [default: NAME-handouts]"))
@option(
    "--answers",
    type=OUTPUT,
    metavar="FILE",
    help=N_(
        "The answer key, outside FOLDER. Who is in it already keeps the same hand-out.  [default: NAME.answers.json]"
    ),
)
@option(
    "--key",
    type=PATH,
    metavar="FILE",
    help=N_("Secret from which each student's values follow: at least 16 random bytes.  [default: made anew]"),
)
@option("--pdf", is_flag=True, help=N_("Print each page as PDF, too, by Chromium or WeasyPrint if one is installed."))
def build(
    assignment: str,
    roster: str,
    column: str | None,
    output: str | None,
    answers: str | None,
    key: str | None,
    pdf: bool,
) -> None:
    """Build a hand-out of their own for each student: page, captures, numbers; and one answer key.

    Each student has a folder in FOLDER. The files in it hold neither names nor IDs.
    """
    from labkit.cli._progress import ProgressLine
    from labkit.teach.assign import Assignment
    from labkit.teach.assign.kit import build as built
    from labkit.teach.pdf import Printer
    from labkit.teach.variants import read_key

    loaded = Assignment.load(assignment)
    students = _students(roster, column)
    folder, target = Path(output or f"{loaded.name}-handouts"), Path(answers or f"{loaded.name}.answers.json")
    secret = read_key(key) if key is not None else None
    printer = Printer() if pdf else None
    tasks: set[int] = set()
    with ProgressLine(_("building")) as progress:
        for number, own in enumerate(built(loaded, students, folder, target, secret, printer), 1):
            if len(tasks) < 2:  # whether there are two, whatever the class
                tasks.add(hash((repr(own.task), *own.captures.values())))
            progress.show(_(": {number} of {total}").format(number=number, total=len(students)))
    if len(tasks) == 1 < len(students):
        note(_("all hand-outs are the same: the assignment draws nothing for each student ('draw:', or ranges)"))
    text = ngettext(
        "{folder}: hand-outs for {n} student; the answer key is {answers}",
        "{folder}: hand-outs for {n} students; the answer key is {answers}",
        len(students),
    )
    note(text.format(folder=folder, n=len(students), answers=target))


def _students(roster: str, column: str | None) -> Any:
    from labkit.teach.roster import ID_COLUMNS, MAX_CLASS, read_roster

    found = read_roster(roster, column, ID_COLUMNS, MAX_CLASS)
    for hint in found.hints:
        note(hint)
    if column is None and found.column.casefold() not in ID_COLUMNS:
        text = _("{roster}: taking the students from its first column, '{column}'; --column names another one")
        note(text.format(roster=roster, column=printable(found.column)))
    return found.students
