"""The plain records of capture files, found by functions over integers.

A record is plain where it is a whole packet of an interface whose clock is simple. `step` gives it and where the next one
begins; whatever else there is, or is wrong, it leaves to `labkit.capture`. The functions are translated and compiled as those
of `labkit.packet.decode` are, and like them take any buffer of octets.

What a file says of its records stands in a table of integers: the file's own row, then for each interface of a pcapng
section a row of its clock. A row has ROW columns.
"""

from collections.abc import Sequence

from labkit.capture.base import MAX_RECORD_OCTETS
from labkit.capture.pcapng_blocks import ENHANCED

PCAP, PCAPNG, FRAMES = 0, 1, 2
"""Forms of records. FRAMES is labkit's own: what of a frame matters here, in five numbers, and its octets."""

FORM, BIG, UNIT, HEADER, LONGEST, LINK = 0, 1, 2, 3, 4, 5
"""Columns of the first row. BIG: whether numbers are big-endian; UNIT: nanoseconds of a pcap's fraction; HEADER: octets before
a packet; LONGEST: octets of the longest packet; LINK: the pcap's link type."""
COUNT = 5
"""In the first row of a pcapng: interfaces that follow."""
TIMES, BY, OFFSET, LATEST, LINKTYPE, POINT = 0, 1, 2, 3, 4, 5
"""Columns of an interface's row: stamp * TIMES // BY + OFFSET is a time, for stamps up to LATEST. LATEST is -1 where the
interpreter must do it."""
ROW = 6

SECOND = 1_000_000_000
IRREGULAR = -1
"""Where the next record begins, if this one is not plain."""

Record = tuple[int, int, int, int, int, int, int]
"""Where the next record begins, where this one's packet does, its octets captured and on the wire, its time, link type and
interface."""

FRAME_HEADER = 40
"""Octets before a frame in the form FRAMES: five numbers of eight octets, little-endian."""


def step(buf: Sequence[int], at: int, end: int, table: Sequence[int]) -> Record:
    """The record at `at` in octets of which those before `end` are there."""
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
    """A frame that the interpreter has read."""
    start = at + FRAME_HEADER
    if start > end:
        return IRREGULAR, 0, 0, 0, 0, 0, 0
    caplen = long(buf, at)
    return start + caplen, start, caplen, long(buf, at + 8), long(buf, at + 16), long(buf, at + 24), long(buf, at + 32)


def number(buf: Sequence[int], at: int, big: int) -> int:
    """Four octets, in either order."""
    if big:
        return buf[at] * 0x1000000 + buf[at + 1] * 0x10000 + buf[at + 2] * 0x100 + buf[at + 3]
    return buf[at + 3] * 0x1000000 + buf[at + 2] * 0x10000 + buf[at + 1] * 0x100 + buf[at]


def long(buf: Sequence[int], at: int) -> int:
    """Eight octets, little-endian, with a sign."""
    high = number(buf, at + 4, 0)
    return (high - (high & 0x8000_0000) * 2) * 0x1_0000_0000 + number(buf, at, 0)
