"""The states of both ends after each segment of a capture, inferred with TRANSITIONS.

`observe` gives one `Row` for each TCP segment. It assumes that each segment arrives, in the order of the capture, and that its
receiver acts at once. A conversation without its beginning is taken to be ESTABLISHED.

RFC 9293's figures show a state when the segment has arrived. The introductory text that labkit implements shows it when it
becomes visible: a state whose segment is answered at once (SYN, SYN ACK, FIN) stands beside the answer. `Row.states` has the
first, `Row.shown` the second.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labkit.analysis.analyzer import DONE, FLOW, SEGMENT, Step, analyze
from labkit.analysis.ends import STATES, begin, move, place
from labkit.analysis.flows import Flow, FlowTable
from labkit.analysis.moved import Ends, Moved
from labkit.capture import Frame
from labkit.packet.frame_edits import edits_of
from labkit.packet.seen import ABSENT
from labkit.tcp.options import Option, unpack
from labkit.tcp.seq import add
from labkit.tcp.state import State

MAX_WAITING = 10_000
"""Rows that may wait for the answer to a SYN. If there are more, the oldest are given without it."""


@dataclass(slots=True)
class Row:
    """One segment of a capture. Side 0 is the client, side 1 the server."""

    number: int
    time: int
    """Nanoseconds since 1970-01-01."""
    flow: Flow
    sender: int
    ctl: int
    seq: int
    ack: int
    relative_seq: int
    relative_ack: int
    length: int
    window: int
    """The field as sent."""
    urgent: int
    ecn: int
    header: bytes
    """The options, as far as the capture holds them."""
    payload: bytes
    """What the capture holds of it."""
    client: int = 0
    """The number of the client's side in the flow."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """Edits (`labkit.packet.frame_edits`) that give the frame its wrong fields."""
    options_cut: int = 0
    """Octets of the options that the capture lacks."""
    ip_id: int = ABSENT
    """The IPv4 identification; ABSENT for IPv6."""
    window_octets: int = 0
    """The window in octets: scaled, where both SYNs offered a scale."""
    states: list[State | None] = field(default_factory=lambda: [None, None])
    """The states of client and server after the segment; None: the capture does not show it."""
    shown: list[State | None] = field(default_factory=lambda: [None, None])
    """The states beside this segment in the tables of the introductory text; None: no new state."""
    waits: bool = False
    """Whether the answer to this SYN is still to come."""

    @property
    def options(self) -> tuple[Option, ...]:
        """The options that the capture holds."""
        return unpack(self.header)


class Lines(NamedTuple):
    """The lines of consecutive rows in a table, instead of the rows."""

    text: str
    """Each line has its end."""
    rows: int


class Waiting:
    """Gives rows in the order of the capture, though a SYN waits for the segment that shows the state of its other end."""

    def __init__(self) -> None:
        self._rows: deque[Any] = deque()
        self._count = 0
        self._unanswered: dict[int, deque[Row]] = {}
        """By conversation the rows that wait."""

    def add(self, row: Row, answered: int, answer: int) -> None:
        """Add the next row. `answered` and `answer` are those of `Moved`."""
        index = row.flow.index
        if answered:
            for asking in self._unanswered.pop(index, ()):
                asking.states[1 - asking.sender] = STATES[answer]
                asking.waits = False
        if row.waits:
            self._unanswered.setdefault(index, deque()).append(row)
        self._rows.append(row)
        self._count += 1

    def add_lines(self, lines: Lines) -> None:
        """Add lines of rows that do not wait, and answer no others."""
        self._rows.append(lines)
        self._count += lines.rows

    def give_up(self, index: int) -> None:
        """End the waiting of rows: their conversation is over."""
        for row in self._unanswered.pop(index, ()):
            row.waits = False

    def ready(self) -> Iterator[Any]:
        """Take the first rows that do not wait, and those that are too many."""
        while self._rows:
            row = self._rows[0]
            if isinstance(row, Row) and row.waits:
                if self._count <= MAX_WAITING:
                    return
                # The rows are in order, so this one is its conversation's oldest.
                self._unanswered[row.flow.index].popleft()
                row.waits = False
            self._count -= row.rows if isinstance(row, Lines) else 1
            yield self._rows.popleft()

    def rest(self) -> Iterator[Any]:
        """What is left at the end of the capture: no answer comes any more."""
        for rows in self._unanswered.values():
            for row in rows:
                row.waits = False
        return iter(self._rows)


def observe(frames: Iterable[Frame], only: Callable[[Flow], bool] | None = None) -> Iterator[Row]:
    """A row for each TCP segment with sound headers, in the order of the capture. `only` chooses conversations, which takes half
    the time."""
    ends: dict[int, Ends] = {}
    waiting = Waiting()
    moved = Moved()
    row = None
    for step in analyze(frames, FlowTable()):
        seg, flow, me, peer = step.seg, step.flow, step.me, step.peer
        if step.scope == SEGMENT and (only is None or only(flow)):
            if flow.index not in ends:
                ends[flow.index] = Ends()
                begin(ends[flow.index], seg)
            move(ends[flow.index], seg, step.sender, flow.client, me, peer, moved)
            row = _row(step, moved)
        elif step.scope == DONE and row is not None:
            place(seg, me, peer, moved)
            row.relative_seq, row.relative_ack = moved.relative_seq, moved.relative_ack
            waiting.add(row, moved.answered, moved.answer)
            row = None
        elif step.scope == FLOW:
            ends.pop(flow.index, None)
            waiting.give_up(flow.index)
        else:
            continue
        yield from waiting.ready()
    yield from waiting.rest()


def _row(step: Step, moved: Moved) -> Row:
    frame, data, seg, flow = step.frame, step.data, step.seg, step.flow
    header = data[seg.tcp_at + 20 : min(seg.tcp_at + seg.doff, len(data))]
    return Row(
        number=frame.number,
        time=frame.time,
        flow=flow,
        sender=moved.sender,
        ctl=seg.ctl,
        seq=seg.seq,
        ack=seg.ack,
        relative_seq=0,
        relative_ack=0,
        length=seg.len,
        window=seg.win,
        urgent=seg.urg,
        ecn=seg.ecn,
        header=header,
        payload=data[seg.data_at : seg.data_at + seg.data_len],
        client=flow.client,
        states=[STATES[state] for state in moved.states],
        shown=[STATES[state] for state in moved.shown],
        waits=bool(moved.waits),
        edits=edits_of(data, seg),
        options_cut=seg.doff - 20 - len(header),
        ip_id=seg.ip_id,
        window_octets=moved.window,
    )


def flow_of(row: Row) -> tuple[str, str]:
    """The client's and the server's `address:port`."""
    return row.flow.name(row.client), row.flow.name(1 - row.client)


def end_of(row: Row) -> int:
    """The sequence number after the segment's last octet, as the notation writes it."""
    return add(row.seq, row.length)
