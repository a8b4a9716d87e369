"""The records of a simulation. Most are written to a file, and nobody looks at them: they are made when they are first read."""

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import overload

from labkit.build.flight import Captured, records_of, taps_of
from labkit.build.record import Record


class Flown(Sequence[Record]):
    """The records of captured segments. It is equal to any sequence of equal records."""

    def __init__(self, captured: Sequence[Captured], scripted: Collection[str]) -> None:
        """`captured` are in the order of the records; `scripted` are the sides that only send what is written down."""
        self.captured, self.scripted = captured, scripted
        self._records: tuple[Record, ...] | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """All of them."""
        if self._records is None:
            self._records = records_of(self.captured, self.scripted)
        return self._records

    @cached_property
    def taps(self) -> list[str]:
        """The capture points, in the order of their first records."""
        return taps_of(self.captured)

    def __len__(self) -> int:
        return len(self.captured)

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Record, ...]: ...

    def __getitem__(self, place: int | slice) -> Record | tuple[Record, ...]:
        return self.records[place]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Record.__eq__, self, other))

    def __repr__(self) -> str:
        return repr(self.records)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[tuple[Record, ...]], tuple[tuple[Record, ...]]]:
        """Copies and pickles are plain."""
        return tuple, (self.records,)
