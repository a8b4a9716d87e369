"""IP fragments put together again: IPv4 (RFC 791 section 3.2) and IPv6 (RFC 8200 section 4.5).

A pending datagram has octets and holes (RFC 815). A fragment fills holes, the last fragment gives the size, and the datagram
is complete when no hole is left. Where IPv4 fragments overlap, the octets that came first stay. An IPv6 datagram with
overlapping fragments is dropped, with its later fragments (RFC 5722); exact duplicates are ignored.

Captures may be hostile: the number of pending datagrams, their size, age and holes are bounded. A datagram that exceeds a
bound is dropped.
"""

from typing import NamedTuple

from labkit.packet.decode import FRAGMENT, TCP, decode_datagram, ones_sum
from labkit.packet.decode.layer import u16
from labkit.packet.seen import SUM_GOOD, Seen
from labkit.tcp.ranges import RangeSet

SECOND = 1_000_000_000
MAX_DATAGRAM_OCTETS = 65535
"""Octets of an IP datagram; fragments that would make a longer one are an attack."""
MAX_HOLES = 64
"""Holes that a datagram may have at a time; honest reordering makes a few."""

IN_IPV6 = (0, 43, 60, 51, 135, 139, 140)
"""Extension headers that may stand before a fragment header, or that hostile senders put there."""
FRAGMENT_HEADER, AUTHENTICATION = 44, 51


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
        if length > MAX_DATAGRAM_OCTETS:
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

    @property
    def pending(self) -> int:
        """The number of pending or dropped datagrams."""
        return len(self._pending)

    def segment(self, buf: bytes, seg: Seen) -> bytes | None:
        """Add the fragment that `decode` has just found in the frame `buf`, at `seg.time`.

        If that completes a datagram with a TCP segment, fill `seg` and return the datagram's octets, in which the positions of
        `seg` count; else return None. A tunnel's datagram may hold a fragment again.
        """
        found = FRAGMENT
        while found == FRAGMENT:
            # The loop ends: each turn removes a pending datagram, and no datagram is complete with its first fragment.
            whole = self.add(buf, seg)
            if whole is None:
                return None
            buf = whole
            found = decode_datagram(buf, 0, len(buf), seg)
        return buf if found == TCP else None

    def add(self, buf: bytes, seg: Seen) -> bytes | None:
        """Add the fragment whose IP header `seg` locates in `buf`; the datagram once nothing is missing.

        The datagram has a header that says it is whole: without fragment offset in IPv4, where the checksum is made right
        if the first fragment's was, and with an atomic fragment header in IPv6.
        """
        piece = _ipv4_fragment(buf, seg) if seg.version == 4 else _ipv6_fragment(buf, seg)
        if piece is None:
            return None
        pending = self._find(piece.key, seg.time)
        pending.add(piece, overlapping=seg.version == 4)
        whole = pending.whole()
        if whole is not None:
            del self._pending[piece.key]
        return whole

    def _find(self, key: bytes, now: int) -> Pending:
        """The pending datagram of a fragment; a new one if that is too old."""
        pending = self._pending.get(key)
        if pending is None or now - pending.born > self.age:
            self._pending.pop(key, None)
            if len(self._pending) >= self.datagrams:
                del self._pending[next(iter(self._pending))]
            pending = self._pending[key] = Pending(now)
        return pending


def _ipv4_fragment(buf: bytes, seg: Seen) -> Fragment | None:
    """The fragment in an IPv4 datagram; None if the capture does not hold all of it."""
    at = seg.ip_at
    body = at + (buf[at] & 15) * 4
    field = u16(buf, at + 6)
    key = b"4" + buf[at + 4 : at + 6] + buf[at + 9 : at + 10] + buf[at + 12 : at + 20]
    return _fragment(buf, seg, body, (field & 0x1FFF) * 8, field & 0x2000 != 0, key)


def _ipv6_fragment(buf: bytes, seg: Seen) -> Fragment | None:
    """The fragment in an IPv6 datagram, at whose fragment header `decode` has stopped."""
    start = seg.ip_at
    kind, at = buf[start + 6], start + 40
    while at + 8 <= len(buf) and (kind in IN_IPV6 or (kind == FRAGMENT_HEADER and not u16(buf, at + 2) & 0xFFF9)):
        size = 0 if kind == FRAGMENT_HEADER else buf[at + 1] * (4 if kind == AUTHENTICATION else 8)
        kind, at = buf[at], at + 8 + size
    if kind != FRAGMENT_HEADER or at + 8 > len(buf):
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
