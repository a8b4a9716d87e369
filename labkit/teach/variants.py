"""Variants: a capture of one's own for each student of a roster, and one answer key for all of them.

    seed = the first 64 bits of HMAC-SHA256(key, SHA-256 of the scenario + the student)

So the same student gets the same capture whenever it is built, whoever else is on the roster; nobody can tell one's seed,
or another's, without the key; and a scenario that was changed gives other captures. A student's file has no comments and no
names (unless they are asked for, and then still not the seed). The file's name follows from the student, with a digest
behind it where it would not do as it is, or where another student's differs in capitals only.

The answers go into two files *beside* the folder of captures, so that the folder can be handed out as it is: NAME.answers.json,
and NAME.answers.csv for a spreadsheet. They are complete, or not there.
"""

import csv
import hmac
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO, StringIO
from json import dumps
from pathlib import Path
from typing import Any
from unicodedata import category, normalize

from labkit.build.faults import inject, plain
from labkit.build.scenario import Scenario
from labkit.build.scenario.units import Seed
from labkit.build.trace import Trace
from labkit.capture.sink import Sink
from labkit.errors import InputError, LabkitError
from labkit.i18n import _, printable
from labkit.report.formats.csv import FORMULA_STARTS

SHORTEST_KEY = 16
"""Octets."""
LARGEST_FILE = 16 << 20
"""Octets of a roster or a key."""
MOST_STUDENTS = 100_000
LONGEST_STUDENT = 200
"""Characters."""
LONGEST_NAME = 120
"""Octets of a file's name, without what is put behind it."""
MOST_CONNECTIONS = 100
"""Connections of a capture that the answers list."""
COLUMN = "student"

COLUMNS = (COLUMN, "file", "sha256", "seed", "packets")
"""Of the answers as CSV, as far as they are the same as in JSON."""

CONTROLS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode's categories of characters that a name has no use for."""

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Names that are no files on Windows, where a student may open them."""


@dataclass(frozen=True, slots=True)
class Student:
    """One of a roster."""

    id: str
    """As it stands in the roster, without spaces around it."""
    line: int
    file: str
    """The name of the student's file, without what says its format."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Students in the order of their list, no two the same, and no two with the same file."""

    students: tuple[Student, ...]
    column: str
    """The column that they were taken from."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built for each student."""

    scenario: Scenario
    key: bytes
    folder: Path
    format: str = "pcapng"
    edition: str = "student"
    faults: tuple[str, ...] = ()


def read_key(path: str | Path) -> bytes:
    """The octets of a key file. InputError where it cannot be read, or has too few."""
    key = _read(path)
    if len(key) < SHORTEST_KEY:
        raise InputError(
            _("{path}: a key of {have} octets can be guessed; expected at least {want}").format(
                path=printable(str(path)), have=len(key), want=SHORTEST_KEY
            )
        )
    return key


def read_roster(path: str | Path) -> Roster:
    """The students of a CSV file with a header: its column `student`, or the first. InputError names the line."""
    name = printable(str(path))
    octets = _read(path)
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise InputError(_("{name}:{line}: is not UTF-8 text").format(name=name, line=line)) from error
    column, listed = _listed(text, name)
    students: list[Student] = []
    first: dict[str, Student] = {}
    capitals = Counter(_safe(each).casefold() for each, _line in listed)
    for student, line in listed:
        safe = _safe(student)
        known = Student(student, line, _file(student, safe, alone=capitals[safe.casefold()] == 1))
        for key in (f"student {normalize('NFC', student)}", f"file {known.file.casefold()}"):
            before = first.setdefault(key, known)
            if before is not known:
                raise InputError(
                    _("{name}:{line}: {student!r} is the same as in line {first}; expected each student once").format(
                        name=name, line=line, student=student, first=before.line
                    )
                )
        students.append(known)
    if not students:
        raise InputError(
            _("{name}: there is no student in it; expected a line for each below the header").format(name=name)
        )
    return Roster(tuple(students), column)


def seed(key: bytes, scenario: Scenario, student: str) -> int:
    """A student's seed."""
    message = scenario.digest + normalize("NFC", student).encode()
    return int.from_bytes(hmac.digest(key, message, "sha256")[:8])


def build(order: Order, students: Sequence[Student]) -> Iterator[dict[str, Any]]:
    """Build each student's capture, and give its answer when it is there; after the last one, the files of answers are.

    CaptureError where something cannot be written, ScenarioError and UsageError as of a single capture.
    """
    made = not order.folder.exists()
    try:
        order.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        text = _("{name}: cannot be made: {reason}").format(name=printable(str(order.folder)), reason=reason)
        raise InputError(text) from error
    with ExitStack() as undo:
        if made:
            undo.callback(_take_away_if_empty, order.folder)
        sinks = []
        for path in answer_files(order.folder):
            sink = Sink(path)
            undo.callback(sink.discard)
            sinks.append(sink)
        answers = _Answers(order, *sinks)
        for student in students:
            answer = _one(order, student)
            answers.add(answer)
            yield answer
        answers.finish()
        for sink in sinks:
            sink.commit()


def _take_away_if_empty(folder: Path) -> None:
    """Leave no folder behind in which there is nothing."""
    with suppress(OSError):
        folder.rmdir()


def answer_files(folder: Path) -> tuple[Path, Path]:
    """Where the answers go: as JSON, and as CSV."""
    # Not of the path as it was given: "out/.." has no name of its own.
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links are left as they are
    return folder.with_name(f"{folder.name}.answers.json"), folder.with_name(f"{folder.name}.answers.csv")


def _one(order: Order, student: Student) -> dict[str, Any]:
    """Build one student's capture, and say what is in it."""
    drawing = Seed(seed(order.key, order.scenario, student.id))
    file = f"{student.file}.{order.format}"
    octets = BytesIO()
    try:
        trace = inject(order.scenario.play(drawing), order.faults)
        # The seed is in the comment on the whole capture, where the edition has one.
        packets = replace(trace, seed=None).write(octets, format=order.format, edition=order.edition)
    except LabkitError as error:
        raise type(error)(_("student {student!r}: {error}").format(student=student.id, error=error)) from error
    sink = Sink(order.folder / file)
    try:
        sink.write(octets.getvalue())
        sink.commit()
    finally:
        sink.discard()
    return {
        "student": student.id,
        "file": file,
        "sha256": sha256(octets.getvalue()).hexdigest(),
        "seed": f"0x{drawing:016x}",
        "packets": packets,
        "drawn": dict(sorted(drawing.drawn.items())),
        "connections": _connections(trace),
        "faults": plain(trace.injected),
    }


def _connections(trace: Trace) -> list[dict[str, Any]]:
    return [
        {
            "client": str(each.client),
            "server": str(each.server),
            "client_isn": each.client_isn,
            "server_isn": each.server_isn,
        }
        for each in trace.connections[:MOST_CONNECTIONS]
    ]


class _Answers:
    """The answers as they are written, a student at a time: a long roster does not have to fit into memory."""

    def __init__(self, order: Order, objects: Sink, table: Sink) -> None:
        self._objects = objects
        self._table = table
        self._separator = "\n"
        head = {"scenario": order.scenario.name, "digest": order.scenario.digest.hex()}
        objects.write(f'{dumps(head, ensure_ascii=False)[:-1]}, "students": ['.encode())
        self._row([*COLUMNS, "client", "server", "client_isn", "server_isn", "drawn", "faults"])

    def add(self, answer: dict[str, Any]) -> None:
        """One student's."""
        line = self._separator + dumps(answer, ensure_ascii=False)
        self._separator = ",\n"
        self._objects.write(line.encode("utf-8", "backslashreplace"))
        first = answer["connections"][0]
        drawn = "; ".join(f"{name} {value}" for name, value in answer["drawn"].items())
        faults = "; ".join(f"{each['code']} {each['fault']}@{each['packet']}" for each in answer["faults"])
        self._row([*(answer[column] for column in COLUMNS), *first.values(), drawn, faults])

    def finish(self) -> None:
        """There are no more students."""
        self._objects.write(b"\n]}\n")

    def _row(self, values: Iterable[object]) -> None:
        text = StringIO()
        csv.writer(text).writerow(
            [f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value for value in values]
        )
        self._table.write(text.getvalue().encode("utf-8", "backslashreplace"))


# The roster.


def _listed(text: str, name: str) -> tuple[str, list[tuple[str, int]]]:
    """The column that names the students, and each with its line."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    # Some countries' spreadsheets write semicolons.
    reader = csv.reader(StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    column, place = "", None
    found: list[tuple[str, int]] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if place is None:
                names = [cell.casefold() for cell in cells]
                place = names.index(COLUMN) if COLUMN in names else 0
                column = cells[place]
                continue
            found.append((_student(cells[place] if place < len(cells) else "", len(found)), reader.line_num))
    except (ValueError, csv.Error) as error:
        raise InputError(f"{name}:{reader.line_num}: {error}") from error
    return column, found


def _student(text: str, before: int) -> str:
    """The content of a student's cell; ValueError for one that will not do, or is one too many."""
    if before == MOST_STUDENTS:
        raise ValueError(_("there are more than {most} students").format(most=MOST_STUDENTS))
    if not text:
        raise ValueError(_("the student's cell is empty; expected a name or number in it"))
    if len(text) > LONGEST_STUDENT:
        raise ValueError(
            _("a student's name of {n} characters; expected at most {most}").format(n=len(text), most=LONGEST_STUDENT)
        )
    if any(category(char) in CONTROLS for char in text):
        raise ValueError(_("{name!r} has a control character or a line's end in it; expected none").format(name=text))
    return text


def _safe(student: str) -> str:
    """The student as part of a file's name: letters, digits, and what nothing takes amiss; no path, and not hidden."""
    kept = "".join(char if char.isalnum() or char in "._-@+" else "_" for char in normalize("NFC", student))
    return kept.lstrip(".-").encode()[:LONGEST_NAME].decode("utf-8", "ignore").rstrip(".")


def _file(student: str, safe: str, *, alone: bool) -> str:
    """The file's name. Where it is not simply the student, a digest tells it from those of others like it."""
    if safe == normalize("NFC", student) and alone and not RESERVED.match(safe):
        return safe
    return f"{safe or COLUMN}-{sha256(normalize('NFC', student).encode()).hexdigest()[:8]}"


def _read(path: str | Path) -> bytes:
    name = printable(str(path))
    try:
        with Path(path).open("rb") as file:
            octets = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(_("{name}: cannot be read: {reason}").format(name=name, reason=reason)) from error
    if len(octets) > LARGEST_FILE:
        raise InputError(_("{name}: is larger than {most} MiB").format(name=name, most=LARGEST_FILE >> 20))
    return octets
