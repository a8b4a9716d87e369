"""A student whose folder is empty has a row, as a student with a file has one."""

import json
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from labkit.cli import run
from labkit.teach.grade import archive
from labkit.teach.grade.archive import listing
from labkit.teach.grade.handins import find

SUBMISSIONS = """\
submission_1:
  :submitters: [{":name": Ann, ":sid": s1}]
submission_2:
  :submitters: [{":name": Bob, ":sid": s2}, {":name": Cid, ":sid": s3}]
submission_3:
  :submitters: [{":name": Dora, ":sid": s4}]
"""


def as_folder(place: Path, names: list[str]) -> Path:
    place.mkdir()
    for name in names:
        path = place / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SUBMISSIONS if name.endswith("yml") else "x")
    return place


def as_archive(place: Path, names: list[str]) -> Path:
    path = place.with_suffix(".zip")
    with ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, SUBMISSIONS if name.endswith("yml") else "" if name.endswith("/") else "x")
    return path


@pytest.mark.parametrize("make", [as_folder, as_archive])
@pytest.mark.parametrize(
    ("names", "owners"),
    [
        (["s1/", "s2/a.pcap", "s3/"], ["s1-", "s2", "s3-"]),
        (["s1/", "s2/"], ["s1-", "s2-"]),
        (["s1/sub/deep/", "s2/a.pcap"], ["s1-", "s2"]),
        (["s1/sub/", "s1/a.pcap"], ["s1"]),
        (["s1/a/", "s1/b/", "s2/a.pcap"], ["s1-", "s2"]),
        (["s1/.DS_Store", "s2/.git/config", "s3/__MACOSX/x", "s4/Thumbs.db", "s5/._a.pcap", "s6/a.pcap"],
         ["s1-", "s2-", "s3-", "s4-", "s5-", "s6"]),
        (["s1/.hidden", "s2/notes.txt"], ["s1", "s2"]),
        (["s1/", "s1.pcap"], ["s1"]),
        (["export/s1/", "export/s2/x/a.pcap", "export/s3/y/b.pcap"], ["s1-", "s2", "s3"]),
        (["export/s1/", "export/s2/"], ["s1-", "s2-"]),
        (["class/s1/", "class/s2.pcap"], ["s1-", "s2"]),
        (["export/s2/a.pcap", "export/s3/a.pcap", "spare/"], ["s2", "s3", "spare-"]),
        (["Ann Lee_12_assignsubmission_file_/", "Bob_13_assignsubmission_file_/a.pcap"], ["Ann Lee (12)-", "Bob (13)"]),
        (["leeann_12_34_a.pcap", "leebob_13_35_a.pcap", "s3/"], ["leeann (12)", "leebob (13)", "s3-"]),
        (["submission_metadata.yml", "submission_1/a.pcap", "submission_2/", "submission_4/"],
         ["Ann", "Bob-", "Cid-", "Dora-", "submission_4-"]),
        (["__MACOSX/s1/._a.pcap", "s2/a.pcap", ".git/objects/"], ["s2"]),
    ],
)  # fmt: skip
def test_whose_folders_are_empty(
    names: list[str], owners: list[str], make: Callable[[Path, list[str]], Path], tmp_path: Path
) -> None:
    """The owners of hand-ins; a dash stands behind those without a file."""
    found = find(str(make(tmp_path / "class", names)))
    assert [each.owner + "-" * (not each.entries) for each in found] == owners
    assert all(len(each.entries) == len(each.paths) for each in found)


def test_a_file_beside_an_empty_folder_of_its_name_is_alone(tmp_path: Path) -> None:
    (found,) = find(str(as_folder(tmp_path / "class", ["s1/", "s1.py"])))
    assert (found.alone, found.paths) == (True, [("s1.py",)])


@pytest.mark.parametrize("roster", [False, True])
def test_the_table_has_a_row_for_each(roster: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    as_folder(Path("class"), ["s1/", "s2/notes.txt", "s3/.DS_Store"])
    Path("roster.csv").write_text("student\ns1\ns2\ns4\n")
    line = ["grade", "find-the-mistake", "class", "-o", "grades.json", "--feedback", "feedback"]
    if roster:
        assert run(["assign", "build", "find-the-mistake", "--roster", "roster.csv", "--answers", "key.json"]) == 0
        line += ["--answers", "key.json"]
    assert run(line) == 0
    table = json.loads(Path("grades.json").read_text())
    rows = {each["student"]: (each["status"], each["mistakes"][0]["message"]) for each in table["students"]}
    empty = ("nothing", "nothing was handed in: the folder has no file of the student in it")
    assert (rows["s1"], rows["s3"]) == (empty, empty)
    assert rows["s2"][0] != "nothing"
    assert rows.get("s4") == (("nothing", "nothing was handed in") if roster else None)
    assert Path("feedback/s1.txt").exists()


def test_a_folder_without_any_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["grade", "find-the-mistake", str(tmp_path)]) == 3
    assert "there is no file in it" in capsys.readouterr().err


@pytest.mark.parametrize("make", [as_folder, as_archive])
def test_empty_folders_count(
    make: Callable[[Path, list[str]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(tmp_path / "class", [f"{number}/" for number in range(9)])
    assert len(listing(str(place)).empty) == 9
    monkeypatch.setattr(archive, "MAX_ENTRIES", 8)
    with pytest.raises(archive.InputError, match="more than 8 "):
        listing(str(place))


def test_an_archive_may_have_very_deep_names(tmp_path: Path) -> None:
    """What is deeper than `MAX_DEPTH` is not looked at in detail: a file there is a file of the folders above."""
    deep = "/".join("a" * 30_000)
    found = listing(str(as_archive(tmp_path / "class", [f"s1/{deep}", f"s2/{deep}/", "s3/b.pcap"])))
    assert [each.parts[0] for each in found.files] == ["s1", "s3"]
    assert [each[0] for each in found.empty] == ["s2"]
