"""Middleboxes: what a device between both captures of a conversation does to it. Each edits the trace of the server's side."""

from collections.abc import Callable
from dataclasses import replace

from labkit.build.trace import Connection, Record, Trace
from labkit.i18n import N_
from labkit.packet.scapy_build import Host
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, SYN, Segment
from labkit.tcp.seq import add

NAT_ADDRESS, NAT_PORT = "203.0.113.7", 61234
CLAMPED = 1360
SHIFT = 0x2B67A1C3

Edit = Callable[[Trace], Trace]


def _segments(trace: Trace, change: Callable[[Record], Segment]) -> Trace:
    return replace(trace, records=[replace(record, segment=change(record)) for record in trace.records])


def _on_syn(trace: Trace, change: Callable[[tuple[opt.Option, ...]], tuple[opt.Option, ...]]) -> Trace:
    """Change the options of the client's SYN."""

    def changed(record: Record) -> Segment:
        segment = record.segment
        if record.sender != "client" or segment.ctl & (SYN | ACK) != SYN:
            return segment
        return segment.with_(options=change(segment.options))

    return _segments(trace, changed)


def _nat(trace: Trace) -> Trace:
    def host(client: Host) -> Host:
        return replace(client, address=NAT_ADDRESS, port=NAT_PORT)

    connections = tuple(
        Connection(host(each.client), each.server, each.client_isn, each.server_isn) for each in trace.connections
    )
    return replace(trace, connections=connections)


def _clamp(trace: Trace) -> Trace:
    def change(options: tuple[opt.Option, ...]) -> tuple[opt.Option, ...]:
        return tuple(opt.Mss(min(each.size, CLAMPED)) if isinstance(each, opt.Mss) else each for each in options)

    return _on_syn(trace, change)


def _strip(trace: Trace) -> Trace:
    def change(options: tuple[opt.Option, ...]) -> tuple[opt.Option, ...]:
        return tuple(each for each in options if isinstance(each, opt.Mss))

    return _on_syn(trace, change)


def _renumber(trace: Trace) -> Trace:
    def changed(record: Record) -> Segment:
        segment = record.segment
        if record.sender == "client":
            return segment.with_(seq=add(segment.seq, SHIFT))
        return segment.with_(ack=add(segment.ack, SHIFT)) if segment.ctl & ACK else segment

    connections = tuple(replace(each, client_isn=add(each.client_isn, SHIFT)) for each in trace.connections)
    return replace(_segments(trace, changed), connections=connections)


MIDDLEBOXES: dict[str, tuple[str, Edit]] = {
    "nat": (N_("translates the client's address and port"), _nat),
    "mss-clamp": (N_("lowers the MSS in the client's SYN"), _clamp),
    "options-stripped": (N_("removes the options of the client's SYN but MSS"), _strip),
    "sequence-numbers": (
        N_("adds a constant to the client's sequence numbers, and takes it off the acknowledgements"),
        _renumber,
    ),
}
"""The middleboxes: what each does, in words, and its edit."""


def behind(trace: Trace, name: str) -> Trace:
    """The trace at the server's side of a middlebox."""
    return MIDDLEBOXES[name][1](trace)
