"""Rosters: the students of a class from a CSV file, as spreadsheets and learning platforms write it.

The text may be UTF-8, UTF-16 or Windows-1252; the separator a comma, a semicolon or a tab. A line `sep=;` before the header, as
Excel writes it, is read.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from unicodedata import category, normalize

from labkit.errors import InputError, UsageError
from labkit.i18n import _, listed, nearest, printable, reason_of

MAX_FILE = 16 << 20
"""Octets of a roster or a key."""
MAX_STUDENTS = 100_000
MAX_STUDENT = 200
"""Characters of a student's name."""
MAX_STEM = 120
"""Octets of a file name without digest and suffix."""
COLUMN = "student"

ID_COLUMNS = (
    "student id",
    "student number",
    "sid",
    "sis user id",
    "id number",
    "matriculation number",
    "matrikelnummer",
    "学号",
    "id",
    "identifier",
    COLUMN,
    "sis login id",
    "username",
    "login",
    "email",
    "email address",
    "e-mail",
)
"""Headings of the column that identifies a student, the best first: those that Moodle, Canvas and Gradescope write, too. The
first one counts that is filled in for every student."""

WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How the files of spreadsheets begin: zip archives, and the older format."""

POINTS_POSSIBLE = "Points Possible"
"""The first cell of a row in Canvas's gradebooks that is no student."""

SHORTENED = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)
"""A long number as spreadsheets show it, and save it then."""

CONTROLS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode categories that a student's name may not have: control characters and line separators."""

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""File names that Windows reserves for devices."""

SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Student:
    """A student of a roster."""

    id: str
    """The student's cell in the roster, without spaces around it."""
    line: int
    file: str
    """The name of the student's file, without suffix."""
    cells: tuple[str, ...] = ()
    """All cells of the student's row."""
    names: tuple[str, ...] = ()
    """The cells under headings that speak of a name."""

    @property
    def name(self) -> str:
        """The student's name, as far as the roster has it beside the ID."""
        return " ".join(each for each in self.names if each != self.id)


@dataclass(frozen=True, slots=True)
class Roster:
    """Students in the order of the roster, each with a file of a different name."""

    students: tuple[Student, ...]
    column: str
    """The column with their names."""
    hints: tuple[str, ...] = ()
    """Remarks for the user: where an encoding or a column is a guess. Usually empty."""


def read_file(path: str | Path) -> bytes:
    """The content of a roster or a key. InputError if it cannot be read, or is too large."""
    name = printable(str(path))
    try:
        with Path(path).open("rb") as file:
            octets = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = reason_of(error).lower()
        raise InputError(_("{name}: cannot be read: {reason}").format(name=name, reason=reason)) from error
    if len(octets) > MAX_FILE:
        raise InputError(_("{name}: larger than {most} MiB").format(name=name, most=MAX_FILE >> 20))
    return octets


def read_roster(path: str | Path, column: str | None = None, known: Sequence[str] = (COLUMN,)) -> Roster:
    """Read the students from a CSV file with a header. InputError with the line.

    The students are in the column `column`; without one, in the first of the columns `known` that is filled in for everybody,
    else in the first column. UsageError if there is no such column.
    """
    name = printable(str(path))
    text, hint = _decoded(read_file(path), name)
    found, rows, other = _listed(text, name, column, known)
    hints = [each for each in (hint, other) if each]
    shortened = next((each for each, _line, _cells, _names in rows if SHORTENED.fullmatch(each)), None)
    if shortened is not None:
        text = _(
            "{name}: '{student}' looks like a long number that a spreadsheet has shortened; format the column as text"
        )
        hints.append(text.format(name=name, student=shortened))
    students: list[Student] = []
    first: dict[str, Student] = {}
    capitals = Counter(_safe(each).casefold() for each, _line, _cells, _names in rows)
    for student, line, cells, names in rows:
        safe = _safe(student)
        file = _file(student, safe, alone=capitals[safe.casefold()] == 1)
        made = Student(student, line, file, cells, names)
        for key in (f"student {normalize('NFC', student)}", f"file {made.file.casefold()}"):
            before = first.setdefault(key, made)
            if before is not made:
                raise InputError(
                    _("{name}:{line}: {student!r} repeats line {first}; expected each student once").format(
                        name=name, line=line, student=student, first=before.line
                    )
                )
        students.append(made)
    if not students:
        raise InputError(_("{name}: has no students; expected a line for each below the header").format(name=name))
    return Roster(tuple(students), found, tuple(hints))


def _decoded(octets: bytes, name: str) -> tuple[str, str]:
    """The text of a roster, and a hint for the user where its encoding is a guess."""
    if octets.startswith(WORKBOOKS):
        raise InputError(_("{name}: is a workbook, not CSV text; in Excel, save it as 'CSV UTF-8'").format(name=name))
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding, hint = "utf-16", ""
    elif octets[:2].count(0) == 1:  # a letter of UTF-16 without a byte order mark
        encoding, hint = "utf-16-be" if octets[0] == 0 else "utf-16-le", ""
    else:
        encoding, hint = "utf-8-sig", ""
        try:
            octets.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = octets.count(b"\n", 0, error.start) + 1
            encoding = "cp1252"
            text = _("{name}:{line}: not UTF-8 text, read as Windows-1252; if names look wrong, save it as 'CSV UTF-8'")
            hint = text.format(name=name, line=line)
    try:
        return octets.decode(encoding), hint
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        text = _("{name}:{line}: neither UTF-8 nor Windows-1252 text; in Excel, save it as 'CSV UTF-8'")
        raise InputError(text.format(name=name, line=line)) from error


Row = tuple[str, int, tuple[str, ...], tuple[str, ...]]


def _listed(text: str, name: str, column: str | None, known: Sequence[str]) -> tuple[str, list[Row], str]:
    """The name of the students' column, each student with its line, its cells and its names, and a hint for the user."""
    rows = _rows(text, name)
    if not rows:
        return "", [], ""
    line, head = rows.pop(0)
    place, hint = _place(head, [cells for _line, cells in rows], column, known, f"{name}:{line}")
    called = [at for at, cell in enumerate(head) if _is_name(cell)]
    found: list[Row] = []
    for line, cells in rows:
        try:
            student = _student(_cell(cells, place))
        except ValueError as error:
            raise InputError(f"{name}:{line}: {error}") from error
        names = tuple(cells[at] for at in called if at < len(cells) and cells[at])
        found.append((student, line, tuple(cells), names))
    return head[place], found, hint


def _rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, each with its line. InputError if the text is not CSV, or has too many rows."""
    first, end, rest = text.partition("\n")
    declared = SEPARATOR.fullmatch(first.strip())
    if declared is not None:
        text = end + rest  # the line is left empty, so that the numbers of lines stay right
    head = next((line for line in text.splitlines() if line.strip()), "")
    # Spreadsheets write semicolons in some countries.
    delimiter = declared[1] if declared is not None else max(",;\t", key=head.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) and not (rows and cells[0] == POINTS_POSSIBLE):
                rows.append((reader.line_num, cells))
            if len(rows) > MAX_STUDENTS + 1:
                text = _("more than {most} students").format(most=MAX_STUDENTS)
                raise InputError(f"{name}:{reader.line_num}: {text}")
    except csv.Error as error:
        reason = str(error)
        if reason == "unexpected end of data":
            reason = _("a quotation mark is not closed")
        elif reason.startswith("field larger"):
            reason = _("a cell has more than {most:,} characters").format(most=csv.field_size_limit())
        raise InputError(f"{name}:{reader.line_num}: {reason}") from error
    return rows


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""


def _place(
    head: Sequence[str], rows: Sequence[Sequence[str]], column: str | None, known: Sequence[str], where: str
) -> tuple[int, str]:
    """The place of the students' column, and a hint for the user where a better one is not filled in."""
    names = [cell.casefold() for cell in head]
    if column is not None:
        if column.casefold() not in names:
            text = _("{where}: there is no column '{column}'; the columns are {known}")
            shown = listed(printable(each) for each in head[:20])
            raise UsageError(text.format(where=where, column=printable(column), known=shown) + nearest(column, [*head]))
        return names.index(column.casefold()), ""
    there = [names.index(each) for each in known if each in names]
    filled = [at for at in there if all(_cell(cells, at) for cells in rows)]
    if not filled or filled[0] == there[0]:
        return (there[0] if there else 0), ""
    text = _(
        "{where}: taking the students from the column '{column}', because '{better}' is not filled in for everybody"
    )
    return filled[0], text.format(where=where, column=printable(head[filled[0]]), better=printable(head[there[0]]))


def _is_name(heading: str) -> bool:
    words = re.findall(r"\w+", heading.casefold())
    return "name" in words or "surname" in words or heading.casefold() in {"student", "vorname", "nachname", "姓名"}


def _student(text: str) -> str:
    """Check a student's cell. ValueError if it is invalid."""
    if not text:
        raise ValueError(_("the student's cell is empty; expected a name or number"))
    if len(text) > MAX_STUDENT:
        raise ValueError(
            _("the student's name has {n} characters; expected at most {most}").format(n=len(text), most=MAX_STUDENT)
        )
    if any(category(char) in CONTROLS for char in text):
        raise ValueError(_("{name!r} has a control character or a line break").format(name=text))
    return text


def _safe(student: str) -> str:
    """The student as a safe file name: letters, digits and ._-@+; not a path, and not hidden."""
    kept = "".join(char if char.isalnum() or char in "._-@+" else "_" for char in normalize("NFC", student))
    return kept.lstrip(".-").encode()[:MAX_STEM].decode("utf-8", "ignore").rstrip(".")


def _file(student: str, safe: str, *, alone: bool) -> str:
    """The name of the file: the student if that is safe and unique, else with a digest."""
    if safe and safe == normalize("NFC", student) and alone and not RESERVED.match(safe):
        return safe
    return f"{safe or COLUMN}-{sha256(normalize('NFC', student).encode()).hexdigest()[:8]}"


def file_name(owner: str) -> str:
    """A safe and unique file name for somebody who is not on a roster."""
    return _file(owner, _safe(owner), alone=True)
