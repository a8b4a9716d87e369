"""Captures of a real Linux 6.18 beside traffic that labkit builds: what both must have in common."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from labkit.build.record import Record
from labkit.build.trace import Trace
from labkit.tcp import options as opt
from labkit.tcp.multipath import Multipath
from labkit.tcp.segment import ACK, RST
from labkit.tcp.seq import add

CAPTURES = os.environ.get("LABKIT_CAPTURES", "")
ALL = slice(None)


class Fields(NamedTuple):
    """What a segment must have in common with the captured one."""

    ctl: int
    seq: int
    ack: int
    octets: int
    window: int
    options: str
    ident: str
    ttl: int
    traffic: int
    """The octet of DSCP and ECN."""


def capture(name: str) -> Path | None:
    """A capture by the begin of its name; None without one."""
    return next(iter(sorted((Path(CAPTURES) / "kernel-6.18").glob(f"{name}*"))), None) if CAPTURES else None


def records(trace: Trace, connection: int) -> Iterator[tuple[int, Record]]:
    """The records between the ends of a connection with their places, those of later connections too."""
    ends = {f"{each}" for each in (trace.connections[connection].client, trace.connections[connection].server)}
    same = {n for n, each in enumerate(trace.connections) if {f"{each.client}", f"{each.server}"} == ends}
    return ((place, record) for place, record in enumerate(trace.records) if record.connection in same)


def numbers(trace: Trace, connection: int, sender: str) -> tuple[int, int]:
    """The initial numbers of a sender and its peer; 0 for a side that only resets."""
    own, peer = trace.connections[connection].isns(sender)
    talks = {record.sender for _, record in records(trace, connection) if not record.segment.ctl & RST}
    return own if sender in talks else 0, peer if talks - {sender} else 0


def fields(trace: Trace, sender: str, connection: int = 0, *, echoes: bool = False) -> list[Fields]:
    """The fields of a side's segments. `echoes`: also of the peer's timestamps, where a script has chosen them."""
    found = []
    last = 0
    own, peer = numbers(trace, connection, sender)
    for place, record in records(trace, connection):
        if record.sender != sender:
            continue
        segment = record.segment
        data = trace.records[place].frames[0].data if record.frames else trace.file_frames()[place].data
        version = data[14] >> 4
        ident = (record.ident or 0) & 0xFFFF if version == 4 else 0
        step = "0" if not ident else "first" if not last else str((ident - last) & 0xFFFF)
        last = ident or last
        seq, ack = add(segment.seq, -own), add(segment.ack, -peer) if segment.ctl & ACK else 0
        words = " ".join(_words(option, peer, echoes) for option in segment.options)
        traffic = data[15] if version == 4 else data[14] << 4 & 0xF0 | data[15] >> 4
        ttl = data[22] if version == 4 else data[21]
        found.append(Fields(segment.ctl, seq, ack, len(segment.payload), segment.window, words, step, ttl, traffic))
    return found


def _words(option: opt.Option, peer: int, echoes: bool) -> str:
    match option:
        case opt.Sack(blocks):
            return "Sack " + " ".join(f"{add(left, -peer)}:{add(right, -peer)}" for left, right in blocks)
        case opt.Timestamps(_value, echo):
            return f"Timestamps {echo}" if echoes else "Timestamps"
        case opt.FastOpen(cookie):
            return f"FastOpen {len(cookie)}"
        case Multipath(subtype):
            return f"Multipath {subtype}"
    return f"{option}"


def compared(trace: Trace, side: str, part: slice) -> list[Fields]:
    """The fields of a part of the segments, with what does not depend on where the part begins."""
    found = fields(trace, side)[part]
    if found and found[0].ident == "1":
        found[0] = found[0]._replace(ident="first")
    # A capture that begins in the middle and shows one side does not know the other's ISN.
    return [each._replace(ack=1) if each.ack > 1 << 24 else each for each in found]


def times(trace: Trace, side: str, connection: int = 0) -> list[int]:
    """When a side sends, in nanoseconds since the conversation's first segment."""
    found = [(record.sender, record.time) for _, record in records(trace, connection)]
    return [time - found[0][1] for sender, time in found if sender == side]
