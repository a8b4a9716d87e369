"""Sixty hand-ins as a class makes them: the row of each is right, and nobody's name is in what students get."""

import csv
import json
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import class_of_sixty as klass
import pytest
from class_of_sixty import CASES, student

from labkit.cli import run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with roster, hand-outs, hand-ins and grades."""
    folder = tmp_path_factory.mktemp("class")
    klass.make(folder)
    assert run([*grading(folder), "-o", str(folder / "grades.json")]) == 0
    return folder


def grading(folder: Path) -> list[str]:
    return ["grade", "handshake", str(folder / "handins"), "--answers", str(folder / "answers.json")]


@pytest.fixture(scope="module")
def rows(place: Path) -> list[dict[str, Any]]:
    return json.loads((place / "grades.json").read_text("utf-8"))["students"]


def test_it_is_a_class_of_sixty() -> None:
    assert (len(CASES), len(klass.WRONG)) == (60, 31)
    assert len({case.name for case in CASES}) == 60


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_the_row_of_each_is_right(number: int, rows: list[dict[str, Any]]) -> None:
    case, row = CASES[number], rows[number]
    mistakes = row["mistakes"]
    numbered = sorted((each for each in mistakes if each["packet"]), key=lambda each: each["packet"])
    first = next(iter([*numbered, *mistakes]), {"packet": None, "message": ""})
    assert row["student"] == student(number)
    assert (row["points"], row["status"], first["packet"]) == (case.points, case.status, case.packet)
    assert case.why in "; ".join([first["message"], *row["notes"]])
    assert row["points"] == max(0, sum(part["points"] for part in row["parts"]))
    assert all(part["reason"] for part in row["parts"])


def test_a_person_is_shown_the_copies_and_nobody_else(place: Path) -> None:
    remarks = json.loads((place / "grades.json").read_text("utf-8"))["remarks"]
    found = {
        (each["kind"], frozenset(CASES[int(name[1:]) - 1000].name for name in each["students"])) for each in remarks
    }
    wanted = {(case.remark, frozenset({case.name, case.of})) for case in CASES if case.remark}
    # A copy has the numbers of the student whose work it is, too.
    also = {("someone-elses", students) for _kind, students in wanted}
    assert found == wanted | also


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "json", "html", "txt"])
def test_grading_twice_gives_the_same_bytes(suffix: str, place: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run([*grading(place), "-o", str(tmp_path / f"{name}.{suffix}")]) == 0
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_the_table_as_csv(place: Path, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    assert run([*grading(place), "-o", str(tmp_path / "g.csv")]) == 0
    table = list(csv.DictReader(StringIO((tmp_path / "g.csv").read_bytes().decode("utf-8-sig"), newline="")))
    assert [each["student"] for each in table] == [student(number) for number in range(60)]
    assert [float(each["points"]) for each in table] == [each["points"] for each in rows]
    row = table[[case.name for case in CASES].index("reply-acks-one-less")]
    assert (row["packet"], row["Sequence and acknowledgement numbers"]) == ("5", "2")
    assert "packet 5" in row["Sequence and acknowledgement numbers: why"]
    assert "Set ack to" in row["mend"]


def test_the_table_as_a_workbook(place: Path, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    assert run([*grading(place), "-o", str(tmp_path / "g.xlsx")]) == 0
    book = openpyxl.load_workbook(tmp_path / "g.xlsx")
    assert book.sheetnames == ["Summary", "All", "Failed", "Remarks"]
    every = list(book["All"].iter_rows(values_only=True))
    assert [row[0] for row in every[1:]] == [student(number) for number in range(60)]
    assert [row[2] for row in every[1:]] == [case.points for case in CASES]
    assert len(list(book["Failed"].iter_rows())) == 1 + sum(case.points < 10 for case in CASES)


def test_feedback_for_everybody(place: Path, tmp_path: Path) -> None:
    assert run([*grading(place), "-o", str(tmp_path / "g.json"), "--feedback", str(tmp_path / "fb")]) == 0
    assert len(list((tmp_path / "fb").iterdir())) == 120
    number = [case.name for case in CASES].index("reply-acks-one-less")
    text = (tmp_path / "fb" / f"{student(number)}.txt").read_text("utf-8")
    assert "9 of 10 points" in text
    assert "In Scapy: packets[4][TCP].ack" in text
    # No feedback speaks of another student.
    others = [student(each) for each in range(60) if each != number]
    assert not [each for each in others if each in text]


def test_the_table_on_a_pipe(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(grading(place)) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["student", "points", "packet", "why"]
    assert lines[1].startswith("s1000")
    assert "\x1b" not in out
    assert "51 of 60 students graded; 5 remarks" in err


def test_no_hand_out_names_a_student(place: Path) -> None:
    """Neither the roster's cells nor the seed, the key or the answer key are in what students get."""
    key = json.loads((place / "answers.json").read_text("utf-8"))
    files = [path for path in (place / "handouts").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"handshake.md", "handshake.html"}
    contents = b"\n".join(path.read_bytes() for path in files)
    for each in key["students"]:
        for cell in (*each["cells"], each["seed"][2:]):
            assert cell.encode() not in contents
    assert not list((place / "handouts").rglob("*answers*"))


def as_zip(place: Path, rename: Any) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        for path in sorted((place / "handins").rglob("*")):
            if path.is_file():
                number = int(path.parent.name[1:]) - 1000
                archive.writestr(rename(number, path.name), path.read_bytes())
    return stream.getvalue()


def last_first(number: int) -> str:
    return f"müller{chr(65 + number % 26)}{number}ann{number}".lower()


LAYOUTS = {
    "moodle-folders": lambda n, name: f"Ann{n} Müller{chr(65 + n % 26)}{n}_{90000 + n}_assignsubmission_file_/{name}",
    "moodle-flat": lambda n, name: f"Ann{n} Müller{chr(65 + n % 26)}{n}_{90000 + n}_assignsubmission_file_{name}",
    "canvas": lambda n, name: f"{last_first(n)}_{'LATE_' if n == 3 else ''}{5000 + n}_{70000 + n}_{name}",
    "folders": lambda n, name: f"week3/{student(n)}/{name}",
    "names-in-files": lambda n, name: f"{student(n)}_{name}",
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_platforms_archive_gives_the_same_grades(
    layout: str, place: Path, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    (tmp_path / "handins.zip").write_bytes(as_zip(place, LAYOUTS[layout]))
    arguments = ["grade", "handshake", str(tmp_path / "handins.zip"), "--answers", str(place / "answers.json")]
    assert run([*arguments, "-o", str(tmp_path / "g.json")]) == 0
    found = json.loads((tmp_path / "g.json").read_text("utf-8"))
    assert found["strangers"] == []
    assert [(each["student"], each["points"], each["status"]) for each in found["students"]] == [
        (each["student"], each["points"], each["status"]) for each in rows
    ]
    if layout == "canvas":
        assert [each["student"] for each in found["students"] if each["late"]] == [student(3)]


@pytest.mark.slow
def test_gradescopes_archive_gives_the_same_grades(place: Path, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("assignment_7_export/submission_metadata.yml", metadata())
        for path in sorted((place / "handins").rglob("*")):
            if path.is_file():
                number = int(path.parent.name[1:])
                archive.writestr(f"assignment_7_export/submission_{number}/{path.name}", path.read_bytes())
    (tmp_path / "export.zip").write_bytes(stream.getvalue())
    arguments = ["grade", "handshake", str(tmp_path / "export.zip"), "--answers", str(place / "answers.json")]
    assert run([*arguments, "-o", str(tmp_path / "g.json")]) == 0
    found = json.loads((tmp_path / "g.json").read_text("utf-8"))
    assert found["strangers"] == []
    assert [each["points"] for each in found["students"]] == [each["points"] for each in rows]


def metadata() -> str:
    """What Gradescope writes: Ruby's symbols, and a group of one for each submission."""
    lines = ["---"]
    for number in range(60):
        lines += [
            f"submission_{1000 + number}:",
            "  :submitters:",
            f"  - :name: Ann{number} Müller",
            f"    :sid: {student(number)}",
            f"    :email: {student(number)}@example.edu",
            "  :created_at: 2026-11-20 10:00:00.000000000 Z",
            "  :score: 0.0",
        ]
    return "\n".join(lines) + "\n"


def test_a_hand_in_that_is_nobodys_is_shown(place: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "zzz").mkdir(parents=True)
    (tmp_path / "in" / "zzz" / "a.pcap").write_bytes(klass.saved(klass.BROWSER))
    arguments = ["grade", "handshake", str(tmp_path / "in"), "--answers", str(place / "answers.json")]
    assert run([*arguments, "-o", str(tmp_path / "g.json")]) == 0
    found = json.loads((tmp_path / "g.json").read_text("utf-8"))
    assert found["strangers"] == ["zzz: nobody on the roster has that name or ID"]
    assert (len(found["students"]), found["students"][-1]["on_roster"]) == (61, False)
    assert {each["status"] for each in found["students"][:60]} == {"nothing"}


def test_nobody_has_handed_in_anything(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    arguments = ["grade", "handshake", str(tmp_path / "in")]
    assert run([*arguments, "--answers", str(place / "answers.json"), "--format", "csv"]) == 0
    out, _err = capsys.readouterr()
    assert [line.split(",")[4] for line in out.splitlines()[1:]] == ["nothing"] * 60
    assert run(arguments) == 3
    assert capsys.readouterr().err.endswith("in: there is no file in it\n")
