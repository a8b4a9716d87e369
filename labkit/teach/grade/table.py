"""The grades of a class as one table: text, CSV, JSON or an Excel workbook. `pages` has it in HTML.

One row for each student: points of each part with their reason, the first mistake, what to mend, and remarks.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from io import StringIO
from typing import Any

from labkit import __version__
from labkit.i18n import _, aside, cut, listed, padded, printable, width
from labkit.report.formats.csv import FORMULA_STARTS
from labkit.teach.grade.classroom import Grades, Row
from labkit.teach.grade.task import Mistake, Result, points_text
from labkit.teach.grade.xlsx import Sheet, workbook


def rows(grades: Grades) -> Iterator[list[str | float]]:
    """The table with its header."""
    names = [part.name for part in grades.task.parts]
    parts = [column for name in names for column in (name, f"{name}: why")]
    yield [
        "student",
        "name",
        "points",
        "of",
        "status",
        *parts,
        "first error",
        "packet",
        "mend",
        "late",
        "files",
        "remarks",
    ]
    for row in grades.rows:
        yield _row(row, grades, len(names))


def _row(row: Row, grades: Grades, count: int) -> list[str | float]:
    result, first = row.result, row.result.first
    parts = [column for part in result.parts[:count] for column in (part.points, part.reason)]
    remarks = [*result.notes, *remarks_of(grades, row.student)]
    if not row.on_roster:
        remarks.insert(0, _("not on the roster"))
    return [
        row.student,
        row.name,
        result.points,
        result.of,
        result.status,
        *parts,
        first.what if first else "",
        first.packet if first and first.packet is not None else "",
        mend_of(first) if first else "",
        row.late,
        "; ".join(row.files),
        _("; ").join(remarks),
    ]


def mend_of(mistake: Mistake) -> str:
    """What a mistake should be and how to mend it, in one line."""
    return _(". ").join(each for each in (mistake.should_be, mistake.mend) if each)


def remarks_of(grades: Grades, student: str, *, evidence: bool = True) -> list[str]:
    """What the comparison of hand-ins says of a student, for a person to judge."""
    found = []
    for each in grades.remarks:
        if student in each.students:
            others = listed(other for other in each.students if other != student)
            text = aside(each.kind, others) if others else each.kind
            found.append(f"{text}{_(': ')}{each.evidence}" if evidence else text)
    return found


def to_csv(grades: Grades) -> bytes:
    """CSV by RFC 4180, in UTF-8 with the mark by which Excel recognizes it. Text that looks like a formula is quoted."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows(grades):
        writer.writerow([_cell(value) for value in row])
    return text.getvalue().encode("utf-8-sig", "backslashreplace")


def _cell(value: str | float) -> str | float:
    if not isinstance(value, str):
        return points_text(value)
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text


def to_xlsx(grades: Grades) -> bytes:
    """A workbook with the sheets Summary, All, Failed (students without all points) and Remarks."""
    every = list(rows(grades))
    failed = [every[0], *(row for row in every[1:] if float(row[2]) < float(row[3]))]
    remarks = [["kind", "students", "evidence"]]
    remarks += [[each.kind, listed(each.students), each.evidence] for each in grades.remarks]
    remarks += [["not-on-the-roster", "", each] for each in grades.strangers]
    return workbook(
        [Sheet("Summary", [*summary(grades)]), Sheet("All", every), Sheet("Failed", failed), Sheet("Remarks", remarks)]
    )


def summary(grades: Grades) -> Iterator[list[str | float]]:
    """Figures of the class: how many, and the mean of each part."""
    students = [row for row in grades.rows if row.on_roster]
    read = [row.result for row in students if row.result.was_read]
    yield ["figure", "value"]
    yield ["assignment", grades.task.title or grades.task.name]
    yield ["students", len(students)]
    yield ["graded", len(read)]
    yield ["points possible", grades.task.of]
    yield ["mean of those graded", _mean([result.points for result in read])]
    for at, part in enumerate(grades.task.parts):
        yield [f"mean of {part.name}", _mean([result.parts[at].points for result in read])]


def _mean(points: Sequence[float]) -> float:
    return round(sum(points) / len(points), 2) if points else 0.0


def result_record(result: Result) -> dict[str, Any]:
    """A result as values for JSON. All keys are always there."""
    return {
        "status": result.status,
        "points": result.points,
        "of": result.of,
        "parts": [asdict(part) for part in result.parts],
        "mistakes": [
            {
                "part": each.part,
                "packet": each.packet,
                "code": each.code,
                "message": each.what,
                "should_be": each.should_be,
                "receiver": each.receiver,
                "mend": each.mend,
            }
            for each in result.mistakes
        ],
        "notes": list(result.notes),
        "file": result.file,
        "sha256": result.sha256,
        "conversation": result.conversation,
        "packets": result.packets,
        "runs": [asdict(run) for run in result.runs],
    }


def record(grades: Grades) -> dict[str, Any]:
    """The grades as values for JSON."""
    return {
        "labkit": __version__,
        "assignment": grades.task.name,
        "of": grades.task.of,
        "students": [
            {
                "student": row.student,
                "name": row.name,
                "on_roster": row.on_roster,
                "late": row.late,
                "files": list(row.files),
                **result_record(row.result),
            }
            for row in grades.rows
        ],
        "remarks": [
            {"kind": each.kind, "students": list(each.students), "evidence": each.evidence} for each in grades.remarks
        ],
        "strangers": list(grades.strangers),
    }


def to_json(grades: Grades) -> bytes:
    """The grades as JSON."""
    return (json.dumps(record(grades), indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _plain(text: str, _style: str) -> str:
    return text


def to_text(grades: Grades, style: Callable[[str, str], str] = _plain, columns: int = 0) -> Iterator[str]:
    """The table for a terminal: student, points, and the first mistake. `style` colours a text by `good`, `bad` or `bold`.

    `columns`: the width of the terminal; 0: lines are not cut.
    """
    longest = min(30, max([width(printable(row.student)) for row in grades.rows] + [7]))
    yield style(
        f"{padded(_('student'), longest)}  {padded(_('points'), -9)}  {padded(_('packet'), -6)}  {_('why')}", "bold"
    )
    for row in grades.rows:
        result = row.result
        points = f"{points_text(result.points)}/{points_text(result.of)}"
        first = result.first
        packet = str(first.packet) if first is not None and first.packet is not None else ""
        why = first.what if first is not None else _("no mistake")
        if first is not None and not first.code and first.should_be:  # no rule says what is right
            why += f"{_('; ')}{first.should_be}"
        line = f"{padded(cut(printable(row.student), longest), longest)}  {points:>9}  {packet:>6}  {printable(why)}"
        if columns and width(line) > columns:
            line = cut(line, columns - 1) + "…"
        yield style(line, "good" if result.points >= result.of else "bad" if result.points == 0 else "")
    for each in grades.remarks:
        students = listed(map(printable, each.students))
        yield style(
            _("look at: {students}: {evidence}").format(students=students, evidence=printable(each.evidence)), "bold"
        )
    for text in grades.strangers:
        yield style(_("not on the roster: {text}").format(text=text), "bold")
