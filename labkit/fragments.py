"""IP fragments put together again: IPv4 (RFC 791 section 3.2) and IPv6 (RFC 8200 section 4.5).

A datagram in the making is its octets and the list of holes in them (RFC 815): a fragment fills holes, the last one
tells where the final hole ends, and the datagram is whole when no hole is left. Where IPv4 fragments overlap, the
octets that came first stay. An IPv6 datagram with overlapping fragments is dropped with all that follows of it (RFC
5722); exact duplicates are ignored.

Captures may be hostile: pending datagrams, their size, their age and their holes are bounded, and whatever exceeds a
bound is forgotten. Fragments are rare, so none of this is on the way of other frames.
"""

from labkit.decode import FRAGMENT, decode_datagram, ones_sum
from labkit.decode.layer import u16
from labkit.segment import SUM_GOOD, Seen

SECOND = 1_000_000_000
LONGEST = 65535
"""Octets of an IP datagram; fragments that would make a longer one are an attack."""
HOLES = 64
"""Holes that a datagram may have at a time; honest reordering makes a few."""

IN_IPV6 = (0, 43, 60, 51, 135, 139, 140)
"""Extension headers that may stand before a fragment header, or that hostile senders put there."""
FRAGMENT_HEADER, AUTHENTICATION = 44, 51


class Pending:
    """A datagram in the making: what its fragments carry, from offset 0."""

    def __init__(self, born: int) -> None:
        self.born = born
        self.dead = False
        """Whether its fragments overlapped: the rest of it is dropped as well (RFC 5722 section 4)."""
        self.head = b""
        """The headers of the first fragment, up to what it carries."""
        self.sound = False
        """Whether the first fragment's IPv4 header checksum was right."""
        self.octets = bytearray()
        self.holes = [(0, LONGEST + 1)]

    def fill(self, start: int, data: bytes, last: bool) -> bool:
        """Put a fragment's octets where there are holes; whether it lay in a hole entirely."""
        end = start + len(data)
        if len(self.octets) < end:
            self.octets += bytes(end - len(self.octets))
        kept: list[tuple[int, int]] = []
        filled = 0
        for low, high in self.holes:
            begin, stop = max(low, start), min(high, end)
            if begin < stop:
                self.octets[begin:stop] = data[begin - start : stop - start]
                filled += stop - begin
                kept += [(low, begin)] if low < begin else []
                kept += [(stop, high)] if stop < high else []
            else:
                kept.append((low, high))
        if last:
            # What lies beyond the end is no hole.
            kept = [(low, min(high, end)) for low, high in kept if low < end]
        self.holes = kept
        return filled == len(data)

    def repeats(self, start: int, data: bytes) -> bool:
        """Whether exactly these octets are there already."""
        end = start + len(data)
        return bytes(self.octets[start:end]) == data and all(high <= start or low >= end for low, high in self.holes)


class Reassembler:
    """Collects fragments until their datagrams are whole.

    At most `datagrams` are pending, each for at most `age` nanoseconds of the capture's time, with at most 64 KiB each:
    the oldest makes room.
    """

    def __init__(self, datagrams: int = 256, age: int = 60 * SECOND) -> None:
        self.datagrams = datagrams
        self.age = age
        self._pending: dict[bytes, Pending] = {}

    @property
    def pending(self) -> int:
        """Datagrams of which fragments are missing."""
        return len(self._pending)

    def complete(self, buf: bytes, end: int, seg: Seen, now: int) -> tuple[int, bytes]:
        """Add the fragment that `decode` has just found in a frame that ends at `end`, and decode what gets whole.

        Gives what `decode` gives, and the octets that the positions in `seg` then refer to: the datagram's own where
        it is whole, `buf` as long as it is not (FRAGMENT). A tunnel's datagram may hold a fragment again.
        """
        found = FRAGMENT
        while found == FRAGMENT:
            # It ends: each turn takes a pending datagram out, and none is both new and whole.
            whole = self.add(buf, end, seg, now)
            if whole is None:
                break
            buf, end = whole, len(whole)
            found = decode_datagram(buf, 0, end, seg)
        return found, buf

    def add(self, buf: bytes, end: int, seg: Seen, now: int) -> bytes | None:
        """Add one fragment, whose IP header `seg` locates in buf[:end]; the whole datagram once nothing is missing.

        The datagram has a header that says it is whole: without fragment offset in IPv4, where the checksum is made
        right if the first fragment's was, and with an atomic fragment header in IPv6.
        """
        at = seg.ip_at
        body = at + (buf[at] & 15) * 4 if seg.version == 4 else _fragment_header(buf, at, end)
        stop = at + seg.ip_len
        # A length of 0 says nothing of a fragment; one that was cut by the snapshot length leaves a hole anyway.
        if body > end or stop > end or stop < body:
            return None
        if seg.version == 4:
            key = b"4" + buf[at + 4 : at + 6] + buf[at + 9 : at + 10] + buf[at + 12 : at + 20]
            field = u16(buf, at + 6)
            start, more = (field & 0x1FFF) * 8, field & 0x2000 != 0
        else:
            key = b"6" + buf[at + 8 : at + 40] + buf[body - 4 : body]
            field = u16(buf, body - 6)
            start, more = field & 0xFFF8, field & 1 != 0
        if more:
            # All but the last carry multiples of eight octets (RFC 791 section 3.2).
            stop -= (stop - body) % 8
        if stop == body:
            return None
        pending = self._find(key, now)
        if start == 0 and not pending.head:
            pending.head = bytes(buf[at:body])
            pending.sound = seg.ip_sum_state == SUM_GOOD
        self._fill(key, pending, start, bytes(buf[body:stop]), not more)
        if key not in self._pending or pending.holes or pending.dead:
            return None
        del self._pending[key]
        return _whole(pending)

    def _find(self, key: bytes, now: int) -> Pending:
        """The pending datagram that a fragment belongs to: a new one where the old one is too old to be the same."""
        pending = self._pending.get(key)
        if pending is None or now - pending.born > self.age:
            self._pending.pop(key, None)
            if len(self._pending) >= self.datagrams:
                del self._pending[next(iter(self._pending))]
            pending = self._pending[key] = Pending(now)
        return pending

    def _fill(self, key: bytes, pending: Pending, start: int, data: bytes, last: bool) -> None:
        """Fill in a fragment's octets, or drop the datagram where they cannot be right."""
        end = start + len(data)
        if pending.dead or pending.repeats(start, data):
            return
        if len(pending.head) + end > LONGEST or (last and end < len(pending.octets)):
            # Longer than a datagram can be, or with octets beyond its own end.
            del self._pending[key]
            return
        alone = pending.fill(start, data, last)
        if not alone and key.startswith(b"6"):
            pending.dead = True
            pending.octets.clear()
            pending.holes = []
        if len(pending.holes) > HOLES:
            del self._pending[key]


def _fragment_header(buf: bytes, at: int, end: int) -> int:
    """Where what an IPv6 fragment carries starts: after its fragment header, which `decode` has met."""
    kind = buf[at + 6]
    at += 40
    while kind in IN_IPV6 and at + 8 <= end:
        kind, at = buf[at], at + 8 + buf[at + 1] * (4 if kind == AUTHENTICATION else 8)
    return at + 8 if kind == FRAGMENT_HEADER else end + 1


def _whole(pending: Pending) -> bytes:
    """The datagram, with a header that fits it."""
    head = bytearray(pending.head)
    if head[0] >> 4 == 4:
        head[2:4] = (len(head) + len(pending.octets)).to_bytes(2)
        head[6] &= 0x40
        head[7] = 0
        if pending.sound:
            head[10:12] = bytes(2)
            head[10:12] = (65535 - ones_sum(bytes(head), 0, len(head))).to_bytes(2)
    else:
        head[4:6] = (len(head) - 40 + len(pending.octets)).to_bytes(2)
        head[-6:-4] = bytes(2)
    return bytes(head + pending.octets)
