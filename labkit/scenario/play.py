"""Playing a scenario: two endpoints over a path, on a virtual clock, until nothing is left to happen.

What a step means, and when it begins, is described in `labkit.scenario`.
"""

import heapq
from bisect import bisect_left
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from labkit.endpoint import Endpoint, Outgoing
from labkit.errors import ScenarioError, UsageError
from labkit.linktype import ETHERNET, RAW
from labkit.path import Direction, Path
from labkit.scenario.model import Receive, ScenarioModel, Send, Side, Step, Wait, Way
from labkit.scenario.source import Source
from labkit.scenario.units import LARGEST
from labkit.segment import FIN, RST, SYN
from labkit.state import State
from labkit.trace import Record, Trace
from labkit.wire import Host

SIDES = ("client", "server")
MOST_EVENTS = 2_000_000
LINGER = 3_600_000_000_000
"""How long a conversation may go on by itself after the last step (a peer that never opens its window): an
hour.
"""
HEADERS = 40
"""Octets that the path counts beyond the payload and TCP's options."""

LINE = b"abcdefghijklmnopqrstuvwxyz, ABCDEFGHIJKLMNOPQRSTUVWXYZ.\r\n"
"""What follows the six digits and the blank in each line of a payload that is given by its length only."""


def pattern(count: int) -> bytes:
    """Octets to be sent where only their number is given: lines of 64, each beginning with the place of its
    first.

    So a reader sees in any segment which octets of a SEND it carries. The last line has an end, however short
    it is.
    """
    lines = (b"%06d %s" % (place % 1_000_000, LINE) for place in range(0, count, 64))
    octets = b"".join(lines)[:count]
    return octets if count < 2 else octets[:-2] + b"\r\n"


@dataclass(slots=True)
class Plan:
    """A step, what chance made of it, and how far it is."""

    number: int
    side: str
    verb: str
    step: Step
    line: int
    after: int
    text: str = ""
    payload: bytes = b""
    octets: int = 0
    due: int | None = None
    """When it begins, once that is known."""
    until: int = 0
    """When a wait is over; for a send or receive: the octets of its side up to its end."""


@dataclass(slots=True)
class Flight:
    """A segment on its way, and what there is to record of it."""

    sender: str
    out: Outgoing
    step: str
    sent: tuple[State, State]
    received: tuple[State, State] | None = None
    times: tuple[int, ...] = ()


class Player:
    """One run of a scenario with one seed."""

    def __init__(self, model: ScenarioModel, source: Source, seed: int) -> None:
        self.model = model
        self.source = source
        self.seed = seed
        self.now = 0
        self.hosts = {side: self._host(side) for side in SIDES}
        self.ends = {side: self._endpoint(side) for side in SIDES}
        self.path = self._path()
        self.plans = [self._plan(number, step) for number, step in enumerate(model.steps)]
        self.cursor = 0
        self.reading = {"client": True, "server": True}
        self.sent = {"client": 0, "server": 0}
        self.wanted = {"client": 0, "server": 0}
        self.sends: dict[str, list[tuple[int, str]]] = {"client": [], "server": []}
        """Where each side's sends end in its stream, and their steps."""
        self.own_step = {"client": "", "server": ""}
        self.heard_step = {"client": "", "server": ""}
        self.settled = {"client": State.CLOSED, "server": State.CLOSED}
        """Each side's state as the last recorded thing left it."""
        self.queue: list[tuple[int, int, Flight | None]] = []
        """What will happen: a segment arrives, or (None) time has come for a step."""
        self.order = 0
        self.progress = 0
        """When an application last did something, or got something."""
        self.taken: list[tuple[int, Flight]] = []
        """What was captured: time and segment."""

    # What chance and the model give.

    def _host(self, side: str) -> Host:
        given: Side = getattr(self.model, side)
        other: Side = getattr(self.model, "server" if side == "client" else "client")
        last = {"client": 10, "server": 20}[side]
        ipv6 = ":" in (given.address or other.address or "")
        address = given.address or (f"2001:db8::{last}" if ipv6 else f"192.0.2.{last}")
        port = {"client": 40000, "server": 80}[side]
        if given.port is not None:
            port = given.port.draw(self.seed, f"{side}.port")
        mac = given.mac or f"02:00:00:00:00:{SIDES.index(side) + 1:02x}"
        return Host(address, port, given.name or side, mac, given.ttl, given.dscp)

    def _endpoint(self, side: str) -> Endpoint:
        given: Side = getattr(self.model, side)
        isn = given.isn
        iss = self._initial_number(side) if isn is None else isn.draw(self.seed, f"{side}.isn")
        rng = Random(f"{self.seed}/{side}")
        ipv6 = ":" in self.hosts[side].address
        return Endpoint(given.config(iss, ipv6, rng.getrandbits(32)), rng)

    def _initial_number(self, side: str) -> int:
        """RFC 6528 section 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey), the key from
        the seed.
        """
        own, peer = self.hosts[side], self.hosts["server" if side == "client" else "client"]
        tuple_ = f"{own.address} {own.port} {peer.address} {peer.port}".encode()
        key = blake2b(str(self.seed).encode(), digest_size=32).digest()
        clock = self.model.start // 4_000
        return (clock + int.from_bytes(blake2b(tuple_, key=key, digest_size=4).digest())) & 0xFFFF_FFFF

    def _path(self) -> Path:
        model = self.model.path
        rtt = model.rtt.draw(self.seed, "path.rtt")
        return Path(
            self._direction(model.to_server, rtt // 2, "path.to_server"),
            self._direction(model.to_client, rtt - rtt // 2, "path.to_client"),
            f"{self.seed}/path",
        )

    def _direction(self, way: Way, delay: int, key: str) -> Direction:
        return Direction(
            delay=delay if way.delay is None else way.delay.draw(self.seed, f"{key}.delay"),
            jitter=way.jitter,
            bandwidth=way.bandwidth,
            queue=way.queue,
            loss=way.loss,
            lose=frozenset(way.lose),
            duplicate=frozenset(way.duplicate),
            late=dict(way.late),
        )

    def _plan(self, number: int, step: Step) -> Plan:
        details = step.action.details
        key = f"steps[{number + 1}]"
        plan = Plan(
            number,
            step.side,
            step.action.verb,
            step,
            self.source.line(("steps", number)),
            details.after.draw(self.seed, f"{key}.after"),
        )
        words = plan.verb
        if isinstance(details, Send):
            plan.payload = self._payload(details, f"{key}.octets")
            plan.octets = len(plan.payload)
            words = f"send {plan.octets} octets"
        elif isinstance(details, Receive):
            plan.octets = details.octets.draw(self.seed, f"{key}.octets")
            words = f"receive {plan.octets} octets"
        plan.text = f"step {number + 1}: {plan.side} {words}"
        return plan

    def _payload(self, send: Send, key: str) -> bytes:
        if send.text is not None:
            return send.text.encode()
        if send.hex is not None:
            return bytes.fromhex(send.hex)
        count = send.octets.draw(self.seed, key) if send.octets is not None else 0
        return pattern(count)

    # The run.

    def play(self) -> Trace:
        """Everything that happens. ScenarioError where a step cannot be done, or never begins."""
        if sum(plan.octets for plan in self.plans) > 4 * LARGEST:
            raise self.source.error(("steps",), f"send and receive more than {4 * LARGEST >> 20} MiB in all")
        if self.model.server.listen:
            self.ends["server"].listen()
            self.settled["server"] = State.LISTEN
        self._go_on("client")
        for _ in range(MOST_EVENTS):
            if not self._next_event():
                break
        else:
            raise ScenarioError(
                f"{self.source.name}: the conversation does not end after {MOST_EVENTS} events"
            )
        self._check_finished()
        return self._trace()

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
        if side == self.model.capture:
            self.taken.append((self.now, flight))
        end = self.ends[side]
        before, delivered = self.settled[side], end.delivered
        end.receive(flight.out.segment, self.now)
        if end.delivered > delivered:
            self.progress = self.now
        self.settled[side] = end.state
        if flight.received is None:
            flight.received = (before, end.state)
        self.heard_step[side] = flight.step
        return side

    def _go_on(self, side: str) -> None:
        """After anything that happened at `side`: the applications act, then the endpoints send."""
        self._steps()
        self._emit(side)
        self._emit("server" if side == "client" else "client")

    def _emit(self, side: str) -> None:
        """The application at `side` reads what there is, and the endpoint sends what it has to."""
        end = self.ends[side]
        if self.reading[side]:
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
        flight = Flight(side, out, self._cause(side, out), (before, self.settled[side]))
        if side == self.model.capture:
            self.taken.append((self.now, flight))
        flight.times = tuple(
            self.path.carry(side, HEADERS + len(segment.header) + len(segment.payload), self.now)
        )
        for at in flight.times:
            self._at(at, flight)

    def _at(self, time: int, flight: Flight | None) -> None:
        self.order += 1
        heapq.heappush(self.queue, (time, self.order, flight))

    def _cause(self, side: str, out: Outgoing) -> str:
        """The step that a segment comes from: its own side's, or for an answer the one that it answers."""
        segment = out.segment
        if segment.payload:
            sends = self.sends[side]
            last = self.ends[side].snd.position(segment.seq) - 1 + len(segment.payload)
            at = bisect_left(sends, last, key=lambda item: item[0])
            return sends[min(at, len(sends) - 1)][1]
        own = out.why in {"syn", "fin", "window-update", "keep-alive"} or bool(segment.ctl & FIN)
        if own or (out.why == "rst" and "abort" in self.own_step[side]):
            return self.own_step[side]
        return self.heard_step[side]

    # The steps.

    def _steps(self) -> None:
        """Begin every step whose time has come."""
        while self.cursor < len(self.plans):
            plan = self.plans[self.cursor]
            if plan.due is None:
                if not self._ready(plan):
                    return
                plan.due = self.now + plan.after
                if plan.after:
                    self._at(plan.due, None)
            if plan.due > self.now:
                return
            self._do(plan)
            self.cursor += 1
            # What a call wants to send leaves before the application makes the next one.
            self._emit(plan.side)

    def _ready(self, plan: Plan) -> bool:
        """Whether the step before is complete, as far as this step's side is concerned."""
        if plan.number == 0 or plan.step.action.details.at_once:
            return True
        previous = self.plans[plan.number - 1]
        if previous.side == plan.side or previous.verb in {"receive", "wait", "pause", "resume"}:
            return self._complete(previous)
        own, peer = self.ends[plan.side], self.ends[previous.side]
        if previous.verb == "connect":
            return self._connected(own)
        if previous.verb == "send":
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
                    if side == "server" and end.state is State.LISTEN:
                        end.close(self.now)
                    end.open(self.now)
                case "send":
                    end.send(plan.payload, self.now)
                    self.sent[side] += plan.octets
                    plan.until = self.sent[side]
                    self.sends[side].append((plan.until, plan.text))
                case "receive":
                    self.wanted[side] += plan.octets
                    plan.until = self.wanted[side]
                case "close":
                    end.close(self.now)
                case "abort":
                    end.abort(self.now)
                case "pause" | "resume":
                    self.reading[side] = plan.verb == "resume"
                case _:
                    self._wait(plan)
        except UsageError as error:
            key = ("steps", plan.number, side)
            raise self.source.error(
                key, f"cannot {plan.verb}: {error} (the {side} is in {end.state})"
            ) from error

    def _wait(self, plan: Plan) -> None:
        details = plan.step.action.details
        time = (
            details.time.draw(self.seed, f"steps[{plan.number + 1}].time") if isinstance(details, Wait) else 0
        )
        plan.until = self.now + time
        self._at(plan.until, None)

    def _check_finished(self) -> None:
        """Every step has begun, and the last is complete."""
        if self.cursor < len(self.plans):
            plan = self.plans[self.cursor]
            before = self.plans[plan.number - 1]
            raise self.source.error(
                ("steps", plan.number),
                f"{plan.side} {plan.verb} never begins: it waits for the {before.side}'s {before.verb} (line "
                f"{before.line}); in the end the client is in {self.ends['client'].state}, the server in "
                f"{self.ends['server'].state}",
            )
        last = self.plans[-1]
        if not self._complete(last):
            got = self.ends[last.side].delivered
            raise self.source.error(
                ("steps", last.number),
                f"{last.side} {last.verb} never completes: {got} octets arrived in all",
            )

    def _trace(self) -> Trace:
        records = []
        for number, (time, flight) in enumerate(self.taken, 1):
            other = "server" if flight.sender == "client" else "client"
            received = flight.received or (self.settled[other],) * 2
            states = {flight.sender: flight.sent, other: received}
            records.append(
                Record(
                    number,
                    time,
                    flight.sender,
                    flight.out.segment,
                    flight.out.why,
                    flight.step,
                    states["client"],
                    states["server"],
                    bool(flight.times),
                )
            )
        return Trace(
            name=self.model.name,
            summary=self.model.summary,
            seed=self.seed,
            start=self.model.start,
            client=self.hosts["client"],
            server=self.hosts["server"],
            client_isn=self.ends["client"].snd.iss,
            server_isn=self.ends["server"].snd.iss,
            records=tuple(records),
            link=ETHERNET if self.model.link == "ethernet" else RAW,
        )


def play(model: ScenarioModel, source: Source, seed: int) -> Trace:
    """The trace of a scenario for a seed; the same for the same seed, always."""
    return Player(model, source, seed).play()
