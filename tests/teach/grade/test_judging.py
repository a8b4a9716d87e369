"""One hand-in: what was done, what is wrong, what that costs, and what is told."""

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import class_of_sixty as klass
import pytest

from labkit.build.faults import inject
from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.cli import run
from labkit.tcp.notation import parse
from labkit.teach.assign import Assignment
from labkit.teach.assign.material import material
from labkit.teach.examples import frames
from labkit.teach.grade import answers, checks
from labkit.teach.grade.archive import Entry
from labkit.teach.grade.checks import KINDS
from labkit.teach.grade.classroom import Pupil, grade_class, grade_files
from labkit.teach.grade.facts import conversations
from labkit.teach.grade.handins import HandIn
from labkit.teach.grade.judging import grade
from labkit.teach.grade.pages import feedback
from labkit.teach.grade.task import Answer, Check, Given, Part, Task
from labkit.teach.roster import Student

OWN = material(Assignment.load("handshake"), 0)
RIGHT = klass.saved(OWN.trace)


def task(*parts: Part, **others: object) -> Task:
    return Task("x", parts=parts, complete=True, **others)  # type: ignore[arg-type]


def entries(**files: bytes) -> list[Entry]:
    return [Entry((f"{name}.pcap",), lambda octets=octets: octets) for name, octets in files.items()]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "octets", "resent"),
    [("zero-window", (99, 20_000), 2), ("fast-open-fallback", (99, 119), 1), ("fast-retransmit", (20_000, 100), 1)],
)
def test_what_is_sent_again_counts_once(name: str, octets: tuple[int, int], resent: int) -> None:
    """In other segments than before, too: a window probe's byte comes again with the ones behind it."""
    with open_capture(BytesIO(klass.saved(Scenario.load(name).play()))) as capture:
        talk = next(conversations(capture))
    assert talk.resent == resent
    assert talk.octets == talk.delivered == octets


@pytest.mark.parametrize(
    ("part", "faults", "points"),
    [
        (Part("x", 4, rules=("ACK01",)), ["ack-of-unsent-data"], 0),
        (Part("x", 4, rules=("ACK01",), each=1), ["ack-of-unsent-data"], 3),
        (Part("x", 4, rules=("ACK01",), each=9), ["ack-of-unsent-data"], 0),
        (Part("x", 4, rules=("SEQ01",)), ["ack-of-unsent-data"], 4),
        (Part("x", 4, rules=("others",)), ["ack-of-unsent-data"], 0),
        (Part("x", 4, (Check("opened", "handshake"), Check("closed", "reset"))), [], 0),
        (Part("x", 4, (Check("opened", "handshake"), Check("closed", "reset")), partial=True), [], 2),
        (Part("x", 4, (Check("opened", "handshake"), Check("closed", "reset")), ("ACK01",), each=1, partial=True),
         ["ack-of-unsent-data"], 1),
    ],
)  # fmt: skip
def test_points_of_a_part(part: Part, faults: list[str], points: float) -> None:
    result = grade(task(part, Part("y", 1, (Check("opened", "handshake"),))), klass.saved(inject(OWN.trace, faults)))
    assert result.parts[0].points == points
    assert result.points == points + 1


def test_penalty_and_bonus() -> None:
    parts = Part("x", 2, (Check("opened", "handshake"),)), Part("p", 3, rules=("others",), each=1, penalty=True)
    wrong = klass.saved(inject(OWN.trace, ["ack-of-unsent-data"]))
    result = grade(task(*parts), wrong)
    assert (result.points, result.of, [part.points for part in result.parts]) == (1, 2, [2, -1])
    # There are no points below 0.
    assert grade(task(parts[0], replace(parts[1], each=None)), wrong).points == 0
    bonus = grade(task(parts[0], Part("b", 1, (Check("closed", "fin"),), bonus=True)), RIGHT)
    assert (bonus.points, bonus.of, bonus.share) == (3, 2, 1.5)


def test_what_follows_from_a_mistake_costs_nothing() -> None:
    wrong = klass.saved(klass.shifted(OWN.trace, "client", 4, 7))
    result = grade(task(Part("x", 9, rules=("others",), each=1)), wrong)
    assert (result.points, len(result.mistakes)) == (8, 1)


def test_a_warning_counts_where_the_assignment_says_so() -> None:
    octets = klass.saved(klass.without(OWN.trace, 10))
    part = Part("x", 2, rules=("others",))
    assert grade(task(part), octets).points == 2
    assert grade(task(part, count="warning"), octets).points == 0


def test_a_capture_that_begins_too_late_earns_what_it_shows() -> None:
    result = grade(replace(OWN.task, complete=None), klass.saved(klass.without(OWN.trace, 1, 2, 3)))
    assert (result.parts[0].points, result.parts[0].reason) == (
        0,
        "the client's SYN is missing; expected a handshake: SYN, SYN ACK, ACK",
    )
    assert any("began before the capture" in note for note in result.notes)


def test_a_browsers_mistakes_are_not_the_students() -> None:
    browser = inject(klass.BROWSER, ["sequence-number-skips"])
    assert grade(OWN.task, klass.saved(OWN.trace, "pcapng", browser)).points == 10


def test_the_conversation_of_the_exercise_is_chosen_although_it_is_worse() -> None:
    """A right conversation with another port does not make up for a wrong one with the right port."""
    wrong = inject(OWN.trace, ["third-segment-wrong", "ack-of-unsent-data"])
    result = grade(OWN.task, klass.saved(wrong, "pcap", klass.ends(klass.numbered(OWN.trace, 5, 9), server=80)))
    assert (result.conversation, result.points) == (f"192.0.2.10:40000 > 192.0.2.20:{OWN.trace.server.port}", 7)


# The expectations.

with open_capture(BytesIO(RIGHT)) as _capture:
    TALK = next(conversations(_capture))


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("client-port", "40000", "1..99"),
        ("server-port", str(OWN.trace.server.port), "80"),
        ("client-address", "192.0.2.0/24", "10.0.0.0/8"),
        ("server-address", "192.0.2.20", "192.0.2.21"),
        ("client-isn", str(OWN.trace.client_isn), "0"),
        ("server-isn", "1..", "0"),
        ("client-sends", str(OWN.assignment.values["request"]), "..5"),
        ("server-sends", "119", "118"),
        ("client-text", "abc", "xyzzy"),
        ("server-text", "abc", "xyzzy"),
        ("opened", "handshake", "refused"),
        ("closed", "fin", "reset"),
        ("close-segments", 4, 3),
        ("closes-first", "client", "server"),
        ("segments", "10", "11.."),
        ("options", ["mss"], ["mss", "timestamps"]),
        ("retransmissions", "0", "1.."),
        ("as-given", True, None),
        ("client-delivers", str(OWN.assignment.values["request"]), "..5"),
        ("server-delivers", "119", "118"),
        ("client-answers-resent", True, None),
        ("server-answers-resent", True, None),
    ],
)
def test_an_expectation(name: str, right: object, wrong: object) -> None:
    good = KINDS[name].function(TALK, checks.read(name, right), Given())
    assert good.ok, good
    assert good.is_
    if wrong is not None:
        bad = KINDS[name].function(TALK, checks.read(name, wrong), Given())
        assert not bad.ok
        assert bad.should
        assert bad.is_


def test_every_expectation_is_tested() -> None:
    mark = next(each for each in test_an_expectation.pytestmark if each.name == "parametrize")
    assert {case[0] for case in mark.args[1]} == set(KINDS)


@pytest.mark.parametrize(("late", "octets"), [("501:1001(500) ack 1", 10), ("90011:90511(500) ack 70001", 510)])
def test_a_late_segment_of_the_connection_before_is_no_data_of_this_one(late: str, octets: int) -> None:
    text = f"""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:501(500) ack 1
        < R. 1:1(0) ack 501
        +0.03 > S 90000:90000(0)
        < S. 70000:70000(0) ack 90001
        > .  90001:90001(0) ack 70001
        > P. 90001:90011(10) ack 70001
        > .  {late}
    """
    first, second = conversations(frames(list(parse(text, "test")), version=6, isns=(1000, 5000)))
    assert (first.octets, second.octets) == ((500, 0), (octets, 0))


@pytest.mark.parametrize(
    ("scenario", "opened", "closed", "segments"),
    [
        ("document", "handshake", "fin", 4),
        ("document-111", "handshake", "fin", 4),
        ("three-segment-close", "handshake", "fin", 3),
        ("simultaneous-open", "simultaneous", "fin", None),
        ("refused", "refused", "reset", None),
        ("abort", "handshake", "reset", None),
        ("half-close", "handshake", "fin", 4),
        ("document-ipv6", "handshake", "fin", 4),
        ("keep-alive", "handshake", "fin", None),
    ],
)
def test_facts_of_shipped_scenarios(scenario: str, opened: str, closed: str, segments: int | None) -> None:
    with open_capture(BytesIO(klass.saved(Scenario.load(scenario).play(0)))) as capture:
        talk = next(conversations(capture))
    assert (talk.opened, talk.closed) == (opened, closed)
    if segments is not None:
        assert talk.close_segments == segments


# Answers.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1: 42\n2: seq\n", {1: "42", 2: "seq"}),
        ("1. 42\n2) seq", {1: "42", 2: "seq"}),
        ("Question 1: packet 42\nQ2 = seq", {1: "packet 42", 2: "seq"}),
        ("| 1 | 42 |\n| 2 | seq |", {1: "42", 2: "seq"}),
        ("1;42\r\n2;seq\r\n", {1: "42", 2: "seq"}),
        ("1,42\n2\tseq", {1: "42", 2: "seq"}),
        ("- 1: **42**\n> 2: `seq`", {1: "42", 2: "seq"}),
        ("# 1. What is it?\n1: 42", {1: "42"}),
        ("1: \n", {1: ""}),
        ("1: 41\n1: 42\n1:\n", {1: "42"}),
        ("<p>1: 42</p><p>2: a &lt; b<br>3: 7</p>", {1: "42", 2: "a < b", 3: "7"}),
        ("<!DOCTYPE html><html><body><div>1: 42</div></body></html>", {1: "42"}),
        ("nothing", {}),
    ],
)
def test_answers_as_students_write_them(text: str, found: dict[int, str]) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert answers.read(text.encode(encoding)) == found


@pytest.mark.parametrize(
    ("right", "text", "is_right"),
    [
        ("42", "42", True), ("42", "packet 42", True), ("42", "#42", True), ("42", "42.0", True), ("42", "0x2a", True),
        ("1042", "1,042", True), ("1042", "1 042", True), ("42", "41 or 42", False), ("42", "420", False),
        ("42", "", False), ("42", "forty-two", False), ("seq", "SEQ", True), ("seq", " Seq. ", True),
        ("seq", "ack", False), ("duplicate ACKs", "duplicate acks", True), ("mss-clamp", "MSS clamp", True),
        ("ACK01", "ack01", True), ("ACK01", "ACK02", False),
    ],
)  # fmt: skip
def test_a_right_answer(right: str, text: str, is_right: bool) -> None:
    assert answers.is_right(Answer(1, "?", (right,)), text) is is_right


@pytest.mark.parametrize(
    ("octets", "status"),
    [(RIGHT, "wrong-type"), (klass.PDF, "wrong-type"), (b"", "empty"), (b"hello\n", "empty"), (b"1: \n2: \n", "empty"),
     (bytes(range(256)), "wrong-type"), (b"1: 5\n", "graded")],
)  # fmt: skip
def test_a_file_with_answers(octets: bytes, status: str) -> None:
    own = material(Assignment.load("loss"), 3)
    assert grade(own.task, octets, "answers.txt").status == status


# Several files, and lateness.


@pytest.mark.parametrize(
    ("several", "points", "status"), [("best", 10, "graded"), ("last", 8, "graded"), ("none", 0, "refused")]
)
def test_several_files(several: str, points: float, status: str) -> None:
    wrong = klass.saved(inject(OWN.trace, ["third-segment-wrong"]))
    result = grade_files(replace(OWN.task, several=several), entries(a=RIGHT, b=wrong, c=klass.PDF))
    assert (result.points, result.status) == (points, status)


def test_one_capture_among_other_files_is_one_file() -> None:
    result = grade_files(replace(OWN.task, several="none"), entries(a=klass.PDF, b=RIGHT, c=b""))
    assert (result.points, result.status) == (10, "graded")
    assert result.notes == ("graded b.pcap; 2 other files were handed in: a.pcap, c.pcap",)


@pytest.mark.parametrize(
    ("late", "points", "words"),
    [(-60, 10, ""), (60, 9, "1 min"), (86_400, 9, "1 d 0 h"), (86_401, 8, "1 d 0 h"), (10 * 86_400, 5, "10 d 0 h")],
)
def test_lateness(late: int, points: float, words: str) -> None:
    deadline = datetime(2026, 11, 20, 12, tzinfo=UTC)
    own = replace(OWN.task, deadline=deadline.isoformat(), late=(0.1, 86_400, 0.5))
    handin = HandIn("s1", ("s1",), entries(a=RIGHT), submitted=deadline + timedelta(seconds=late))
    (row,) = grade_class(own, [handin], [Pupil(Student("s1", 2, "s1"), own)]).rows
    assert (row.result.points, row.late) == (points, words)
    assert bool(row.result.notes) is (late > 0)


# What is told.


@pytest.mark.parametrize(
    ("reveal", "shown", "hidden"),
    [
        ("full", "In Scapy: packets[4][TCP].ack", "\0"),
        ("actual", "packet 5: the ack of this packet is wrong [ACK06]", "should"),
        ("points", "2/3  Sequence and acknowledgement numbers", "packet 5"),
    ],
)
def test_feedback_tells_what_is_revealed(reveal: str, shown: str, hidden: str) -> None:
    wrong = klass.saved(klass.changed(OWN.trace, 5, ack=-1))
    text = "\n".join(feedback(grade(replace(OWN.task, reveal=reveal), wrong)))
    assert shown in text
    assert hidden not in text


# The command.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.pcap").write_bytes(RIGHT)
    return tmp_path


def test_one_file_and_standard_input(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["grade", "handshake", "a.pcap"]) == 0
    one = capsys.readouterr().out
    assert "10/10" in one
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(RIGHT)))
    assert run(["grade", "handshake", "-"]) == 0
    assert "10/10" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(RIGHT)))
    assert run(["grade", "handshake", "-", "--format", "vpl"]) == 0
    assert "Grade :=>> 10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["handshake"], 2, "missing HAND-INS"),
        (["nonsense", "a.pcap"], 2, "is not a shipped assignment"),
        (["handshake", "missing"], 3, "missing: cannot be read"),
        (["handshake", "a.pcap", "-o", "g.ods"], 2, "the suffix names no form of the table; use one of .csv, .xlsx"),
        (["handshake", "a.pcap", "--roster", "a.csv"], 2, "--answers FILE names the answer key"),
        (["handshake", "a.pcap", "--answers", "missing.json"], 3, "missing.json: cannot be read"),
        (["handshake", "a.pcap", "--format", "vpl", "--feedback", "f"], 2, "--feedback goes with the table of a class"),
        (["handshake", "a.pcap", "--student", "s1"], 2, "--student needs a platform"),
        (["handshake", "a.pcap", "--metadata", "missing.json"], 2, "--metadata needs a platform"),
        (["missing.json", "a.pcap"], 3, "missing.json: cannot be read: No such file"),
        (["handshake", "empty"], 3, "there is no file in it"),
        (["handshake", "a.pcap", "--format", "nonsense"], 2, "nonsense"),
    ],
)
def test_wrong_usage(
    arguments: list[str], code: int, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert run(["grade", *arguments]) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_no_table_is_written_where_one_cannot_be(here: Path) -> None:
    assert run(["grade", "handshake", "a.pcap", "-o", "g.csv", "-o", "g.nonsense"]) == 2
    assert not Path("g.csv").exists()
    Path("g.html").mkdir()
    Path("g.json").symlink_to("nowhere/g.json")
    for other in ("g.html", "g.json"):
        assert run(["grade", "handshake", "a.pcap", "-o", "g.csv", "-o", other]) == 3
        assert not Path("g.csv").exists()
    assert run(["grade", "handshake", "a.pcap", "-o", "g.csv", "-o", "new/g.json"]) == 0
    assert Path("g.csv").exists()


def test_a_roster_for_a_task_that_all_share(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(
        "name: m\ntitle: M\ntext: T\nscenario: document\nparts: [{part: O, points: 1, rules: HS}]\n"
    )
    Path("class.csv").write_text("student\nann\nbob\n")
    Path("in").mkdir()
    Path("in/bob.pcap").write_bytes(RIGHT)
    assert run(["grade", "mine.yaml", "in", "--roster", "class.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["ann", "0/1"], ["bob", "1/1"]]
