"""Find the plain records of capture files, with functions over integers that can be compiled.

A plain record is a whole packet of an interface with a simple clock. `step` gives the record and the position of the next one. It
leaves everything else, and everything damaged, to `labkit.capture`.

`labkit.analysis.native.record_table` describes the records of a file.
"""

from collections.abc import Sequence

from labkit.analysis.native.record_table import (
    BIG,
    BY,
    COUNT,
    FORM,
    HEADER,
    IRREGULAR,
    LATEST,
    LINK,
    LINKTYPE,
    LONGEST,
    OFFSET,
    PCAP,
    PCAPNG,
    POINT,
    ROW,
    TIMES,
    UNIT,
)
from labkit.capture.base import MAX_RECORD_OCTETS
from labkit.capture.pcapng_blocks import ENHANCED

SECOND = 1_000_000_000

Record = tuple[int, int, int, int, int, int, int]
"""The positions of the next record and of this packet, its octets captured and on the wire, its time, link type and interface."""

FRAME_HEADER = 40
"""Octets before a frame in the form FRAMES: five numbers of eight octets, little-endian."""


def step(buf: Sequence[int], at: int, end: int, table: Sequence[int]) -> Record:
    """The record at `at` in buf[:end]."""
    if table[FORM] == PCAP:
        return pcap(buf, at, end, table)
    if table[FORM] == PCAPNG:
        return pcapng(buf, at, end, table)
    return frames(buf, at, end)


def pcap(buf: Sequence[int], at: int, end: int, table: Sequence[int]) -> Record:
    """A record of a pcap."""
    start = at + table[HEADER]
    if start > end:
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    big = table[BIG]
    caplen = number(buf, at + 8, big)
    stop = start + caplen
    if caplen > table[LONGEST] or stop > end:
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    time = number(buf, at, big) * SECOND + number(buf, at + 4, big) * table[UNIT]
    return stop, start, caplen, number(buf, at + 12, big), time, table[LINK], 0


def pcapng(buf: Sequence[int], at: int, end: int, table: Sequence[int]) -> Record:
    """An enhanced packet block of a pcapng."""
    if at + 32 > end:
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    big = table[BIG]
    length = number(buf, at + 4, big)
    stop = at + length
    interface = number(buf, at + 8, big)
    caplen = number(buf, at + 20, big)
    if (
        number(buf, at, big) != ENHANCED
        or length < 32
        or length & 3
        or length > MAX_RECORD_OCTETS
        or stop > end
        or number(buf, stop - 4, big) != length
        or interface >= table[COUNT]
        or caplen > length - 32
    ):
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    row = ROW + interface * ROW
    high = number(buf, at + 12, big)
    stamp = (high & 0x7FFF_FFFF) * 0x1_0000_0000 + number(buf, at + 16, big)
    if high > 0x7FFF_FFFF or stamp > table[row + LATEST]:
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    time = stamp * table[row + TIMES]
    if table[row + BY] != 1:
        time = time // table[row + BY]
    time += table[row + OFFSET]
    if time < 0:
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    return stop, at + 28, caplen, number(buf, at + 24, big), time, table[row + LINKTYPE], table[row + POINT]


def frames(buf: Sequence[int], at: int, end: int) -> Record:
    """A frame from another reader."""
    start = at + FRAME_HEADER
    if start > end:
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    caplen = long(buf, at)
    return start + caplen, start, caplen, long(buf, at + 8), long(buf, at + 16), long(buf, at + 24), long(buf, at + 32)


def number(buf: Sequence[int], at: int, big: int) -> int:
    """Four octets as a number, in either byte order."""
    if big:
        return buf[at] * 0x1000000 + buf[at + 1] * 0x10000 + buf[at + 2] * 0x100 + buf[at + 3]
    return buf[at + 3] * 0x1000000 + buf[at + 2] * 0x10000 + buf[at + 1] * 0x100 + buf[at]


def long(buf: Sequence[int], at: int) -> int:
    """Eight octets as a signed number, little-endian."""
    high = number(buf, at + 4, 0)
    return (high - (high & 0x8000_0000) * 2) * 0x1_0000_0000 + number(buf, at, 0)
