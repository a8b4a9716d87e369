"""The places of a row's fields in its octets (`labkit.analysis.native.records`), to read rows and to compile code that does."""

import ctypes
from collections.abc import Sequence
from dataclasses import Field
from functools import cache
from struct import Struct
from typing import Any, NamedTuple

from labkit.analysis.native.records import ColdRow, SideRow, fields_of, is_cold, memory_type, record, targets
from labkit.analysis.side import SELDOM, Side


class Column(NamedTuple):
    """The place of a field in the octets of a row."""

    at: int
    size: int
    """Octets of an integer, or of an address."""
    signed: bool
    is_list: bool
    target: Any
    """The elements at the address that a `Pointer` holds: a width of TYPES, or a dataclass; None for another field."""
    cold: bool
    seldom: bool


@cache
def columns(kind: type) -> dict[str, Column]:
    """The place of each field."""
    found = {each.name: _column(kind, each) for each in fields_of(kind)}
    return found | columns(ColdRow) if kind is SideRow else found


def unpacker(kind: type, names: Sequence[str]) -> Struct:
    """Reads these fields of rows. They must be named in the order of memory: the widest first, then as they are declared."""
    text, end = "=", 0
    for name in names:
        column = columns(kind)[name]
        if column.at < end:
            raise AssertionError(f"{name}: expected the fields in the order of memory")
        code = {1: "b", 2: "h", 4: "i", 8: "q"}[column.size]
        size = getattr(record(kind), name).size
        text += f"{column.at - end}x{size // column.size}{code if column.signed else code.upper()}"
        end = column.at + size
    return Struct(f"{text}{ctypes.sizeof(record(kind)) - end}x")


def _column(kind: type, each: "Field[Any]") -> Column:
    type_ = memory_type(each)
    is_list = issubclass(type_, ctypes.Array)
    one = type_._type_ if is_list else type_
    at = getattr(record(kind), each.name).offset
    signed = one(-1).value < 0
    cold = issubclass(kind, Side) and is_cold(each)
    return Column(
        at, ctypes.sizeof(one), signed, is_list, targets(kind).get(each.name), cold, cold and each.name in SELDOM
    )
