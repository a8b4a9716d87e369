"""What happened in each conversation of a capture, whether its numbers are right or not.

The rules judge numbers. An assignment also asks what was done: who opened, how many bytes each side sent, how it was closed.
These facts count segments as they stand, so that one wrong number costs the points for numbers only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import ip_address

from labkit.analysis.analyzer import DONE, analyze
from labkit.analysis.entry import CLIENT, SERVER, Shown
from labkit.analysis.flows import Flow, FlowTable, end_name
from labkit.analysis.strays import Talk, adopt
from labkit.analysis.talks import shown
from labkit.capture import Frame
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import MASK

MAX_CONVERSATIONS = 2_000
"""Conversations of one capture that are considered."""
MAX_SEGMENTS = 200_000
"""Segments of all conversations that are kept."""
MAX_STREAM = 1 << 20
"""Octets of each side's data that are kept, to look for a text."""


@dataclass(slots=True)
class Conversation:
    """One conversation of a capture. Index 0 of each pair is the client, which sent the first SYN; 1 is the server."""

    flow: int
    """Its number, as findings have it."""
    ends: tuple[str, str]
    """`address:port` of both."""
    addresses: tuple[str, str]
    ports: tuple[int, int]
    segments: list[Shown]
    options: tuple[frozenset[str], frozenset[str]]
    """What SYN and SYN ACK offer: `mss`, `window-scale`, `sack`, `timestamps`."""
    isns: tuple[int | None, int | None] = (None, None)
    octets: tuple[int, int] = (0, 0)
    """Octets of data that each side sent, not counting those that it sent again."""
    streams: tuple[bytes, bytes] = (b"", b"")
    """The beginning of each side's data, in the order of the capture."""
    resent: int = 0
    """Segments with data, SYN or FIN that were sent again."""

    @property
    def name(self) -> str:
        """Both ends, the client first."""
        return " > ".join(self.ends)

    def digest(self, side: int) -> str:
        """A digest of a side's data."""
        return sha256(self.streams[side]).hexdigest()

    def first(self, bits: int, of: int | None = None, without: int = 0) -> Shown | None:
        """The first segment with all of these control bits and none of the others, of one side or of both."""
        for seg in self.segments:
            if seg.ctl & bits == bits and not seg.ctl & without and (of is None or seg.side == of):
                return seg
        return None

    def first_data(self, side: int) -> Shown | None:
        """The first segment of a side with data."""
        return next((seg for seg in self.segments if seg.side == side and seg.length), None)

    @property
    def delivered(self) -> tuple[int, int]:
        """Octets of data of each side that the other side has acknowledged."""
        found = [0, 0]
        for seg in self.segments:
            isn, most = self.isns[1 - seg.side], self.octets[1 - seg.side]
            if seg.ctl & ACK and isn is not None:
                # An ack of the FIN counts one more, and a wrong one counts nothing.
                octets = (seg.ack - isn - 1) & MASK
                if found[1 - seg.side] < octets <= most + 1:
                    found[1 - seg.side] = min(octets, most)
        return found[0], found[1]

    def unanswered(self, side: int) -> Shown | None:
        """The first segment that came to a side again, and after which another one came before it acknowledged anything."""
        seen: set[tuple[int, int]] = set()
        again: Shown | None = None
        for seg in self.segments:
            if seg.side == side:
                again = again if not seg.ctl & ACK else None
            elif seg.seg_len:
                if (seg.seq, seg.seg_len) in seen and again is not None:
                    return again
                again = seg if (seg.seq, seg.seg_len) in seen else again
                seen.add((seg.seq, seg.seg_len))
        return again

    @property
    def opened(self) -> str:
        """`handshake`, `simultaneous`, `half-open` (the third segment is missing), `refused`, `unanswered` or `not-seen`."""
        syn = self.first(SYN, CLIENT, without=ACK)
        if syn is None:
            return "not-seen"
        other = self.first(SYN, SERVER, without=ACK)
        answer = self.first(SYN | ACK, SERVER)
        if other is not None and (answer is None or other.packet < answer.packet):
            return "simultaneous"
        if answer is None:
            refused = self.first(RST, SERVER)
            return "refused" if refused is not None else "unanswered"
        third = any(
            seg.packet > answer.packet and seg.side == CLIENT and seg.ctl & (ACK | SYN | RST) == ACK
            for seg in self.segments
        )
        return "handshake" if third else "half-open"

    @property
    def closed(self) -> str:
        """`fin` (both sides sent a FIN, and the last one was answered), `half-closed`, `reset` or `open`."""
        fins = [self.first(FIN, side) for side in (CLIENT, SERVER)]
        if all(fins):
            last = max((seg for seg in fins if seg), key=lambda seg: seg.packet)
            answered = any(
                seg.packet > last.packet and seg.side != last.side and seg.ctl & ACK for seg in self.segments
            )
            if answered:
                return "fin"
        if self.first(RST) is not None:
            return "reset"
        return "half-closed" if any(fins) else "open"

    @property
    def close_segments(self) -> int | None:
        """The segments of a close: 4, or 3 if the second FIN also acknowledges the first; None if it is not complete."""
        first = self.first(FIN)
        if first is None or self.closed != "fin":
            return None
        for seg in self.segments:
            if seg.packet > first.packet and seg.side != first.side and seg.ctl & ACK:
                return 3 if seg.ctl & FIN else 4
        return None


@dataclass(slots=True)
class _Raw:
    """A conversation while it is read."""

    flow: Flow
    segments: list[Shown] = field(default_factory=list)
    offers: dict[int, frozenset[str]] = field(default_factory=dict)


def conversations(frames: Iterable[Frame]) -> Iterator[Conversation]:
    """The conversations of a capture in the order of their first packets. Segments with a wrong port or address are counted
    among those of the conversation that they belong to (`labkit.analysis.strays`), late ones of the connection before nowhere."""
    found: dict[int, _Raw] = {}
    kept = 0
    for step in analyze(frames, FlowTable()):
        if step.scope != DONE or not step.seg.readable or step.seg.former or kept == MAX_SEGMENTS:
            continue
        if step.flow.index not in found and len(found) == MAX_CONVERSATIONS:
            continue
        raw = found.setdefault(step.flow.index, _Raw(step.flow))
        raw.segments.append(shown(step.seg, step.data, step.sender))
        kept += 1
        if step.seg.ctl & SYN:
            raw.offers.setdefault(step.sender, _offers(step.seg))
    talks = {raw.flow.index: _talk(raw) for raw in found.values()}
    merged = {host.index: segments for host, segments in adopt(list(talks.values()))}
    for index, raw in found.items():
        yield _conversation(talks[index], raw, merged.get(index, talks[index].segments))


def _offers(seg: Seen) -> frozenset[str]:
    known = {"mss": seg.mss >= 0, "window-scale": seg.wscale >= 0, "sack": seg.sack_ok, "timestamps": seg.tsval >= 0}
    return frozenset(name for name, there in known.items() if there)


def _talk(raw: _Raw) -> Talk:
    client = raw.flow.client
    segments = raw.segments
    if client:  # the flow table's second side is the client
        segments = [replace(seg, side=1 - seg.side) for seg in segments]
    return Talk(raw.flow.index, (raw.flow.ends[client], raw.flow.ends[1 - client]), segments, raw.flow)


def _conversation(talk: Talk, raw: _Raw, segments: list[Shown]) -> Conversation:
    client = raw.flow.client
    none: frozenset[str] = frozenset()
    made = Conversation(
        flow=talk.index,
        ends=(end_name(talk.ends[0]), end_name(talk.ends[1])),
        addresses=(str(ip_address(talk.ends[0][0])), str(ip_address(talk.ends[1][0]))),
        ports=(talk.ends[0][1], talk.ends[1][1]),
        segments=segments,
        options=(raw.offers.get(client, none), raw.offers.get(1 - client, none)),
    )
    _count(made)
    return made


def _count(made: Conversation) -> None:
    isns: list[int | None] = [None, None]
    octets, streams = [0, 0], [bytearray(), bytearray()]
    sent: tuple[dict[int, Shown], dict[int, Shown]] = ({}, {})
    bare: set[tuple[int, int, int]] = set()
    for seg in made.segments:
        if seg.ctl & SYN and isns[seg.side] is None:
            isns[seg.side] = seg.seq
        if not seg.seg_len:
            continue
        if not seg.length:
            key = seg.side, seg.seq, seg.seg_len
            made.resent += key in bare
            bare.add(key)
            continue
        start = (seg.seq + (seg.ctl & SYN != 0)) & MASK
        again = _sent_before(seg, start, sent[seg.side])
        # Of new data, the first octet may have been a window probe's.
        made.resent += again > 1 or again == seg.length
        if start not in sent[seg.side] or (again and sent[seg.side][start].length < seg.length):
            sent[seg.side][start] = seg
        octets[seg.side] += seg.length - again
        if len(streams[seg.side]) < MAX_STREAM:
            streams[seg.side] += seg.payload[again:]
    made.isns = isns[0], isns[1]
    made.octets = octets[0], octets[1]
    made.streams = bytes(streams[0]), bytes(streams[1])


def _sent_before(seg: Shown, start: int, sent: dict[int, Shown]) -> int:
    """How many of a segment's first octets its sender had sent, in segments with other ends too, as after a window probe.

    Other octets under the same number are a wrong number, which must not take the points for what is sent, too.
    """
    covered = 0
    while covered < seg.length:
        there = sent.get((start + covered) & MASK)
        if there is None:
            break
        mine = seg.payload[covered:]
        both = min(len(mine), len(there.payload))
        if mine[:both] != there.payload[:both]:
            break
        covered += there.length
    return min(covered, seg.length)
