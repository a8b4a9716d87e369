"""Every answer of a quiz, recomputed by Wireshark from the question's own filter.

LABKIT_QUIZ_TRACES=1000 tries this on that many random conversations.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from test_properties import a_scenario
from wireshark import Sharkd, needs_sharkd

from labkit.build.faults import faults, inject
from labkit.build.scenario import Scenario, shipped
from labkit.build.trace import Trace
from labkit.capture import create
from labkit.errors import ScenarioError, UsageError
from labkit.teach.quiz import questions
from labkit.teach.quiz.kinds import kinds
from labkit.teach.quiz.question import COUNT, LAST, SUM, Question
from labkit.teach.quiz.subject import subject

TRACES = int(os.environ.get("LABKIT_QUIZ_TRACES", "30"))
EACH = 4
"""Questions of each kind about one trace; half of them about one of the shipped scenarios, which are many."""


@pytest.fixture(scope="module")
def shark() -> Iterator[Sharkd]:
    made = Sharkd()
    yield made
    made.end()


def octets(trace: Trace) -> bytes:
    stream = BytesIO()
    trace.write(stream, format="pcapng", edition="student")
    return stream.getvalue()


def drawn(capture: bytes, seed: int, *, relative: bool, each_kind: int = EACH) -> list[Question]:
    """Questions of all kinds about a capture; each is checked for what all of them have."""
    about = subject("x", BytesIO(capture), relative=relative)
    found = questions(about, count=each_kind * len(kinds()), seed=seed).questions
    for each in found:
        assert len({each.right.text, *(wrong.text for wrong in each.wrong)}) == 3, each
        for text in (each.stem, *(part for choice in (each.right, *each.wrong) for part in (choice.text, choice.why))):
            assert text.isprintable(), each
            assert "{" not in text, each
    return list(found)


def disagreements(shark: Sharkd, capture: bytes, asked: list[Question], folder: Path) -> list[str]:
    """The questions to which Wireshark has another answer."""
    path = folder / "x.pcapng"
    path.write_bytes(capture)
    found = []
    for relative in {each.relative for each in asked}:
        shark.load(path, relative=relative)
        own = [(each, shark.proved(each.proof)) for each in asked if each.relative == relative]
        found += [
            f"{each.kind}: {each.stem} {each.proof}: Wireshark has {value!r}"
            for each, value in own
            if value != each.proof.value
        ]
    return found


OTHER = {"half-open-connections"}
"""Scenarios in which Wireshark divides the packets into conversations in another way, so that nothing is asked."""


@needs_sharkd
@pytest.mark.parametrize("name", shipped())
def test_shipped_scenarios(name: str, shark: Sharkd, tmp_path: Path) -> None:
    scenario = Scenario.load(name)
    model = (
        scenario.model.model_copy(update={"capture": "client"}) if scenario.model.capture == "both" else scenario.model
    )
    capture = octets(Scenario(scenario.source, model).play(1))
    if name in OTHER:
        with pytest.raises(UsageError, match="Wireshark divides"):
            drawn(capture, 0, relative=True)
        return
    for relative in (True, False):
        asked = drawn(capture, 0, relative=relative, each_kind=EACH // 2)
        assert asked
        assert disagreements(shark, capture, asked, tmp_path) == []


@needs_sharkd
def test_a_capture_that_shows_the_syn_ack_before_the_syn(shark: Sharkd, tmp_path: Path) -> None:
    trace = Scenario.load("todays-options").play(3)
    syn, answer, *rest = trace.records
    records = [answer, replace(syn, time=answer.time + 1000), *rest]
    capture = octets(replace(trace, records=records))
    for relative in (True, False):
        asked = drawn(capture, 0, relative=relative)
        assert asked
        assert disagreements(shark, capture, asked, tmp_path) == []


def test_nothing_is_asked_behind_the_first_wrong_number_that_others_follow() -> None:
    """Scapy wrote it, and from the fourth packet on with relative numbers. Only the whole verdict says where that begins."""
    client, server = {"sport": 12345, "dport": 80}, {"sport": 80, "dport": 12345}
    script = [
        (client, "S", 1000, 0, 0), (server, "SA", 5000, 1001, 0), (client, "A", 1001, 5001, 0),
        (client, "PA", 1, 1, 18), (server, "A", 1, 19, 0), (server, "PA", 1, 19, 24), (client, "A", 19, 25, 0),
    ]  # fmt: skip
    stream = BytesIO()
    with create(stream, link=1, format="pcap") as writer:
        for number, (ports, flags, seq, ack, length) in enumerate(script):
            ends = {"src": "10.0.0.1", "dst": "10.0.0.2"} if ports is client else {"src": "10.0.0.2", "dst": "10.0.0.1"}
            tcp = TCP(**ports, flags=flags, seq=seq, ack=ack) / bytes(length)
            writer.write(number * 10_000_000, bytes(Ether(src="02:00:00:00:00:01") / IP(**ends) / tcp))
    asked = drawn(stream.getvalue(), 0, relative=True)
    assert asked
    assert {each.packet for each in asked} <= {1, 2, 3}


@needs_sharkd
def test_faults(shark: Sharkd, tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    for fault in faults():
        try:
            trace = inject(Scenario.load("document").play(3), fault.name)
        except UsageError:
            continue
        capture = octets(trace)
        asked = drawn(capture, 0, relative=True)
        assert disagreements(shark, capture, asked, tmp_path) == [], fault.name
        found.update(each.kind for each in asked)
    assert all(found[kind] for kind in ("wrong-packet", "wrong-field", "right-number", "broken-rule"))


@needs_sharkd
@pytest.mark.timeout(60 + 2 * TRACES)
def test_random_traces(shark: Sharkd, tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    wrong: list[str] = []
    traces = seed = unasked = 0
    while traces < TRACES:
        seed += 1
        rng = Random(seed)
        text = a_scenario(rng)
        try:
            trace = Scenario.parse(text).play(seed)
            if rng.random() < 0.3:
                trace = inject(trace, rng.choice(faults()).name)
        except (ScenarioError, UsageError):
            continue
        traces += 1
        capture = octets(trace)
        try:
            asked = drawn(capture, seed, relative=rng.random() < 0.5)
        except UsageError as error:
            # A fault in a port or a SYN can make conversations of one; nothing is asked about what is in doubt.
            assert "Wireshark divides" in str(error), seed
            unasked += 1
            continue
        found.update(each.kind for each in asked)
        wrong += [f"seed {seed}: {each}" for each in disagreements(shark, capture, asked, tmp_path)]
        for each in asked:
            if each.kind == "lost-packet":
                record = trace.records[trace.numbers().index(each.packet)]
                # A packet that is late looks like a lost one, up to its arrival.
                late = "late" in text or "jitter" in text
                if record.arrived and record.tap == record.sender and not late:
                    wrong.append(f"seed {seed}: packet {each.packet} was not lost")
    assert wrong == []
    assert unasked <= traces / 50
    assert len(found) > 12


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is missing")
@pytest.mark.parametrize("relative", [True, False])
def test_the_filters_work_in_tshark(relative: bool, tmp_path: Path) -> None:
    capture = octets(Scenario.load("todays-options").play(4))
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture)
    # sharkd tries all filters; here is one for each way to read the answer.
    found = {each.proof.take: each for each in questions(subject("x", BytesIO(capture), relative=relative)).questions}
    assert len(found) > 1
    for each in found.values():
        preference = f"tcp.relative_sequence_numbers:{str(relative).upper()}"
        command = [
            "tshark",
            "-o",
            preference,
            "-r",
            str(path),
            "-Y",
            each.proof.filter,
            "-T",
            "fields",
            "-e",
            each.proof.field,
        ]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        taken = {COUNT: len(lines), SUM: sum(map(int, lines)) if each.proof.take == SUM else 0, LAST: lines[-1]}
        assert str(taken.get(each.proof.take, lines[0])) == each.proof.value, each
