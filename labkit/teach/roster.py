"""Rosters: the students of a class from a CSV file, read row by row.

A roster is read several times, each time with little memory: to find the column of the students, to check it and look for
names that repeat, and for each loop over the students.
"""

import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

from labkit.errors import InputError, UsageError
from labkit.i18n import _, listed, nearest, printable
from labkit.teach.rows import NumberedRow, Table

MAX_STUDENTS = 2_000_000
"""Students of a roster, of each of whom labkit keeps 16 octets."""
MAX_CLASS = 100_000
"""Students of a class: those of an answer key, and the rows of a table of grades."""
MAX_HELD = 1 << 27
"""Octets that the cells of a class may need in memory."""
CELL_OCTETS = 64
"""Octets of a cell in memory, besides its characters."""
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

POINTS_POSSIBLE = "Points Possible"
"""The first cell of a row in Canvas's gradebooks that is not a student."""

SHORTENED = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)
"""A long number as spreadsheets show it, and save it then."""

CONTROLS = re.compile("[\\0-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
"""What a student's name may not have: control characters and line separators."""

PLAIN = re.compile(r"[A-Za-z0-9_@+]([A-Za-z0-9._@+-]{0,100}[A-Za-z0-9_@+-])?")
"""Names that are safe file names as they are: most, so that no other look at them is needed."""

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""File names that Windows reserves for devices."""


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

    students: Collection[Student]
    """They are read again each time that somebody goes through them."""
    column: str
    """The column with their names."""
    hints: tuple[str, ...] = ()
    """Remarks for the user: where an encoding or a column is a guess. Usually empty."""

    def held(self) -> tuple[Student, ...]:
        """All students in memory. InputError if their cells need too much of it."""
        found, octets = [], 0
        for each in self.students:
            octets += sum(map(len, each.cells)) + CELL_OCTETS * len(each.cells)
            if octets > MAX_HELD:
                text = _("line {line}: the cells of the roster up to here need more than {most} MiB; leave out columns")
                raise InputError(text.format(line=each.line, most=MAX_HELD >> 20))
            found.append(each)
        return tuple(found)


def read_roster(
    path: str | Path, column: str | None = None, known: Sequence[str] = (COLUMN,), most: int = MAX_STUDENTS
) -> Roster:
    """Read the students from a CSV file with a header, and check all of them. InputError with the line.

    The students are in the column `column`; without one, in the first of the columns `known` that is filled in for everybody,
    else in the first column. UsageError if there is no such column. InputError if there are more students than `most`.
    """
    table = Table(path)
    students = _Students(table, column, known, most)
    if not len(students):
        text = _("{name}: has no students; expected a line for each below the header")
        raise InputError(text.format(name=table.name))
    hints = [each for each in (table.hint, students.place.hint) if each]
    if students.shortened:
        text = _(
            "{name}: '{student}' looks like a long number that a spreadsheet has shortened; format the column as text"
        )
        hints.append(text.format(name=table.name, student=students.shortened))
    return Roster(students, students.place.column, tuple(hints))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the students of a roster stand."""

    at: int
    column: str
    names: tuple[int, ...]
    """The columns whose headings speak of a name."""
    hint: str


class _Students(Collection[Student]):
    """The students of a table, checked."""

    def __init__(self, table: Table, column: str | None, known: Sequence[str], most: int) -> None:
        self._table = table
        self._most = most
        self.place = self._found(column, known)
        self.shortened = ""
        """The first student who may be a number that a spreadsheet has shortened."""
        self._safe = True
        """Whether all names are safe file names."""
        stems = array("Q", self._stems())
        self._count = len(stems)
        self._shared = _repeated(stems)
        """Of names that differ in nothing but capitals, or in what no file name can have."""
        del stems
        if self._shared or not self._safe:
            files = _repeated(array("Q", (_digest(self._file(student)) for student, _line, _cells in self._rows())))
            if files:
                self._refuse(files)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, student: object) -> bool:
        return any(each == student for each in self)

    def __iter__(self) -> Iterator[Student]:
        for student, line, cells in self._rows():
            names = tuple(cells[at] for at in self.place.names if at < len(cells) and cells[at])
            yield Student(student, line, self._file(student), tuple(cells), names)

    def _stems(self) -> Iterator[int]:
        for student, _line, _cells in self._rows():
            if not self.shortened and SHORTENED.fullmatch(student):
                self.shortened = student
            safe = _safe(student)
            self._safe = self._safe and _file(student, safe, alone=True) == safe
            yield _digest(safe)

    def _found(self, column: str | None, known: Sequence[str]) -> _Place:
        rows = self._table.rows()
        line, head = next(rows, (0, [""]))
        where = f"{self._table.name}:{line}"
        names = tuple(at for at, cell in enumerate(head) if _is_name(cell))
        if column is not None:
            return _Place(_named(column, head, where), column, names, "")
        headings = [cell.casefold() for cell in head]
        there = filled = [headings.index(each) for each in known if each in headings] or [0]
        for _line, cells in self._counted(rows) if len(there) > 1 else ():
            if all(_cell(cells, at) for at in filled):
                continue
            filled = [at for at in filled if _cell(cells, at)]
            if not filled:
                break
        at = (filled or there)[0]
        hint = ""
        if at != there[0]:
            text = _(
                "{where}: taking the students from the column '{column}', because '{better}' is not filled in for everybody"
            )
            hint = text.format(where=where, column=printable(head[at]), better=printable(head[there[0]]))
        return _Place(at, head[at], names, hint)

    def _rows(self) -> Iterator[tuple[str, int, list[str]]]:
        """Each student with the line and the cells."""
        rows = self._table.rows()
        next(rows, None)
        for line, cells in self._counted(rows):
            student = _cell(cells, self.place.at)
            try:
                _check(student)
            except ValueError as error:
                raise InputError(f"{self._table.name}:{line}: {error}") from error
            yield student, line, cells

    def _counted(self, rows: Iterable[NumberedRow]) -> Iterator[NumberedRow]:
        """The rows of students. InputError if there are too many."""
        left = self._most
        for row in rows:
            if row[1][0] == POINTS_POSSIBLE:
                continue
            left -= 1
            if left < 0:
                text = _("more than {most:,} students").format(most=self._most)
                if self._most == MAX_CLASS:
                    text = _(
                        "more than {most:,} students, which are too many for one answer key and one table of grades"
                    )
                    text = text.format(most=MAX_CLASS)
                raise InputError(f"{self._table.name}:{row[0]}: {text}")
            yield row

    def _file(self, student: str) -> str:
        safe = _safe(student)
        return _file(student, safe, alone=not self._shared or _digest(safe) not in self._shared)

    def _refuse(self, files: Collection[int]) -> None:
        """InputError with the first student whose file is that of another one. `files` has digests, which may deceive."""
        first: dict[str, int] = {}
        for student, line, _cells in self._rows():
            file = self._file(student).casefold()
            if _digest(file) in files and (before := first.setdefault(file, line)) != line:
                text = _("{name}:{line}: {student!r} repeats line {first}; expected each student once")
                raise InputError(text.format(name=self._table.name, line=line, student=student, first=before))


def _digest(text: str) -> int:
    """A digest of a file name, of which capitals are not part."""
    return int.from_bytes(blake2b(text.casefold().encode(), digest_size=8).digest())


def _repeated(digests: "array[int]") -> frozenset[int]:
    """Those that are there more than once."""
    return frozenset(one for one, other in pairwise(sorted(digests)) if one == other)


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""


def _named(column: str, head: Sequence[str], where: str) -> int:
    """The place of the column that the user names."""
    names = [cell.casefold() for cell in head]
    if column.casefold() not in names:
        text = _("{where}: there is no column '{column}'; the columns are {known}")
        shown = listed(printable(each) for each in head[:20])
        raise UsageError(text.format(where=where, column=printable(column), known=shown) + nearest(column, [*head]))
    return names.index(column.casefold())


def _is_name(heading: str) -> bool:
    words = re.findall(r"\w+", heading.casefold())
    return "name" in words or "surname" in words or heading.casefold() in {"student", "vorname", "nachname", "姓名"}


def _check(student: str) -> None:
    """Check a student's cell. ValueError if it is invalid."""
    if not student:
        raise ValueError(_("the student's cell is empty; expected a name or number"))
    if len(student) > MAX_STUDENT:
        text = _("the student's name has {n} characters; expected at most {most}")
        raise ValueError(text.format(n=len(student), most=MAX_STUDENT))
    if CONTROLS.search(student):
        raise ValueError(_("{name!r} has a control character or a line break").format(name=student))


def _safe(student: str) -> str:
    """The student as a safe file name: letters, digits and ._-@+; not a path, and not hidden."""
    if PLAIN.fullmatch(student):
        return student
    kept = "".join(char if char.isalnum() or char in "._-@+" else "_" for char in normalize("NFC", student))
    return kept.lstrip(".-").encode()[:MAX_STEM].decode("utf-8", "ignore").rstrip(".")


def _file(student: str, safe: str, *, alone: bool) -> str:
    """The name of the file: the student if that is safe and unique, else with a digest."""
    if safe and safe == normalize("NFC", student) and alone and not RESERVED.match(safe):
        return safe
    return f"{safe or COLUMN}-{sha256(normalize('NFC', student).encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def file_name(owner: str) -> str:
    """A safe and unique file name for somebody who is not on a roster."""
    return _file(owner, _safe(owner), alone=True)
