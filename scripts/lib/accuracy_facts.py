"""Facts about the segments of a capture, to decide between labkit and tshark: which octets the capture showed before.

This observer shares the decoder with labkit, and nothing else. It keeps every interval of sequence numbers without a bound
and uses no clock. A SYN with a new number starts a new conversation on its four-tuple, unless the peer answers with an ACK of
other numbers: it challenges the SYN, and the conversation goes on (RFC 9293 section 3.10.7.4, fourth check).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labkit.analysis.flows import segments
from labkit.capture import open_capture
from labkit.packet.seen import ABSENT, SHORT_IP, SUM_BAD, SUM_GOOD, SUM_PARTIAL, Seen
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import diff

WIDEST = 1 << 30
"""The largest window that there can be (RFC 7323 section 2.3)."""


@dataclass(slots=True)
class Fact:
    """One segment, compared with all earlier ones of the capture."""

    wrong_sum: bool
    """The checksum is wrong, or left to hardware: only the pseudo-header's sum."""
    good_sum: bool
    joined: bool
    short: bool
    """The IP length goes beyond the frame."""
    readable: bool
    cut: bool = False
    """The capture cuts the frame inside the options."""
    several: bool = False
    """The connection was captured at several interfaces; all facts concern the segment's own interface."""
    first: bool = False
    """The first segment of its sender."""
    length: int = 0
    """Octets of payload."""
    seg_len: int = 0
    """Sequence numbers of its octets, SYN and FIN."""
    old: int = 0
    """How many of them the capture showed before."""
    beyond: bool = False
    """An earlier segment of its sender reached further, with or without data."""
    gap: bool = False
    """The capture never showed the number before its first one."""
    shown: bool = False
    """Its number is the next one of its sender, as an earlier segment showed it."""
    acked: bool = False
    """All its numbers were acknowledged before."""
    idle: bool = False
    """Everything that its sender sent before is acknowledged."""
    under_way: bool = False
    """The peer has sent more than it acknowledges."""
    alone: bool = False
    """The peer is not in the capture."""
    refused: bool = False
    """The peer sent a RST before."""
    torn: bool = False
    """An earlier segment of its sender was shorter than its IP length."""
    after_syn: bool = False
    """The sender's previous segment was a SYN, whose window is not scaled."""
    rounded: bool = False
    """Its window in octets differs from the previous one by less than the scale can express."""
    repeats: bool = False
    """It repeats the highest acknowledgement of its sender."""
    first_fin: bool = False
    """The first FIN of its sender, without data."""
    crossing: bool = False
    """A SYN ACK whose sender sent a SYN without ACK before: a simultaneous open."""
    far: bool = False
    """Its number lies further from its sender's other numbers than the largest window."""
    stale: bool = False
    """It acknowledges less than its sender did before."""
    after_stale: bool = False
    """The sender's previous segment acknowledged less than an earlier one."""
    closed: bool = False
    """The peer's last window is 0."""
    probed: bool = False
    """The peer's previous segment was a probe of this sender's closed window."""
    challenged: bool = False
    """A SYN inside the conversation was challenged before, or this is one."""
    early: bool = False
    """It begins before its sender's SYN, where no octet can be."""
    again: bool = False
    """Its sender acknowledged the same number before."""
    same: bool = False
    """It has the number, acknowledgement and window of its sender's previous segment."""
    answers_stale: bool = False
    """The peer's previous segment begins just before its next number as a keep-alive does, but it was overtaken."""
    ahead: bool = False
    """The peer's last acknowledgement covers numbers that the capture had not shown by then."""
    syn: bool = False
    meets_ack: bool = False
    """Its number is what the peer acknowledged last."""
    damaged: bool = False
    """An earlier segment of its sender has a wrong checksum."""
    dsack: bool = False
    """Its first SACK block ends at or below its acknowledgement."""


@dataclass(slots=True)
class _Line:
    """The unwrapped sequence numbers of one sender that the capture showed, as a sorted list of starts and ends."""

    start: int = -1
    start_syn: bool = False
    last: int = 0
    top: int = 0
    ack: int | None = None
    edges: list[int] = field(default_factory=list)
    seen: int = 0
    rst: bool = False
    torn: bool = False
    syn: bool = False
    bare_syn: bool = False
    fin: bool = False
    scale: int = ABSENT
    window: int = 0
    stale: bool = False
    closed: bool = False
    probe: bool = False
    challenged: bool = False
    acks: set[int] = field(default_factory=set)
    last_seg: tuple[int, int, int] = (-1, -1, -1)
    stale_probe: bool = False
    ahead: bool = False
    damaged: bool = False

    def place(self, number: int) -> int:
        """Unwrap a sequence number: the value nearest to the last one."""
        if self.start < 0:
            self.start = self.last = self.top = number
        return self.last + diff(number, self.last & 0xFFFFFFFF)

    def count(self, low: int, high: int) -> int:
        """Count the numbers in [low, high) that the capture showed."""
        total, edges = 0, self.edges
        for i in range(bisect_right(edges, low) // 2 * 2, len(edges), 2):
            if edges[i] >= high:
                break
            total += min(high, edges[i + 1]) - max(low, edges[i])
        return total

    def add(self, low: int, high: int) -> None:
        """Add the numbers in [low, high)."""
        left, right = bisect_left(self.edges, low), bisect_right(self.edges, high)
        self.edges[left:right] = [low] * (left % 2 == 0) + [high] * (right % 2 == 0)


def facts(path: Path) -> dict[int, Fact]:
    """Return the facts about each segment of a capture, by frame number."""
    return dict(_walk(path))


def _walk(path: Path) -> Iterator[tuple[int, Fact]]:
    seg = Seen()
    lines: dict[tuple[bytes, int, bytes, int, int], _Line] = {}
    several = _at_several_points(path)
    challenged = _challenged(path)
    with open_capture(path) as capture:
        for _, data in segments(capture, seg):
            fact = Fact(
                wrong_sum=seg.sum_state in (SUM_BAD, SUM_PARTIAL),
                good_sum=seg.sum_state == SUM_GOOD,
                joined=seg.joined != 0,
                short=seg.fault == SHORT_IP,
                readable=seg.readable,
                cut=seg.opt_cut != 0,
            )
            if seg.readable:
                source = data[seg.src_at : seg.src_at + seg.addr_len], seg.sport
                target = data[seg.dst_at : seg.dst_at + seg.addr_len], seg.dport
                fact.several = bool({(*source, *target), (*target, *source)} & several)
                point = seg.point if fact.several else 0
                keys = (*source, *target, point), (*target, *source, point)
                me, peer = (lines.setdefault(key, _Line()) for key in keys)
                if seg.number in challenged:
                    me.challenged = fact.challenged = fact.syn = True
                elif seg.ctl & (SYN | ACK) == SYN and me.seen and seg.seq != me.start & 0xFFFFFFFF:
                    me, peer = lines[keys[0]], lines[keys[1]] = _Line(), _Line()
                if seg.number not in challenged:
                    _tell(fact, seg, me, peer)
                    _keep(seg, me, peer)
            yield seg.number, fact


def _challenged(path: Path) -> set[int]:
    """The frames of SYNs inside a conversation whose peer answers with an ACK of other numbers."""
    seg, found = Seen(), set()
    starts: dict[tuple[bytes, int, bytes, int], int] = {}
    asked: dict[tuple[bytes, int, bytes, int], tuple[int, int, int]] = {}
    known: set[tuple[tuple[bytes, int, bytes, int], int]] = set()
    with open_capture(path) as capture:
        for _, data in segments(capture, seg):
            if not seg.readable:
                continue
            source = data[seg.src_at : seg.src_at + seg.addr_len], seg.sport
            target = data[seg.dst_at : seg.dst_at + seg.addr_len], seg.dport
            key, back = (*source, *target), (*target, *source)
            if seg.ctl & (SYN | ACK) == SYN:
                if (key, seg.seq) in known:
                    found.add(seg.number)  # it is sent again; there is a limit to how many are answered
                elif key in starts and seg.seq != starts[key]:
                    asked[key] = seg.number, seg.seq, seg.len
                else:
                    starts[key] = seg.seq
            elif back in asked:
                number, start, length = asked.pop(back)
                if seg.ctl & (SYN | RST | ACK) == ACK and diff(seg.ack, start) not in (1, 1 + length):
                    found.add(number)
                    known.add((back, start))
                else:
                    starts[back] = start
            starts.setdefault(key, seg.seq)
    return found


def _at_several_points(path: Path) -> set[tuple[bytes, int, bytes, int]]:
    """Return the four-tuples whose segments were captured at several interfaces."""
    seg, points = Seen(), {}
    several = set()
    with open_capture(path) as capture:
        for _, data in segments(capture, seg):
            source = data[seg.src_at : seg.src_at + seg.addr_len], seg.sport
            target = data[seg.dst_at : seg.dst_at + seg.addr_len], seg.dport
            if points.setdefault((*source, *target), seg.point) != seg.point:
                several.add((*source, *target))
    return several


def _tell(fact: Fact, seg: Seen, me: _Line, peer: _Line) -> None:
    fact.first, fact.alone, fact.refused, fact.torn = me.seen == 0, peer.seen == 0, peer.rst, me.torn
    fact.after_syn = me.syn
    fact.challenged = me.challenged or peer.challenged
    fact.same = me.last_seg == (seg.seq, seg.ack, seg.win)
    fact.answers_stale, fact.ahead = peer.stale_probe, peer.ahead
    fact.syn, fact.damaged = seg.ctl & SYN != 0, me.damaged
    fact.dsack = seg.sack_n > 0 and diff(seg.sack_right[0], seg.ack) <= 0
    fact.length = seg.len
    fact.seg_len = seg.len + (seg.ctl & SYN != 0) + (seg.ctl & FIN != 0)
    low = me.place(seg.seq)
    high = low + fact.seg_len
    fact.crossing = me.bare_syn and seg.ctl & (SYN | ACK) == SYN | ACK
    fact.meets_ack = peer.ack == low
    fact.early = me.start_syn and low < me.start
    fact.again = seg.ctl & ACK != 0 and peer.place(seg.ack) in me.acks
    fact.first_fin = seg.ctl & FIN != 0 and seg.len == 0 and not me.fin
    fact.far = abs(low - me.top) > WIDEST
    fact.stale = me.ack is not None and seg.ctl & ACK != 0 and peer.place(seg.ack) < me.ack
    fact.repeats = me.ack is not None and seg.ctl & ACK != 0 and peer.place(seg.ack) == me.ack
    fact.rounded = me.seen > 0 and abs(_octets(seg, me, peer) - me.window) < _unit(me, peer)
    fact.shown = me.seen > 0 and me.top == low
    fact.after_stale, fact.closed, fact.probed = me.stale, peer.closed, peer.probe
    fact.old = me.count(low, high)
    fact.beyond = me.seen > 0 and me.top >= high
    fact.gap = me.seen > 0 and me.count(low - 1, low) == 0
    fact.acked = peer.ack is not None and peer.ack >= high
    fact.idle = peer.ack is not None and peer.ack >= me.top
    fact.under_way = peer.seen > 0 and bool(peer.edges) and peer.edges[-1] > peer.place(seg.ack)


def _unit(me: _Line, peer: _Line) -> int:
    """The unit of a sender's windows, in octets."""
    return 1 << min(me.scale, 14) if me.scale >= 0 and peer.scale >= 0 else 1


def _octets(seg: Seen, me: _Line, peer: _Line) -> int:
    return seg.win if seg.ctl & SYN else seg.win * _unit(me, peer)


def _keep(seg: Seen, me: _Line, peer: _Line) -> None:
    span = seg.len + (seg.ctl & SYN != 0) + (seg.ctl & FIN != 0)
    low = me.place(seg.seq)
    me.probe = peer.closed and span <= 1 and low in (me.top - 1, me.top) and seg.ctl & (SYN | FIN | RST) == 0
    me.closed = seg.win == 0 and seg.ctl & (SYN | RST) == 0
    me.stale = me.ack is not None and seg.ctl & ACK != 0 and peer.place(seg.ack) < me.ack
    me.stale_probe = me.stale and span <= 1 and low == me.top - 1 and seg.ctl & (SYN | FIN | RST) == 0
    me.last_seg = seg.seq, seg.ack, seg.win
    if seg.ctl & ACK:
        me.ahead = peer.seen > 0 and peer.place(seg.ack) > peer.top
        me.acks.add(peer.place(seg.ack))
    if seg.ctl & RST == 0:
        if me.seen == 0:
            me.start_syn = seg.ctl & SYN != 0
            me.add(low - 1, low)  # nothing before the first segment can be missing
        if span:
            me.add(low, low + span)
        me.last = me.top = max(me.top, low + span)
        if seg.ctl & ACK:
            ack = peer.place(seg.ack)
            me.ack = ack if me.ack is None else max(me.ack, ack)
    me.seen += 1
    me.rst |= seg.ctl & RST != 0
    me.damaged |= seg.sum_state == SUM_BAD
    me.torn |= seg.fault == SHORT_IP
    me.fin |= seg.ctl & FIN != 0
    me.syn = seg.ctl & SYN != 0
    me.scale = seg.wscale if me.syn else me.scale
    me.window = _octets(seg, me, peer)
    me.bare_syn |= seg.ctl & (SYN | ACK) == SYN
