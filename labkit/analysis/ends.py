"""The states of a conversation's two ends, moved by each segment: functions over integers, which the compiled engine shares.

A state is its position in STATES. An event is a number that has, in four bits each, the state that follows each state: the table
of RFC 9293 figure 5, as `labkit.tcp.state` has it.
"""

from collections.abc import Callable

from labkit.analysis.moved import NOBODY, UNKNOWN, Ends, Moved
from labkit.analysis.pending import GAP
from labkit.analysis.side import Side
from labkit.analysis.tracker import scaled
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import after, diff
from labkit.tcp.state import Event, State
from labkit.tcp.state import after as next_state

STATES: tuple[State | None, ...] = (*State, None)
"""The states by number. The last one is not a state: the capture does not show it."""

_NUMBERS = {state: number for number, state in enumerate(STATES)}
CLOSED, LISTEN = _NUMBERS[State.CLOSED], _NUMBERS[State.LISTEN]
SYN_SENT, SYN_RECEIVED = _NUMBERS[State.SYN_SENT], _NUMBERS[State.SYN_RECEIVED]
ESTABLISHED, CLOSE_WAIT = _NUMBERS[State.ESTABLISHED], _NUMBERS[State.CLOSE_WAIT]
FIN_WAIT_1, FIN_WAIT_2 = _NUMBERS[State.FIN_WAIT_1], _NUMBERS[State.FIN_WAIT_2]
CLOSING, LAST_ACK, TIME_WAIT = _NUMBERS[State.CLOSING], _NUMBERS[State.LAST_ACK], _NUMBERS[State.TIME_WAIT]


def _moves(move: Callable[[State], State]) -> int:
    """The state that follows each state, four bits each."""
    return sum(_NUMBERS[move(state)] << 4 * _NUMBERS[state] for state in State)


def _event(event: Event) -> int:
    return _moves(lambda state: next_state(state, event))


ACTIVE_OPEN, SEND_FIN, SEND_RST = _event(Event.ACTIVE_OPEN), _event(Event.SEND_FIN), _event(Event.SEND_RST)
RCV_SYN, RCV_SYN_ACK, RCV_ACK_OF_SYN = (
    _event(Event.RCV_SYN),
    _event(Event.RCV_SYN_ACK),
    _event(Event.RCV_ACK_OF_SYN),
)
RCV_FIN, RCV_ACK_OF_FIN, RCV_FIN_AND_ACK_OF_FIN = (
    _event(Event.RCV_FIN),
    _event(Event.RCV_ACK_OF_FIN),
    _event(Event.RCV_FIN_AND_ACK_OF_FIN),
)
RCV_RST = _event(Event.RCV_RST)

_UNACKNOWLEDGED = {
    State.FIN_WAIT_2: State.FIN_WAIT_1,
    State.TIME_WAIT: State.CLOSING,
    State.CLOSED: State.LAST_ACK,
}
FIN_AGAIN = _moves(lambda state: _UNACKNOWLEDGED.get(state, state))
"""A side retransmits its FIN, because the ACK in the capture was lost."""


def begin(ends: Ends, seg: Seen) -> None:
    """The states before the first segment of a conversation. Without its beginning, it is taken to be ESTABLISHED."""
    ends.pending[0] = UNKNOWN
    ends.pending[1] = UNKNOWN
    ends.asking = NOBODY
    ends.states[0] = ESTABLISHED
    ends.states[1] = ESTABLISHED
    if seg.ctl & (SYN | ACK) == SYN:
        ends.states[0] = CLOSED
        ends.states[1] = LISTEN
    elif seg.ctl & SYN:
        ends.states[0] = SYN_RECEIVED
        ends.states[1] = SYN_SENT


def move(ends: Ends, seg: Seen, side: int, client: int, me: Side, peer: Side, row: Moved) -> None:
    """Move the states of both ends, before the segment of `side` is added to what is known of the conversation."""
    other = 1 - side
    mine = ends.states[side]
    theirs = ends.states[other]
    row.answered = 0
    received = theirs
    if seg.former == 0:
        if ends.asking != NOBODY:
            _answer(ends, seg, side, row)
        ends.states[side] = _sent(ends.states[side], seg, me, peer)
        received = _received(ends.states[other], seg, me, peer)
        ends.states[other] = received & 15
    row.client = client
    row.sender = side ^ client
    row.window = scaled(seg.win, seg.ctl, me, peer)
    row.plain = not (me.seen == 0 or row.answered or seg.ctl & SYN or seg.auth or seg.accecn or seg.mptcp)
    # The answer shows whether a server listens there.
    row.waits = seg.ctl & (SYN | ACK | RST) == SYN and peer.seen == 0
    row.states[row.sender] = ends.states[side]
    row.states[1 - row.sender] = UNKNOWN if row.waits else ends.states[other]
    if row.waits:
        ends.asking = side
    # The introductory text shows the sender's state now, and the receiver's with its answer.
    row.shown[row.sender] = ends.states[side] if ends.states[side] != mine else ends.pending[side]
    row.shown[1 - row.sender] = UNKNOWN
    ends.pending[side] = UNKNOWN
    if ends.states[other] != theirs:
        if received & ANSWERS:
            ends.pending[other] = ends.states[other]
        else:
            row.shown[1 - row.sender] = ends.states[other]


def place(seg: Seen, me: Side, peer: Side, row: Moved) -> None:
    """Make the numbers of a segment relative, after it was added to what is known of the conversation."""
    row.relative_seq = diff(seg.seq, me.base)
    row.relative_ack = diff(seg.ack, peer.base) if seg.ctl & ACK else seg.ack


def _after(state: int, event: int) -> int:
    return event >> 4 * state & 15


def _answer(ends: Ends, seg: Seen, side: int, row: Moved) -> None:
    """Complete the SYNs that wait: a segment of `side` shows whether a server listens there, unless it is another SYN."""
    asked = ends.states[1 - ends.asking]
    if seg.ctl & (SYN | ACK | RST) == SYN:
        if side == ends.asking:
            return
        asked = UNKNOWN  # a simultaneous open: no side listens
    elif seg.ctl & RST:
        ends.states[side] = CLOSED
        # A client that resets without an answer does not show whether a server listened.
        asked = CLOSED if side != ends.asking else UNKNOWN
    elif side != ends.asking and not seg.ctl & SYN and asked == SYN_RECEIVED:
        # A plain ACK answers the SYN: the other end has a connection that this capture does not show.
        asked = ESTABLISHED
        ends.states[side] = ESTABLISHED
    row.answered = 1
    row.answer = asked
    ends.asking = NOBODY


def _sent(state: int, seg: Seen, me: Side, peer: Side) -> int:
    """The sender's state after sending."""
    if seg.ctl & RST:
        return _after(state, SEND_RST)
    if seg.ctl & (SYN | ACK) == SYN:
        return _after(state, ACTIVE_OPEN)
    if seg.ctl & (SYN | ACK) == ACK:
        state = _synchronised(state, seg, me)
    if seg.ctl & FIN:
        if me.has_fin:
            return _after(state, FIN_AGAIN)
        if state == CLOSE_WAIT and peer.has_fin and not after(seg.ack, peer.fin):
            # The two FINs crossed (RFC 9293 figure 13): this one was sent before the other one arrived.
            return _after(_after(ESTABLISHED, SEND_FIN), RCV_FIN)
        return _after(state, SEND_FIN)
    return state


def _synchronised(state: int, seg: Seen, me: Side) -> int:
    """The sender's state that its acknowledgement proves, although the capture lacks the segment that caused it."""
    if state == SYN_SENT:
        return _after(state, RCV_SYN_ACK)
    if state == SYN_RECEIVED and me.has_rcv_nxt and after(seg.ack, me.rcv_nxt):
        return _after(state, RCV_ACK_OF_SYN)  # it accepts nothing after the SYN before that
    return state


ANSWERS = 16
"""A bit beside a state: its end must answer the segment."""


def _received(state: int, seg: Seen, sender: Side, me: Side) -> int:
    """The receiver's state after the segment, with the bit ANSWERS. `me` is the receiver."""
    if seg.ctl & RST:
        # RFC 5961 section 3.2: only at RCV.NXT. Before ESTABLISHED the ack decides.
        in_place = not sender.has_nxt or seg.seq == sender.nxt or (me.has_last_ack != 0 and seg.seq == me.last_ack)
        return _after(state, RCV_RST) if in_place or state in (SYN_SENT, SYN_RECEIVED) else state
    acked = seg.ctl & ACK != 0 and me.has_nxt != 0 and not after(seg.ack, me.nxt)
    if seg.ctl & SYN:
        if not seg.ctl & ACK:
            return _after(state, RCV_SYN) | ANSWERS
        if acked and state == SYN_RECEIVED:
            return _after(state, RCV_ACK_OF_SYN) | ANSWERS
        good = not me.has_nxt or (acked and after(seg.ack, me.isn))
        return (_after(state, RCV_SYN_ACK) if good else state) | ANSWERS
    if state == SYN_RECEIVED and (not me.has_nxt or (acked and after(seg.ack, me.isn))):
        state = _after(state, RCV_ACK_OF_SYN)
    fin_acked = acked and me.has_fin != 0 and after(seg.ack, me.fin)
    if seg.ctl & FIN and _in_order(seg, sender):
        return _received_fin(state, fin_acked)
    return _after(state, RCV_ACK_OF_FIN) if fin_acked else state


def _received_fin(state: int, fin_acked: bool) -> int:
    if fin_acked and state == FIN_WAIT_1:
        return _after(state, RCV_FIN_AND_ACK_OF_FIN) | ANSWERS
    if fin_acked:
        state = _after(state, RCV_ACK_OF_FIN)
    return _after(state, RCV_FIN) | ANSWERS


def _in_order(seg: Seen, sender: Side) -> bool:
    """Whether the capture has all octets before the FIN."""
    for i in range(sender.pending_n):
        if sender.pending_kind[i] == GAP:
            return False
    return not sender.has_nxt or not after(seg.seq, sender.nxt)
