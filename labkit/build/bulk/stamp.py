"""Stamp packets: copy rows of templates, and write the fields and checksums of each conversation into the copies."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labkit.build.bulk.bulk_plan import Field, TemplateRow
from labkit.build.bulk.schedule import Numbers

if TYPE_CHECKING:
    from labkit.capture import Writer


class Packets(NamedTuple):
    """Packets in the order of time, as columns of numbers."""

    row: Numbers
    """The position among the rows of all templates."""
    flow: Numbers
    """The row of `fields` that the conversation has."""
    time: Numbers
    """Nanoseconds since 1970-01-01."""


class Column:
    """One kind of slot (`Slot.column`) in all rows."""

    def __init__(self, rows: list[TemplateRow], name: str) -> None:
        slots = [next((slot for slot in row.slots if slot.column == name), None) for row in rows]
        self.has: NDArray[np.bool_] | None = np.array([slot is not None for slot in slots])
        """Whether each row has the slot; None if all have it."""
        there = [slot for slot in slots if slot is not None]
        self.width = there[0].width
        self.at, self.field, self.value, self.tcp, self.ip = (
            _Each([getattr(slot or there[0], part) for slot in slots]) for part in ("at", "field", "value", "tcp", "ip")
        )
        if self.has.all():
            self.has = None


class _Each:
    """A number for each row. Usually all are equal; then no lookup is necessary."""

    def __init__(self, numbers: list[int]) -> None:
        self._only = numbers[0] if len(set(numbers)) == 1 else None
        self._all = np.array(numbers, np.int64)

    def of(self, row: Numbers) -> Numbers | int:
        """The numbers of some rows."""
        return self._all[row] if self._only is None else self._only


class Stamper:
    """Make the records of packets that a writer of capture files would make."""

    def __init__(self, rows: list[TemplateRow], writer: "Writer") -> None:
        self._writer = writer
        self._records = [writer.record(0, row.octets, wirelen=row.wirelen, interface=row.interface) for row in rows]
        self._lengths = np.array([len(record) for record in self._records], np.int64)
        self.longest = int(self._lengths.max())
        names = dict.fromkeys(slot.column for row in rows for slot in row.slots)
        self._columns = [Column(rows, name) for name in names]
        self._tcp_at, self._tcp_sum, self._ip_at, self._ip_sum = (
            np.array([getattr(row, part) for row in rows], np.int64)
            for part in ("tcp_sum_at", "tcp_sum", "ip_sum_at", "ip_sum")
        )

    def records(self, packets: Packets, fields: Numbers) -> bytearray:
        """The records of some packets; `fields` has the values of their conversations."""
        row = packets.row
        lengths = self._lengths[row]
        ends = np.cumsum(lengths)
        octets = bytearray().join(map(self._records.__getitem__, row.tolist()))
        buffer = _Buffer(octets)
        begin = ends - lengths
        self._stamp_times(buffer, begin, packets.time)
        frame = begin + self._writer.data_at
        tcp, ip = self._tcp_sum[row], self._ip_sum[row]
        line = packets.flow * len(Field)
        flat = fields.ravel()
        for column in self._columns:
            some = slice(None) if column.has is None else np.flatnonzero(column.has[row])
            kind = row[some]
            values = flat[line[some] + column.field.of(kind)] + column.value.of(kind)
            values &= 0xFFFF if column.width == 2 else 0xFFFF_FFFF
            buffer.put(column.width, frame[some] + column.at.of(kind), values)
            for total, times in ((tcp, column.tcp.of(kind)), (ip, column.ip.of(kind))):
                if not isinstance(times, int) or times:
                    total[some] += values * times
        for at, total in ((self._tcp_at[row], tcp), (self._ip_at[row], ip)):
            some = np.flatnonzero(at)
            buffer.put(2, frame[some] + at[some], _complement(total[some]))
        return octets

    def _stamp_times(self, buffer: "_Buffer", begin: Numbers, time: Numbers) -> None:
        at = begin + self._writer.time_at
        buffer.little[at] = time // self._writer.radix
        buffer.little[at + 4] = time % self._writer.radix


class _Buffer:
    """Octets as an array of numbers that may begin at any offset."""

    def __init__(self, octets: bytearray) -> None:
        size = len(octets)
        self.little: NDArray[np.uint32] = np.ndarray((size - 3,), "<u4", octets, strides=(1,))
        self._wide: NDArray[np.uint32] = np.ndarray((size - 3,), ">u4", octets, strides=(1,))
        self._narrow: NDArray[np.uint16] = np.ndarray((size - 1,), ">u2", octets, strides=(1,))

    def put(self, width: int, at: Numbers, values: Numbers) -> None:
        """Write numbers of 2 or 4 octets at their offsets."""
        (self._narrow if width == 2 else self._wide)[at] = values


def _complement(total: Numbers) -> Numbers:
    """The Internet checksums for sums of 16-bit words (RFC 1071; RFC 1624 about updates)."""
    return 0xFFFF - ((total - 1) % 0xFFFF + 1)
