"""The values of a scenario that builds the conversation of a trace again: its hosts, options, numbers, messages, and close.

What both applications did follows from the segments: a message ends with PSH, with a FIN, or where the other side speaks. The
times between the steps are those of the trace, without the path's. Loss, reordering and retransmissions are not imitated: the new
conversation carries the same octets without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labkit.build.scenario.units import MAX_SEND
from labkit.build.trace import Record, Trace
from labkit.errors import UsageError
from labkit.i18n import _
from labkit.packet.linktype import ETHERNET
from labkit.tcp import options as opt
from labkit.tcp.notation import pattern
from labkit.tcp.segment import ACK, CWR, ECE, FIN, PSH, RST, SYN
from labkit.tcp.seq import MASK, add, diff

OTHER = {"client": "server", "server": "client"}
MICROSECOND = 1_000
SLOW_ACK = 10_000_000
"""Nanoseconds after which an ACK is taken for a delayed one."""


@dataclass(slots=True)
class _Step:
    """What one side does."""

    side: str
    verb: str
    begin: int
    """When its first segment passes the capture point, in nanoseconds."""
    end: int
    """When its last segment does."""
    octets: bytes = b""


def values_of(trace: Trace, connection: int) -> dict[str, Any]:
    """The values of a scenario, as `Scenario.from_trace` describes them. UsageError if the trace has no such conversation."""
    records = [record for record in trace if record.connection == connection]
    if not records:
        raise UsageError(
            _("{name}: has no conversation {connection}; it has {n}, from 0").format(
                name=trace.name, connection=connection, n=len(trace.connections)
            )
        )
    tap, rtt = _tap(records)
    steps = _steps(trace, records)
    refused = _is_refused(records)
    listed: list[dict[str, Any]] = [{"client": "connect"}]
    before = _Step("client", "connect", records[0].time, _opened(records))
    sent = dict.fromkeys(OTHER, 0)
    for step in steps:
        pause = _pause(before, step, tap, rtt)
        if step.verb == "close" and before.verb == "send" and before.side != step.side:
            # A close waits until the other side has the ACK, unless the FIN carries it.
            acked = _acked(trace, records, before.side, sent[before.side])
            if acked is not None and acked < step.begin:
                pause = max(0, step.begin - acked - rtt // 2)
            else:
                listed.append({step.side: {"receive": sent[before.side]}})
        listed.append({step.side: _action(step, pause)})
        sent[step.side] += len(step.octets)
        before = step
    connection_ = trace.connections[connection]
    hosts = {"client": connection_.client, "server": connection_.server}
    values: dict[str, Any] = {
        "name": "".join(each if (each.isascii() and each.isalnum()) or each in "._-" else "-" for each in trace.name)[
            :60
        ].strip("-._")
        or "capture",
        "capture": tap,
        "path": {"rtt": _time(rtt)},
        "steps": listed,
    }
    for side, host in hosts.items():
        values[side] = {
            "address": host.address,
            "port": host.port,
            "isn": connection_.client_isn if side == "client" else connection_.server_isn,
            **({"mac": host.mac} if trace.link == ETHERNET else {}),
            **({"name": host.name} if host.name else {}),
            **_settings(records, side, rtt if side != tap else 0),
        }
    values["server"] |= {"listen": False} if refused else {}
    if trace.link != ETHERNET:
        values["link"] = "raw"
    elif trace.framing.vlans:
        values["vlan"] = [
            {"id": tag.id, "priority": tag.priority, "service": tag.service} for tag in trace.framing.vlans
        ]
    return values


def _acked(trace: Trace, records: Sequence[Record], side: str, octets: int) -> int | None:
    """When the peer's ACK of this many octets of a side passes the capture point."""
    for record in records:
        if record.sender != side and record.segment.ctl & ACK:
            isn = trace.connections[record.connection].isns(side)[0]
            if diff(record.segment.ack, add(isn, 1 + octets)) >= 0:
                return record.time
    return None


def _opened(records: Sequence[Record]) -> int:
    """When the handshake ends: the third segment, or the first one."""
    for place, record in enumerate(records):
        if record.segment.ctl & (SYN | ACK) == SYN | ACK:
            after = (each.time for each in records[place + 1 :] if each.sender != record.sender)
            return next(after, record.time)
    return records[0].time


def _tap(records: Sequence[Record]) -> tuple[str, int]:
    """The capture point and the round-trip time, from the handshake; 20 ms without one."""
    syn = next((each for each in records if each.segment.ctl & (SYN | ACK) == SYN), None)
    answer = next((each for each in records if each.segment.ctl & (SYN | ACK) == SYN | ACK), None)
    if syn is None or answer is None:
        reset = next((each for each in records if each.segment.ctl & RST), None)
        return "client", max(0, reset.time - syn.time) if syn is not None and reset is not None else 20_000_000
    first = max(0, answer.time - syn.time)
    third = next((each.time for each in records if each.time >= answer.time and each.sender == syn.sender), answer.time)
    last = max(0, third - answer.time)
    return ("client", first) if first >= last else ("server", last)


def _is_refused(records: Sequence[Record]) -> bool:
    """Whether the server answers the SYN with a reset."""
    server = [record.segment for record in records if record.sender == "server"]
    return bool(server) and all(segment.ctl & (RST | SYN) == RST for segment in server)


def _steps(trace: Trace, records: Sequence[Record]) -> list[_Step]:
    """Messages and ends, in the order in which they first pass the capture point."""
    streams = {side: _stream(trace, records, side) for side in OTHER}
    total = sum(map(len, streams.values()))
    if total > MAX_SEND:
        raise UsageError(
            _("{name}: the conversation has {total} octets; expected at most {n} MiB").format(
                name=trace.name, total=total, n=MAX_SEND >> 20
            )
        )
    taken = dict.fromkeys(OTHER, 0)
    closed: set[str] = set()
    found: list[_Step] = []
    open_message: _Step | None = None
    last = max(
        (place for place, each in enumerate(records) if each.segment.payload or each.segment.ctl & FIN), default=0
    )
    for place, record in enumerate(records):
        segment, side = record.segment, record.sender
        start = _position(trace, record)
        end = start + len(segment.payload)
        if segment.payload and end > taken[side]:
            octets = streams[side][taken[side] : end]
            if open_message is None or open_message.side != side:
                open_message = _Step(side, "send", record.time, record.time)
                found.append(open_message)
            open_message.octets += octets
            open_message.end = record.time
            taken[side] = end
            if segment.ctl & (PSH | FIN):
                open_message = None
        if segment.ctl & FIN and side not in closed:
            closed.add(side)
            found.append(_Step(side, "close", record.time, record.time))
        if segment.ctl & RST and place > last:
            if not _is_answer(records, record) and not _has_ended(found):
                found.append(_Step(side, "abort", record.time, record.time))
            break
    return found


def _has_ended(steps: Sequence[_Step]) -> bool:
    """Whether both sides have closed."""
    return len({step.side for step in steps if step.verb == "close"}) == 2


def _is_answer(records: Sequence[Record], reset: Record) -> bool:
    """Whether a reset answers a segment to which no connection belongs, instead of ending one."""
    own = [each for each in records if each.sender == reset.sender and each is not reset]
    return not own or all(each.segment.ctl & RST for each in own)


def _position(trace: Trace, record: Record) -> int:
    """The position of a segment's payload in its stream."""
    isn = trace.connections[record.connection].isns(record.sender)[0]
    # The first octet has the number after the SYN's.
    return diff(add(record.segment.seq, (record.segment.ctl & SYN != 0) - 1), isn)


def _stream(trace: Trace, records: Sequence[Record], side: str) -> bytes:
    """All octets of a side; those that the capture lacks are the notation's pattern."""
    found = bytearray()
    isn = trace.connections[records[0].connection].isns(side)[0]
    for record in records:
        start, payload = _position(trace, record), record.segment.payload
        if record.sender != side or start < 0 or start > MAX_SEND:
            continue
        if start > len(found):
            found += pattern(add(isn, 1 + len(found)) & MASK, start - len(found))
        found[start : start + len(payload)] = payload
    return bytes(found)


def _pause(before: _Step, step: _Step, tap: str, rtt: int) -> int:
    """How long a step begins after the one before is complete, in nanoseconds.

    The times of the other side than the capture point's are half a round trip late for what it receives, and early for what it
    sends.
    """
    gap = step.begin - before.end
    if step.side != before.side and step.side != tap:
        gap -= rtt
    if step.side == before.side or before.verb == "connect":
        gap = step.begin - before.end - (rtt if before.verb == "connect" and step.side != tap else 0)
    return max(0, gap)


def _action(step: _Step, pause: int) -> dict[str, Any]:
    details: dict[str, Any] = {"hex": step.octets.hex()} if step.verb == "send" else {}
    if pause >= MICROSECOND:
        details["after"] = _time(pause)
    return {step.verb: details or None}


def _time(nanoseconds: int) -> str:
    return f"{nanoseconds // MICROSECOND}us"


def _settings(records: Sequence[Record], side: str, rtt: int) -> dict[str, Any]:
    """The settings of a side's TCP, as its SYN, its window and the times of its ACKs show them."""
    own = [record for record in records if record.sender == side]
    found: dict[str, Any] = {"nagle": False}
    syn = next((record.segment for record in own if record.segment.ctl & SYN), None)
    if syn is not None:
        mss, scale = syn.option(opt.Mss), syn.option(opt.WindowScale)
        if mss is not None and 88 <= mss.size <= 1460:
            found["mss"] = mss.size
        found |= {"window": max(1, syn.window), "sack": syn.option(opt.SackPermitted) is not None}
        found["timestamps"] = syn.option(opt.Timestamps) is not None
        if scale is not None and scale.shift <= 14:
            found["window_scale"] = scale.shift
        found["ecn"] = syn.ctl & ECE != 0 and (syn.ctl & CWR != 0 or side == "server")
    delays = _ack_delays(records, side, rtt)
    if delays and max(delays) < SLOW_ACK:
        found["delayed_ack"] = "off"
    return found


def _ack_delays(records: Sequence[Record], side: str, rtt: int) -> list[int]:
    """How long a side waits with ACKs that acknowledge the peer's last data, and nothing else."""
    found = []
    for before, record in pairwise(records):
        bare = record.segment.ctl & (SYN | FIN | RST | ACK) == ACK and not record.segment.payload
        if record.sender == side != before.sender and bare and before.segment.payload:
            found.append(max(0, record.time - before.time - rtt))
    return found
