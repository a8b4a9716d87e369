"""The relay's core does to real frames what a simulation's path does to its packets."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.build.path import CLIENT, SERVER, Direction, Path
from labkit.build.scenario import Scenario, setup
from labkit.live.neighbours import query
from labkit.live.relay import Connections, PacketCounts, Relay, congested, datagram, decremented, length
from labkit.packet.scapy_build import Framing, Host, Vlan
from labkit.packet.stamp import Stamp
from labkit.tcp.segment import ACK, CE, ECT0, SYN, Segment

MS = 1_000_000
HOSTS = Host("192.0.2.1", 1000), Host("192.0.2.2", 80)
HOSTS6 = Host("2001:db8::1", 1000), Host("2001:db8::2", 80)


def framing(tags: int) -> Framing:
    return Framing(vlans=(Vlan(5),) * tags)


def frame(payload: bytes = b"", *, hosts: tuple[Host, Host] = HOSTS, tags: int = 0, ecn: int = 0) -> bytes:
    return Stamp(*hosts, framing(tags)).frame(Segment(1, 1, 16, 1000, payload, ecn=ecn), 7)


def relayed(
    plan: Direction, frames: list[bytes], gap: int = MS, **more: int
) -> tuple[list[tuple[int, bytes]], PacketCounts]:
    """The client's frames that arrive at the server, with their times, and the counters."""
    relay = Relay(Path(plan, Direction(), "seed"), **more)
    found = []
    for number, octets in enumerate(frames):
        relay.receive(CLIENT, octets, number * gap)
    while (due := relay.due()) is not None:
        for time, end, octets in relay.ready(due):
            assert (time, end) == (due, SERVER)
            found.append((time, octets))
    return found, relay.counts[CLIENT]


SIMULATED = [
    "bursts",
    "duplication",
    "ecn",
    "ecn-queue",
    "fast-retransmit-sack",
    "http-vlan",
    "lossy-both-sides",
    "reordering",
    "slow-start",
    "syn-lost",
    "tail-loss",
]
"""Shipped scenarios whose path changes packets or whose frames differ from plain Ethernet."""

EVERYTHING = """
name: everything
client: {address: "2001:db8::10", ecn: true}
server: {address: "2001:db8::20", ecn: true}
path:
  rtt: 20ms..40ms
  hops: 3
  to_server: {jitter: 3ms, loss: 3%, mark: [4], lose: [6], late: {9: 30ms}}
  to_client: {bandwidth: 10Mbit/s, queue: 12, mark_queue: 6, lose: [7], duplicate: [5], burst: {chance: 1%, length: 2}}
steps:
- client: connect
- client: {send: 20kB}
- server: {send: 100kB}
- client: close
- server: close
"""


def everything(address: str) -> Scenario:
    return Scenario.parse(EVERYTHING.replace("2001:db8::", address))


def check_against_simulation(scenario: Scenario, seed: int) -> Relay:
    """Check that a simulation's frames arrive through the relay unchanged and at the simulation's times."""
    model = scenario.model.model_copy(update={"capture": "both"})
    trace = replace(scenario, model=model).play(seed)
    relay = Relay(setup.path(model, seed), hops=model.path.hops)
    arrived: list[tuple[int, str, bytes]] = []
    expected: list[tuple[int, str, bytes]] = []
    for record, packet in zip(trace.records, trace.packets(), strict=True):
        if record.tap != record.sender:
            expected.append((record.time, record.tap, bytes(packet)))
            continue
        arrived += relay.ready(record.time)
        relay.receive(record.sender, bytes(packet), record.time)
    arrived += relay.ready(1 << 62)
    assert sorted(arrived) == sorted(expected)
    assert len(arrived) > 3
    return relay


@pytest.mark.parametrize("name", SIMULATED)
def test_a_relay_matches_the_simulation(name: str) -> None:
    check_against_simulation(Scenario.load(name), 0)


@pytest.mark.parametrize("address", ["192.0.2.", "2001:db8::"])
@pytest.mark.parametrize("seed", range(4))
def test_a_relay_matches_a_simulation_of_every_path_feature(address: str, seed: int) -> None:
    relay = check_against_simulation(everything(address), seed)
    to_server, to_client = relay.counts[CLIENT], relay.counts[SERVER]
    assert to_server.marked + to_client.marked > 0
    assert min(to_server.lost, to_client.lost, to_client.repeated) > 0
    assert to_client.octets > 100_000


def test_the_same_seed_loses_the_same_packets() -> None:
    plan = Direction(loss=0.3, jitter=5 * MS)
    frames = [frame(bytes(number)) for number in range(100)]
    first, other = relayed(plan, frames), relayed(plan, frames)
    assert first == other
    assert 10 < first[1].lost < 60


def test_the_two_directions_are_independent() -> None:
    relay = Relay(Path(Direction(delay=5, lose=frozenset({1})), Direction(delay=7)))
    there, back = frame(), frame(hosts=HOSTS[::-1])
    for sender, octets in ((CLIENT, there), (SERVER, back), (CLIENT, there)):
        relay.receive(sender, octets, 0)
    assert list(relay.ready(6)) == [(5, SERVER, there)]
    assert relay.due() == 7
    assert list(relay.ready(7)) == [(7, CLIENT, back)]
    assert relay.due() is None
    assert relay.counts[CLIENT] == PacketCounts(packets=2, octets=80, lost=1)
    assert relay.counts[SERVER] == PacketCounts(packets=1, octets=40)


BROADCAST = b"\xff" * 6 + bytes(6) + b"\x08\x00" + frame()[14:30] + b"\xff" * 4 + frame()[34:]

UNTOUCHED = {
    "arp": query("192.0.2.1", "192.0.2.2", "02:00:00:00:00:01"),
    "neighbour solicitation": query("2001:db8::1", "2001:db8::2", "02:00:00:00:00:01"),
    "broadcast": BROADCAST,
    "spanning tree": bytes(12) + b"\x00\x26" + bytes(40),
    "cut": frame()[:30],
    "cut IPv6": frame(hosts=HOSTS6)[:50],
    "nothing but tags": bytes(12) + b"\x81\x00\x00\x01" * 20,
    "short": b"\x08\x00",
    "empty": b"",
}


@pytest.mark.parametrize("what", UNTOUCHED)
def test_frames_that_routers_do_not_forward_pass_at_once(what: str) -> None:
    octets = UNTOUCHED[what]
    found, tally = relayed(Direction(delay=9 * MS, loss=1.0), [octets, octets], hops=70)
    assert found == [(0, octets), (MS, octets)]
    assert tally == PacketCounts(passed=2)


def test_unicast_neighbour_discovery_passes() -> None:
    octets = bytearray(UNTOUCHED["neighbour solicitation"])
    octets[38:54] = bytes.fromhex("20010db8000000000000000000000001")
    assert datagram(bytes(octets)) is None
    octets[54] = 128  # an echo request
    assert datagram(bytes(octets)) == 14


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("tags", [0, 2])
def test_length_is_that_of_the_datagram(hosts: tuple[Host, Host], tags: int) -> None:
    octets = frame(b"x" * 10, hosts=hosts, tags=tags)
    at = datagram(octets)
    assert at == 14 + 4 * tags
    assert length(octets, at) == len(octets) - at == (50 if hosts is HOSTS else 70)
    assert length(octets + bytes(6), at) == length(octets, at)


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("tags", [0, 1])
@settings(max_examples=25)
@given(ident=st.integers(0, 65535), ecn=st.integers(0, 3), hops=st.integers(1, 63))
def test_changed_headers_equal_those_that_scapy_builds(
    hosts: tuple[Host, Host], tags: int, ident: int, ecn: int, hops: int
) -> None:
    segment = Segment(1, 1, 16, 1000, b"x", ecn=ecn)
    near, at = Stamp(*hosts, framing(tags)), 14 + 4 * tags
    far = Stamp(hosts[0].forwarded(hops), hosts[1], framing(tags))
    octets = near.frame(segment, ident)
    assert congested(octets, at) == near.frame(segment.with_(ecn=ecn and CE), ident)
    assert decremented(octets, at, hops) == far.frame(segment, ident)


def test_a_wrong_header_checksum_stays_wrong() -> None:
    octets = bytearray(frame(ecn=ECT0))
    octets[24] ^= 1
    right = congested(frame(ecn=ECT0), 14)
    assert congested(bytes(octets), 14)[:24] == right[:24]
    assert congested(bytes(octets), 14)[24:26] != right[24:26]


def test_a_packet_with_a_small_ttl_expires() -> None:
    found, tally = relayed(Direction(), [frame(), frame()], hops=64)
    assert (found, tally.expired, tally.packets) == ([], 2, 2)


def test_the_octets_in_flight_are_bounded() -> None:
    octets = frame(bytes(946))  # 1000 octets
    relay = Relay(Path(Direction(delay=10), Direction(delay=10)), room=3_500)
    for sender in (CLIENT, SERVER, CLIENT, SERVER, CLIENT):
        relay.receive(sender, octets, 0)
    assert relay.counts[CLIENT].crowded + relay.counts[SERVER].crowded == 2
    assert len(list(relay.ready(10))) == 3
    relay.receive(CLIENT, octets, 10)
    assert len(list(relay.ready(20))) == 1


@given(st.binary(max_size=120), st.booleans())
def test_any_octets_pass(octets: bytes, ip: bool) -> None:
    if ip:
        octets = octets[:12] + b"\x08\x00" + octets[12:]
    relay = Relay(Path(Direction(mark=frozenset({1})), Direction()), hops=2)
    relay.receive(CLIENT, octets, 0)
    assert sum(len(each) for _, _, each in relay.ready(0)) in (0, len(octets))


class TestConnections:
    """Each connection has its own path."""

    @staticmethod
    def lost(*packets: tuple[str, bytes]) -> list[bool]:
        """For each packet whether it is lost, if each connection loses the second packet of either side."""
        plan = Direction(lose=frozenset({2}))
        relay = Relay(Connections(lambda: Path(plan, plan)))
        found = []
        for sender, octets in packets:
            relay.receive(sender, octets, 0)
            found.append(not list(relay.ready(0)))
        return found

    @staticmethod
    def segment(control: int, *, seq: int = 1, port: int = 1000, version: int = 4, back: bool = False) -> bytes:
        client, server = HOSTS6 if version == 6 else HOSTS
        ends = replace(client, port=port), server
        return Stamp(*ends[:: -1 if back else 1]).frame(Segment(seq, 1, control), 7)

    @pytest.mark.parametrize("version", [4, 6])
    def test_each_connection_meets_the_path_anew(self, version: int) -> None:
        for port in (1000, 1001):
            syn = CLIENT, self.segment(SYN, port=port, version=version)
            answer = SERVER, self.segment(SYN | ACK, port=port, version=version, back=True)
            data = CLIENT, self.segment(ACK, port=port, version=version)
            assert self.lost(syn, answer, data, data, answer) == [False, False, True, False, True]
        other = CLIENT, self.segment(SYN, port=1002, version=version)
        assert self.lost(syn, other, data, other) == [False, False, True, True]

    def test_a_retransmitted_syn_belongs_to_the_same_connection(self) -> None:
        syn, again = (CLIENT, self.segment(SYN, seq=5)), (CLIENT, self.segment(SYN, seq=6))
        assert self.lost(syn, syn, syn) == [False, True, False]
        assert self.lost(syn, again, again) == [False, False, True]

    def test_simultaneous_open(self) -> None:
        syn, other = (CLIENT, self.segment(SYN, seq=5)), (SERVER, self.segment(SYN, seq=6, back=True))
        assert self.lost(syn, other, syn, other) == [False, False, True, True]

    def test_packets_without_a_connection_share_a_path(self) -> None:
        strays = [(CLIENT, self.segment(ACK, port=port)) for port in (1, 2, 3)]
        assert self.lost(*strays) == [False, True, False]
        datagram = bytearray(self.segment(SYN))
        datagram[23] = 17
        assert self.lost((CLIENT, bytes(datagram)), (CLIENT, bytes(datagram))) == [False, True]

    def test_the_number_of_connections_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("labkit.live.relay.MAX_CONNECTIONS", 2)
        syns = [(CLIENT, self.segment(SYN, port=port)) for port in (1, 2, 3, 2, 1)]
        assert self.lost(*syns) == [False, False, False, True, False]

    @given(st.binary(min_size=20, max_size=80), st.sampled_from([b"\x08\x00", b"\x86\xdd"]))
    def test_any_octets_pass(self, octets: bytes, kind: bytes) -> None:
        relay = Relay(Connections(lambda: Path(Direction(), Direction())))
        relay.receive(SERVER, bytes(12) + kind + octets, 0)
        assert len(list(relay.ready(0))) == 1
