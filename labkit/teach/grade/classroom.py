"""Grade a class: one row for each student, whatever they handed in or not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from labkit.capture.budget import Budget
from labkit.errors import InputError, LabkitError
from labkit.i18n import _, aside, listed, ngettext, printable
from labkit.teach.grade import honesty
from labkit.teach.grade.archive import Entry, unpacked
from labkit.teach.grade.filetype import described
from labkit.teach.grade.handins import HandIn, Matcher
from labkit.teach.grade.judging import grade, without
from labkit.teach.grade.task import (
    ANSWERS,
    NOTHING,
    REFUSED,
    UNREADABLE,
    Result,
    Task,
    points_text,
)
from labkit.teach.roster import Student, file_name

MAX_GRADED = 20
"""Files of one hand-in that are graded."""


@dataclass(frozen=True, slots=True)
class Row:
    """A student's line in the table."""

    student: str
    name: str
    file: str
    """A safe file name for the student's feedback."""
    result: Result
    on_roster: bool = True
    files: tuple[str, ...] = ()
    """The files that were handed in."""
    late: str = ""
    """How late, in words; empty if in time or unknown."""


@dataclass(frozen=True, slots=True)
class Grades:
    """The grades of a class."""

    task: Task
    """The task of an example student."""
    rows: tuple[Row, ...]
    remarks: tuple[honesty.Remark, ...] = ()
    strangers: tuple[str, ...] = field(default=())
    """Hand-ins that belong to nobody on the roster, each with the reason."""


@dataclass(frozen=True, slots=True)
class Pupil:
    """A student whose work is to be graded, with the task that is theirs."""

    student: Student
    task: Task


def safely(task: Task, octets: bytes, name: str, budget: Budget | None = None) -> Result:
    """Grade a file. A failure of labkit itself ends this hand-in only, and its row says so."""
    try:
        return grade(task, octets, name, budget)
    except MemoryError:
        return without(task, UNREADABLE, _("there is too little memory for this file; grade it by hand"), file=name)
    except LabkitError as error:  # such as a mistake in a rule of the course
        reason = _("the file could not be graded: {reason}; grade it by hand")
        return without(task, UNREADABLE, reason.format(reason=printable(str(error))), file=name)
    except Exception as error:  # one student's file must not cost the others their grades
        reason = _("labkit failed on this file ({kind}); please report it, and grade it by hand")
        return without(task, UNREADABLE, reason.format(kind=type(error).__name__), file=name)


Grader = Callable[[Task, bytes, str], Result]
"""Grades a file with a name, and raises nothing."""


def grade_class(
    task: Task,
    handins: Sequence[HandIn],
    pupils: Sequence[Pupil] | None,
    *,
    given: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    grader: Grader = safely,
) -> Grades:
    """Grade all hand-ins. `pupils` is the roster, in its order; without one, each hand-in is a student of its own.

    `given` names captures, by the digest of their packets, that nobody should hand in. `grader` grades each file, in
    this process unless another one is given.
    """
    pupils, owned, strangers = paired(task, handins, pupils)
    prints: list[honesty.Fingerprint] = []
    rows: list[Row] = []
    total = len(pupils) + len(strangers)
    for number, pupil in enumerate(pupils, 1):
        rows.append(_row(pupil, owned.get(pupil.student.id), prints, grader))
        if on_progress is not None:
            on_progress(number, total)
    for number, (handin, _why) in enumerate(strangers, len(pupils) + 1):
        # A name that no student of the roster has.
        someone = Pupil(Student(handin.owner, 0, file_name(f"not on the roster: {handin.owner}")), task)
        rows.append(replace(_row(someone, handin, prints, grader), on_roster=False))
        if on_progress is not None:
            on_progress(number, total)
    tasks = {pupil.student.id: pupil.task for pupil in pupils}
    remarks = honesty.remarks(prints, tasks, given=given or {})
    return Grades(task, tuple(rows), tuple(remarks), reasons(strangers))


def paired(
    task: Task, handins: Sequence[HandIn], pupils: Sequence[Pupil] | None
) -> tuple[Sequence[Pupil], dict[str, HandIn], list[tuple[HandIn, str]]]:
    """The students, with `owners`. Without a roster, each hand-in is a student of its own."""
    if pupils is not None:
        return pupils, *owners(handins, pupils)
    everyone = [Pupil(Student(each.owner, 0, file_name(each.owner)), task) for each in handins]
    return everyone, {each.owner: each for each in handins}, []


def reasons(strangers: Iterable[tuple[HandIn, str]]) -> tuple[str, ...]:
    """Why each hand-in belongs to nobody."""
    return tuple(f"{printable(handin.owner)}{_(': ')}{why}" for handin, why in strangers)


def owners(handins: Sequence[HandIn], pupils: Sequence[Pupil]) -> tuple[dict[str, HandIn], list[tuple[HandIn, str]]]:
    """The hand-in of each student by the ID, and those that belong to nobody, each with the reason."""
    matcher = Matcher((pupil.student for pupil in pupils), handins)
    owned: dict[str, HandIn] = {}
    strangers = []
    for handin in handins:
        student, why = matcher.find(handin)
        if student is None:
            strangers.append((handin, why))
        elif student in owned:
            known = owned[student]
            owned[student] = replace(
                known,
                entries=known.entries + handin.entries,
                paths=known.paths + handin.paths,
                alone=False,
                late=known.late or handin.late,
                submitted=max(filter(None, (known.submitted, handin.submitted)), default=None),
            )
        else:
            owned[student] = handin
    return owned, strangers


def _row(pupil: Pupil, handin: HandIn | None, prints: list[honesty.Fingerprint], grader: Grader) -> Row:
    student, task = pupil.student, pupil.task
    if handin is None:
        result = without(task, NOTHING, _("nothing was handed in"))
        return Row(student.id, student.name, student.file, result)
    if not handin.entries:
        return Row(student.id, student.name, student.file, nothing_in(task))
    graded = [*_graded(task, handin, grader)]
    result, octets = _counting(task, graded)
    result, late = in_time(result, handin)
    if result.was_read:
        prints.append(honesty.fingerprint(student.id, task, octets, result.conversation))
    return Row(student.id, student.name, student.file, result, True, tuple(each.file for each, _octets in graded), late)


def grade_files(task: Task, entries: Sequence[Entry], grader: Grader = safely) -> Result:
    """Grade the files of one student."""
    return _counting(task, [*_graded(task, HandIn("", (), list(entries)), grader)])[0]


def _graded(task: Task, handin: HandIn, grader: Grader) -> Iterator[tuple[Result, bytes]]:
    """The result of each file of a hand-in."""
    count = 0
    for entry in handin.entries:
        try:
            inside = unpacked(entry, entry.read())
        except InputError as error:
            yield without(task, REFUSED, _sentence(error), file=entry.name), b""
            continue
        for each, octets in inside:
            count += 1
            if count > MAX_GRADED:
                text = _("more than {most} files; the others were not graded").format(most=MAX_GRADED)
                yield without(task, REFUSED, text, file=each.name), b""
                return
            if isinstance(octets, InputError):
                yield without(task, REFUSED, _sentence(octets), file=each.name), b""
            else:
                yield grader(task, octets, each.name), octets


def _sentence(error: InputError) -> str:
    return _("the file was not opened: {reason}").format(reason=error)


def _counting(task: Task, graded: Sequence[tuple[Result, bytes]]) -> tuple[Result, bytes]:
    """The result that counts of those of several files, with a note about the others."""
    if not graded:
        return without(task, NOTHING, _("the archive has no file in it")), b""
    read = [each for each in graded if each[0].was_read]
    if len(read) > 1 and task.several == "none":
        text = _("{n} files were handed in; expected one").format(n=len(read))
        return without(task, REFUSED, text, file=read[0][0].file), b""
    if not read:
        # The file that comes nearest to what is wanted explains most: one that is a capture at least.
        chosen = min(graded, key=lambda each: (described(each[1], text=task.kind == ANSWERS) is not None, not each[1]))
    elif task.several == "last":
        chosen = read[-1]
    else:
        chosen = max(read, key=lambda each: each[0].points)
    others = [each[0] for each in graded if each is not chosen]
    if not others:
        return chosen
    shown = listed(
        aside(each.file, points_text(each.points)) if each.was_read else each.file for each in others[:3]
    ) + (", …" if len(others) > 3 else "")
    text = ngettext(
        "graded {file}; {n} other file was handed in: {others}",
        "graded {file}; {n} other files were handed in: {others}",
        len(others),
    ).format(file=chosen[0].file, n=len(others), others=shown)
    return replace(chosen[0], notes=(text, *chosen[0].notes)), chosen[1]


def nothing_in(task: Task) -> Result:
    """The result of an empty folder."""
    return without(task, NOTHING, _("nothing was handed in: the folder has no file of the student in it"))


def in_time(result: Result, handin: HandIn) -> tuple[Result, str]:
    """The result less what lateness costs, and how late the hand-in is, in words; empty if it is in time or nobody knows."""
    late = _lateness(result.task, handin.submitted)
    if late is not None:
        return _reduced(result, late), _duration(late)
    if handin.late:
        text = _("the learning platform says that it came too late")
        return replace(result, notes=(*result.notes, text)), _("late")
    return result, ""


def _lateness(task: Task, submitted: datetime | None) -> timedelta | None:
    if not task.deadline or submitted is None:
        return None
    late = submitted - datetime.fromisoformat(task.deadline)
    return late if late > timedelta(0) else None


def _reduced(result: Result, late: timedelta) -> Result:
    cost, period, most = result.task.late
    share = min(most, cost * (int(late.total_seconds() - 1) // period + 1))
    text = _("handed in {time} late").format(time=_duration(late))
    if share and result.points:
        text = _("handed in {time} late, which costs {share:.0%} of the points").format(
            time=_duration(late), share=share
        )
    return replace(result, points=round(result.points * (1 - share), 2), notes=(*result.notes, text))


def _duration(late: timedelta) -> str:
    minutes = int(late.total_seconds()) // 60
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        return _("{days} d {hours} h").format(days=days, hours=hours)
    return (
        _("{hours} h {minutes} min").format(hours=hours, minutes=minutes) if hours else _("{n} min").format(n=minutes)
    )
