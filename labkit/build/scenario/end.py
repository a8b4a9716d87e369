"""An end of a conversation that is an `Endpoint`: what the simulation and labkit's end of a live conversation share.

It has one endpoint at a time, for the connection that it serves; see `labkit.build.application.End`.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import ClassVar

from labkit.build.scenario import setup
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.scripted import ScriptLine
from labkit.build.scenario.setup import Parts
from labkit.errors import UsageError
from labkit.i18n import _
from labkit.tcp import seq as sn
from labkit.tcp.endpoint import Endpoint, Outgoing
from labkit.tcp.options import Timestamps
from labkit.tcp.segment import FIN, RST, SYN, Segment
from labkit.tcp.state import CLOSED, LISTEN, SYN_RECEIVED, SYN_SENT, TIME_WAIT, State


class Heard:
    """What a side has heard of its peer, whatever its own TCP makes of it."""

    __slots__ = ("closed", "count", "isn", "octets", "reset", "stamp")

    def __init__(self) -> None:
        self.count = 0
        """Segments that have arrived."""
        self.isn: int | None = None
        """The number of the peer's last SYN."""
        self.stamp = 0
        """The last timestamp."""
        self.octets = 0
        """The octets up to the highest number."""
        self.closed = self.reset = False
        """Whether a FIN or RST, and whether a RST, has arrived."""

    def note(self, segment: Segment) -> None:
        """A segment has arrived."""
        self.count += 1
        if segment.ctl & SYN and segment.seq != self.isn:
            self.isn, self.octets = segment.seq, 0
            self.closed = self.reset = False
        self.reset = self.reset or segment.ctl & RST != 0
        self.closed = self.reset or self.closed or segment.ctl & FIN != 0
        for each in segment.options:
            if isinstance(each, Timestamps):
                self.stamp = each.value
        if segment.payload and self.isn is not None:
            end = sn.add(segment.seq, len(segment.payload) + (segment.ctl & SYN != 0))
            self.octets = max(self.octets, sn.diff(end, self.isn) - 1)


class EndpointEnd:
    """One end. A subclass adds `flush`, which sends the segments of the endpoint."""

    __slots__ = (
        "heard_of",
        "isns",
        "model",
        "opened",
        "parts",
        "reading",
        "recorded",
        "sends",
        "serving",
        "side",
        "silent",
        "step",
        "tcp",
    )

    REPLACEABLE: ClassVar[frozenset[State]] = frozenset({CLOSED, LISTEN})
    """The states in which a connect may begin another connection."""

    def __init__(self, model: ScenarioModel, parts: Parts, side: str) -> None:
        self.model, self.parts, self.side = model, parts, side
        self.step = ""
        self.heard_of = Heard()
        self.silent = side in model.scripted
        """Whether this end has no TCP, and only sends what is written down."""
        self.opened = False
        """Whether it has sent a SYN that is written down."""
        self.isns: dict[int, int] = {}
        """The initial sequence number of this end in each connection."""
        self._serve(0, 0, None)

    def _serve(self, connection: int, now: int, used: int | None) -> None:
        """Take a new endpoint for a connection; `used` is the last sequence number of the connection before, if known."""
        waiting = used is not None and self.tcp.state is TIME_WAIT
        self.tcp: Endpoint = setup.endpoint(self.model, self.parts, self.side, now, used, waiting)
        self.serving = connection
        self.isns[connection] = self.tcp.snd.iss
        self.reading = True
        self.sends: tuple[list[int], list[str]] = [], []
        """Where each send ends in the stream of this connection, and the step of each."""
        self.recorded = CLOSED
        """The state after the last recorded segment."""

    def serve_next(self, connection: int, now: int) -> None:
        """Be ready for another connection."""
        snd = self.tcp.snd
        # A host that has crashed does not know which numbers it has used; its clock alone makes the next ones greater.
        self._serve(connection, now, snd.seq(snd.high) if snd.high else None)

    def listen(self) -> None:
        """Open the connection passively."""
        self.tcp.listen()
        self.recorded = LISTEN

    # What the application asks.

    @property
    def connected(self) -> bool:
        """Whether the handshake is complete."""
        if self.silent:
            return self.heard_of.isn is not None
        return self.tcp.synchronised and self.tcp.state not in {SYN_SENT, SYN_RECEIVED, CLOSED}

    @property
    def delivered(self) -> int:
        """Octets that TCP has delivered to the application."""
        return self.heard_of.octets if self.silent else self.tcp.delivered

    @property
    def peer_closed(self) -> bool:
        """Whether the peer's FIN has arrived, or the connection is gone."""
        return self.heard_of.closed if self.silent else self.tcp.received_fin or self.tcp.state is CLOSED

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or it has ended."""
        return self.heard_of.reset if self.silent else self.tcp.state is CLOSED

    @property
    def heard(self) -> int:
        """How many segments of the peer have arrived."""
        return self.heard_of.count

    def knows(self, octets: int) -> bool:
        """Whether the peer has acknowledged this many octets."""
        return self.tcp.snd.una > octets

    def serves(self, connection: int) -> bool:
        """Whether a connection is the current one."""
        return self.serving == connection or bool(self.model.scripted)

    # What the application does.

    def connect(self, connection: int, now: int) -> None:
        """Open a connection. UsageError if another one exists."""
        if connection != self.serving:
            if self.tcp.state not in self.REPLACEABLE:
                raise UsageError(_("connection already exists"))
            self.serve_next(connection, now)
        if self.tcp.state is LISTEN:
            self.tcp.close(now)
        self.tcp.open(now)

    def send(self, payload: bytes, now: int, *, urgent: bool = False, more: bool = False) -> None:
        """Queue octets for sending. UsageError without a connection."""
        self.tcp.send(payload, now, urgent=urgent, more=more)
        if payload:
            until, steps = self.sends
            until.append((until[-1] if until else 0) + len(payload))
            steps.append(self.step)

    def close(self, now: int) -> None:
        """Close the connection. UsageError if there is none."""
        self.tcp.close(now)

    def abort(self, now: int) -> None:
        """Reset the connection. UsageError if there is none."""
        self.tcp.abort(now)

    def script(self, line: ScriptLine, now: int) -> Callable[[], bool]:  # noqa: ARG002 - part of the protocol
        """Send a segment as it is written, beside the endpoint's own. It counts as arrived: no end sees the path."""
        heard = self.heard_of
        segment = line.resolved(self.tcp.snd.iss, heard.isn or 0, heard.stamp)
        if self.silent and segment.ctl & SYN and not self.opened:
            self.isns[self.serving], self.opened = segment.seq, True
        self.tcp.replies.append(Outgoing(segment, ""))
        return lambda: True

    def crash(self, now: int) -> None:
        """Restart the host: it has forgotten the connection."""
        self.tcp = setup.endpoint(self.model, self.parts, self.side, now)
        self.recorded = CLOSED

    def sending_step(self, segment: Segment) -> str | None:
        """The step that has sent the last octet of a segment; None without data."""
        if not segment.payload:
            return None
        until, steps = self.sends
        if not steps:
            return None
        last = self.tcp.snd.position(segment.seq) - 1 + len(segment.payload)
        return steps[min(bisect_left(until, last), len(steps) - 1)]
