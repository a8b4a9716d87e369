"""Octets and records in memory, as compiled code gets at them: through a pointer, with nothing to check.

`labkit.decode` takes a buffer that gives an octet for an index. Compiled, that buffer is a pointer to the frame's first octet,
so that positions count in the frame, and nothing is sliced. Numba is imported here: only who compiles imports this module.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

SETTINGS = {"error_model": "numpy", "boundscheck": False}
"""Of every compiled function: what would be an exception in Python is none, as nothing could take it."""


@cache
def shifted() -> Callable[..., Any]:
    """(pointer to octets, count) -> the pointer, so many octets further on."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def shift(_context: Any, pointer: Any, _count: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.gep(arguments[0], [arguments[1]])

        return pointer(pointer, types.int64), code

    return shift  # type: ignore[no-any-return]


@cache
def loaded() -> Callable[..., Any]:
    """(pointer to octets, position) -> the eight octets there as one unsigned number, in the processor's order."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def load(_context: Any, pointer: Any, _at: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            from llvmlite import ir

            place = builder.gep(arguments[0], [arguments[1]])
            return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)

        return types.uint64(pointer, types.int64), code

    return load  # type: ignore[no-any-return]


@cache
def summed() -> Callable[..., Any]:
    """`labkit.decode.layer.ones_sum` for a pointer.

    Words of any even number of octets may be added: 2**16 is 1 modulo 65535. Of a sum in the other byte order the octets are
    swapped at the end (RFC 1071 section 2).
    """
    import sys

    from numba import njit

    load = loaded()
    scale = 256 if sys.byteorder == "little" else 1
    low = 0xFFFF_FFFF

    @njit(**SETTINGS)  # type: ignore[untyped-decorator]
    def ones_sum(buf: Any, start: int, end: int) -> int:
        total = 0
        while start + 8 <= end:
            word = load(buf, start)
            total += int(word & low) + int(word >> 32)
            start += 8
        rest = 0
        weight = 256
        while start < end:
            rest += int(buf[start]) * weight
            weight = 257 - weight
            start += 1
        return (total % 65535 * scale + rest) % 65535

    return ones_sum  # type: ignore[no-any-return]


@cache
def copied() -> Callable[..., Any]:
    """`labkit.compiled.judging.keep` for pointers."""
    from numba import njit

    from labkit.payload import ALL_OCTETS

    copy = copying()

    @njit(**SETTINGS)  # type: ignore[untyped-decorator]
    def keep(buf: Any, at: int, size: int, ring: Any, to: int) -> None:
        room = min(size, ALL_OCTETS - to)
        copy(ring, to, buf, at, room)
        if room < size:
            copy(ring, 0, buf, at + room, size - room)

    return keep  # type: ignore[no-any-return]


@cache
def copying() -> Callable[..., Any]:
    """(to, its position, from, its position, count): copy octets between memory that does not overlap."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def copy(_context: Any, to: Any, _place: Any, source: Any, _at: Any, _size: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            from numba.core import cgutils

            to, place, source, at, size = arguments
            cgutils.raw_memcpy(builder, builder.gep(to, [place]), builder.gep(source, [at]), size, 1)
            return _context.get_dummy_value()

        return types.void(to, types.int64, source, types.int64, types.int64), code

    return copy  # type: ignore[no-any-return]


@cache
def rows() -> Callable[..., Any]:
    """(numpy type of a record) -> Numba's type of a pointer to such records, of which an element is a record in its place.

    Numba's own arrays are counted references of seven words each: passing them on costs more than what is done with them.
    """
    import operator

    from numba import types
    from numba.core import cgutils
    from numba.core.datamodel import models
    from numba.extending import lower_builtin, register_model
    from numba.np.numpy_support import from_dtype

    class Rows(types.CPointer):  # type: ignore[misc]
        """A pointer to records."""

        def __init__(self, kind: Any, number: int) -> None:
            super().__init__(kind)
            self.name = f"rows{number}"  # short: it becomes a part of the names of functions

    @register_model(Rows)
    class _Model(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, manager[kind.dtype].get_value_type())

    def _place(builder: Any, kind: Any, pointer: Any, index: Any) -> Any:
        octets = builder.bitcast(pointer, cgutils.voidptr_t)
        size = index.type(kind.dtype.size)
        return builder.bitcast(builder.gep(octets, [builder.mul(index, size)]), pointer.type)

    @lower_builtin(operator.getitem, Rows, types.Integer)  # type: ignore[untyped-decorator]
    def _get(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _place(builder, signature.args[0], *arguments)

    @lower_builtin(operator.setitem, Rows, types.Integer, types.Record)  # type: ignore[untyped-decorator]
    def _set(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, index, value = arguments
        to = _place(builder, signature.args[0], pointer, index)
        size = context.get_constant(types.intp, signature.args[0].dtype.size)
        cgutils.raw_memcpy(builder, to, value, size, 1)

    known: list[Any] = []

    def kind_of(kind: Any) -> Any:
        if kind not in known:
            known.append(kind)
        return Rows(from_dtype(kind), known.index(kind))

    return kind_of
