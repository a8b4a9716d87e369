"""`labkit quiz` as its users call it."""

import io
import json
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from labkit.build.scenario import Scenario
from labkit.cli import run
from labkit.teach.quiz.formats import format_of, names
from labkit.teach.quiz.kinds import kinds


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_prints_a_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quiz", "document"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# document\n")
    assert out.count("- Filter for Wireshark: `") >= 12
    (line,) = err.splitlines()
    assert line.startswith("labkit: not asked: broken-rule, ")
    assert "(needs a wrong seq or ack; --fault puts one in)" in line


@pytest.mark.parametrize("name", names())
def test_the_same_seed_gives_the_same_octets(name: str) -> None:
    for target in ("a", "b"):
        suffix = ".zip" if format_of(name).suffix == "/" else format_of(name).suffix
        assert run(["quiz", "todays-options", "--format", name, "--seed", "4", "-o", f"{target}{suffix}"]) == 0
    one, other = Path(f"a{suffix}").read_bytes(), Path(f"b{suffix}").read_bytes()
    assert one == other
    assert run(["quiz", "todays-options", "--format", name, "--seed", "5", "-o", f"b{suffix}"]) == 0
    assert Path(f"b{suffix}").read_bytes() != one


def loaded(*arguments: str) -> dict[str, list[dict[str, object]]]:
    assert run(["quiz", *arguments, "-o", "x.json"]) == 0
    found: dict[str, list[dict[str, object]]] = json.loads(Path("x.json").read_text("utf-8"))
    return found


def test_kinds_and_count() -> None:
    found = loaded("document", "--kinds", "next-ack,state", "--kinds", "mss", "--count", "7")["questions"]
    assert len(found) == 7
    assert {each["kind"] for each in found} == {"next-ack", "state", "mss"}
    assert len({str(each["id"]) for each in found}) == 7


def test_relative_and_raw_numbers_are_named() -> None:
    (relative,) = loaded("fast-retransmit", "--kinds", "next-ack", "--count", "1")["questions"]
    (raw,) = loaded("fast-retransmit", "--kinds", "next-ack", "--count", "1", "--raw")["questions"]
    assert str(relative["stem"]).endswith("Sequence numbers are relative: each side's SYN has the number 0.")
    assert str(raw["stem"]).endswith("Sequence numbers are raw, as they stand in the header.")
    assert int(str(raw["right"]["text"])) > 1_000_000  # type: ignore[index, call-overload]


def test_a_capture_without_syns_has_raw_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    Scenario.load("document").play(3)[3:].write("middle.pcapng")
    found = loaded("middle.pcapng")["questions"]
    assert found
    assert not any(each["relative"] for each in found)
    assert "numbers are raw where the capture does not show the SYN of both sides" in capsys.readouterr().err


def test_a_capture_and_its_scenario_are_asked_the_same() -> None:
    Scenario.load("fast-retransmit").play(2).write("x.pcapng")
    one, other = loaded("x.pcapng", "--seed", "2"), loaded("fast-retransmit", "--seed", "2")
    assert one["questions"] == other["questions"]


def test_nothing_is_asked_about_what_was_not_judged_or_comes_after_a_mistake(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = loaded("document", "--fault", "ack-of-unsent-data@4", "--count", "200")["questions"]
    about = {"wrong-packet", "wrong-field", "right-number", "broken-rule"}
    assert {each["kind"] for each in found if int(str(each["packet"])) >= 4} == about
    trace = Scenario.load("document").play(1)
    trace.edit(4, edits={"doff": "4"}).write("broken.pcapng")
    capsys.readouterr()
    found = loaded("broken.pcapng", "--count", "200")["questions"]
    assert 4 not in {each["packet"] for each in found}


HOSTILE = "a}=b ~#{x}: seq=100 -> ]]>{{y}}`$CATEGORY\x1b[31m\n<b>.pcapng"


@pytest.mark.parametrize("name", names())
def test_a_hostile_file_name_is_harmless(name: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Scenario.load("document").play(1).write(HOSTILE)
    assert run(["quiz", HOSTILE, "--format", name, "-o", "-"]) == 0
    out, err = capfdbinary.readouterr()
    if out.startswith(b"PK"):
        with ZipFile(io.BytesIO(out)) as archive:
            assert all(each.isascii() and each.isprintable() and ".." not in each for each in archive.namelist())
            out = b"".join(archive.read(each) for each in archive.namelist() if not each.endswith(".pcapng"))
    text = out.decode()
    assert all(each.isprintable() or each in "\r\n" for each in text)
    assert "\x1b" not in err.decode()
    assert all(line.startswith("labkit: ") for line in err.decode().splitlines())


def test_the_capture_goes_along_without_hints() -> None:
    assert run(["quiz", "document", "--capture", "given.pcapng", "-o", "x.xml"]) == 0
    octets = Path("given.pcapng").read_bytes()
    assert b"ESTABLISHED" not in octets
    assert run(["build", "document", "-o", "annotated.pcapng"]) == 0
    assert b"ESTABLISHED" in Path("annotated.pcapng").read_bytes()
    assert (
        run(["quiz", "annotated.pcapng", "--capture", "given2.pcapng", "--format", "prairielearn", "-o", "folder"]) == 0
    )
    for each in [Path("given2.pcapng"), *Path("folder").glob("*/clientFilesQuestion/annotated.pcapng")]:
        assert b"ESTABLISHED" not in each.read_bytes()


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO()
    Scenario.load("document").play(1).write(stream, format="pcap")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stream.getvalue())))
    assert run(["quiz", "-", "--kinds", "state"]) == 0
    assert capsys.readouterr().out.startswith("# capture\n")


WRONG = [
    (["quiz"], 2, "missing SCENARIO or CAPTURE"),
    (["quiz", "document", "--format", "qit"], 2, "unknown format 'qit'; expected one of csv, "),
    (["quiz", "document", "-o", "x.doc"], 2, "x.doc: the suffix names no format"),
    (["quiz", "document", "--kinds", "next-ac"], 2, "did you mean 'next-ack'?"),
    (
        ["quiz", "document", "--kinds", "zero-window"],
        2,
        "nothing can be asked about it: zero-window (needs a window of 0)",
    ),
    (["quiz", "text.pcap"], 3, "text.pcap"),
    (["quiz", "missing.pcap"], 3, "missing.pcap"),
    (["quiz", "x.pcapng", "--fault", "ack-goes-back"], 2, "--fault needs a scenario"),
    (["quiz", "both.pcapng"], 2, "two points"),
    (["quiz", "document", "--format", "prairielearn", "-o", "taken"], 3, "taken: exists already"),
    (["quiz", "half-open-connections"], 2, "Wireshark divides their packets in another way"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), WRONG, ids=[" ".join(each[0]) for each in WRONG])
def test_what_is_wrong_is_said_in_a_line(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.pcap").write_text("no capture")
    Path("taken").mkdir()
    Path("taken", "mine").write_text("x")
    Scenario.load("document").play(1).write("x.pcapng")
    Scenario.load("lossy-both-sides").play(1).write("both.pcapng")
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err.splitlines()[-1]
    assert [each.name for each in Path("taken").iterdir()] == ["mine"]


def test_the_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quiz", "--list-kinds"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(kinds())
    assert len(lines) >= 12
