"""One side of one TCP connection, without I/O: the user's calls of RFC 9293 section 3.10, and the state.

The strategy is that of sans-I/O protocols: calls, segments and timers go in with the time `now` (nanoseconds
on any clock that does not go back), and the caller collects what is to be sent:

    client.open(now); for out in client.segments(now): carry(out.segment)
    server.receive(segment, now); for out in server.segments(now): ...
    wake me at client.timeout(); client.handle_timeout(now); for out in client.segments(now): ...

An acknowledgement that is owed waits until `segments` is called. Whoever lets the application answer an
arrival before that call gets the acknowledgement on the answer; whoever does not gets a segment for it.

The object is the connection's record (the RFC's TCB): `arrival` changes it for a segment that arrives,
`output` decides what to send, `timers` what to do when time has passed. They share its attributes; everyone
else reads only.
"""

from collections.abc import Callable
from random import Random

from labkit.errors import UsageError
from labkit.tcp import state as machine
from labkit.tcp.endpoint import arrival, output, timers
from labkit.tcp.endpoint.config import Config
from labkit.tcp.endpoint.congestion import Algorithm
from labkit.tcp.endpoint.receiver import Receiver
from labkit.tcp.endpoint.recovery import Recovery
from labkit.tcp.endpoint.rtt import Rtt
from labkit.tcp.endpoint.sender import Sender
from labkit.tcp.endpoint.signals import Notice, Outgoing
from labkit.tcp.segment import ACK, RST, Segment
from labkit.tcp.state import Event, State

SENDING = frozenset({State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT})
"""The states in which the application may still send (section 3.10.2)."""


class Endpoint:
    """One side of one connection. See the module's text for how it is driven.

    `rng` draws what the configuration leaves open (ISS, timestamp offset), in a fixed order. `observe`, where
    given, is called with every change of state: (before, event, after).
    """

    __slots__ = (
        "active",
        "config",
        "control",
        "cookie",
        "delivered",
        "ecn",
        "ecn_echo",
        "ecn_point",
        "ecn_reduced",
        "fast_opened",
        "keepalives",
        "last_heard",
        "last_sent",
        "notices",
        "observe",
        "persist_at",
        "persist_for",
        "rcv",
        "received_fin",
        "recovery",
        "replies",
        "resend_syn",
        "retries",
        "rto_at",
        "rtt",
        "scaling",
        "snd",
        "stamping",
        "state",
        "synchronised",
        "time_wait_at",
        "ts_acked",
        "ts_offset",
        "ts_recent",
        "ts_recent_at",
    )

    def __init__(
        self, config: Config, rng: Random, observe: Callable[[State, Event, State], None] | None = None
    ) -> None:
        drawn = rng.getrandbits(32), rng.getrandbits(32)
        self.config = config
        self.observe = observe
        self.state = State.CLOSED
        self.active = False
        """Whether the connection began with an active OPEN."""
        self.synchronised = False
        """Whether the peer's SYN has arrived, so that there is something to acknowledge."""
        self.snd = Sender(drawn[0] if config.iss is None else config.iss, config)
        self.rcv = Receiver(config)
        self.rtt = Rtt(config)
        self.recovery = Recovery()
        self.control: Algorithm | None = None
        self.scaling = False
        self.stamping = False
        self.ts_offset = drawn[1] if config.timestamp_offset is None else config.timestamp_offset
        self.ts_recent = 0
        """TS.Recent (RFC 7323 section 4.3), and when it was set."""
        self.ts_recent_at = 0
        self.ts_acked = 0
        """Last.ACK.sent, as a position."""
        self.ecn = False
        """Whether both sides agreed to ECN."""
        self.ecn_echo = False
        """A mark has arrived, and is echoed until the sender has reacted."""
        self.ecn_point = 0
        """The window was reduced for an echo: until this position is acknowledged, it is not again."""
        self.ecn_reduced = False
        """The next new data tells the peer that the window was reduced."""
        self.fast_opened = False
        """A passive side has taken the data of the SYN, and may answer before the handshake is over."""
        self.cookie: bytes | None = None
        """The Fast Open cookie that the peer gave."""
        self.replies: list[Outgoing] = []
        """Segments that were formed already and only wait to be collected."""
        self.resend_syn = False
        self.received_fin = False
        self.delivered = 0
        """Octets that became readable so far."""
        self.notices: list[Notice] = []
        self.retries = 0
        self.rto_at: int | None = None
        self.persist_at: int | None = None
        self.persist_for = 0
        self.time_wait_at: int | None = None
        self.keepalives = 0
        self.last_heard = 0
        self.last_sent = 0

    # The user's calls (section 3.10.1 to 3.10.5).

    def listen(self) -> None:
        """Passive OPEN. UsageError where the connection exists."""
        self._fresh()
        self.move(Event.PASSIVE_OPEN)

    def open(self, now: int) -> None:
        """Active OPEN: `segments` gives the SYN. UsageError where the connection exists."""
        self._fresh()
        self.active = True
        self.last_heard = now
        self.move(Event.ACTIVE_OPEN)

    def send(self, data: bytes, now: int, urgent: bool = False) -> None:
        """SEND: queue octets; they are pushed. UsageError before OPEN and after CLOSE.

        `urgent` announces them, and all before them, as urgent (section 3.8.5; RFC 6093: better not used any
        more).
        """
        if self.state is State.CLOSED or self.state is State.LISTEN:
            raise UsageError("connection does not exist")
        if self.state not in SENDING or self.snd.fin is not None:
            raise UsageError("connection closing")
        if not self._in_flight():
            self._after_idle(now)
        if data:
            self.snd.write(data, urgent)

    def read(self, limit: int | None = None) -> bytes:
        """RECEIVE: take octets that arrived in order, at most `limit`; reading is what opens the window
        again.
        """
        ready = self.rcv.ready
        taken = bytes(ready if limit is None else ready[:limit])
        del ready[: len(taken)]
        return taken

    def close(self, now: int) -> None:
        """CLOSE: no more data will be sent; what is queued still is, then FIN. Receiving goes on.

        UsageError where the connection does not exist or was closed before.
        """
        match self.state:
            case State.CLOSED:
                raise UsageError("connection does not exist")
            case State.LISTEN | State.SYN_SENT:
                self.delete(Event.DELETE)
            case _ if self.snd.fin is not None:
                raise UsageError("connection closing")
            case _:
                # The state moves when the FIN goes out, as in figure 5: "CLOSE, snd FIN". Until then the
                # connection is what it was for the peer. In SYN-RECEIVED the FIN is queued until ESTABLISHED.
                if not self._in_flight():
                    self._after_idle(now)
                self.snd.fin = self.snd.end

    def abort(self, now: int) -> None:
        """ABORT: forget everything, and tell the peer with <SEQ=SND.NXT><CTL=RST> where it knows of us."""
        match self.state:
            case State.CLOSED:
                raise UsageError("connection does not exist")
            case State.LISTEN | State.SYN_SENT:
                self.delete(Event.DELETE)
            case State.CLOSING | State.LAST_ACK | State.TIME_WAIT:
                self.delete(Event.SEND_RST if self.state is not State.TIME_WAIT else Event.DELETE)
            case _:
                # RFC 9293 asks for a bare RST here; stacks add what they have received, and an ACK does no
                # harm.
                reset = Segment(self.snd.seq(self.snd.high), self.rcv.ack, RST | ACK, 0)
                self.delete(Event.SEND_RST)
                self.replies.append(Outgoing(reset, "rst"))
                self.last_sent = now

    # The network's and the clock's.

    def receive(self, segment: Segment, now: int) -> None:
        """A segment of this connection arrives (section 3.10.7)."""
        arrival.arrives(self, segment, now)

    def gives_way(self, segment: Segment) -> bool:
        """Whether a SYN may begin the next connection between the same addresses and ports (RFC 9293 section 3.6.1).

        An endpoint is one connection: whoever holds it replaces it by one in LISTEN, and gives that the SYN.
        """
        return arrival.gives_way(self, segment)

    def segments(self, now: int) -> list[Outgoing]:
        """What is to be transmitted now, in order; empty where nothing is."""
        return output.segments(self, now)

    def timeout(self) -> int | None:
        """When `handle_timeout` has something to do; None: never, unless something else happens."""
        return timers.next_due(self)

    @property
    def idle(self) -> bool:
        """Whether nothing will happen here by itself but keep-alives, which never end."""
        return timers.next_due(self) == timers.keep_alive_at(self)

    def handle_timeout(self, now: int) -> None:
        """Time has passed: act on every timer that is due (section 3.10.8)."""
        timers.fire(self, now)

    def events(self) -> list[Notice]:
        """What happened since the last call, for the application."""
        notices, self.notices = self.notices, []
        return notices

    # For the modules beside this one.

    def move(self, event: Event) -> None:
        """Change the state as the table says."""
        before = self.state
        self.state = machine.after(before, event)
        if self.observe is not None and self.state is not before:
            self.observe(before, event, self.state)

    def delete(self, event: Event, notice: Notice = Notice.CLOSED) -> None:
        """The connection is gone: no timer runs, nothing more is sent for it."""
        self.move(event)
        self.rto_at = self.persist_at = self.time_wait_at = None
        self.rcv.ack_at = self.rcv.ack_why = None
        self.resend_syn = False
        self.notices.append(notice)

    def tell(self, notice: Notice) -> None:
        """Tell the application."""
        self.notices.append(notice)

    def _fresh(self) -> None:
        if self.state is not State.CLOSED or self.synchronised or self.snd.high:
            raise UsageError("connection already exists")

    def _in_flight(self) -> bool:
        return self.snd.high > self.snd.una

    def _after_idle(self, now: int) -> None:
        """RFC 5681 section 4.1: after an idle retransmission timeout, begin slowly again."""
        if self.control is not None and now - self.last_sent > self.rtt.rto:
            self.control.idle()
