"""Assignments: what is refused and how, the values of each student, and the hand-outs of a class."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import json_schema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.build.scenario.source import parse
from labkit.cli import run
from labkit.errors import LabkitError, ScenarioError
from labkit.teach.assign import Assignment, draw, shipped, shipped_text
from labkit.teach.assign.handout import markdown
from labkit.teach.assign.material import material
from labkit.teach.assign.schema import schema
from labkit.teach.grade.answer_key import pupil, read_answers
from labkit.teach.grade.judging import grade

PLAIN = """\
name: plain
title: Plain
text: Do it.
scenario: document
parts:
  - {part: Opening, points: 2, expect: {opened: handshake}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tittle: x", "plain.yaml:7: tittle: is not known here; expected one of complete,"),
        ("hand-in: video", "plain.yaml:7: hand-in: 'video' is not known; expected one of capture, live-capture,"),
        ("complete: maybe", "plain.yaml:7: complete: 'maybe' does not fit; expected true or false"),
        (
            "draw: {Port: 1..2}",
            "plain.yaml:7: draw: the name 'Port' does not fit; expected small letters, digits and dashes",
        ),
        ("draw: {port: 9..2}", "plain.yaml:7: draw: port: '9..2' is not a range or list"),
        ("draw: {port: []}", "plain.yaml:7: draw: port: is not a list of choices"),
        ("summary: $size", "plain.yaml:7: summary: $size is not drawn; expected one of none"),
        ("deadline: tomorrow", "plain.yaml:7: deadline: 'tomorrow' is not a time; expected one such as 2026-11-30"),
        ("deadline: 2026-11-30T10:00", "plain.yaml:7: deadline: '2026-11-30T10:00' has no time zone"),
        ("late: {cost: 10%}", "plain.yaml:7: late: needs 'deadline:'"),
        ("late: {cost: 10}", "plain.yaml:7: late.cost: '10' is not a share; expected one such as 10%"),
        ("middlebox: fire", "plain.yaml:7: middlebox: 'fire' is not known; expected one of nat,"),
        ("questions: [{ask: Why?, answer: x}]", "plain.yaml:1: hand-in: capture needs 'parts:', and no 'questions:'"),
        ("faults: nonsense", "plain.yaml:7: faults: 'nonsense' is not a fault;"),
        ("name: again", "plain.yaml:7: name: occurs twice"),
        ("  - {part: B, points: 0, rules: SEQ}", "plain.yaml:7: parts[2].points: '0' is not more than 0;"),
        ("  - {part: B, points: 1}", "plain.yaml:7: parts[2]: needs 'expect:' or 'rules:'"),
        (
            "  - {part: B, points: 1, rules: XYZ}",
            "plain.yaml:7: parts[2].rules: 'XYZ' is not a rule, family or beginning",
        ),
        (
            "  - {part: B, points: 1, expect: {server-prt: 1}}",
            "parts[2].expect: there is no expectation 'server-prt'; expected",
        ),
        ("  - {part: B, points: 1, expect: {server-port: x}}", "server-port: 'x' is not a number; expected one such"),
        (
            "  - {part: B, points: 1, expect: {close-segments: 5}}",
            "close-segments: '5' is not known; expected one of 3, 4",
        ),
        ("  - {part: B, points: 1, rules: SEQ, bonus: true, penalty: true}", "parts[2]: is a bonus and a penalty"),
        (
            "hand-ins: [{name: x, points: 1, fault: y}]",
            "hand-ins[1].fault: is not known here; expected one of change, faults,",
        ),
    ],
)
def test_an_error_names_the_line_the_key_and_what_was_expected(change: str, message: str) -> None:
    Path("plain.yaml").write_text(f"{PLAIN}{change}\n")
    with pytest.raises(ScenarioError) as error:
        Assignment.load("plain.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scenario", "nonsense", "plain.yaml:4: scenario: 'nonsense' is not a shipped scenario"),
        ("scenario", "{steps: []}", "plain.yaml:4: steps: is empty"),
        ("scenario", "{steps: [client: konnect]}", "plain.yaml:4: steps[1]"),
        ("scenario", "7", "plain.yaml:4: scenario: is not a scenario; expected the name of a shipped one, or its keys"),
        ("text", "[]", "plain.yaml:3: text: a list is not text"),
    ],
)
def test_errors_in_other_keys(key: str, value: str, message: str) -> None:
    Path("plain.yaml").write_text(re.sub(rf"^{key}: .*$", f"{key}: {value}", PLAIN, flags=re.MULTILINE))
    with pytest.raises(ScenarioError) as error:
        Assignment.load("plain.yaml")
    assert message in str(error.value)


def test_unknown_names_and_files() -> None:
    with pytest.raises(ScenarioError, match="did you mean 'handshake'"):
        Assignment.load("handshak")
    with pytest.raises(ScenarioError, match=r"missing\.yaml: cannot be read"):
        Assignment.load("missing.yaml")
    assert run(["assign", "show", "nonsense"]) == 2


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for whole in (text, PLAIN + text):
        try:
            Assignment.parse(whole)
        except LabkitError as error:
            assert "\n" not in str(error)


# The values of each student.


def test_lists_are_spread_evenly_and_in_all_pairs() -> None:
    drawn = {"a": draw.read([1, 2, 3]), "b": draw.read(["x", "y", "z"]), "c": draw.read("5..9")}
    found = [draw.values(drawn, seed=place, place=place) for place in range(90)]
    assert Counter((each["a"], each["b"]) for each in found) == {(a, b): 10 for a in (1, 2, 3) for b in "xyz"}
    assert {each["c"] for each in found} == {5, 6, 7, 8, 9}


def test_values_stand_where_their_names_stand() -> None:
    given = {"n": 7, "word": "yes"}
    data = {"a": "$n", "b": ["$word", "no $n$n"], "c": {"d": "$$n"}, "e": 1, "f": None}
    assert draw.substituted(data, given) == {"a": 7, "b": ["yes", "no 77"], "c": {"d": "$n"}, "e": 1, "f": None}
    with pytest.raises(ValueError, match=r"\$m is not drawn"):
        draw.substituted("$m", given)


# What a class gets.


def roster(count: int, student: str = "s", name: str = "Ann") -> None:
    lines = [f"{student}{number},{name}{number}" for number in range(count)]
    Path("class.csv").write_text("student,name\n" + "\n".join(lines) + "\n")


def build(*arguments: str, name: str = "find-the-mistake") -> dict[str, Any]:
    assert (
        run(["assign", "build", name, "--roster", "class.csv", "-o", "out", "--answers", "key.json", *arguments]) == 0
    )
    return {each["student"]: each for each in json.loads(Path("key.json").read_text())["students"]}


def contents(folder: str = "out") -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in Path(folder).rglob("*") if each.is_file()}


def test_each_student_has_a_fault_and_a_packet_of_their_own() -> None:
    roster(20)
    found = build()
    faults = Counter(each["values"]["fault"] for each in found.values())
    assert set(faults.values()) == {4}
    assert len({each["files"]["capture.pcapng"] for each in found.values()}) == 20
    assert len({json.dumps(each["task"]["parts"]) for each in found.values()}) == 20


@pytest.mark.parametrize("name", shipped())
def test_hand_outs_hold_neither_names_nor_the_solution(name: str) -> None:
    # Random octets do not have names of this length.
    roster(3, "matriculated-", "Anneliese")
    found = build(name=name)
    files = contents()
    assert {path.split("/")[0] for path in files} == {f"matriculated-{number}" for number in range(3)}
    for path, octets in files.items():
        assert not re.search(rb"matriculated|Anneliese", octets), path
        assert found[path.split("/")[0]]["seed"][2:].encode() not in octets
    for student, each in found.items():
        assert f"{student}/{name}.md" in files
        fault = str(each["values"].get("fault", "no-such-text"))
        assert not [path for path, octets in files.items() if fault.encode() in octets]
        for part in each["task"]["parts"]:
            if part["answer"] and part["answer"]["number"] == 1 and name != "middlebox":
                assert b"1: \n" in files[f"{student}/answers.txt"]


def test_a_page_is_whole_and_loads_nothing() -> None:
    roster(1)
    build(name="middlebox")
    text = contents()["s0/middlebox.html"].decode()
    assert text.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=|<script", text)
    assert "<li><code>nat</code>: it translates" in text


def test_a_newcomer_changes_nothing_for_the_others() -> None:
    roster(5)
    before, files = build(), contents()
    roster(7)
    after = build()
    assert {name: after[name] for name in before} == before
    assert {path: octets for path, octets in contents().items() if path in files} == files
    assert set(after) == {*before, "s5", "s6"}
    assert len({each["place"] for each in after.values()}) == 7


def test_a_key_makes_the_same_hand_outs_again(here: Path) -> None:
    Path("course.key").write_bytes(bytes(range(32)))
    roster(4)
    build("--key", "course.key")
    first, key = contents(), Path("key.json").read_bytes()
    Path("key.json").unlink()
    build("--key", "course.key")
    assert (contents(), Path("key.json").read_bytes()) == (first, key)


def test_without_a_key_nobody_can_compute_them() -> None:
    roster(2)
    first = build()
    Path("key.json").unlink()
    assert build() != first


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--answers", "out/key.json"], 2, "the answer key must not be in the folder of the hand-outs"),
        (["--answers", "./out/x/../key.json"], 2, "the answer key must not be in the folder of the hand-outs"),
        (["--roster", "missing.csv"], 3, "missing.csv: cannot be read"),
        (["--column", "Matrikel"], 2, "there is no column 'Matrikel'; the columns are student, name"),
        (["--key", "class.csv"], 2, ""),
    ],
)
def test_what_is_refused(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    roster(2)
    build()
    everything = ["assign", "build", "find-the-mistake", "--roster", "class.csv", "-o", "out", "--answers", "key.json"]
    assert run([*everything, *arguments]) == code
    assert message in capsys.readouterr().err


def test_the_answer_key_of_another_assignment_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    roster(2)
    build()
    before = Path("key.json").read_bytes()
    assert run(["assign", "build", "loss", "--roster", "class.csv", "-o", "o2", "--answers", "key.json"]) == 2
    assert "is the answer key of another assignment" in capsys.readouterr().err
    assert Path("key.json").read_bytes() == before


def test_only_the_owner_may_read_the_answer_key() -> None:
    roster(1)
    build()
    assert Path("key.json").stat().st_mode & 0o077 == 0


def test_a_warning_where_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plain.yaml").write_text(PLAIN)
    roster(2)
    build(name="plain.yaml")
    assert "all hand-outs are the same" in capsys.readouterr().err


def test_a_question_without_an_answer_names_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = shipped_text("find-the-mistake").replace("faults: $fault\n", "")
    Path("mine.yaml").write_text(text)
    assert run(["assign", "show", "mine.yaml", "--handout"]) == 2
    err = capsys.readouterr().err
    assert "the given capture has no error; give it one with 'faults:'" in err
    assert "mine.yaml:" in err


def test_nothing_is_written_where_a_students_values_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = "draw: {ttl: [64, 900]}\nscenario: {client: {ttl: $ttl}, steps: [client: connect]}"
    Path("mine.yaml").write_text(PLAIN.replace("scenario: document", drawn))
    roster(4)
    assert run(["assign", "build", "mine.yaml", "--roster", "class.csv", "-o", "out", "--answers", "key.json"]) == 2
    assert "student 's" in capsys.readouterr().err
    assert not Path("out").exists()
    assert not Path("key.json").exists()


# The JSON schema.


def test_the_schema_has_every_key_and_no_dangling_reference() -> None:
    text = json.dumps(schema())
    found = schema()
    assert {"name", "hand-in", "hand-ins", "parts", "draw"} <= set(found["properties"])
    for name in set(re.findall(r'"#/\$defs/(\w+)"', text)):
        assert name in found["$defs"]
    assert found["$defs"]["PartModel"]["required"] == ["part", "points"]


@pytest.mark.parametrize("name", shipped())
def test_the_schema_accepts_what_labkit_accepts(name: str) -> None:
    assert json_schema.fits(Assignment.load(name).source.data, schema(), schema())


@pytest.mark.parametrize(
    "change",
    ["tittle: x", "hand-in: video", "complete: 7", "  - {part: B}", "  - {part: B, points: -1, rules: SEQ}", "give: all",
     "  - {part: B, points: 1, expect: {server-prt: 1}}", "  - {part: B, points: 1, expect: {closed: maybe}}"],
)  # fmt: skip
def test_the_schema_rejects_what_labkit_rejects(change: str) -> None:
    text = f"{PLAIN}{change}\n"
    with pytest.raises(ScenarioError):
        Assignment.parse(text)
    assert not json_schema.fits(parse(text, "x").data, schema(), schema())


def test_answers_are_read_again() -> None:
    roster(3)
    build()
    pupils = [*read_answers("key.json", pupil).students.values()]
    assert [each.student.id for each in pupils] == ["s0", "s1", "s2"]
    own = material(Assignment.load("find-the-mistake"), 0).task
    assert all(each.task.of == own.of for each in pupils)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"digest": "", "key": "zz", "students": []}', "[" * 100_000])
def test_what_is_no_answer_key(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.json").write_text(text)
    Path("in").mkdir()
    Path("in/a.txt").write_text("1: 2")
    assert run(["grade", "find-the-mistake", "in", "--answers", "bad.json"]) == 3
    assert "not an answer key" in capsys.readouterr().err


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "assignment"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


QUIZ = """
name: asked
title: Questions that labkit asks
text: Answer them.
hand-in: answers
draw: {size: [60, 200, 900]}
scenario:
  server: {port: 7}
  steps: [{client: connect}, {client: {send: $size}}, {server: {send: $size}}, {client: close}, {server: close}]
give: capture
questions:
  - {find: rtt}
  - {find: next-ack, points: 2}
  - {find: state}
"""


def test_questions_that_labkit_asks() -> None:
    loaded = Assignment.parse(QUIZ)
    seen = set()
    for place in range(3):
        own = material(loaded, place, place)
        answers = [part.answer for part in own.task.parts if part.answer]
        assert answers[0].ask == "Which round-trip time does the handshake of the client show?"
        assert answers[0].right[1] == answers[0].right[0].removesuffix(" ms")
        assert re.search(r"seq 1 and carries (60|200|900) bytes", answers[1].ask)
        seen.add(answers[1].right)
        text = "".join(f"{each.number}: {each.right[-1]}\n" for each in answers).encode()
        assert grade(own.task, text).points == 4
        assert answers[1].ask in markdown(own)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("{ask: What is it?, find: rtt}", "find: rtt asks a question of its own; leave 'ask:' out"),
        ("{find: wrong-packe}", "did you mean 'wrong-packet'"),
        ("{find: middlebox}", "needs 'ask:'"),
        ("{answer: 3}", "needs 'ask:'"),
        ("{find: zero-window}", "allows no question of the kind zero-window, which needs a window of 0"),
    ],
)
def test_a_question_that_labkit_cannot_ask(question: str, why: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(why)):
        material(Assignment.parse(QUIZ.replace("{find: rtt}", question)), 0)


def test_an_answer_key_whose_lines_were_broken_anew() -> None:
    roster(2)
    assert run(["assign", "build", "handshake", "--roster", "class.csv", "-o", "out", "--answers", "key.json"]) == 0
    known = read_answers("key.json", pupil)
    Path("key.json").write_text(json.dumps(json.loads(Path("key.json").read_text()), indent=2))
    assert read_answers("key.json", pupil) == known


def test_an_answer_key_that_is_too_large_is_not_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("labkit.teach.assign.kit.MAX_ANSWERS", 1 << 10)
    roster(2)
    assert run(["assign", "build", "handshake", "--roster", "class.csv", "-o", "out", "--answers", "key.json"]) == 3
    assert "the answer key is larger than" in capsys.readouterr().err
    assert not Path("key.json").exists()
    assert not Path("out").exists()
