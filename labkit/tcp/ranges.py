"""Sets of integers kept as ranges: the octets that have arrived, or that a peer has reported.

The integers are positions or offsets, which do not wrap; sequence numbers become positions first.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


def _start(each: tuple[int, int]) -> int:
    return each[0]


def _end(each: tuple[int, int]) -> int:
    return each[1]


class RangeSet:
    """Ranges [start, end) in ascending order, none of which overlaps or touches another."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def add(self, start: int, end: int) -> int:
        """Add [start, end), which is not empty; how many integers are new."""
        ranges = self._ranges
        first = bisect_left(ranges, start, key=_end)
        last = bisect_right(ranges, end, key=_start)
        old = 0
        for low, high in ranges[first:last]:
            old += min(high, end) - max(low, start)
        if first < last:
            ranges[first:last] = [(min(start, ranges[first][0]), max(end, ranges[last - 1][1]))]
        else:
            ranges.insert(first, (start, end))
        return end - start - old

    def remove_before(self, point: int) -> None:
        """Remove all integers less than `point`."""
        ranges = self._ranges
        if not ranges:
            return
        del ranges[: bisect_right(ranges, point, key=_end)]
        if ranges and ranges[0][0] < point:
            ranges[0] = point, ranges[0][1]

    def remove(self, start: int, end: int) -> None:
        """Remove [start, end), which lies in one range."""
        at = bisect_right(self._ranges, start, key=_end)
        low, high = self._ranges[at]
        self._ranges[at : at + 1] = [each for each in ((low, start), (end, high)) if each[0] < each[1]]

    def clear(self) -> None:
        """Remove all integers."""
        self._ranges.clear()

    def at(self, point: int) -> tuple[int, int] | None:
        """The range that holds `point`."""
        index = bisect_right(self._ranges, point, key=_end)
        return self._ranges[index] if index < len(self._ranges) and self._ranges[index][0] <= point else None

    def overlaps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of [start, end) that are in the set."""
        for low, high in self._ranges[bisect_right(self._ranges, start, key=_end) :]:
            if low >= end:
                return
            yield max(low, start), min(high, end)

    def gaps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of [start, end) that are not in the set."""
        for low, high in self.overlaps(start, end):
            if start < low:
                yield start, low
            start = high
        if start < end:
            yield start, end
