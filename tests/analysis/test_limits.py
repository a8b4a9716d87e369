"""What a capture is said to be: its limits, and its conversations in figures."""

from pathlib import Path

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.limits import CaptureLimits
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier, verify
from labkit.build.scenario import Scenario
from labkit.capture import Frame
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPEN = "> S 0:0(0) <mss 100>\n< S. 0:0(0) ack 1 <mss 100>\n> . 1:1(0) ack 1\n"
CLOSE = "> F. 1:1(0) ack 1\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2\n"
DATA = "> P. 1:100(99) ack 1\n"


def judged(text: str, isns: tuple[int, int] = (0, 0), profile: str = "rfc9293") -> Verdict:
    return Verifier(profile).run(frames(list(parse(text)), isns=isns))


LIMITS = [
    # (kind, conversation, how many, the first packet)
    ("mid-stream", DATA + "< . 1:1(0) ack 100\n", 1, None),
    ("one-sided", DATA, 1, None),
    ("truncated", OPEN + "> P. 1:100(99) ack 1 {caplen=80}\n> P. 100:150(50) ack 1 {caplen=80}\n", 2, 4),
    ("checksum-offload", OPEN + "> P. 1:100(99) ack 1 {sum=partial}\n", 1, 4),
    ("segmentation-offload", OPEN + "> P. 1:301(300) ack 1\n> P. 301:601(300) ack 1\n", 2, 4),
    ("duplicated", OPEN + DATA + "+0.0001 > P. 1:100(99) ack 1 {ip.id=4}\n", 1, 5),
    ("clock-stepped-back", OPEN + "0.025 > P. 1:100(99) ack 1\n", 1, 4),
    ("packets-missing", OPEN + "> P. 100:150(50) ack 1\n< . 1:1(0) ack 150\n", 1, None),
]


@pytest.mark.parametrize("profile", ["rfc9293", "document"])
@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 50, 2**32 - 1)])
@pytest.mark.parametrize(("kind", "text", "count", "packet"), LIMITS, ids=[each[0] for each in LIMITS])
def test_limits(kind: str, text: str, count: int, packet: int | None, isns: tuple[int, int], profile: str) -> None:
    (limit,) = judged(text, isns, profile).limits
    assert (limit.kind, limit.count, limit.packet) == (kind, count, packet)
    assert limit.message.startswith(f"{count} ")
    assert "{" not in limit.message


def test_a_conversation_captured_at_two_points() -> None:
    whole = frames(list(parse(OPEN + CLOSE)))
    twice = [each._replace(interface=point) for each in whole for point in (0, 1)]
    verdict = Verifier().run(twice)
    assert [(limit.kind, limit.count, limit.packet) for limit in verdict.limits] == [("several-points", 1, None)]
    assert (verdict.flows, verdict.findings) == (2, [])


def test_a_complete_capture_has_no_limits() -> None:
    assert judged(OPEN + CLOSE).limits == []


def test_a_limit_names_a_rule_that_reported_it() -> None:
    for kind, text, *_rest in LIMITS:
        if kind not in {"clock-stepped-back", "packets-missing"}:
            verdict = judged(text)
            assert verdict.limits[0].code in {found.code for found in verdict.findings}


def test_each_limit_that_a_rule_declares_has_a_message() -> None:
    for rule in collect():
        for answer, kind in rule.limits.items():
            counted = CaptureLimits()
            counted.count(rule, answer, 7)
            assert [(each.kind, each.code, each.packet) for each in counted.limits(1, 1)] == [(kind.word, rule.code, 7)]


CONVERSATIONS = [
    # (conversation, how opened, how closed)
    (OPEN + CLOSE, "handshake", "fin"),
    (OPEN + "> F. 1:1(0) ack 1\n< . 1:1(0) ack 2\n", "handshake", "half-closed"),
    (OPEN + "> R. 1:1(0) ack 1\n", "handshake", "reset"),
    (OPEN, "handshake", "open"),
    ("> S 0:0(0)\n< S. 0:0(0) ack 1\n", "half-open", "open"),
    ("> S 0:0(0)\n", "unanswered", "open"),
    ("> S 0:0(0)\n< R. 0:0(0) ack 1\n", "refused", "reset"),
    ("> S 0:0(0)\n< S 0:0(0)\n> S. 0:0(0) ack 1\n< S. 0:0(0) ack 1\n", "simultaneous", "open"),
    (DATA + "< . 1:1(0) ack 100\n", "not-seen", "open"),
]


@pytest.mark.parametrize(("text", "opened", "closed"), CONVERSATIONS)
@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 2)])
def test_how_a_conversation_was_opened_and_closed(text: str, opened: str, closed: str, isns: tuple[int, int]) -> None:
    (conversation,) = judged(text, isns).conversations
    assert (conversation.opened, conversation.closed) == (opened, closed)


def test_figures() -> None:
    again = "+0.3 > P. 1:100(99) ack 1\n"
    (it,) = judged(OPEN + DATA + again + "< P. 1:51(50) ack 100\n").conversations
    assert (it.client, it.server) == ("192.0.2.10:40000", "192.0.2.20:80")
    assert (it.packets, it.octets, it.retransmissions) == ((4, 2), (99, 50), (1, 0))
    assert (it.first_packet, it.start, it.duration) == (1, 0.0, 0.34)


def test_the_client_comes_first_even_if_the_server_sends_first() -> None:
    (it,) = judged("< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n").conversations
    assert (it.client, it.packets) == ("192.0.2.10:40000", (1, 1))


def test_octets_on_a_syn_count(tmp_path: Path) -> None:
    Scenario.load("fast-open").play().write(tmp_path / "a.pcap")
    (it,) = verify(tmp_path / "a.pcap").conversations
    assert it.octets == (99, 119)


def test_successive_conversations_on_the_same_ports() -> None:
    verdict = judged(OPEN + CLOSE + (OPEN + CLOSE).replace("0:0(0)", "9000:9000(0)").replace("ack 1 ", "ack 9001 "))
    first, *_ = verdict.conversations
    assert [each.flow for each in verdict.conversations] == list(range(verdict.flows))
    assert all(each.duration < 1 for each in verdict.conversations)
    assert first.closed == "fin"


def test_the_number_of_described_conversations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.analysis.limits.MAX_DESCRIBED", 3)

    def many() -> list[Frame]:
        found: list[Frame] = []
        for port in range(5):
            for frame in frames(list(parse("> S 0:0(0)\n"))):
                octets = bytearray(frame.data)
                octets[35] = port
                found.append(frame._replace(number=port + 1, data=bytes(octets)))
        return found

    verdict = Verifier().run(many())
    assert (verdict.flows, verdict.reported, len(verdict.conversations)) == (5, 5, 3)


def test_only_wanted_conversations_are_reported() -> None:
    text = OPEN + "< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"
    whole = judged(text)
    none = Verifier(wanted=lambda _flow: False).run(frames(list(parse(text))))
    assert whole.findings
    assert (none.findings, none.conversations, none.reported) == ([], [], 0)
    assert (none.flows, none.segments) == (whole.flows, whole.segments)
    assert [each for each in none.limits if each.kind != "none-wanted"] == whole.limits


def test_a_finding_once_for_each_host_is_in_a_reported_conversation() -> None:
    first = list(frames(list(parse("> P. 1:100(99) ack 1 {sum=partial}\n"))))
    second = [frame._replace(number=2, data=frame.data[:35] + b"\x07" + frame.data[36:]) for frame in first]
    seen = Verifier(wanted=lambda flow: flow.index == 1).run([*first, *second])
    assert [found.flow for found in seen.findings if found.code == "CK03"] == [1]


def test_a_capture_without_tcp_has_a_limit() -> None:
    verdict = Verifier().run([])
    assert [(each.kind, each.count, each.message) for each in verdict.limits] == [
        ("no-segments", 0, "this capture has no TCP segment: there is nothing to verify")
    ]
    assert CaptureLimits().limits(1, 1) == []


def test_a_capture_without_a_selected_conversation_has_a_limit() -> None:
    verdict = Verifier(wanted=lambda flow: flow.index == 1).run(frames(list(parse("> S 0:0(0)\n"))))
    assert [(each.kind, each.count, each.message) for each in verdict.limits] == [
        ("none-wanted", 0, "no conversation of this capture matches the selection: there is nothing to report")
    ]
