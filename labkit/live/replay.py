"""Replay a finished trace on a wire: each packet leaves its sender's end at the time in the capture file.

Deadlines are absolute, so that delays do not add up. Packets that the path lost before the trace's capture point are not in
the trace, and are not sent. A third socket records what was on the wire.
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
from labkit.live.system import set_timer_slack
from labkit.packet.linktype import ETHERNET

MAX_REORDERING = 64
"""How many places apart a recorded frame may be from its place in the trace, because two ends send."""
RECORD_TIMEOUT = SECOND
"""Nanoseconds within which the third socket must record the last frame."""


class Packet(NamedTuple):
    """One packet of the replay."""

    time: int
    """Nanoseconds after the first packet."""
    sender: str
    octets: bytes
    comment: str


def packets(trace: Trace) -> list[Packet]:
    """The Ethernet frames of a trace's first capture point."""
    framing = trace.framing
    if framing.link != ETHERNET:
        trace = replace(trace, framing=replace(framing, link=ETHERNET))
    tap = trace.records[0].tap if trace.records else ""
    found = [
        Packet(record.time, record.sender, octets, comment)
        for record, octets, _wirelen, comment in trace.captured(translated=True)
        if record.tap == tap
    ]
    # An edited trace may not be in the order of time.
    first = min((each.time for each in found), default=0)
    return [each._replace(time=each.time - first) for each in found]


def check(trace: Trace, to_send: list[Packet], guard: Guard, speed: float | None) -> None:
    """LinkError if the guard forbids the addresses, the number of packets or the duration."""
    guard.check_addresses({host.address for each in trace.connections for host in (each.client, each.server)})
    if len(to_send) > guard.packets:
        text = _("the conversation has {n} packets; a run sends at most {most}. --packets allows more")
        raise LinkError(text.format(n=len(to_send), most=guard.packets))
    length = max((each.time for each in to_send), default=0) / SECOND
    if speed is not None and length / speed > guard.seconds:
        text = _(
            "the conversation takes {n:.0f} seconds; a run lasts at most {most:g}. --for allows more, "
            "--speed {speed:.0f} or --topspeed makes it shorter"
        )
        raise LinkError(text.format(n=length / speed, most=guard.seconds, speed=length / guard.seconds + 1))


def replay(to_send: list[Packet], links: Mapping[str, Link], tap: Link, speed: float | None) -> Iterator[Frame]:
    """Send packets through their senders' links; yield every frame that `tap` records, with its comment.

    `speed` 2 is twice as fast, None as fast as possible. LinkError if `tap` misses a sent packet.
    """
    set_timer_slack()
    clock = Clock()
    expected: deque[Packet] = deque()
    number = 0
    for each in to_send:
        if speed is not None:
            clock.sleep_until(int(each.time / speed))
        expected.append(each)
        links[each.sender].send(each.octets)
        for frame in _recorded(tap, expected):
            number += 1
            yield frame._replace(number=number)
    deadline = clock.now() + RECORD_TIMEOUT
    while expected and clock.now() < deadline:
        for frame in _recorded(tap, expected):
            number += 1
            yield frame._replace(number=number)
        clock.sleep_until(min(clock.now() + SECOND // 1000, deadline))
    if expected:
        text = _("{interface}: {n} of {all} sent packets did not appear on the wire")
        raise LinkError(text.format(interface=tap.interface, n=len(expected), all=len(to_send)))


def _recorded(tap: Link, expected: deque[Packet]) -> Iterator[Frame]:
    """Yield the recorded frames that are expected, and skip all others."""
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
            if place == MAX_REORDERING:
                break
