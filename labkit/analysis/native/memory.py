"""Integers, octets and rows in memory as types of Numba: an address each, and accesses without checks.

`labkit.packet.decode` takes a buffer that gives an octet for an index. Compiled, that buffer is the address of the frame's first
octet: positions count in the frame, and nothing is sliced. An integer in memory is read as a 64-bit integer, whatever its
width: arithmetic between narrow unsigned integers differs from Python's.

Only code that compiles imports this module, for it imports Numba.
"""

import operator
import sys
from ctypes import sizeof
from functools import cache
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global
from numba.core.typing.templates import signature as typed
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    lower_setattr_generic,
    register_model,
)

from labkit.analysis.native.records import TYPES, Column, columns, record
from labkit.analysis.payload import RING_OCTETS

SETTINGS = {"error_model": "numpy", "boundscheck": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Of every compiled function: it raises no exception, for nothing could catch one, and only compiled code calls it."""

WORD = ir.IntType(64)
LINE = 64
"""Octets that the processor brings from memory at a time."""


# Types. Numba's own arrays are counted references of seven words each: passing them costs more than using them. Names of types
# are short, for they become part of symbols.


class Address(types.Type):  # type: ignore[misc]
    """An address in memory."""


class Numbers(Address):
    """The address of integers, `size` octets each."""

    def __init__(self, size: int, *, signed: bool) -> None:
        self.size, self.signed = size, signed
        super().__init__(name=f"{'signed' if signed else 'unsigned'}{size}")


class Row(Address):
    """The address of a row of a dataclass."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        super().__init__(name=f"row_{kind.__name__}")


class Rows(Address):
    """The address of consecutive rows."""

    def __init__(self, kind: type) -> None:
        self.row = Row(kind)
        self.size = sizeof(record(kind))
        super().__init__(name=f"rows_{kind.__name__}")


@cache
def numbers(width: str) -> Numbers:
    """The type of consecutive integers of a width of `labkit.analysis.native.records.TYPES`."""
    return Numbers(sizeof(TYPES[width]), signed=width.startswith("i"))


row, rows = cache(Row), cache(Rows)
"""The types of one row of a dataclass, and of consecutive rows."""


@register_model(Numbers)
@register_model(Row)
@register_model(Rows)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, cgutils.voidptr_t)


# Types of operations.


@infer_global(operator.getitem)
class _Element(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, _keywords: Any) -> Any:
        if isinstance(arguments[0], Numbers):
            return typed(types.int64, arguments[0], types.int64)
        return typed(arguments[0].row, arguments[0], types.int64) if isinstance(arguments[0], Rows) else None


@infer_global(operator.setitem)
class _Assigned(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, _keywords: Any) -> Any:
        if isinstance(arguments[0], Numbers):
            return typed(types.none, arguments[0], types.int64, types.int64)
        row = isinstance(arguments[0], Rows) and arguments[2] == arguments[0].row
        return typed(types.none, arguments[0], types.int64, arguments[2]) if row else None


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = Row

    def generic_resolve(self, row: Any, name: str) -> Any:
        column = columns(row.kind).get(name)
        if column is None:
            return None
        if column.target is not None:
            return numbers(column.target) if isinstance(column.target, str) else rows(column.target)
        return Numbers(column.size, signed=column.signed) if column.is_list else types.int64


# Code of operations.


def _read(builder: Any, place: Any, size: int, *, signed: bool) -> Any:
    value = builder.load(builder.bitcast(place, ir.IntType(8 * size).as_pointer()), align=size)
    if size == 8:
        return value
    return (builder.sext if signed else builder.zext)(value, WORD)


def _write(builder: Any, place: Any, value: Any, size: int) -> None:
    narrow = value if size == 8 else builder.trunc(value, ir.IntType(8 * size))
    builder.store(narrow, builder.bitcast(place, ir.IntType(8 * size).as_pointer()), align=size)


def _beyond(builder: Any, place: Any, octets: int) -> Any:
    return builder.gep(place, [ir.Constant(WORD, octets)])


def _at(builder: Any, place: Any, index: Any, size: int) -> Any:
    return builder.gep(place, [builder.mul(index, ir.Constant(WORD, size))])


def _pointer(builder: Any, place: Any) -> Any:
    return builder.load(builder.bitcast(place, cgutils.voidptr_t.as_pointer()), align=8)


def _field(builder: Any, row: Any, kind: type, name: str) -> tuple[Any, Column]:
    """The place of a field."""
    column = columns(kind)[name]
    if column.cold:
        row = _pointer(builder, _beyond(builder, row, columns(kind)["cold_row"].at))
    return _beyond(builder, row, column.at), column


@lower_builtin(operator.getitem, Numbers, types.int64)  # type: ignore[untyped-decorator]
def _get_number(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    kind = signature.args[0]
    address, index = arguments
    return _read(builder, _at(builder, address, index, kind.size), kind.size, signed=kind.signed)


@lower_builtin(operator.getitem, Rows, types.int64)  # type: ignore[untyped-decorator]
def _get_row(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, index = arguments
    return _at(builder, address, index, signature.args[0].size)


@lower_builtin(operator.setitem, Numbers, types.int64, types.int64)  # type: ignore[untyped-decorator]
def _set_number(_context: Any, builder: Any, signature: Any, arguments: Any) -> None:
    address, index, value = arguments
    _write(builder, _at(builder, address, index, signature.args[0].size), value, signature.args[0].size)


@lower_builtin(operator.setitem, Rows, types.int64, Row)  # type: ignore[untyped-decorator]
def _set_row(_context: Any, builder: Any, signature: Any, arguments: Any) -> None:
    address, index, row = arguments
    size = signature.args[0].size
    cgutils.raw_memcpy(builder, _at(builder, address, index, size), row, ir.Constant(WORD, size), 1)


@lower_getattr_generic(Row)  # type: ignore[untyped-decorator]
def _get_field(_context: Any, builder: Any, kind: Any, row: Any, name: str) -> Any:
    place, column = _field(builder, row, kind.kind, name)
    if column.target is not None:
        address = _pointer(builder, place)
        # It stays the same while compiled code runs, so that LLVM need not load it again after each store.
        address.set_metadata("invariant.load", builder.module.add_metadata([]))
        return address
    return place if column.is_list else _read(builder, place, column.size, signed=column.signed)


@lower_setattr_generic(Row)  # type: ignore[untyped-decorator]
def _set_field(_context: Any, builder: Any, signature: Any, arguments: Any, name: str) -> None:
    place, column = _field(builder, arguments[0], signature.args[0].kind, name)
    _write(builder, place, arguments[1], column.size)


# Functions over octets.


@intrinsic  # type: ignore[untyped-decorator]
def behind(_context: Any, octets: Any, _count: Any) -> Any:
    """`labkit.analysis.native.segment_loop.behind`."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return octets(octets, types.int64), code


@intrinsic  # type: ignore[untyped-decorator]
def fetch(_context: Any, array: Any, _index: Any) -> Any:
    """`labkit.analysis.native.segment_loop.fetch`."""

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = _at(builder, arguments[0], arguments[1], array.size)
        for octets in range(0, array.size, LINE):
            # For reading, into every cache.
            builder.call(function, [_beyond(builder, place, octets), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


@intrinsic  # type: ignore[untyped-decorator]
def load(_context: Any, octets: Any, _at: Any) -> Any:
    """(octets, position) -> eight octets as one unsigned integer, in the processor's byte order."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        place = builder.gep(arguments[0], [arguments[1]])
        return builder.load(builder.bitcast(place, WORD.as_pointer()), align=1)

    return types.uint64(octets, types.int64), code


@intrinsic  # type: ignore[untyped-decorator]
def copy(_context: Any, to: Any, _place: Any, source: Any, _from: Any, _size: Any) -> Any:
    """(to, its position, from, its position, count): copy octets to memory that does not overlap."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        to, place, source, at, size = arguments
        cgutils.raw_memcpy(builder, builder.gep(to, [place]), builder.gep(source, [at]), size, 1)
        return _context.get_dummy_value()

    return types.void(to, types.int64, source, types.int64, types.int64), code


_SCALE = 256 if sys.byteorder == "little" else 1
_LOW = 0xFFFF_FFFF


@njit(**SETTINGS)  # type: ignore[untyped-decorator]
def ones_sum(buf: Any, start: int, end: int) -> int:
    """`labkit.packet.decode.layer.ones_sum`.

    Words of any even number of octets may be added: 2**16 is 1 modulo 65535. A sum in the other byte order has its octets
    swapped at the end (RFC 1071 section 2).
    """
    total = 0
    while start + 8 <= end:
        word = load(buf, start)
        total += int(word & _LOW) + int(word >> 32)
        start += 8
    rest = 0
    weight = 256
    while start < end:
        rest += buf[start] * weight
        weight = 257 - weight
        start += 1
    return (total % 65535 * _SCALE + rest) % 65535


@njit(**SETTINGS)  # type: ignore[untyped-decorator]
def copy_octets(buf: Any, at: int, size: int, ring: Any, to: int) -> None:
    """`labkit.analysis.payload.copy_octets`."""
    room = min(size, RING_OCTETS - to)
    copy(ring, to, buf, at, room)
    if room < size:
        copy(ring, 0, buf, at + room, size - room)


@njit(**SETTINGS)  # type: ignore[untyped-decorator]
def first_difference(buf: Any, at: int, ring: Any, place: int, size: int) -> int:
    """`labkit.analysis.payload.first_difference`."""
    for i in range(size):
        if buf[at + i] != ring[(place + i) & (RING_OCTETS - 1)]:
            return i
    return size
