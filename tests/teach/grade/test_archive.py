"""Folders and archives that are hostile: nothing is followed, written or filled, and the others are graded."""

import json
import os
import struct
import sys
import zlib
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import class_of_sixty as klass
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limited import limited

from labkit.capture.budget import Budget
from labkit.cli import run
from labkit.errors import InputError
from labkit.teach.assign import Assignment
from labkit.teach.assign.material import material
from labkit.teach.grade import archive, judging
from labkit.teach.grade.archive import Entry, files, unpacked
from labkit.teach.grade.task import Task

OWN = material(Assignment.load("handshake"), 0)
RIGHT = klass.saved(OWN.trace)
QUESTIONS = material(Assignment.load("find-the-mistake"), 0)


def entry(octets: bytes, name: str = "x.zip") -> Entry:
    return Entry((name,), lambda: octets)


def contents(octets: bytes) -> list[tuple[str, bytes | str]]:
    """What is in an archive, with the reasons of what is not read."""
    return [
        (each.name, str(content) if isinstance(content, InputError) else content)
        for each, content in unpacked(entry(octets), octets)
    ]


def with_link(name: str, target: str) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w") as made:
        info = ZipInfo(name)
        info.external_attr = 0o120777 << 16
        made.writestr(info, target)
    return stream.getvalue()


def test_names_lead_nowhere() -> None:
    octets = klass.zipped({"../../etc/x": b"1", "/etc/y": b"2", "C:\\z": b"3", "a/./b": b"4"})
    assert contents(octets) == [
        ("x.zip/etc/x", b"1"),
        ("x.zip/etc/y", b"2"),
        ("x.zip/C:/z", b"3"),
        ("x.zip/a/b", b"4"),
    ]


def test_names_in_utf_8_that_do_not_say_so() -> None:
    octets = bytearray(klass.zipped({"Zo\u00eb/a.pcap": b"1", "b.pcap": b"2"}))
    for mark, offset in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        octets[octets.index(mark) + offset] &= ~8
    assert [name for name, _content in contents(bytes(octets))] == ["x.zip/Zo\u00eb/a.pcap", "x.zip/b.pcap"]


def test_links_are_not_followed() -> None:
    assert contents(with_link("a.pcap", "/etc/passwd")) == [
        ("x.zip/a.pcap", "it is a link, which labkit does not follow")
    ]


def test_a_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILE", 1 << 20)
    octets = klass.zipped({"bomb": bytes(3 << 20)})
    assert len(octets) < 10_000
    assert contents(octets) == [("x.zip/bomb", "it is larger than 1 MiB")]
    several = klass.zipped({f"{number}.bin": bytes(900_000) for number in range(50)})
    assert contents(several)[1:] == [("x.zip/1.bin", "an archive of more than 1 MiB")]


def test_a_header_that_lies_about_the_size_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILE", 1 << 20)
    octets = bytearray(klass.zipped({"bomb": bytes(3 << 20)}))
    at = octets.index(b"PK\x01\x02")
    octets[at + 24 : at + 28] = struct.pack("<I", 10)
    (_name, content), *_rest = contents(bytes(octets))
    # Python stops after as many octets as the header says.
    assert isinstance(content, str) or len(content) <= 1 << 20


def test_archives_in_archives_end() -> None:
    octets = RIGHT
    for _level in range(5):
        octets = klass.zipped({"a.zip": octets})
    ((_name, content),) = contents(octets)
    assert content == "an archive in an archive in an archive, which labkit does not open"


def test_an_archive_of_very_many_files_is_refused() -> None:
    octets = klass.zipped({str(number): b"" for number in range(archive.MAX_NESTED_ENTRIES + 1)})
    assert contents(octets) == [("x.zip", "an archive with more than 200 files")]


def test_gzip_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MAX_PLAIN", 1 << 20)
    packer = zlib.compressobj(9, wbits=31)
    octets = packer.compress(RIGHT + bytes(3 << 20)) + packer.flush()
    result = judging.grade(OWN.task, octets, "a.pcap.gz")
    assert (result.status, result.mistakes[0].what) == (
        "refused",
        "the file is larger than 1,048,576 bytes when it is uncompressed (--max-bytes)",
    )


def test_packets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MAX_PACKETS", 50)
    many = klass.saved(OWN.trace, "pcap", *[klass.BROWSER] * 3)
    result = judging.grade(OWN.task, many, "a.pcap")
    assert (result.status, result.mistakes[0].what) == (
        "refused",
        "the capture has more than 50 packets; hand in your conversation alone",
    )


def test_links_pipes_and_junk_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "a.pcap").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "s1" / "b.pcap")
    (tmp_path / "s2").symlink_to("/etc")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "._a.pcap").write_bytes(b"x")
    found = files(str(tmp_path))
    assert [each.name for each in found] == ["s1/a.pcap", "s1/b.pcap", "s2"]
    for each, word in zip(found, ("link", "pipe", "link"), strict=True):
        with pytest.raises(InputError, match=word):
            each.read()


def test_a_folder_that_may_not_be_read_is_a_hand_in(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("anna", "ben", "ben/more"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.pcap").write_bytes(RIGHT)
    (folder / "anna").chmod(0)
    (folder / "ben" / "more").chmod(0)
    try:
        done = limited("grade", "handshake", "in", "-o", "g.json", folder=tmp_path)
        assert done.returncode == 0
        found = {each["student"]: each for each in json.loads((tmp_path / "g.json").read_text())["students"]}
        assert found.keys() == {"anna", "ben"}
        assert found["anna"]["status"] == "refused"
        assert "it cannot be read: Permission denied" in str(found["anna"])
        done = limited("grade", "handshake", "in/anna", folder=tmp_path)
    finally:
        for each in ("anna", "ben/more"):
            (folder / each).chmod(0o755)
    assert done.returncode == 3
    assert "in/anna: cannot be read: Permission denied" in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere each name is Unicode")
def test_a_name_that_is_not_utf_8_costs_nobody_the_grade(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (b"anna.pcap", b"m\xfcller.pcap"):
        (folder / os.fsdecode(name)).write_bytes(RIGHT)
    outputs = [word for form in ("csv", "html", "json", "txt", "xlsx") for word in ("-o", str(tmp_path / f"g.{form}"))]
    assert run(["grade", "handshake", str(folder), *outputs, "--feedback", str(tmp_path / "feedback")]) == 0
    found = json.loads((tmp_path / "g.json").read_text())["students"]
    assert [each["status"] for each in found] == ["graded", "graded"]
    assert len(list((tmp_path / "feedback").iterdir())) == 4


def test_one_bad_hand_in_does_not_cost_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, octets in {"bad": RIGHT + b"!", "good": RIGHT, "bomb": klass.zipped({"a": bytes(9)})[:-9]}.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "a.pcap").write_bytes(octets)
    whole = judging.judged

    def breaking(task: Task, octets: bytes, budget: Budget | None = None) -> object:
        if octets.endswith(b"!"):
            raise MemoryError
        return whole(task, octets, budget)

    monkeypatch.setattr(judging, "judged", breaking)
    monkeypatch.setattr(
        "labkit.jobs.processes._has_one_thread", lambda: True
    )  # a copy of this process knows `breaking`
    assert run(["grade", "handshake", str(tmp_path / "in"), "-o", str(tmp_path / "g.json")]) == 0
    found = {each["student"]: each for each in json.loads((tmp_path / "g.json").read_text())["students"]}
    assert found["good"]["points"] == 10
    assert found["bad"]["mistakes"][0]["message"] == ("there is too little memory for this file; grade it by hand")
    assert found["bomb"]["status"] == "refused"


@pytest.mark.parametrize("suffix", ["html", "csv", "txt", "json", "xlsx"])
def test_names_with_markup_and_controls_stay_text(suffix: str, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>\x1b[31m\u202e=cmd"
    stream = BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as made:
        made.writestr(f"{name}/=1+1<b>.pcap", b"no capture <img src=x>")
    (tmp_path / "in.zip").write_bytes(stream.getvalue())
    target = tmp_path / f"g.{suffix}"
    assert (
        run(["grade", "handshake", str(tmp_path / "in.zip"), "-o", str(target), "--feedback", str(tmp_path / "f")]) == 0
    )
    text = target.read_bytes()
    if suffix == "xlsx":
        text = b"".join(ZipFile(target).read(each) for each in ZipFile(target).namelist())
    assert b"\x1b" not in text
    assert "\u202e".encode() not in text or suffix == "json"
    if suffix in ("html", "xlsx"):
        assert b"<script>" not in text
        assert b"<img" not in text
    pages = b"".join(each.read_bytes() for each in (tmp_path / "f").iterdir())
    assert b"\x1b" not in pages
    assert len(list((tmp_path / "f").iterdir())) == 2
    assert b"<img" not in (next((tmp_path / "f").glob("*.html"))).read_bytes()


@given(
    st.binary(max_size=400), st.sampled_from([b"", RIGHT[:24], b"PK\x03\x04", b"\x1f\x8b\x08", b"\n\r\r\n\x1c\0\0\0"])
)
def test_no_octets_make_grading_fail(octets: bytes, head: bytes) -> None:
    result = judging.grade(OWN.task, head + octets, "x")
    assert 0 <= result.points <= 10
    assert result.parts


@given(st.binary(max_size=300), st.text(max_size=300), st.sampled_from(["", "1: ", "<p>1: ", "\ufeff1;"]))
def test_no_answers_make_grading_fail(octets: bytes, text: str, head: str) -> None:
    for content in (
        head.encode() + octets,
        (head + text).encode("utf-8", "replace"),
        (head + text).encode("utf-16", "replace"),
    ):
        result = judging.grade(QUESTIONS.task, content, "answers.txt")
        assert 0 <= result.points <= result.of
        assert len(result.parts) == 5


@given(st.binary(min_size=1, max_size=30), st.integers(0, len(RIGHT)))
def test_no_change_of_a_right_hand_in_makes_grading_fail(octets: bytes, at: int) -> None:
    result = judging.grade(OWN.task, RIGHT[:at] + octets + RIGHT[at + len(octets) :], "x")
    assert 0 <= result.points <= 10
    assert all(part.reason for part in result.parts)
