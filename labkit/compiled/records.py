"""`Seen`, `Side` and others as rows of memory: the same fields by the same names, in as few octets as they need.

The fields are read from the dataclasses, so that there is no second list of them. A field that is named in no width below
takes eight octets, which always works; the widths are there for size and speed.
"""

from collections.abc import MutableSequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from labkit.side import DOUBTS

if TYPE_CHECKING:
    import numpy as np

ROWS = ("list[int]", list[int])
"""The type of the fields that hold a row of integers, as a dataclass may give it."""

WIDTHS = {
    "u1": "piped sums_good sums_alike ips_good ips_alike family side word has_base syn sack_ok stamps has_old "
    "has_resyn third has_nxt has_last_ack probe has_ack has_edge has_fin rst doubt_kind doubt_state doubt_mark "
    "odd_kind odd_state odd_mark fault version addr_len ttl ecn ip_sum_state joined sum_state opt_fault "
    "opt_after_end opt_cut sack_n",
    "i2": "rule found wscale tfo_len opt_twice",
    "u2": "a_port b_port syn_ctl first_ctl last_ctl doubt_ctl odd_ctl ctl sport dport doff raw_win sum sum_want "
    "ip_sum ip_sum_want urg sum_off sum_rest ip_off ip_want",
    "i4": "room last_id ip_id host_isns host_step seen run same_acks mss caplen point resent missed doubt_n",
    "u4": "part_packet part_ack sums_bad ips_bad a0 a1 a2 a3 b0 b1 b2 b3 w0 w1 w2 w3 base_me base_peer base isn "
    "syn_end old_nxt host_isn resyn first_seq nxt top last_seq last_ack data_seq ack edge fin rst_seq "
    "doubt_want doubt_low doubt_high doubt_seen odd_want odd_seq odd_ack_want odd_ack win max_win syn_packet "
    "resyn_packet first_packet last_packet ack_packet fin_packet rst_packet doubt_packet odd_packet seq "
    "sack_l0 sack_r0 sack_l1 sack_r1 sack_l2 sack_r2 sack_l3 sack_r3 end number",
}
"""Which fields always fit into less than eight octets, by numpy's names of the types; the same for all records."""


Rows = MutableSequence
"""In the source of the kernels: an array of records, of which an element is a record and no number."""


@cache
def record(kind: type) -> "np.dtype[np.void]":
    """The numpy type of a dataclass of integers: a field for each of its fields, a row of DOUBTS for each list."""
    import numpy as np

    width = {name: size for size, names in WIDTHS.items() for name in names.split()}
    columns: list[Any] = []
    # Rows of doubts are rarely looked at: behind all else, so that what is looked at is near together.
    for each in sorted(fields(kind), key=lambda field: (field.type in ROWS, -int(width.get(field.name, "i8")[1]))):
        size = width.get(each.name, "i8")
        columns.append((each.name, size, (DOUBTS,)) if each.type in ROWS else (each.name, size))
    return np.dtype(columns, align=True)
