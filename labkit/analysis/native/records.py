"""Dataclasses of integers as rows of memory, with the same fields by the same names.

An integer field takes the width that its annotation declares (`labkit.packet.seen.U8` and others), or eight octets. A `list`
field is a column of as many integers as its default has. A `Pointer` field holds the address of integers or of rows.

The fields of a `Side` that are marked COLD, and those in SELDOM, stand in a row of their own, the cold row, whose address is in
the field `cold_row`. Those in RARE stand behind the others.
"""

import ctypes
import mmap
import sys
from collections.abc import MutableSequence
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, get_args, get_origin

from labkit.analysis.side import RARE, SELDOM, Side
from labkit.packet.seen import U8

TYPES = {
    "i1": ctypes.c_int8,
    "u1": ctypes.c_uint8,
    "i2": ctypes.c_int16,
    "u2": ctypes.c_uint16,
    "i4": ctypes.c_int32,
    "u4": ctypes.c_uint32,
    "i8": ctypes.c_int64,
}
"""The widths of integers."""

PREFIX = "labkit_"
"""Of the symbols of the machine code's entries."""

LARGE_PAGE = 1 << 21
"""Octets of a large page of memory, on x86-64 and on most systems with aarch64."""

AHEAD = 2
"""Large pages behind those in use that `Memory.prepare` prepares."""

POPULATE_WRITE = 23
"""madvise's MADV_POPULATE_WRITE, of Linux 5.14 and newer; Python 3.11 has no name for it."""

Pointer = MutableSequence
"""In an annotation: the address of integers, or of rows."""


@dataclass(init=False, eq=False, repr=False)
class SideRow(Side):
    """A row of what is known of one sender, without its cold fields."""

    cold_row: int = 0
    """The address of the cold row."""
    has_seldom: U8 = 0
    """1: a field in SELDOM was set to something else than 0. Compiled code sets this itself."""


@dataclass(init=False, eq=False, repr=False)
class ColdRow(Side):
    """A row of the cold fields of a `Side`."""


@cache
def record(kind: type) -> type[ctypes.Structure]:
    """The memory layout of a dataclass: the widest columns first, so that there is hardly any padding, and rare ones last."""
    own = [(each.name, memory_type(each)) for each in fields_of(kind)]
    own.sort(key=lambda each: (_is_rare(kind, each[0]), -ctypes.alignment(each[1])))
    return type(kind.__name__, (ctypes.Structure,), {"_fields_": own})


@cache
def near(kind: type) -> int:
    """The octets of a row before its rare fields."""
    rows = record(kind)
    rare = (getattr(rows, each[0]).offset for each in rows._fields_ if _is_rare(kind, each[0]))
    return min(rare, default=ctypes.sizeof(rows))


def fields_of(kind: Any) -> "list[Field[Any]]":
    """The fields of a dataclass that stand in its row."""
    if not issubclass(kind, Side):
        return list(fields(kind))
    return [each for each in fields(kind) if is_cold(each) == (kind is ColdRow)]


def is_cold(each: "Field[Any]") -> bool:
    """Whether a field of a `Side` stands in its cold row."""
    return each.name in SELDOM or each.metadata.get("cold", False)


@cache
def targets(kind: type) -> dict[str, Any]:
    """What stands at the addresses that the fields of a row hold: a width of TYPES, or a dataclass."""
    return {each.name: _target(each) for each in fields_of(kind) if get_origin(each.type) is Pointer}


def _is_rare(kind: type, name: str) -> bool:
    return kind is SideRow and name in RARE


def memory_type(each: "Field[Any]") -> Any:
    """The type of a field in memory."""
    if each.default_factory is MISSING:
        return TYPES[_width(each.type)]
    return TYPES[_width(get_args(each.type)[0])] * len(each.default_factory())


def _width(annotation: Any) -> str:
    """The width that an integer's annotation declares."""
    for each in getattr(annotation, "__metadata__", ()):
        if each in TYPES:
            return str(each)
    return "i8"


def _target(each: "Field[Any]") -> Any:
    (element,) = get_args(each.type)
    return _width(element) if get_origin(element) or element is int else element


def write_row(row: Any, value: Any) -> None:
    """Fill a row from an object of its dataclass."""
    for name, _ in row._fields_:
        known = getattr(value, name)
        if isinstance(known, list):
            getattr(row, name)[:] = known
        else:
            setattr(row, name, known)


def read_row(row: Any, value: Any) -> None:
    """Fill an object from a row of its dataclass."""
    for name, _ in row._fields_:
        known = getattr(row, name)
        setattr(value, name, list(known) if isinstance(known, ctypes.Array) else known)


@cache
def _madvise() -> Any:
    """The system's function; `mmap.madvise` would hold the interpreter's lock. None where it cannot prepare pages."""
    if sys.platform != "linux":
        return None
    found = ctypes.CDLL(None).madvise
    found.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return found


def _populate(address: int, octets: int) -> bool:
    """Have the system clear pages of memory now, not when they are used first. False where it cannot."""
    madvise = _madvise()
    return madvise is not None and madvise(address, octets, POPULATE_WRITE) == 0


class Memory:
    """Zeroed memory at a fixed address, of which only used pages are resident. MemoryError where the process may have no more."""

    def __init__(self, size: int, *, huge: bool = True) -> None:
        """`huge`: lookups touch all of it, so that large pages pay, but for the first octets, which are all that most captures
        need: the system clears a page when it is first used. Otherwise a little of it is used."""
        try:
            pages = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"{size} octets") from error
        if huge and size > LARGE_PAGE:
            with suppress(AttributeError, OSError):
                pages.madvise(mmap.MADV_HUGEPAGE, LARGE_PAGE)
        self._pages = pages
        self.view = memoryview(pages)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.view))
        self._ready = self.address
        """Up to this address, pages are in use or prepared."""

    def prepare(self, used: int) -> bool:
        """Have the system clear a page, of those that follow the first `used` octets; it takes a while, above all where a virtual
        machine must get it back. Whether it did: enough may be prepared. Nothing is lost that another thread writes meanwhile."""
        first = -(-(self.address + used) // LARGE_PAGE) * LARGE_PAGE
        start = max(self._ready, first)
        last = min(first + AHEAD * LARGE_PAGE, self.address + len(self.view))
        if used < LARGE_PAGE or start + LARGE_PAGE > last:
            return False
        done = _populate(start, LARGE_PAGE)
        self._ready = start + LARGE_PAGE if done else self.address + len(self.view)
        return done

    def release(self) -> None:
        """Give its pages back: what it held is lost."""
        with suppress(AttributeError, OSError):
            self._pages.madvise(mmap.MADV_DONTNEED)
