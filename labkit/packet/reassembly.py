"""IP fragments put together again: IPv4 (RFC 791 section 3.2) and IPv6 (RFC 8200 section 4.5).

A pending datagram has octets and holes (RFC 815). A fragment fills holes, the last fragment gives the size, and the datagram
is complete when no hole is left. Where IPv4 fragments overlap, the octets that came first stay. An IPv6 datagram with
overlapping fragments is dropped, with its later fragments (RFC 5722); exact duplicates are ignored.

Captures may be hostile: the number of pending datagrams, their size, age and holes are bounded. A datagram that exceeds a
bound is dropped.
"""

from typing import NamedTuple

from labkit.packet.decode.layer import MAX_DATAGRAM_OCTETS, ones_sum, u16
from labkit.packet.decode.outcome import FRAGMENT, TCP
from labkit.packet.decode.walk import decode_datagram
from labkit.packet.seen import SUM_GOOD, Seen
from labkit.tcp.ranges import RangeSet

SECOND = 1_000_000_000
MAX_HOLES = 64
"""Holes that a datagram may have at a time; honest reordering makes a few."""

IN_IPV6 = (0, 43, 60, 51, 135, 139, 140)
"""Extension headers that may stand before a fragment header, or that hostile senders put there."""
FRAGMENT_HEADER, AUTHENTICATION = 44, 51

MAX_REMEMBERED = 64
"""Complete datagrams that are remembered, so that copies of their fragments are not taken for incomplete datagrams."""


class Lost(NamedTuple):
    """Fragments whose datagram was never complete."""

    fragments: int
    packet: int
    """The frame of the first one."""
    protocol: int
    """The IP protocol that they name; -1 where it is not known."""
    source: bytes
    target: bytes


class Fragment(NamedTuple):
    """A fragment and its place in the datagram."""

    key: bytes
    """The same for all fragments of one datagram, and different for any other pending datagram."""
    head: bytes
    """The headers before the fragmented part; in IPv6 the last of them is the fragment header."""
    start: int
    data: bytes
    last: bool
    sound: bool
    """Whether it has a correct IPv4 header checksum."""

    @property
    def end(self) -> int:
        """Where the fragment ends in its datagram."""
        return self.start + len(self.data)


class Pending:
    """A datagram of which fragments are missing."""

    def __init__(self, born: int) -> None:
        self.born = born
        self.first: Fragment | None = None
        self.size = MAX_DATAGRAM_OCTETS
        """The datagram's payload octets, known once the last fragment has arrived."""
        self.octets = bytearray()
        self.arrived = RangeSet()
        self.dead = False
        """Whether the datagram is dropped, with its later fragments (RFC 5722)."""
        self.lost: Lost | None = None
        """What is lost if the datagram is never complete."""
        self.twin: bytes | None = None
        """The octets of an earlier datagram, as long as all fragments are copies of its fragments."""

    def add(self, piece: Fragment, overlapping: bool) -> None:
        """Add a fragment. `overlapping`: fragments may overlap; otherwise that drops the datagram."""
        if self.dead or self._repeats(piece):
            return
        if piece.start == 0 and self.first is None:
            self.first = piece
        if piece.last:
            self.size = min(self.size, piece.end)
        wrong = piece.end > self.size or len(self.octets) > self.size
        if wrong or (self._fill(piece) < len(piece.data) and not overlapping) or self._holes() > MAX_HOLES:
            self.dead = True
            self.octets.clear()
            self.arrived.clear()

    def _fill(self, piece: Fragment) -> int:
        """Put a fragment's octets where none have arrived; how many those are."""
        if len(self.octets) < piece.end:
            self.octets += bytes(piece.end - len(self.octets))
        for start, end in self.arrived.gaps(piece.start, piece.end):
            self.octets[start:end] = piece.data[start - piece.start : end - piece.start]
        return self.arrived.add(piece.start, piece.end)

    def _holes(self) -> int:
        return sum(1 for _ in self.arrived.gaps(0, self.size))

    def _repeats(self, piece: Fragment) -> bool:
        """Whether exactly these octets have arrived already."""
        missing = next(self.arrived.gaps(piece.start, piece.end), None)
        return missing is None and self.octets[piece.start : piece.end] == piece.data

    def whole(self) -> bytes | None:
        """The datagram with a matching header; None while fragments are missing."""
        if self.dead or self.first is None or self._holes():
            return None
        head = bytearray(self.first.head)
        length = len(head) + len(self.octets)
        if length > MAX_DATAGRAM_OCTETS:  # an attack
            return None
        if head[0] >> 4 == 4:
            head[2:4] = length.to_bytes(2)
            head[6:8] = bytes((head[6] & 0x40, 0))
            if self.first.sound:
                head[10:12] = bytes(2)
                head[10:12] = (65535 - ones_sum(bytes(head), 0, len(head))).to_bytes(2)
        else:
            head[4:6] = (length - 40).to_bytes(2)
            head[-6:-4] = bytes(2)
        return bytes(head + self.octets)


class Reassembler:
    """Collects fragments until their datagrams are complete.

    At most `datagrams` are pending, each with at most 64 KiB, for at most `age` nanoseconds of the capture's time. Another one
    replaces the oldest.
    """

    def __init__(self, datagrams: int = 256, age: int = 60 * SECOND) -> None:
        self.datagrams = datagrams
        self.age = age
        self._pending: dict[bytes, Pending] = {}
        self._complete: dict[bytes, bytes] = {}
        """The octets of the last complete datagrams."""
        self._lost: list[Lost] = []
        self.status = FRAGMENT
        """What the last completed datagram holds (`labkit.packet.decode`); FRAGMENT while none is complete."""
        self.datagram = b""
        """The last completed datagram."""
        self.parts = 0
        """Frames that the last completed datagram came in."""

    @property
    def pending(self) -> int:
        """The number of pending or dropped datagrams."""
        return len(self._pending)

    def segment(self, buf: bytes, seg: Seen) -> bytes | None:
        """Add the fragment that `decode` has just found in the frame `buf`, at `seg.time`.

        If that completes a datagram with a TCP segment, fill `seg` and return the datagram's octets, in which the positions of
        `seg` count; else return None. A tunnel's datagram may hold a fragment again.
        """
        self.status, self.parts = FRAGMENT, 0
        while self.status == FRAGMENT:
            # The loop ends: each turn removes a pending datagram, and no datagram is complete with its first fragment.
            whole = self.add(buf, seg)
            if whole is None:
                return None
            buf = self.datagram = whole
            self.status = decode_datagram(buf, 0, len(buf), seg)
        return buf if self.status == TCP else None

    def lost(self, *, all_: bool = False) -> list[Lost]:
        """Take out what was lost since the last call: fragments that were cut, or whose datagram was dropped; with `all_`, those
        of pending datagrams too."""
        if all_:
            for pending in self._pending.values():
                self._lose(pending)
            self._pending.clear()
        found, self._lost = self._lost, []
        return found

    def _lose(self, pending: Pending) -> None:
        if pending.lost is not None and pending.twin is None:
            self._lost.append(pending.lost)

    def add(self, buf: bytes, seg: Seen) -> bytes | None:
        """Add the fragment whose IP header `seg` locates in `buf`; the datagram once nothing is missing.

        The datagram has a header that says it is whole: without fragment offset in IPv4, where the checksum is made right
        if the first fragment's was, and with an atomic fragment header in IPv6.
        """
        piece = fragment_of(buf, seg)
        one = Lost(1, seg.number, _protocol(buf, seg), *_addresses(buf, seg))
        if piece is None:
            self._lost.append(one)
            return None
        pending = self._find(piece.key, seg.time)
        pending.lost = one if pending.lost is None else pending.lost._replace(fragments=pending.lost.fragments + 1)
        if pending.twin is not None and pending.twin[piece.start : piece.end] != piece.data:
            pending.twin = None
        pending.add(piece, overlapping=seg.version == 4)
        whole = pending.whole()
        if whole is not None:
            del self._pending[piece.key]
            self.parts += pending.lost.fragments
            self._complete.pop(piece.key, None)
            if len(self._complete) >= MAX_REMEMBERED:
                del self._complete[next(iter(self._complete))]
            self._complete[piece.key] = bytes(pending.octets)
        return whole

    def _find(self, key: bytes, now: int) -> Pending:
        """The pending datagram of a fragment; a new one if that is too old."""
        pending = self._pending.get(key)
        if pending is None or now - pending.born > self.age:
            if pending is not None:
                self._lose(self._pending.pop(key))
            if len(self._pending) >= self.datagrams:
                self._lose(self._pending.pop(next(iter(self._pending))))
            pending = self._pending[key] = Pending(now)
            pending.twin = self._complete.get(key)
        return pending


def fragment_of(buf: bytes, seg: Seen) -> Fragment | None:
    """The fragment whose IP header `seg` locates in `buf`; None if the capture does not hold all of it."""
    return _ipv4_fragment(buf, seg) if seg.version == 4 else _ipv6_fragment(buf, seg)


def _ipv4_fragment(buf: bytes, seg: Seen) -> Fragment | None:
    """The fragment in an IPv4 datagram; None if the capture does not hold all of it."""
    at = seg.ip_at
    body = at + (buf[at] & 15) * 4
    field = u16(buf, at + 6)
    key = b"4" + buf[at + 4 : at + 6] + buf[at + 9 : at + 10] + buf[at + 12 : at + 20]
    return _fragment(buf, seg, body, (field & 0x1FFF) * 8, field & 0x2000 != 0, key)


def _fragment_header(buf: bytes, seg: Seen) -> int | None:
    """Where the fragment header of an IPv6 datagram is, at which `decode` has stopped; None where it is not captured."""
    start = seg.ip_at
    kind, at = buf[start + 6], start + 40
    while at + 8 <= len(buf) and (kind in IN_IPV6 or (kind == FRAGMENT_HEADER and not u16(buf, at + 2) & 0xFFF9)):
        size = 0 if kind == FRAGMENT_HEADER else buf[at + 1] * (4 if kind == AUTHENTICATION else 8)
        kind, at = buf[at], at + 8 + size
    return None if kind != FRAGMENT_HEADER or at + 8 > len(buf) else at


def _protocol(buf: bytes, seg: Seen) -> int:
    """The IP protocol that a fragment names; -1 where it is not known."""
    if seg.version == 4:
        return buf[seg.ip_at + 9]
    at = _fragment_header(buf, seg)
    return -1 if at is None else buf[at]


def _addresses(buf: bytes, seg: Seen) -> tuple[bytes, bytes]:
    size = seg.addr_len
    return bytes(buf[seg.src_at : seg.src_at + size]), bytes(buf[seg.dst_at : seg.dst_at + size])


def _ipv6_fragment(buf: bytes, seg: Seen) -> Fragment | None:
    """The fragment in an IPv6 datagram."""
    start = seg.ip_at
    at = _fragment_header(buf, seg)
    if at is None:
        return None
    field = u16(buf, at + 2)
    key = b"6" + buf[start + 8 : start + 40] + buf[at + 4 : at + 8]
    return _fragment(buf, seg, at + 8, field & 0xFFF8, field & 1 != 0, key)


def _fragment(buf: bytes, seg: Seen, body: int, start: int, more: bool, key: bytes) -> Fragment | None:
    """The fragment whose octets follow its headers at `body`."""
    stop = seg.ip_at + seg.ip_len
    if more:
        # All but the last carry multiples of eight octets (RFC 791 section 3.2).
        stop -= (stop - body) % 8
    whole = start == 0 and not more  # `decode` stopped elsewhere: in IPv4 before an IPv6 fragment header
    if whole or not body < stop <= len(buf):
        return None
    return Fragment(key, buf[seg.ip_at : body], start, buf[body:stop], not more, seg.ip_sum_state == SUM_GOOD)
