"""SEGMENT ARRIVES: RFC 9293 section 3.10.7, in its order, with RFC 5961's guards and RFC 7323's timestamps.

Each state or step has a function, which quotes the RFC. None of them sends: they change the connection's record, make an
acknowledgement due, or form a reply.
"""

from typing import TYPE_CHECKING

from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.endpoint import acks, by_time, handshake, output, syn_cookies
from labkit.tcp.endpoint.congestion import load
from labkit.tcp.endpoint.rack import Rack
from labkit.tcp.endpoint.signals import Notice, Outgoing
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN, URG, Segment
from labkit.tcp.state import (
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Event,
)

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint

TEXT_STATES = frozenset({ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2})
"""The states that take a segment's text (seventh step); in others the peer has sent its FIN."""


def arrives(end: "Endpoint", segment: Segment, now: int) -> None:
    """Handle a segment that arrives, by the state."""
    state = end.state
    if state is CLOSED:
        _reset_for(end, segment)
    elif state is LISTEN:
        _listen(end, segment, now)
    elif state is SYN_SENT:
        _syn_sent(end, segment, now)
    else:
        _otherwise(end, segment, now)
    if end.config.ack_at_arrival and end.rcv.ack_why is not None and end.state is not CLOSED:
        output.form_ack(end, end.rcv.ack_why, now)


def gives_way(end: "Endpoint", segment: Segment) -> bool:
    """RFC 6191 section 2: whether TIME-WAIT ends for the next connection, which a SYN opens.

    It does if the SYN is newer than the old connection, by its timestamp or by its sequence number.
    """
    if end.state is not TIME_WAIT or segment.ctl & (SYN | ACK | RST) != SYN:
        return False
    stamp = segment.option(opt.Timestamps) if end.config.timestamps else None
    newer = sn.after(segment.seq, end.rcv.ack)
    if not end.stamps.agreed or stamp is None:
        # A timestamp distinguishes the SYN from segments of an old connection without timestamps.
        return newer or (stamp is not None and not end.stamps.agreed)
    return sn.after(stamp.value, end.stamps.recent) or (stamp.value == end.stamps.recent and newer)


def _reset_for(end: "Endpoint", segment: Segment) -> None:
    """3.10.7.1: without a connection, answer any segment but an RST with RST."""
    if segment.ctl & RST:
        return
    if segment.ctl & ACK:
        # "If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST>"
        end.replies.append(Outgoing(Segment(segment.ack, 0, RST, 0), "rst", stateless=True))
    else:
        # "<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"
        end.replies.append(Outgoing(Segment(0, segment.end, RST | ACK, 0), "rst", stateless=True))


def _listen(end: "Endpoint", segment: Segment, now: int) -> None:
    """3.10.7.2: LISTEN. Ignore RST, answer ACK with RST, let SYN begin the connection, drop the rest."""
    if segment.ctl & RST:
        return
    if segment.ctl & ACK:
        _reset_for(end, segment)
    elif segment.ctl & SYN:
        _take_syn(end, segment, now)
        end.move(Event.RCV_SYN)
        handshake.fast_open(end, segment)
        if end.fast_opened:
            _load_control(end)
            end.notify(Notice.DATA)


def _take_syn(end: "Endpoint", segment: Segment, now: int) -> None:
    """The peer's SYN: its ISS, its options, its window (never scaled in a SYN, RFC 7323 section 2.2)."""
    end.rcv.synchronise(segment.seq)
    end.synchronised = True
    end.timers.last_heard = now
    handshake.learn(end, segment)
    end.stamps.recent_at = now
    shift, end.snd.shift = end.snd.shift, 0
    end.snd.update_window(segment.window, 0, end.snd.position(segment.ack) if segment.ctl & ACK else 0)
    end.snd.shift = shift


def _syn_sent(end: "Endpoint", segment: Segment, now: int) -> None:
    """3.10.7.3: SYN-SENT."""
    snd, ctl = end.snd, segment.ctl
    acked = False
    if ctl & ACK:
        # "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set)"
        if not 0 < snd.position(segment.ack) <= snd.high:
            _reset_for(end, segment)
            return
        acked = True
    if ctl & RST:
        # "If the ACK was acceptable, signal "error: connection reset" ... otherwise, drop the segment"
        if acked:
            end.delete(Event.RCV_RST, Notice.REFUSED)
        return
    if not ctl & SYN:
        return
    _take_syn(end, segment, now)
    if not acked:
        # Simultaneous open (figure 7): "form a SYN,ACK segment <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>"
        end.move(Event.RCV_SYN)
        end.resend_syn = True
        return
    acks.acknowledged(end, snd.position(segment.ack), segment, now)
    cookie = segment.option(opt.FastOpen)
    end.cookie = cookie.cookie if cookie is not None else None
    if snd.high > snd.una:
        # RFC 7413 section 4.2.2: the server did not take the data of the SYN, so it goes out again.
        snd.take_back()
    _established(end, Event.RCV_SYN_ACK)
    # "Form an ACK segment <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> and send it": formed now, so that it precedes whatever the
    # application sends once it is connected.
    if not (end.config.third_with_data and snd.nxt < snd.end):
        output.form_ack(end, "ack", now)
    if segment.payload or ctl & FIN:
        _text(end, segment, 0, now)


def _established(end: "Endpoint", event: Event) -> None:
    """ESTABLISHED: both sides know each other's numbers and options."""
    config = end.config
    if end.control is None:
        _load_control(end)
    if end.timers.retries and not end.stamps.agreed:
        # RFC 6298, (5.7): after a lost SYN, the timer begins with 3 seconds.
        end.rtt.rto = max(end.rtt.rto_min, min(3 * config.rto_initial, end.rtt.rto_max))
    end.timers.retries = 0
    end.move(event)
    end.notify(Notice.CONNECTED)


def _load_control(end: "Endpoint") -> None:
    """The congestion control, with its first window (RFC 6928 section 2)."""
    config = end.config
    if config.congestion is None:
        return
    room = end.snd.mss - (12 if end.stamps.agreed else 0)
    full = config.initial_window * room
    # RFC 5681 section 3.1: one segment where the SYN or its answer was lost.
    initial = room if end.timers.retries else min(full, max(2 * room, config.initial_window * 1460))
    end.control = load(config.congestion, room, initial)
    if config.reordering_timer and end.recovery.sack:
        end.rack = Rack(config)


def _otherwise(end: "Endpoint", segment: Segment, now: int) -> None:
    """3.10.7.4: all other states. Each step may end the processing."""
    start = end.rcv.position(segment.seq)
    if end.state is TIME_WAIT and end.config.small_time_wait:
        _time_wait(end, segment, start, now)
        return
    if not _first_check(end, segment, start, now):
        return
    ctl = segment.ctl
    end.timers.last_heard = now
    end.timers.keepalives = 0
    if ctl & RST:
        _second_check_rst(end, start)
        return
    if ctl & SYN and not _is_open_from_both(end, segment):
        # Fourth, the SYN bit in a state that has one already: a challenge ACK (RFC 5961 section 4).
        _answer(end, segment, "challenge-ack", now)
        return
    if not ctl & ACK:
        return
    newest = start <= end.stamps.last_ack
    if not _fifth_check_ack(end, segment, start, now):
        return
    stamp = end.stamps.of(segment)
    if stamp is not None and end.config.stamp_after_ack and newest:
        end.stamps.take(stamp.value, now)
    if end.ecn.agreed:
        end.ecn.arrived(segment)
    end.multipath.arrived(segment)
    if ctl & URG:
        _sixth_check_urg(end, segment, start)
    if segment.payload or ctl & FIN:
        _text(end, segment, start, now)


def _is_open_from_both(end: "Endpoint", segment: Segment) -> bool:
    """Figure 8, lines 6 and 7: whether this is the SYN,ACK of a simultaneous open, after its SYN."""
    return (
        end.state is SYN_RECEIVED
        and bool(segment.ctl & ACK)
        and segment.seq == end.rcv.irs
        and segment.ack == end.snd.seq(end.snd.high)
    )


def _first_check(end: "Endpoint", segment: Segment, start: int, now: int) -> bool:
    """First, the sequence number, after the timestamp (RFC 7323 section 5.3, R1); whether to continue."""
    rcv = end.rcv
    stamps = end.stamps
    stamp = stamps.of(segment)
    old = stamp is not None and not segment.ctl & RST and sn.before(stamp.value, stamps.recent)
    if old and stamps.is_valid(now):
        # PAWS: "If SEG.TSval < TS.Recent ... treat the segment as not acceptable: send an ACK and drop"
        if end.config.dsack_of_old and start < rcv.nxt and segment.payload:
            rcv.dsack = (start, min(start + len(segment.payload), rcv.nxt))
        _answer(end, segment, "duplicate-ack", now)
        return False
    if rcv.acceptable(start, segment.length) or _repeats_end(end, segment, start):
        if stamp is not None and (old or start <= stamps.last_ack) and not end.config.stamp_after_ack:
            stamps.take(stamp.value, now)
        return True
    if _is_open_from_both(end, segment):
        return True
    if segment.ctl & RST:
        return False
    if end.state is SYN_RECEIVED and segment.ctl & SYN and segment.seq == rcv.irs:
        # A repeated SYN: our answer was lost. The RFC asks for an ACK; every stack repeats the SYN,ACK, without which the
        # peer could not go on.
        end.resend_syn = syn_cookies.used(end) or _may_answer(end, segment, now)
        return False
    if rcv.edge == rcv.nxt == start:
        # "If the RCV.WND is zero ... special allowance should be made to accept valid ACKs"
        _fifth_check_ack(end, segment, start, now)
    if end.state is TIME_WAIT and segment.ctl & FIN:
        # Eighth step: "Acknowledge it, and restart the 2 MSL timeout"
        end.timers.time_wait_at = now + 2 * end.config.msl
    if start < rcv.nxt and segment.payload:
        # RFC 2883: what arrived twice is reported in the first block.
        rcv.dsack = (start, min(start + len(segment.payload), rcv.nxt))
    # "an acknowledgment should be sent in reply (unless the RST bit is set ...)"; to a SYN it is a challenge ACK, wherever
    # its number lies (RFC 5961 section 4).
    _answer(end, segment, "challenge-ack" if segment.ctl & SYN else "duplicate-ack", now)
    return False


def _repeats_end(end: "Endpoint", segment: Segment, start: int) -> bool:
    """Whether octets that have arrived before end where the last acknowledgement stands (`accept_repeated_end`)."""
    if not end.config.accept_repeated_end or segment.ctl & (SYN | FIN | RST) or not segment.payload:
        return False
    return end.state in TEXT_STATES and end.stamps.last_ack <= start + len(segment.payload) <= end.rcv.nxt


def _time_wait(end: "Endpoint", segment: Segment, start: int, now: int) -> None:
    """TIME-WAIT as a smaller record than a connection (`small_time_wait`): a RST at RCV.NXT ends it, anything else but a bare
    acknowledgement draws the acknowledgement of the FIN again.
    """
    stamp = end.stamps.of(segment)
    old = stamp is not None and sn.before(stamp.value, end.stamps.recent) and end.stamps.is_valid(now)
    in_order = start == end.rcv.nxt and not old
    if segment.ctl & RST:
        if in_order:
            end.delete(Event.RCV_RST, Notice.CLOSED)
        return
    if segment.ctl & ACK or old:
        end.timers.time_wait_at = now + 2 * end.config.msl
    if in_order and not segment.length:
        if stamp is not None:
            end.stamps.take(stamp.value, now)
        return
    _answer(end, segment, "challenge-ack" if segment.ctl & SYN else "duplicate-ack", now)


def _may_answer(end: "Endpoint", segment: Segment, now: int) -> bool:
    """RFC 5961 section 7, throttling: whether a segment that is not acceptable is answered. One with data or FIN always is."""
    interval, last = end.config.answer_interval, end.timers.last_answer
    if not interval or (segment.length and not segment.ctl & SYN):
        return True
    if last is not None and now - last < interval:
        return False
    end.timers.last_answer = now
    return True


def _answer(end: "Endpoint", segment: Segment, why: str, now: int) -> None:
    """Acknowledge a segment that is not acceptable."""
    if _may_answer(end, segment, now):
        end.rcv.owe(why)


def _second_check_rst(end: "Endpoint", start: int) -> None:
    """Second, the RST bit (RFC 5961 section 3): it resets at exactly RCV.NXT; else a challenge ACK."""
    blocks = [right for _, right in end.rcv.blocks] if end.config.rst_at_sack_edge else []
    if start != end.rcv.nxt and start not in blocks[-1:]:
        end.rcv.owe("challenge-ack")
        return
    refused = end.state is SYN_RECEIVED and end.active
    closing = end.state in {CLOSING, LAST_ACK, TIME_WAIT}
    notice = Notice.REFUSED if refused else Notice.CLOSED if closing else Notice.RESET
    end.delete(Event.RCV_RST, notice)


def _fifth_check_ack(end: "Endpoint", segment: Segment, start: int, now: int) -> bool:
    """Fifth, the ACK field; whether to continue with the segment's text."""
    snd = end.snd
    ack = snd.position(segment.ack)
    if end.state is SYN_RECEIVED:
        # "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED ... otherwise <SEQ=SEG.ACK><CTL=RST>"
        if not snd.una < ack <= snd.high:
            _reset_for(end, segment)
            return False
        if syn_cookies.used(end):
            syn_cookies.recalled(end, ack, segment, now)
        elif end.rack is not None:
            by_time.arrived(end, ack, segment, now)
        else:
            acks.acknowledged(end, ack, segment, now)
        if segment.ctl & SYN and end.config.dsack_of_syn and end.recovery.sack:
            end.rcv.dsack = 0, 1
            end.rcv.owe("duplicate-ack")
        _established(end, Event.RCV_ACK_OF_SYN)
        snd.wl1 = start
        if not segment.ctl & SYN:
            snd.update_window(segment.window, start, ack)
        return True
    if ack > snd.high or ack < snd.una - snd.max_wnd:
        # "If the ACK acks something not yet sent, then send an ACK, drop the segment"; RFC 5961 section 5 for
        # too old.
        _answer(end, segment, "challenge-ack", now)
        return False
    moved = snd.update_window(segment.window, start, ack) if ack >= snd.una else False
    if end.rack is not None:
        by_time.arrived(end, ack, segment, now, moved=moved)
    else:
        acks.arrived(end, ack, segment, now, moved=moved)
    if moved and snd.edge > snd.nxt:
        end.timers.persist_at, end.timers.persist_for = None, 0
    if snd.fin_acked:
        _fin_acknowledged(end, now)
    return end.state is not CLOSED


def _sixth_check_urg(end: "Endpoint", segment: Segment, start: int) -> None:
    """Sixth, the URG bit: "RCV.UP <- max(RCV.UP,SEG.UP), and signal the user" if that is new."""
    if end.state not in TEXT_STATES:
        return
    announced = start + segment.urgent
    if announced > max(end.rcv.up, end.rcv.nxt):
        end.rcv.up = announced
        end.notify(Notice.URGENT)


def _fin_acknowledged(end: "Endpoint", now: int) -> None:
    """The peer has acknowledged our FIN."""
    was = end.state
    if was is LAST_ACK:
        end.delete(Event.RCV_ACK_OF_FIN)
        return
    end.move(Event.RCV_ACK_OF_FIN)
    if end.state is TIME_WAIT and was is CLOSING:
        end.timers.start_time_wait(now, end.config.msl)


def _text(end: "Endpoint", segment: Segment, start: int, now: int) -> None:
    """Seventh and eighth, the segment text and the FIN bit."""
    rcv, ctl, payload = end.rcv, segment.ctl, segment.payload
    rcv.now = now
    if end.state not in TEXT_STATES:
        # "This should not occur since a FIN has been received from the remote side. Ignore the segment text."
        return
    if ctl & SYN:
        start += 1
    expected, blocks = rcv.nxt, bool(rcv.blocks)
    delivered = rcv.take(start, payload) if payload else 0
    fin_at = start + len(payload)
    if ctl & FIN and fin_at <= rcv.edge:
        rcv.fin_at = fin_at
    if delivered:
        end.delivered += delivered
        end.notify(Notice.DATA)
    if rcv.fin_at is not None and rcv.fin_at == rcv.nxt:
        # "advance RCV.NXT over the FIN, and send an acknowledgment for the FIN"
        rcv.nxt += 1
        rcv.edge = max(rcv.edge, rcv.nxt)
        waits = end.config.delayed_fin_ack and end.timers.last_data is not None
        if waits and end.state is ESTABLISHED and rcv.ack_why is None:
            rcv.interactive = True
            rcv.owe_delayed(0, end.config.delayed_ack, now)
        else:
            rcv.owe("ack")
        _peer_closed(end, now)
    elif delivered and start == expected and not blocks and rcv.dsack is None:
        rcv.grow(delivered, ctl & PSH != 0)
        rcv.owe_delayed(delivered, end.config.delayed_ack, now)
        end.timers.last_data = now
    elif delivered or rcv.dsack is not None:
        # RFC 5681 section 4.2: filling a gap, or a duplicate: an immediate ACK.
        if delivered and start == expected:
            rcv.grow(len(payload))
        rcv.owe("ack" if delivered else "duplicate-ack")
    else:
        if end.recovery.sack:
            rcv.grow(len(payload))
        # Without SACK, the number of duplicate acknowledgements is all that the peer learns.
        rcv.owe_duplicate("duplicate-ack", end.config.compress_acks if end.recovery.sack else None, now)


def _peer_closed(end: "Endpoint", now: int) -> None:
    """Eighth step: the peer's FIN has arrived, and everything before it."""
    end.received_fin = True
    end.move(Event.RCV_FIN)
    end.notify(Notice.PEER_CLOSED)
    if end.state is TIME_WAIT:
        end.timers.start_time_wait(now, end.config.msl)
