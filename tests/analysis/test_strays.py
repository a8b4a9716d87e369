"""A segment with a wrong port or address belongs to the conversation whose next numbers it has."""

import pytest
from scapy.layers.inet import IP, TCP

from labkit import Scenario, verify
from labkit.analysis.entry import Shown
from labkit.analysis.severity import Severity
from labkit.analysis.strays import Talk, adopt
from labkit.tcp.segment import ACK, SYN

CLIENT, SERVER = 40000, 80


def edited(changes: dict[int, dict[str, object]]):
    """The packets of the scenario `document`, some with other fields, as a student would write them."""
    packets = Scenario.load("document").play(seed=1).packets()
    for number, fields in changes.items():
        packet = packets[number - 1]
        for name, value in fields.items():
            layer = packet[TCP] if name in ("sport", "dport") else packet[IP]
            setattr(layer, name, value)
        del packet[TCP].chksum, packet[IP].chksum
    return packets


WRONG = {
    "destination port": ({6: {"dport": 8080}}, 6, SERVER),
    "source port": ({5: {"sport": 8080}}, 5, SERVER),
    "source port of the SYN": ({1: {"sport": 40001}}, 1, CLIENT),
    "destination address of the SYN": ({1: {"dst": "192.0.2.30"}}, 1, None),
    "addresses and ports of the other side": (
        {5: {"src": "192.0.2.10", "dst": "192.0.2.20", "sport": CLIENT, "dport": SERVER}},
        5,
        None,
    ),
    "destination address": ({6: {"dst": "192.0.2.30"}}, 6, None),
    "SYN ACK with the ports of the SYN": ({2: {"sport": CLIENT, "dport": SERVER}}, 2, None),
    "port of the client from here on": (
        {number: {"sport" if number in (6, 7, 10) else "dport": 40001} for number in range(5, 11)},
        5,
        CLIENT,
    ),
}


@pytest.mark.parametrize("complete", [None, True], ids=["no-option", "complete"])
@pytest.mark.parametrize(("changes", "packet", "right"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_port_or_address_is_one_error(changes, packet: int, right: int | None, complete: bool | None) -> None:
    verdict = verify(edited(changes), complete=complete)
    found = [each for each in verdict.findings if each.severity == Severity.ERROR and each.caused_by is None]
    assert [(each.packet, each.code, each.expected) for each in found] == [(packet, "PORT01", right)]


@pytest.mark.parametrize(
    ("number", "field", "off", "code"), [(5, "ack", 50, "ACK01"), (5, "seq", 7, "SEQ01"), (8, "ack", -1, "FIN02")]
)
def test_all_answers_with_another_address_and_one_of_them_with_a_mistake(
    number: int, field: str, off: int, code: str
) -> None:
    packets = edited({each: {"src": "192.0.2.30", "dst": "192.0.2.40"} for each in (2, 5, 8, 9)})
    right = getattr(packets[number - 1][TCP], field)
    setattr(packets[number - 1][TCP], field, right + off)
    verdict = verify(packets)
    found = [each for each in verdict.findings if each.severity == Severity.ERROR and each.caused_by is None]
    assert [(each.packet, each.code) for each in found] == [(2, "PORT01"), (number, code)]
    assert found[1].expected == right
    assert {(each.source, each.destination) for each in found} == {("192.0.2.20:80", "192.0.2.10:40000")}
    (follows,) = (each for each in verdict.findings if each.packet == 9)
    assert follows.message == "four-tuple 192.0.2.30:80 → 192.0.2.40:40000 follows from the mistake in packet 2"
    assert follows.should_be.startswith("four-tuple 192.0.2.20:80 → 192.0.2.10:40000")


def test_answers_of_which_most_have_mistakes_are_another_conversation() -> None:
    packets = edited({each: {"src": "192.0.2.30", "dst": "192.0.2.40"} for each in (2, 5, 8, 9)})
    for number in (5, 8, 9):
        packets[number - 1][TCP].seq += 100_000 * number
        packets[number - 1][TCP].ack += 300_000 * number
    assert not [each for each in verify(packets).findings if each.code == "PORT01"]


def test_a_refused_try_at_another_port_is_no_stray() -> None:
    packets = edited({})
    other = edited({1: {"sport": 40001}})[0]
    other[TCP].seq += 5000
    verdict = verify([other, *packets])
    assert not [each for each in verdict.findings if each.code == "PORT01"]


def test_another_conversation_is_no_stray() -> None:
    packets = edited({})
    others = edited({number: {"sport" if number in (1, 3, 4, 6, 7, 10) else "dport": 40001} for number in range(1, 11)})
    verdict = verify([*packets, *others])
    assert not [each for each in verdict.findings if each.code == "PORT01"]
    assert verdict.ok


def test_a_segment_between_the_same_ports_is_no_stray() -> None:
    """The end of one connection, and the next one between the same hosts and ports."""
    packets = edited({})
    late = edited({})[8]
    late.time = packets[-1].time + 1
    verdict = verify([*packets, late])
    assert not [each for each in verdict.findings if each.code == "PORT01"]


@pytest.mark.parametrize(("port", "adopted"), [(CLIENT, False), (CLIENT + 1, True)], ids=["same", "another"])
def test_only_another_port_or_address_makes_a_stray(port: int, adopted: bool) -> None:
    def talk(index: int, port: int, segments: list[Shown]) -> Talk:
        return Talk(index, ((b"\xc0\x00\x02\x0a", port), (b"\xc0\x00\x02\x14", SERVER)), segments)

    opening = [Shown(1, 0, 0, 0, 0, SYN, 0), Shown(2, 0, 1, 500, 1, SYN | ACK, 0), Shown(3, 0, 0, 1, 501, ACK, 0)]
    stray = talk(1, port, [Shown(4, 0, 0, 1, 501, ACK, 100, b"a" * 100)])
    found = [host.index for host, _segments in adopt([talk(0, CLIENT, opening), stray])]
    assert found == ([0] if adopted else [])
