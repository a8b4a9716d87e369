"""The states of both ends in a trace written by hand, as an observer of its packets infers them."""

from collections.abc import Iterator
from dataclasses import replace

from labkit.analysis.states import observe
from labkit.build.trace import Record, Trace
from labkit.capture import Frame
from labkit.packet.scapy_build import Host
from labkit.packet.stamp import Stamp
from labkit.tcp.notation import CLIENT
from labkit.tcp.state import State


def with_states(trace: Trace) -> Trace:
    """The trace with the states of both ends in each record. The observer sees the frames without edits."""
    return replace(trace, records=list(_records(trace)))


def _records(trace: Trace) -> Iterator[Record]:
    last: dict[int, list[State | None]] = {}
    for record, row in zip(trace, observe(_frames(trace)), strict=True):
        before = last.get(row.flow.index, row.states)
        last[row.flow.index] = row.states
        # For the observer the sender of the SYN is the client; the trace may call it the server.
        turned = (row.sender == CLIENT) != (record.sender == "client")
        pairs = [(before[side] or State.CLOSED, row.states[side] or State.CLOSED) for side in (0, 1)]
        client, server = pairs[::-1] if turned else pairs
        yield replace(record, client=client, server=server)


def _frames(trace: Trace) -> Iterator[Frame]:
    stamps: dict[tuple[Host, Host], Stamp] = {}
    for record in trace:
        connection = trace.connections[record.connection]
        ends = connection.client, connection.server
        ends = ends if record.sender == "client" else ends[::-1]
        if ends not in stamps:
            stamps[ends] = Stamp(*ends, trace.framing)
        octets = stamps[ends].frame(record.segment)
        yield Frame(record.number, trace.start + record.time, trace.link, octets, len(octets))
