"""Carries frames between a lab's two ends, as a `Relay` says: the relay's I/O.

    with carrying(lab) as links:
        timing = carry(relay, links, stop, seconds=60)

A frame came when the kernel says that it came, and leaves by an absolute deadline: what one is late, the next one is not.
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
from labkit.live.guard import Guard
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.relay import Relay
from labkit.live.stop import Stop
from labkit.live.system import precise_timers
from labkit.live.wiring import BETWEEN, KERNELS, RELAY

BATCH = 64
"""Frames that are taken from one link before the other one has its turn."""

SECOND = 1_000_000_000

LOCK = "\0labkit-relay"
"""An abstract socket's name (unix(7)): each network namespace has its own, and it is gone with the process."""


@dataclass(slots=True)
class Timing:
    """How late frames left: nanoseconds behind what the path has meant."""

    frames: int = 0
    total: int = 0
    worst: int = 0

    @property
    def mean(self) -> int:
        """On average."""
        return self.total // self.frames if self.frames else 0


@contextmanager
def carrying(lab: Lab, guard: Guard) -> Iterator[dict[str, Link]]:
    """The relay's links, by the end of the lab that each leads to; this process lives in the relay's place from then on.

    So it is ended with the lab. LinkError where the lab has no such place, another relay is there, or the ends leave
    checksums to hardware.
    """
    for end, kernel in KERNELS.items():
        with lab.inside(end):
            if ethtool.leaves_checksums(kernel.interface):
                raise LinkError(_unfinished(kernel.interface))
    with lab.inside(RELAY):
        lock = _alone()
    with ExitStack() as stack:
        stack.enter_context(lock)
        lab.spaces[RELAY].enter()
        yield {end: stack.enter_context(Link(name, guard)) for end, name in BETWEEN.items()}


def _alone() -> socket.socket:
    """What only one process of a namespace can hold. LinkError where another one does."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(LOCK)
    except OSError as error:
        lock.close()
        raise LinkError(_("another relay carries this lab's packets already")) from error
    return lock


def carry(relay: Relay, links: Mapping[str, Link], stop: Stop, *, seconds: float) -> Timing:
    """Carry frames until `stop` is asked, or the time is over; how late they left.

    LinkError where a link fails, or a frame is not whole: its checksum was left to hardware.
    """
    precise_timers()
    timing = Timing()
    watched: list[Stop | Link] = [stop, *links.values()]
    end = time.monotonic_ns() + int(seconds * SECOND)
    while not stop.asked:
        now = time.monotonic_ns()
        if now >= end:
            break
        due = relay.due()
        wake = end if due is None else min(due, end)
        readable, _writable, _failed = select.select(watched, [], [], max(0, wake - now) / SECOND)
        for side, link in links.items():
            if link in readable:
                _take(relay, side, link)
        _send(relay, links, timing)
    return timing


def _unfinished(interface: str) -> str:
    text = _("{interface}: packets come unfinished: the relay needs a lab that was made with --offload off")
    return text.format(interface=interface)


def _take(relay: Relay, side: str, link: Link) -> None:
    """Take what has come from one end."""
    now, wall = time.monotonic_ns(), time.time_ns()
    for _number in range(BATCH):
        arrived = link.receive()
        if arrived is None:
            return
        if arrived.partial:
            raise LinkError(_unfinished(link.interface))
        # The calendar's clock may be set at any time: what it says counts only within reason.
        relay.take(side, arrived.data, now - min(max(0, wall - arrived.time), SECOND))


def _send(relay: Relay, links: Mapping[str, Link], timing: Timing) -> None:
    """Send what is due."""
    now = time.monotonic_ns()
    for due, end, frame in relay.ready(now):
        links[end].send(frame)
        late = now - due
        timing.frames += 1
        timing.total += late
        timing.worst = max(timing.worst, late)
