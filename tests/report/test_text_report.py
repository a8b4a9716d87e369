"""The text report: findings with their excerpts, counted findings, verdicts and the table of captures."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from labkit.analysis.findings import Group
from labkit.analysis.limits import CaptureLimits
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import verify
from labkit.capture import Damage, create
from labkit.report.formats import ReportOptions, names, renderer
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPEN = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
"""
WRONG_ACK = (
    OPEN
    + """
    > P. 1:100(99) ack 1
    < P. 1:120(119) ack 100
    > .  100:100(0) ack 121
"""
)
PLAIN = ReportOptions(Severity.ERROR)


def judged(path: Path, text: str, isns: tuple[int, int] = (0, 0)) -> Verdict:
    with create(path, link=1) as writer:
        for frame in frames(list(parse(text)), isns=isns):
            writer.write(frame.time, frame.data, wirelen=frame.wirelen)
    return verify(path)


WITH_CARE = "  judged with care: nothing shows that the capture is complete, so missing packets may explain a gap"


def only(verdict: Verdict, *codes: str) -> Verdict:
    """The verdict with the findings of these codes only."""
    return replace(verdict, findings=[finding for finding in verdict.findings if finding.code in codes])


def text(verdicts: Verdict | Iterable[Verdict], options: ReportOptions = PLAIN) -> list[str]:
    verdicts = [verdicts] if isinstance(verdicts, Verdict) else verdicts
    return [click.unstyle(line) for line in renderer("text")(verdicts, options)]


def test_formats() -> None:
    assert names()[0] == "text"
    assert {"text", "json", "jsonl"} <= set(names())
    assert not [name for name in names() if name.startswith("_")]
    with pytest.raises(KeyError):
        renderer("_records")
    with pytest.raises(KeyError):
        renderer("word")


def test_a_finding_has_an_excerpt_and_four_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    assert text(only(judged(path, WRONG_ACK), "ACK01")) == [
        f"{path}: FAIL  1 error (6 packets, 1 conversation, profile rfc9293)",
        WITH_CARE,
        "",
        "error[ACK01] ack-of-unsent-data: packet 6, 192.0.2.10:40000 → 192.0.2.20:80",
        "        4  → PSH ACK  seq=1 ack=1 len=99",
        "        5  ← PSH ACK  seq=1 ack=100 len=119",
        "  >     6  → ACK      seq=100 ack=121",
        "                              ^^^^^^^ expected 120",
        "  what      ack 121 acknowledges bytes that the peer has not sent",
        "  should be ack 120 at most, the peer's next sequence number (1 + 119 = 120, packet 5)",
        "  receiver  It answers with an ACK of its own numbers and drops the segment.",
        "  mend      Set ack to 120, or add the missing bytes to the peer's data. In Scapy: packets[5][TCP].ack = 120",
        "  read on   RFC 9293 3.10.7.4; labkit explain ACK01",
    ]


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 120), (2**31, 2**32 - 1), (2**32 - 100, 2**32 - 121)])
def test_expected_numbers_are_relative_wherever_they_start(tmp_path: Path, isns: tuple[int, int]) -> None:
    lines = text(judged(tmp_path / "a.pcap", WRONG_ACK, isns))
    assert "                              ^^^^^^^ expected 120" in lines
    assert [
        line for line in lines if line.startswith("  should be ack 120") and line.endswith(" (1 + 119 = 120, packet 5)")
    ]


@pytest.mark.parametrize(
    ("wrong", "mark", "total"),
    [
        (
            OPEN + "> P. 11:110(99) ack 1\n< . 1:1(0) ack 100\n> P. 100:150(50) ack 1\n< . 1:1(0) ack 150\n",
            ("seq=11", 1),
            None,
        ),
        ("> S 0:0(0)\n< S. 0:0(0) ack 5\n", ("ack=5", 1), "0 + 1 (SYN) = 1, packet 1"),
        (
            OPEN + "> F. 1:1(0) ack 1\n< . 1:1(0) ack 9\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2\n",
            ("ack=9", 2),
            "1 + 1 (FIN) = 2, packet 4",
        ),
    ],
)
def test_the_mark_stands_under_the_wrong_number(
    tmp_path: Path, wrong: str, mark: tuple[str, int], total: str | None
) -> None:
    lines = text(judged(tmp_path / "a.pcap", wrong))
    word, expected = mark
    below = next(number for number, line in enumerate(lines) if line.endswith(f"^ expected {expected}"))
    start = lines[below].index("^")
    assert lines[below - 1][start : start + len(word)] == word
    assert lines[below].count("^") == len(word)
    assert lines[below - 1].startswith("  > ")
    if total is not None:
        assert [line for line in lines if line.startswith("  should be ") and line.endswith(f" ({total})")]


def test_a_correct_capture_has_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    lines = text(judged(path, "> P. 1:9(8) ack 1\n< . 1:1(0) ack 9\n"))
    assert lines[0].startswith(f"{path}: PASS  ")
    assert "error[" not in "\n".join(lines)


def test_notes_are_counted_unless_verbose(tmp_path: Path) -> None:
    verdict = only(judged(tmp_path / "a.pcap", OPEN), "FIN06")
    assert [finding.severity for finding in verdict.findings] == [Severity.NOTE]
    brief, full = text(verdict), text(verdict, ReportOptions(Severity.ERROR, verbose=True))
    assert brief[0] == full[0]
    assert brief[-1] == f"note[FIN06] 1 × {verdict.findings[0].name}"
    assert not [line for line in brief if line.startswith("  read on")]
    assert f"note[FIN06] {verdict.findings[0].name}: the whole conversation, " in full[4]


MANY = OPEN + "".join(f"> . 1:1(0) ack {200 + number}\n< . 1:1(0) ack 1\n" for number in range(20))


@pytest.mark.parametrize(("most", "shown"), [(5, 5), (1, 1), (0, 20)])
def test_further_findings_of_a_rule_are_counted(tmp_path: Path, most: int, shown: int) -> None:
    verdict = only(judged(tmp_path / "a.pcap", MANY), "ACK01")
    found = verdict.findings
    assert len(found) == 20
    code = "ACK01"
    lines = text(verdict, ReportOptions(Severity.ERROR, max_shown=most))
    assert len([line for line in lines if line.startswith(f"error[{code}] {found[0].name}: ")]) == shown
    rest = [line for line in lines if line.startswith(f"error[{code}] ") and " × " in line]
    if shown == 20:
        assert rest == []
    else:
        (line,) = rest
        packets = ", ".join(str(finding.packet) for finding in found[shown : shown + 6])
        assert line == f"error[{code}] {20 - shown} × {found[0].name} (packets {packets}, …)"


def test_an_empty_line_separates_captures(tmp_path: Path) -> None:
    lines = text(judged(tmp_path / name, OPEN) for name in ("a.pcap", "b.pcap"))
    second, _table_row = [number for number, line in enumerate(lines) if "b.pcap" in line]
    assert lines[second - 1] == ""
    assert "a.pcap" in lines[0]


def test_conversations_in_figures(tmp_path: Path) -> None:
    again = "+0.5 > P. 1:100(99) ack 1\n"
    verdict = judged(tmp_path / "a.pcap", OPEN + "> P. 1:100(99) ack 1\n" + again + "< . 1:1(0) ack 100\n")
    line = "  conversation 0 192.0.2.10:40000 → 192.0.2.20:80: opened by a handshake, still open, "
    (shown,) = [each for each in text(verdict, ReportOptions(Severity.ERROR, verbose=True)) if each.startswith(line)]
    assert shown.endswith("; → 4 packets, 99 bytes, 1 retransmission; ← 2 packets, 0 bytes")
    assert not [each for each in text(verdict) if each.startswith("  conversation")]
    verdict = replace(verdict, conversations=[], reported=3, flows=3)
    assert "  and 3 more conversations" in text(verdict, ReportOptions(Severity.ERROR, verbose=True))


def test_a_limit_is_a_note_below_the_verdict(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "a.pcap", "> P. 1:9(8) ack 1\n< . 1:1(0) ack 9\n")
    lines = text(verdict)
    (note,) = [line for line in lines if "began before the capture" in line]
    assert note.startswith("  note: 1 conversation began before the capture: its handshake, windows and ")
    assert "CAP05" in {finding.code for finding in verdict.findings}
    assert "CAP05" not in "\n".join(lines)
    assert "note[CAP05]" in "\n".join(text(verdict, ReportOptions(Severity.ERROR, verbose=True)))


def test_the_verdict_counts_left_out_findings() -> None:
    verdict = Verdict("a.pcap", "rfc9293", packets=3, segments=3, flows=4, reported=1, left_out=2)
    facts = "(3 packets, 1 of 4 conversations, profile rfc9293, 2 findings left out)"
    assert text(verdict) == [f"a.pcap: PASS  nothing found {facts}", WITH_CARE]


def test_several_captures_end_with_a_table(tmp_path: Path) -> None:
    cut = Verdict("c.pcap", "rfc9293", packets=2, segments=1)
    cut = cut.with_damage(Damage("it ends here", 9, cut=True))
    lines = text(
        [
            Verdict("a\n.pcap", "rfc9293", segments=1),
            only(judged(tmp_path / "b.pcap", WRONG_ACK), "ACK01"),
            cut,
            Verdict("d.pcap", "rfc9293", error="d.pcap: is empty"),
        ]
    )
    width = min(60, len(str(tmp_path / "b.pcap")))
    assert lines[lines.index("4 captures: 1 PASS, 1 FAIL, 2 UNREADABLE") + 1 :] == [
        f"  PASS        {'a' + chr(92) + 'n.pcap':<{width}}  nothing found",
        f"  FAIL        {tmp_path / 'b.pcap'}  1 error",
        f"  UNREADABLE  {'c.pcap':<{width}}  nothing found up to packet 2  limits: damaged",
        "  UNREADABLE  d.pcap",
    ]


def test_an_unreadable_capture_has_no_verdict() -> None:
    assert text(Verdict("a.pcap", "rfc9293", error="a.pcap: is empty")) == []
    ok = Verdict("b.pcap", "rfc9293", segments=1)
    assert text([Verdict("a.pcap", "rfc9293", error="a.pcap: is empty"), ok])[0].startswith("b.pcap: PASS")


def test_a_damaged_or_empty_capture_has_a_note() -> None:
    verdict = Verdict("a.pcap", "rfc9293", packets=3, segments=0, limits=CaptureLimits().limits(0, 0))
    assert text(verdict) == [
        "a.pcap: NOT JUDGED  nothing found (3 packets, 0 conversations, profile rfc9293)",
        "  note: this capture has no TCP segment: there is nothing to verify",
    ]
    verdict = replace(verdict, segments=3, limits=[])
    verdict = verdict.with_damage(Damage("it ends\x1b[31m here", 9, cut=True))
    assert next(line for line in text(verdict) if "note" in line) == r"  note: it ends\x1b[31m here; judged up to there"


def test_file_names_cannot_control_the_terminal() -> None:
    verdict = Verdict("a\x1b[2J\n.pcap", "rfc9293", segments=1)
    assert text(verdict)[0].startswith(r"a\x1b[2J\n.pcap: PASS")


def test_an_excerpt_shows_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    found = list(frames(list(parse(WRONG_ACK))))
    others = list(frames(list(parse(OPEN + "> P. 1:50(49) ack 1\n")), version=6))
    with create(path, link=1) as writer:
        for number, frame in enumerate(found):
            writer.write(frame.time, frame.data)
            if number < len(others):
                writer.write(frame.time + 1, others[number].data)
    lines = text(verify(path))
    around = [line for line in lines if "→" in line[:14] or "←" in line[:14]]
    # The other conversation's packets are between them in the file.
    assert [line.lstrip(" >").split()[0] for line in around] == ["7", "9", "10"]


def test_a_deleted_capture_has_no_excerpt(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    verdict = judged(path, WRONG_ACK)
    path.unlink()
    lines = text(verdict)
    assert "^" not in "\n".join(lines)
    assert "  what      ack 121 acknowledges bytes that the peer has not sent" in lines


def test_standard_input_cannot_be_read_again(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "a.pcap", WRONG_ACK)
    verdict = replace(verdict, path="-")
    assert text(verdict)[0].startswith("-: FAIL")
    assert "^" not in "\n".join(text(verdict))


def test_counted_errors_fail_a_capture() -> None:
    verdict = Verdict("a.pcap", "rfc9293", beyond=[Group("ACK01", "ack-of-unsent-data", Severity.ERROR, 12)])
    lines = text(verdict)
    assert lines[0].startswith("a.pcap: FAIL  12 errors (")
    assert lines[-1] == "error[ACK01] 12 × ack-of-unsent-data"


@pytest.mark.parametrize(
    ("most", "counted"), [(0, "note[ACK01] 1 × "), (2, "note[ACK01] 1 × "), (1, "error[ACK01] 2 × ")]
)
def test_counted_findings_have_their_own_severity(most: int, counted: str, tmp_path: Path) -> None:
    verdict = only(judged(tmp_path / "a.pcap", MANY), "ACK01")
    verdict = replace(verdict, findings=list(verdict.findings)[:3])
    verdict.findings[1] = replace(verdict.findings[1], severity=Severity.NOTE)
    lines = text(verdict, ReportOptions(Severity.ERROR, max_shown=most))
    (rest,) = [line for line in lines if " × " in line]
    assert rest.startswith(f"{counted}{verdict.findings[0].name} (packet")


@pytest.mark.parametrize(("last", "shown"), [(6, True), (5, False)])
def test_a_finding_beyond_the_last_excerpt_names_a_command(
    last: int, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.report.formats._excerpt.MAX_PACKET", last)
    lines = text(only(judged(tmp_path / "a b.pcap", WRONG_ACK), "ACK01"))
    assert (f"  look at   labkit show '{tmp_path / 'a b.pcap'}' --flow 0" in lines) != shown
    assert lines[3].startswith("error[ACK01] ack-of-unsent-data: packet 6, ")
    assert lines[4].startswith("        4  → PSH ACK") == shown
    assert "  what      ack 121 acknowledges bytes that the peer has not sent" in lines


def test_quiet_shows_verdicts_only(tmp_path: Path) -> None:
    quiet = ReportOptions(Severity.ERROR, quiet=True)
    wrong = judged(tmp_path / "a.pcap", WRONG_ACK)
    cut = tmp_path / "b.pcap"
    judged(cut, OPEN)
    cut.write_bytes(cut.read_bytes()[:-10])
    damaged, unreadable = verify(cut), Verdict("c.pcap", "rfc9293", error="c.pcap: is empty")
    assert text(wrong, quiet) == text(wrong)[:1]
    assert text(damaged, quiet) == [line for line in text(damaged)[:3] if line != WITH_CARE]
    assert "judged up to there" in text(damaged, quiet)[1]
    assert text(unreadable, quiet) == text([], quiet) == []
    every = [wrong, damaged, unreadable]
    assert text(every, quiet) == text(every)[-4:]
    assert text(every, quiet)[0] == "3 captures: 1 FAIL, 2 UNREADABLE"
