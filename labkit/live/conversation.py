"""A conversation in real time: labkit's TCP at one end, the kernel's or a stranger's at the other.

`frames` does everything: it lets the steps happen, carries the segments, and gives each frame when it was taken down. Who
does not ask for the next one stops the conversation. What happened is a `Trace` afterwards, like one that was built.
"""

import select
from collections.abc import Iterator
from dataclasses import dataclass, replace
from socket import socket

from labkit.analysis.states import observe
from labkit.build.path import Direction, Path
from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import OTHER, Parts
from labkit.build.trace import Connection, Record, Trace
from labkit.capture import Frame
from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.clock import SECOND, Clock
from labkit.live.guard import Guard
from labkit.live.kernel import Kernel
from labkit.live.labkit_end import LabkitEnd, Taken
from labkit.live.link import Link
from labkit.live.peers import End, ExternalPeer
from labkit.live.script import Script
from labkit.live.station import Station
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment
from labkit.tcp.state import State

TICK = 2_000_000
"""Nanoseconds after which a socket is looked at again: of what is acknowledged it does not tell by itself."""
LINGER = {"kernel": 20_000_000, "stranger": 200_000_000}
"""Nanoseconds of silence after which a conversation is over whose steps are done."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays, and where."""

    scenario: Scenario
    side: str
    """Labkit's."""
    seed: int = 0
    path: bool = True
    """Whether the scenario's path lies between labkit and the wire."""


class Conversation:
    """One conversation on one link. A context manager; `frames` may be asked for once."""

    def __init__(self, given: Cast, parts: Parts, link: Link, guard: Guard, kernel: Kernel | None = None) -> None:
        model, side = given.scenario.model, given.side
        self.seed = given.seed
        self.side = side
        self.guard = guard
        self.parts = parts
        self.taken: list[Taken] = []
        """All that was taken down."""
        self.scenario = given.scenario
        path = setup.path(model, parts.seed) if given.path else Path(Direction(), Direction())
        self._link = link
        self.crafted = LabkitEnd(model, parts, side, Station(link, parts.hosts[side]), path)
        self.kernel = kernel
        other: End = kernel or ExternalPeer(self.crafted)
        self.script = Script(
            setup.plans(model, given.scenario.source, parts.seed),
            {side: self.crafted, OTHER[side]: other},
            given.scenario.source,
        )
        # Whatever takes its time for the first frame takes it now, and not while somebody waits for an answer.
        self.crafted.station.frame(Segment(), parts.hosts[side], parts.hosts[OTHER[side]], 0)
        self.clock = Clock()

    def frames(self) -> Iterator[Frame]:
        """Everything that happens, frame by frame. LinkError where it cannot go on, or takes too long."""
        crafted = self.crafted
        guarded = crafted.peer
        if guarded is not None:
            self.guard.check_addresses([guarded.address])
            crafted.station.locate(guarded.address, self.clock)
        begin = self.clock.now()
        if self.side == "server" and self.parts.listens:
            crafted.listen()
        limit = begin + int(self.guard.seconds * SECOND)
        silent_since: int | None = None
        while True:
            now = self.clock.now()
            yield from self._happen(now)
            silent_since = (silent_since or now) if self._silent(now) else None
            if silent_since is not None and now - silent_since >= LINGER["kernel" if self.kernel else "stranger"]:
                return
            if now >= limit:
                raise LinkError(
                    _("not over after {n:g} seconds: {reason}; --for allows more").format(
                        n=self.guard.seconds, reason=self.script.waits_for()
                    )
                )
            self._wait(now, limit)

    def _happen(self, now: int) -> Iterator[Frame]:
        """All that is to happen now; the application has its chance to answer each segment."""
        crafted = self.crafted
        crafted.arrive(now)
        if self.kernel is not None:
            self.kernel.look()
        while True:
            went_on = crafted.go_on(now)
            yield from self._new()
            begun = self.script.go_on(now)
            crafted.flush(now)
            yield from self._new()
            if not went_on and not begun:
                return

    def _new(self) -> Iterator[Frame]:
        """The frames that were taken down since the last call."""
        while self.crafted.taken:
            taken = self.crafted.taken.popleft()
            self.taken.append(taken)
            yield self._frame(len(self.taken), taken)

    def _frame(self, number: int, taken: Taken, comment: str = "") -> Frame:
        comments = (comment,) if comment else ()
        return Frame(number, self.clock.wall(taken.time), ETHERNET, taken.frame, len(taken.frame), comments)

    def _silent(self, now: int) -> bool:
        """Whether all steps are done, and nothing more is to be expected."""
        if not self.script.complete(now) or not self.crafted.quiet:
            return False
        return self.kernel is None or self.kernel.quiet

    def _wait(self, now: int, limit: int) -> None:
        """Until something has come, or time has."""
        times = [time for time in (self.crafted.due(), self.script.due()) if time is not None and time > now]
        until = min([*times, limit, now + LINGER["stranger"] // 4])
        reading: list[Link | socket] = [self._link]
        writing: list[socket] = []
        if self.kernel is not None:
            until = min(until, now + TICK)
            reading += self.kernel.reads
            writing += self.kernel.writes
        select.select(reading, writing, [], max(until - self.clock.now(), 0) / SECOND)

    # Afterwards.

    def leave(self) -> bool:
        """End a connection that is still there, with a reset that is not taken down; whether there was one."""
        # Where a run breaks off, not everything that was taken down has been asked for.
        self.taken += self.crafted.taken
        self.crafted.taken.clear()
        left = self.crafted.leave(self.clock.now())
        if self.kernel is not None:
            self.kernel.close()
        return left

    def trace(self) -> Trace:
        """What happened, as a trace. The peer's states are those that an observer infers."""
        crafted, model = self.crafted, self.scenario.model
        rows = {row.number: row for row in observe(self._frame(n, each) for n, each in enumerate(self.taken, 1))}
        own_first = self.side == "client"
        peer_state = State.CLOSED if not own_first else State.LISTEN
        records = []
        for number, each in enumerate(self.taken, 1):
            row = rows.get(number)
            seen = row.states[1 if own_first else 0] if row is not None else None
            before, peer_state = peer_state, seen or peer_state
            states = (each.before, each.after), (before, peer_state)
            records.append(
                Record(
                    number,
                    each.time - self.taken[0].time,
                    each.sender,
                    each.segment,
                    each.why or _why(each.segment),
                    each.step or _("seen from {host}").format(host=crafted.trusted()),
                    *(states if own_first else states[::-1]),
                    arrived=each.arrived,
                    tap=model.capture if model.capture != "both" else self.side,
                    ident=each.ident,
                    connection=each.connection,
                )
            )
        return Trace(
            name=model.name,
            summary=model.summary,
            seed=self.seed,
            start=self.clock.wall(self.taken[0].time if self.taken else 0),
            connections=tuple(self._connection(isns) for isns in crafted.isns),
            records=tuple(records),
        )

    def _connection(self, isns: dict[str, int]) -> Connection:
        hosts: dict[str, Host] = {self.side: self.crafted.station.own, OTHER[self.side]: self.crafted.trusted()}
        hosts = {side: replace(host, name=host.name or side) for side, host in hosts.items()}
        return Connection(hosts["client"], hosts["server"], isns.get("client", 0), isns.get("server", 0))

    def annotated(self) -> Iterator[Frame]:
        """All frames once more, each with the comment that says why it was sent and how its numbers follow."""
        comments = (comment for _time, _octets, comment in self.trace().frames())
        for number, (taken, comment) in enumerate(zip(self.taken, comments, strict=True), 1):
            yield self._frame(number, taken, comment)


def _why(segment: Segment) -> str:
    """Why somebody will have sent a segment, as far as it tells."""
    if segment.ctl & RST:
        return "rst"
    if segment.ctl & SYN:
        return "syn-ack" if segment.ctl & ACK else "syn"
    if segment.payload:
        return "data"
    return "fin" if segment.ctl & FIN else "ack"
