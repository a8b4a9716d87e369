"""Octets in memory, as compiled code gets at them: through a pointer, with nothing to check.

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

    @njit(**SETTINGS)  # type: ignore[untyped-decorator]
    def keep(buf: Any, at: int, size: int, ring: Any, to: int) -> None:
        room = ALL_OCTETS - to
        for i in range(min(size, room)):
            ring[to + i] = buf[at + i]
        for i in range(room, size):
            ring[i - room] = buf[at + i]

    return keep  # type: ignore[no-any-return]
