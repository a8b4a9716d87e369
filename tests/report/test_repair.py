"""`repair`: after any kind of edit by hand, a capture is the scenario's own again, or is sound."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from edits import EDITS
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis.examine import Completeness
from labkit.analysis.severity import Severity
from labkit.build.scenario import Scenario, shipped
from labkit.build.trace import Trace
from labkit.capture import create
from labkit.cli import Exit, run
from labkit.packet.linktype import ETHERNET
from labkit.report.repair import repair
from labkit.tcp.options import Sack
from labkit.tcp.segment import Segment

PCAPS = sorted((Path(__file__).parents[2] / "pcaps").glob("*.pcap*"))

WINDOWS = {"abort-unread", "linux-zero-window", "window-full", "zero-window"}
"""Scenarios that fill a window. Windows stay as they are: octets that an edit adds do not fit into them, and how many octets wait
unread does not fit to those that it takes out."""


SHARES = {200: 12, 50: 6, 15: 3}
"""Of a scenario with more packets than this, one in so many kinds of edits is tried; the others have all."""


def left(verdict):
    return [(found.code, found.severity) for found in verdict.findings if found.severity > Severity.NOTE]


def octets(trace):
    return [frame.data for frame in trace.file_frames()]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", shipped())
def test_every_kind_of_edit_is_repaired(name):
    trace = Scenario.load(name).play()
    frames = trace.file_frames()
    before = repair(trace)
    assert octets(before.trace) == octets(trace), "nothing is to be repaired"
    assert before.changes == ()
    kinds = list(EDITS.items())
    share = next((share for packets, share in SHARES.items() if len(frames) > packets), 1)
    for kind, edit in kinds[len(frames) % share :: share]:
        edited = edit(list(frames), Random(f"{name}/{kind}"))
        if edited is None:
            continue
        numbered = [frame._replace(number=number) for number, frame in enumerate(edited, 1)]
        repaired = repair(trace.frames_again(numbered))
        if octets(repaired.trace) == octets(trace):
            continue
        remains = [each for each in left(repaired.verdict) if each not in left(before.verdict)]
        if remains:
            assert name in WINDOWS, (kind, remains)
            assert {code for code, _severity in remains} <= {"WIN01", "WIN02"}, (kind, remains)
            assert repaired.verdict.ok or "inserted" in kind, (kind, remains)
            assert any(remains[0][0] in each.message for each in repaired.unknown), kind


def test_the_kinds_of_edits_are_many():
    assert len(EDITS) >= 30


@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.name)
def test_a_sound_capture_is_not_touched(path):
    trace = Trace.from_capture(path)
    repaired = repair(trace)
    assert repaired.changes == ()
    assert octets(repaired.trace) == octets(trace)


@pytest.fixture(scope="module")
def document():
    return Scenario.load("document").play()


def test_a_change_names_the_packet_the_field_and_both_values(document):
    repaired = repair(document.edit(4, payload=b"x" * 100))
    assert [(each.packet, each.field, each.old, each.new) for each in repaired.changes] == [
        (5, "ack", 100, 101),
        (6, "seq", 100, 101),
        (7, "seq", 100, 101),
        (8, "ack", 101, 102),
        (9, "ack", 101, 102),
        (10, "seq", 101, 102),
    ]
    assert repaired.packets == 6
    assert repaired.unknown == ()


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 50), (2**31 - 10, 2**31 + 5), (2**32 - 100, 0)])
def test_numbers_wrap_around(isns):
    text = (
        f"name: a\nclient: {{isn: {isns[0]}}}\nserver: {{isn: {isns[1]}}}\n"
        "steps: [client: connect, client: {send: 99}, server: {send: 119}, client: close, server: close]\n"
    )
    trace = Scenario.parse(text).play()
    repaired = repair(trace.edit(4, payload=b"longer by one" * 20))
    assert left(repaired.verdict) == []
    assert [repaired.trace.relative(each) for each in repaired.trace] == [
        (seq + 161 * (each.sender == "client" and seq > 1), ack + 161 * (each.sender == "server" and ack > 1))
        for each, (seq, ack) in zip(trace, map(trace.relative, trace), strict=True)
    ]


def test_the_edges_of_sack_blocks_follow():
    trace = Scenario.load("fast-retransmit-sack").play()
    place = next(place for place, each in enumerate(trace) if each.segment.payload)
    repaired = repair(trace.edit(trace.numbers()[place], payload=b"short"))
    assert left(repaired.verdict) == []
    shift = len(trace[place].segment.payload) - 5
    for before, now in zip(trace, repaired.trace, strict=True):
        old, new = before.segment.option(Sack), now.segment.option(Sack)
        if old is not None:
            assert new == Sack(tuple((one - shift, other - shift) for one, other in old.blocks))


def test_a_gap_is_closed_if_nothing_is_missing(document):
    taken = document.remove(4)
    assert [each.segment.seq for each in repair(taken, Completeness.COMPLETE).trace][4:6] == [1, 1]
    kept = repair(taken, Completeness.PARTIAL)
    assert kept.changes == ()
    assert [each.message[:14] for each in kept.unknown] == ["SEQ01 is left:"]


def test_what_cannot_be_known_is_said(document):
    target = BytesIO()
    with create(target, link=ETHERNET) as out:
        for number, frame in enumerate(document.file_frames(), 1):
            data = frame.data[:58] if number == 4 else frame.data
            data = data[:50] + b"\x12\x34" + data[52:] if number == 4 else data
            out.write(frame.time, data, wirelen=frame.wirelen)
        out.write(frame.time, bytes(12) + b"\x08\x00\x4f" + bytes(30))
    target.seek(0)
    repaired = repair(Trace.from_capture(target))
    assert repaired.changes == ()
    assert [(each.packet, each.message) for each in repaired.unknown] == [
        (11, "cannot be read; its lengths and checksums stay")
    ]


def test_partial_checksums_stay(document):
    repaired = repair(document.edit(4, edits={"sum": "partial"}))
    assert repaired.changes == ()
    assert [each.packet for each in repaired.unknown] == [4]
    assert "checksum offload" in repaired.unknown[0].message


def test_no_tcp_is_nothing_to_repair(tmp_path, capsys):
    with create(tmp_path / "a.pcap", link=ETHERNET) as out:
        out.write(0, bytes(60))
    assert run(["repair", str(tmp_path / "a.pcap"), "-o", str(tmp_path / "b.pcap")]) == Exit.FINDINGS
    assert (tmp_path / "a.pcap").read_bytes() == (tmp_path / "b.pcap").read_bytes()
    assert "0 packets changed" in capsys.readouterr().out


@pytest.fixture
def edited(tmp_path, monkeypatch, document):
    monkeypatch.chdir(tmp_path)
    document.edit(4, payload=b"x" * 100).edit(6, ack=+1).write("edited.pcapng")
    return tmp_path


def test_the_command_says_what_it_changed(edited, capsys):
    assert run(["repair", "edited.pcapng", "-o", "repaired.pcapng"]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[:3] == [
        "edited.pcapng: 6 packets changed, in repaired.pcapng",
        "      5  ack 100 → 101 (+1)",
        "      6  seq 100 → 101 (+1), ack 121 → 120 (-1)",
    ]
    assert run(["verify", "repaired.pcapng"]) == Exit.OK


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["edited.pcapng", "-o", "edited.pcapng"], Exit.USAGE, "this would overwrite what the command reads"),
        (["edited.pcapng"], Exit.USAGE, "missing option"),
        (["none.pcapng", "-o", "a.pcapng"], Exit.UNREADABLE, "none.pcapng: cannot be read"),
        (["edited.pcapng", "-o", "a.txt"], Exit.USAGE, "a.txt: the suffix names no capture format"),
    ],
)
def test_wrong_usage_is_one_line(edited, capsys, arguments, code, message):
    assert run(["repair", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error.lower().replace("'", "")
    assert error.count("\n") == 1
    assert sorted(each.name for each in edited.iterdir()) == ["edited.pcapng"]


def test_a_damaged_capture_is_repaired_up_to_the_damage(edited, capsys):
    octets_ = Path("edited.pcapng").read_bytes()
    Path("cut.pcapng").write_bytes(octets_[:-100])
    assert run(["repair", "cut.pcapng", "-o", "a.pcapng"]) == Exit.OK
    assert "repaired up to there" in capsys.readouterr().err


@given(st.data())
def test_hostile_conversations_are_repaired_or_left(data):
    """Any numbers: repair ends, changes no payload and no flag, and keeps every packet."""
    names = st.sampled_from(["document", "fast-retransmit", "simultaneous-close", "keep-alive"])
    trace = Scenario.load(data.draw(names)).play()
    for place in data.draw(st.lists(st.integers(0, len(trace) - 1), max_size=5)):
        segment = trace[place].segment
        number = st.integers(0, 2**32 - 1) | st.sampled_from([0, segment.seq, segment.ack])
        changed = segment.with_(seq=data.draw(number), ack=data.draw(number))
        records = [*trace.records[:place], replace(trace[place], segment=changed), *trace.records[place + 1 :]]
        trace = replace(trace, records=tuple(records))
    repaired = repair(trace)

    def fixed(segment: Segment) -> tuple[object, ...]:
        return segment.ctl, segment.payload, segment.window, segment.urgent

    assert [fixed(each.segment) for each in repaired.trace] == [fixed(each.segment) for each in trace]
    assert [each.time for each in repaired.trace] == [each.time for each in trace]


@given(st.data())
def test_hostile_frames_are_repaired_or_left(data):
    """Any octets of any frame: repair ends, and keeps every frame and its length."""
    trace = Scenario.load(data.draw(st.sampled_from(["document", "fragmented", "document-ipv6", "http-vlan"]))).play()
    target = BytesIO()
    with create(target, link=trace.link) as out:
        for frame in trace.file_frames():
            octets_ = bytearray(frame.data)
            for at, value in data.draw(st.lists(st.tuples(st.integers(12, 60), st.integers(0, 255)), max_size=2)):
                octets_[at % len(octets_)] = value
            kept = data.draw(st.sampled_from([None, None, None, 20, 40, 56]))
            out.write(frame.time, bytes(octets_[:kept]), wirelen=len(octets_))
    target.seek(0)
    hostile = Trace.from_capture(target)
    repaired = repair(hostile)
    assert [len(each) for each in octets(repaired.trace)] == [len(each) for each in octets(hostile)]
    assert all(1 <= each.packet <= len(octets(hostile)) for each in repaired.changes)
