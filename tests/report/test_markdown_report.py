"""The Markdown report: tables that hold whatever a capture's name or packets contain."""

from dataclasses import replace

import pytest

from labkit import Scenario, Severity, Verdict, inject, verify
from labkit.analysis.report_config import ReportConfig
from labkit.report.formats import ReportOptions, renderer
from labkit.report.formats.markdown import MAX_DETAILED, MAX_SHOWN, escaped


@pytest.fixture(scope="module")
def faulty() -> Verdict:
    return verify(inject(Scenario.load("document").play(seed=1), ["ack-of-unsent-data@6"]))


def lines(*verdicts: Verdict, **options: object) -> list[str]:
    return list(renderer("markdown")(verdicts, ReportOptions(Severity.ERROR, **options)))  # type: ignore[arg-type]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_row_for_each_capture_and_a_table_of_what_fails(faulty: Verdict) -> None:
    good = verify(Scenario.load("document").play())
    unreadable = Verdict("c.pcap", "", error="c.pcap: is empty")
    found = lines(faulty, good, unreadable)
    assert found[:4] == [
        "### labkit",
        "",
        "| verdict | capture | errors | warnings | packets | remarks |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    assert [cells(line)[:5] for line in found[4:7]] == [
        ["❌ FAIL", "document", "1", "0", "10"],
        ["✅ PASS", "document", "0", "0", "10"],
        ["⚠️ UNREADABLE", "c.pcap", "0", "0", "0"],
    ]
    assert cells(found[6])[5] == "c.pcap: is empty"
    assert found[8] == "**3 captures: 1 PASS, 1 FAIL, 1 UNREADABLE**"
    assert found[10:12] == ["<details>", "<summary>document</summary>"]
    assert cells(found[15])[:2] == [
        "error ACK01 ack-of-unsent-data",
        "packet 6, 192.0.2.10:40000 → 192.0.2.20:80",
    ]
    assert found[-1] == "</details>"
    assert sum(line == "<details>" for line in found) == 1


def test_limits_the_baseline_and_the_configuration_are_named(faulty: Verdict) -> None:
    found = lines(verify([]), replace(faulty, known=2), config=ReportConfig(ignore=("KA",), file="labkit.toml"))
    assert r'configuration: labkit.toml: ignore = \["KA"\]' in found
    assert "this capture has no TCP segment" in found[6]
    assert "2 findings in the baseline" in found[7]


def test_there_are_bounds(faulty: Verdict) -> None:
    many = replace(faulty, findings=[faulty.findings[0]] * (MAX_SHOWN + 3))
    found = lines(*[many] * (MAX_DETAILED + 2))
    assert sum(line.startswith("| error ACK01") for line in found) == MAX_SHOWN * MAX_DETAILED
    assert found.count("3 more findings") == MAX_DETAILED
    assert found[-1] == "2 more captures have findings."


def test_without_captures(faulty: Verdict) -> None:
    assert lines()[-1] == "**0 captures**"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\|b"),
        ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
        ("[x](javascript:y) *b* _i_ `c` ~s~ #1 !", r"\[x\]\(javascript:y\) \*b\* \_i\_ \`c\` \~s\~ \#1 \!"),
        ("a\nb\x1b[2J\u202e", r"a\\nb\\x1b\[2J\\u202e"),
        (
            "me@example.org https://example.org www.example.org",
            "me&#64;example.org https:&#47;/example.org www&#46;example.org",
        ),
        ("中文 é", "中文 é"),
    ],
)
def test_nothing_becomes_markup(text: str, expected: str, faulty: Verdict) -> None:
    assert escaped(text) == expected
    row = lines(replace(faulty, path=text))[4]
    assert cells(row)[1] == expected
