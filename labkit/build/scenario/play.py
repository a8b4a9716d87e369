"""Playing a conversation: two endpoints over a path, on a virtual clock, until nothing is left to happen.

What a step means, and when it begins, is described in `labkit.build.scenario`. Several connections may follow each other
between the same hosts and ports; each side has one endpoint at a time, and counts which connection it serves.
"""

import heapq
from bisect import bisect_left
from dataclasses import dataclass

from labkit.build.scenario import setup
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.setup import Parts, Plan
from labkit.build.scenario.source import Source
from labkit.build.scenario.units import LARGEST
from labkit.build.trace import Connection
from labkit.errors import ScenarioError, UsageError
from labkit.tcp.endpoint import Endpoint, Outgoing
from labkit.tcp.options import length
from labkit.tcp.segment import ACK, CE, ECT0, ECT1, FIN, RST, SYN, Segment
from labkit.tcp.state import State

SIDES = ("client", "server")
MOST_EVENTS = 2_000_000
LINGER = 3_600_000_000_000
"""How long a conversation may go on by itself after the last step (a peer that never opens its window): an
hour.
"""
HEADERS = {4: 40, 6: 60}
"""Octets that the path counts beyond the payload and TCP's options, by the IP version."""
SILENT = {"receive", "wait", "pause", "resume", "crash"}
"""Verbs of which the peer hears nothing: they are complete for it when they are for their own side."""


@dataclass(slots=True)
class Flight:
    """A segment on its way, and what there is to record of it."""

    sender: str
    out: Outgoing
    step: str
    sent: tuple[State, State]
    ident: int
    connection: int
    received: tuple[State, State] | None = None
    times: tuple[int, ...] = ()
    marked: bool = False
    """Whether the path has marked it as congested."""

    @property
    def arriving(self) -> Segment:
        """The segment as it arrives."""
        segment = self.out.segment
        return segment.with_(ecn=CE) if self.marked and segment.ecn in {ECT0, ECT1} else segment


@dataclass(frozen=True, slots=True)
class Played:
    """What was captured of a conversation."""

    connections: tuple[Connection, ...]
    taken: list[tuple[int, str, Flight]]
    """When (from the conversation's begin), where, and the segment."""
    idents: tuple[int, int]
    """The IPv4 identifications that client and server have used."""
    events: int


class Player:
    """One run of a conversation."""

    def __init__(self, model: ScenarioModel, source: Source, parts: Parts) -> None:
        self.model = model
        self.source = source
        self.parts = parts
        self.now = 0
        self.ends: dict[str, Endpoint] = {}
        self.serving = {"client": 0, "server": 0}
        """The connection that each side's endpoint serves."""
        self.isns: list[dict[str, int]] = []
        """Each connection's initial numbers, as far as it has them."""
        self.path = setup.path(model, parts.seed)
        self.headers = HEADERS[parts.hosts["client"].ip.version]
        self.plans = setup.plans(model, source, parts.seed)
        if parts.tried and not parts.listens:
            self.plans = self.plans[: 1 + next((i for i, plan in enumerate(self.plans) if plan.verb == "connect"), 0)]
        self.cursor = 0
        self.reading = {"client": True, "server": True}
        self.sent = {"client": 0, "server": 0}
        self.wanted = {"client": 0, "server": 0}
        self.sends: dict[str, tuple[list[int], list[str]]] = {"client": ([], []), "server": ([], [])}
        """Where each side's sends end in its stream, and their steps."""
        self.own_step = {"client": "", "server": ""}
        self.heard: dict[str, Flight | None] = {"client": None, "server": None}
        """The last segment that arrived at each side."""
        self.settled = {"client": State.CLOSED, "server": State.CLOSED}
        """Each side's state as the last recorded thing left it."""
        self.queue: list[tuple[int, int, Flight | None]] = []
        """What will happen: a segment arrives, or (None) time has come for a step."""
        self.order = 0
        self.progress = 0
        """When an application last did something, or got something."""
        self.taps = SIDES if model.capture == "both" else (model.capture,)
        self.taken: list[tuple[int, str, Flight]] = []
        self.counts = dict(zip(SIDES, parts.idents, strict=True))
        """IPv4 identifications that each side has used."""
        for side in SIDES:
            self._renew(side, 0)

    # The run.

    def play(self) -> Played:
        """Everything that happens. ScenarioError where a step cannot be done, or never begins."""
        if sum(plan.octets for plan in self.plans) > 4 * LARGEST:
            raise self.source.error(("steps",), f"send and receive more than {4 * LARGEST >> 20} MiB in all")
        if self.parts.listens:
            self.ends["server"].listen()
            self.settled["server"] = State.LISTEN
        self._go_on("client")
        events = 0
        while self._next_event():
            events += 1
            if events == MOST_EVENTS:
                raise ScenarioError(f"{self.source.name}: the conversation does not end after {MOST_EVENTS} events")
        self._check_finished()
        for _, _, flight in self.taken:
            # What never arrived changed nothing.
            flight.received = flight.received or (self.settled[setup.OTHER[flight.sender]],) * 2
        hosts = self.parts.hosts
        connections = (
            Connection(hosts["client"], hosts["server"], isns.get("client", 0), isns.get("server", 0))
            for isns in self.isns
        )
        return Played(tuple(connections), self.taken, (self.counts["client"], self.counts["server"]), events)

    def _renew(self, side: str, connection: int) -> None:
        """The side gets an endpoint for a connection that it has not served before."""
        before = self.ends.get(side)
        # A host that has crashed knows no more what it has used: only the clock helps.
        used = before.snd.seq(before.snd.high) if before is not None and before.snd.high else None
        self.ends[side] = setup.endpoint(self.model, self.parts, side, self.now, used)
        self.serving[side] = connection
        while len(self.isns) <= connection:
            self.isns.append({})
        self.isns[connection][side] = self.ends[side].snd.iss
        self.reading[side] = True
        self.sent[side] = self.wanted[side] = 0
        self.sends[side] = [], []
        self.settled[side] = State.CLOSED

    def _next_event(self) -> bool:
        """Let the next thing happen; False where nothing more will."""
        side, due = "", None
        for each in SIDES:
            at = self.ends[each].timeout()
            if at is not None and (due is None or at < due):
                side, due = each, at
        if self.queue and (due is None or self.queue[0][0] <= due):
            self.now, _, flight = heapq.heappop(self.queue)
            side = self._arrive(flight) if flight is not None else "client"
        elif due is None or due > self.progress + LINGER or self._only_idling():
            return False
        else:
            self.now = due
            self.ends[side].handle_timeout(due)
        self._go_on(side)
        return True

    def _only_idling(self) -> bool:
        """Whether all steps are done, and what is left would go on for ever."""
        if self.cursor < len(self.plans) or not self._complete(self.plans[-1]):
            return False
        return all(end.idle for end in self.ends.values())

    def _arrive(self, flight: Flight) -> str:
        """A segment arrives: capture it where it is captured, give it to its endpoint, let the application
        read.
        """
        side = "server" if flight.sender == "client" else "client"
        if side in self.taps:
            self.taken.append((self.now, side, flight))
        if self._begins_next(side, flight):
            self._renew(side, flight.connection)
            self.ends[side].listen()
            self.settled[side] = State.LISTEN
        end = self.ends[side]
        before, delivered = self.settled[side], end.delivered
        self.heard[side] = flight
        end.receive(flight.arriving, self.now)
        if end.delivered > delivered:
            self.progress = self.now
        self.settled[side] = end.state
        if flight.received is None:
            flight.received = (before, end.state)
        return side

    def _begins_next(self, side: str, flight: Flight) -> bool:
        """Whether a SYN begins another connection at a server that listens: the one before is gone, or in TIME-WAIT and
        gives way.
        """
        if side != "server" or not self.parts.listens or flight.connection <= self.serving[side]:
            return False
        segment, end = flight.arriving, self.ends[side]
        if segment.ctl & (SYN | ACK | RST) != SYN:
            return False
        return end.state in {State.CLOSED, State.LISTEN} or end.gives_way(segment)

    def _go_on(self, side: str) -> None:
        """After anything that happened at `side`: the applications act, then its endpoint sends."""
        if self._steps() != side:
            self._emit(side)

    def _emit(self, side: str) -> None:
        """The application at `side` reads what there is, and the endpoint sends what it has to."""
        end = self.ends[side]
        if self.reading[side] and end.rcv.ready:
            end.read()
        end.events()
        for out in end.segments(self.now):
            self._send(side, out)
        self.settled[side] = end.state

    def _send(self, side: str, out: Outgoing) -> None:
        segment, state = out.segment, self.ends[side].state
        before = self.settled[side]
        if segment.ctl & (SYN | FIN | RST):
            self.settled[side] = state
        self.counts[side] += 1
        step, connection = self._cause(side, out)
        flight = Flight(side, out, step, (before, self.settled[side]), self.counts[side], connection)
        if side in self.taps:
            self.taken.append((self.now, side, flight))
        size = self.headers + length(segment.options) + len(segment.payload)
        flight.times = tuple(self.path.carry(side, size, self.now))
        flight.marked = self.path.marked(side)
        for at in flight.times:
            self._at(at, flight)

    def _at(self, time: int, flight: Flight | None) -> None:
        self.order += 1
        heapq.heappush(self.queue, (time, self.order, flight))

    def _cause(self, side: str, out: Outgoing) -> tuple[str, int]:
        """The step and the connection that a segment comes from: its own side's, or for an answer those of the segment
        that it answers.
        """
        segment = out.segment
        (until, steps), connection = self.sends[side], self.serving[side]
        if segment.payload and steps:
            last = self.ends[side].snd.position(segment.seq) - 1 + len(segment.payload)
            return steps[min(bisect_left(until, last), len(steps) - 1)], connection
        heard = self.heard[side]
        own = out.why in {"syn", "fin", "window-update", "keep-alive"} or bool(segment.ctl & FIN)
        if heard is None or own or (out.why == "rst" and "abort" in self.own_step[side]):
            return self.own_step[side], connection
        return heard.step, heard.connection if out.why == "rst" else connection

    # The steps.

    def _steps(self) -> str:
        """Begin every step whose time has come; the side of the last one, whose endpoint has sent what it has to."""
        side = ""
        while self.cursor < len(self.plans):
            plan = self.plans[self.cursor]
            if plan.due is None:
                if not self._ready(plan):
                    break
                plan.due = self.now + plan.after
                if plan.after:
                    self._at(plan.due, None)
            if plan.due > self.now:
                break
            self._do(plan)
            self.cursor += 1
            # What a call wants to send leaves before the application makes the next one.
            side = plan.side
            self._emit(side)
        return side

    def _ready(self, plan: Plan) -> bool:
        """Whether the step before is complete, as far as this step's side is concerned."""
        if plan.verb != "connect" and self.serving[plan.side] != plan.connection:
            return False
        if plan.number == 0 or plan.at_once:
            return True
        previous = self.plans[plan.number - 1]
        if previous.side == plan.side or previous.verb in SILENT:
            return self._complete(previous)
        own, peer = self.ends[plan.side], self.ends[previous.side]
        if previous.verb == "connect" and not previous.octets:
            return self._connected(own)
        if previous.verb in {"connect", "send"}:
            if own.delivered < previous.until:
                return False
            # An application that closes now has nothing more to say: it is done when its peer knows that it
            # is.
            return plan.verb != "close" or peer.snd.una > previous.until
        if previous.verb == "close":
            return own.received_fin or own.state is State.CLOSED
        return own.state is State.CLOSED

    def _complete(self, plan: Plan) -> bool:
        """Whether a step has done what it does, for its own side."""
        end = self.ends[plan.side]
        if plan.verb == "connect":
            return self._connected(end) or self.cursor == len(self.plans)
        if plan.verb == "receive":
            return end.delivered >= plan.until
        return plan.verb != "wait" or self.now >= plan.until

    def _connected(self, end: Endpoint) -> bool:
        return end.synchronised and end.state not in {State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED}

    def _do(self, plan: Plan) -> None:
        """The application acts. ScenarioError where TCP does not let it."""
        side, end = plan.side, self.ends[plan.side]
        self.own_step[side] = plan.text
        self.progress = self.now
        try:
            match plan.verb:
                case "connect":
                    self._connect(plan)
                case "send":
                    self._send_payload(plan, end)
                case "receive":
                    self.wanted[side] += plan.octets
                    plan.until = self.wanted[side]
                case "close":
                    end.close(self.now)
                case "abort":
                    end.abort(self.now)
                case "crash":
                    # The host comes up again without the connection; it has no endpoint until the next one.
                    self.ends[side] = setup.endpoint(self.model, self.parts, side, self.now)
                    self.settled[side] = State.CLOSED
                case "pause" | "resume":
                    self.reading[side] = plan.verb == "resume"
                case _:
                    plan.until = self.now + plan.time
                    self._at(plan.until, None)
        except UsageError as error:
            key = ("steps", plan.place, side)
            raise self.source.error(key, f"cannot {plan.verb}: {error} (the {side} is in {end.state})") from error

    def _connect(self, plan: Plan) -> None:
        """The application opens the connection, or the next one."""
        side = plan.side
        if plan.connection != self.serving[side]:
            if self.ends[side].state not in {State.CLOSED, State.LISTEN}:
                raise UsageError("connection already exists")
            self._renew(side, plan.connection)
        end = self.ends[side]
        if end.state is State.LISTEN:
            end.close(self.now)
        end.open(self.now)
        self._send_payload(plan, end)

    def _send_payload(self, plan: Plan, end: Endpoint) -> None:
        end.send(plan.payload, self.now, urgent=plan.urgent)
        self.sent[plan.side] += plan.octets
        plan.until = self.sent[plan.side]
        if plan.octets:
            until, steps = self.sends[plan.side]
            until.append(plan.until)
            steps.append(plan.text)

    def _check_finished(self) -> None:
        """Every step has begun, and the last is complete."""
        if self.cursor < len(self.plans):
            plan = self.plans[self.cursor]
            before = self.plans[plan.number - 1]
            raise self.source.error(
                ("steps", plan.place),
                f"{plan.side} {plan.verb} never begins: it waits for the {before.side}'s {before.verb} (line "
                f"{before.line}); in the end the client is in {self.ends['client'].state}, the server in "
                f"{self.ends['server'].state}",
            )
        last = self.plans[-1]
        if not self._complete(last):
            got = self.ends[last.side].delivered
            raise self.source.error(
                ("steps", last.place),
                f"{last.side} {last.verb} never completes: {got} octets arrived in all",
            )
