"""The programs that a class handed in: whose each is, its files in a folder of its own, and which of them are alike.

Programs are compared as texts: without white space and comments, and with one word for all names. What many hand-ins share, such
as code that the instructor gave, is not evidence.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path

from labkit.errors import InputError
from labkit.i18n import _, printable, reason_of
from labkit.live.sandbox import MAX_COPIED
from labkit.teach.grade.archive import unpacked
from labkit.teach.grade.classroom import Grades, Pupil, Row, in_time, nothing_in, paired, reasons
from labkit.teach.grade.handins import HandIn
from labkit.teach.grade.honesty import COMMON, MAX_PAIRS, Remark
from labkit.teach.grade.judging import without
from labkit.teach.grade.task import NOTHING, REFUSED, Result, Task
from labkit.teach.roster import Student, file_name

RUN = 24
"""Words in a row that are compared."""
ALIKE, LEAST = 0.5, 60
"""The share of the shorter program, and the number of runs of words, that two programs must share to be near-copies."""
MAX_TEXT = 1 << 20
"""Octets of a program that are compared."""

FOLDER = 4096
"""Octets of a folder, which count too where a program's files are copied."""

COMMENT = re.compile(r"#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
WORD = re.compile(r"[^\W\d]\w*|\d[\w.]*|\S")
KEYWORDS = {
    "if", "else", "elif", "for", "while", "do", "return", "def", "class", "import", "from", "in", "not", "and", "or", "break",
    "continue", "switch", "case", "struct", "try", "except", "with", "lambda", "yield", "raise", "pass", "true", "false",
    "none", "null", "new", "fn", "let", "match", "func", "package", "var", "const",
}  # fmt: skip
"""Words of programming languages that are not names."""

Runner = Callable[[str, Path], Result]
"""Runs and grades the program of a student, by the ID, in a file or folder."""


@dataclass(frozen=True, slots=True)
class ProgramText:
    """What is compared of a program."""

    student: str
    digest: str
    runs: frozenset[int]


def grade_programs(
    task: Task,
    handins: Sequence[HandIn],
    pupils: Sequence[Pupil] | None,
    folder: Path,
    run: Runner,
    *,
    solution: str = "",
    on_progress: Callable[[int, int], None] = lambda _number, _total: None,
) -> Grades:
    """Write each hand-in into a folder of its own below `folder`, and run it: a row for each student of the roster, in its order,
    and for each hand-in that is nobody's. Without a roster, each hand-in is a student of its own."""
    pupils, owned, strangers = paired(task, handins, pupils)
    others = [(Pupil(Student(each.owner, 0, file_name(each.owner)), task), each) for each, _why in strangers]
    every = [*((pupil, owned.get(pupil.student.id)) for pupil in pupils), *others]
    rows, sources = [], []
    for number, (pupil, handin) in enumerate(every, 1):
        on_progress(number, len(every))
        row = _row(pupil, handin, folder / str(number), run)
        rows.append(replace(row, on_roster=number <= len(pupils)))
        sources.append(_source(row.student, folder / str(number)))
    found = tuple(remarks([each for each in sources if each.digest], solution))
    return Grades(task, tuple(rows), found, reasons(strangers))


def _row(pupil: Pupil, handin: HandIn | None, folder: Path, run: Runner) -> Row:
    student = pupil.student
    if handin is None:
        result = without(pupil.task, NOTHING, _("nothing was handed in"))
        return Row(student.id, student.name, student.file, result)
    if not handin.entries:
        return Row(student.id, student.name, student.file, nothing_in(pupil.task))
    try:
        place, notes = _written(handin, folder / student.file)
        result = run(student.id, place)
    except InputError as error:
        result, notes = without(pupil.task, REFUSED, str(error)), []
    result, late = in_time(replace(result, notes=(*result.notes, *notes)), handin)
    names = tuple("/".join(map(printable, path)) for path in handin.paths)
    return Row(student.id, student.name, student.file, result, True, names, late)


def _written(handin: HandIn, folder: Path) -> tuple[Path, list[str]]:
    """The file or folder of a hand-in, and what could not be written. InputError if it is too large, or has nothing in it."""
    files, notes = _files(handin)
    if not files:
        raise InputError("; ".join(notes) or _("the archive has no file in it"))
    if handin.alone and len(files) == 1 and (*files,) == (*handin.paths,):
        (octets,) = files.values()
        folder = folder.with_name(file_name(handin.paths[0][0]))
        files = {(): octets}
    for path, octets in files.items():
        place = folder.joinpath(*path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(octets)
            place.chmod(0o755)  # archives forget which files are programs
        except (OSError, ValueError) as error:
            notes.append(f"{printable('/'.join(path))}: {reason_of(error)}")
    return folder, notes


def _files(handin: HandIn) -> tuple[dict[tuple[str, ...], bytes], list[str]]:
    """The files of a hand-in by their paths, those of archives included, and what could not be read. InputError if they are too
    large together."""
    files: dict[tuple[str, ...], bytes] = {}
    notes = []
    for entry, path in zip(handin.entries, handin.paths, strict=True):
        inside: dict[tuple[str, ...], bytes] = {}
        try:
            for each, octets in unpacked(entry, entry.read()):
                if isinstance(octets, InputError):
                    notes.append(_unopened(each.name, octets))
                else:
                    inside[each.parts[len(entry.parts) :]] = octets
        except InputError as error:
            notes.append(_unopened(entry.name, error))
        # The archive of a folder is the folder.
        tops = {rest[:1] for rest in inside}
        cut = 1 if len(tops) == 1 and all(len(rest) > 1 for rest in inside) else 0
        files |= {((*path[:-1], *rest[cut:]) if rest else path): octets for rest, octets in inside.items()}
        folders = {path[:end] for path in files for end in range(len(path))}
        if sum(map(len, files.values())) + FOLDER * len(folders) > MAX_COPIED:
            raise InputError(_("the hand-in has more than {n} MiB").format(n=MAX_COPIED >> 20))
    return files, notes


def _unopened(name: str, error: InputError) -> str:
    return _("the file was not opened: {reason}").format(
        reason=error if str(error).startswith(name) else f"{name}: {error}"
    )


# Likeness.


def _source(student: str, folder: Path) -> ProgramText:
    whole, runs = sha256(), set()
    left = MAX_TEXT
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        octets = path.read_bytes()
        whole.update(sha256(octets).digest())
        if b"\0" not in octets[:1024] and left > 0:
            runs |= _runs(octets[:left].decode("utf-8", "replace"))
            left -= len(octets)
    return ProgramText(student, whole.hexdigest() if folder.exists() else "", frozenset(runs))


def _runs(text: str) -> set[int]:
    words = [_name(word) for word in WORD.findall(COMMENT.sub(" ", text))]
    return {hash(tuple(words[at : at + RUN])) for at in range(len(words) - RUN + 1)}


def _name(word: str) -> str:
    return "name" if word.isidentifier() and word.casefold() not in KEYWORDS else word


def remarks(sources: Sequence[ProgramText], solution: str = "") -> Iterator[Remark]:
    """What a person should look at: copies, near-copies, and the assignment's own solution."""
    together: set[frozenset[str]] = set()
    same: dict[str, list[str]] = defaultdict(list)
    for each in sources:
        same[each.digest].append(each.student)
    for digest, students in same.items():
        if len(students) > 1:
            together |= {frozenset(pair) for pair in combinations(students, 2)}
            text = _("the files are the same, byte for byte ({digest})").format(digest=f"SHA-256 {digest[:12]}…")
            yield Remark("identical", tuple(students), text)
    known = _runs(solution)
    for each in sources:
        share = _share(len(each.runs & known), len(each.runs), len(known))
        if share:
            text = _(
                "{share:.0%} of the shorter program is in the solution of the assignment, names and comments aside"
            )
            yield Remark("given-solution", (each.student,), text.format(share=share))
    yield from _near(sources, known, together)


def _share(both: int, *sizes: int) -> float:
    """The share of the shorter one that two programs have in common; 0 where that is not evidence."""
    share = both / max(1, min(sizes))
    return share if both >= LEAST and share >= ALIKE else 0.0


def _near(sources: Sequence[ProgramText], known: set[int], together: set[frozenset[str]]) -> Iterator[Remark]:
    holders: dict[int, list[int]] = defaultdict(list)
    for place, each in enumerate(sources):
        for run in each.runs - known:
            holders[run].append(place)
    shared: Counter[tuple[int, int]] = Counter()
    own: Counter[int] = Counter()
    for places in holders.values():
        if len(places) <= COMMON:
            own.update(places)
            shared.update(combinations(places, 2))
    found = 0
    for (one, other), both in sorted(shared.items(), key=lambda each: (-each[1], each[0])):
        students = sources[one].student, sources[other].student
        share = _share(both, own[one], own[other])
        if share and frozenset(students) not in together and found < MAX_PAIRS:
            found += 1
            text = _("{share:.0%} of the shorter program is in the other one, names and comments aside")
            yield Remark("near-identical", students, text.format(share=share))
