"""The JUnit report, as a CI server reads it."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.findings import Group
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import verify
from labkit.capture import Damage, create
from labkit.report.formats import ReportOptions, renderer
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

WRONG = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"


def text(*verdicts: Verdict, options: ReportOptions | None = None) -> str:
    return "\n".join(renderer("junit")(verdicts, options or ReportOptions(Severity.ERROR)))


def suites(*verdicts: Verdict, options: ReportOptions | None = None) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(text(*verdicts, options=options))  # noqa: S314 - labkit's own
    assert root.tag == "testsuites"
    for suite in root:
        # The attributes count the elements.
        cases = suite.findall("testcase")
        counts = (len(cases), len(suite.findall("*/failure")), len(suite.findall("*/error")))
        assert tuple(int(suite.get(name, "")) for name in ("tests", "failures", "errors")) == counts
        assert len({case.get("name") for case in cases}) == len(cases)
        assert {case.get("classname") for case in cases} == {suite.get("name")}
    for element in root.iter():
        allowed, children = JUNIT_10[element.tag]
        assert set(element.keys()) <= allowed, element.tag
        assert {child.tag for child in element} <= children, element.tag
        if element.tag == "testsuite":
            assert re.fullmatch(r"\d+\.\d{3}", element.get("time", "")), element.attrib
    return list(root)


JUNIT_10 = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": ({"name", "time", "classname", "group"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}
"""The attributes and children that Jenkins' junit-10.xsd allows for each element that labkit writes."""


def test_times_are_those_of_judging(faulty: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 11.5, 20.0, 20.25, 30.0])
    monkeypatch.setattr("labkit.report.formats.junit.monotonic", lambda: next(clock))
    found = suites(faulty, faulty)
    assert [suite.get("time") for suite in found] == ["1.500", "0.250"]
    for suite in found:
        assert sum(float(case.get("time", "")) for case in suite.iter("testcase")) == float(suite.get("time", ""))


@pytest.fixture
def faulty(tmp_path: Path) -> Verdict:
    with create(tmp_path / "a.pcap", link=1) as writer:
        for frame in frames(list(parse(WRONG))):
            writer.write(frame.time, frame.data)
    return verify(tmp_path / "a.pcap")


def test_each_code_is_a_test_case(faulty: Verdict) -> None:
    (suite,) = suites(faulty)
    names = [case.get("name", "") for case in suite.iter("testcase")]
    codes = {rule.code for rule in collect() if "rfc9293" in rule.profiles}
    assert names[0] == "can be read"
    assert {name.split()[0] for name in names[1:]} == codes


def test_a_finding_at_fail_on_is_a_failure(faulty: Verdict) -> None:
    (suite,) = suites(faulty)
    failed = [case for case in suite.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["ACK01 ack-of-unsent-data ack-of-more-than-was-answered"]
    failure = failed[0].find("failure")
    assert failure is not None
    assert failure.get("type") == "error"
    place, text = (
        "packet 4, 192.0.2.20:80 → 192.0.2.10:40000: ",
        "ack 7 acknowledges bytes that the peer has not sent; ",
    )
    assert (failure.get("message") or "").startswith(place + text)
    assert "[RFC 9293 3.10.7.4]" in (failure.text or "")


def test_lesser_findings_are_output_of_a_passing_test_case(faulty: Verdict) -> None:
    (suite,) = suites(faulty)
    noted = {case.get("name", "").split()[0] for case in suite.iter("testcase") if case.find("system-out") is not None}
    assert noted == {found.code for found in faulty.findings if found.severity < Severity.ERROR}
    (suite,) = suites(faulty, options=ReportOptions(Severity.NOTE))
    assert not suite.findall("*/system-out")
    assert len(suite.findall("*/failure")) == len({found.code for found in faulty.findings})


def test_selected_rules_are_the_only_test_cases(faulty: Verdict) -> None:
    options = ReportOptions(Severity.ERROR, config=ReportConfig(select=("ACK01", "SEQ01")))
    faulty = replace(faulty, findings=[found for found in faulty.findings if found.code == "ACK01"])
    (suite,) = suites(faulty, options=options)
    names = [case.get("name", "") for case in suite.iter("testcase")]
    assert [name.split()[0] for name in names] == ["can", "ACK01", "SEQ01"]
    assert names[2].startswith("SEQ01 gap-in-sequence sequence-number-skips")


def test_an_unreadable_capture_is_an_error() -> None:
    (suite,) = suites(Verdict("a.pcap", "rfc9293", error="a.pcap: is empty"))
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == "a.pcap: is empty"


@pytest.mark.parametrize(("cut", "errors"), [(True, 0), (False, 1)])
def test_a_damaged_capture(faulty: Verdict, cut: bool, errors: int) -> None:
    faulty = replace(faulty, damage=Damage("it ends here", 9, cut=cut))
    (suite,) = suites(faulty)
    assert len(suite.findall("*/error")) == errors
    assert len(suite.findall("*/failure")) == 1


@pytest.mark.parametrize(
    "name", ["a\nb", "a\x00\x1b[2J\x0b", "\udcff\ufffe", "<&\"'>]]>", "中文 – é", "\x85\u2028", "😀"]
)
def test_the_xml_is_valid_for_any_file_name(faulty: Verdict, name: str) -> None:
    faulty = replace(faulty, path=name)
    assert text(faulty).isascii()
    (suite,) = suites(faulty)
    assert suite.get("name")


def test_several_captures_are_several_suites(faulty: Verdict) -> None:
    assert len(suites(faulty, Verdict("b.pcap", "document"))) == 2
    assert suites() == []


def test_a_limit_is_a_property(tmp_path: Path) -> None:
    with create(tmp_path / "a.pcap", link=1) as writer:
        for frame in frames(list(parse("> P. 1:9(8) ack 1\n< . 1:1(0) ack 9\n"))):
            writer.write(frame.time, frame.data)
    (suite,) = suites(verify(tmp_path / "a.pcap"))
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert (properties["packets"], properties["profile"]) == ("2", "rfc9293")
    assert "began before the capture" in (properties["limit.mid-stream"] or "")


@pytest.mark.parametrize("severity", [Severity.ERROR, Severity.NOTE])
def test_counted_findings_appear_under_their_rule(faulty: Verdict, severity: Severity) -> None:
    verdict = Verdict("b.pcap", "rfc9293", segments=1, beyond=[Group("ACK01", "ack-of-unsent-data", severity, 12)])
    _, suite = suites(faulty, verdict)
    (case,) = [case for case in suite.iter("testcase") if (case.get("name") or "").startswith("ACK01")]
    (outcome,) = case
    assert outcome.tag == ("failure" if severity == Severity.ERROR else "system-out")
    assert outcome.text == f"{severity}: 12 more were only counted"
