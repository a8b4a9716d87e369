"""A conversation in real time between labkit's TCP and the kernel's, or that of an external program.

`frames` runs it: it starts the steps, exchanges segments, and yields each frame that it captures. A caller that stops iterating
stops the conversation. Afterwards `trace` returns the conversation as a `Trace`, like one that was built.
"""

import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from socket import socket

from labkit.analysis.states import observe
from labkit.build.application import Application, End, Plan
from labkit.build.path import Direction, Path
from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import OTHER, Parts
from labkit.build.trace import Connection, Record, Trace
from labkit.capture import Frame
from labkit.errors import LinkError, UsageError
from labkit.i18n import _
from labkit.live.clock import SECOND, Clock
from labkit.live.guard import Guard
from labkit.live.kernel import KernelSocket
from labkit.live.labkit_end import CapturedSegment, LabkitEnd
from labkit.live.link import Link
from labkit.live.peers import ExternalPeer
from labkit.live.station import Station
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment
from labkit.tcp.state import State

TICK = 2_000_000
"""Nanoseconds between two looks at a kernel socket, because `select` does not report acknowledgements."""
LINGER = {"kernel": 20_000_000, "program": 200_000_000}
"""Nanoseconds of silence after the last step that end a conversation, by the kind of peer."""


@dataclass(slots=True)
class SessionConfig:
    """What to play, where, and against which peer."""

    scenario: Scenario
    side: str
    """Labkit's side, client or server."""
    seed: int = 0
    peer: str = "program"
    """`program`: any program that answers or connects. `kernel`: a kernel socket that does the other side's steps."""
    to: tuple[str, int | None] | None = None
    """The server's address and port, if it is outside the lab."""
    path: bool = True
    """Whether the scenario's path lies between labkit and the wire."""
    ipv6: bool = False
    lab: str | None = None
    """The lab's name."""
    interface: str | None = None
    """The interface to use instead of a lab."""
    guard: Guard = field(default_factory=Guard)


class Conversation:
    """One conversation on one link. Call `frames` once."""

    def __init__(self, config: SessionConfig, parts: Parts, link: Link, kernel: KernelSocket | None = None) -> None:
        scenario, side = config.scenario, config.side
        model = scenario.model
        self.scenario = scenario
        self.seed = config.seed
        self.side = side
        self.guard = config.guard
        self.parts = parts
        self.captured: list[CapturedSegment] = []
        self.finished = False
        """Whether all steps were done, and silence followed."""
        self.stop: Callable[[], bool] = lambda: False
        """Whether to end early; asked at least every 50 ms."""
        path = setup.path(model, parts.seed) if config.path else Path(Direction(), Direction())
        self._link = link
        self.labkit_end = LabkitEnd(model, parts, side, Station(link, parts.hosts[side]), path)
        self.kernel = kernel
        ends: dict[str, End] = {side: self.labkit_end, OTHER[side]: kernel or ExternalPeer(self.labkit_end)}
        self.application = Application(setup.plans(model, scenario.source, parts.seed), ends)
        # Building the first frame is slow, so it happens before the peer waits for an answer.
        self.labkit_end.station.frame(Segment(), parts.hosts[side], parts.hosts[OTHER[side]], 0)
        self.clock = Clock()

    def frames(self) -> Iterator[Frame]:
        """Run the conversation and yield its frames. LinkError if it cannot go on or takes too long."""
        end = self.labkit_end
        if end.peer is not None:
            self.guard.check_addresses([end.peer.address])
            end.station.resolve(end.peer.address, self.clock)
        begin = self.clock.now()
        if self.side == "server" and self.parts.listens:
            end.listen()
        limit = begin + int(self.guard.seconds * SECOND)
        linger = LINGER["kernel" if self.kernel else "program"]
        silent_since: int | None = None
        while True:
            now = self.clock.now()
            yield from self._advance(now)
            silent_since = (silent_since or now) if self._silent(now) else None
            if silent_since is not None and now - silent_since >= linger:
                self.finished = True
                return
            if self.stop():
                return
            if now >= limit:
                text = _("not over after {n:g} seconds: {reason}; --for allows more")
                raise LinkError(text.format(n=self.guard.seconds, reason=self._waiting_for()))
            self._wait(now, limit)

    def _waiting_for(self) -> str:
        """The reason why a conversation does not end, for an error message."""
        end = self.labkit_end
        if end.state is State.LISTEN and end.peer is None:
            return _("no client has connected to {host}").format(host=end.station.own)
        if end.state is State.SYN_SENT:
            return _("{host} has not answered the SYN").format(host=end.peer)
        if unacknowledged := end.unacknowledged:
            text = _("the {peer} does not acknowledge {n} octets")
            return text.format(peer=_(OTHER[self.side]), n=unacknowledged)
        plan, latest = self.application.next, self.application.latest
        if plan is None or latest is None:
            return _("{step} is not complete").format(step=_title(plan or latest))
        if plan.due is not None:
            text = _("{step} begins {n:g} seconds after {previous}")
            return text.format(step=_title(plan), n=plan.after / SECOND, previous=_title(latest))
        return _("{step} waits for {previous}").format(step=_title(plan), previous=_title(latest))

    def _advance(self, now: int) -> Iterator[Frame]:
        """Handle everything that is due. After each segment the application can act before TCP answers."""
        end = self.labkit_end
        end.arrive(now)
        if self.kernel is not None:
            self.kernel.poll()
        while True:
            handled = end.go_on(now)
            yield from self._new_frames()
            begun = self._begin_steps(now)
            end.flush(now)
            yield from self._new_frames()
            if not handled and not begun:
                return

    def _begin_steps(self, now: int) -> bool:
        """Begin the steps that are due; return whether there was one. LinkError if a step is impossible."""
        application = self.application
        try:
            begun = application.go_on(now)
        except UsageError as error:
            plan = application.next
            assert plan is not None  # noqa: S101 - it is the step that failed
            if application.ends[plan.side].gone and self.labkit_end.loss:
                reason = _("{reason} before {step}").format(reason=self.labkit_end.loss, step=_title(plan))
            else:
                reason = _("the {side} cannot {verb}: {reason}").format(side=_(plan.side), verb=plan.verb, reason=error)
            raise self._error(plan, reason) from error
        plan = application.latest
        if plan is not None and plan.verb == "receive" and not application.complete(plan, now):
            end = application.ends[plan.side]
            if end.peer_closed:
                text = _("the {side} received {count} of {octets} octets: {reason}")
                reason = self.labkit_end.loss or _("the peer has closed")
                raise self._error(
                    plan, text.format(side=_(plan.side), count=end.delivered, octets=plan.until, reason=reason)
                )
        return bool(begun)

    def _error(self, plan: Plan, reason: str) -> LinkError:
        text = _("{file}:{line}: {reason}")
        return LinkError(text.format(file=self.scenario.source.name, line=plan.line, reason=reason))

    def _new_frames(self) -> Iterator[Frame]:
        while self.labkit_end.captured:
            captured = self.labkit_end.captured.popleft()
            self.captured.append(captured)
            yield self._frame(captured)

    def _frame(self, captured: CapturedSegment, comment: str = "") -> Frame:
        comments = (comment,) if comment else ()
        data = captured.frame
        return Frame(captured.number, self.clock.wall(captured.time), ETHERNET, data, len(data), comments)

    def _silent(self, now: int) -> bool:
        """Whether all steps are complete and no segment is in flight."""
        if not self.application.finished(now) or not self.labkit_end.quiet:
            return False
        return self.kernel is None or self.kernel.quiet

    def _wait(self, now: int, limit: int) -> None:
        """Wait until a frame comes or the next thing is due."""
        times = [time for time in (self.labkit_end.due(), self.application.due()) if time is not None and time > now]
        until = min([*times, limit, now + LINGER["program"] // 4])
        reading: list[Link | socket] = [self._link]
        writing: list[socket] = []
        if self.kernel is not None:
            until = min(until, now + TICK)
            reading += self.kernel.reads
            writing += self.kernel.writes
        select.select(reading, writing, [], max(until - self.clock.now(), 0) / SECOND)

    # After the run.

    def leave(self) -> bool:
        """Reset a connection that is still open, without capturing the RST; return whether there was one."""
        # A run that broke off may have left captured segments behind.
        self.captured += self.labkit_end.captured
        self.labkit_end.captured.clear()
        left = self.labkit_end.leave(self.clock.now())
        if self.kernel is not None:
            self.kernel.shut_down()
        return left

    def trace(self) -> Trace:
        """The conversation as a trace. The peer's states are inferred from the capture."""
        end, model = self.labkit_end, self.scenario.model
        rows = {row.number: row for row in observe(map(self._frame, self.captured))}
        own_first = self.side == "client"
        peer_state = State.LISTEN if own_first else State.CLOSED
        start = self.captured[0].time if self.captured else 0
        records = []
        for each in self.captured:
            row = rows.get(each.number)
            inferred = row.states[1 if own_first else 0] if row is not None else None
            before, peer_state = peer_state, inferred or peer_state
            states = (each.before, each.after), (before, peer_state)
            records.append(
                Record(
                    each.number,
                    each.time - start,
                    each.sender,
                    each.segment,
                    each.why or _why(each.segment),
                    each.step or _("seen from {host}").format(host=end.peer_host()),
                    *(states if own_first else states[::-1]),
                    arrived=each.arrived,
                    tap=model.capture if model.capture != "both" else self.side,
                    ident=each.ident,
                    label=each.label,
                    connection=each.connection,
                )
            )
        return Trace(
            name=model.name,
            summary=model.summary,
            seed=self.seed,
            start=self.clock.wall(start),
            connections=tuple(self._connection(number) for number in end.isns),
            records=tuple(records),
        )

    def _connection(self, number: int) -> Connection:
        hosts: dict[str, Host] = {self.side: self.labkit_end.station.own, OTHER[self.side]: self.labkit_end.peer_host()}
        hosts = {side: replace(host, name=host.name or side) for side, host in hosts.items()}
        isns = {self.side: self.labkit_end.isns[number], OTHER[self.side]: self.labkit_end.peer_isns.get(number, 0)}
        return Connection(hosts["client"], hosts["server"], isns["client"], isns["server"])

    def annotated(self) -> Iterator[Frame]:
        """All frames, each with a comment, in the user's language, that says why it was sent and how its numbers follow."""
        comments = (comment for *_frame, comment in self.trace().captured(translated=True))
        for captured, comment in zip(self.captured, comments, strict=True):
            yield self._frame(captured, comment)


def _title(plan: Plan | None) -> str:
    """A step in messages."""
    assert plan is not None  # noqa: S101 - a scenario has a step
    return _("step {number} ({side} {verb})").format(number=plan.place + 1, side=plan.side, verb=plan.verb)


def _why(segment: Segment) -> str:
    """The likely reason for a segment of the peer."""
    if segment.ctl & RST:
        return "rst"
    if segment.ctl & SYN:
        return "syn-ack" if segment.ctl & ACK else "syn"
    if segment.payload:
        return "data"
    return "fin" if segment.ctl & FIN else "ack"
