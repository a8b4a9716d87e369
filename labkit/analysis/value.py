"""What `dataclass` writes for each class alike, written once: to compile it for some classes of many fields takes as long as to
verify a small capture."""

from dataclasses import Field, fields
from typing import Any


class Value:
    """The base of a frozen dataclass with `eq=False, repr=False`, which has the same equality, hash and text as without them."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in self._all_fields() if each.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _compared(self) -> tuple[object, ...]:
        return tuple(getattr(self, each.name) for each in self._all_fields() if each.compare)

    @classmethod
    def _all_fields(cls) -> "tuple[Field[Any], ...]":
        return fields(cls)  # type: ignore[arg-type]  # its subclasses are dataclasses
