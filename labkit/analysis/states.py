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

from labkit.analysis.analyzer import DONE, FLOW, SEGMENT, Step, analyze
from labkit.analysis.flows import Flow, FlowTable
from labkit.analysis.pending import GAP
from labkit.analysis.side import Side
from labkit.analysis.tracker import scaled
from labkit.capture import Frame
from labkit.packet.frame_edits import edits_of
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.options import Option, unpack
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after, diff
from labkit.tcp.state import Event, State
from labkit.tcp.state import after as next_state

MAX_WAITING = 10_000
"""Rows that may wait for the answer to a SYN. If there are more, the oldest are given without it."""

UNACKNOWLEDGED = {
    State.FIN_WAIT_2: State.FIN_WAIT_1,
    State.TIME_WAIT: State.CLOSING,
    State.CLOSED: State.LAST_ACK,
}
"""The state of a side that retransmits its FIN, because the ACK in the capture was lost."""


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
    options: tuple[Option, ...]
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


@dataclass(slots=True)
class _Ends:
    """The states of a conversation's two ends, by side of the flow. `pending` is shown with the next segment of that side."""

    state: list[State]
    pending: list[State | None] = field(default_factory=lambda: [None, None])
    unanswered: deque[Row] = field(default_factory=deque)


def observe(frames: Iterable[Frame], only: Callable[[Flow], bool] | None = None) -> Iterator[Row]:
    """A row for each TCP segment with sound headers, in the order of the capture. `only` chooses conversations, which takes half
    the time."""
    ends: dict[int, _Ends] = {}
    queue: deque[Row] = deque()
    row = None
    for step in analyze(frames, FlowTable()):
        seg, flow, me, peer = step.seg, step.flow, step.me, step.peer
        if step.scope == SEGMENT and (only is None or only(flow)):
            if flow.index not in ends:
                ends[flow.index] = _Ends([State.CLOSED, State.LISTEN] if seg.ctl & SYN else [State.ESTABLISHED] * 2)
                if seg.ctl & (SYN | ACK) == SYN | ACK:
                    ends[flow.index].state = [State.SYN_RECEIVED, State.SYN_SENT]
            row = _row(step)
            _move(ends[flow.index], row, step)
        elif step.scope == DONE and row is not None:
            row.relative_seq = diff(seg.seq, me.base)
            row.relative_ack = diff(seg.ack, peer.base) if seg.ctl & ACK else seg.ack
            queue.append(row)
            row = None
        elif step.scope == FLOW:
            _give_up(ends.pop(flow.index, None))
        else:
            continue
        while queue and (not queue[0].waits or len(queue) > MAX_WAITING):
            yield _given(queue.popleft(), ends)
    yield from queue


def _given(row: Row, ends: dict[int, _Ends]) -> Row:
    """Take a row that leaves the queue: it waits no longer."""
    if row.waits:
        # The queue has the rows in order, so this one is its conversation's oldest.
        ends[row.flow.index].unanswered.popleft()
        row.waits = False
    return row


def _row(step: Step) -> Row:
    frame, data, seg, flow, side = step.frame, step.data, step.seg, step.flow, step.sender
    header = data[seg.tcp_at + 20 : min(seg.tcp_at + seg.doff, len(data))]
    return Row(
        number=frame.number,
        time=frame.time,
        flow=flow,
        sender=0 if side == flow.client else 1,
        ctl=seg.ctl,
        seq=seg.seq,
        ack=seg.ack,
        relative_seq=0,
        relative_ack=0,
        length=seg.len,
        window=seg.win,
        urgent=seg.urg,
        ecn=seg.ecn,
        options=unpack(header),
        payload=data[seg.data_at : seg.data_at + seg.data_len],
        client=flow.client,
        edits=edits_of(data, seg),
        options_cut=seg.doff - 20 - len(header),
        ip_id=seg.ip_id,
        window_octets=scaled(seg.win, seg.ctl, step.me, step.peer),
    )


def _move(ends: _Ends, row: Row, step: Step) -> None:
    """Move the states of both ends."""
    seg, side, me, peer = step.seg, step.sender, step.me, step.peer
    other = 1 - side
    before = list(ends.state)
    if ends.unanswered:
        _answered(ends, side, seg)
    ends.state[side] = _sent(ends.state[side], seg, me, peer)
    ends.state[other], answers = _received(ends.state[other], seg, me, peer)
    if seg.ctl & (SYN | ACK | RST) == SYN and peer.seen == 0:
        # The answer shows whether a server listens there.
        row.waits = True
        ends.unanswered.append(row)
    client = row.flow.client
    row.states = [ends.state[client], ends.state[1 - client]]
    if row.waits:
        row.states[0 if other == client else 1] = None
    _show(ends, row, side, before, answers)


def _show(ends: _Ends, row: Row, side: int, before: list[State], answers: bool) -> None:
    """Show the sender's state now, and the receiver's with its answer, as the introductory text does."""
    other = 1 - side
    client = row.flow.client
    mine = ends.pending[side] or (ends.state[side] if ends.state[side] != before[side] else None)
    if ends.state[side] != before[side]:
        mine = ends.state[side]
    ends.pending[side] = None
    theirs = ends.state[other] if ends.state[other] != before[other] else None
    if theirs is not None and answers:
        ends.pending[other], theirs = theirs, None
    for which, state in ((side, mine), (other, theirs)):
        row.shown[0 if which == client else 1] = state


def _answered(ends: _Ends, side: int, seg: Seen) -> None:
    """Complete the rows that wait: a segment of `side` shows whether a server listens there, unless it is another SYN."""
    first = ends.unanswered[0]
    asking = first.flow.client if first.sender == 0 else 1 - first.flow.client
    state: State | None = ends.state[1 - asking]
    if seg.ctl & (SYN | ACK | RST) == SYN:
        if side == asking:
            return
        state = None  # a simultaneous open: no side listens
    elif seg.ctl & RST:
        ends.state[side] = State.CLOSED
        # A client that resets without an answer does not show whether a server listened.
        state = State.CLOSED if side != asking else None
    elif side != asking and not seg.ctl & SYN and state == State.SYN_RECEIVED:
        # A plain ACK answers the SYN: the other end has a connection that this capture does not show.
        state = ends.state[side] = State.ESTABLISHED
    for row in ends.unanswered:
        row.states[1 - row.sender] = state
        row.waits = False
    ends.unanswered.clear()


def _give_up(ends: _Ends | None) -> None:
    """End the waiting of rows: their conversation is over."""
    for row in ends.unanswered if ends else ():
        row.waits = False


def _sent(state: State, seg: Seen, me: Side, peer: Side) -> State:
    """The sender's state after sending."""
    if seg.ctl & RST:
        return next_state(state, Event.SEND_RST)
    if seg.ctl & (SYN | ACK) == SYN:
        return next_state(state, Event.ACTIVE_OPEN)
    if seg.ctl & (SYN | ACK) == ACK:
        state = _synchronised(state, seg, me)
    if seg.ctl & FIN:
        if me.has_fin:
            # It retransmits its FIN, so that the ACK in this capture did not arrive.
            return UNACKNOWLEDGED.get(state, state)
        if state == State.CLOSE_WAIT and peer.has_fin and not after(seg.ack, peer.fin):
            # The two FINs crossed (RFC 9293 figure 13): this one was sent before the other one arrived.
            return next_state(next_state(State.ESTABLISHED, Event.SEND_FIN), Event.RCV_FIN)
        return next_state(state, Event.SEND_FIN)
    return state


def _synchronised(state: State, seg: Seen, me: Side) -> State:
    """The sender's state that its acknowledgement proves, although the capture lacks the segment that caused it."""
    if state == State.SYN_SENT:
        return next_state(state, Event.RCV_SYN_ACK)
    if state == State.SYN_RECEIVED and me.has_rcv_nxt and after(seg.ack, me.rcv_nxt):
        return next_state(state, Event.RCV_ACK_OF_SYN)  # it accepts nothing after the SYN before that
    return state


def _received(state: State, seg: Seen, sender: Side, me: Side) -> tuple[State, bool]:
    """The receiver's state after the segment, and whether it must answer. `me` is the receiver."""
    if seg.ctl & RST:
        # RFC 5961 section 3.2: only at RCV.NXT. Before ESTABLISHED the ack decides.
        in_place = not sender.has_nxt or seg.seq == sender.nxt or (me.has_last_ack != 0 and seg.seq == me.last_ack)
        in_place = in_place or state in (State.SYN_SENT, State.SYN_RECEIVED)
        return (next_state(state, Event.RCV_RST) if in_place else state), False
    acked = seg.ctl & ACK != 0 and me.has_nxt != 0 and not after(seg.ack, me.nxt)
    if seg.ctl & SYN:
        if not seg.ctl & ACK:
            return next_state(state, Event.RCV_SYN), True
        if acked and state == State.SYN_RECEIVED:
            return next_state(state, Event.RCV_ACK_OF_SYN), True
        good = not me.has_nxt or (acked and after(seg.ack, me.isn))
        return (next_state(state, Event.RCV_SYN_ACK) if good else state), True
    if state == State.SYN_RECEIVED and (not me.has_nxt or (acked and after(seg.ack, me.isn))):
        state = next_state(state, Event.RCV_ACK_OF_SYN)
    fin_acked = acked and me.has_fin != 0 and after(seg.ack, me.fin)
    if seg.ctl & FIN and _in_order(seg, sender):
        return _received_fin(state, fin_acked)
    return (next_state(state, Event.RCV_ACK_OF_FIN) if fin_acked else state), False


def _received_fin(state: State, fin_acked: bool) -> tuple[State, bool]:
    if fin_acked and state == State.FIN_WAIT_1:
        return next_state(state, Event.RCV_FIN_AND_ACK_OF_FIN), True
    if fin_acked:
        state = next_state(state, Event.RCV_ACK_OF_FIN)
    return next_state(state, Event.RCV_FIN), True


def _in_order(seg: Seen, sender: Side) -> bool:
    """Whether the capture has all octets before the FIN."""
    gaps = any(sender.pending_kind[i] == GAP for i in range(sender.pending_n))
    return not gaps and (not sender.has_nxt or not after(seg.seq, sender.nxt))


def flow_of(row: Row) -> tuple[str, str]:
    """The client's and the server's `address:port`."""
    return row.flow.name(row.client), row.flow.name(1 - row.client)


def end_of(row: Row) -> int:
    """The sequence number after the segment's last octet, as the notation writes it."""
    return add(row.seq, row.length)
