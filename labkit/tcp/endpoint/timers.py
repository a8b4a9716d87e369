"""What an endpoint does when time has passed: RFC 9293 sections 3.10.8 and 3.8.4, RFC 6298 section 5."""

from typing import TYPE_CHECKING

from labkit.tcp.endpoint import by_time, output
from labkit.tcp.endpoint.signals import Notice, Outgoing
from labkit.tcp.state import CLOSE_WAIT, ESTABLISHED, SYN_RECEIVED, SYN_SENT, Event, State

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint


class Timers:
    """When each timer is due (None: it does not run), and what they count. The delayed ACK's timer is the receiver's."""

    __slots__ = (
        "keepalives",
        "last_answer",
        "last_data",
        "last_heard",
        "last_sent",
        "persist_at",
        "persist_for",
        "probe_at",
        "reordering_at",
        "retries",
        "rto_at",
        "time_wait_at",
        "timeouts",
    )

    def __init__(self) -> None:
        self.rto_at: int | None = None
        self.retries = 0
        """Retransmission timeouts since the peer last acknowledged something new."""
        self.timeouts = 0
        """All retransmission timeouts."""
        self.persist_at: int | None = None
        self.persist_for = 0
        self.time_wait_at: int | None = None
        self.keepalives = 0
        """Keep-alives that the peer has not answered."""
        self.probe_at: int | None = None
        """When the tail loss probe is due."""
        self.reordering_at: int | None = None
        """When segments that others have overtaken count as lost."""
        self.last_answer: int | None = None
        """When an unacceptable segment was last answered."""
        self.last_data: int | None = None
        """When data last arrived in order."""
        self.last_heard = 0
        self.last_sent = 0

    def stop(self) -> None:
        """Stop all timers."""
        self.rto_at = self.probe_at = self.persist_at = self.time_wait_at = self.reordering_at = None

    def start_time_wait(self, now: int, msl: int) -> None:
        """TIME-WAIT: "turn off the other timers", start the one of two MSL."""
        self.stop()
        self.time_wait_at = now + 2 * msl


def next_due(end: "Endpoint") -> int | None:
    """When the first running timer is due; None where no timer runs."""
    timers = end.timers
    due, at = timers.rto_at, end.rcv.ack_at
    if at is not None and (due is None or at < due):
        due = at
    if timers.probe_at is not None or timers.persist_at is not None or timers.time_wait_at is not None:
        for at in (timers.probe_at, timers.persist_at, timers.time_wait_at):
            if at is not None and (due is None or at < due):
                due = at
    at = timers.reordering_at
    if at is not None and (due is None or at < due):
        due = at
    if end.config.keep_alive is None:
        return due
    at = keep_alive_at(end)
    return at if due is None or (at is not None and at < due) else due


def keep_alive_at(end: "Endpoint") -> int | None:
    """When the next keep-alive is due: only on an idle connection (section 3.8.4), with nothing that waits to be sent."""
    config, timers = end.config, end.timers
    if config.keep_alive is None or end.state not in {ESTABLISHED, CLOSE_WAIT}:
        return None
    if end.snd.high > end.snd.una or end.snd.end > end.snd.nxt:
        return None
    if timers.keepalives:
        return timers.last_sent + config.keep_alive_interval
    return max(timers.last_heard, timers.last_sent) + config.keep_alive


def fire(end: "Endpoint", now: int) -> None:
    """Act on every timer that is due."""
    rcv, timers = end.rcv, end.timers
    if timers.time_wait_at is not None and timers.time_wait_at <= now:
        # "If the time-wait timeout expires on a connection, delete the TCB, enter the CLOSED state"
        end.delete(Event.TIMEOUT_2MSL)
        return
    if rcv.ack_at is not None and rcv.ack_at <= now:
        rcv.ack_at = None
        # Nobody has answered: the next acknowledgements need not wait.
        rcv.interactive = False
        rcv.owe("delayed-ack")
    if timers.probe_at is not None and timers.probe_at <= now:
        timers.probe_at = None
        by_time.probed(end, now)
    if timers.reordering_at is not None and timers.reordering_at <= now:
        timers.reordering_at = None
        by_time.overtaken(end, now)
    if timers.rto_at is not None and timers.rto_at <= now:
        _retransmission_timeout(end, now)
    if timers.persist_at is not None and timers.persist_at <= now:
        timers.persist_at = None
        output.probe(end, now)
    due = keep_alive_at(end)
    if due is not None and due <= now:
        _keep_alive(end, now)


def _retransmission_timeout(end: "Endpoint", now: int) -> None:
    """RFC 6298, (5.4) to (5.6): send the earliest segment again, back off, restart the timer."""
    snd, recovery, timers = end.snd, end.recovery, end.timers
    opening = end.state in {SYN_SENT, SYN_RECEIVED}
    timers.retries += 1
    timers.timeouts += 1
    timers.probe_at = timers.reordering_at = None
    if timers.retries > _retries(end):
        # Section 3.8.3: R2 is reached, the connection is given up.
        end.delete(Event.DELETE if end.state is SYN_SENT else Event.SEND_RST, Notice.TIMED_OUT)
        return
    if not (end.state is SYN_SENT and timers.retries <= end.config.syn_linear_timeouts):
        end.rtt.back_off()
    timers.rto_at = now + end.rtt.rto
    snd.timed = None
    if opening:
        end.resend_syn = True
        return
    if end.rack is not None:
        by_time.timed_out(end, now)
        return
    if end.control is not None and (timers.retries == 1 or recovery.cause != "timeout"):
        end.control.timed_out(snd.high - snd.una)
    recovery.start_timeout(snd.una, snd.high)


def _retries(end: "Endpoint") -> int:
    config = end.config
    match end.state:
        case State.SYN_RECEIVED if config.syn_ack_retries is not None:
            return config.syn_ack_retries
        case State.SYN_SENT | State.SYN_RECEIVED:
            return config.syn_retries
        case _:
            return config.retries


def _keep_alive(end: "Endpoint", now: int) -> None:
    """Section 3.8.4: <SEQ=SND.NXT-1><ACK=RCV.NXT><CTL=ACK>, which the peer must answer."""
    if end.timers.keepalives >= end.config.keep_alive_probes:
        reset = output.reset(end, now)
        end.delete(Event.SEND_RST, Notice.TIMED_OUT)
        if end.config.rst_after_keep_alives:
            end.replies.append(Outgoing(reset, "rst"))
        return
    end.timers.keepalives += 1
    end.replies.append(Outgoing(output.keep_alive(end, now), "keep-alive"))
