"""The table that tells compiled code how to read the records of a file (`labkit.analysis.native.scan`).

It has a row of integers for the file, then for each interface of a pcapng section a row for its clock.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeGuard

from labkit.analysis.native.records import Memory
from labkit.capture import Frame, Reader
from labkit.capture.pcap import PcapReader

if TYPE_CHECKING:
    from labkit.capture.pcapng import Clock

PCAP, PCAPNG, FRAMES = 0, 1, 2
"""Forms of records. FRAMES is labkit's own: five numbers of a frame, and its octets."""

FORM, BIG, UNIT, HEADER, LONGEST, LINK = 0, 1, 2, 3, 4, 5
"""Columns of the first row. BIG: whether numbers are big-endian; UNIT: nanoseconds of a pcap's fraction; HEADER: octets before
a packet; LONGEST: octets of the longest packet; LINK: the pcap's link type."""
COUNT = 5
"""In the first row of a pcapng: the number of interfaces."""
TIMES, BY, OFFSET, LATEST, LINKTYPE, POINT = 0, 1, 2, 3, 4, 5
"""Columns of an interface's row: stamp * TIMES // BY + OFFSET is a time, for stamps up to LATEST; -1: the
interpreter converts all stamps."""
ROW = 6
"""Columns of a row."""

IRREGULAR = -1
"""The position of the next record, if this one is not plain."""

MAX_CLOCKS = 1024
"""Interfaces of a section whose packets may be plain records."""

WIDEST = (1 << 63) - 1


class RecordTable:
    """Describes the records that follow in a file."""

    def __init__(self) -> None:
        memory = Memory((1 + MAX_CLOCKS) * ROW * 8)
        self.address = memory.address
        self._numbers = memory.view.cast("q")

    def frames(self) -> None:
        """Describe frames from another reader."""
        self._numbers[FORM] = FRAMES

    def describe(self, capture: Iterable[Frame]) -> TypeGuard[Reader]:
        """Describe the records that follow in a file. False for frames of another kind."""
        if isinstance(capture, PcapReader):
            order, unit, header = capture.variant
            self._fill(0, (PCAP, order == ">", unit, header, capture.limit, capture.interfaces[0].link))
            return True
        from labkit.capture.pcapng import PcapngReader  # a pcap needs nothing of it

        if not isinstance(capture, PcapngReader):
            return False
        clocks = capture.clocks[:MAX_CLOCKS]
        self._fill(0, (PCAPNG, capture.order == ">", 0, 0, 0, len(clocks)))
        for number, clock in enumerate(clocks, 1):
            self._fill(number, _clock_row(clock))
        return True

    def _fill(self, row: int, values: tuple[int, ...]) -> None:
        for at, value in enumerate(values, row * ROW):
            self._numbers[at] = value


def _clock_row(clock: "Clock") -> tuple[int, ...]:
    """An interface's row. Stamps whose conversion to a time would exceed 64 bits are left to the interpreter."""
    from labkit.capture.pcapng import MAX_TIME

    if clock.by > WIDEST or abs(clock.offset) > WIDEST // 2:
        return 1, 1, 0, -1, clock.link, clock.number
    latest = min(WIDEST // clock.times, (MAX_TIME - max(clock.offset, 0)) * clock.by // clock.times)
    return clock.times, clock.by, clock.offset, min(latest, WIDEST), clock.link, clock.number
