"""Labkit's end of a live conversation: an `Endpoint` on a `Station`, with the scenario's path between it and the wire.

It captures segments at the scenario's capture point: at this end, before the path, or at the other end, behind it. Times are
those of the run's clock.
"""

import heapq
from collections import deque
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from labkit.build.path import Path, datagram_size, marked
from labkit.build.scenario.end import EndpointEnd
from labkit.build.scenario.header import Numbering, header_of
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.setup import OTHER, Parts
from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.station import Received, Station
from labkit.packet.frame_edits import cut
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Framing, Host
from labkit.tcp.endpoint import Config, Endpoint, Notice, Outgoing
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment
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
    ident: int = 0
    label: int = 0
    number: int = 0
    """The packet number, from 1."""


class InFlight(NamedTuple):
    """A segment of the peer on the path, with its captured form if the capture point is before the path."""

    received: Received
    captured: CapturedSegment | None


class LabkitEnd(EndpointEnd):
    """Labkit's end. Call `arrive` when the link is readable, and `go_on` then, when it is `due`, and after each step."""

    REPLACEABLE = EndpointEnd.REPLACEABLE | {State.TIME_WAIT}

    def __init__(self, model: ScenarioModel, parts: Parts, side: str, station: Station, path: Path) -> None:
        super().__init__(model, parts, side)
        self.numbering = Numbering(header_of(model, side), parts.secret, parts.seed, side, 0)
        self.station, self.path = station, path
        self.peer: Host | None = parts.hosts[OTHER[side]] if side == "client" else None
        self.captured: deque[CapturedSegment] = deque()
        """Segments captured since the caller last emptied it."""
        self.peer_isns: dict[int, int] = {}
        """The initial sequence number of the peer in each connection."""
        self.received = bytearray()
        """The bytes that the application has read from the current connection."""
        self._near = model.capture != OTHER[side]
        self._framing = Framing(fragment=model.path.fragment)
        self._queue: list[tuple[int, int, InFlight | CapturedSegment]] = []
        """The segments on the path, by the time at which they leave it."""
        self._order = self._count = 0
        self.loss = ""

    def serve_next(self, connection: int, now: int) -> None:
        """Be ready for another connection."""
        super().serve_next(connection, now)
        self.received = bytearray()
        self.loss = ""

    # The state of this end, and what it knows of its peer.

    @property
    def state(self) -> State:
        """The endpoint's state."""
        return self.tcp.state

    @property
    def acknowledged(self) -> int:
        """Octets that the peer has acknowledged."""
        snd = self.tcp.snd
        return max(min(snd.una, snd.end) - 1, 0)

    @property
    def unacknowledged(self) -> int:
        """Octets, SYN and FIN included, that wait for an acknowledgement."""
        return self.tcp.snd.high - self.tcp.snd.una

    @property
    def fin_acknowledged(self) -> bool:
        """Whether the peer has acknowledged the FIN."""
        return self.tcp.snd.fin_acked

    @property
    def owes(self) -> bool:
        """Whether this end still has to acknowledge a segment of the peer."""
        rcv = self.tcp.rcv
        return bool(rcv.unacked) or rcv.ack_at is not None or rcv.ack_why is not None

    @property
    def quiet(self) -> bool:
        """Whether no segment is in flight and no timer runs, except for keep-alives and TIME-WAIT."""
        if self._queue:
            return False
        if self.state in {State.CLOSED, State.LISTEN, State.TIME_WAIT}:
            return True
        return not self.owes and self.tcp.snd.high == self.tcp.snd.una and self.tcp.idle

    def due(self) -> int | None:
        """When to call `go_on` although no frame has come; None: never."""
        times = [self.tcp.timeout(), self.station.due(), self._queue[0][0] if self._queue else None]
        return min((time for time in times if time is not None), default=None)

    def _note_loss(self, captured: CapturedSegment | None) -> None:
        """Record how the connection ended, if the endpoint reports that."""
        peer = _(OTHER[self.side])
        for notice in self.tcp.events():
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

    def connect(self, connection: int, now: int) -> None:
        """Open a connection. UsageError if another one exists."""
        super().connect(connection, now)
        self.peer = self.peer or self.parts.hosts[OTHER[self.side]]

    def leave(self, now: int) -> bool:
        """Reset a connection that is still open; return whether a reset was sent."""
        if self.state in {State.CLOSED, State.LISTEN, State.TIME_WAIT}:
            return False
        self.tcp.abort(now)
        self._queue.clear()
        try:
            for out in self.tcp.segments(now):
                if self.peer is not None:
                    numbers = self.numbering.next(out, self.tcp, self.serving)
                    self.station.transmit(self._frames(out.segment, self.peer, *numbers)[0], self.peer.address, now)
        except LinkError:
            return False
        return True

    # Segments.

    def arrive(self, now: int) -> None:
        """Read frames from the wire and put their segments on the path."""
        for received in self.station.poll(now):
            times = self.path.carry(OTHER[self.side], datagram_size(received.segment, self.station.own.ip.version), now)
            if self.path.marked(OTHER[self.side]):
                received = received._replace(segment=marked(received.segment))
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
        due = self.tcp.timeout()
        if due is None or due > now:
            return False
        self.tcp.handle_timeout(now)
        self._note_loss(None)
        return True

    def flush(self, now: int) -> None:
        """Let the application read, and send the segments that the endpoint has to send."""
        if self.reading:
            self.received += self.tcp.read()
        self.tcp.events()
        for out in self.tcp.segments(now):
            self._send_segment(out, now)
        self.recorded = self.state

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
            self.serve_next(self.serving + 1, now)
            self.listen()
            is_waiting = True
        if is_waiting and (opening or self.peer is None):
            self.peer = source
        if self.peer is None or (source.address, source.port) != (self.peer.address, self.peer.port):
            self._refuse(received, now)
            return
        before = self.recorded
        self.peer_isns.setdefault(self.serving, segment.seq if segment.ctl & SYN else 0)
        self.heard_of.note(segment)
        self.tcp.receive(segment, now)
        self.recorded = self.state
        captured = captured or self._capture_received(received, now, True)
        captured.before, captured.after, captured.connection = before, self.recorded, self.serving
        self._note_loss(captured)

    def _begins_next(self, segment: Segment) -> bool:
        if self.state is State.CLOSED:
            return bool(self.tcp.synchronised or self.tcp.snd.high)
        return self.tcp.gives_way(segment)

    def _capture_received(self, received: Received, now: int, arrived: bool) -> CapturedSegment:
        sender, state = OTHER[self.side], self.recorded
        segment, frame = received.segment, received.frame
        captured = CapturedSegment(now, sender, segment, frame, state, state, self.serving, arrived)
        captured.ident, captured.label = _header_numbers(frame)
        return self._capture(captured)

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
            numbers = self.numbering.next(out, closed, self.serving)
            for frame in self._frames(out.segment, received.source, *numbers):
                self.station.transmit(frame, received.source.address, now)

    def _send_segment(self, out: Outgoing, now: int) -> None:
        """Put a segment of the endpoint on the path."""
        assert self.peer is not None  # noqa: S101 - an endpoint without a peer sends nothing
        segment, before = out.segment, self.recorded
        if segment.ctl & (SYN | FIN | RST):
            self.recorded = self.state
        ident, label = self.numbering.next(out, self.tcp, self.serving)
        times = self.path.carry(self.side, datagram_size(segment, self.station.own.ip.version), now)
        frame = self.station.frame(segment, self.station.own, self.peer, ident, self._framing, label)
        states, step = (before, self.recorded), self.sending_step(segment) or self.step
        captured = CapturedSegment(
            now,
            self.side,
            segment,
            frame,
            *states,
            self.serving,
            bool(times),
            out.why,
            step,
            ident,
            label,
        )
        sent = replace(captured, segment=marked(segment)) if self.path.marked(self.side) else captured
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
        frames = self._frames(captured.segment, self.peer, captured.ident, captured.label)
        if not self._near:
            self._capture(replace(captured, time=at, frame=frames[0]))
        for frame in frames:
            self.station.transmit(frame, self.peer.address, at)

    def _frames(self, segment: Segment, target: Host, ident: int, label: int) -> list[bytes]:
        """The frames of a segment behind the path: with a lower TTL, and in fragments if the path fragments."""
        own = self.station.own.forwarded(self.model.path.hops)
        whole = self.station.frame(segment, own, target, ident, self._framing, label)
        limit, header = self.model.path.fragment, 40 if own.ip.version == 6 else 20
        if limit is None or len(whole) - 14 <= limit:
            return [whole]
        return cut(whole, ETHERNET, (limit - header - (8 if header == 40 else 0)) // 8 * 8, ident)

    def peer_host(self) -> Host:
        """The host at the other end, or the scenario's host if no peer has connected yet."""
        return self.peer or self.parts.hosts[OTHER[self.side]]


def _header_numbers(frame: bytes) -> tuple[int, int]:
    """The IPv4 identification and the IPv6 flow label of a received frame; 0 where there is none."""
    if frame[14] >> 4 == 6:
        return 0, int.from_bytes(frame[14:18]) & 0xFFFFF
    return int.from_bytes(frame[18:20]), 0
