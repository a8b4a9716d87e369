"""The numbers of a conversation over time, read in one pass from the whole capture: marks of sequence numbers, and curves.

Times are nanoseconds since the conversation's first segment. Sequence numbers are unwrapped: they count on beyond 2**32, from the
initial sequence number as 0.
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, islice, repeat
from operator import gt

from labkit.analysis.flows import end_of, possible_frames, segments
from labkit.packet.seen import Seen
from labkit.report.draw._conversation import CLIENT, Conversation
from labkit.report.draw._subject import Subject
from labkit.tcp.ranges import RangeSet
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN
from labkit.tcp.seq import diff

DATA, PUSHED, AGAIN, LATE, SACKED, ACKED, DUPLICATE, WINDOW, ZERO, OPENED, CLOSED, RESET = range(12)
"""Kinds of marks. DATA to SACKED reach from `low` to `high`; the others are at `low`. AGAIN are octets that were captured before,
LATE those that fill a gap."""

MAX_GAPS = 1_000
"""Gaps of one direction that are remembered; where there are more, the oldest is forgotten."""

MAX_SHIFT = 14
"""RFC 7323 section 2.3."""


def _numbers() -> "array[int]":
    return array("q")


Point = tuple[int, int, int, int]
"""A mark: its time, its least and greatest number, its packet."""


class Marks:
    """Marks in the order of time, by kind. Each kind has a column for each value: a capture may have millions."""

    def __init__(self) -> None:
        self._columns: dict[int, tuple[array[int], ...]] = {}

    def __len__(self) -> int:
        return sum(len(columns[0]) for columns in self._columns.values())

    def add(self, kind: int, time: int, low: int, high: int, packet: int) -> None:
        """Append a mark."""
        columns = self._columns.get(kind)
        if columns is None:
            columns = self._columns[kind] = (_numbers(), _numbers(), _numbers(), _numbers())
        columns[0].append(time)
        columns[1].append(low)
        columns[2].append(high)
        columns[3].append(packet)

    def put(self, kind: int, *columns: "array[int]") -> None:
        """Set all marks of a kind: times, least and greatest numbers, packets."""
        self._columns[kind] = columns

    def count(self, kind: int) -> int:
        """The number of marks of a kind."""
        return len(self._columns[kind][0]) if kind in self._columns else 0

    def thinned(self, stride: int, least: int) -> "Marks":
        """One mark for `stride` of them, with their least and greatest number; kinds with fewer than `least` stay whole."""
        found = Marks()
        for kind, (times, lows, highs, packets) in self._columns.items():
            if stride > 1 and len(times) >= least:
                lows, highs = _extremes(lows, highs, stride)
                found.put(kind, times[::stride], lows, highs, packets[::stride])
            else:
                found.put(kind, times, lows, highs, packets)
        return found

    def of(self, *kinds: int) -> Iterator[Point]:
        """Yield the marks of some kinds, in the order of time."""
        found = [zip(*self._columns[kind], strict=True) for kind in kinds if kind in self._columns]
        # Sorting joins columns that are in order faster than merging them.
        return iter(found[0]) if len(found) == 1 else iter(sorted(chain(*found)))

    def all(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield time, packet, kind, least and greatest number of all marks, in the order of time."""
        return merge(
            *(
                zip(times, packets, repeat(kind), lows, highs, strict=False)
                for kind, (times, lows, highs, packets) in sorted(self._columns.items())
            )
        )

    @property
    def span(self) -> tuple[int, int]:
        """The times of the first and of the last mark; ValueError if there is none."""
        return min(each[0][0] for each in self._columns.values()), max(each[0][-1] for each in self._columns.values())


def _extremes(lows: "array[int]", highs: "array[int]", stride: int) -> "tuple[array[int], array[int]]":
    """The least and the greatest of each `stride` values, two at least."""
    whole = len(lows) // stride * stride
    least = array("q", map(min, *(lows[at:whole:stride] for at in range(stride))))
    greatest = array("q", map(max, *(highs[at:whole:stride] for at in range(stride))))
    if whole < len(lows):
        least.append(min(lows[whole:]))
        greatest.append(max(highs[whole:]))
    return least, greatest


@dataclass(slots=True)
class Curve:
    """Values over time."""

    time: "array[int]" = field(default_factory=_numbers)
    value: "array[int]" = field(default_factory=_numbers)

    def add(self, time: int, value: int) -> None:
        """Append a value."""
        self.time.append(time)
        self.value.append(value)

    def points(self, most: int) -> list[Point]:
        """At most that many points, each with the least and the greatest of the values that it stands for; no packets."""
        stride = -(-len(self.time) // most) or 1
        lows, highs = (self.value, self.value) if stride == 1 else _extremes(self.value, self.value, stride)
        return list(zip(self.time[::stride], lows, highs, repeat(0), strict=False))


class Gaps:
    """Octets before the last one that the capture has not shown yet, in the order of their numbers."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges = RangeSet()

    def open(self, low: int, high: int) -> None:
        """Add a gap behind all others."""
        self._ranges.add(low, high)
        if len(self._ranges) > MAX_GAPS:
            self._ranges.remove_before(next(iter(self._ranges))[1])

    def fills(self, low: int, high: int) -> bool:
        """Whether all these octets lie in a gap; they are not a gap any more."""
        gap = self._ranges.at(low)
        if gap is None or high > gap[1]:
            return False
        self._ranges.remove(low, high)
        return True


@dataclass(slots=True)
class Direction:
    """What one end sends, and what the other end says of it."""

    source: str
    target: str
    marks: Marks = field(default_factory=Marks)
    rtt: Curve = field(default_factory=Curve)
    """Nanoseconds from a segment to its acknowledgement, at the point of capture."""
    flight: Curve = field(default_factory=Curve)
    """Octets that were sent and not acknowledged."""
    cwnd: Curve = field(default_factory=Curve)
    """The simulated congestion window in octets; empty for a capture."""
    fresh: Curve = field(default_factory=Curve)
    """Octets that were sent for the first time, when they were."""

    # What was seen so far; positions are unwrapped sequence numbers.
    raw: int | None = None
    at: int = 0
    nxt: int = 0
    acked: int | None = None
    marked: int | None = None
    edge: int | None = None
    same: int = 0
    shift: int | None = None
    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    gaps: Gaps = field(default_factory=Gaps)

    @property
    def sends(self) -> bool:
        """Whether there is payload in this direction."""
        return bool(self.fresh.time)

    def position(self, number: int, first: int = 1) -> int:
        """The unwrapped position of a sequence number; the first one that is seen has the position `first`."""
        if self.raw is None:
            self.raw, self.at = number, first
        position = self.at + diff(number, self.raw)
        if position > self.at:
            self.raw, self.at = number, position
        return position


def read(subject: Subject, conversation: Conversation) -> tuple[Direction, Direction]:
    """What the client sends, and what the server sends, segment by segment."""
    client, server = map(end_of, conversation.ends)
    names = subject.names_of(conversation)
    numbers = [arrow.row.number for arrow in conversation.arrows]
    first, last = min(numbers), max(numbers)
    found = Direction(*names), Direction(*names[::-1])
    start: int | None = None
    point: int | None = None
    seg = Seen()
    with subject.open() as capture:
        for frame, data in segments(possible_frames(capture, {(client, server), (server, client)}), seg):
            if frame.number < first or not seg.readable:
                continue
            if frame.number > last and not subject.cut:
                break
            source = data[seg.src_at : seg.src_at + seg.addr_len], seg.sport
            target = data[seg.dst_at : seg.dst_at + seg.addr_len], seg.dport
            if (source, target) != (client, server) and (source, target) != (server, client):
                continue
            sender = CLIENT if source == client else 1 - CLIENT
            if frame.number > last and seg.ctl & (SYN | ACK) == SYN and found[sender].raw is not None:
                break  # the next connection of the same ports
            if start is None:
                start, point = frame.time, frame.interface
            if frame.interface == point:
                _add(seg, found[sender], found[1 - sender], frame.time - start, frame.number)
    return found


def _add(seg: Seen, me: Direction, peer: Direction, time: int, packet: int) -> None:
    """Add one segment, which `me` sends."""
    octets = seg.len + (seg.ctl & SYN != 0) + (seg.ctl & FIN != 0)
    low = me.position(seg.seq, 0 if seg.ctl & SYN else 1)
    high = low + octets
    marks = me.marks
    if seg.ctl & SYN:
        me.shift = seg.wscale if seg.wscale >= 0 else None
        marks.add(OPENED, time, low, low, packet)
    if seg.ctl & RST:
        marks.add(RESET, time, low, low, packet)
    elif octets:
        _add_octets(seg, me, time, packet, low, high)
    if seg.ctl & ACK:
        _add_ack(seg, me, peer, time, packet, octets)


def _add_octets(seg: Seen, me: Direction, time: int, packet: int, low: int, high: int) -> None:
    marks = me.marks
    new = high - max(me.nxt, low)
    if seg.ctl & FIN:
        marks.add(CLOSED, time, high, high, packet)
    if new > 0:
        kind = PUSHED if seg.ctl & PSH else DATA
        if 0 < me.nxt < low:
            me.gaps.open(me.nxt, low)
        me.waiting.append((high, time))
        me.nxt = max(me.nxt, high)
        if seg.len:
            me.fresh.add(time, min(new, seg.len))
    else:
        # Karn's algorithm: what is sent twice tells nothing of the time of an answer.
        kind = LATE if me.gaps.fills(low, high) else AGAIN
        me.waiting.clear()
        if kind == LATE and seg.len:
            me.fresh.add(time, seg.len)
    marks.add(kind, time, low, high, packet)
    me.flight.add(time, me.nxt - (me.acked if me.acked is not None else 0))


def _add_ack(seg: Seen, me: Direction, peer: Direction, time: int, packet: int, octets: int) -> None:
    """Add what `me` says of the peer's octets."""
    ack = peer.position(seg.ack)
    both = me.shift is not None and peer.shift is not None and not seg.ctl & SYN
    window = seg.win << min(me.shift or 0, MAX_SHIFT) if both else seg.win
    marks = peer.marks
    ahead = peer.acked is None or ack > peer.acked
    if ahead and ack != peer.marked:
        marks.add(ACKED, time, ack, ack, packet)
        peer.marked = ack
    # An ACK of more than the capture shows is a mistake, or packets are missing: it tells nothing of the time of an answer.
    if ahead and (peer.nxt == 0 or ack <= peer.nxt):
        peer.acked, peer.same = ack, 0
        at = None
        while peer.waiting and peer.waiting[0][0] <= ack:
            _end, at = peer.waiting.popleft()
        if at is not None:
            peer.rtt.add(time, time - at)
        peer.flight.add(time, max(peer.nxt - ack, 0))
    elif ack == peer.acked and not octets and peer.nxt > ack and peer.edge == ack + window:
        peer.same += 1
        marks.add(DUPLICATE, time, ack, peer.same, packet)
    if ack + window != peer.edge:
        marks.add(WINDOW, time, ack + window, ack + window, packet)
        peer.edge = ack + window
    if window == 0:
        marks.add(ZERO, time, ack, ack, packet)
    for block in range(seg.sack_n):
        left, right = peer.position(seg.sack_left[block]), peer.position(seg.sack_right[block])
        if left < right:
            marks.add(SACKED, time, left, right, packet)


def simulated(direction: Direction, windows: Mapping[int, int]) -> Curve:
    """The congestion window when each segment was sent; `windows` has it by packet."""
    found = Curve()
    for time, _low, _high, packet in direction.marks.of(DATA, PUSHED, AGAIN, LATE):
        if packet in windows:
            found.add(time, windows[packet])
    return found


def throughput(direction: Direction, bins: int = 100) -> Curve:
    """Octets a second that were sent for the first time, in equal spans of time."""
    found = Curve()
    times, values = direction.fresh.time, direction.fresh.value
    if not times:
        return found
    if any(map(gt, times, islice(times, 1, None))):  # the capture's clock has stepped back
        times, values = (array("q", column) for column in zip(*sorted(zip(times, values, strict=True)), strict=True))
    span = max((times[-1] - times[0]) // bins, 1_000_000)
    places = range((times[-1] - times[0]) // span + 1)
    bounds = [bisect_left(times, times[0] + place * span) for place in places] + [len(times)]
    for place, low, high in zip(places, bounds, bounds[1:], strict=False):
        found.add(times[0] + place * span, sum(values[low:high]) * 1_000_000_000 // span)
    found.add(times[0] + len(found.time) * span, 0)
    return found
