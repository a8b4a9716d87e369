"""A finished trace on a wire: each packet leaves the end of its sender at its time, as the capture file has it.

The pace is kept by absolute deadlines, so that delays do not add up. What a capture of the trace shows is what its point of
capture saw: a packet that the path had lost before is not there, and is not sent. A third socket listens and says what
really was on the wire.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from labkit.build.trace import Trace
from labkit.capture import Frame
from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.clock import SECOND, Clock
from labkit.live.guard import Guard
from labkit.live.link import Link
from labkit.live.system import precise_timers
from labkit.packet.linktype import ETHERNET

AHEAD = 64
"""Frames among which one that was heard is looked for: those of the two ends may change places."""
PATIENCE = SECOND
"""Nanoseconds in which what was sent must have been heard."""


class Packet(NamedTuple):
    """One packet that is to be sent."""

    time: int
    """Nanoseconds after the first."""
    sender: str
    octets: bytes
    comment: str


def packets(trace: Trace) -> list[Packet]:
    """What is sent of a trace: what its first point of capture saw, in Ethernet frames."""
    framing = trace.framing
    if framing.link != ETHERNET:
        trace = replace(trace, framing=replace(framing, link=ETHERNET))
    tap = trace.records[0].tap if trace.records else ""
    found = [
        Packet(record.time, record.sender, octets, comment)
        for record, octets, _wirelen, comment in trace.captured()
        if record.tap == tap
    ]
    # Edited traces may not be in the order of time; the wire has no other.
    first = min((each.time for each in found), default=0)
    return [each._replace(time=each.time - first) for each in found]


def check(trace: Trace, wanted: list[Packet], guard: Guard, speed: float | None) -> None:
    """LinkError where the guard does not let the packets be sent, or they take too long or are too many."""
    guard.check_addresses({host.address for each in trace.connections for host in (each.client, each.server)})
    if len(wanted) > guard.packets:
        raise LinkError(
            _("{n} packets are more than {most}, the most for one run; --packets allows more").format(
                n=len(wanted), most=guard.packets
            )
        )
    length = max((each.time for each in wanted), default=0) / SECOND
    if speed is not None and length / speed > guard.seconds:
        raise LinkError(
            _(
                "the conversation takes {n:.0f} seconds, and a run {most:g} at most: --for allows more, "
                "--speed {speed:.0f} or --topspeed makes it shorter"
            ).format(n=length / speed, most=guard.seconds, speed=length / guard.seconds + 1)
        )


def replay(wanted: list[Packet], links: Mapping[str, Link], tap: Link, speed: float | None = 1.0) -> Iterator[Frame]:
    """Send packets, each through its sender's link; every frame as it was heard at `tap`, with its comment.

    `speed` 2 is twice as fast, None as fast as can be. LinkError where something that was sent was not heard.
    """
    precise_timers()
    clock = Clock()
    expected: deque[Packet] = deque()
    number = 0
    for each in wanted:
        if speed is not None:
            clock.sleep_until(int(each.time / speed))
        expected.append(each)
        links[each.sender].send(each.octets)
        for frame in _heard(tap, expected):
            number += 1
            yield frame._replace(number=number)
    deadline = clock.now() + PATIENCE
    while expected and clock.now() < deadline:
        for frame in _heard(tap, expected):
            number += 1
            yield frame._replace(number=number)
        clock.sleep_until(min(clock.now() + SECOND // 1000, deadline))
    if expected:
        raise LinkError(
            _("{interface}: {n} of {all} packets that were sent were not seen on the wire").format(
                interface=tap.interface, n=len(expected), all=len(wanted)
            )
        )


def _heard(tap: Link, expected: deque[Packet]) -> Iterator[Frame]:
    """What was heard of what is expected. Whatever else is on the wire is not of the conversation."""
    while expected:
        arrived = tap.receive()
        if arrived is None:
            return
        for place, each in enumerate(expected):
            if each.octets == arrived.data:
                del expected[place]
                comments = (each.comment,) if each.comment else ()
                yield Frame(0, arrived.time, ETHERNET, arrived.data, len(arrived.data), comments)
                break
            if place == AHEAD:
                break
