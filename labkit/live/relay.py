"""What a scenario's path does, done to real frames. No I/O: frames and times come in, frames and times go out.

The decisions are those of `labkit.build.path`, so that packets which a simulation would send meet what the simulation has
meant for them, packet by packet. A datagram is lost, delayed, marked or delivered twice; what is not addressed to one
host, and what neighbours say to find each other (ARP, neighbour discovery), passes at once and is not counted, as no path
that has routers would carry it.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from labkit.build.path import CLIENT, SERVER, Path
from labkit.packet.decode import ones_sum
from labkit.tcp.segment import ACK, CE, SYN

OTHER = {CLIENT: SERVER, SERVER: CLIENT}

ROOM = 67_108_864
"""Octets that may be under way at a time; what is more is dropped, whatever the path would have done with it."""

CONNECTIONS = 10_000
"""Connections that have a path of their own at a time; the oldest gives way."""

IPV4, IPV6 = 0x0800, 0x86DD
TAGS = {0x8100, 0x88A8}
"""EtherTypes of VLAN tags (IEEE 802.1Q)."""
MOST_TAGS = 8
TCP, ICMPV6 = 6, 58
DISCOVERY = range(133, 138)
"""Types of ICMPv6 by which neighbours and routers find each other (RFC 4861)."""


@dataclass(slots=True)
class Tally:
    """What became of one sender's datagrams."""

    packets: int = 0
    """Those that came, and were counted."""
    octets: int = 0
    """Of these, from the IP header on."""
    lost: int = 0
    """By the path: by chance, by number, in a burst, or because its queue was full."""
    repeated: int = 0
    """Delivered twice."""
    marked: int = 0
    """Marked as congested."""
    expired: int = 0
    """Their TTL was not enough for the path's routers."""
    crowded: int = 0
    """There was no room for them (`ROOM`)."""
    passed: int = 0
    """Frames that are not counted, and passed at once."""


@dataclass(slots=True)
class _Connection:
    """A connection that has a path to itself."""

    path: Path
    isns: dict[str, bytes] = field(default_factory=dict)
    """The initial sequence number of each side's SYN."""


class Connections:
    """A path for each TCP connection, made when a SYN opens it: each one meets the same conditions from its first packet on.

    What belongs to no connection that was seen to open has another path in common.
    """

    def __init__(self, make: Callable[[], Path]) -> None:
        self._make = make
        self._rest = make()
        self._known: dict[tuple[bytes, bytes], _Connection] = {}

    def path_of(self, sender: str, frame: bytes, at: int) -> Path:
        """The path of a frame, whose IP header begins at `at`."""
        found = _ends(frame, at)
        if found is None:
            return self._rest
        source, target, tcp = found
        key = (source, target) if sender == CLIENT else (target, source)
        known = self._known.get(key)
        if frame[tcp + 13] & (SYN | ACK) == SYN:
            isn = frame[tcp + 4 : tcp + 8]
            # A second attempt has the same number, and with both sides' SYNs it is a simultaneous open.
            if known is None or known.isns.get(sender, isn) != isn:
                self._known.pop(key, None)
                if len(self._known) >= CONNECTIONS:
                    self._known.pop(next(iter(self._known)))
                known = self._known[key] = _Connection(self._make())
            known.isns[sender] = isn
        return self._rest if known is None else known.path


def _ends(frame: bytes, at: int) -> tuple[bytes, bytes, int] | None:
    """Address and port of a TCP segment's source and of its target, and where its header begins; None for all else."""
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
    """Both directions of a path, with the frames that are under way. Times are nanoseconds of any clock, all of one."""

    def __init__(self, path: Path | Connections, *, hops: int = 0, room: int = ROOM) -> None:
        self.tally = {CLIENT: Tally(), SERVER: Tally()}
        """By sender."""
        self._path = path
        self._hops = hops
        self._room = room
        self._queue: list[tuple[int, int, str, bytes]] = []
        self._order = 0
        self._held = 0

    def take(self, sender: str, frame: bytes, now: int) -> None:
        """A frame comes from `sender` ("client" or "server"). What it became is what `ready` gives from then on."""
        tally = self.tally[sender]
        at = datagram(frame)
        if at is None:
            tally.passed += 1
            self._put(now, sender, frame)
            return
        size = length(frame, at)
        tally.packets += 1
        tally.octets += size
        path = self._path if isinstance(self._path, Path) else self._path.path_of(sender, frame, at)
        times = path.carry(sender, size, now)
        if not times:
            tally.lost += 1
            return
        if self._hops:
            passed_on = decremented(frame, at, self._hops)
            if passed_on is None:
                tally.expired += 1
                return
            frame = passed_on
        if path.marked(sender):
            frame, was = congested(frame, at), frame
            tally.marked += frame is not was
        tally.repeated += len(times) - 1
        for time in times:
            if self._held + len(frame) > self._room:
                tally.crowded += 1
            else:
                self._put(time, sender, frame)

    def due(self) -> int | None:
        """When the next frame is to be sent; None where none is under way."""
        return self._queue[0][0] if self._queue else None

    def ready(self, now: int) -> Iterator[tuple[int, str, bytes]]:
        """The frames that are to be sent by now: when each was due, at whose end it arrives, and its octets."""
        while self._queue and self._queue[0][0] <= now:
            due, _order, sender, frame = heapq.heappop(self._queue)
            self._held -= len(frame)
            yield due, OTHER[sender], frame

    def _put(self, time: int, sender: str, frame: bytes) -> None:
        self._order += 1
        self._held += len(frame)
        heapq.heappush(self._queue, (time, self._order, sender, frame))


def datagram(frame: bytes) -> int | None:
    """Where the IP header begins of a datagram that a path carries; None for any other frame.

    That is a whole header, for one host (no multicast, no broadcast), which is not neighbour discovery.
    """
    at, kind = 14, int.from_bytes(frame[12:14])
    while kind in TAGS and at < 14 + 4 * MOST_TAGS:
        at, kind = at + 4, int.from_bytes(frame[at + 2 : at + 4])
    if kind == IPV4:
        return at if len(frame) >= at + 20 and frame[at + 16] < 224 else None
    if kind != IPV6 or len(frame) < at + 40 or frame[at + 24] == 0xFF:
        return None
    talk = frame[at + 6] == ICMPV6 and len(frame) > at + 40 and frame[at + 40] in DISCOVERY
    return None if talk else at


def length(frame: bytes, at: int) -> int:
    """Octets of the datagram that begins at `at`, which is what a path counts; padding behind it is none of it."""
    version, there = frame[at] >> 4, len(frame) - at
    stated = int.from_bytes(frame[at + 2 : at + 4]) if version == 4 else 40 + int.from_bytes(frame[at + 4 : at + 6])
    return min(stated, there)


def congested(frame: bytes, at: int) -> bytes:
    """The frame with its datagram marked "congestion experienced" (RFC 3168 section 5) if it is ECN-capable; else as it is."""
    if frame[at] >> 4 == 4:
        if frame[at + 1] & CE in (0, CE):
            return frame
        return _summed(frame, at, frame[: at + 1] + bytes((frame[at + 1] | CE,)) + frame[at + 2 :])
    if frame[at + 1] >> 4 & CE in (0, CE):
        return frame
    return frame[: at + 1] + bytes((frame[at + 1] | CE << 4,)) + frame[at + 2 :]


def decremented(frame: bytes, at: int, hops: int) -> bytes | None:
    """The frame after some routers; None where its TTL, or hop limit, does not reach so far."""
    field = at + (8 if frame[at] >> 4 == 4 else 7)
    left = frame[field] - hops
    if left <= 0:
        return None
    changed = frame[:field] + bytes((left,)) + frame[field + 1 :]
    return _summed(frame, at, changed) if frame[at] >> 4 == 4 else changed


def _summed(before: bytes, at: int, frame: bytes) -> bytes:
    """A frame whose IPv4 header was changed, with the checksum moved along (RFC 1624): one that was wrong stays wrong."""
    end, field = at + (before[at] & 15) * 4, at + 10
    moved = ones_sum(frame, at, end) - ones_sum(before, at, end)
    checksum = (int.from_bytes(frame[field : field + 2]) - moved) % 0xFFFF
    return frame[:field] + checksum.to_bytes(2) + frame[field + 2 :]
