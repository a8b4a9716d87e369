"""A conversation as both of its ends see it: when each segment leaves one end, and when it arrives at the other or is lost.

A capture shows the time at one point. How far away both ends are follows from the fastest answers: a segment of the client that
passes the point at time t was sent at t - d(client) and arrives at t + d(server), where d is half of the least time between a
segment and its acknowledgement from that end. A capture with two points shows both times itself.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from labkit.analysis.finding import Finding
from labkit.analysis.findings import outlines
from labkit.analysis.severity import Severity
from labkit.analysis.states import Row, observe
from labkit.capture import Frame
from labkit.tcp.options import Sack
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after, between, diff
from labkit.tcp.state import State

CLIENT, SERVER = 0, 1

MAX_KEPT_OCTETS = 256
"""Octets of a frame that hold all its headers: enough to follow the states once more."""

MAX_LOOKED_AT = 256
"""Earlier segments among which the original of a retransmission is looked for, if none begins with the same octet."""

FEW = 2_000
"""Segments of a conversation that are all followed once more if some arrive in another order."""

# Kinds of segments that a picture marks.
RETRANSMISSION = "retransmission"
DUPLICATE = "duplicate"
"""The same packet once more: the path, or the capture, has it twice."""
LATE = "late"
"""Octets below others that came before, and that the capture does not show twice: late, or sent again."""
DUPLICATE_ACK = "duplicate-ack"
KEEP_ALIVE = "keep-alive"
PROBE = "zero-window-probe"
ZERO_WINDOW = "zero-window"


@dataclass(slots=True)
class Arrow:
    """One segment on its way. Times are nanoseconds since 1970."""

    row: Row
    number: int | None
    """Its packet in the capture; None: the capture does not show it."""
    sent: int
    arrives: int | None
    """None: it is lost."""
    arrival_number: int | None = None
    """Its packet at the second point of capture."""
    sender_state: State | None = None
    """The sender's state after sending."""
    receiver_state: State | None = None
    """The receiver's state after the arrival."""
    kind: str = ""
    original: "Arrow | None" = None
    """What it sends again."""
    surmised: bool = False
    """It is not seen to be lost: its sender has sent it again without an answer."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def sender(self) -> int:
        """CLIENT or SERVER."""
        return self.row.sender

    @property
    def lost(self) -> bool:
        """Whether it never arrives."""
        return self.arrives is None


@dataclass(slots=True)
class Conversation:
    """One conversation, its arrows in the order in which they were captured."""

    index: int
    ends: tuple[str, str]
    """`address:port` of the client and of the server."""
    arrows: list[Arrow]
    transit: tuple[int, int]
    """Nanoseconds from the client to the server and back; 0 where the capture does not show it."""
    points: int = 1
    """Capture points that show it."""
    findings: list[Finding] = field(default_factory=list)
    """Findings about the conversation as a whole."""

    @property
    def start(self) -> int:
        """When its first segment leaves, in nanoseconds since 1970."""
        return min(arrow.sent for arrow in self.arrows)


def conversations(
    flows: Mapping[int, list[Row]],
    frames: Callable[[], Iterable[Frame]],
    findings: Sequence[Finding] = (),
    lost: frozenset[int] = frozenset(),
) -> list[Conversation]:
    """The conversations whose rows `flows` has by number, in that order.

    `frames` reads the capture anew. `findings` are those of its verdict. `lost` are packets that are known to be lost behind the
    point of capture.
    """
    numbers = {row.number for rows in flows.values() for row in rows}
    headers = _Headers(frames, numbers)
    found = []
    seconds = _second_points(flows)
    for index, rows in _in_order(flows):
        far = _second_point(rows, seconds)
        found.append(_seen_twice(index, rows, far) if far else _seen_once(index, rows, headers, lost))
    by_packet: dict[int, list[Finding]] = {}
    by_flow: dict[int, list[Finding]] = {}
    for place, each in enumerate(outlines(findings)):
        if each.packet is None:
            by_flow.setdefault(each.flow, []).append(findings[place])
        elif each.packet in numbers:
            by_packet.setdefault(each.packet, []).append(findings[place])
    for conversation in found:
        conversation.findings = by_flow.get(conversation.index, [])
        for arrow in conversation.arrows:
            for number in (arrow.number, arrow.arrival_number):
                if number is not None:
                    arrow.findings += by_packet.get(number, ())
        _mark(conversation.arrows)
    return found


class _Headers:
    """The headers of some packets, which are read from the capture when the first one is asked for."""

    def __init__(self, frames: Callable[[], Iterable[Frame]], numbers: set[int]) -> None:
        self._frames = frames
        self._numbers = numbers
        self._kept: dict[int, Frame] = {}

    def of(self, numbers: Iterable[int]) -> Iterator[Frame]:
        """Yield these packets in this order."""
        if not self._kept:
            last = max(self._numbers, default=0)
            for frame in takewhile(lambda each: each.number <= last, self._frames()):
                if frame.number in self._numbers:
                    self._kept[frame.number] = frame._replace(
                        data=frame.data[:MAX_KEPT_OCTETS], wirelen=max(frame.wirelen, len(frame.data)), comments=()
                    )
        return (self._kept[number] for number in numbers if number in self._kept)


def _in_order(flows: Mapping[int, list[Row]]) -> list[tuple[int, list[Row]]]:
    """The conversations, of those at several points the one that is nearest to its beginning."""
    return [(index, rows) for index, rows in sorted(flows.items()) if rows[0].flow.point == 0]


Ends = frozenset[tuple[bytes, int]]


def _second_points(flows: Mapping[int, list[Row]]) -> dict[Ends, list[list[Row]]]:
    """The rows of all conversations at a second point of capture, by their ends."""
    found: dict[Ends, list[list[Row]]] = {}
    for rows in flows.values():
        if rows[0].flow.point == 1:
            found.setdefault(frozenset(rows[0].flow.ends), []).append(rows)
    return found


def _second_point(rows: list[Row], seconds: dict[Ends, list[list[Row]]]) -> list[Row]:
    """The rows of the same connection at the second point of capture; empty if there is none."""
    others = seconds.get(frozenset(rows[0].flow.ends))
    if not others:
        return []
    own = {(row.sender, row.seq) for row in rows}
    return next((other for other in others if not own.isdisjoint((row.sender, row.seq) for row in other)), [])


# One point of capture.


def _seen_once(index: int, rows: list[Row], headers: _Headers, lost: frozenset[int]) -> Conversation:
    distance = distances(rows)
    transit = distance[CLIENT] + distance[SERVER]
    arrows = [
        Arrow(
            row,
            row.number,
            row.time - distance[row.sender],
            None if row.number in lost else row.time + distance[1 - row.sender],
        )
        for row in rows
    ]
    if not lost and distance[SERVER] > distance[CLIENT] // 4:
        _surmise_losses(arrows, CLIENT)
    if not lost and distance[CLIENT] > distance[SERVER] // 4:
        _surmise_losses(arrows, SERVER)
    for end in (CLIENT, SERVER):
        _states_at(end, arrows, headers)
    flow = rows[0].flow
    ends = flow.name(rows[0].client), flow.name(1 - rows[0].client)
    return Conversation(index, ends, arrows, (transit, transit))


def distances(rows: Sequence[Row]) -> tuple[int, int]:
    """How far the client and the server are from the point of capture, in nanoseconds: half of the fastest answer of each."""
    found = []
    for end in (CLIENT, SERVER):
        fastest = min((taken for _at, taken in answer_times(rows, end)), default=0)
        found.append(max(fastest, 0) // 2)
    return found[0], found[1]


def answer_times(rows: Iterable[Row], end: int) -> Iterator[tuple[int, int]]:
    """Each acknowledgement of `end` that shows the time of its answer: when it passed, and the nanoseconds that it took.

    A segment that was sent twice shows nothing (RFC 6298 section 3, Karn's algorithm).
    """
    waiting: deque[tuple[int, int]] = deque()
    highest: int | None = None
    for row in rows:
        if row.sender != end:
            octets = row.length + (row.ctl & SYN != 0) + (row.ctl & FIN != 0)
            if not octets or row.ctl & RST:
                continue
            if highest is not None and not after(add(row.seq, octets), highest):
                waiting.clear()
                continue
            highest = add(row.seq, octets)
            waiting.append((highest, row.time))
        elif row.ctl & ACK:
            at = None
            while waiting and not after(waiting[0][0], row.ack):
                acked, at = waiting.popleft()
                if acked == row.ack:
                    break
            if at is not None:
                yield row.time, row.time - at


def _surmise_losses(arrows: list[Arrow], sender: int) -> None:
    """Take a segment as lost that its sender sends again before it was acknowledged, unless the peer reports it twice."""
    open_: dict[int, Arrow] = {}
    acked: int | None = None
    reported = _reported_twice(arrows, sender)
    for arrow in arrows:
        row = arrow.row
        if row.sender != sender:
            if row.ctl & ACK and (acked is None or after(row.ack, acked)):
                acked = row.ack
                while open_ and _is_acknowledged(first := next(iter(open_.values())), acked):
                    del open_[first.row.seq]
            continue
        if not _octets(row):
            continue
        earlier = open_.get(row.seq)
        if earlier is not None and row.seq not in reported and not (row.ip_id > 0 and row.ip_id == earlier.row.ip_id):
            earlier.arrives, earlier.surmised = None, True
        if acked is None or after(add(row.seq, _octets(row)), acked):
            open_[row.seq] = arrow


def _is_acknowledged(arrow: Arrow, acked: int) -> bool:
    """Whether all of a segment is acknowledged."""
    return not after(add(arrow.row.seq, _octets(arrow.row)), acked)


def _reported_twice(arrows: Iterable[Arrow], sender: int) -> set[int]:
    """The sequence numbers that the receiver reports to have got twice (RFC 2883: a SACK block below the ack)."""
    return {
        left
        for arrow in arrows
        if arrow.sender != sender
        for option in arrow.row.options
        if isinstance(option, Sack)
        for left, right in option.blocks[:1]
        if not after(right, arrow.row.ack)
    }


def _states_at(end: int, arrows: list[Arrow], headers: _Headers) -> None:
    """Give each arrow the state of `end`. The order of events there may be another one than at the point of capture."""
    there = [
        (arrow.sent if arrow.sender == end else arrow.arrives, place, arrow)
        for place, arrow in enumerate(arrows)
        if arrow.sender == end or arrow.arrives is not None
    ]
    ordered = sorted(there, key=lambda each: (each[0] or 0, each[1]))
    states = {arrow.row.number: arrow.row.states for arrow in arrows}
    if len(there) <= FEW:
        until = len(there) if ordered != there or len(there) < len(arrows) else 0
    else:
        until = _reordered(end, arrows, ordered)
    if until:
        # Numbers count anew, because a picture may hold a segment twice.
        for place, row in enumerate(observe(headers.of(arrow.row.number for _at, _place, arrow in ordered)), 1):
            if place > until and row.states[end] == states[row.number][end]:
                break  # both orders have led to one state, and go on alike
            states[row.number] = row.states
    for arrow in arrows:
        state = states.get(arrow.row.number, arrow.row.states)[end]
        if arrow.sender == end:
            arrow.sender_state = state
        else:
            arrow.receiver_state = state


def _reordered(end: int, arrows: list[Arrow], ordered: "list[tuple[int | None, int, Arrow]]") -> int:
    """How many of the events at an end must be followed once more: up to the last that changes its state and stands elsewhere in
    the capture. All, if there are further changes, or one with a new state is lost."""
    before: State | None = None
    changes = []
    for arrow in arrows:
        state = arrow.row.states[end]
        changes.append(state != before)
        if changes[-1] and arrow.sender != end and arrow.lost:
            return len(ordered)
        before = state
    until, first, last = 0, 0, -1
    for at, place in enumerate(sorted(place for _time, place, _arrow in ordered)):
        last = max(last, ordered[at][1])
        if last == place:  # what stands up to here in one order stands up to here in the other
            if at > first and any(changes[ordered[each][1]] for each in range(first, at + 1)):
                until = at + 1
            first = at + 1
    return len(ordered) if until and any(changes[place] for _time, place, _arrow in ordered[until:]) else until


# Two points of capture.


def _seen_twice(index: int, one: list[Row], other: list[Row]) -> Conversation:
    """Match the rows of both points: what one end sends arrives at the other, or is lost."""
    near, far = (one, other) if _is_nearer(one, other) else (other, one)
    rows = {CLIENT: near, SERVER: far}
    arrows = []
    transits: list[int] = []
    for sender in (CLIENT, SERVER):
        least: list[int] = []
        departures = [row for row in rows[sender] if row.sender == sender]
        arrivals = _by_identity(row for row in rows[1 - sender] if row.sender == sender)
        for row in departures:
            queue = arrivals.get(_identity(row))
            arrival = queue.popleft() if queue and queue[0].time >= row.time else None
            arrows.append(_passed(row, arrival, sender))
            if arrival is not None:
                least.append(arrival.time - row.time)
        transits.append(min(least, default=0))
        # What only the far point shows has left unseen, or was doubled on the way.
        for queue in arrivals.values():
            for row in queue:
                arrow = Arrow(row, row.number, row.time - transits[-1], row.time, receiver_state=row.states[1 - sender])
                arrow.kind = DUPLICATE if any(_identity(each) == _identity(row) for each in departures) else ""
                arrows.append(arrow)
    arrows.sort(key=lambda arrow: (arrow.sent, arrow.row.number))
    flow, first = near[0].flow, near[0]
    ends = flow.name(first.client), flow.name(1 - first.client)
    return Conversation(index, ends, arrows, (transits[0], transits[1]), points=2)


def _passed(row: Row, arrival: Row | None, sender: int) -> Arrow:
    return Arrow(
        row,
        row.number,
        row.time,
        None if arrival is None else arrival.time,
        None if arrival is None else arrival.number,
        row.states[sender],
        None if arrival is None else arrival.states[1 - sender],
    )


def _is_nearer(one: list[Row], other: list[Row]) -> bool:
    """Whether the point of `one` is nearer to the client than that of `other`."""
    theirs = {_identity(row): row.time for row in reversed(other)}
    votes = 0
    for row in one:
        time = theirs.get(_identity(row))
        if time is not None and time != row.time:
            votes += 1 if (row.time < time) == (row.sender == CLIENT) else -1
    return votes >= 0


def _identity(row: Row) -> tuple[object, ...]:
    """What stays the same of a packet on its way."""
    return row.sender, row.ctl, row.seq, row.ack, row.length, row.window, row.ip_id, row.options


def _by_identity(rows: Iterable[Row]) -> dict[tuple[object, ...], deque[Row]]:
    found: dict[tuple[object, ...], deque[Row]] = {}
    for row in rows:
        found.setdefault(_identity(row), deque()).append(row)
    return found


# What a picture marks.


def _octets(row: Row) -> int:
    """SEG.LEN."""
    return 0 if row.ctl & RST else row.length + (row.ctl & SYN != 0) + (row.ctl & FIN != 0)


class _Sender:
    """What one end has sent so far."""

    __slots__ = ("ack", "by_seq", "ids", "nxt", "window")

    def __init__(self) -> None:
        self.nxt: int | None = None
        self.ack: int | None = None
        self.window = -1
        self.by_seq: dict[int, Arrow] = {}
        self.ids: set[tuple[int, int]] = set()


def _mark(arrows: list[Arrow]) -> None:
    """Find the kind of each segment, and the original of what is sent again."""
    senders = _Sender(), _Sender()
    for arrow in arrows:
        me, peer = senders[arrow.sender], senders[1 - arrow.sender]
        row = arrow.row
        octets = _octets(row)
        end = add(row.seq, octets)
        if not arrow.kind:
            arrow.kind = _kind(arrow, me, peer, octets)
        if arrow.kind in (RETRANSMISSION, DUPLICATE):
            arrow.original = _original(arrow, me, octets)
        if octets and arrow.kind != PROBE and not _is_elsewhere(arrow):
            me.by_seq[row.seq] = arrow
            if me.nxt is None or after(end, me.nxt):
                me.nxt = end
        if row.ctl & ACK:
            me.ack = row.ack if me.ack is None or after(row.ack, me.ack) else me.ack
        me.window = row.window_octets
        me.ids.add((row.ip_id, row.seq))


def _is_elsewhere(arrow: Arrow) -> bool:
    """Whether a segment has a sequence number that is wrong: its octets belong elsewhere."""
    errors = (each for each in arrow.findings if each.severity >= Severity.ERROR and each.caused_by is None)
    return any(each.field == "seq" or each.code.startswith("SEQ") for each in errors)


def _kind(arrow: Arrow, me: _Sender, peer: _Sender, octets: int) -> str:
    row = arrow.row
    if row.ctl & RST:
        return ""
    below = me.nxt is not None and diff(row.seq, me.nxt) < 0
    if below and not row.ctl & SYN and row.length <= 1 and not row.ctl & FIN and peer.ack == add(row.seq, 1):
        return KEEP_ALIVE
    if octets and peer.window == 0 and row.length == 1 and not row.ctl & SYN:
        return PROBE
    if octets and below:
        original = _original(arrow, me, octets)
        if original is None:
            return LATE
        same = row.ip_id > 0 and row.ip_id == original.row.ip_id and row.time - original.row.time < 1_000_000
        return DUPLICATE if same else RETRANSMISSION
    if row.window == 0 and not row.ctl & SYN:
        return ZERO_WINDOW
    waits = peer.nxt is not None and me.ack is not None and diff(peer.nxt, me.ack) > 0
    if row.ctl & (ACK | SYN | FIN) == ACK and not octets and row.ack == me.ack and waits:
        return DUPLICATE_ACK if row.window_octets == me.window else ""
    return ""


def _original(arrow: Arrow, me: _Sender, octets: int) -> Arrow | None:
    """The latest earlier segment with the first of these octets, or with some of them."""
    exact = me.by_seq.get(arrow.row.seq)
    if exact is not None:
        return exact
    for earlier in islice(reversed(me.by_seq.values()), MAX_LOOKED_AT):
        last = add(earlier.row.seq, max(_octets(earlier.row) - 1, 0))
        holds = between(earlier.row.seq, arrow.row.seq, last)
        if holds or between(arrow.row.seq, earlier.row.seq, add(arrow.row.seq, octets - 1)):
            return earlier
    return None
