"""A scenario from a trace: the same two hosts, what their applications send, and when.

    scenario = Scenario.from_trace(Trace.from_capture("a.pcapng"))

The endpoints then make the segments anew. So the scenario has what the applications did, not what the path did: a conversation
with losses becomes one without.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from labkit.build.record import Record
from labkit.build.trace import Trace
from labkit.errors import UsageError
from labkit.packet.linktype import RAW
from labkit.packet.scapy_build import Host
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import MASK, diff

OTHER = {"client": "server", "server": "client"}

PAUSE = 1_000_000
"""Nanoseconds after which a side's further octets are a step of their own."""


@dataclass(slots=True)
class _Step:
    """What a side does at a time."""

    side: str
    verb: str
    time: int
    end: int
    """When its last segment was captured."""
    payload: bytearray = field(default_factory=bytearray)


class _Stream:
    """The octets of one side, in their order."""

    def __init__(self, isn: int) -> None:
        self.isn = isn
        self.next = 1
        """The position of the octet that is expected next; 0 is the SYN."""
        self.waiting: dict[int, bytes] = {}

    def take(self, record: Record) -> bytes:
        """The octets that a segment adds, with those that were waiting for them."""
        at = diff(record.segment.seq, self.isn) + bool(record.segment.ctl & SYN)
        if record.segment.payload and at + len(record.segment.payload) > self.next:
            self.waiting[at] = max(self.waiting.get(at, b""), record.segment.payload, key=len)
        found = b""
        while ready := sorted(place for place in self.waiting if place <= self.next):
            for place in ready:
                fresh = self.waiting.pop(place)[self.next - place :]
                found += fresh
                self.next += len(fresh)
        return found


def values_of(trace: Trace, connection: int) -> dict[str, Any]:
    """The values of a scenario, as `Scenario.from_trace` describes them. UsageError if the trace does not have what it takes."""
    if not 0 <= connection < len(trace.connections):
        raise UsageError(f"there is no connection {connection}; the trace has {len(trace.connections)}, from 0")
    tap = next((record.tap for record in trace if record.connection == connection), "client")
    records = [record for record in trace if record.connection == connection and record.tap == tap]
    syn = {
        side: next((each for each in records if each.sender == side and each.segment.ctl & SYN), None) for side in OTHER
    }
    if syn["client"] is None:
        raise UsageError("the trace does not show the client's SYN; a scenario begins with one")
    listens = syn["server"] is not None
    rtt = _round_trip(records, tap)
    hosts = {"client": trace.connections[connection].client, "server": trace.connections[connection].server}
    values: dict[str, Any] = {
        "name": "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in trace.name)[
            :50
        ]
        or "capture",
        "client": _side(hosts["client"], syn["client"]),
        "server": {**_side(hosts["server"], syn["server"]), **({} if listens else {"listen": False})},
        "steps": [{"client": "connect"}, *_steps(records, syn, rtt, tap)],
    }
    if trace.framing.vlans:
        values["vlan"] = [
            {"id": tag.id, "priority": tag.priority, "service": tag.service} for tag in trace.framing.vlans
        ]
    if trace.link == RAW:
        values["link"] = "raw"
    if rtt is not None:
        values["path"] = {"rtt": f"{rtt}ns"}
    if tap == "server":
        values["capture"] = "server"
    if not values["name"][0].isalnum():
        values["name"] = f"x{values['name']}"
    return values


def _round_trip(records: list[Record], tap: str) -> int | None:
    """The time from the SYN of the side at the capture point to the first segment that answers it."""
    syns = [each.time for each in records if each.sender == tap and each.segment.ctl & SYN]
    answers = (each.time for each in records if each.sender != tap and syns and each.time >= syns[0])
    answered = next((time for time in answers if tap == "client" or time > syns[0]), None)
    # The last SYN before its answer counts: earlier ones were lost.
    return None if answered is None else answered - max(time for time in syns if time <= answered)


def _side(host: Host, syn: Record | None) -> dict[str, Any]:
    """The settings of a host, as its SYN shows them."""
    values: dict[str, Any] = {"address": host.address, "port": host.port, "mac": host.mac}
    if host.name and len(host.name) <= 60:
        values["name"] = host.name
    if syn is None:
        return values
    values |= {"isn": syn.segment.seq, "window": max(syn.segment.window, 1), "window_scale": "off", "sack": False}
    for option in syn.segment.options:
        match option:
            case opt.Mss(size):
                values["mss"] = min(max(size, 88), 65495)
            case opt.WindowScale(shift):
                values["window_scale"] = min(shift, 14)
            case opt.SackPermitted():
                values["sack"] = True
            case opt.Timestamps():
                values["timestamps"] = True
    return values


def _steps(records: list[Record], syn: dict[str, Record | None], rtt: int | None, tap: str) -> Iterator[dict[str, Any]]:
    """The steps after the connect, each with its think time."""
    opened = next(
        (each.time for each in records if each.sender == "client" and each.segment.ctl & (SYN | ACK) == ACK), 0
    )
    end = opened, "client"
    previous = "client", "connect"
    sent = dict.fromkeys(OTHER, 0)
    for step in _happenings(records, syn):
        other = OTHER[step.side]
        if (step.verb, previous) == ("close", (other, "send")):
            # Without this, an application waits with its close until its peer has the acknowledgement.
            yield {step.side: {"receive": sent[other]}}
        yield _written(step, end, rtt, tap)
        end = step.end, step.side
        sent[step.side] += len(step.payload)
        previous = step.side, step.verb


def _happenings(records: list[Record], syn: dict[str, Record | None]) -> Iterator[_Step]:
    """What the applications do, in order. UsageError for octets that the trace lacks."""
    streams = {side: _Stream(each.segment.seq if each is not None else 0) for side, each in syn.items()}
    sending: _Step | None = None
    closed: set[str] = set()
    for record in records:
        side = record.sender
        if record.segment.ctl & RST:
            break
        found = streams[side].take(record)
        if found and sending is not None and sending.side == side and record.time - sending.end < PAUSE:
            sending.payload += found
            sending.end = record.time
        elif found:
            if sending is not None:
                yield sending
            sending = _Step(side, "send", record.time, record.time, bytearray(found))
        if record.segment.ctl & FIN and side not in closed and _reached(streams[side], record):
            closed.add(side)
            if sending is not None:
                yield sending
            sending = None
            yield _Step(side, "close", record.time, record.time)
    if sending is not None:
        yield sending
    for side, stream in streams.items():
        if stream.waiting:
            raise UsageError(f"octets of the {side} are missing after its first {stream.next - 1}")
    reset = next((each for each in records if each.segment.ctl & RST), None)
    if reset is not None and syn["server"] is not None:
        yield _Step(reset.sender, "abort", reset.time, reset.time)


def _reached(stream: _Stream, record: Record) -> bool:
    """Whether a FIN follows everything that its side has sent so far."""
    return (diff(record.segment.seq, stream.isn) + len(record.segment.payload)) & MASK == stream.next


def _written(step: _Step, end: tuple[int, str], rtt: int | None, tap: str) -> dict[str, Any]:
    """A step as in a scenario, with the time that its side took to think.

    A step of the side far from the capture point answers something that took half a round trip to it, and its own segment took
    the other half.
    """
    time, side = end
    pause = step.time - time - ((rtt or 0) if step.side != side and step.side != tap else 0)
    details: dict[str, Any] = {"after": f"{pause}ns"} if pause > 0 else {}
    if step.verb == "send":
        details["hex"] = step.payload.hex()
    return {step.side: {step.verb: details}}
