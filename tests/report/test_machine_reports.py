"""The JSON and JSONL reports; their keys are a contract."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import __version__
from labkit.analysis.catalogue import collect
from labkit.analysis.findings import Group
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import verify
from labkit.capture import Damage, create
from labkit.report.formats import ReportOptions, renderer
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

FINDING = {
    "code": str,
    "name": str,
    "severity": str,
    "packet": (int, type(None)),
    "time": (float, type(None)),
    "flow": int,
    "source": str,
    "destination": str,
    "message": str,
    "field": str,
    "expected": (int, type(None)),
    "actual": (int, type(None)),
    "reference": str,
    "should_be": str,
    "receiver": str,
    "mend": str,
    "wireshark": (str, type(None)),
}
"""The keys of the contract; a finding may have more."""

CAPTURE = {"path": str, "verdict": str, "packets": int, "segments": int, "flows": int, "findings": list}

EVERY_BAD = [rule.bad for rule in collect()]


def judged(path: Path, text: str) -> Verdict:
    with create(path, link=1) as writer:
        for frame in frames(list(parse(text))):
            writer.write(frame.time, frame.data, wirelen=frame.wirelen)
    return verify(path)


def as_json(verdicts: list[Verdict], fail_on: Severity = Severity.ERROR) -> dict:
    return json.loads("\n".join(renderer("json")(verdicts, ReportOptions(fail_on))))


def keeps(contract: dict, value: dict) -> bool:
    return not [key for key, kind in contract.items() if key not in value or not isinstance(value[key], kind)]


@pytest.fixture
def faulty(tmp_path: Path) -> Verdict:
    return judged(
        tmp_path / "a.pcap", "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"
    )


def test_the_json_object(faulty: Verdict) -> None:
    value = as_json([faulty])
    assert list(value) == ["labkit", "profile", "config", "reveal", "captures"]
    assert (value["labkit"], value["profile"]) == (__version__, "rfc9293")
    (capture,) = value["captures"]
    assert keeps(CAPTURE, capture)
    assert (capture["path"], capture["verdict"], capture["packets"], capture["segments"], capture["flows"]) == (
        faulty.path,
        "fail",
        5,
        5,
        1,
    )
    (error,) = [finding for finding in capture["findings"] if finding["severity"] == "error"]
    assert keeps(FINDING, error)
    assert (error["code"], error["packet"], error["field"], error["expected"], error["actual"]) == (
        "ACK01",
        4,
        "ack",
        1,
        7,
    )
    assert (error["source"], error["destination"]) == ("192.0.2.20:80", "192.0.2.10:40000")
    assert error["time"] == 0.03


@pytest.mark.parametrize("number", range(len(EVERY_BAD)))
def test_findings_of_every_rule_keep_the_contract(tmp_path: Path, number: int) -> None:
    verdict = judged(tmp_path / "a.pcap", EVERY_BAD[number])
    (capture,) = as_json([verdict])["captures"]
    assert len(capture["findings"]) == len(verdict.findings)
    for finding in capture["findings"]:
        assert keeps(FINDING, finding), finding
        assert finding["severity"] in {"error", "warning", "note"}


@pytest.mark.parametrize(
    ("worst", "fail_on", "outcome"),
    [
        (Severity.ERROR, Severity.ERROR, "fail"),
        (Severity.WARNING, Severity.ERROR, "pass"),
        (Severity.WARNING, Severity.WARNING, "fail"),
        (Severity.NOTE, Severity.WARNING, "pass"),
        (Severity.NOTE, Severity.NOTE, "fail"),
        (None, Severity.NOTE, "pass"),
    ],
)
def test_fail_on_decides_the_verdict(faulty: Verdict, worst: Severity | None, fail_on: Severity, outcome: str) -> None:
    faulty = replace(faulty, findings=[] if worst is None else [replace(faulty.findings[0], severity=worst)])
    assert as_json([faulty], fail_on)["captures"][0]["verdict"] == outcome


def test_a_capture_has_limits_and_conversations(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "a.pcap", "> P. 1:9(8) ack 1\n< . 1:1(0) ack 9\n")
    verdict = replace(verdict, left_out=3)
    (capture,) = as_json([verdict])["captures"]
    assert capture["left_out"] == 3
    (limit,) = capture["limits"]
    assert (limit["kind"], limit["code"], limit["count"], limit["packet"]) == ("mid-stream", "CAP05", 1, None)
    (conversation,) = capture["conversations"]
    assert (conversation["flow"], conversation["packets"], conversation["octets"]) == (0, [1, 1], [8, 0])
    assert (conversation["opened"], conversation["closed"]) == ("not-seen", "open")


def test_a_capture_that_cannot_be_read() -> None:
    (capture,) = as_json([Verdict("a.pcap", "rfc9293", error="a.pcap: not a capture: the file is empty")])["captures"]
    assert keeps(CAPTURE, capture)
    assert (capture["verdict"], capture["error"], capture["findings"]) == (
        "unreadable",
        "a.pcap: not a capture: the file is empty",
        [],
    )


def test_a_capture_that_is_cut(faulty: Verdict) -> None:
    faulty = replace(faulty, damage=Damage("it ends here", 678, cut=True))
    (capture,) = as_json([faulty])["captures"]
    assert capture["damage"] == {"message": "it ends here", "at": 678, "cut": True}
    assert capture["verdict"] == "fail"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_several_captures_are_one_object(count: int) -> None:
    value = as_json([Verdict(f"{number}.pcap", "document") for number in range(count)])
    assert value["profile"] == "document"
    assert [capture["path"] for capture in value["captures"]] == [f"{number}.pcap" for number in range(count)]


def test_without_captures_there_is_an_empty_object() -> None:
    assert as_json([])["captures"] == []


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "\udcff", 'quo"te', "中文"])
def test_any_file_name_survives(name: str) -> None:
    lines = list(renderer("json")([Verdict(name, "rfc9293")], ReportOptions(Severity.ERROR)))
    assert json.loads("\n".join(lines))["captures"][0]["path"] == name
    assert "\n".join(lines).isascii()


def test_jsonl_has_a_line_for_each_finding(faulty: Verdict) -> None:
    text = "\n".join(renderer("jsonl")([faulty, faulty], ReportOptions(Severity.ERROR)))
    lines = [json.loads(line) for line in text.split("\n")]
    assert len(lines) == 2 * len(faulty.findings)
    assert all(keeps(FINDING, line) and line["path"] == faulty.path for line in lines)
    (capture,) = as_json([faulty])["captures"]
    assert [{key: value for key, value in line.items() if key != "path"} for line in lines[: len(lines) // 2]] == (
        capture["findings"]
    )


def test_jsonl_has_a_line_for_a_capture_with_an_error() -> None:
    cut = Verdict("b.pcap", "rfc9293", damage=Damage("it ends here", 678, cut=True))
    (line,) = renderer("jsonl")([cut], ReportOptions(Severity.ERROR))
    damage = {"message": "it ends here", "at": 678, "cut": True, "kind": "damaged"}
    assert json.loads(line) == {"path": "b.pcap", "damage": damage}
    (line,) = renderer("jsonl")([Verdict("a.pcap", "rfc9293", error="a.pcap: no")], ReportOptions(Severity.ERROR))
    assert json.loads(line) == {"path": "a.pcap", "error": "a.pcap: no"}


@pytest.mark.parametrize("format_", ["csv", "json", "jsonl", "junit", "sarif", "text"])
def test_results_are_printed_while_later_captures_are_judged(format_: str, faulty: Verdict) -> None:
    taken = 0

    def verdicts() -> Iterator[Verdict]:
        nonlocal taken
        while True:
            taken += 1
            yield faulty

    lines = renderer(format_)(verdicts(), ReportOptions(Severity.ERROR))
    assert next(lines)
    next(lines)
    # Some formats print a header before the first capture.
    assert taken <= 1


def test_counted_findings_are_not_kept(faulty: Verdict) -> None:
    counted = {"code": "ACK01", "name": "ack-of-unsent-data", "severity": "error", "count": 12}
    assert as_json([faulty])["captures"][0]["not_kept"] == []
    faulty = replace(faulty, beyond=[Group("ACK01", "ack-of-unsent-data", Severity.ERROR, 12)])
    assert as_json([faulty])["captures"][0]["not_kept"] == [counted]
    *_, last = renderer("jsonl")([faulty], ReportOptions(Severity.ERROR))
    assert json.loads(last) == {"path": faulty.path, "not_kept": [counted]}
    faulty = replace(faulty, findings=[])
    assert as_json([faulty])["captures"][0]["verdict"] == "fail"
