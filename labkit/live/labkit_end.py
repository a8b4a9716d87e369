"""An end that is labkit's own TCP: an `Endpoint` on a `Station`, with the scenario's path between it and the wire.

What it sends and what comes for it is taken down where the scenario captures: at this end, before the path, or at the
other one, behind it. Times are of the run's clock.
"""

import heapq
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from labkit.build.path import Path
from labkit.build.scenario import setup
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.setup import OTHER, Parts, Plan
from labkit.errors import LinkError, UsageError
from labkit.live.station import Heard, Station
from labkit.packet.frame_edits import cut
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Framing, Host
from labkit.tcp.endpoint import Config, Endpoint, Outgoing
from labkit.tcp.segment import ACK, CE, ECT0, ECT1, FIN, RST, SYN, Segment
from labkit.tcp.state import State

HEADERS = 40
"""Octets that the path counts beyond the payload and TCP's options."""


@dataclass(slots=True)
class Taken:
    """A segment as it was taken down. Where that was before it has arrived, `before` and `after` follow."""

    time: int
    sender: str
    segment: Segment
    frame: bytes
    why: str
    """Why the crafted end has sent it; empty for a segment of its peer."""
    step: str
    before: State
    after: State
    """The crafted end's state before and after."""
    arrived: bool
    """Whether the path lets it through, as far as it has still to pass it."""
    connection: int
    ident: int | None


class Coming(NamedTuple):
    """A segment of the peer that is on the path, and what has been taken down of it already."""

    heard: Heard
    taken: Taken | None


class LabkitEnd:
    """One end, played by labkit. Call `go_on` when something has come, when it is `due`, and after each step."""

    def __init__(self, model: ScenarioModel, parts: Parts, side: str, station: Station, path: Path) -> None:
        self.model, self.parts, self.side, self.station, self.path = model, parts, side, station, path
        self.peer: Host | None = parts.hosts[OTHER[side]] if side == "client" else None
        self.serving = 0
        self.taken: deque[Taken] = deque()
        """What was taken down since somebody last looked."""
        self.isns: list[dict[str, int]] = []
        """Each connection's initial numbers, as far as it has them."""
        self.reading = True
        self.received = bytearray()
        """What the application has read of the present connection."""
        self._near = model.capture != OTHER[side]
        self._framing = Framing(fragment=model.path.fragment)
        self._queue: list[tuple[int, int, Coming | Taken]] = []
        """What is on the path: when it is through."""
        self._order = self._ident = self._sent = 0
        self._sends: list[tuple[int, str]] = []
        self._own_step = ""
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
        self._settled = State.CLOSED
        return self.end

    # What is known of it, and through it of its peer.

    @property
    def state(self) -> State:
        """The endpoint's state."""
        return self.end.state

    @property
    def connected(self) -> bool:
        """Whether the handshake is over."""
        return self.end.synchronised and self.state not in {State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED}

    @property
    def delivered(self) -> int:
        """Octets that have become readable."""
        return self.end.delivered

    @property
    def heard_end(self) -> bool:
        """Whether the peer's FIN has come, or the connection is gone."""
        return self.end.received_fin or self.gone

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or none any more."""
        return self.state is State.CLOSED

    def knows(self, octets: int) -> bool:
        """Whether so many octets were acknowledged."""
        return self.end.snd.una > octets

    @property
    def acknowledged(self) -> int:
        """Octets that the peer has acknowledged."""
        snd = self.end.snd
        return max(min(snd.una, snd.end) - 1, 0)

    @property
    def fin_acknowledged(self) -> bool:
        """Whether the peer has acknowledged the FIN."""
        return self.end.snd.fin_acked

    @property
    def owes(self) -> bool:
        """Whether something that has come from the peer is yet to be acknowledged."""
        rcv = self.end.rcv
        return bool(rcv.unacked) or rcv.ack_at is not None or rcv.ack_why is not None

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, and nothing will happen here by itself but keep-alives and TIME-WAIT."""
        if self._queue:
            return False
        if self.state in {State.CLOSED, State.LISTEN, State.TIME_WAIT}:
            return True
        return not self.owes and self.end.snd.high == self.end.snd.una and self.end.idle

    def due(self) -> int | None:
        """When to `go_on` although nothing has come."""
        times = [self.end.timeout(), self.station.due(), self._queue[0][0] if self._queue else None]
        return min((time for time in times if time is not None), default=None)

    # The steps.

    def begins(self, plan: Plan) -> bool:
        """Whether a step belongs to the connection that it serves."""
        return plan.verb == "connect" or self.serving == plan.connection

    def listen(self) -> None:
        """Take connections from now on."""
        self.end.listen()
        self._settled = State.LISTEN

    def do(self, plan: Plan, now: int) -> None:
        """The application acts. UsageError where TCP does not let it."""
        self._own_step = plan.text
        match plan.verb:
            case "connect":
                self._connect(plan, now)
            case "send":
                self._send(plan, now)
            case "close":
                self.end.close(now)
            case "abort":
                self.end.abort(now)
            case "crash":
                self.end = setup.endpoint(self.model, self.parts, self.side, now)
                self._settled = State.CLOSED
            case "pause" | "resume":
                self.reading = plan.verb == "resume"
        # What a call wants to send leaves before the application makes the next one.
        self.flush(now)

    def _connect(self, plan: Plan, now: int) -> None:
        if plan.connection != self.serving:
            if self.state not in {State.CLOSED, State.LISTEN, State.TIME_WAIT}:
                raise UsageError("connection already exists")
            self._renew(plan.connection, now)
        if self.peer is None:
            self.peer = self.parts.hosts[OTHER[self.side]]
        if self.state is State.LISTEN:
            self.end.close(now)
        self.end.open(now)
        self._send(plan, now)

    def _send(self, plan: Plan, now: int) -> None:
        self.end.send(plan.payload, now, urgent=plan.urgent)
        self._sent += plan.octets
        if plan.octets:
            self._sends.append((self._sent, plan.text))

    def leave(self, now: int) -> bool:
        """End a connection that is still there, so that the peer need not wait for nobody; whether one was ended.

        It is not where nothing may be sent any more: then it is only forgotten.
        """
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

    # What comes and goes.

    def arrive(self, now: int) -> None:
        """Take from the wire what has come; the path decides when it is here, if at all."""
        for heard in self.station.poll(now):
            times = self.path.carry(OTHER[self.side], _size(heard.segment), now)
            if self.path.marked(OTHER[self.side]):
                heard = heard._replace(segment=_marked(heard.segment))
            taken = None if self._near else self._note(heard, now, bool(times))
            for at in times:
                self._at(at, Coming(heard, taken))

    def go_on(self, now: int) -> bool:
        """Let the next thing happen whose time has come: a segment arrives, or a timer runs out. Whether there was one.

        The application then has its chance to answer, before `flush` sends what is owed.
        """
        while self._queue and self._queue[0][0] <= now:
            _at, _order, what = heapq.heappop(self._queue)
            if isinstance(what, Coming):
                self._hear(what, now)
                return True
            self._leave_path(what, now)
        due = self.end.timeout()
        if due is None or due > now:
            return False
        self.end.handle_timeout(now)
        return True

    def flush(self, now: int) -> None:
        """The application reads what there is, and the endpoint sends what it has to."""
        if self.reading:
            self.received += self.end.read()
        self.end.events()
        for out in self.end.segments(now):
            self._carry(out, now)
        self._settled = self.state

    def _at(self, time: int, what: Coming | Taken) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, what))

    def _hear(self, coming: Coming, now: int) -> None:
        """A segment is here."""
        heard, taken = coming
        source, segment = heard.source, heard.segment
        opening = segment.ctl & (SYN | ACK | RST) == SYN
        waits = self.state is State.LISTEN or (self.peer is None and self.state is State.CLOSED)
        if opening and self.parts.listens and self.side == "server" and self._begins_next(segment):
            self._renew(self.serving + 1, now)
            self.listen()
            waits = True
        if waits and (opening or self.peer is None):
            self.peer = source
        if self.peer is None or (source.address, source.port) != (self.peer.address, self.peer.port):
            self._refuse(heard, now)
            return
        before = self._settled
        self.isns[self.serving].setdefault(OTHER[self.side], segment.seq if segment.ctl & SYN else 0)
        self.end.receive(segment, now)
        self._settled = self.state
        taken = taken or self._note(heard, now, True)
        taken.before, taken.after = before, self._settled

    def _begins_next(self, segment: Segment) -> bool:
        if self.state is State.CLOSED:
            return bool(self.end.synchronised or self.end.snd.high)
        return self.end.gives_way(segment)

    def _note(self, heard: Heard, now: int, arrived: bool) -> Taken:
        """Take down a segment of the peer."""
        sender, state = OTHER[self.side], self._settled
        taken = Taken(now, sender, heard.segment, heard.frame, "", "", state, state, arrived, self.serving, None)
        self.taken.append(taken)
        return taken

    def _refuse(self, heard: Heard, now: int) -> None:
        """Somebody else wants something: as where there is no connection."""
        nobody = Endpoint(Config(), Random(0))
        nobody.receive(heard.segment, now)
        for out in nobody.segments(now):
            for frame in self._frames(out.segment, heard.source):
                self.station.transmit(frame, heard.source.address, now)

    def _carry(self, out: Outgoing, now: int) -> None:
        """A segment goes onto the path."""
        assert self.peer is not None  # noqa: S101 - nobody sends before there is a peer
        segment, before = out.segment, self._settled
        if segment.ctl & (SYN | FIN | RST):
            self._settled = self.state
        self._ident += 1
        times = self.path.carry(self.side, _size(segment), now)
        frame = self.station.frame(segment, self.station.own, self.peer, self._ident, self._framing)
        taken = Taken(
            now,
            self.side,
            segment,
            frame,
            out.why,
            self._cause(out),
            before,
            self._settled,
            bool(times),
            self.serving,
            self._ident,
        )
        sent = replace(taken, segment=_marked(segment)) if self.path.marked(self.side) else taken
        for at in times:
            if at <= now:
                self._leave_path(sent, now)
            else:
                self._at(at, sent)
        # Behind the sending: what may not be sent was never there.
        if self._near:
            self.taken.append(taken)

    def _leave_path(self, taken: Taken, at: int) -> None:
        """A segment has come through the path, and goes onto the wire."""
        assert self.peer is not None  # noqa: S101 - it was there when the segment was sent
        frames = self._frames(taken.segment, self.peer, taken.ident)
        if not self._near:
            self.taken.append(replace(taken, time=at, frame=frames[0]))
        for frame in frames:
            self.station.transmit(frame, self.peer.address, at)

    def _frames(self, segment: Segment, target: Host, ident: int | None = None) -> list[bytes]:
        """What goes onto the wire: as routers have passed it on, and cut where the path cuts it."""
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
        """The step that a segment comes from."""
        segment = out.segment
        if segment.payload and self._sends:
            last = self.end.snd.position(segment.seq) - 1 + len(segment.payload)
            at = bisect_left(self._sends, last, key=lambda item: item[0])
            return self._sends[min(at, len(self._sends) - 1)][1]
        return self._own_step

    def trusted(self) -> Host:
        """The host at the other end; where nobody has come yet, the one that the scenario expects."""
        return self.peer or replace(self.parts.hosts[OTHER[self.side]])


def _size(segment: Segment) -> int:
    return HEADERS + len(segment.header) + len(segment.payload)


def _marked(segment: Segment) -> Segment:
    return segment.with_(ecn=CE) if segment.ecn in {ECT0, ECT1} else segment
