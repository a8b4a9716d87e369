"""Labkit's end of a live conversation: an `Endpoint` on a `Station`, with the scenario's path between it and the wire.

It captures segments at the scenario's capture point: at this end, before the path, or at the other end, behind it. Times are
those of the run's clock.
"""

import heapq
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from labkit.build.path import HEADERS, Path
from labkit.build.scenario import setup
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.setup import OTHER, Parts
from labkit.errors import LinkError, UsageError
from labkit.i18n import _
from labkit.live.station import Received, Station
from labkit.packet.frame_edits import cut
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Framing, Host
from labkit.tcp.endpoint import Config, Endpoint, Notice, Outgoing
from labkit.tcp.segment import ACK, CE, ECT0, ECT1, FIN, RST, SYN, Segment
from labkit.tcp.state import State


@dataclass(slots=True)
class CapturedSegment:
    """A segment of the capture. If it has yet to arrive at labkit's end, `before` and `after` change when it does."""

    time: int
    sender: str
    segment: Segment
    frame: bytes
    before: State
    after: State
    """The state of labkit's end before and after."""
    connection: int
    arrived: bool
    """False if the path loses it."""
    why: str = ""
    """Why labkit sent it; empty for a segment of the peer."""
    step: str = ""
    ident: int | None = None
    number: int = 0
    """The packet number, from 1."""


class InFlight(NamedTuple):
    """A segment of the peer on the path, with its captured form if the capture point is before the path."""

    received: Received
    captured: CapturedSegment | None


class LabkitEnd:
    """Labkit's end. Call `arrive` when the link is readable, and `go_on` then, when it is `due`, and after each step."""

    def __init__(self, model: ScenarioModel, parts: Parts, side: str, station: Station, path: Path) -> None:
        self.model, self.parts, self.side, self.station, self.path = model, parts, side, station, path
        self.peer: Host | None = parts.hosts[OTHER[side]] if side == "client" else None
        self.serving = 0
        self.captured: deque[CapturedSegment] = deque()
        """Segments captured since the caller last emptied it."""
        self.isns: list[dict[str, int]] = []
        """The known initial sequence numbers of each connection, by side."""
        self.reading = True
        self.received = bytearray()
        """The bytes that the application has read from the current connection."""
        self._near = model.capture != OTHER[side]
        self._framing = Framing(fragment=model.path.fragment)
        self._header_octets = HEADERS[station.own.ip.version]
        self._queue: list[tuple[int, int, InFlight | CapturedSegment]] = []
        """The segments on the path, by the time at which they leave it."""
        self._order = self._ident = self._sent = self._count = 0
        self._sends: list[tuple[int, str]] = []
        self.loss = ""
        self.step = ""
        """The step that began last."""
        self._settled = State.CLOSED
        self.end = self._renew(0, 0)

    def _renew(self, connection: int, now: int) -> Endpoint:
        before: Endpoint | None = getattr(self, "end", None)
        used = before.snd.seq(before.snd.high) if before is not None and before.snd.high else None
        self.end = setup.endpoint(self.model, self.parts, self.side, now, used)
        self.serving = connection
        while len(self.isns) <= connection:
            self.isns.append({})
        self.isns[connection][self.side] = self.end.snd.iss
        self.reading, self._sent = True, 0
        self.received = bytearray()
        self._sends = []
        self.loss = ""
        self._settled = State.CLOSED
        return self.end

    # The state of this end, and what it knows of its peer.

    @property
    def state(self) -> State:
        """The endpoint's state."""
        return self.end.state

    @property
    def connected(self) -> bool:
        """Whether the handshake is complete."""
        return self.end.synchronised and self.state not in {State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED}

    @property
    def delivered(self) -> int:
        """Octets that TCP has delivered to the application."""
        return self.end.delivered

    @property
    def peer_closed(self) -> bool:
        """Whether the peer's FIN has arrived, or the connection is gone."""
        return self.end.received_fin or self.gone

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or it has ended."""
        return self.state is State.CLOSED

    def knows(self, octets: int) -> bool:
        """Whether the peer has acknowledged this many octets."""
        return self.end.snd.una > octets

    @property
    def acknowledged(self) -> int:
        """Octets that the peer has acknowledged."""
        snd = self.end.snd
        return max(min(snd.una, snd.end) - 1, 0)

    @property
    def unacknowledged(self) -> int:
        """Octets, SYN and FIN included, that wait for an acknowledgement."""
        return self.end.snd.high - self.end.snd.una

    @property
    def fin_acknowledged(self) -> bool:
        """Whether the peer has acknowledged the FIN."""
        return self.end.snd.fin_acked

    @property
    def owes(self) -> bool:
        """Whether this end still has to acknowledge a segment of the peer."""
        rcv = self.end.rcv
        return bool(rcv.unacked) or rcv.ack_at is not None or rcv.ack_why is not None

    @property
    def quiet(self) -> bool:
        """Whether no segment is in flight and no timer runs, except for keep-alives and TIME-WAIT."""
        if self._queue:
            return False
        if self.state in {State.CLOSED, State.LISTEN, State.TIME_WAIT}:
            return True
        return not self.owes and self.end.snd.high == self.end.snd.una and self.end.idle

    def due(self) -> int | None:
        """When to call `go_on` although no frame has come; None: never."""
        times = [self.end.timeout(), self.station.due(), self._queue[0][0] if self._queue else None]
        return min((time for time in times if time is not None), default=None)

    def _note_loss(self, captured: CapturedSegment | None) -> None:
        """Record how the connection ended, if the endpoint reports that."""
        peer = OTHER[self.side]
        for notice in self.end.events():
            if notice is Notice.TIMED_OUT:
                self.loss = _("the {peer} stopped answering").format(peer=peer)
            elif captured is None:
                continue
            elif notice is Notice.REFUSED and self.side == "client":
                text = _("the {peer} refused the connection (packet {number}; no program listens at {host})")
                self.loss = text.format(peer=peer, number=captured.number, host=self.peer)
            elif self.gone and captured.segment.ctl & RST:
                text = _("the {peer} reset the connection (packet {number})")
                self.loss = text.format(peer=peer, number=captured.number)
            elif notice is Notice.PEER_CLOSED:
                text = _("the {peer} closed the connection (packet {number})")
                self.loss = text.format(peer=peer, number=captured.number)

    # The steps.

    def serves(self, connection: int) -> bool:
        """Whether a connection is the current one."""
        return self.serving == connection

    def listen(self) -> None:
        """Accept connections."""
        self.end.listen()
        self._settled = State.LISTEN

    def connect(self, connection: int, now: int) -> None:
        """Open a connection. UsageError if another one exists."""
        if connection != self.serving:
            if self.state not in {State.CLOSED, State.LISTEN, State.TIME_WAIT}:
                raise UsageError("connection already exists")
            self._renew(connection, now)
        if self.peer is None:
            self.peer = self.parts.hosts[OTHER[self.side]]
        if self.state is State.LISTEN:
            self.end.close(now)
        self.end.open(now)

    def send(self, payload: bytes, now: int, *, urgent: bool = False) -> None:
        """Queue octets for sending. UsageError without a connection."""
        self.end.send(payload, now, urgent=urgent)
        self._sent += len(payload)
        self._sends.append((self._sent, self.step))

    def close(self, now: int) -> None:
        """Close the connection. UsageError if there is none."""
        self.end.close(now)

    def abort(self, now: int) -> None:
        """Reset the connection. UsageError if there is none."""
        self.end.abort(now)

    def crash(self, now: int) -> None:
        """Forget the connection."""
        self.end = setup.endpoint(self.model, self.parts, self.side, now)
        self._settled = State.CLOSED

    def leave(self, now: int) -> bool:
        """Reset a connection that is still open; return whether a reset was sent."""
        if self.state in {State.CLOSED, State.LISTEN, State.TIME_WAIT}:
            return False
        self.end.abort(now)
        self._queue.clear()
        try:
            for out in self.end.segments(now):
                if self.peer is not None:
                    self.station.transmit(self._frames(out.segment, self.peer)[0], self.peer.address, now)
        except LinkError:
            return False
        return True

    # Segments.

    def arrive(self, now: int) -> None:
        """Read frames from the wire and put their segments on the path."""
        for received in self.station.poll(now):
            times = self.path.carry(OTHER[self.side], self._size(received.segment), now)
            if self.path.marked(OTHER[self.side]):
                received = received._replace(segment=_marked(received.segment))
            captured = None if self._near else self._capture_received(received, now, bool(times))
            for at in times:
                self._enqueue(at, InFlight(received, captured))

    def go_on(self, now: int) -> bool:
        """Handle the next segment or timer that is due; return whether there was one.

        The application can then act before `flush` sends acknowledgements.
        """
        while self._queue and self._queue[0][0] <= now:
            _time, _order, item = heapq.heappop(self._queue)
            if isinstance(item, InFlight):
                self._receive(item, now)
                return True
            self._transmit(item, now)
        due = self.end.timeout()
        if due is None or due > now:
            return False
        self.end.handle_timeout(now)
        self._note_loss(None)
        return True

    def flush(self, now: int) -> None:
        """Let the application read, and send the segments that the endpoint has to send."""
        if self.reading:
            self.received += self.end.read()
        self.end.events()
        for out in self.end.segments(now):
            self._send_segment(out, now)
        self._settled = self.state

    def _enqueue(self, time: int, item: InFlight | CapturedSegment) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, item))

    def _receive(self, item: InFlight, now: int) -> None:
        """Pass a segment of the peer to the endpoint."""
        received, captured = item
        source, segment = received.source, received.segment
        opening = segment.ctl & (SYN | ACK | RST) == SYN
        is_waiting = self.state is State.LISTEN or (self.peer is None and self.state is State.CLOSED)
        if opening and self.parts.listens and self.side == "server" and self._begins_next(segment):
            self._renew(self.serving + 1, now)
            self.listen()
            is_waiting = True
        if is_waiting and (opening or self.peer is None):
            self.peer = source
        if self.peer is None or (source.address, source.port) != (self.peer.address, self.peer.port):
            self._refuse(received, now)
            return
        before = self._settled
        self.isns[self.serving].setdefault(OTHER[self.side], segment.seq if segment.ctl & SYN else 0)
        self.end.receive(segment, now)
        self._settled = self.state
        captured = captured or self._capture_received(received, now, True)
        captured.before, captured.after = before, self._settled
        self._note_loss(captured)

    def _begins_next(self, segment: Segment) -> bool:
        if self.state is State.CLOSED:
            return bool(self.end.synchronised or self.end.snd.high)
        return self.end.gives_way(segment)

    def _capture_received(self, received: Received, now: int, arrived: bool) -> CapturedSegment:
        sender, state = OTHER[self.side], self._settled
        segment, frame = received.segment, received.frame
        return self._capture(CapturedSegment(now, sender, segment, frame, state, state, self.serving, arrived))

    def _capture(self, segment: CapturedSegment) -> CapturedSegment:
        self._count += 1
        segment.number = self._count
        self.captured.append(segment)
        return segment

    def _refuse(self, received: Received, now: int) -> None:
        """Answer a segment of another host as a closed port does."""
        closed = Endpoint(Config(), Random(0))
        closed.receive(received.segment, now)
        for out in closed.segments(now):
            for frame in self._frames(out.segment, received.source):
                self.station.transmit(frame, received.source.address, now)

    def _send_segment(self, out: Outgoing, now: int) -> None:
        """Put a segment of the endpoint on the path."""
        assert self.peer is not None  # noqa: S101 - an endpoint without a peer sends nothing
        segment, before = out.segment, self._settled
        if segment.ctl & (SYN | FIN | RST):
            self._settled = self.state
        self._ident += 1
        times = self.path.carry(self.side, self._size(segment), now)
        frame = self.station.frame(segment, self.station.own, self.peer, self._ident, self._framing)
        states = before, self._settled
        captured = CapturedSegment(
            now, self.side, segment, frame, *states, self.serving, bool(times), out.why, self._cause(out), self._ident
        )
        sent = replace(captured, segment=_marked(segment)) if self.path.marked(self.side) else captured
        for at in times:
            if at <= now:
                self._transmit(sent, now)
            else:
                self._enqueue(at, sent)
        # After sending, because the guard may refuse the frame.
        if self._near:
            self._capture(captured)

    def _transmit(self, captured: CapturedSegment, at: int) -> None:
        """Send a segment that has passed the path."""
        assert self.peer is not None  # noqa: S101 - the segment was sent to it
        frames = self._frames(captured.segment, self.peer, captured.ident)
        if not self._near:
            self._capture(replace(captured, time=at, frame=frames[0]))
        for frame in frames:
            self.station.transmit(frame, self.peer.address, at)

    def _frames(self, segment: Segment, target: Host, ident: int | None = None) -> list[bytes]:
        """The frames of a segment behind the path: with a lower TTL, and in fragments if the path fragments."""
        if ident is None:
            self._ident += 1
            ident = self._ident
        own = self.station.own.forwarded(self.model.path.hops)
        whole = self.station.frame(segment, own, target, ident, self._framing)
        limit, header = self.model.path.fragment, 40 if own.ip.version == 6 else 20
        if limit is None or len(whole) - 14 <= limit:
            return [whole]
        return cut(whole, ETHERNET, (limit - header - (8 if header == 40 else 0)) // 8 * 8, ident)

    def _cause(self, out: Outgoing) -> str:
        """The step that caused a segment."""
        segment = out.segment
        if segment.payload and self._sends:
            last = self.end.snd.position(segment.seq) - 1 + len(segment.payload)
            at = bisect_left(self._sends, last, key=lambda item: item[0])
            return self._sends[min(at, len(self._sends) - 1)][1]
        return self.step

    def peer_host(self) -> Host:
        """The host at the other end, or the scenario's host if no peer has connected yet."""
        return self.peer or self.parts.hosts[OTHER[self.side]]

    def _size(self, segment: Segment) -> int:
        """The datagram's length, which the path counts."""
        return self._header_octets + len(segment.header) + len(segment.payload)


def _marked(segment: Segment) -> Segment:
    return segment.with_(ecn=CE) if segment.ecn in {ECT0, ECT1} else segment
