"""What an endpoint does when time has passed: RFC 9293 section 3.10.8 and 3.8.4, RFC 6298 section 5."""

from typing import TYPE_CHECKING

from labkit.tcp.endpoint import output
from labkit.tcp.endpoint.signals import Notice, Outgoing
from labkit.tcp.state import Event, State

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint


def next_due(end: "Endpoint") -> int | None:
    """The earliest timer that runs; None where none does."""
    due = end.rto_at
    for at in (end.rcv.ack_at, end.persist_at, end.time_wait_at):
        if at is not None and (due is None or at < due):
            due = at
    if end.config.keep_alive is None:
        return due
    at = keep_alive_at(end)
    return at if due is None or (at is not None and at < due) else due


def keep_alive_at(end: "Endpoint") -> int | None:
    """When the next keep-alive is due: only on an idle connection (section 3.8.4)."""
    config = end.config
    if config.keep_alive is None or end.state not in {State.ESTABLISHED, State.CLOSE_WAIT}:
        return None
    if end.snd.high > end.snd.una:
        return None
    if end.keepalives:
        return end.last_sent + config.keep_alive_interval
    return max(end.last_heard, end.last_sent) + config.keep_alive


def fire(end: "Endpoint", now: int) -> None:
    """Act on every timer that is due."""
    rcv = end.rcv
    if end.time_wait_at is not None and end.time_wait_at <= now:
        # "If the time-wait timeout expires on a connection, delete the TCB, enter the CLOSED state"
        end.delete(Event.TIMEOUT_2MSL)
        return
    if rcv.ack_at is not None and rcv.ack_at <= now:
        rcv.ack_at = None
        rcv.owe("delayed-ack")
    if end.rto_at is not None and end.rto_at <= now:
        _retransmission_timeout(end, now)
    if end.persist_at is not None and end.persist_at <= now:
        end.persist_at = None
        output.probe(end, now)
    due = keep_alive_at(end)
    if due is not None and due <= now:
        _keep_alive(end, now)


def _retransmission_timeout(end: "Endpoint", now: int) -> None:
    """RFC 6298, (5.4) to (5.6): send the earliest segment again, back off, start the timer again."""
    snd, recovery = end.snd, end.recovery
    opening = end.state in {State.SYN_SENT, State.SYN_RECEIVED}
    end.retries += 1
    if end.retries > (end.config.syn_retries if opening else end.config.retries):
        # Section 3.8.3: R2 is reached, the connection is given up.
        end.delete(Event.DELETE if end.state is State.SYN_SENT else Event.SEND_RST, Notice.TIMED_OUT)
        return
    end.rtt.back_off()
    end.rto_at = now + end.rtt.rto
    snd.timed = None
    if opening:
        end.resend_syn = True
        return
    if end.control is not None and (end.retries == 1 or recovery.cause != "timeout"):
        end.control.timed_out(snd.high - snd.una)
    # RFC 2018 section 8: after a timeout the sender must not rely on what was SACKed.
    recovery.sacked.clear()
    recovery.start_timeout(snd.una, snd.high)


def _keep_alive(end: "Endpoint", now: int) -> None:
    """Section 3.8.4: <SEQ=SND.NXT-1><ACK=RCV.NXT><CTL=ACK>, which the peer must answer."""
    if end.keepalives >= end.config.keep_alive_probes:
        end.delete(Event.SEND_RST, Notice.TIMED_OUT)
        return
    end.keepalives += 1
    end.replies.append(Outgoing(output.keep_alive(end, now), "keep-alive"))
