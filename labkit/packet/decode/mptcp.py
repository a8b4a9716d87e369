"""Multipath TCP's option (kind 30): its subtypes, keys and Data ACK (RFC 8684 section 3)."""

from labkit.packet.decode.layer import u32
from labkit.packet.seen import DSS_ACK, DSS_ACK_8, DSS_MAP, DSS_MAP_8, Seen

CAPABLE, JOIN, DSS, ADD_ADDR, REMOVE_ADDR, PRIO, FAIL, FASTCLOSE, TCPRST = 0, 1, 2, 3, 4, 5, 6, 7, 8
"""RFC 8684 section 8.2."""


def read_mptcp(buf: bytes, at: int, size: int, seg: Seen) -> bool:
    """Read the option of `size` octets at `at`, which a segment may have several times; False if its size is illegal.

    Sizes of both versions of the protocol are legal (RFC 8684, and RFC 6824 for version 0).
    """
    if size < 3:
        return False
    subtype = buf[at + 2] >> 4
    seg.mptcp |= 1 << (subtype & 15)
    if subtype == DSS:
        return _read_dss(buf, at, size, seg)
    if subtype == CAPABLE:
        return _read_capable(buf, at, size, seg)
    return _has_legal_size(subtype, size)


def _has_legal_size(subtype: int, size: int) -> bool:
    """Whether an option of the subtype may have this size; any is legal where the subtype is not known."""
    if subtype == JOIN:
        return size in (12, 16, 24)
    if subtype == ADD_ADDR:
        # An IPv4 or IPv6 address, with or without port and HMAC.
        return size in (8, 10, 16, 18, 20, 22, 28, 30)
    if subtype == REMOVE_ADDR:
        return size >= 4
    if subtype == PRIO:
        return size in (3, 4)
    if subtype in (FAIL, FASTCLOSE):
        return size == 12
    return size == 4 if subtype == TCPRST else True


def _read_capable(buf: bytes, at: int, size: int, seg: Seen) -> bool:
    """MP_CAPABLE (section 3.1): no key, the sender's, or both; with data its length, and a checksum."""
    if size not in (4, 12, 20, 22, 24):
        return False
    if size >= 12:
        seg.mp_keys = 1
        seg.mp_key = u32(buf, at + 8)
    if size >= 20:
        seg.mp_keys = 2
        seg.mp_echo = u32(buf, at + 16)
    return True


def _read_dss(buf: bytes, at: int, size: int, seg: Seen) -> bool:
    """DSS (section 3.3): a Data ACK, a mapping, or both, and a checksum of the mapping where that was agreed."""
    if size < 4:
        return False
    flags = buf[at + 3] & 31
    octets = 4
    if flags & DSS_ACK:
        octets += 8 if flags & DSS_ACK_8 else 4
    if flags & DSS_MAP:
        octets += 14 if flags & DSS_MAP_8 else 10
    if size != octets and not (flags & DSS_MAP and size == octets + 2):
        return False
    seg.dss = flags
    if flags & DSS_ACK:
        seg.data_ack = u32(buf, at + (8 if flags & DSS_ACK_8 else 4))
    return True


def clear_mptcp(seg: Seen) -> None:
    """Clear the fields of the last frame."""
    seg.mptcp = 0
    seg.mp_keys = 0
    seg.mp_key = 0
    seg.mp_echo = 0
    seg.dss = 0
    seg.data_ack = 0
