"""The I/O of a relay: carry frames between a lab's two ends and apply the `Relay`'s path to them.

    with open_links(lab, guard) as links:
        delays = forward(relay, links, stop, seconds=60)

The kernel's timestamp says when a frame came. It leaves at an absolute deadline, so that delays do not add up.
"""

import select
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live import ethtool
from labkit.live.clock import SECOND
from labkit.live.guard import Guard
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.relay import Relay
from labkit.live.stop import Stop
from labkit.live.system import set_timer_slack
from labkit.live.wiring import KERNELS, RELAY, RELAY_INTERFACES

BATCH_FRAMES = 64
"""Frames that the relay reads from one link before it turns to the other."""

LOCK = "\0labkit-relay"
"""The name of an abstract socket (unix(7)). Each network namespace has its own; it disappears with the process."""


@dataclass(slots=True)
class Delays:
    """How late frames left, in nanoseconds after the time that the path gave them."""

    frames: int = 0
    total: int = 0
    worst: int = 0

    @property
    def mean(self) -> int:
        """The average delay."""
        return self.total // self.frames if self.frames else 0


@contextmanager
def open_links(lab: Lab, guard: Guard) -> Iterator[dict[str, Link]]:
    """Open the relay's links, by the end of the lab to which each leads.

    The process moves into the relay's namespace, so that it ends with the lab. LinkError if the lab has no relay, another
    relay is running, or the ends leave checksums to hardware.
    """
    for end, kernel in KERNELS.items():
        with lab.inside(end):
            if ethtool.offloads_checksums(kernel.interface):
                raise LinkError(_unfinished(kernel.interface))
    with lab.inside(RELAY):
        lock = _lock()
    with ExitStack() as stack:
        stack.enter_context(lock)
        lab.namespaces[RELAY].enter()
        yield {end: stack.enter_context(Link(name, guard)) for end, name in RELAY_INTERFACES.items()}


def _lock() -> socket.socket:
    """Bind the socket that only one process of a namespace can bind. LinkError if another process holds it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(LOCK)
    except OSError as error:
        lock.close()
        raise LinkError(_("another relay is already running in this lab")) from error
    return lock


def forward(relay: Relay, links: Mapping[str, Link], stop: Stop, *, seconds: float) -> Delays:
    """Forward frames until `stop` is requested or the time is over. LinkError if a link fails or a checksum is unfinished."""
    set_timer_slack()
    delays = Delays()
    waited: list[Stop | Link] = [stop, *links.values()]
    end = time.monotonic_ns() + int(seconds * SECOND)
    while not stop.requested:
        now = time.monotonic_ns()
        if now >= end:
            break
        due = relay.due()
        wake = end if due is None else min(due, end)
        readable, _writable, _failed = select.select(waited, [], [], max(0, wake - now) / SECOND)
        for side, link in links.items():
            if link in readable:
                _receive(relay, side, link)
        _send(relay, links, delays)
    return delays


def _unfinished(interface: str) -> str:
    text = _("{interface}: packets have unfinished checksums; a relay needs a lab made with --offload off")
    return text.format(interface=interface)


def _receive(relay: Relay, side: str, link: Link) -> None:
    now, wall = time.monotonic_ns(), time.time_ns()
    for _number in range(BATCH_FRAMES):
        arrived = link.receive()
        if arrived is None:
            return
        if arrived.partial:
            raise LinkError(_unfinished(link.interface))
        # The wall clock may be set at any time, so the delay that it shows is limited to a second.
        relay.receive(side, arrived.data, now - min(max(0, wall - arrived.time), SECOND))


def _send(relay: Relay, links: Mapping[str, Link], delays: Delays) -> None:
    now = time.monotonic_ns()
    for due, end, frame in relay.ready(now):
        links[end].send(frame)
        late = now - due
        delays.frames += 1
        delays.total += late
        delays.worst = max(delays.worst, late)
