"""Apply a scenario's path to real frames. No I/O: frames and times come in, frames and times go out.

`labkit.build.path` decides, as in the simulation, so that the same packets are lost, delayed, marked or delivered twice.
Multicast, ARP and neighbour discovery pass at once and are not counted, because routers do not forward them.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from labkit.build.path import CLIENT, SERVER, Path
from labkit.packet.decode.layer import ones_sum
from labkit.tcp.segment import ACK, CE, SYN

OTHER = {CLIENT: SERVER, SERVER: CLIENT}

MAX_OCTETS_IN_FLIGHT = 67_108_864
"""The most octets in flight; the relay drops further packets."""

MAX_CONNECTIONS = 10_000
"""The most connections with a path of their own; a new one replaces the oldest."""

IPV4, IPV6 = 0x0800, 0x86DD
TAGS = {0x8100, 0x88A8}
"""EtherTypes of VLAN tags (IEEE 802.1Q)."""
MAX_VLAN_TAGS = 8
"""VLAN tags of a frame that a relay reads."""
TCP, ICMPV6 = 6, 58
DISCOVERY = range(133, 138)
"""ICMPv6 types of neighbour discovery (RFC 4861)."""


@dataclass(slots=True)
class PacketCounts:
    """Counters of one sender's datagrams."""

    packets: int = 0
    """Datagrams that were received and counted."""
    octets: int = 0
    """Their octets, from the IP header on."""
    lost: int = 0
    """Lost on the path: by chance, by number, in a burst, or because its queue was full."""
    repeated: int = 0
    """Delivered twice."""
    marked: int = 0
    """Marked as congested."""
    expired: int = 0
    """Dropped because the TTL was smaller than the number of routers."""
    crowded: int = 0
    """Dropped because `MAX_OCTETS_IN_FLIGHT` was reached."""
    passed: int = 0
    """Other frames, which passed at once."""


@dataclass(slots=True)
class _Connection:
    path: Path
    isns: dict[str, bytes] = field(default_factory=dict)
    """The initial sequence number of each side's SYN."""


class Connections:
    """A path for each TCP connection, made when a SYN opens it, so that every connection meets the same conditions.

    All packets that belong to no such connection share another path.
    """

    def __init__(self, make: Callable[[], Path]) -> None:
        self._make = make
        self._rest = make()
        self._known: dict[tuple[bytes, bytes], _Connection] = {}

    def path_of(self, sender: str, frame: bytes, at: int) -> Path:
        """The path of a frame whose IP header begins at `at`."""
        found = _tcp_ends(frame, at)
        if found is None:
            return self._rest
        source, target, tcp = found
        key = (source, target) if sender == CLIENT else (target, source)
        known = self._known.get(key)
        if frame[tcp + 13] & (SYN | ACK) == SYN:
            isn = frame[tcp + 4 : tcp + 8]
            # A retransmitted SYN has the same number. Two SYNs, one from each side, are a simultaneous open.
            if known is None or known.isns.get(sender, isn) != isn:
                self._known.pop(key, None)
                if len(self._known) >= MAX_CONNECTIONS:
                    self._known.pop(next(iter(self._known)))
                known = self._known[key] = _Connection(self._make())
            known.isns[sender] = isn
        return self._rest if known is None else known.path


def _tcp_ends(frame: bytes, at: int) -> tuple[bytes, bytes, int] | None:
    """A TCP segment's source and destination (address and port), and the offset of its header; None for other frames."""
    if frame[at] >> 4 == 4:
        protocol, first, length_, tcp = frame[at + 9], at + 12, 4, at + (frame[at] & 15) * 4
        whole = frame[at + 6] & 0x1F == 0 and frame[at + 7] == 0  # or the first fragment
    else:
        protocol, first, length_, tcp, whole = frame[at + 6], at + 8, 16, at + 40, True
    if protocol != TCP or not whole or len(frame) < tcp + 20:
        return None
    second = first + length_
    source = frame[first:second] + frame[tcp : tcp + 2]
    return source, frame[second : second + length_] + frame[tcp + 2 : tcp + 4], tcp


class Relay:
    """Both directions of a path and the frames in flight. Times are nanoseconds of one clock, whichever it is."""

    def __init__(self, path: Path | Connections, *, hops: int = 0, room: int = MAX_OCTETS_IN_FLIGHT) -> None:
        self.counts = {CLIENT: PacketCounts(), SERVER: PacketCounts()}
        """The counters by sender."""
        self._path = path
        self._hops = hops
        self._room = room
        self._queue: list[tuple[int, int, str, bytes]] = []
        self._order = 0
        self._held = 0

    def receive(self, sender: str, frame: bytes, now: int) -> None:
        """Take a frame from `sender`, "client" or "server". `ready` later yields its copies."""
        counts = self.counts[sender]
        at = datagram(frame)
        if at is None:
            counts.passed += 1
            self._put(now, sender, frame)
            return
        size = length(frame, at)
        counts.packets += 1
        counts.octets += size
        path = self._path if isinstance(self._path, Path) else self._path.path_of(sender, frame, at)
        times = path.carry(sender, size, now)
        if not times:
            counts.lost += 1
            return
        if self._hops:
            passed_on = decremented(frame, at, self._hops)
            if passed_on is None:
                counts.expired += 1
                return
            frame = passed_on
        if path.marked(sender):
            frame, was = congested(frame, at), frame
            counts.marked += frame is not was
        counts.repeated += len(times) - 1
        for time in times:
            if self._held + len(frame) > self._room:
                counts.crowded += 1
            else:
                self._put(time, sender, frame)

    def due(self) -> int | None:
        """When the next frame is due; None if no frame is in flight."""
        return self._queue[0][0] if self._queue else None

    def ready(self, now: int) -> Iterator[tuple[int, str, bytes]]:
        """Remove and yield the frames due by `now`: the due time, the receiving end and the frame."""
        while self._queue and self._queue[0][0] <= now:
            due, _order, sender, frame = heapq.heappop(self._queue)
            self._held -= len(frame)
            yield due, OTHER[sender], frame

    def _put(self, time: int, sender: str, frame: bytes) -> None:
        self._order += 1
        self._held += len(frame)
        heapq.heappush(self._queue, (time, self._order, sender, frame))


def datagram(frame: bytes) -> int | None:
    """The offset of the IP header of a unicast datagram that routers would forward; None for any other frame."""
    at, kind = 14, int.from_bytes(frame[12:14])
    while kind in TAGS and at < 14 + 4 * MAX_VLAN_TAGS:
        at, kind = at + 4, int.from_bytes(frame[at + 2 : at + 4])
    if kind == IPV4:
        return at if len(frame) >= at + 20 and frame[at + 16] < 224 else None
    if kind != IPV6 or len(frame) < at + 40 or frame[at + 24] == 0xFF:
        return None
    is_discovery = frame[at + 6] == ICMPV6 and len(frame) > at + 40 and frame[at + 40] in DISCOVERY
    return None if is_discovery else at


def length(frame: bytes, at: int) -> int:
    """The length in octets of the datagram at `at`, without Ethernet padding."""
    version, available = frame[at] >> 4, len(frame) - at
    stated = int.from_bytes(frame[at + 2 : at + 4]) if version == 4 else 40 + int.from_bytes(frame[at + 4 : at + 6])
    return min(stated, available)


def congested(frame: bytes, at: int) -> bytes:
    """The frame, marked "congestion experienced" if it is ECN-capable (RFC 3168 section 5)."""
    if frame[at] >> 4 == 4:
        if frame[at + 1] & CE in (0, CE):
            return frame
        return _with_checksum(frame, at, frame[: at + 1] + bytes((frame[at + 1] | CE,)) + frame[at + 2 :])
    if frame[at + 1] >> 4 & CE in (0, CE):
        return frame
    return frame[: at + 1] + bytes((frame[at + 1] | CE << 4,)) + frame[at + 2 :]


def decremented(frame: bytes, at: int, hops: int) -> bytes | None:
    """The frame after `hops` routers; None if its TTL or hop limit runs out."""
    field = at + (8 if frame[at] >> 4 == 4 else 7)
    left = frame[field] - hops
    if left <= 0:
        return None
    changed = frame[:field] + bytes((left,)) + frame[field + 1 :]
    return _with_checksum(frame, at, changed) if frame[at] >> 4 == 4 else changed


def _with_checksum(before: bytes, at: int, frame: bytes) -> bytes:
    """A changed frame with its IPv4 checksum updated incrementally (RFC 1624), so that a wrong checksum stays wrong."""
    end, field = at + (before[at] & 15) * 4, at + 10
    moved = ones_sum(frame, at, end) - ones_sum(before, at, end)
    checksum = (int.from_bytes(frame[field : field + 2]) - moved) % 0xFFFF
    return frame[:field] + checksum.to_bytes(2) + frame[field + 2 :]
