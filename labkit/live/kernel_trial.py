"""The kernel's TCP as the peer of a program under test: a socket does the peer's steps, a relay applies the path."""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from socket import socket

from labkit.build.application import Application, End, Plan
from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import OTHER, Parts
from labkit.capture import Frame
from labkit.errors import LinkError, UsageError
from labkit.i18n import _
from labkit.live.clock import SECOND
from labkit.live.conversation import LINGER, TICK
from labkit.live.guard import Guard
from labkit.live.kernel import KernelSocket, configure_kernel
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.peers import Independent
from labkit.live.relay import Relay
from labkit.live.wiring import KERNELS, RELAY, RELAY_INTERFACES, ip
from labkit.tcp.state import State

BATCH_FRAMES = 64
"""Frames that are read from one link before the other one has its turn."""
MAX_WAIT = SECOND // 20
"""The longest wait for a connection, in nanoseconds, before the clock is read again."""
FIN_ACKNOWLEDGED = {State.FIN_WAIT_2, State.TIME_WAIT, State.CLOSED}


class KernelsPeer(Independent):
    """The program, as an `End` of the steps: it acts on its own, and the kernel's socket tells what it has done."""

    def __init__(self, kernel: KernelSocket) -> None:
        self._kernel = kernel

    @property
    def connected(self) -> bool:
        """Whether the kernel's end is connected."""
        return self._kernel.connected

    @property
    def delivered(self) -> int:
        """Octets of the kernel that the program has acknowledged."""
        return self._kernel.acknowledged

    @property
    def peer_closed(self) -> bool:
        """Whether the program has acknowledged the kernel's FIN, or the connection is gone."""
        return self._kernel.state in FIN_ACKNOWLEDGED or self.gone

    @property
    def gone(self) -> bool:
        """Whether the kernel has no connection."""
        return self._kernel.gone

    def knows(self, octets: int) -> bool:
        """Whether the kernel has received this many octets."""
        return self._kernel.delivered >= octets


class KernelConversation:
    """One conversation of a program with the kernel, in a lab with a relay. Call `frames` once, and then `leave`."""

    def __init__(self, scenario: Scenario, parts: Parts, side: str, lab: Lab, guard: Guard) -> None:
        model = scenario.model
        self.scenario = scenario
        self.side = side
        """The kernel's side."""
        self.finished = False
        """Whether all steps were done, and silence followed."""
        self.stop: Callable[[], bool] = lambda: False
        """Whether to end early; asked at least every 50 ms."""
        own, peer = parts.hosts[side], parts.hosts[OTHER[side]]
        interface = KERNELS[side].interface
        configure_kernel(lab, side, model)
        with lab.inside(side):
            ip(
                [
                    f"address add {own.address}/{own.ip.max_prefixlen} dev {interface}{' nodad' * (own.ip.version == 6)}",
                    f"neigh replace {peer.address} lladdr {peer.mac} dev {interface} nud permanent",
                ]
            )
        self._links = ExitStack()
        # Both directions pass: what the guard allows a run counts twice.
        both = replace(guard, packets=2 * guard.packets)
        with lab.inside(RELAY):
            self._ends = {end: self._links.enter_context(Link(name, both)) for end, name in RELAY_INTERFACES.items()}
        self._relay = Relay(setup.path(model, parts.seed))
        self._kernel = KernelSocket(lab, model, parts, side, own, peer)
        self._peer = peer
        ends: dict[str, End] = {side: self._kernel, OTHER[side]: KernelsPeer(self._kernel)}
        self._application = Application(setup.plans(model, scenario.source, parts.seed), ends)
        self._seconds = guard.seconds

    def frames(self) -> Iterator[Frame]:
        """Run the conversation; it yields nothing. LinkError if it cannot go on or takes too long."""
        limit = time.monotonic_ns() + int(self._seconds * SECOND)
        heard = time.monotonic_ns()
        while not self.stop():
            now = time.monotonic_ns()
            if self._forward(now):
                heard = now
            self._kernel.poll()
            self._begin_steps(now)
            if not self._done(now):
                heard = max(heard, now)
            elif now - heard >= LINGER["program"]:
                self.finished = True
                return
            if now >= limit:
                text = _("not over after {n:g} seconds: {reason}; --for allows more")
                raise LinkError(text.format(n=self._seconds, reason=self._waiting_for()))
            self._wait(now)
        yield from ()

    def _forward(self, now: int) -> bool:
        """Carry frames; return whether there were any."""
        count = 0
        for end, link in self._ends.items():
            for _number in range(BATCH_FRAMES):
                arrived = link.receive()
                if arrived is None:
                    break
                self._relay.receive(end, arrived.data, now)
                count += 1
        for _due, end, frame in self._relay.ready(now):
            self._ends[end].send(frame)
            count += 1
        return count > 0

    def _begin_steps(self, now: int) -> None:
        try:
            self._application.go_on(now)
        except UsageError as error:
            plan = self._application.next
            assert plan is not None  # noqa: S101 - it is the step that failed
            text = _("the {side} cannot {verb}: {reason}")
            raise LinkError(text.format(side=_(plan.side), verb=plan.verb, reason=error)) from error

    def _done(self, now: int) -> bool:
        """Whether all steps are complete, the program has closed if it should, and nothing is on its way."""
        application, kernel = self._application, self._kernel
        if not application.finished(now) or self._relay.due() is not None or not kernel.quiet:
            return False
        return kernel.peer_closed or not any(
            each.verb in {"close", "abort"} and each.side != self.side for each in application.plans
        )

    def _waiting_for(self) -> str:
        """The reason why a conversation does not end, for an error message."""
        kernel = self._kernel
        if kernel.state is State.LISTEN:
            return _("no client has connected to {host}").format(host=kernel.own)
        if kernel.state is State.SYN_SENT:
            return _("{host} has not answered the SYN").format(host=self._peer)
        if waiting := kernel.offered - kernel.acknowledged:
            text = _("the {peer} does not acknowledge {n} octets")
            return text.format(peer=_(OTHER[self.side]), n=waiting)
        plan = self._application.next
        if plan is None:
            return _("the {side} has not closed").format(side=_(OTHER[self.side]))
        return _("{step} is not complete").format(step=_title(self._application.latest or plan))

    def _wait(self, now: int) -> None:
        """Wait until something comes or is due."""
        times = [each for each in (self._relay.due(), self._application.due()) if each is not None and each > now]
        until = min([*times, now + (TICK if self._kernel.state is not State.LISTEN else MAX_WAIT)])
        reading: list[Link | socket] = [*self._ends.values(), *self._kernel.reads]
        select.select(reading, self._kernel.writes, [], max(until - time.monotonic_ns(), 0) / SECOND)

    def leave(self) -> None:
        """Close the socket and the relay's links."""
        self._kernel.shut_down()
        self._links.close()

    def annotated(self) -> Iterator[Frame]:
        """Nothing: the kernel does not say why it sends a segment."""
        yield from ()


def _title(plan: Plan) -> str:
    return _("step {number} ({side} {verb})").format(number=plan.place + 1, side=plan.side, verb=plan.verb)
