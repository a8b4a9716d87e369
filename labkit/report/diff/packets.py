"""The conversations of two captures, matched with each other, and their packets in common numbers."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.build.trace import Connection, Trace
from labkit.packet.decode.walk import decode
from labkit.packet.scapy_build import Host
from labkit.packet.seen import Seen
from labkit.tcp.options import Option
from labkit.tcp.segment import ACK, Segment
from labkit.tcp.seq import MASK, diff

SIDES = ("client", "server")
MAX_CLOCK_ERROR = 3_600_000_000_000
"""Nanoseconds by which the clocks of two captures of the same packets may differ, if a middlebox has moved the numbers."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of one capture. Sequence numbers count from the ISN that both captures share."""

    number: int
    """Its number in the capture, as Wireshark counts; that of its last fragment."""
    time: int
    """Nanoseconds since 1970-01-01."""
    seq: int
    ack: int | None
    segment: Segment
    ident: int | None
    """The IPv4 identification; None for IPv6."""
    source: str
    target: str
    ttl: int
    dscp: int
    dont_fragment: bool | None

    @property
    def end(self) -> int:
        """The number after its payload."""
        return self.seq + len(self.segment.payload)

    @property
    def options(self) -> tuple[Option, ...]:
        """Its TCP options."""
        return self.segment.options


Talk = tuple[Connection, list[int]]
"""A connection of a trace, and the positions of its records."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One conversation in both captures."""

    client: str
    server: str
    isns: tuple[int, int]
    """The initial sequence numbers of client and server in the first capture."""
    moved: tuple[int, int]
    """How far the sequence numbers of client and server are from those of the first capture, modulo 2**32."""
    a: dict[str, list[Packet]]
    """The packets of each side in the first capture, in its order."""
    b: dict[str, list[Packet]]
    same: bool
    """Whether both show the same packets: at two points of one path. Otherwise the conversation happened twice."""


def pairs(a: Trace, b: Trace) -> tuple[list[Pair], list[Talk], list[Talk]]:
    """The conversations of both captures, and those that only the first or only the second one has.

    They match by addresses and ports, then by initial sequence numbers (address translation), then by the server's port.
    """
    ours, theirs = _talks(a), _talks(b)
    found: list[tuple[Talk, Talk]] = []
    for key in (_ends, _isns, _port):
        waiting: dict[object, list[Talk]] = defaultdict(list)
        for talk in theirs:
            waiting[key(talk)].append(talk)
        for talk in list(ours):
            if waiting[key(talk)]:
                other = waiting[key(talk)].pop(0)
                found.append((talk, other))
                ours.remove(talk)
                theirs.remove(other)
    found.sort(key=lambda pair: pair[0][1][0])
    return [_pair(a, b, one, other) for one, other in found], ours, theirs


def _talks(trace: Trace) -> list[Talk]:
    places: dict[int, list[int]] = defaultdict(list)
    for place, record in enumerate(trace.records):
        places[record.connection].append(place)
    return [(trace.connections[connection], found) for connection, found in sorted(places.items())]


def _ends(talk: Talk) -> object:
    return frozenset((host.address, host.port) for host in (talk[0].client, talk[0].server))


def _isns(talk: Talk) -> object:
    return talk[0].client_isn, talk[0].server_isn


def _port(talk: Talk) -> object:
    return talk[0].server.port


def _pair(a: Trace, b: Trace, one: Talk, other: Talk) -> Pair:
    bases = one[0].client_isn, one[0].server_isn
    turned = _is_turned(one[0], other[0])
    isns = other[0].isns("server" if turned else "client")
    moved = _moved(a, b, one, other, turned, isns)
    ours = _packets(a, one, bases, turned=False)
    shifted = ((bases[0] + moved[0]) & MASK, (bases[1] + moved[1]) & MASK)
    theirs = _packets(b, other, shifted, turned=turned)
    same = moved == (0, 0) or (_is_soon(ours, theirs) and _same_idents(ours, theirs))
    return Pair(str(one[0].client), str(one[0].server), bases, moved, ours, theirs, same)


def _is_turned(one: Connection, other: Connection) -> bool:
    """Whether the captures disagree on who the client is, as they may without a SYN."""
    return (one.client.address, one.client.port) == (other.server.address, other.server.port)


def _moved(a: Trace, b: Trace, one: Talk, other: Talk, turned: bool, isns: tuple[int, int]) -> tuple[int, int]:
    """How far the numbers are moved: not at all if both captures have some raw numbers in common."""
    own = one[0].client_isn, one[0].server_isn
    found = []
    for side, isn, base in zip(SIDES, isns, own, strict=True):
        there = SIDES[(side == "server") ^ turned]
        ours = {a.records[place].segment.seq for place in one[1] if a.records[place].sender == side}
        theirs = {b.records[place].segment.seq for place in other[1] if b.records[place].sender == there}
        found.append(0 if ours & theirs or not ours or not theirs else (isn - base) & MASK)
    return found[0], found[1]


def _packets(trace: Trace, talk: Talk, bases: tuple[int, int], *, turned: bool) -> dict[str, list[Packet]]:
    found: dict[str, list[Packet]] = {side: [] for side in SIDES}
    last = dict.fromkeys(SIDES, 0)
    connection = talk[0]
    for place in talk[1]:
        record = trace.records[place]
        mine = (record.sender == "server") ^ turned
        side, segment = SIDES[mine], record.segment
        own, peer = bases[mine], bases[1 - mine]
        # Near the last one, so that a long conversation does not wrap around.
        seq = last[side] + diff(segment.seq, own + last[side] & MASK)
        last[side] = max(last[side], seq)
        ack = None
        if segment.ctl & ACK:
            before = last[SIDES[1 - mine]]
            ack = before + diff(segment.ack, peer + before & MASK)
        hosts = (connection.client, connection.server)[:: 1 if record.sender == "client" else -1]
        found[side].append(_packet(trace, place, seq, ack, hosts))
    return found


def _packet(trace: Trace, place: int, seq: int, ack: int | None, hosts: tuple[Host, ...]) -> Packet:
    record = trace.records[place]
    number = record.frames[-1].number if record.frames else record.number
    ttl, dscp, dont = hosts[0].ttl, hosts[0].dscp, None
    if record.frames:
        frame, seg = record.frames[0], Seen()
        seg.wirelen = seg.caplen = len(frame.data)
        decode(frame.data, 0, len(frame.data), frame.link, seg)
        at = seg.ip_at
        ttl = seg.ttl
        if seg.version == 4:
            dscp, dont = frame.data[at + 1] >> 2, frame.data[at + 6] & 0x40 != 0
        else:
            dscp = (frame.data[at] & 15) << 2 | frame.data[at + 1] >> 6
    return Packet(
        number,
        trace.start + record.time,
        seq,
        ack,
        record.segment,
        record.ident,
        str(hosts[0]),
        str(hosts[1]),
        ttl,
        dscp,
        dont,
    )


def _is_soon(a: dict[str, list[Packet]], b: dict[str, list[Packet]]) -> bool:
    """Whether both began at about the same time."""
    one, other = (min(each.time for found in packets.values() for each in found) for packets in (a, b))
    return abs(one - other) < MAX_CLOCK_ERROR


def _same_idents(a: dict[str, list[Packet]], b: dict[str, list[Packet]]) -> bool:
    """Whether most packets of the smaller capture have their IPv4 identification in the other one, at the same number."""
    one, other = (Counter(_named(packets)) for packets in (a, b))
    common = (one & other).total()
    return 2 * common > min(one.total(), other.total()) > 0 and len({ident for _, ident, _ in one}) > 2


def _named(packets: dict[str, list[Packet]]) -> Iterator[tuple[str, int, int]]:
    for side, found in packets.items():
        yield from ((side, each.ident, each.seq) for each in found if each.ident is not None)
