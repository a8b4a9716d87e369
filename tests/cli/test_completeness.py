"""Whether packets may be missing: who says so, what the reports say of it, and what follows from a mistake."""

import csv
import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labkit.capture import create
from labkit.cli import run
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

KEPT_UP = """> S 0:0(0)
< S. 0:0(0) ack 1
> . 1:1(0) ack 1
> P. 1:19(18) ack 1
< . 1:1(0) ack 20
< P. 1:25(24) ack 20
> . 19:19(0) ack 25
< . 25:25(0) ack 20
> F. 19:19(0) ack 25
< F. 25:25(0) ack 20
> . 20:20(0) ack 26
"""
"""Packet 5 acknowledges one byte too many, and packets 6 and 8 go on from its number."""

COUNTED, CONSTANT, UNKNOWN = "", " {ip.id=7}", " {ip.id=0}"


OPEN = " {ip.id=0} "
"""The same without the close: it may go on behind the capture."""


def written(ids: str) -> None:
    lines = KEPT_UP.splitlines()[: -3 if ids == OPEN else None]
    with create("a.pcap", link=1) as writer:
        for frame in frames(list(parse("".join(f"{line}{ids}\n" for line in lines)))):
            writer.write(frame.time, frame.data)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "captures").mkdir()
    monkeypatch.chdir(tmp_path / "captures")
    written(COUNTED)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    capsys.readouterr()
    assert run(["verify", "a.pcap", *arguments]) == code
    return capsys.readouterr().out


TAKEN = [
    (COUNTED, [], "complete", "counted", "judged as complete: the IP identifications count without a gap"),
    (CONSTANT, [], "complete", "constant", "judged as complete: all packets have the same IP identification"),
    (UNKNOWN, [], "complete", "lock-step", "judged as complete: it opens and closes, and nothing is sent again"),
    (OPEN, [], "auto", "no-evidence", "judged with care: nothing shows that the capture is complete"),
    (UNKNOWN, ["--complete"], "complete", "option", "judged as complete: --complete or the configuration says"),
    (COUNTED, ["--partial"], "partial", "said-partial", "judged as partial: --partial or the configuration says"),
    (UNKNOWN, ["--profile", "document"], "complete", "profile", "judged as complete: the profile document assumes"),
]


@pytest.mark.parametrize(("ids", "arguments", "taken", "why", "line"), TAKEN, ids=[each[3] for each in TAKEN])
def test_the_reports_say_what_was_taken_and_why(
    ids: str, arguments: list[str], taken: str, why: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written(ids)
    assert printed(capsys, *arguments).splitlines()[1].startswith(f"  {line}")
    (capture,) = json.loads(printed(capsys, "--format", "json", *arguments))["captures"]
    assert capture["completeness"] == {"taken": taken, "why": why}
    errors = [found["packet"] for found in capture["findings"] if found["severity"] == "error"]
    assert errors == ([5, 6, 8] if taken == "partial" else [5])
    (suite,) = ElementTree.fromstring(printed(capsys, "--format", "junit", *arguments)).iter("testsuite")  # noqa: S314
    properties = {each.get("name"): each.get("value") or "" for each in suite.iter("property")}
    assert properties["completeness"].startswith(f"{taken}: {line}")


@pytest.mark.parametrize(("value", "taken"), [("true", "complete"), ("false", "partial")])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_configuration_says_it_too(value: str, taken: str, jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    written(UNKNOWN)
    Path("../labkit.toml").write_text(f"complete = {value}\n")
    out = printed(capsys, "a.pcap", "--jobs", jobs, "--format", "json")
    assert {capture["completeness"]["taken"] for capture in json.loads(out)["captures"]} == {taken}
    other = "--partial" if value == "true" else "--complete"
    (capture,) = json.loads(printed(capsys, other, "--format", "json"))["captures"]
    assert capture["completeness"]["taken"] != taken


@pytest.mark.parametrize("engine", ["interpreted", "auto"])
def test_the_options_exclude_each_other(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--complete", "--partial", "--engine", engine, "a.pcap"]) == 2
    assert capsys.readouterr().err == "labkit: --complete and --partial exclude each other\n"


def test_complete_is_true_or_false() -> None:
    Path("labkit.toml").write_text('complete = "yes"\n')
    assert run(["verify", "a.pcap", "--config", "labkit.toml"]) == 2


def test_text_lists_consequences_beneath_their_error(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["-v"]):
        lines = printed(capsys, *arguments).splitlines()
        assert lines[0].startswith("a.pcap: FAIL  1 error, 2 consequences, 2 notes (11 packets, ")
        assert lines.count("  follows   packets 6 and 8 follow from this mistake; mend them too") == 1
        assert not [line for line in lines if "CON01" in line]
    table = printed(capsys, "a.pcap", "-q").splitlines()
    assert table[1] == "  FAIL  a.pcap  1 error, 2 consequences, 2 notes"


def test_machine_formats_carry_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    (capture,) = json.loads(printed(capsys, "--format", "json"))["captures"]
    findings = capture["findings"]
    causes = {
        found["packet"]: findings[found["caused_by"]]["packet"] for found in findings if found["caused_by"] is not None
    }
    assert causes == {6: 5, 8: 5}
    lines = list(map(json.loads, printed(capsys, "--format", "jsonl").splitlines()))
    assert [line["caused_by"] for line in lines] == [found["caused_by"] for found in findings]
    rows = list(csv.DictReader(StringIO(printed(capsys, "--format", "csv"))))
    numbers = [found["caused_by"] for found in findings]
    assert [row["caused_by"] for row in rows] == ["" if number is None else str(number) for number in numbers]
    (log,) = json.loads(printed(capsys, "--format", "sarif"))["runs"]
    related = {
        result["locations"][0]["physicalLocation"]["region"]["startLine"]: [
            each["physicalLocation"]["region"]["startLine"] for each in result["relatedLocations"]
        ]
        for result in log["results"]
        if "relatedLocations" in result
    }
    assert related == {6: [5], 8: [5]}
    assert printed(capsys, "--format", "junit").count("[caused by finding 2: ACK01, packet 5]") == 2


def test_consequences_go_with_their_cause(capsys: pytest.CaptureFixture[str]) -> None:
    (capture,) = json.loads(printed(capsys, "--format", "json", "--ignore", "ACK01", code=0))["captures"]
    assert {found["code"] for found in capture["findings"]} == {"OPT06"}
    assert capture["left_out"] == 3
    # The numbers of the causes follow what is left, and no severity makes a consequence an error.
    Path("other.toml").write_text('ignore = ["OPT06"]\nseverity = {CON01 = "error"}\n')
    (capture,) = json.loads(printed(capsys, "--format", "json", "--config", "other.toml"))["captures"]
    assert [(found["code"], found["caused_by"]) for found in capture["findings"]] == [
        ("ACK01", None),
        ("CON01", 0),
        ("CON01", 0),
    ]
    assert [found["severity"] for found in capture["findings"]] == ["error", "note", "note"]
