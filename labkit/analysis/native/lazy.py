"""A sequence whose elements are made when they are read."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class LazySequence(Sequence[T]):
    """A subclass has `__len__` and `_make`. It is equal to any sequence of equal elements."""

    @abstractmethod
    def _make(self, place: int) -> T:
        """The element at a place, counted from 0."""

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self))[index]
        return self._make(places) if isinstance(places, int) else [self._make(each) for each in places]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
