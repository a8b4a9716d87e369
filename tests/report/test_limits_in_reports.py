"""Every format shows the limits of a capture, whether one of them fails it, and that nothing was judged."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from frames import ether, ip4, tcp
from unread_cases import ARP, FOREIGN, SEGMENT, frames

from labkit.analysis.limit_kinds import KINDS
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier, verify
from labkit.capture import Damage, create, open_capture
from labkit.cli import run
from labkit.report.annotate import annotate
from labkit.report.formats import ReportOptions, renderer

MESSAGE = "1 packet has IP protocol 99 where TCP (6) was expected (packet 2): not verified"
FORMATS = ("csv", "json", "jsonl", "junit", "sarif", "text")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def judged(*octets: bytes, strict: bool | tuple[str, ...] = (), allow_empty: bool = False) -> Verdict:
    verdict = Verifier().run(frames(*octets))
    verdict = replace(verdict, path="a.pcap")
    return ReportConfig(strict=strict, allow_empty=allow_empty).apply(verdict)


def report(format_: str, *verdicts: Verdict, allow_empty: bool = False) -> str:
    config = ReportConfig(allow_empty=allow_empty)
    lines = renderer(format_)(verdicts, ReportOptions(Severity.ERROR, config=config))
    return click.unstyle("\n".join(lines))


def limit(record: dict, kind: str = "not-read") -> dict:
    (found,) = [each for each in record["limits"] if each["kind"] == kind]
    return found


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_has_the_limit(format_: str) -> None:
    assert MESSAGE in report(format_, judged(SEGMENT, FOREIGN))
    assert MESSAGE not in report(format_, judged(SEGMENT, SEGMENT))


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_shows_what_fails(format_: str) -> None:
    words = {
        "csv": ",failing-limit,",
        "json": '"fails": true',
        "jsonl": '"fails": true',
        "junit": '<failure type="not-read"',
        "sarif": f"{MESSAGE} [--strict=not-read]",
        "text": f"error: {MESSAGE} [--strict=not-read]",
    }
    assert words[format_] in report(format_, judged(SEGMENT, FOREIGN, strict=("not-read",)))
    assert words[format_] not in report(format_, judged(SEGMENT, FOREIGN, strict=("truncated",)))


def test_json() -> None:
    (capture,) = json.loads(report("json", judged(SEGMENT, FOREIGN, ARP)))["captures"]
    assert (capture["verdict"], capture["other"], capture["not_read"], capture["up_to"]) == ("pass", 1, 1, None)
    found = {"kind": "not-read", "code": "", "count": 1, "packet": 2, "message": MESSAGE, "fails": False}
    assert limit(capture) == found
    (capture,) = json.loads(report("json", judged(SEGMENT, FOREIGN, ARP, strict=True)))["captures"]
    assert capture["verdict"] == "fail"
    assert all(each["fails"] for each in capture["limits"])
    (capture,) = json.loads(report("json", judged(ARP)))["captures"]
    assert (capture["verdict"], capture["limits"][0]["kind"]) == ("not-judged", "no-segments")


def test_jsonl() -> None:
    line = next(
        each for each in map(json.loads, report("jsonl", judged(SEGMENT, FOREIGN)).splitlines()) if "limits" in each
    )
    assert (line["path"], line["verdict"], line["up_to"], limit(line)["packet"]) == ("a.pcap", "pass", None, 2)
    (line,) = map(json.loads, report("jsonl", judged(ARP)).splitlines())
    assert line["verdict"] == "not-judged"


def test_csv() -> None:
    rows = list(csv.DictReader(report("csv", judged(SEGMENT, FOREIGN), judged(ARP)).splitlines()))
    found = [(each["name"], each["severity"], each["packet"]) for each in rows if not each["field"]]
    assert ("not-read", "limit", "2") in found
    assert ("no-segments", "not-judged", "") in found


def test_junit() -> None:
    def cases(verdict: Verdict, *, allow_empty: bool = False) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
        (suite,) = ElementTree.fromstring(report("junit", verdict, allow_empty=allow_empty))  # noqa: S314 - labkit's own
        return suite, [each for each in suite.findall("testcase") if each.get("name") == "limits of the capture"]

    suite, (case,) = cases(judged(SEGMENT, FOREIGN))
    assert MESSAGE in (case.findtext("system-out") or "")
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "0")
    assert int(suite.get("tests") or 0) == len(suite.findall("testcase"))
    suite, (case,) = cases(judged(SEGMENT, FOREIGN, strict=True))
    assert (suite.get("failures"), [each.get("type") for each in case]) == ("1", ["not-read"])
    suite, (case,) = cases(judged(ARP))
    assert (suite.get("failures"), [each.get("type") for each in case]) == ("1", ["not-judged"])
    suite, (case,) = cases(judged(ARP), allow_empty=True)
    assert (suite.get("failures"), suite.get("skipped"), [each.tag for each in case]) == ("0", "1", ["skipped"])


def test_sarif() -> None:
    def notifications(verdict: Verdict, *, allow_empty: bool = False) -> list[tuple[str, str]]:
        (run_,) = json.loads(report("sarif", verdict, allow_empty=allow_empty))["runs"]
        (invocation,) = run_["invocations"]
        assert invocation["executionSuccessful"] is True
        return [(each["descriptor"]["id"], each["level"]) for each in invocation["toolExecutionNotifications"]]

    assert ("not-read", "note") in notifications(judged(SEGMENT, FOREIGN))
    assert ("not-read", "error") in notifications(judged(SEGMENT, FOREIGN, strict=("not-read",)))
    assert notifications(judged(ARP)) == [("no-segments", "error")]
    assert notifications(judged(ARP), allow_empty=True) == [("no-segments", "note")]


def test_the_table_has_a_column() -> None:
    found = judged(SEGMENT, FOREIGN, FOREIGN)
    lines = report("text", found, judged(ARP)).splitlines()
    assert "2 captures: 1 PASS, 1 NOT JUDGED" in lines
    (row,) = [line for line in lines if line.startswith("  PASS")]
    assert "limits: not-read 2, " in row
    assert lines[-1].endswith("  limits: no-segments")


def test_the_headline_counts_other_frames() -> None:
    line = report("text", judged(SEGMENT, FOREIGN, ARP, ARP)).splitlines()[0]
    assert "(4 packets, 2 of other protocols, 1 not read, 1 conversation, profile rfc9293)" in line


def test_a_damaged_capture_counts_up_to_a_packet() -> None:
    verdict = judged(SEGMENT)
    verdict = verdict.with_damage(Damage("it ends here", 9, cut=True))
    assert report("text", verdict).startswith("a.pcap: UNREADABLE  ")
    assert " up to packet 1 (" in report("text", verdict).splitlines()[0]
    (capture,) = json.loads(report("json", verdict))["captures"]
    assert (capture["verdict"], capture["up_to"]) == ("unreadable", 1)
    assert '<property name="up_to" value="1"/>' in report("junit", verdict)


def test_annotations_name_the_limits() -> None:
    with create("a.pcap", link=1) as writer:
        for frame in frames(SEGMENT, FOREIGN):
            writer.write(frame.time, frame.data)
    verdict = ReportConfig(strict=("not-read",)).apply(verify("a.pcap"))
    annotate(verdict, "out.pcapng", ReportOptions(Severity.ERROR))
    with open_capture("out.pcapng") as capture:
        list(capture)
        (comment,) = capture.comments
    assert "FAIL" in comment
    assert f"{MESSAGE} [--strict=not-read]" in comment.splitlines()


# The command line.


def written(*octets: bytes) -> None:
    with create("a.pcap", link=1) as writer:
        for frame in frames(*octets):
            writer.write(frame.time, frame.data)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a.pcap"], 0),
        (["--strict", "a.pcap"], 1),
        (["a.pcap", "--strict"], 1),
        (["--strict=not-read", "a.pcap"], 1),
        (["--strict=truncated,not-read", "a.pcap"], 1),
        (["--strict=truncated", "--strict=not-read", "a.pcap"], 1),
        (["--strict=truncated,damaged", "a.pcap"], 0),
        (["--strict", "--", "a.pcap"], 1),
    ],
)
def test_strict(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    written(SEGMENT, FOREIGN)
    assert run(["verify", "--no-config", *arguments]) == code
    assert capsys.readouterr().out.startswith("a.pcap: FAIL" if code else "a.pcap: PASS")


def test_an_unknown_limit_is_named_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    written(SEGMENT)
    assert run(["verify", "--strict=truncatd", "a.pcap"]) == 2
    line = capsys.readouterr().err
    assert "there is no limit 'truncatd'; the limits are not-read, damaged, memory, size, time, mid-stream, " in line
    assert "did you mean 'truncated'?" in line
    assert run(["verify", "--strict=,", "a.pcap"]) == 2
    assert capsys.readouterr().err == "labkit: --strict= names no limit\n"


@pytest.mark.parametrize(
    ("toml", "code"),
    [
        ("strict = true", 1),
        ("strict = false", 0),
        ('strict = ["not-read"]', 1),
        ('strict = ["truncated"]', 0),
        ("strict = []", 0),
        ('strict = ["truncatd"]', 2),
        ('strict = "not-read"', 2),
        ("strict = [1]", 2),
    ],
)
def test_strict_in_the_configuration(toml: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    written(SEGMENT, FOREIGN)
    Path("c.toml").write_text(toml)
    assert run(["verify", "--config", "c.toml", "a.pcap"]) == code
    if code == 2:
        assert capsys.readouterr().err.startswith("labkit: c.toml: strict: ")


def test_an_option_replaces_strict_of_the_configuration() -> None:
    written(SEGMENT, FOREIGN)
    Path("c.toml").write_text("strict = true")
    assert run(["verify", "--config", "c.toml", "--strict=truncated", "a.pcap"]) == 0


@pytest.mark.parametrize("octets", [[], [ARP], [ether(b"\x55" + ip4(tcp())[1:])]], ids=["nothing", "arp", "malformed"])
def test_allow_empty(octets: list[bytes], capsys: pytest.CaptureFixture[str]) -> None:
    written(*octets)
    for arguments, code in (([], 1), (["--allow-empty"], 0), (["--fail-on", "note"], 1)):
        assert run(["verify", "--no-config", "a.pcap", *arguments]) == code
        assert capsys.readouterr().out.startswith("a.pcap: NOT JUDGED  ")


def test_strict_fails_a_damaged_capture() -> None:
    written(SEGMENT, SEGMENT)
    path = Path("a.pcap")
    path.write_bytes(path.read_bytes()[:-3])
    assert run(["verify", "--no-config", "a.pcap"]) == 0
    assert run(["verify", "--no-config", "--strict=damaged", "a.pcap"]) == 1


def test_each_kind_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verifying.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"\n| `{kind}` |" not in page] == []
