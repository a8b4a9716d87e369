"""The CSV report, as a spreadsheet and a strict reader take it."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from labkit.analysis.findings import Group
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import verify
from labkit.capture import create
from labkit.report.formats import ReportOptions, renderer
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

WRONG = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"


def text(*verdicts: Verdict) -> str:
    return "".join(f"{line}\n" for line in renderer("csv")(verdicts, ReportOptions(Severity.ERROR)))


def rows(*verdicts: Verdict) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text(*verdicts), newline=""), strict=True))


@pytest.fixture
def faulty(tmp_path: Path) -> Verdict:
    with create(tmp_path / "a.pcap", link=1) as writer:
        for frame in frames(list(parse(WRONG))):
            writer.write(frame.time, frame.data)
    return verify(tmp_path / "a.pcap")


def test_a_row_for_each_finding(faulty: Verdict) -> None:
    found = rows(faulty)
    assert len(found) == len(faulty.findings)
    (error,) = [row for row in found if row["severity"] == "error"]
    assert (error["path"], error["code"], error["packet"]) == (faulty.path, "ACK01", "4")
    assert (error["expected"], error["actual"], error["time"]) == ("1", "7", "0.03")
    assert error["message"] == next(each.message for each in faulty.findings if each.code == "ACK01")


def test_lines_end_with_crlf(faulty: Verdict) -> None:
    lines = text(faulty, Verdict("b.pcap", "rfc9293", error="b.pcap: is empty")).split("\r\n")
    assert lines[-1] == ""
    assert lines[0].startswith("path,code,name,severity,packet,time,")
    assert not [line for line in lines if "\n" in line or "\r" in line]


def test_without_captures_the_header_remains() -> None:
    assert text().count("\r\n") == 1


def test_none_is_an_empty_cell(faulty: Verdict) -> None:
    faulty = replace(faulty, findings=[replace(faulty.findings[0], packet=None, time=None, expected=None)])
    (whole,) = rows(faulty)
    assert (whole["packet"], whole["time"], whole["expected"]) == ("", "", "")


def test_an_unreadable_capture_is_a_row() -> None:
    (row,) = rows(Verdict("a.pcap", "rfc9293", error="a.pcap: is empty"))
    assert (row["path"], row["severity"], row["message"], row["code"]) == (
        "a.pcap",
        "unreadable",
        "a.pcap: is empty",
        "",
    )


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("\t=1", r"\t=1"),
        ("a,b", "a,b"),
        ('a"b', 'a"b'),
        ("a\nb\r", r"a\nb\r"),
        ("a=1", "a=1"),
        ("\udcff", r"\udcff"),
    ],
)
def test_file_names_are_never_formulas(faulty: Verdict, name: str, cell: str) -> None:
    faulty = replace(faulty, path=name)
    assert {row["path"] for row in rows(faulty)} == {cell}


def test_numbers_stay_numbers(faulty: Verdict) -> None:
    faulty = replace(faulty, findings=[replace(faulty.findings[0], expected_relative=-1)])
    assert [row["expected_relative"] for row in rows(faulty)] == ["-1"]


def test_counted_findings_are_a_row(faulty: Verdict) -> None:
    faulty = replace(faulty, beyond=[Group("ACK01", "ack-of-unsent-data", Severity.ERROR, 12)])
    *found, last = rows(faulty)
    assert len(found) == len(faulty.findings)
    assert (last["path"], last["code"], last["severity"]) == (faulty.path, "ACK01", "not_kept")
    assert (last["message"], last["packet"]) == ("12 more (error)", "")


def test_excel_gets_a_mark_and_the_same_rows(faulty: Verdict) -> None:
    lines = list(renderer("excel")([faulty], ReportOptions(Severity.ERROR)))
    assert "".join(f"{line}\n" for line in lines) == f"\ufeff{text(faulty)}"
