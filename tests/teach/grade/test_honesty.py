"""Copies and near-copies are shown with their evidence; what everybody shares is not."""

from dataclasses import replace
from pathlib import Path

import class_of_sixty as klass
import pytest

from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.cli import run
from labkit.teach.assign import Assignment
from labkit.teach.assign.material import known_captures, material
from labkit.teach.grade.honesty import Fingerprint, Remark, fingerprint, remarks
from labkit.teach.grade.judging import grade

PLAIN = Assignment.parse("""\
name: plain
title: Plain
text: Do it.
scenario: {steps: [client: connect, client: {send: 99}, server: {send: 119}, client: close, server: close]}
parts:
  - {part: Opening, points: 2, expect: {opened: handshake, client-sends: 99}}
""")
TASK = material(PLAIN, 0).task


def own(number: int) -> Trace:
    """The right conversation as a student writes it: with numbers, times and words of their own."""
    trace = PLAIN.scenario.play(1000 + number)
    return klass.ends(klass.distinct(trace, f"student {number}"), client=30000 + number)


def compared(traces: dict[str, Trace]) -> list[Remark]:
    prints = [printed(name, klass.saved(trace)) for name, trace in traces.items()]
    return remarks(prints, dict.fromkeys(traces, TASK), given=known_captures(PLAIN))


def printed(name: str, octets: bytes) -> Fingerprint:
    return fingerprint(name, TASK, octets, grade(TASK, octets, name).conversation)


def moved(trace: Trace, address: str) -> Trace:
    """The same conversation between other hosts and with other MAC addresses, at another time."""
    connection = trace.connections[0]
    client = replace(connection.client, address=address, mac="02:00:00:00:00:77")
    records = [replace(each, time=each.time + 5_000_000_000) for each in trace.records]
    return replace(
        trace, connections=(replace(connection, client=client),), records=records, start=trace.start + 10**12
    )


def slower(trace: Trace) -> Trace:
    return replace(trace, records=[replace(each, time=3 * each.time + each.number) for each in trace.records])


def test_those_who_work_alone_are_not_shown() -> None:
    assert compared({f"s{number}": own(number) for number in range(30)}) == []


def test_what_a_program_writes_for_everybody_is_no_evidence() -> None:
    """Scapy's defaults: port 20, seq 0, window 8192, identification 1 in each packet."""
    traces = {}
    for number in range(20):
        trace = klass.numbered(klass.ends(own(number), client=20), 0, 0)
        records = [replace(each, ident=1, segment=each.segment.with_(window=8192)) for each in trace.records]
        traces[f"s{number}"] = replace(trace, records=records)
    assert compared(traces) == []


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda trace: trace, "identical", "byte for byte"),
        (slower, "same-packets", "only times or the file format differ"),
        (lambda trace: moved(trace, "192.0.2.99"), "near-identical", "initial sequence number"),
        (lambda trace: klass.changed(trace, 5, window=1), "near-identical", "the client's data"),
        (lambda trace: klass.ends(slower(trace), client=40001), "near-identical", "initial sequence number"),
        (lambda trace: klass.without(trace, 9), "near-identical", "the client's data"),
    ],
)
def test_a_copy_is_shown(change, kind: str, words: str) -> None:
    traces = {f"s{number}": own(number) for number in range(10)}
    traces["copy"] = change(own(4))
    (found,) = compared(traces)
    assert (found.kind, found.students) == (kind, ("s4", "copy"))
    assert words in found.evidence


def test_a_group_that_shares_a_file_is_one_remark() -> None:
    traces = {f"s{number}": own(7) for number in range(6)}
    (found,) = compared(traces)
    assert (found.kind, len(found.students)) == ("identical", 6)


@pytest.mark.parametrize("name", ["document", "handshake"])
def test_a_shipped_scenario_is_known(name: str) -> None:
    (found,) = compared({"s1": Scenario.load(name).play(0), "s2": own(2)})
    assert (found.kind, found.students) == ("given-solution", ("s1",))
    assert f"the scenario {name}" in found.evidence


def test_the_given_capture_of_another_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `repair`, a repaired capture has the numbers of whoever it was given to."""
    monkeypatch.chdir(tmp_path)
    Path("class.csv").write_text("student\ns1\ns2\ns3\n")
    assert run(["assign", "build", "repair", "--roster", "class.csv", "--answers", "key.json"]) == 0
    Path("in").mkdir()
    for name, of in {"s1": "s1", "s2": "s1", "s3": "s3"}.items():
        octets = Path(f"repair-handouts/{of}/capture.pcapng").read_bytes()
        Path(f"in/{name}.pcapng").write_bytes(octets)
    assert run(["grade", "repair", "in", "--answers", "key.json", "-o", "g.txt"]) == 0
    text = Path("g.txt").read_text("utf-8")
    assert "look at: s2, s1: the capture has all 2 numbers that s1 was given, and 0 of those that s2 was given" in text
    assert "look at: s1, s2: the files are the same, byte for byte" in text
    assert "s3, " not in text


def test_the_answers_of_another_student() -> None:
    """Who copies answers has those that are right for another capture, whatever the file looks like."""
    loaded = Assignment.load("find-the-mistake")
    tasks = {f"s{number}": material(loaded, 1000 + number, number).task for number in range(3)}
    texts = {}
    for name, of in {"s0": "s0", "s1": "s0", "s2": "s2"}.items():
        right = [part.answer.right[0] for part in tasks[of].parts if part.answer is not None]
        texts[name] = "\n".join(f"{'Question ' * (name != of)}{n}: {each}" for n, each in enumerate(right, 1)).encode()
    texts["s2"] = texts["s2"].replace(b"1: ", b"1: 9")
    prints = [fingerprint(name, tasks[name], octets, "") for name, octets in texts.items()]
    (found,) = remarks(prints, tasks, given={})
    assert (found.kind, found.students) == ("someone-elses", ("s1", "s0"))
    assert found.evidence.startswith("all 5 answers are right for the capture of s0, and ")
