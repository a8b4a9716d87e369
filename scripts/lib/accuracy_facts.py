"""Facts about the segments of a capture, to judge between labkit and tshark: which octets stood in it before.

This observer shares the decoder with labkit, and nothing else. It keeps every interval of sequence numbers, without a
bound, follows no clock and judges nothing. A SYN with a new number begins a new conversation on its four-tuple.
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
    """One segment, against all that stood before it in the capture.."""

    wrong_sum: bool
    """The checksum is wrong, or left to the hardware: the pseudo-header's sum only."""
    good_sum: bool
    joined: bool
    short: bool
    """The IP length goes beyond the frame."""
    readable: bool
    cut: bool = False
    """Of its options the capture holds only the first octets."""
    several: bool = False
    """Its connection was captured at several interfaces: all that is said here is of its own interface only."""
    first: bool = False
    """The first segment of its sender."""
    length: int = 0
    """Octets of payload."""
    seg_len: int = 0
    """Numbers that it takes: its octets, SYN and FIN."""
    old: int = 0
    """How many of them stood in the capture before."""
    beyond: bool = False
    """A segment before it reached further, be it an empty one."""
    gap: bool = False
    """The number before its first one never stood in the capture."""
    shown: bool = False
    """An empty segment before it had its number, which was the highest of its sender."""
    acked: bool = False
    """All its numbers are acknowledged before it."""
    idle: bool = False
    """All that its sender sent before it is acknowledged."""
    under_way: bool = False
    """The peer has sent more than it acknowledges."""
    alone: bool = False
    """The peer is not in the capture."""
    refused: bool = False
    """The peer sent a RST before."""
    torn: bool = False
    """A segment of its sender lacked its end before, by its IP length."""
    after_syn: bool = False
    """The sender's segment before it was a SYN, whose window is not scaled."""
    rounded: bool = False
    """Its window in octets differs from the one before it by less than the scale can express."""
    repeats: bool = False
    """It acknowledges as much as its sender ever did."""
    first_fin: bool = False
    """A FIN without data whose sender has sent none before."""
    crossing: bool = False
    """A SYN ACK whose sender sent a SYN without ACK before: a simultaneous open."""
    far: bool = False
    """Its number lies further from its sender's others than any window reaches."""
    stale: bool = False
    """It acknowledges less than its sender did before."""
    after_stale: bool = False
    """The sender's segment before it acknowledged less than one before that."""
    closed: bool = False
    """The peer's last window is 0."""
    probed: bool = False
    """The peer's segment before it asked whether the closed window of this sender has opened."""


@dataclass(slots=True)
class _Line:
    """The numbers of one sender, unwrapped: what was seen of them, as a sorted list of starts and ends."""

    start: int = -1
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

    def place(self, number: int) -> int:
        """A sequence number without wrapping: the one that lies nearest to the last one."""
        if self.start < 0:
            self.start = self.last = self.top = number
        return self.last + diff(number, self.last & 0xFFFFFFFF)

    def count(self, low: int, high: int) -> int:
        """How many numbers from `low` up to `high` were seen."""
        total, edges = 0, self.edges
        for i in range(bisect_right(edges, low) // 2 * 2, len(edges), 2):
            if edges[i] >= high:
                break
            total += min(high, edges[i + 1]) - max(low, edges[i])
        return total

    def add(self, low: int, high: int) -> None:
        """Numbers from `low` up to `high` are seen."""
        left, right = bisect_left(self.edges, low), bisect_right(self.edges, high)
        self.edges[left:right] = [low] * (left % 2 == 0) + [high] * (right % 2 == 0)


def facts(path: Path) -> dict[int, Fact]:
    """The facts about each segment of a capture, by frame number."""
    return dict(_walk(path))


def _walk(path: Path) -> Iterator[tuple[int, Fact]]:
    seg = Seen()
    lines: dict[tuple[bytes, int, bytes, int, int], _Line] = {}
    several = _at_several_points(path)
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
                if seg.ctl & (SYN | ACK) == SYN and me.seen and seg.seq != me.start & 0xFFFFFFFF:
                    me, peer = lines[keys[0]], lines[keys[1]] = _Line(), _Line()
                _tell(fact, seg, me, peer)
                _keep(seg, me, peer)
            yield seg.number, fact


def _at_several_points(path: Path) -> set[tuple[bytes, int, bytes, int]]:
    """Senders, and whom they send to, whose segments were captured at more than one interface."""
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
    fact.length = seg.len
    fact.seg_len = seg.len + (seg.ctl & SYN != 0) + (seg.ctl & FIN != 0)
    low = me.place(seg.seq)
    high = low + fact.seg_len
    fact.crossing = me.bare_syn and seg.ctl & (SYN | ACK) == SYN | ACK
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
    """What the windows of a sender are counted in."""
    return 1 << min(me.scale, 14) if me.scale >= 0 and peer.scale >= 0 else 1


def _octets(seg: Seen, me: _Line, peer: _Line) -> int:
    return seg.win if seg.ctl & SYN else seg.win * _unit(me, peer)


def _keep(seg: Seen, me: _Line, peer: _Line) -> None:
    span = seg.len + (seg.ctl & SYN != 0) + (seg.ctl & FIN != 0)
    low = me.place(seg.seq)
    me.probe = peer.closed and span <= 1 and low in (me.top - 1, me.top) and seg.ctl & (SYN | FIN | RST) == 0
    me.closed = seg.win == 0 and seg.ctl & (SYN | RST) == 0
    me.stale = me.ack is not None and seg.ctl & ACK != 0 and peer.place(seg.ack) < me.ack
    if seg.ctl & RST == 0:
        if me.seen == 0:
            me.add(low - 1, low)  # there is nothing before the first segment that could be missing
        if span:
            me.add(low, low + span)
        me.last = me.top = max(me.top, low + span)
        if seg.ctl & ACK:
            ack = peer.place(seg.ack)
            me.ack = ack if me.ack is None else max(me.ack, ack)
    me.seen += 1
    me.rst |= seg.ctl & RST != 0
    me.torn |= seg.fault == SHORT_IP
    me.fin |= seg.ctl & FIN != 0
    me.syn = seg.ctl & SYN != 0
    me.scale = seg.wscale if me.syn else me.scale
    me.window = _octets(seg, me, peer)
    me.bare_syn |= seg.ctl & (SYN | ACK) == SYN
