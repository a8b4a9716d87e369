"""Programs of a class as texts: their files, and which of them are alike."""

import re
from pathlib import Path
from typing import Any

import pytest
from class_of_sixty import zipped

from labkit.teach.assign import Assignment
from labkit.teach.grade.archive import Entry
from labkit.teach.grade.handins import HandIn, find
from labkit.teach.grade.judging import without
from labkit.teach.grade.programs import ProgramText, _runs, grade_programs, remarks
from labkit.teach.grade.task import GRADED, Result

OWN = Assignment.load("own-tcp")
SOLUTION = OWN.model.solution.text if OWN.model.solution is not None else ""
OTHER = Path(__file__).parents[2].joinpath("live", "minimal_tcp.py").read_text("utf-8")
GIVEN = "\n".join(f"def given_{n}(data): return [data[{n}], len(data) * {n}, {n} + 7]" for n in range(60))
"""Code that everybody got."""


def renamed(text: str) -> str:
    """The program of somebody who hides that it is another one's."""
    names = {each: f"x{number}" for number, each in enumerate(sorted(set(re.findall(r"self\.(\w+)", text))))}
    text = re.sub(r"self\.(\w+)", lambda match: f"self.{names[match[1]]}", text)
    return "# my own work\n" + re.sub(r"#.*", "", text).replace("    ", "\t")


def kinds(solution: str = "", **texts: str) -> set[tuple[str, tuple[str, ...]]]:
    sources = [ProgramText(name, text, frozenset(_runs(text))) for name, text in texts.items()]
    return {(each.kind, each.students) for each in remarks(sources, solution)}


def test_copies_are_reported_and_different_programs_are_not() -> None:
    assert kinds(a=SOLUTION, b=OTHER) == set()
    assert kinds(a=SOLUTION, b=OTHER, c=SOLUTION) == {("identical", ("a", "c"))}
    assert kinds(a=SOLUTION, b=OTHER, c=renamed(SOLUTION)) == {("near-identical", ("a", "c"))}
    # Half of it is enough, wherever it stands.
    assert kinds(a=SOLUTION, c=OTHER[:2000] + SOLUTION) == {("near-identical", ("a", "c"))}


def test_the_solution_is_recognized() -> None:
    assert kinds(SOLUTION, a=renamed(SOLUTION), b=OTHER) == {("given-solution", ("a",))}
    # That those who have it are like each other follows.
    both = {("given-solution", ("a",)), ("given-solution", ("b",))}
    assert kinds(SOLUTION, a=renamed(SOLUTION), b=SOLUTION.replace("2 * ", "3 * ")) == both


def test_what_everybody_has_is_no_evidence() -> None:
    texts = {f"s{number}": GIVEN + f"\nprint({number})" for number in range(5)}
    assert kinds(**texts) == set()
    assert kinds(a=texts["s1"], b=texts["s2"]) == {("near-identical", ("a", "b"))}


def graded(handins: list[HandIn], folder: Path) -> dict[str, Any]:
    """What each student's program is given to the lab as."""
    seen = {}

    def run(student: str, place: Path) -> Result:
        files = [place] if place.is_file() else [each for each in place.rglob("*") if each.is_file()]
        seen[student] = (place.name, sorted(str(each.relative_to(place.parent)) for each in files))
        return without(OWN.task(), GRADED, "ran")

    found = grade_programs(OWN.task(), handins, None, folder, run)
    notes = [note for row in found.rows for note in row.result.notes]
    refused = {row.student: row.result.parts[0].reason for row in found.rows if row.student not in seen}
    return {"seen": seen, "notes": notes, "refused": refused}


def test_the_files_of_each(tmp_path: Path) -> None:
    place = tmp_path / "in"
    for name, octets in {
        "ada/tcp.py": b"a",
        "ada/lib/util.py": b"b",
        "bob.py": b"c",
        "eve/work.zip": zipped({"mine/tcp.py": b"d", "mine/x/y.py": b"e", "__MACOSX/mine/._tcp.py": b"f"}),
        "kim/a b;rm.zip": zipped({"../../tcp.py": b"g", "/etc/z": b"h"}),
        "leo/.git/config": b"i",
        "leo/tcp.py": b"j",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(octets)
    (place / "leo" / "link").symlink_to("/etc/passwd")
    found = graded(find(str(place), whole=True), tmp_path / "out")
    assert found["seen"] == {
        "ada": ("ada", ["ada/lib/util.py", "ada/tcp.py"]),
        "bob": ("bob.py", ["bob.py"]),
        "eve": ("eve", ["eve/tcp.py", "eve/x/y.py"]),
        "kim": ("kim", ["kim/etc/z", "kim/tcp.py"]),
        "leo": ("leo", ["leo/tcp.py"]),
    }
    assert found["notes"] == ["the file was not opened: leo/link: it is a link, which labkit does not follow"]
    assert not list(tmp_path.glob("tcp.py"))


def test_one_student_alone_is_a_class(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        path = tmp_path / "in" / "ada" / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert [each.owner for each in find(str(tmp_path / "in"), whole=True)] == ["ada"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([b"PK\x03\x04"], "cannot be read as a zip archive"),
        ([zipped({})], "the archive has no file in it"),
        ([bytes(40 << 10), bytes(40 << 10)], "more than 0 MiB"),
    ],
    ids=["damaged", "empty", "large"],
)
def test_what_is_not_run(files: list[bytes], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.teach.grade.programs.MAX_COPIED", 64 << 10)
    entries = [Entry(("ada", str(number)), lambda octets=octets: octets) for number, octets in enumerate(files)]  # type: ignore[misc]
    handin = HandIn("ada", ("ada",), entries, [each.parts[1:] for each in entries])
    assert reason in graded([handin], tmp_path)["refused"]["ada"]


def test_an_empty_folder_is_not_run(tmp_path: Path) -> None:
    for name in ("ada", "bob/lib"):
        (tmp_path / "in" / name).mkdir(parents=True)
    found = graded(find(str(tmp_path / "in"), whole=True), tmp_path / "out")
    reason = "nothing was handed in: the folder has no file of the student in it"
    assert found == {"seen": {}, "notes": [], "refused": {"ada": reason, "bob": reason}}
