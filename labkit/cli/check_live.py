"""`labkit check-live`: run students' own TCP programs in a lab, and grade what they sent."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, Exit, echo, note, option
from labkit.cli._grade import (
    Loaded,
    class_options,
    complete_assignments,
    feedback_option,
    load_pupils,
    table_options,
    write_platform,
)
from labkit.cli._live import Duration, orderly
from labkit.cli._paths import PATH
from labkit.cli.grade import check_any, check_outputs, table_of, write_grades, write_table
from labkit.cli.lab import ANY_ARGUMENTS
from labkit.errors import UsageError
from labkit.i18n import N_, _, printable
from labkit.teach.platforms import names

if TYPE_CHECKING:
    from labkit.capture import Frame
    from labkit.live.trial import Setting, Trial
    from labkit.teach.assign import Assignment
    from labkit.teach.grade.classroom import Grades
    from labkit.teach.grade.task import Result, Task

HAND_IN = "{hand-in}"
MAX_NAME = 255
"""Octets of a file's name, on Linux."""


@click.command(
    "check-live",
    cls=Command,
    section="teach",
    context_settings=ANY_ARGUMENTS,
    examples=(
        "sudo labkit check-live tcp.yaml python3 mytcp.py",
        "sudo labkit check-live --hand-ins handins -o grades.xlsx tcp.yaml python3 {hand-in}/mytcp.py",
    ),
)
@option("--seed", type=click.IntRange(min=0), metavar="N", help=N_("Do only the run with this seed."))
@option(
    "--runs", type=click.IntRange(1, 100), metavar="N", help=N_("How many runs.  [default: as the assignment says]")
)
@option(
    "--for",
    "seconds",
    type=Duration(),
    metavar="TIME",
    help=N_("End each run after this time: 10s, 500ms.  [default: as the assignment says]"),
)
@option(
    "--peer",
    type=click.Choice(["labkit", "kernel"]),
    help=N_("The TCP that plays the other side.  [default: as the assignment says]"),
)
@option(
    "--user",
    metavar="NAME",
    default="nobody",
    show_default=True,
    help=N_("The user that the program runs as, if labkit is root."),
)
@option(
    "--hand-ins",
    type=PATH,
    metavar="FOLDER|ZIP",
    help=N_(
        "Grade a class: each file or folder in it is a student's, and takes the place of {hand-in} in COMMAND. Also the zip "
        "archive that Moodle, Canvas or Gradescope exports."
    ),
)
@class_options()
@feedback_option
@option(
    "--captures",
    type=PATH,
    metavar="FOLDER",
    help=N_("Write the packets of each run into FOLDER, with comments on what labkit did and what is wrong."),
)
@table_options(
    N_("Write the table: .csv, .xlsx, .json, .html or .txt. For a platform: the result. Repeatable."),
    N_("Form of the result on standard output: a table, or a platform's."),
)
@click.argument("assignment", shell_complete=complete_assignments)
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    assignment: str,
    words: tuple[str, ...],
    outputs: tuple[str, ...],
    format_: str,
    hand_ins: str | None,
    **options: Any,
) -> int:
    """Run students' TCP programs, and grade what they send.

    ASSIGNMENT is one with 'hand-in: live-program'. COMMAND is the program, a client or server of its own over a tun device or
    raw sockets. Each run has a lab of its own, where labkit or the kernel plays the other side over the scenario's path. The
    program has no other network and few rights; it is ended with all its children. It begins in a folder with copies of the
    files and folders that COMMAND names. The exit code is 0 whatever the points are.
    """
    _check_usage(words, hand_ins, format_, options)
    if format_ in names():
        return _platform(assignment, words, outputs, format_, options)
    check_outputs(outputs)
    loaded = _load(assignment)
    with orderly() as signalled:
        try:
            grades = _one(loaded, words, options) if hand_ins is None else _class(loaded, words, hand_ins, options)
        except KeyboardInterrupt:
            note(_("interrupted"))
            return signalled.code(Exit.INTERRUPTED)
    if hand_ins is not None:
        write_grades(grades, outputs, format_, options["feedback"], hand_ins)
        return Exit.OK
    for output in outputs:
        write_table(grades, output)
    if format_ == "text" and not outputs:
        _show(grades.rows[0].result)
    elif not outputs:
        echo(table_of(grades, format_), nl=False)
    return Exit.OK


def _check_usage(words: Sequence[str], hand_ins: str | None, format_: str, options: dict[str, Any]) -> None:
    """UsageError for options that do not fit each other."""
    if hand_ins is not None and format_ in names():
        raise UsageError(_("--hand-ins goes with the table of a class, not with a platform"))
    if hand_ins is None:
        for name in ("roster", "answers", "feedback"):
            if options[name] is not None:
                raise UsageError(_("--{name} needs --hand-ins").format(name=name))
    if hand_ins is not None and not any(HAND_IN in word for word in words):
        raise UsageError(
            _("COMMAND has no {hand_in}, in whose place each hand-in of the folder comes").format(hand_in=HAND_IN)
        )


def _load(name: str) -> "Assignment":
    from labkit.teach.assign import Assignment

    loaded = Assignment.load(name)
    if loaded.model.program is None:
        text = _("{name}: what is handed in is not a program; 'labkit grade' grades it")
        raise UsageError(text.format(name=printable(name)))
    return loaded


def _setting(
    loaded: "Assignment", words: Sequence[str], files: Sequence[Path], options: dict[str, Any]
) -> "tuple[Setting, list[int]]":
    """What is run, and with which seeds."""
    from labkit.live.system import require_capable
    from labkit.live.trial import Setting

    if words[0].startswith("-"):
        text = _("options stand before ASSIGNMENT; expected a program, not '{word}'")
        raise UsageError(text.format(word=printable(words[0])))
    require_capable("labkit check-live")
    program = loaded.model.program
    assert program is not None  # noqa: S101 - `_load` has looked
    seconds = options["seconds"] or program.time / 1e9
    seeds = [options["seed"]] if options["seed"] is not None else list(range(1, (options["runs"] or program.runs) + 1))
    user, peer = options["user"], options["peer"] or program.peer
    return Setting(loaded.scenario, program.side, words, files, program.link, seconds, user, peer), seeds


def _one(loaded: "Assignment", words: Sequence[str], options: dict[str, Any]) -> "Grades":
    from labkit.teach.grade.classroom import Grades, Row
    from labkit.teach.roster import file_name

    result = _result(loaded, words, _named(words), options)
    return Grades(loaded.task(), (Row(words[-1], "", file_name(words[-1]), result),))


def _class(loaded: "Assignment", words: Sequence[str], hand_ins: str, options: dict[str, Any]) -> "Grades":
    from tempfile import TemporaryDirectory

    from labkit.cli._progress import ProgressLine
    from labkit.teach.grade.answer_key import read_answers
    from labkit.teach.grade.handins import find
    from labkit.teach.grade.programs import grade_programs
    from labkit.teach.roster import file_name

    pupils = load_pupils(Loaded(assignment=loaded), options)
    own = {}
    if options["answers"] is not None:
        own = read_answers(options["answers"], lambda each: each["values"]).students
    found = [each for each in find(hand_ins, whole=True) if not each.owner.startswith(".")]
    check_any(found, pupils, hand_ins)
    solution = loaded.model.solution

    def run(student: str, place: Path) -> "Result":
        given = loaded.with_values(own[student]) if student in own else loaded
        command = [word.replace(HAND_IN, place.name) for word in words]
        return _result(given, command, [place], options, f"{file_name(student)}-")

    with TemporaryDirectory(prefix="labkit-class-") as folder, ProgressLine(_("running")) as progress:
        return grade_programs(
            loaded.task(),
            found,
            pupils,
            Path(folder),
            run,
            solution=solution.text if solution is not None else "",
            on_progress=lambda number, total: progress.show(
                _(": {number} of {total}").format(number=number, total=total)
            ),
        )


def _named(words: Sequence[str]) -> list[Path]:
    """The files and folders in the present folder that a command names; of `mytcp/main.py`, the folder `mytcp`."""
    parts = [Path(word).parts[:1] for word in words if word and "\0" not in word and not Path(word).is_absolute()]
    names = dict.fromkeys(each[0] for each in parts if each and each[0] != "..")
    return [Path(name) for name in names if len(name) < MAX_NAME and Path(name).exists()]


def _result(
    loaded: "Assignment", words: Sequence[str], files: Sequence[Path], options: dict[str, Any], prefix: str = ""
) -> "Result":
    from labkit.teach.files import write_file
    from labkit.teach.grade.program import grade_program, octets

    setting, seeds = _setting(loaded, words, files, options)

    def keep(trial: "Trial", _result: "Result", frames: "Sequence[Frame]") -> None:
        if options["captures"] is not None:
            target = Path(options["captures"]) / f"{prefix}seed-{trial.seed}.pcapng"
            write_file(target, octets(frames, setting.scenario))

    return grade_program(loaded.task(), setting, seeds, keep)


def _show(result: "Result") -> None:
    """The feedback for one program, and its runs."""
    from labkit.teach.grade.pages import feedback
    from labkit.teach.grade.task import points_text

    for line in feedback(result):
        echo(line)
    echo("")
    for run in result.runs:
        points = f"{points_text(run.points)}/{points_text(result.of)}"
        echo(_("seed {seed}: {points}, {n} packets").format(seed=run.seed, points=points, n=run.packets))
        if run.ended and run.output:
            for text in run.output.splitlines()[-3:]:
                echo(f"  | {text[:200]}")
    if len(result.runs) > 1 and result.points < result.of:
        note(_("'--seed N' repeats one run"))


def _platform(
    assignment: str, words: Sequence[str], outputs: tuple[str, ...], format_: str, options: dict[str, Any]
) -> int:

    def graded() -> "Iterator[Task | Result]":
        loaded = _load(assignment)
        yield loaded.task()
        yield _result(loaded, words, _named(words), options)

    return write_platform(assignment, graded(), outputs, format_)
