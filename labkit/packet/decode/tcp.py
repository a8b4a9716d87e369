"""The TCP header, its options and its checksum (RFC 9293 section 3.1).

A header with faults is read as far as possible; `Seen.fault` and `Seen.opt_fault` name the fault.
"""

from labkit.packet.decode.layer import ones_sum, u16, u32
from labkit.packet.decode.mptcp import clear_mptcp, read_mptcp
from labkit.packet.seen import (
    ABSENT,
    ACCECN_0,
    ACCECN_1,
    AUTH_AO,
    AUTH_MD5,
    BAD_OFFSET,
    CUT,
    MAX_SACK_BLOCKS,
    OPT_LENGTH,
    OPT_OVERRUN,
    OPT_SOUND,
    SHORT_IP,
    SHORT_TCP,
    SOUND,
    SUM_BAD,
    SUM_GOOD,
    SUM_PARTIAL,
    SUM_UNKNOWN,
    Seen,
)
from labkit.tcp.flags import PSH

SIZES = (0, 0, 4, 3, 2, 0, 6, 6, 10, 2, 3, 0, 0, 0, 3, 3, 0, 0, 3, 18, 0, 0, 0, 0, 0, 0, 0, 8, 4)
"""The only legal size of an option, by kind; 0 if sizes vary or the kind is unknown.

Kinds 2, 3, 4, 8: RFC 9293, 7323, 2018; 6, 7, 9, 10, 14, 15, 18: the registry's obsolete ones (RFC 1072, 1693, 1146, and 18,
the trailer checksum); 19: RFC 2385; 27: RFC 4782; 28: RFC 5482.
"""

FAST_OPEN_MAGIC = 0xF989
"""Marks Fast Open among the experimental options of kind 254 (RFC 6994)."""


MIN_FRAME, ETHERNET_HEADER, TAG = 60, 14, 4
"""Octets of the shortest Ethernet frame without its checksum, of its header, and of a VLAN tag (IEEE 802.3, 802.1Q)."""

MAX_PADDING = MIN_FRAME - ETHERNET_HEADER - 40
"""Octets that pad a frame with an IP header and a TCP header."""


def read_tcp(buf: bytes, at: int, end: int, stop: int, seg: Seen) -> None:
    """Fill a cleared `seg`, which has the IP fields already, from the TCP header at `at`.

    A header that ends before its twenty octets is SHORT_TCP, or CUT where the snapshot length did that.
    """
    seg.tcp_at = at
    if at + 20 > end:
        seg.fault = SHORT_TCP if at + 20 > stop else CUT
        _read_short(buf, at, end, seg)
        return
    seg.sport = buf[at] * 0x100 + buf[at + 1]
    seg.dport = buf[at + 2] * 0x100 + buf[at + 3]
    seg.seq = buf[at + 4] * 0x1000000 + buf[at + 5] * 0x10000 + buf[at + 6] * 0x100 + buf[at + 7]
    seg.ack = buf[at + 8] * 0x1000000 + buf[at + 9] * 0x10000 + buf[at + 10] * 0x100 + buf[at + 11]
    offset = buf[at + 12]
    doff = (offset >> 4) * 4
    seg.doff = doff
    seg.ctl = (offset & 15) * 0x100 + buf[at + 13]
    seg.win = buf[at + 14] * 0x100 + buf[at + 15]
    seg.sum = buf[at + 16] * 0x100 + buf[at + 17]
    seg.urg = buf[at + 18] * 0x100 + buf[at + 19]
    if doff < 20 or at + doff > stop:
        seg.fault = BAD_OFFSET
    else:
        data_at = at + doff
        seg.len = stop - data_at
        if data_at <= end:
            seg.data_at = data_at
            seg.data_len = end - data_at if end < stop else stop - data_at
        if doff > 20:
            read_options(buf, at + 20, data_at, end, seg)
        if 0 < seg.len <= MAX_PADDING and _pads_the_frame(buf, data_at, end, seg):
            seg.padding = seg.len
            seg.len = 0
            seg.data_len = 0
    if stop <= end and seg.fault != SHORT_IP:
        judge_sum(buf, at, stop, seg)
        if seg.padding and seg.sum_state == SUM_BAD:
            judge_sum(buf, at, stop - seg.padding, seg)  # who counted the padding did not sum it up


def _pads_the_frame(buf: bytes, data_at: int, end: int, seg: Seen) -> bool:
    """Whether the payload is what pads a frame to the least size of Ethernet: zeros, up to the frame's end, without PSH.

    RFC 894: "This padding is not part of the IP packet and is not included in the total length field of the IP header."
    """
    tags = seg.wirelen - ETHERNET_HEADER - seg.ip_len
    before = seg.wirelen == MIN_FRAME  # two tags at most are put in before or after the padding
    after = seg.wirelen == MIN_FRAME + tags
    if (tags != 0 and tags != TAG and tags != 2 * TAG) or (not before and not after):
        return False
    if seg.version != 4 or seg.fault != SOUND or seg.ctl & PSH or data_at + seg.len > end:
        return False
    total = 0
    for i in range(data_at, data_at + seg.len):
        total += buf[i]
    return total == 0


def _read_short(buf: bytes, at: int, end: int, seg: Seen) -> None:
    """The fields of a header of fewer than twenty octets, as far as they are present."""
    if at + 4 <= end:
        seg.sport = u16(buf, at)
        seg.dport = u16(buf, at + 2)
    if at + 8 <= end:
        seg.seq = u32(buf, at + 4)
    if at + 12 <= end:
        seg.ack = u32(buf, at + 8)
    if at + 14 <= end:
        seg.doff = (buf[at + 12] >> 4) * 4
        seg.ctl = (buf[at + 12] & 15) * 0x100 + buf[at + 13]
    if at + 16 <= end:
        seg.win = u16(buf, at + 14)
    if at + 18 <= end:
        seg.sum = u16(buf, at + 16)


def judge_sum(buf: bytes, at: int, stop: int, seg: Seen) -> None:
    """Verify the checksum over the pseudo-header and the whole segment buf[at:stop] (RFC 9293 section 3.1).

    As receivers do, 0x0000 and 0xFFFF are taken for the same zero. PARTIAL is what a sender leaves to hardware: the
    pseudo-header's sum, not complemented; for segmentation offload some leave the length out of it.
    """
    size = seg.addr_len
    src = seg.src_at
    dst = seg.dst_at
    if dst == src + size:
        addresses = ones_sum(buf, src, src + 2 * size)
    else:
        addresses = ones_sum(buf, src, src + size) + ones_sum(buf, dst, dst + size)
    length = stop - at
    pseudo = addresses + 6 + (length & 0xFFFF) + (length >> 16)
    total = (pseudo + ones_sum(buf, at, stop)) % 65535
    field = seg.sum if seg.sum < 65535 else 0
    if total == 0:
        seg.sum_want, seg.sum_state = field, SUM_GOOD
        return
    seg.sum_want = (field - total) % 65535
    if field == pseudo % 65535 or field == (addresses + 6) % 65535:
        seg.sum_state = SUM_PARTIAL
    else:
        seg.sum_state = SUM_BAD


def read_options(buf: bytes, at: int, stop: int, end: int, seg: Seen) -> None:
    """Read the option list buf[at:stop], of which the capture holds the part before `end`.

    The first fault is kept. Where an option stands twice, the last one's value counts, as it does in the kernels.
    """
    found = 0
    while at < stop and at < end:
        kind = buf[at]
        if kind == 1:
            at += 1
            continue
        if kind == 0:
            seg.opt_after_end = _not_zero(buf, at + 1, min(stop, end))
            return
        if at + 1 >= stop:
            _option_fault(OPT_OVERRUN, at, seg)
            return
        if at + 1 >= end:
            break
        size = buf[at + 1]
        if size < 2 or at + size > stop:
            _option_fault(OPT_LENGTH if size < 2 else OPT_OVERRUN, at, seg)
            return
        if at + size > end:
            break
        # Kind 30 is Multipath TCP, which may stand several times (RFC 8684 section 3).
        if kind < 62 and kind != 30:
            if found >> kind & 1 and seg.opt_twice == ABSENT:
                seg.opt_twice = kind
            found |= 1 << kind
        if not _read_option(buf, at, kind, size, seg):
            _option_fault(OPT_LENGTH, at, seg)
        at += size
    seg.opt_cut = 1 if at < stop else 0


def _option_fault(fault: int, at: int, seg: Seen) -> None:
    """Keep the first fault of an option list."""
    if seg.opt_fault == OPT_SOUND:
        seg.opt_fault = fault
        seg.opt_at = at


def _not_zero(buf: bytes, at: int, end: int) -> int:
    """1 where buf[at:end] has an octet other than zero."""
    while at < end:
        if buf[at] != 0:
            return 1
        at += 1
    return 0


def _read_option(buf: bytes, at: int, kind: int, size: int, seg: Seen) -> bool:
    """Read the option of `size` octets at `at`; False if its kind cannot have that size."""
    if kind < len(SIZES) and SIZES[kind] != 0 and SIZES[kind] != size:
        return False
    if kind == 8:
        seg.tsval = buf[at + 2] * 0x1000000 + buf[at + 3] * 0x10000 + buf[at + 4] * 0x100 + buf[at + 5]
        seg.tsecr = buf[at + 6] * 0x1000000 + buf[at + 7] * 0x10000 + buf[at + 8] * 0x100 + buf[at + 9]
    elif kind == 5:
        return _read_sack(buf, at, size, seg)
    elif kind == 2:
        seg.mss = buf[at + 2] * 0x100 + buf[at + 3]
    elif kind == 3:
        seg.wscale = buf[at + 2]
    elif kind == 4:
        seg.sack_ok = 1
    elif kind == 34:
        return _read_fast_open(size - 2, seg)
    elif kind == 254 and size >= 4 and u16(buf, at + 2) == FAST_OPEN_MAGIC:
        return _read_fast_open(size - 4, seg)
    elif kind == 30:
        return read_mptcp(buf, at, size, seg)
    elif kind > 18:
        return _read_extension(kind, size, seg)
    return True


def _read_extension(kind: int, size: int, seg: Seen) -> bool:
    """Note a signature (RFC 2385, RFC 5925), or AccECN's counters of three octets each (RFC 9768 section 3.2.3)."""
    if kind == 19:
        seg.auth |= AUTH_MD5
    elif kind == 29:
        seg.auth |= AUTH_AO
        return size >= 4
    elif kind in (172, 174):
        seg.accecn |= ACCECN_0 if kind == 172 else ACCECN_1
        return size in (2, 5, 8, 11)
    return True


def _read_fast_open(cookie: int, seg: Seen) -> bool:
    """A Fast Open cookie has 4 to 16 octets, an even number; an empty one requests a cookie (RFC 7413 4.1.1)."""
    seg.tfo_len = cookie
    return cookie == 0 or (4 <= cookie <= 16 and cookie & 1 == 0)


def _read_sack(buf: bytes, at: int, size: int, seg: Seen) -> bool:
    """Read the blocks of a SACK option (RFC 2018 section 3)."""
    if size < 10 or (size - 2) & 7:
        return False
    n = (size - 2) >> 3
    seg.sack_n = n
    for i in range(n):
        seg.sack_left[i] = u32(buf, at + 2 + 8 * i)
        seg.sack_right[i] = u32(buf, at + 6 + 8 * i)
    return True


def clear_tcp(seg: Seen) -> None:
    """Clear the TCP fields of the last frame."""
    seg.tcp_at = ABSENT
    seg.sport = 0
    seg.dport = 0
    seg.seq = 0
    seg.ack = 0
    seg.doff = 0
    seg.ctl = 0
    seg.win = 0
    seg.sum = 0
    seg.sum_want = 0
    seg.sum_state = SUM_UNKNOWN
    seg.urg = 0
    seg.data_at = ABSENT
    seg.len = 0
    seg.data_len = 0
    seg.padding = 0
    seg.opt_fault = OPT_SOUND
    seg.opt_at = ABSENT
    seg.opt_twice = ABSENT
    seg.opt_after_end = 0
    seg.opt_cut = 0
    seg.mss = ABSENT
    seg.wscale = ABSENT
    seg.sack_ok = 0
    seg.tsval = ABSENT
    seg.tsecr = ABSENT
    seg.tfo_len = ABSENT
    seg.auth = 0
    seg.accecn = 0
    if seg.mptcp:
        clear_mptcp(seg)
    if seg.sack_n:
        seg.sack_n = 0
        for i in range(MAX_SACK_BLOCKS):
            seg.sack_left[i] = seg.sack_right[i] = 0
