"""Count the frames of a capture that hold TCP, or may hold it, and that labkit cannot read.

Frames of other protocols are ordinary: ARP, UDP, ICMP, link layers without IP. A frame is counted where it stands in the place
of a segment: its IP header is malformed, it is a fragment whose datagram was never complete, its link type is unknown, and so
on. Some are counted only if they go between the addresses of a TCP conversation of the capture, whichever comes first: one with
an IP protocol that nobody uses beside TCP, one with another protocol and the ports of the conversation, one whose link layer is
unknown and that holds what looks like IP. `mark_pair` therefore remembers the addresses and four-tuples of all conversations, as
bits of a table: it may take one pair in millions for another, which at worst counts a frame too many.

The functions over integers are shared with the compiled engine, which counts in a few rows of a batch (`count_unread`).
"""

from collections.abc import Iterable, MutableSequence
from typing import TYPE_CHECKING, Protocol

from labkit.packet.decode.layer import u32
from labkit.packet.decode.outcome import FOREIGN, FRAGMENT, HIDDEN, LINK_TYPE, MAY_STAND_BESIDE_TCP
from labkit.packet.seen import CUT, Seen

if TYPE_CHECKING:
    from labkit.packet.reassembly import Lost, Reassembler

BROKEN_TCP, CUT_TCP = 9, 10
"""Reasons of segments, in addition to those of `labkit.packet.decode`: the lengths in the TCP header do not fit; the header is
cut. What stands in such a header is not compared with the conversation."""

TABLE_FULL = 11
"""What the compiled engine's decoding returns where the rows of a batch are used."""

REASON = 1 << 40
"""A key is a reason times REASON, plus a detail: the number of a link type, or a pair's bit and an IP protocol."""
PROTOCOLS = 256

MAX_ROWS = 32
"""Keys that a batch of the compiled engine counts."""
MAX_KEYS = 65_536
"""Keys that are counted apart for a capture. The frames of any further one are counted as if its pair had a conversation."""
OVERFLOW = REASON - 1
"""The detail of such frames."""

PAIR_BITS = 24
PAIR_OCTETS = 1 << PAIR_BITS - 3
"""Octets of the table of pairs."""

WHOLE = 0x3FFF_FFFF_FFFF_FFFF
"""The bits of a hash."""


def mixed(number: int) -> int:
    """The number with its bits mixed (the finaliser of splitmix64, over 62 bits)."""
    number = (number ^ number >> 30) * 0x3F58476D1CE4E5B9 & WHOLE
    number = (number ^ number >> 27) * 0x14D049BB133111EB & WHOLE
    return number ^ number >> 31


def end_hash(seed: int, w0: int, w1: int, w2: int, w3: int, port: int, family: int) -> int:
    """The hash of an address and a port."""
    number = mixed(seed + w0 * 0x10000 + port)
    if family == 16:
        number = mixed(mixed(mixed(number ^ w1) ^ w2) ^ w3)
    return number


def hash_at(buf: bytes, at: int, port: int, family: int, seed: int) -> int:
    """The hash of the address at a position, and a port."""
    if family == 4:
        return end_hash(seed, u32(buf, at), 0, 0, 0, port, 4)
    return end_hash(seed, u32(buf, at), u32(buf, at + 4), u32(buf, at + 8), u32(buf, at + 12), port, 16)


def pair_bit(one: int, other: int) -> int:
    """The place of two ends in the table of pairs, by their hashes: the same in both directions."""
    return (mixed(one) + mixed(other) & WHOLE) >> 62 - PAIR_BITS


def mark_pair(pairs: MutableSequence[int], bit: int) -> None:
    """Put a pair into the table."""
    pairs[bit >> 3] = pairs[bit >> 3] | 1 << (bit & 7)


def mark_ends(pairs: MutableSequence[int], buf: bytes, seg: Seen) -> None:
    """Put the ends of a segment into the table, with and without their ports."""
    size = seg.addr_len
    mark_pair(pairs, pair_bit(hash_at(buf, seg.src_at, 0, size, 0), hash_at(buf, seg.dst_at, 0, size, 0)))
    mark_pair(
        pairs, pair_bit(hash_at(buf, seg.src_at, seg.sport, size, 1), hash_at(buf, seg.dst_at, seg.dport, size, 1))
    )


def unread_key(buf: bytes, reason: int, seg: Seen) -> int:
    """The key of a frame that was not read for a reason."""
    if reason == LINK_TYPE:
        return reason * REASON + seg.unread
    if reason != FOREIGN and reason != HIDDEN:
        return reason * REASON
    # The ports are 0, or those of a protocol that is suspicious only between the ports of a conversation.
    seed = 1 if reason == FOREIGN and seg.unread in MAY_STAND_BESIDE_TCP else 0
    one = hash_at(buf, seg.src_at, seg.sport if seed else 0, seg.addr_len, seed)
    other = hash_at(buf, seg.dst_at, seg.dport if seed else 0, seg.addr_len, seed)
    return reason * REASON + pair_bit(one, other) * PROTOCOLS + (seg.unread if reason == FOREIGN else 0)


def segment_key(seg: Seen) -> int:
    """The key of a segment whose header cannot be used."""
    return (CUT_TCP if seg.fault == CUT else BROKEN_TCP) * REASON


class Rows(Protocol):
    """The counters of a batch."""

    unread_used: int
    unread_keys: list[int]
    unread_counts: list[int]
    unread_firsts: list[int]


def count_unread(rows: Rows, key: int, packet: int) -> None:
    """Count a frame in the rows of a batch, of which one is free."""
    for i in range(rows.unread_used):
        if rows.unread_keys[i] == key:
            rows.unread_counts[i] += 1
            return
    i = rows.unread_used
    rows.unread_keys[i] = key
    rows.unread_counts[i] = 1
    rows.unread_firsts[i] = packet
    rows.unread_used = i + 1


class Unread:
    """The frames of a capture that were not read, by their keys."""

    def __init__(self) -> None:
        self._found: dict[int, list[int]] = {}
        """Count and first packet."""
        self.parts = 0
        """Frames with fragments of a segment, in addition to the one that completed it."""

    def add(self, key: int, packet: int, times: int = 1) -> None:
        """Count frames, of which `packet` is the first."""
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MAX_KEYS:
                key = key // REASON * REASON + OVERFLOW
            found = self._found.setdefault(key, [0, packet])
        found[0] += times
        found[1] = min(found[1], packet)

    def take(self, rows: Rows) -> None:
        """Add what the rows of a batch have counted, and clear them."""
        for i in range(rows.unread_used):
            self.add(rows.unread_keys[i], rows.unread_firsts[i], rows.unread_counts[i])
        rows.unread_used = 0

    def add_fragments(self, reassembler: "Reassembler", seg: Seen, *, joined: bool) -> None:
        """Count what the last fragment, in the frame of `seg`, has completed or shown to be lost."""
        if joined:
            self.parts += reassembler.parts - 1
        elif reassembler.status > FRAGMENT:
            self.add(unread_key(reassembler.datagram, reassembler.status, seg), seg.number)
        self.add_lost(reassembler.lost())

    def add_lost(self, lost: "Iterable[Lost]") -> None:
        """Count fragments whose datagrams were never complete."""
        from labkit.packet.decode.walk import may_hold_tcp

        for each in lost:
            if each.protocol < 0 or may_hold_tcp(each.protocol):
                self.add(FRAGMENT * REASON, each.packet, each.fragments)
            elif each.protocol not in MAY_STAND_BESIDE_TCP:
                size = len(each.source)
                one, other = (hash_at(address, 0, 0, size, 0) for address in (each.source, each.target))
                detail = pair_bit(one, other) * PROTOCOLS + each.protocol
                self.add(FOREIGN * REASON + detail, each.packet, each.fragments)

    def reasons(self, pairs: "bytes | bytearray | memoryview") -> dict[int, tuple[int, int, list[int]]]:
        """For each reason the number of frames, the first one, and the numbers of link types or protocols by first packet.

        `pairs` is the table of pairs of the capture's conversations.
        """
        found: dict[int, tuple[int, int, list[int]]] = {}
        for key, (count, packet) in sorted(self._found.items(), key=lambda each: each[1][1]):
            reason, detail = divmod(key, REASON)
            numbers = []
            if reason in (FOREIGN, HIDDEN) and detail != OVERFLOW:
                bit, protocol = divmod(detail, PROTOCOLS)
                if not pairs[bit >> 3] >> (bit & 7) & 1:
                    continue
                numbers = [protocol] if reason == FOREIGN else []
            elif reason == LINK_TYPE and detail != OVERFLOW:
                numbers = [detail]
            before, first, named = found.get(reason, (0, packet, []))
            found[reason] = before + count, first, [*named, *(each for each in numbers if each not in named)]
        return dict(sorted(found.items()))
