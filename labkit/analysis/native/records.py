"""`Seen`, `Side` and others as rows of memory: the same fields by the same names, in as few octets as they need.

The fields are read from the dataclasses, so that there is no second list of them. A field that is named in no width below
takes eight octets, which always works; the widths are there for size and speed. What counts packets of a capture, or things
of which each takes a packet, has four octets: `labkit.analysis.native.reader.MOST` keeps them from running over.

Of a `Side` only what every one needs stands in its row. What only those need about which there are doubts stands in a row of
its own, beside: most conversations have none at a time, and a doubt takes more room than all else that is known of a sender.
"""

import ctypes
import mmap
from collections.abc import MutableSequence
from contextlib import suppress
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

from labkit.analysis.side import MAX_PENDING, Side

COLUMNS = ("list[int]", list[int])
"""The type of the fields that hold a row of integers, as a dataclass may give it."""

TYPES = {
    "i1": ctypes.c_int8,
    "u1": ctypes.c_uint8,
    "i2": ctypes.c_int16,
    "u2": ctypes.c_uint16,
    "i4": ctypes.c_int32,
    "u4": ctypes.c_uint32,
    "i8": ctypes.c_int64,
}
WIDTHS = {
    "u1": "piped sums_good sums_alike ips_good ips_alike family side word has_base syn sack_ok stamps has_old "
    "has_resyn third has_nxt has_last_ack probe has_rcv_nxt has_right_edge has_fin rst pending_kind pending_state pending_mark "
    "odd_kind odd_state odd_mark fault version addr_len ttl ecn ip_sum_state joined sum_state opt_fault "
    "opt_after_end opt_cut sack_n client over wanted",
    "i1": "pending_n",
    "i2": "rule found wscale tfo_len opt_twice",
    "u2": "a_port b_port syn_ctl first_ctl last_ctl pending_ctl odd_ctl ctl sport dport doff raw_win sum sum_want "
    "ip_sum ip_sum_want urg sum_off sum_rest ip_off ip_want",
    "i4": "last_id ip_id host_step mss caplen point next older newer a_seen_at b_seen_at",
    "u4": "part_packet part_ack sums_bad ips_bad a0 a1 a2 a3 b0 b1 b2 b3 w0 w1 w2 w3 base_me base_peer base isn "
    "syn_end old_nxt host_isn resyn first_seq nxt top last_seq last_ack data_seq rcv_nxt right_edge fin rst_seq "
    "pending_want pending_low pending_high pending_seen odd_want odd_seq odd_ack_want odd_ack win max_win syn_packet "
    "resyn_packet first_packet last_packet fin_packet pending_packet odd_packet seq "
    "sack_l0 sack_r0 sack_l1 sack_r1 sack_l2 sack_r2 sack_l3 sack_r3 end number last_len data_len room "
    "host_isns seen run resent missed a_resent b_resent",
}
"""Which fields always fit into less than eight octets, by the names of TYPES; the same for all records."""

BESIDE: dict[type, tuple[str, ...]] = {Side: ("pending_", "odd_")}
"""How the fields begin that stand in rows beside; `pending_n` does not, for it says whether there is anything."""
HERE = frozenset({"pending_n"})
WHERE = "beside"
"""The column of a record that holds the address of its row beside."""
FREE = "next_free"
"""The column of a row beside that chains those that are free."""

Rows = MutableSequence
"""In the source of the kernels: an array of records, of which an element is a record and no number."""


class Column(NamedTuple):
    """Where a field stands in the octets of a record."""

    at: int
    size: int
    signed: bool
    row: bool
    """Whether it holds a row of integers, each of that size."""
    beside: bool
    """Whether it stands in the row beside."""


@cache
def record(kind: type) -> type[ctypes.Structure]:
    """The octets of a dataclass of integers: a field for each of its fields, a row of MAX_PENDING for each list. A structure is its
    own record."""
    if issubclass(kind, ctypes.Structure):
        return kind
    own = [(name, kind_) for name, kind_, is_beside in _fields(kind) if not is_beside]
    return _structure(kind.__name__, [*own, (WHERE, ctypes.c_int64)] if kind in BESIDE else own)


@cache
def beside(kind: type) -> type[ctypes.Structure]:
    """The octets of a row beside."""
    own = [(name, kind_) for name, kind_, is_beside in _fields(kind) if is_beside]
    return _structure(f"{kind.__name__}Beside", [*own, (FREE, ctypes.c_int64)])


@cache
def columns(kind: type) -> dict[str, Column]:
    """Where each field stands."""
    found = _columns(record(kind), is_beside=False)
    return found | _columns(beside(kind), is_beside=True) if kind in BESIDE else found


def _columns(structure: type[ctypes.Structure], *, is_beside: bool) -> dict[str, Column]:
    found = {}
    types: dict[str, Any] = {each[0]: each[1] for each in structure._fields_}
    for name, type_ in types.items():
        row = issubclass(type_, ctypes.Array)
        one = type_._type_ if row else type_
        signed = one(-1).value < 0
        found[name] = Column(getattr(structure, name).offset, ctypes.sizeof(one), signed, row, is_beside)
    return found


def _fields(kind: type) -> list[tuple[str, Any, bool]]:
    """Name, type in memory, and whether it stands beside, of each field."""
    width = {name: TYPES[size] for size, names in WIDTHS.items() for name in names.split()}
    found = []
    for each in fields(kind):
        one = width.get(each.name, ctypes.c_int64)
        is_beside = each.name.startswith(BESIDE.get(kind, ())) and each.name not in HERE
        found.append((each.name, one * MAX_PENDING if each.type in COLUMNS else one, is_beside))
    return found


def _structure(name: str, own: list[tuple[str, Any]]) -> type[ctypes.Structure]:
    """A structure, the widest columns first, so that none is padded."""
    return type(name, (ctypes.Structure,), {"_fields_": sorted(own, key=lambda each: -ctypes.alignment(each[1]))})


class Memory:
    """Memory at an address that stays, all zeros, of which only what is used costs any. MemoryError where a process may have
    no more."""

    def __init__(self, size: int) -> None:
        try:
            pages = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"{size} octets") from error
        with suppress(AttributeError, OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)  # conversations are looked up all over the table
        self.view = memoryview(pages)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.view))
