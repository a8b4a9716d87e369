"""One side of one TCP connection, without I/O: the user's calls of RFC 9293 section 3.10, and the state.

The strategy is that of sans-I/O protocols: calls, segments and timers go in with the time `now` (nanoseconds on any clock
that does not go back), and the caller collects what is to be sent:

    client.open(now); for out in client.segments(now): carry(out.segment)
    server.receive(segment, now); for out in server.segments(now): ...
    wake me at client.timeout(); client.handle_timeout(now); for out in client.segments(now): ...

An acknowledgement that is due waits until `segments` is called. A caller that lets the application answer first gets the
acknowledgement on the answer; any other caller gets a segment for it.

The object is the connection's record (the RFC's TCB). Each of its parts owns one kind of state:

    snd       Sender       what is queued and under way, and the window that the peer offers
    rcv       Receiver     what has arrived, the window that is offered, the acknowledgement that is due
    recovery  Recovery     what is lost, and what to send again
    rack      Rack         the same by time instead of duplicate acknowledgements, where the configuration has it
    control   Algorithm    the congestion window
    rtt       Rtt          the retransmission timeout
    timers    Timers       when each timer is due
    stamps    Timestamps   the timestamps option
    ecn       Ecn          explicit congestion notification

Three modules connect the parts, one for each thing that can happen: `arrival` (a segment arrives, with `acks` and
`handshake`), `output` (the caller collects segments) and `timers` (time has passed). All other code only reads.
"""

from collections.abc import Callable
from random import Random

from labkit.errors import UsageError
from labkit.i18n import _
from labkit.tcp import state as machine
from labkit.tcp.endpoint import arrival, output, timers
from labkit.tcp.endpoint.accurate_ecn import AccurateEcn
from labkit.tcp.endpoint.config import Config
from labkit.tcp.endpoint.congestion import Algorithm
from labkit.tcp.endpoint.ecn import Ecn
from labkit.tcp.endpoint.multipath import MultipathState
from labkit.tcp.endpoint.rack import Rack
from labkit.tcp.endpoint.receiver import Receiver
from labkit.tcp.endpoint.recovery import Recovery
from labkit.tcp.endpoint.rtt import Rtt
from labkit.tcp.endpoint.sender import Sender
from labkit.tcp.endpoint.signals import Notice, Outgoing
from labkit.tcp.endpoint.timers import Timers
from labkit.tcp.endpoint.timestamps import Timestamps
from labkit.tcp.segment import SYN, Segment
from labkit.tcp.signatures import Signer
from labkit.tcp.state import CLOSE_WAIT, CLOSED, ESTABLISHED, LISTEN, SYN_RECEIVED, SYN_SENT, TIME_WAIT, Event, State

SENDING = frozenset({SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSE_WAIT})
"""The states in which the application may still send (section 3.10.2)."""


class Endpoint:
    """One side of one connection. The module's docstring says how to drive it.

    `rng` draws what the configuration leaves open (ISS, timestamp offset), in a fixed order. `observe`, if given, is called
    with every change of state: (before, event, after).
    """

    __slots__ = (
        *("active", "before", "config", "observe", "state", "synchronised"),
        *("control", "ecn", "rack", "rcv", "recovery", "rtt", "snd", "stamps", "timers"),
        *("cookie", "fast_opened", "multipath", "resend_syn", "scaling", "signer"),
        *("delivered", "notices", "received_fin", "replies"),
    )

    def __init__(
        self,
        config: Config,
        rng: Random,
        observe: Callable[[State, Event, State], None] | None = None,
        signer: Signer | None = None,
    ) -> None:
        iss, offset = rng.getrandbits(32), rng.getrandbits(32)
        self.config = config
        self.observe = observe
        self.signer = signer
        """Signs every segment, and drops those that the peer has not signed with the same key."""
        self.state = self.before = CLOSED
        """The state, and the one in which the last segment arrived."""
        self.active = False
        """Whether the connection began with an active OPEN."""
        self.synchronised = False
        """Whether the peer's SYN has arrived, so that there is something to acknowledge."""

        self.snd = Sender(iss if config.iss is None else config.iss, config)
        self.rcv = Receiver(config)
        self.recovery = Recovery()
        self.rack: Rack | None = None
        self.control: Algorithm | None = None
        self.rtt = Rtt(config)
        self.timers = Timers()
        self.stamps = Timestamps(offset if config.timestamp_offset is None else config.timestamp_offset)
        self.multipath = MultipathState(config.mptcp, rng.getrandbits(64) if config.mptcp else 0)
        accurate = config.ecn == "accurate"
        if accurate or (config.ecn and config.accurate_if_answered):
            self.ecn: Ecn = AccurateEcn(accurate, config.mark_all)
        else:
            self.ecn = Ecn(bool(config.ecn))

        self.scaling = False
        """Whether both sides scale windows."""
        self.fast_opened = False
        """Whether a passive side has taken the data of the SYN, and may answer before the handshake is complete."""
        self.cookie: bytes | None = None
        """The Fast Open cookie that the peer gave."""
        self.resend_syn = False
        self.received_fin = False
        self.delivered = 0
        """Octets that the application could read so far."""
        self.replies: list[Outgoing] = []
        """Segments that are formed already and wait to be collected."""
        self.notices: list[Notice] = []

    # The user's calls (section 3.10.1 to 3.10.5).

    def listen(self) -> None:
        """Passive OPEN. UsageError if the connection exists."""
        self._check_unused()
        self.move(Event.PASSIVE_OPEN)

    def open(self, now: int) -> None:
        """Active OPEN: `segments` gives the SYN. UsageError if the connection exists."""
        self._check_unused()
        self.active = True
        self.timers.last_heard = now
        self.move(Event.ACTIVE_OPEN)

    def send(self, data: bytes | bytearray | memoryview, now: int, urgent: bool = False, more: bool = False) -> None:
        """SEND: queue octets, pushed. UsageError before OPEN and after CLOSE.

        `urgent` announces them, and all before them, as urgent (section 3.8.5; RFC 6093 discourages its use). With `more` they
        are not pushed (section 3.9.1.2): what fills no segment waits for the next SEND, at most for a retransmission timeout.
        """
        if self.state is CLOSED or self.state is LISTEN:
            raise UsageError(_("connection does not exist"))
        if self.state not in SENDING or self.snd.fin is not None:
            raise UsageError(_("connection closing"))
        self._after_idle(now)
        if data:
            self.snd.write(data, urgent, more)

    def read(self, limit: int | None = None) -> bytes:
        """RECEIVE: take octets that arrived in order, at most `limit`. Reading opens the window again."""
        ready = self.rcv.ready
        taken = bytes(ready if limit is None else ready[:limit])
        del ready[: len(taken)]
        self.rcv.read(self.rtt.srtt or 0)
        return taken

    def close(self, now: int) -> None:
        """CLOSE: send what is queued, then FIN, and no more data. Receiving goes on.

        UsageError if the connection does not exist or was closed before.
        """
        match self.state:
            case State.CLOSED:
                raise UsageError(_("connection does not exist"))
            case State.LISTEN | State.SYN_SENT:
                self.delete(Event.DELETE)
            case _ if self.snd.fin is not None:
                raise UsageError(_("connection closing"))
            case _:
                # The state moves when the FIN goes out, as in figure 5: "CLOSE, snd FIN". Until then nothing has changed
                # for the peer. In SYN-RECEIVED the FIN is queued until ESTABLISHED.
                self._after_idle(now)
                self.snd.fin = self.snd.end

    def abort(self, now: int) -> None:
        """ABORT: delete the connection; send <SEQ=SND.NXT><CTL=RST> if the peer knows of it."""
        match self.state:
            case State.CLOSED:
                raise UsageError(_("connection does not exist"))
            case State.LISTEN | State.SYN_SENT:
                self.delete(Event.DELETE)
            case State.CLOSING | State.LAST_ACK | State.TIME_WAIT:
                self.delete(Event.SEND_RST if self.state is not TIME_WAIT else Event.DELETE)
            case _:
                reset = output.reset(self, now)
                self.delete(Event.SEND_RST)
                self.replies.append(Outgoing(reset, "rst"))
                self.timers.last_sent = now

    # Segments and time.

    def receive(self, segment: Segment, now: int) -> None:
        """A segment of this connection arrives (section 3.10.7). One without the right signature is dropped."""
        self.before = self.state
        if self.signer is None or self.signer.accepts(segment, self.snd.iss, self.rcv.irs):
            arrival.arrives(self, segment, now)

    def gives_way(self, segment: Segment) -> bool:
        """Whether a SYN may begin the next connection between the same addresses and ports (RFC 9293 section 3.6.1).

        An endpoint is one connection: its owner replaces it by one in LISTEN, which then receives the SYN.
        """
        return arrival.gives_way(self, segment)

    def segments(self, now: int) -> list[Outgoing]:
        """The segments to transmit now, in order."""
        found = output.segments(self, now)
        if self.multipath.agreed:
            found = [out._replace(segment=self.multipath.complete(self, out.segment)) for out in found]
        if self.signer is not None:
            found = [out._replace(segment=self._signed(self.signer, out.segment)) for out in found]
        return found

    def _signed(self, signer: Signer, segment: Segment) -> Segment:
        # A host that knows nothing of the connection has no key for its RST.
        known = self.synchronised or segment.ctl & SYN
        return signer.sign(segment, self.snd.iss, self.rcv.irs) if known else segment

    def timeout(self) -> int | None:
        """When `handle_timeout` has something to do; None while no timer runs."""
        return timers.next_due(self)

    @property
    def idle(self) -> bool:
        """Whether no timer runs but that of keep-alives, which never end."""
        return timers.next_due(self) == timers.keep_alive_at(self)

    def handle_timeout(self, now: int) -> None:
        """Act on every timer that is due (section 3.10.8)."""
        timers.fire(self, now)

    def events(self) -> list[Notice]:
        """What happened since the last call, for the application."""
        notices, self.notices = self.notices, []
        return notices

    # For the modules that connect the parts.

    def move(self, event: Event) -> None:
        """Change the state as the table says."""
        before = self.state
        self.state = machine.after(before, event)
        if self.observe is not None and self.state is not before:
            self.observe(before, event, self.state)

    def delete(self, event: Event, notice: Notice = Notice.CLOSED) -> None:
        """End the connection: no timer runs, and no segment is sent for it."""
        self.move(event)
        self.timers.stop()
        self.rcv.ack_at = self.rcv.ack_why = None
        self.resend_syn = False
        self.notify(notice)

    def notify(self, notice: Notice) -> None:
        """Keep a notice for the application."""
        self.notices.append(notice)

    def _check_unused(self) -> None:
        if self.state is not CLOSED or self.synchronised or self.snd.high:
            raise UsageError(_("connection already exists"))

    def _after_idle(self, now: int) -> None:
        """RFC 5681 section 4.1: after an idle retransmission timeout, begin slowly again."""
        in_flight = self.snd.high > self.snd.una
        if not in_flight and self.control is not None and now - self.timers.last_sent > self.rtt.rto:
            self.control.idle()
