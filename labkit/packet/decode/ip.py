"""IPv4 (RFC 791), IPv6 (RFC 8200), their options and extension headers.

They fill the IP fields of `Seen`. The addresses are the ones that TCP's checksum covers: with a source route that has hops
to go, `dst_at` is the final destination; with a Home Address option, `src_at` is the home address.
"""

from labkit.packet.decode.layer import (
    END,
    IP_PROTOCOL,
    IPV4,
    IPV6,
    PIECE,
    Step,
    ethertype,
    ip_protocol,
    ones_sum,
    u16,
    u32,
)
from labkit.packet.seen import ABSENT, SHORT_IP, SOUND, SUM_BAD, SUM_GOOD, SUM_UNKNOWN, SUM_ZERO, Seen

LSRR, SSRR = 131, 137
JUMBO_PAYLOAD = 0xC2
HOME_ADDRESS = 0xC9

MTU = 1500
"""The longest datagram of an Ethernet frame (RFC 894)."""


def clear_ip(seg: Seen) -> None:
    """Clear the IP fields of the last frame."""
    seg.fault = SOUND
    seg.version = 0
    seg.ip_at = ABSENT
    seg.src_at = ABSENT
    seg.dst_at = ABSENT
    seg.addr_len = 0
    seg.ip_len = 0
    seg.room = 0
    seg.ip_id = ABSENT
    seg.ttl = 0
    seg.ecn = 0
    seg.ip_sum = 0
    seg.ip_sum_want = 0
    seg.ip_sum_state = SUM_UNKNOWN
    seg.unread = 0


@ethertype(IPV4)
@ip_protocol(4)
def ipv4(buf: bytes, at: int, end: int, stop: int, seg: Seen) -> Step:
    """An IPv4 header (RFC 791 section 3.1).

    A total length of 0 leaves the length to the frame: segmentation offload makes datagrams too long for the field.
    """
    if at + 20 > end or buf[at] >> 4 != 4:
        return END, at, stop
    header = (buf[at] & 15) * 4
    total = buf[at + 2] * 0x100 + buf[at + 3]
    if header < 20 or 0 < total < header:
        return END, at, stop
    enclosed = seg.version != 0
    seg.version = 4
    seg.ip_at = at
    seg.src_at = at + 12
    seg.dst_at = at + 16
    seg.addr_len = 4
    seg.ip_len = total
    seg.ip_id = buf[at + 4] * 0x100 + buf[at + 5]
    seg.ttl = buf[at + 8]
    seg.ecn = buf[at + 1] & 3
    seg.ip_sum = buf[at + 10] * 0x100 + buf[at + 11]
    _judge_header(buf, at, header, end, seg)
    if total != 0:
        stop = _datagram_end(at + total, stop, enclosed or total > MTU or seg.ip_sum_state == SUM_BAD, seg)
    if header > 20:
        _source_route(buf, at, at + header, end, seg)
    if (buf[at + 6] & 0x3F) | buf[at + 7]:
        return PIECE, at, stop
    return IP_PROTOCOL + buf[at + 9], at + header, stop


def _datagram_end(claimed: int, stop: int, doubtful: bool, seg: Seen) -> int:
    """Where a datagram ends that claims to end at `claimed`, in a frame or tunnel that ends at `stop`.

    A claim beyond `stop` is SHORT_IP. It is believed against a frame, for a frame loses its tail, and the record of its
    true length, in many a tool. It is doubtful within a tunnel, where the outer datagram's length is the better one, in a
    header whose checksum is wrong, and where it is more than an Ethernet frame can hold.
    """
    if claimed <= stop:
        return claimed
    seg.fault = SHORT_IP
    seg.room = stop - seg.ip_at
    return stop if doubtful else claimed


def _judge_header(buf: bytes, at: int, header: int, end: int, seg: Seen) -> None:
    """Verify the header checksum, if the whole header was captured."""
    if at + header > end:
        seg.ip_sum_state = SUM_UNKNOWN
        seg.ip_sum_want = 0
        return
    total = ones_sum(buf, at, at + header)
    if total == 0:
        seg.ip_sum_want = seg.ip_sum if seg.ip_sum < 65535 else 0
        seg.ip_sum_state = SUM_GOOD
    else:
        seg.ip_sum_want = (seg.ip_sum - total) % 65535
        seg.ip_sum_state = SUM_ZERO if seg.ip_sum == 0 else SUM_BAD


def _source_route(buf: bytes, at: int, stop: int, end: int, seg: Seen) -> None:
    """Find the final destination of a source route that has hops left (RFC 791 section 3.1)."""
    at += 20
    while at + 2 < stop and at + 2 < end and buf[at] != 0:
        if buf[at] == 1:
            at += 1
            continue
        size = buf[at + 1]
        if size < 2 or at + size > stop or at + size > end:
            return
        if (buf[at] == LSRR or buf[at] == SSRR) and size >= 7 and buf[at + 2] < size:
            seg.dst_at = at + size - 4
        at += size


@ethertype(IPV6)
@ip_protocol(41)
def ipv6(buf: bytes, at: int, end: int, stop: int, seg: Seen) -> Step:
    """An IPv6 header (RFC 8200 section 3).

    A payload length of 0 leaves the length to a jumbo payload option, or to the frame.
    """
    if at + 40 > end or buf[at] >> 4 != 6:
        return END, at, stop
    payload = buf[at + 4] * 0x100 + buf[at + 5]
    enclosed = seg.version != 0
    seg.version = 6
    seg.ip_at = at
    seg.src_at = at + 8
    seg.dst_at = at + 24
    seg.addr_len = 16
    seg.ip_len = 40 + payload if payload else 0
    seg.ip_id = ABSENT
    seg.ttl = buf[at + 7]
    seg.ecn = buf[at + 1] >> 4 & 3
    seg.ip_sum = 0
    seg.ip_sum_want = 0
    seg.ip_sum_state = SUM_UNKNOWN
    if payload:
        stop = _datagram_end(at + 40 + payload, stop, enclosed or 40 + payload > MTU, seg)
    return IP_PROTOCOL + buf[at + 6], at + 40, stop


@ip_protocol(0, 60)
def options_header(buf: bytes, at: int, end: int, stop: int, seg: Seen) -> Step:
    """A hop-by-hop or destination options header (RFC 8200 sections 4.3 and 4.6).

    The jumbo payload option gives the datagram's length (RFC 2675), the home address option its source (RFC 6275).
    """
    if at + 8 > end:
        return END, at, stop
    after = at + 8 + buf[at + 1] * 8
    option = at + 2
    while option + 1 < after and option + 1 < end:
        kind = buf[option]
        if kind == 0:
            option += 1
            continue
        size = buf[option + 1]
        if option + 2 + size > after or option + 2 + size > end:
            break
        if kind == HOME_ADDRESS and size == 16:
            seg.src_at = option + 2
        elif kind == JUMBO_PAYLOAD and size == 4 and seg.ip_len == 0:
            seg.ip_len = 40 + u32(buf, option + 2)
            stop = _datagram_end(seg.ip_at + seg.ip_len, stop, True, seg)
        option += 2 + size
    return IP_PROTOCOL + buf[at], after, stop


@ip_protocol(43)
def routing_header(buf: bytes, at: int, end: int, stop: int, seg: Seen) -> Step:
    """A routing header (RFC 8200 section 4.4): while hops are left, the final destination stands in it.

    Type 0 (RFC 5095) and uncompressed type 3 (RFC 6554) have it last, types 2 (RFC 6275) and 4 (RFC 8754) first. For any
    other, the destination, and with it the checksum, cannot be told, and nothing is read.
    """
    if at + 8 > end:
        return END, at, stop
    size = buf[at + 1] * 8
    after = at + 8 + size
    if buf[at + 3] != 0:
        kind = buf[at + 2]
        if size < 16 or after > end:
            return END, at, stop
        if kind == 0 or (kind == 3 and buf[at + 4] == 0):
            seg.dst_at = after - 16
        elif kind == 2 or kind == 4:
            seg.dst_at = at + 8
        else:
            return END, at, stop
    return IP_PROTOCOL + buf[at], after, stop


@ip_protocol(44)
def fragment_header(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A fragment header (RFC 8200 section 4.5); that of a whole datagram (RFC 6946) is stepped over."""
    if at + 8 > end:
        return END, at, stop
    if u16(buf, at + 2) & 0xFFF9:
        return PIECE, at, stop
    return IP_PROTOCOL + buf[at], at + 8, stop


@ip_protocol(135, 139, 140)
def extension_header(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Another extension header of the common form (RFC 6564): mobility, HIP, shim6."""
    if at + 8 > end:
        return END, at, stop
    return IP_PROTOCOL + buf[at], at + 8 + buf[at + 1] * 8, stop


@ip_protocol(51)
def authentication_header(buf: bytes, at: int, end: int, stop: int) -> Step:
    """An IPsec authentication header (RFC 4302 section 2), whose length counts words of four octets."""
    if at + 12 > end:
        return END, at, stop
    return IP_PROTOCOL + buf[at], at + 8 + buf[at + 1] * 4, stop
