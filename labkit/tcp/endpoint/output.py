"""What an endpoint sends, and when: segmentation, windows, Nagle, and the acknowledgement that goes alone if nothing else
does.

RFC 9293 sections 3.7.4 (Nagle), 3.8.6 (windows, silly-window avoidance), 3.10.8; RFC 5681, 6582 and 6675 for what is sent
again.
"""

from typing import TYPE_CHECKING

from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.endpoint import handshake, syn_cookies
from labkit.tcp.endpoint.config import MILLISECOND
from labkit.tcp.endpoint.rack import CWR, LOSS, NEW, OPEN, RECOVERY, Rack
from labkit.tcp.endpoint.signals import Outgoing
from labkit.tcp.quick import maker
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN, URG, Segment
from labkit.tcp.state import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    LAST_ACK,
    SYN_RECEIVED,
    SYN_SENT,
    Event,
)

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint

MAX_BURST = 65_536
"""Octets of the largest burst, one super-segment."""
NEAR_LOG = 9
"""Each 512 microseconds of the round trip halve what a burst may be beyond the pace."""
PROBE_TICK = 2_000_000
"""Nanoseconds that a tail loss probe waits beyond two round trips, so that it does not race against the ACK (RFC 8985 section
7.2)."""
BURSTS = frozenset({"data", "retransmission-rto", "retransmission-fast"})
"""Reasons for which several segments may leave as one burst."""
make_segment = maker(Segment)

TRANSMITTING = frozenset({ESTABLISHED, CLOSE_WAIT, FIN_WAIT_1, CLOSING, LAST_ACK})
"""The states in which data or FIN may be sent or retransmitted."""


def segments(end: "Endpoint", now: int) -> "list[Outgoing]":
    """The segments to transmit now."""
    out, end.replies = end.replies, []
    state = end.state
    if state is CLOSED:
        return out
    if state is SYN_SENT or state is SYN_RECEIVED:
        _handshake(end, now, out)
        if end.fast_opened and end.snd.high and end.snd.nxt < end.snd.end:
            # RFC 7413 section 3: the answer need not wait for the handshake's third segment.
            _transmit(end, now, out)
    elif state in TRANSMITTING:
        _send_all(end, now, out)
    if end.config.push_bursts:
        out[:] = _pushed(end, out)
    _acknowledge(end, now, out)
    if out:
        end.timers.last_sent = now
        if end.timers.rto_at is None and end.snd.high > end.snd.una and _is_timed(end):
            # RFC 6298, (5.1): "if the timer is not running, start it"
            end.timers.rto_at = now + end.rtt.rto
    if end.rack is not None and end.rack.plan and end.config.tail_loss_probe:
        _plan_probe(end, end.rack, now)
    return out


def _is_timed(end: "Endpoint") -> bool:
    """Whether a timer sends again what is under way: not with a closed window, and no SYN ACK of which nothing is kept."""
    return end.timers.persist_at is None and not (syn_cookies.used(end) and end.state is SYN_RECEIVED)


def _send_all(end: "Endpoint", now: int, out: "list[Outgoing]") -> None:
    """What was lost, then new data."""
    snd, recovery, rack = end.snd, end.recovery, end.rack
    if rack is not None and rack.send:
        _send_again(end, rack, now, out)
    elif recovery.cause is not None:
        _retransmit(end, now, out)
    if snd.nxt < snd.end or (snd.fin is not None and snd.nxt <= snd.fin):
        _transmit(end, now, out)
        _persist(end, now)
    if recovery.rescue is not None and recovery.cause == "fast":
        _rescue(end, now, out)


def _acknowledge(end: "Endpoint", now: int, out: "list[Outgoing]") -> None:
    """The acknowledgement that is due and that no other segment has carried; else a window update."""
    rcv = end.rcv
    if rcv.ack_at is not None and rcv.drained():
        rcv.owe("ack")
    if rcv.ack_why is not None:
        _put(end, out, rcv.ack_why, now)
    elif end.synchronised and end.delivered and not end.received_fin and rcv.update_due():
        _put(end, out, "window-update", now)


def _pushed(end: "Endpoint", out: "list[Outgoing]") -> "list[Outgoing]":
    """The segments with PSH on the last of each burst. A burst has at most half of the congestion window."""
    most = _burst(end, max((len(each.segment.payload) for each in out), default=0))
    found, burst = list(out), 0
    for place, each in enumerate(out):
        burst = burst + 1 if each.why in BURSTS else 0
        last = place + 1 == len(out) or not _follows(out[place + 1], each)
        if each.segment.ctl & PSH:
            burst = 0
        elif burst > 1 and (last or burst >= most):
            found[place] = each._replace(segment=each.segment.with_(ctl=each.segment.ctl | PSH))
            burst = 0
        if last:
            burst = 0
    return found


def _follows(later: "Outgoing", earlier: "Outgoing") -> bool:
    """Whether a segment leaves in one burst with the one before it: its octets are the next ones."""
    return later.why == earlier.why and later.segment.seq == sn.add(earlier.segment.seq, len(earlier.segment.payload))


def _burst(end: "Endpoint", full: int) -> int:
    """The segments of `full` octets in a burst: what the pace of the connection sends within a 1024th of a second, at least
    two; the whole half of the congestion window where the round trip is so short that a burst fills no queue.
    """
    control, srtt = end.control, end.rtt.srtt
    if control is None or not full:
        return 1000
    half = max(control.cwnd // (2 * full), 1)
    if not srtt:
        return half
    pace = control.cwnd * (2 if control.cwnd < control.ssthresh // 2 else 1.2) * 1_000_000_000 / srtt
    near = MAX_BURST >> (srtt // 1000 >> NEAR_LOG)
    return min(half, max(int(pace / 1024 + near) // full, 2))


def _plan_probe(end: "Endpoint", rack: Rack, now: int) -> None:
    """RFC 8985 section 7.2: probe the tail after two round trips, before the timeout."""
    timers, srtt = end.timers, end.rtt.srtt
    rack.plan = False
    if rack.state not in (OPEN, CWR) or not rack.board.queue or end.state not in TRANSMITTING:
        return
    timers.probe_at = timers.reordering_at = None
    if timers.rto_at is None:
        return
    # "If FlightSize is one segment, then add the peer's longest delay of an acknowledgement"; else a tick of the timer.
    alone = len(rack.board.queue) == 1
    at = (
        now + end.config.rto_initial if srtt is None else now + 2 * srtt + (end.config.rto_min if alone else PROBE_TICK)
    )
    # "If Now() + PTO > TCP_RTO_expiration(): PTO = TCP_RTO_expiration() - Now()": the probe takes the timeout's place.
    timers.probe_at = min(at, timers.rto_at)


def probe_tail(end: "Endpoint", rack: Rack, now: int) -> bool:
    """RFC 8985 section 7.3: probe by a new segment if the window has room, else by the last one again; whether by that."""
    snd = end.snd
    options = handshake.carried(end, now)
    take = min(snd.end - snd.nxt, _room(end, options))
    if take > snd.edge - snd.nxt:
        take = 0  # the window has no room for a whole segment
    low = snd.nxt
    if take > 0:
        end.replies.append(Outgoing(_data(end, low, low + take, options, new=True), "data"))
        snd.sent(low, low + take, now)
        rack.sent(low, low + take, now)
        rack.plan = False
        return False
    last = rack.board.queue[-1]
    rack.probed(last, now)
    end.replies.append(Outgoing(_data(end, last.start, last.end, options), "tail-loss-probe"))
    return True


def reset(end: "Endpoint", now: int) -> Segment:
    """The RST of a connection. RFC 9293 section 3.10.5 asks for a bare one; stacks acknowledge what they have received, which
    does no harm."""
    if end.config.rst_like_others:
        return _segment(end, end.snd.high, RST | ACK, b"", handshake.carried(end, now, data=False))
    return Segment(end.snd.seq(end.snd.high), end.rcv.ack, RST | ACK, 0)


def form_ack(end: "Endpoint", why: str, now: int) -> None:
    """Form an acknowledgement now, before the caller collects it."""
    _put(end, end.replies, why, now)


def _segment(
    end: "Endpoint", low: int, ctl: int, payload: bytes, options: tuple[opt.Option, ...], new: bool = False
) -> Segment:
    """A segment of a synchronised connection, which acknowledges all and offers the current window."""
    rcv, snd = end.rcv, end.snd
    urgent, field = 0, 0
    if end.ecn.agreed:
        ctl, field = end.ecn.bits(ctl, new and bool(payload))
    if payload and snd.up > low:
        # Section 3.8.5; RFC 6093 section 4: the pointer shows the octet after the urgent ones.
        ctl, urgent = ctl | URG, min(snd.up - low, 0xFFFF)
    end.stamps.last_ack = rcv.nxt
    seq, ack = sn.add(snd.iss, low), sn.add(rcv.irs, rcv.nxt)
    return make_segment(seq, ack, ctl, rcv.offer(), payload, options, urgent, field)


def _put(end: "Endpoint", out: "list[Outgoing]", why: str, now: int) -> None:
    """A segment without data at SND.NXT, or at the right edge of a window that was taken back."""
    snd = end.snd
    low = max(snd.una, min(snd.high, snd.edge))
    out.append(Outgoing(_segment(end, low, ACK, b"", handshake.carried(end, now, data=False)), why))


def _handshake(end: "Endpoint", now: int, out: "list[Outgoing]") -> None:
    """The SYN or the SYN,ACK, new or retransmitted."""
    snd = end.snd
    first = snd.high == 0
    if not first and not end.resend_syn:
        return
    end.resend_syn = False
    options = handshake.offered(end, now)
    window = end.rcv.offer(scaled=False)
    ctl, payload = SYN, b""
    if end.synchronised or first or end.config.ecn_on_retry:
        ctl |= end.ecn.syn_bits(end.synchronised)
    if end.synchronised:
        out.append(Outgoing(Segment(snd.iss, end.rcv.ack, ctl | ACK, window, b"", options), "syn-ack"))
        end.stamps.last_ack = end.rcv.nxt
    else:
        if end.config.fast_open and first:
            # RFC 7413 section 4.2.2: with a cookie, the SYN may carry data.
            payload = snd.payload(1, min(snd.end, 1 + end.config.max_payload - opt.length(options)))
        out.append(Outgoing(Segment(snd.iss, 0, ctl, window, payload, options), "syn"))
    if first:
        snd.sent(0, 1 + len(payload), now)
        return
    # Whoever provoked it, the timer begins anew: (5.1) of RFC 6298 for a segment that is sent again.
    end.timers.rto_at = now + end.rtt.rto if _is_timed(end) else None
    if end.timers.retries:
        out[-1] = Outgoing(out[-1].segment, "retransmission-rto")
        snd.timed = None


def _next_options(end: "Endpoint", options: tuple[opt.Option, ...], now: int) -> tuple[opt.Option, ...]:
    """The options of the next segment: a D-SACK is reported once (RFC 2883 section 4)."""
    return handshake.carried(end, now) if options and type(options[-1]) is opt.Sack else options


def _room(end: "Endpoint", options: tuple[opt.Option, ...]) -> int:
    """Eff.snd.MSS: payload of a full-sized segment with these options (RFC 6691; RFC 9293 section 3.7.1)."""
    return max(end.snd.mss - (opt.length(options) if options else 0), 1)


def _retransmit(end: "Endpoint", now: int, out: "list[Outgoing]") -> None:
    """Retransmit what is lost, as far as the congestion window allows."""
    snd, recovery, control = end.snd, end.recovery, end.control
    options = handshake.carried(end, now)
    room = _room(end, options)
    why = "retransmission-rto" if recovery.cause == "timeout" else "retransmission-fast"
    while True:
        lost = recovery.next_lost(snd.una, snd.high, snd.mss)
        if lost is None:
            return
        low = lost[0]
        high = min(lost[1], low + room + (snd.fin is not None and low + room == snd.fin))
        if not end.config.merge_retransmissions:
            high = snd.cut(low, min(lost[1], low + room))
        if not recovery.first and control is not None:
            free = control.cwnd + recovery.inflation - recovery.pipe(snd.una, snd.high, snd.mss)
            if free < min(high - low, snd.mss):
                return
        recovery.first = False
        recovery.high_rxt = high
        recovery.lost_to = max(recovery.lost_to, high) if recovery.cause == "timeout" else recovery.lost_to
        snd.timed = None
        out.append(Outgoing(_data(end, low, high, options), why))
        options = _next_options(end, options, now)


def _send_again(end: "Endpoint", rack: Rack, now: int, out: "list[Outgoing]") -> None:
    """What RACK lets out besides new data: lost segments, or new data in their place."""
    asked, rack.send = rack.send, ""
    if asked == NEW:
        _transmit(end, now, out, push=True)
        if end.snd.nxt > rack.high:
            return
        rack.try_new = False
    _retransmit_lost(end, rack, now, out)


def _retransmit_lost(end: "Endpoint", rack: Rack, now: int, out: "list[Outgoing]") -> None:
    """Retransmit the segments that are lost, as far as the congestion window allows."""
    snd, board = end.snd, rack.board
    head = board.head
    options = handshake.carried(end, now)
    why = "retransmission-rto" if rack.state == LOSS else "retransmission-fast"
    for each in tuple(board):
        if board.resent >= board.lost or _is_full(end):
            return
        if not each.needed:
            continue
        room = _room(end, options)
        board.fit(each, room + (snd.fin is not None and each.start + room == snd.fin))
        rack.resent(each, now, end.stamps.clock(now))
        if each is head and end.timers.reordering_at is None:
            end.timers.rto_at = now + end.rtt.rto
        out.append(Outgoing(_data(end, each.start, each.end, options), why))
        options = _next_options(end, options, now)


def _rescue(end: "Endpoint", now: int, out: "list[Outgoing]") -> None:
    """Retransmit what may be lost when there is nothing else to send; otherwise only the timer would repair the loss of the
    last segments.
    """
    snd, recovery, control = end.snd, end.recovery, end.control
    if control is None or snd.nxt < min(snd.end, snd.edge):
        return
    if recovery.next_lost(snd.una, snd.high, snd.mss) is not None:
        return
    while control.cwnd - recovery.pipe(snd.una, snd.high, snd.mss) >= snd.mss:
        unsure = recovery.next_unsure(snd.una, snd.high)
        if unsure is None:
            return
        low, high, rescue = unsure
        options = handshake.carried(end, now)
        room = _room(end, options)
        if rescue:
            # "RescueRxt set to RecoveryPoint. HighRxt MUST NOT be updated."
            low, recovery.rescue = snd.last_cut(low, high, room), False
        else:
            high = snd.cut(low, min(high, low + room))
            recovery.high_rxt = high
        snd.timed = None
        out.append(Outgoing(_data(end, low, high, options), "retransmission-fast"))


def _data(end: "Endpoint", low: int, high: int, options: tuple[opt.Option, ...], new: bool = False) -> Segment:
    """The segment of positions [low, high), of which the last may be the FIN's."""
    snd = end.snd
    fin = snd.fin is not None and high > snd.fin
    last = high - fin
    ctl = ACK | (FIN if fin else 0) | (PSH if last > low and snd.pushed(low, last) else 0)
    return _segment(end, low, ctl, snd.payload(low, last), options, new)


def _transmit(end: "Endpoint", now: int, out: "list[Outgoing]", *, push: bool = False) -> None:
    """Send new data, then the FIN, as far as both windows allow. `push`: do not wait for a full-sized segment."""
    snd, recovery, control, rack = end.snd, end.recovery, end.control, end.rack
    options = handshake.carried(end, now)
    limit, first = snd.edge, snd.nxt
    if control is not None and rack is None:
        free = control.cwnd + recovery.inflation - recovery.pipe(snd.una, snd.nxt, snd.mss)
        limit = min(limit, snd.nxt + free)
    room = _room(end, options)
    while True:
        low = snd.nxt
        queued = snd.end - low
        take = min(queued, room, limit - low)
        if queued > 0:
            if take <= 0 or _is_full(end):
                break
            if not push and not (_worth_sending(end, take, queued, room) and not _defers(end, now, room, bool(out))):
                break
        elif snd.fin is None or low > snd.fin or snd.edge <= low or end.state is SYN_RECEIVED:
            break
        else:
            take = 0
        high = low + take
        # The FIN goes with the last octets where the window has room for its number.
        fin = high == snd.fin and high < snd.edge and end.state is not SYN_RECEIVED
        out.append(Outgoing(_data(end, low, high + fin, options, low >= snd.high), "data" if take else "fin"))
        snd.sent(low, high + fin, now)
        _note_sent(end, low, high + fin, now)
        if take < room:
            snd.small = high
        if take:
            _note_answer(end, now)
        if fin:
            end.move(Event.SEND_FIN)
            break
        if options:
            options = _next_options(end, options, now)
            room = _room(end, options)
    if rack is not None:
        rack.in_burst = 0
        rack.used(snd.una, snd.nxt, held_back=_is_full(end), sent=snd.nxt > first)


def _note_sent(end: "Endpoint", low: int, high: int, now: int) -> None:
    """RACK remembers each segment."""
    if end.rack is not None:
        end.rack.sent(low, high, now)
        end.rack.in_burst += 1


def _is_full(end: "Endpoint") -> bool:
    """Whether the congestion window, as RACK counts it, lets nothing out."""
    rack, control = end.rack, end.control
    return rack is not None and control is not None and rack.board.pipe >= control.cwnd // control.mss


def _defers(end: "Endpoint", now: int, room: int, recent: bool) -> bool:
    """Whether the rest of the congestion window, less than a burst, waits for the next ACK, so that a whole burst can leave."""
    rack, control, srtt = end.rack, end.control, end.rtt.srtt or 0
    if not end.config.defer_partial_bursts or rack is None or control is None or rack.state >= RECOVERY:
        return False
    head = rack.board.head
    if head is None:
        return False
    window = control.cwnd // control.mss
    left, burst = window - rack.board.pipe, _burst(end, room)
    if end.snd.end - end.snd.nxt <= room or 3 * left >= window or left >= burst or now - head.time < srtt // 2:
        return False
    # Each burst goes as a whole, and the first of a moment in any case.
    return (recent or now - end.timers.last_sent <= MILLISECOND) and not rack.in_burst % burst


def _note_answer(end: "Endpoint", now: int) -> None:
    """The application sends: whether that answers data that has just arrived."""
    last, delay = end.timers.last_data, end.config.delayed_ack
    if end.config.interactive_acks and last is not None and delay is not None and now - last < delay:
        end.rcv.interactive = True


def _worth_sending(end: "Endpoint", take: int, queued: int, room: int) -> bool:
    """Sender's silly-window avoidance (section 3.8.6.2.1) with Nagle's rule (section 3.7.4).

    All data that the application sends is pushed, so what is left of the four conditions is: (1) a full-sized segment, (2)
    all that is queued, if nothing is under way or Nagle is off, (3) half of the largest window, if nothing is under way. A
    last segment before the FIN does not wait.
    """
    if take >= room:
        return True
    if end.snd.more and take == queued and end.snd.fin is None:
        return False
    if end.config.minshall and take in (queued, end.snd.edge - end.snd.nxt):
        return end.snd.small <= end.snd.una or not end.config.nagle or end.snd.fin is not None
    # A SYN under way is not data (Fast Open): nothing waits for it.
    idle = max(end.snd.una, 1) == end.snd.nxt
    if take == queued:
        return idle or not end.config.nagle or end.snd.fin is not None
    return idle and 2 * take >= end.snd.max_wnd > 0 and end.snd.edge - end.snd.nxt == take


def _persist(end: "Endpoint", now: int) -> None:
    """Start the persist timer if only the peer's window prevents sending (section 3.8.6.1)."""
    snd = end.snd
    stuck = snd.nxt < snd.end or (snd.fin is not None and snd.nxt <= snd.fin)
    if not stuck or snd.una != snd.nxt:
        end.timers.persist_at = None
    elif end.timers.persist_at is None:
        end.timers.persist_for = min(max(end.timers.persist_for * 2, end.rtt.rto), end.config.rto_max)
        end.timers.persist_at = now + end.timers.persist_for


def probe(end: "Endpoint", now: int) -> None:
    """The persist timer expired: send "at least one octet of new data", or all that the small window takes."""
    snd = end.snd
    options = handshake.carried(end, now)
    low = snd.nxt
    window = snd.edge - low
    if window <= 0 and end.config.probe_with_old:
        end.replies.append(Outgoing(_segment(end, snd.una - 1, ACK, b"", options), "zero-window-probe"))
        return
    if window > 0:
        high = min(snd.end, low + window, low + _room(end, options))
        segment = _data(end, low, high, options)
        if end.config.push_bursts:
            segment = segment.with_(ctl=segment.ctl | PSH)
        end.replies.append(Outgoing(segment, "data"))
        snd.sent(low, high, now)
        if end.rack is not None:
            end.rack.sent(low, high, now)
        return
    end.replies.append(Outgoing(_data(end, low, low + 1, options), "zero-window-probe"))
    snd.high = max(snd.high, low + 1)
    if snd.fin is not None and low == snd.fin:
        snd.nxt = low + 1
        end.move(Event.SEND_FIN)


def keep_alive(end: "Endpoint", now: int) -> Segment:
    """Section 3.8.4: <SEQ=SND.NXT-1><ACK=RCV.NXT><CTL=ACK>, without the octet, which no peer needs any more."""
    return _segment(end, end.snd.high - 1, ACK, b"", handshake.carried(end, now, data=False))
