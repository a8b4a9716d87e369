"""Put another segment into a captured frame, and leave every other octet of the frame as it is.

`segment_of` reads the segment of a frame as a value; `rewrite` writes a changed value back. Only the fields that differ
change, and what follows from them: the lengths of IP and TCP, and the checksums. A checksum that was right is right
afterwards; one that was wrong, or that the sender's hardware was to complete, stays so.
"""

from labkit.i18n import _
from labkit.packet.decode.layer import MAX_DATAGRAM_OCTETS, ones_sum, u16
from labkit.packet.linktype import ETHERNET
from labkit.packet.seen import ABSENT, SUM_GOOD, SUM_PARTIAL, SUM_UNKNOWN, Seen
from labkit.tcp.notation import pattern
from labkit.tcp.options import unpack
from labkit.tcp.segment import SYN, Segment
from labkit.tcp.seq import add

MIN_ETHERNET_OCTETS = 60
"""The shortest Ethernet frame, without its check sequence; padding follows a shorter datagram (IEEE 802.3 section 3.2.8)."""
MAX_MISSING_OCTETS = 0xFFFF
"""Octets of a payload that the capture may lack; a frame that claims more is not read as a segment."""

VLAN_TYPES = frozenset({0x8100, 0x88A8, 0x9100})
NETWORK_AT = {0: 4, 101: 0, 108: 4, 113: 16, 228: 0, 229: 0, 276: 20}
"""Where the network header starts, by link type: NULL, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2."""


def segment_of(data: bytes, seg: Seen) -> Segment:
    """The segment that was decoded from `data` to `seg`, readable and with at most MAX_MISSING_OCTETS missing octets.

    Octets of the payload that the capture lacks are the notation's pattern.
    """
    held = data[seg.data_at : seg.data_at + seg.data_len] if seg.data_at != ABSENT else b""
    start = add(seg.seq, (seg.ctl & SYN != 0) + len(held))
    return Segment(
        seq=seg.seq,
        ack=seg.ack,
        ctl=seg.ctl,
        window=seg.win,
        payload=held + pattern(start, seg.len - len(held)),
        options=unpack(data[seg.tcp_at + 20 : min(seg.tcp_at + seg.doff, len(data))]),
        urgent=seg.urg,
        ecn=seg.ecn,
    )


def is_plain(data: bytes, link: int, seg: Seen) -> bool:
    """Whether the datagram of the segment stands right behind the link header: not in a tunnel."""
    return seg.ip_at == network_at(data, link)


def network_at(data: bytes, link: int) -> int | None:
    """Where the network header of a frame starts; None for a link type whose header has no fixed form."""
    if link != ETHERNET:
        return NETWORK_AT.get(link)
    at = 12
    while at + 2 <= len(data) and u16(data, at) in VLAN_TYPES:
        at += 4
    return at + 2


def rewrite(data: bytes, seg: Seen, segment: Segment, *, plain: bool, ident: int | None) -> bytes:
    """The frame with another segment, and with another IPv4 identification unless `ident` is None.

    `seg` is what `data` was decoded to, `plain` whether lengths may change: the datagram is in no tunnel. ValueError if they
    may not, and for a segment that does not fit.
    """
    old = segment_of(data, seg)
    head = seg.tcp_at + 20
    options = data[head : min(seg.tcp_at + seg.doff, len(data))]
    held = data[seg.data_at : seg.data_at + seg.data_len] if seg.data_at != ABSENT else b""
    tail = data[seg.data_at + seg.data_len :] if seg.data_at != ABSENT else b""
    offset, size = seg.doff, seg.doff + seg.len
    if segment.options != old.options:
        if seg.opt_cut:
            raise ValueError(_("the capture cut the options short; they cannot be changed"))
        options = segment.header
        offset = 20 + len(options)
    if segment.payload != old.payload:
        held = segment.payload
        tail = tail if seg.data_len == seg.len else b""
    grown = offset + len(segment.payload) - size
    if grown and not plain:
        raise ValueError(
            _("the datagram is in a tunnel, whose lengths labkit does not change; expected the same length")
        )
    tcp = (
        data[seg.tcp_at : seg.tcp_at + 4]
        + segment.seq.to_bytes(4)
        + segment.ack.to_bytes(4)
        + bytes((offset // 4 << 4 | segment.ctl >> 8, segment.ctl & 0xFF))
        + segment.window.to_bytes(2)
        + data[seg.tcp_at + 16 : seg.tcp_at + 18]
        + segment.urgent.to_bytes(2)
        + options
        + held
    )
    before = data[seg.tcp_at : len(data) - len(tail)]
    whole = len(tcp) == offset + len(segment.payload)
    checksum = _tcp_checksum(data, seg, before, tcp, grown, whole=whole)
    tcp = tcp[:16] + checksum.to_bytes(2) + tcp[18:]
    network = _network(data, seg, segment.ecn, grown, ident)
    if tail and not any(tail) and len(data) == MIN_ETHERNET_OCTETS and grown:
        tail = bytes(max(0, MIN_ETHERNET_OCTETS - len(network) - len(tcp)))
    return network + tcp + tail


def with_checksum(data: bytes, seg: Seen) -> bytes:
    """The frame, whose segment is captured whole, with the right TCP checksum."""
    end = seg.data_at + seg.len
    checksum = tcp_checksum(data, seg, data[seg.tcp_at : end])
    return data[: seg.tcp_at + 16] + checksum.to_bytes(2) + data[seg.tcp_at + 18 :]


def tcp_checksum(data: bytes, seg: Seen, tcp: bytes) -> int:
    """The right checksum of the TCP octets `tcp`, whatever they have in its field, between the addresses of `seg`."""
    return _complement(_pseudo(data, seg, len(tcp)) + _sum(tcp[:16] + bytes(2) + tcp[18:]))


def ip_checksum(header: bytes) -> int:
    """The right checksum of an IPv4 header, whatever it has in its field (RFC 791 section 3.1)."""
    return _complement(_sum(header[:10] + bytes(2) + header[12:]))


def _tcp_checksum(data: bytes, seg: Seen, before: bytes, tcp: bytes, grown: int, *, whole: bool) -> int:
    """The checksum of changed TCP octets: as right or wrong as the one before (RFC 1624)."""
    if seg.sum_state == SUM_GOOD or (whole and seg.sum_state == SUM_UNKNOWN):
        return tcp_checksum(data, seg, tcp)
    length = seg.doff + seg.len
    if seg.sum_state == SUM_PARTIAL:
        counts = seg.sum % 65535 == _pseudo(data, seg, length) % 65535
        return _pseudo(data, seg, length + grown) % 65535 if counts else seg.sum
    if before == tcp:
        return seg.sum
    change = _sum(tcp) + length + grown - _sum(before) - length
    return (seg.sum - change) % 65535


def _network(data: bytes, seg: Seen, ecn: int, grown: int, ident: int | None) -> bytes:
    """The octets before the TCP header, with the ECN field, the length and the identification changed."""
    octets = bytearray(data[: seg.tcp_at])
    at = seg.ip_at
    if seg.version == 6:
        octets[at + 1] = octets[at + 1] & 0xCF | ecn << 4
        if grown and seg.ip_len:
            octets[at + 4 : at + 6] = _length(seg.ip_len + grown - 40)
        return bytes(octets)
    octets[at + 1] = octets[at + 1] & 0xFC | ecn
    if grown and seg.ip_len:
        octets[at + 2 : at + 4] = _length(seg.ip_len + grown)
    if ident is not None:
        octets[at + 4 : at + 6] = ident.to_bytes(2)
    end = at + (octets[at] & 15) * 4
    before, now = data[at:end], bytes(octets[at:end])
    if before == now:
        return bytes(octets)
    good = seg.ip_sum_state == SUM_GOOD
    checksum = ip_checksum(now) if good else (seg.ip_sum - _sum(now) + _sum(before)) % 65535
    octets[at + 10 : at + 12] = checksum.to_bytes(2)
    return bytes(octets)


def _length(octets: int) -> bytes:
    if not 0 <= octets <= MAX_DATAGRAM_OCTETS:
        raise ValueError(
            _("a datagram of {octets} octets; expected at most {max_datagram_octets}").format(
                octets=octets, max_datagram_octets=MAX_DATAGRAM_OCTETS
            )
        )
    return octets.to_bytes(2)


def _pseudo(data: bytes, seg: Seen, length: int) -> int:
    """The sum of the pseudo-header (RFC 9293 section 3.1)."""
    size = seg.addr_len
    addresses = data[seg.src_at : seg.src_at + size] + data[seg.dst_at : seg.dst_at + size]
    return _sum(addresses) + 6 + (length & 0xFFFF) + (length >> 16)


def _sum(octets: bytes) -> int:
    return ones_sum(octets, 0, len(octets))


def _complement(total: int) -> int:
    """The Internet checksum of a sum that is not zero: 0x0000, not 0xFFFF, as senders write it."""
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)
