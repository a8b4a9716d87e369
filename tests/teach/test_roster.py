"""Rosters as spreadsheets and learning platforms write them."""

from pathlib import Path

import pytest

from labkit.errors import InputError, UsageError
from labkit.teach.roster import ID_COLUMNS, Roster, file_name, read_roster

LINES = ["ID,Name,E-mail", "s1,Zoë Müller,zoe@example.edu", "s2,李 雷,lei@example.edu"]


def read(octets: bytes, folder: Path, column: str | None = None) -> Roster:
    (folder / "r.csv").write_bytes(octets)
    return read_roster(folder / "r.csv", column, ID_COLUMNS)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_form_is_the_same_class(separator: str, ending: str, encoding: str, tmp_path: Path) -> None:
    text = ending.join(LINES).replace(",", separator) + ending
    found = read(text.encode(encoding), tmp_path)
    assert [(each.id, each.line, each.name) for each in found.students] == [("s1", 2, "Zoë Müller"), ("s2", 3, "李 雷")]
    assert (found.column, found.hints) == ("ID", ())


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_excels_first_line_names_the_separator(first: str, tmp_path: Path) -> None:
    found = read(f"{first}\r\nID;Name\r\ns1;Doe, Jane\r\n".encode(), tmp_path)
    assert [(each.id, each.line, each.name) for each in found.students] == [("s1", 3, "Doe, Jane")]


def test_windows_1252_is_read_with_a_hint(tmp_path: Path) -> None:
    found = read("ID;Name\ns1;Zoë Müller\n".encode("cp1252"), tmp_path)
    assert next(iter(found.students)).name == "Zoë Müller"
    (hint,) = found.hints
    assert hint.endswith("r.csv:2: not UTF-8 text, read as Windows-1252; if names look wrong, save it as 'CSV UTF-8'")


@pytest.mark.parametrize(
    ("head", "column"),
    [
        ("First name,Surname,ID number,Email address", "ID number"),  # Moodle
        ("Student,ID,SIS User ID,SIS Login ID,Section", "SIS User ID"),  # Canvas
        ("First Name,Last Name,SID,Email,Sections", "SID"),  # Gradescope
        ("Username,Name,Group", "Username"),
        ("Anything,Else,More,And,So", "Anything"),
    ],
)
def test_the_column_of_each_platform(head: str, column: str, tmp_path: Path) -> None:
    cells = [f"c{number}" for number, _name in enumerate(head.split(","))]
    assert read(f"{head}\n{','.join(cells)}\n".encode(), tmp_path).column == column


def test_a_column_that_is_not_filled_in_identifies_nobody(tmp_path: Path) -> None:
    text = "First name,Last name,ID number,Email address\nAda,Lovelace,,ada@x.edu\nBob,Kahn,7,bob@x.edu\n"
    found = read(text.encode(), tmp_path)
    assert [each.id for each in found.students] == ["ada@x.edu", "bob@x.edu"]
    (hint,) = found.hints
    assert hint.endswith("from the column 'Email address', because 'ID number' is not filled in for everybody")
    with pytest.raises(InputError, match=r"r\.csv:2: the student's cell is empty"):
        read(text.encode(), tmp_path, "ID number")


def test_canvas_gradebook_has_a_row_that_is_no_student(tmp_path: Path) -> None:
    text = 'Student,ID,SIS User ID,Task (1)\n    Points Possible,,,10\n"Lovelace, Ada",55,u1,\n"Student, Test",99,,\n'
    assert [(each.id, each.name) for each in read(text.encode(), tmp_path).students] == [
        ("55", "Lovelace, Ada"), ("99", "Student, Test"),
    ]  # fmt: skip


def test_a_number_that_a_spreadsheet_has_shortened_is_said(tmp_path: Path) -> None:
    (hint,) = read(b"ID,Name\n1.23457E+11,Ada\n", tmp_path).hints
    assert "'1.23457E+11' looks like a long number" in hint


def test_a_quotation_mark_that_is_not_closed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.csv:3: a quotation mark is not closed"):
        read(b'ID,Name\n"s1,Ada\ns2,Bob\n', tmp_path)


def test_a_cell_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.csv:2: a cell has more than 131,072 characters"):
        read(b"ID,Name\ns1," + b"x" * 140_000, tmp_path)


def test_a_column_by_its_name(tmp_path: Path) -> None:
    text = "\n".join(LINES).encode()
    assert [each.id for each in read(text, tmp_path, "e-mail").students] == ["zoe@example.edu", "lei@example.edu"]
    with pytest.raises(UsageError, match=r"there is no column 'Mail'; the columns are ID, Name, E-mail"):
        read(text, tmp_path, "Mail")


@pytest.mark.parametrize(
    "octets",
    [b"\x81\x8d\x8f", b"\xff\xfea", "ID\ns\x00".encode("utf-16"), b"PK\x03\x04 a workbook", b"", b"\n\n", b"a"],
)
def test_what_is_no_roster(octets: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(octets, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("owner", ["../x", "a/b", "..", "", "CON", "a\x00b", "x" * 500, "Ann (2)"])
def test_a_file_of_anybody_stays_in_its_folder(owner: str) -> None:
    name = file_name(owner)
    assert name
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) < 200


def test_a_roster_is_read_as_it_was(tmp_path: Path) -> None:
    found = read("\n".join(LINES).encode(), tmp_path)
    first = iter(found.students)
    assert next(first).id == "s1"
    (tmp_path / "r.csv").write_bytes(b"ID\nsomebody\n")
    assert [each.id for each in found.students] == ["s1", "s2"]
    assert next(first).id == "s2"  # a reader keeps its place, whoever else reads


@pytest.mark.parametrize("waiting", [1, 1 << 20])
def test_names_that_differ_in_capitals_only_get_different_files(
    waiting: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.teach.rows.MAX_WAITING", waiting)
    files = [each.file for each in read(b"ID\nann\nAnn\nben\ncon\nd e\n", tmp_path).students]
    assert files[2] == "ben"
    assert len({each.casefold() for each in files}) == 5
    assert all(len(each) > 8 for each in (files[0], files[1], files[3], files[4]))
