"""AccECN (RFC 9768): the table of the negotiation, the counters, and what the sender does with them."""

from pathlib import Path

import pytest
from helpers import MS, ConnectionPair

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.build.path import marked
from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.tcp.endpoint import Config
from labkit.tcp.endpoint.accurate_ecn import CODES, AccurateEcn
from labkit.tcp.extension_options import AccEcn
from labkit.tcp.notation import LETTERS
from labkit.tcp.segment import ACK, AE, CE, CWR, ECE, ECT0, ECT1, NOT_ECT, SYN, Segment

FEEDBACK = AE | CWR | ECE


def bits(letters: str) -> int:
    return sum(LETTERS[each] for each in letters)


def modes(client: bool | str, server: bool | str) -> tuple[str, str, str, str]:
    """What each side uses; the letters of SYN and SYN,ACK."""
    pair = ConnectionPair(Config(iss=100, ecn=client), Config(iss=300, ecn=server)).connect()
    names = tuple(
        "accurate" if getattr(end.ecn, "accurate", False) else "classic" if end.ecn.agreed else "none"
        for end in (pair.client, pair.server)
    )
    syn, answer = (
        "".join(letter for letter in "EWA" if segment.ctl & LETTERS[letter]) for _, _, segment, _ in pair.log[:2]
    )
    return *names, syn, answer


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        ("accurate", "accurate", ("accurate", "accurate", "EWA", "W")),
        ("accurate", True, ("classic", "classic", "EWA", "E")),
        ("accurate", False, ("none", "none", "EWA", "")),
        (True, "accurate", ("classic", "classic", "EW", "E")),
        (False, "accurate", ("none", "none", "", "")),
        (True, True, ("classic", "classic", "EW", "E")),
    ],
)
def test_sides_agree_on_what_both_know(client: bool | str, server: bool | str, expected: tuple[str, ...]) -> None:
    assert modes(client, server) == expected


@pytest.mark.parametrize(
    ("answer", "accurate", "agreed"),
    [
        ("W", True, True),
        ("EW", True, True),
        ("A", True, True),
        ("WA", True, True),
        ("E", False, True),
        ("", False, False),
        ("EWA", False, False),
    ],
)
def test_a_client_reads_every_answer(answer: str, accurate: bool, agreed: bool) -> None:
    ecn = AccurateEcn()
    ecn.learn(Segment(ctl=SYN | ACK | bits(answer)))
    assert (ecn.accurate, ecn.agreed) == (accurate, agreed)


@pytest.mark.parametrize("field", [NOT_ECT, ECT1, ECT0, CE])
def test_both_say_how_the_peers_syn_arrived(field: int) -> None:
    server, client = AccurateEcn(), AccurateEcn()
    server.learn(Segment(ctl=SYN | FEEDBACK, ecn=field))
    answer = server.syn_bits(answering=True)
    client.learn(Segment(ctl=SYN | ACK | answer, ecn=field))
    assert answer == client.bits(ACK, False)[0] & FEEDBACK == CODES[field]
    assert server.count == client.count == 5 + (field == CE)


def test_ace_counts_marked_packets_modulo_eight() -> None:
    ecn, peer = AccurateEcn(), AccurateEcn()
    ecn.learn(Segment(ctl=SYN | FEEDBACK))
    peer.learn(Segment(ctl=SYN | FEEDBACK))
    for number in range(1, 20):
        ecn.arrived(Segment(payload=b"12345", ecn=CE))
        ctl, _ = ecn.bits(ACK, False)
        assert peer.echoes(Segment(ctl=ctl))
        assert not peer.echoes(Segment(ctl=ctl))
        assert peer.peer_count == 5 + number
    assert ecn.option() == AccEcn(174, (1, 95, 1))


def test_octets_are_counted_by_their_field_and_wrap() -> None:
    ecn = AccurateEcn()
    ecn.learn(Segment(ctl=SYN | FEEDBACK))
    ecn.octets[ECT0] = (1 << 24) - 2
    ecn.arrived(Segment(payload=b"12345", ecn=ECT0))
    ecn.arrived(Segment(payload=b"123", ecn=ECT1))
    ecn.arrived(Segment(payload=b"1234567", ecn=NOT_ECT))
    assert ecn.option() == AccEcn(174, (4, 0, 3))


def test_a_mark_slows_the_sender_down_as_a_loss_does() -> None:
    """The tenth segment of the client arrives marked; its window afterwards is half of what was under way."""
    sizes = {}
    for marks in (False, True):
        pair = ConnectionPair(Config(iss=100, ecn="accurate"), Config(iss=300, ecn="accurate")).connect()
        pair.client.send(bytes(200_000), pair.now)
        (first, *_) = [out.segment for out in pair.client.segments(pair.now)]
        pair.server.receive(marked(first) if marks else first, pair.now)
        pair.run(pair.now + 400 * MS)
        assert pair.client.control is not None
        sizes[marks] = pair.client.control.cwnd
        assert pair.client.ecn.peer_count == 5 + marks
    assert sizes[True] < sizes[False]


@pytest.mark.parametrize("lost", [[], [4], [2, 7]])
@pytest.mark.parametrize("stamps", ["true", "false"])
def test_conversations_with_many_marks_are_right(tmp_path: Path, lost: list[int], stamps: str) -> None:
    side = f"ecn: accurate, timestamps: {stamps}, sack: true"
    marks = "[3, 4, 5, 6, 9, 12, 14, 15, 17, 18, 20]"
    scenario = Scenario.parse(
        f"name: marks\nclient: {{{side}, isn: 4294967290}}\nserver: {{{side}, isn: 0}}\n"
        f"path: {{rtt: 20ms, to_client: {{mark: {marks}, lose: {lost}}}, to_server: {{mark: [3]}}}}\n"
        "steps:\n  - client: connect\n  - client: {send: 99}\n  - server: {send: 60000}\n"
        "  - client: close\n  - server: close\n"
    )
    trace = scenario.play(seed=1)
    assert max(len(record.segment.header) for record in trace.records) <= 40
    assert len({record.segment.ctl & FEEDBACK for record in trace.records}) >= 7  # an ACK for two marks skips a number
    trace.write(tmp_path / "a.pcapng")
    with open_capture(tmp_path / "a.pcapng") as capture:
        verdict = Verifier().run(capture)
    assert [each.code for each in verdict.findings if each.severity > Severity.NOTE] == []
