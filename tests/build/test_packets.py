import copy
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet
from scapy.utils import rdpcap, wrpcap

from labkit import Scenario
from labkit.build import trace_file
from labkit.packet.scapy_build import packet

SCENARIOS = ["document", "fragmented", "http-ipv6", "http-vlan", "todays-options", "authentication-option", "ecn"]


def made(packets: list[Packet]) -> list[bool]:
    return [not isinstance(each, partial) for each in list.__iter__(packets)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_copies_are_what_scapy_builds(name: str) -> None:
    trace = Scenario.load(name).play(seed=3)
    fragmented = trace.framing.fragment is not None
    for record, ident, copied in zip(trace, trace_file.idents(trace), trace.packets(), strict=not fragmented):
        if fragmented and copied[IP].frag + copied[IP].flags.MF:
            break
        ends, time = trace_file.ends(trace, record.connection, record.sender, record.tap), trace.start + record.time
        built = packet(record.segment, *ends, ident=ident, framing=trace.framing, time=time, label=record.label)
        assert bytes(copied) == bytes(built)
        assert copied.command() == built.command()
        assert (copied.time, copied.layers()) == (built.time, built.layers())
        assert [
            key for key, value in copied[TCP].fields.items() if value is built[TCP].fields[key] and key == "flags"
        ] == []


def test_packets_are_made_when_they_are_asked_for_and_kept() -> None:
    packets = Scenario.load("document").play().packets()
    assert not any(made(packets))
    packets[5][TCP].flags |= "P"
    packets[-1].ttl = 3
    assert [place for place, each in enumerate(made(packets)) if each] == [5, 9]
    assert packets[3:7][2] is packets[5]
    assert str(packets[5][TCP].flags) == "PA"
    assert str(packets[4][TCP].flags) == "PA"
    assert str(packets[2][TCP].flags) == "A"


@pytest.mark.parametrize(
    "act",
    [
        lambda packets: packets + packets[:2],
        lambda packets: packets[:2] + packets,
        lambda packets: packets + Scenario.load("http").play().packets(),
        lambda packets: packets.extend(Scenario.load("http").play().packets()) or packets,
        lambda packets: packets == Scenario.load("document").play().packets() and packets[:2],
        lambda packets: packets.copy(),
        lambda packets: copy.copy(packets),
        lambda packets: [*packets],
        lambda packets: packets.pop(4) and packets,
        lambda packets: packets.insert(2, packets[0]) or packets,
        lambda packets: packets.sort(key=lambda each: -each.time) or packets,
        lambda packets: packets.reverse() or packets,
        lambda packets: list(reversed(packets)),
        lambda packets: pickle.loads(pickle.dumps(packets)),  # noqa: S301 - it is ours
        lambda packets: packets.__delitem__(3) or packets,
        lambda packets: packets[::2],
        lambda packets: packets.index(packets[8]) and packets,
        lambda packets: [each for each in packets if each in packets],
        lambda packets: packets.__iadd__(packets[:1]),
        lambda packets: packets.__setitem__(0, packets[1]) or packets,
    ],
)
def test_they_are_a_list(act: Callable[[list[Packet]], list[Packet]], tmp_path: Path) -> None:
    """Whatever a list can do gives packets."""
    whole = list(Scenario.load("document").play().packets())
    found, expected = act(Scenario.load("document").play().packets()), act(whole)
    assert [bytes(each) for each in found] == [bytes(each) for each in expected]
    wrpcap(str(tmp_path / "a.pcap"), found)
    assert [bytes(each) for each in rdpcap(str(tmp_path / "a.pcap"))] == [bytes(each) for each in expected]
