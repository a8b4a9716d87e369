"""Simulate one conversation: two endpoints and a path on a virtual clock, until nothing more happens.

`labkit.build.application` decides when a step begins. Several connections may follow each other between the same hosts and
ports: each side has one endpoint at a time, and `SimulatedEnd.serving` is the number of its connection.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from labkit.build.application import Application
from labkit.build.flight import Captured, Flight
from labkit.build.path import datagram_size
from labkit.build.scenario import setup
from labkit.build.scenario.end import EndpointEnd
from labkit.build.scenario.header import Numbering, header_of
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.scripted import ScriptLine
from labkit.build.scenario.setup import OTHER, Parts
from labkit.build.scenario.source import Source
from labkit.build.scenario.units import MAX_SEND
from labkit.build.trace import Connection
from labkit.errors import ScenarioError, UsageError
from labkit.i18n import _
from labkit.tcp.endpoint import Outgoing
from labkit.tcp.endpoint.timers import next_due
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.state import CLOSED, LISTEN

MAX_EVENTS = 2_000_000
"""Events of a conversation."""
MAX_IDLE_TIME = 3_600_000_000_000
"""Nanoseconds for which a conversation may continue after its last progress, such as probes of a window that never opens."""


@dataclass(frozen=True, slots=True)
class Played:
    """The captured segments of a conversation."""

    connections: tuple[Connection, ...]
    captured: list[Captured]
    """With the times since the conversation began."""
    idents: tuple[int, int]
    """How many IPv4 identifications the client and the server have used."""
    events: int


Event = tuple[int, int, Flight | None]
"""When a segment arrives, and which event this is; with None, when a step begins or ends."""


class Network:
    """The clock, the segments on the path, and the capture points. Nothing here refers to the ends: no cycles of garbage."""

    def __init__(self, model: ScenarioModel, parts: Parts) -> None:
        self.now = 0
        self.latest: Flight | None = None
        """The segment that was sent last."""
        self.path = setup.path(model, parts.seed)
        self.version = parts.hosts["client"].ip.version
        self.line: deque[Event] = deque()
        """Events in their order: most segments arrive in the order in which they were sent."""
        self.queue: list[Event] = []
        """A heap of all other events."""
        self.order = 0
        self.taps = tuple(OTHER) if model.capture == "both" else (model.capture,)
        self.captured: list[Captured] = []

    def at(self, time: int, flight: Flight | None = None) -> None:
        """Let a segment arrive at a time, or a step begin or end."""
        self.order += 1
        event = time, self.order, flight
        line = self.line
        if flight is not None and (not line or line[-1][0] <= time):
            line.append(event)
        else:
            heapq.heappush(self.queue, event)

    def first(self) -> Event | None:
        """The next event."""
        if not self.queue:
            return self.line[0] if self.line else None
        other = self.queue[0]
        if self.line:
            event = self.line[0]
            if event[0] < other[0] or (event[0] == other[0] and event[1] < other[1]):
                return event
        return other

    def take(self, event: Event) -> None:
        """Take the next event out."""
        if self.line and self.line[0][1] == event[1]:
            self.line.popleft()
        else:
            heapq.heappop(self.queue)

    def capture(self, side: str, flight: Flight) -> None:
        """Capture a segment if this side has a capture point."""
        if side in self.taps:
            self.captured.append((self.now, side, flight))

    def arrives_more(self, side: str) -> bool:
        """Whether another segment arrives at a side at this moment."""
        event = self.first()
        if event is None or event[0] > self.now:
            return False
        flight = event[2]
        return flight is not None and flight.sender != side

    def carry(self, flight: Flight) -> None:
        """Give a segment to the path."""
        side = flight.sender
        if side in self.taps:
            self.captured.append((self.now, side, flight))
        way = self.path.ways[side]
        flight.times = way.carry(datagram_size(flight.out.segment, self.version), self.now)
        flight.marked = way.marked
        self.latest = flight
        for time in flight.times:
            self.at(time, flight)


class SimulatedEnd(EndpointEnd):
    """One end of a simulated conversation."""

    __slots__ = ("last_arrival", "network", "numbering")

    def __init__(self, model: ScenarioModel, parts: Parts, side: str, ident: int, network: Network) -> None:
        super().__init__(model, parts, side)
        self.network = network
        self.numbering = Numbering(header_of(model, side), parts.secret, parts.seed, side, ident)
        self.last_arrival: Flight | None = None

    def flush(self, now: int) -> None:
        """Read what has arrived, and send what TCP allows."""
        tcp = self.tcp
        if self.reading and tcp.rcv.ready and not (tcp.config.read_bursts and self.network.arrives_more(self.side)):
            tcp.read()
        if tcp.notices:
            tcp.events()
        for out in tcp.segments(now):
            self._send(out)
        self.recorded = tcp.state

    def script(self, line: ScriptLine, now: int) -> Callable[[], bool]:
        """Send a segment as it is written. Return what tells whether it has arrived, or is lost."""
        super().script(line, now)
        self.flush(now)
        flight = self.network.latest
        return lambda: flight is None or not flight.times or flight.received is not None

    def _send(self, out: Outgoing) -> None:
        before = self.recorded
        if out.segment.ctl & (SYN | FIN | RST):
            self.recorded = self.tcp.state
        step, connection = self._cause(out)
        numbers = self.numbering.next(out, self.tcp, self.serving)
        cwnd = self.tcp.control.cwnd if self.tcp.control is not None else None
        self.network.carry(Flight(self.side, out, step, (before, self.recorded), *numbers, connection, cwnd))

    def _cause(self, out: Outgoing) -> tuple[str, int]:
        """The step and the connection that a segment comes from. An answer has those of the segment that it answers."""
        segment, serving = out.segment, self.serving
        step = self.sending_step(segment)
        if step is not None:
            return step, serving
        if not out.why:
            return self.step, serving
        cause = self.last_arrival
        own = out.why in {"syn", "fin", "window-update", "keep-alive"} or bool(segment.ctl & FIN)
        if cause is None or own or (out.why == "rst" and "abort" in self.step):
            return self.step, serving
        return cause.step, cause.connection if out.why == "rst" else serving

    # What the path delivers.

    def arrive(self, flight: Flight, now: int) -> bool:
        """Take a segment from the path; return whether it delivers octets to the application."""
        if flight.connection > self.serving and self.begins_next(flight):
            self.serve_next(flight.connection, now)
            self.listen()
        tcp = self.tcp
        before, delivered = self.recorded, self.delivered
        self.last_arrival = flight
        self.heard_of.note(flight.arriving)
        tcp.receive(flight.arriving if flight.marked else flight.out.segment, now)
        after = self.recorded = tcp.state
        if flight.received is None:
            flight.received = before, after
        return self.delivered > delivered

    def begins_next(self, flight: Flight) -> bool:
        """Whether a SYN of a later connection begins it here: the server listens, and the connection before has ended or is
        in TIME-WAIT and gives way.
        """
        if self.side != "server" or not self.parts.listens:
            return False
        segment = flight.arriving
        if segment.ctl & (SYN | ACK | RST) != SYN:
            return False
        return self.tcp.state in {CLOSED, LISTEN} or self.tcp.gives_way(segment)


class Player:
    """One run of a conversation."""

    def __init__(self, model: ScenarioModel, source: Source, parts: Parts) -> None:
        self.source = source
        self.parts = parts
        self.network = Network(model, parts)
        self.last_progress = 0
        """When an application last did or received something."""
        self.client, self.server = (
            SimulatedEnd(model, parts, side, ident, self.network)
            for side, ident in zip(OTHER, parts.idents, strict=True)
        )
        self.ends = {"client": self.client, "server": self.server}
        plans = setup.plans(model, source, parts.seed)
        if parts.tried and not parts.listens:
            plans = plans[: 1 + next((i for i, plan in enumerate(plans) if plan.verb == "connect"), 0)]
        self.application = Application(plans, self.ends, self.network.at)

    def play(self) -> Played:
        """Play the conversation to its end. ScenarioError if a step is impossible or never begins."""
        if sum(plan.octets for plan in self.application.plans) > 4 * MAX_SEND:
            raise self.source.error(
                ("steps",), _("send and receive more than {n} MiB in all").format(n=4 * MAX_SEND >> 20)
            )
        if self.parts.listens:
            self.server.listen()
        self._go_on(self.client)
        events = 0
        while self._next_event():
            events += 1
            if events == MAX_EVENTS:
                raise ScenarioError(
                    _("{name}: the conversation does not end within {max_events} events").format(
                        name=self.source.name, max_events=MAX_EVENTS
                    )
                )
        self._check_finished()
        captured = self.network.captured
        for _time, _place, flight in captured:
            # A segment that never arrived changed nothing.
            flight.received = flight.received or (self.ends[OTHER[flight.sender]].recorded,) * 2
        hosts = self.parts.hosts
        connections = (
            Connection(hosts["client"], hosts["server"], self.client.isns.get(each, 0), self.server.isns.get(each, 0))
            for each in range(max(self.client.serving, self.server.serving) + 1)
        )
        return Played(tuple(connections), captured, (self.client.numbering.used, self.server.numbering.used), events)

    def _next_event(self) -> bool:
        """Advance the clock to the next event and handle it; return False if nothing more happens."""
        network = self.network
        end, due = self.client, next_due(self.client.tcp)
        other = next_due(self.server.tcp)
        if other is not None and (due is None or other < due):
            end, due = self.server, other
        event = network.first()
        if event is not None and (due is None or event[0] <= due):
            network.take(event)
            network.now, _order, flight = event
            end = self._arrive(flight) if flight is not None else self.client
        elif due is None or due > self.last_progress + MAX_IDLE_TIME or self._only_idling():
            return False
        else:
            network.now = due
            end.tcp.handle_timeout(due)
        self._go_on(end)
        return True

    def _only_idling(self) -> bool:
        """Whether all steps are done, and only keep-alives would follow."""
        return self.client.tcp.idle and self.server.tcp.idle and self.application.finished(self.network.now)

    def _arrive(self, flight: Flight) -> SimulatedEnd:
        end = self.ends[OTHER[flight.sender]]
        self.network.capture(end.side, flight)
        sender = self.ends[flight.sender]
        if sender.silent and not end.silent and end.tcp.state is not LISTEN and end.begins_next(flight):
            flight.connection = sender.serving = end.serving + 1
            sender.isns[flight.connection] = flight.out.segment.seq
        if end.arrive(flight, self.network.now):
            self.last_progress = self.network.now
        return end

    def _go_on(self, end: SimulatedEnd) -> None:
        """Let the applications act after an event at `end`, then let `end` send."""
        now = self.network.now
        try:
            side = self.application.go_on(now)
        except UsageError as error:
            plan = self.application.next
            assert plan is not None  # noqa: S101 - this step has failed
            text = _("cannot {verb}: {error} (the {side} is in {state})").format(
                verb=plan.verb, error=error, side=_(plan.side), state=self.ends[plan.side].tcp.state
            )
            raise self.source.error(("steps", plan.place, plan.side), text) from error
        if side:
            self.last_progress = now
        if side != end.side:
            end.flush(now)

    def _check_finished(self) -> None:
        """Raise ScenarioError unless every step has begun and the last one is complete."""
        application = self.application
        plan, latest = application.next, application.latest
        assert latest is not None  # noqa: S101 - the first step always begins
        if plan is not None and plan.answers and plan.script is not None:
            raise self.source.error(
                ("steps", plan.place),
                _("line {n} of the segments has no time and never begins: no segment of the {peer} arrives").format(
                    n=plan.script.number, peer=_(OTHER[plan.side])
                ),
            )
        if plan is not None:
            raise self.source.error(
                ("steps", plan.place),
                _(
                    "{side} {verb} never begins: it waits for the {side2}'s {verb2} (line {line}); "
                    "in the end the client is in {state}, the server in {state2}"
                ).format(
                    side=plan.side,
                    verb=plan.verb,
                    side2=latest.side,
                    verb2=latest.verb,
                    line=latest.line,
                    state=self.client.tcp.state,
                    state2=self.server.tcp.state,
                ),
            )
        if latest.verb != "connect" and not application.complete(latest, self.network.now):
            raise self.source.error(
                ("steps", latest.place),
                _("{side} {verb} never completes: {delivered} octets arrived in all").format(
                    side=latest.side, verb=latest.verb, delivered=self.ends[latest.side].delivered
                ),
            )
