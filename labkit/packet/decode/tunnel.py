"""Tunnels over IP: GRE and its relatives, and those over UDP by their ports.

Every function is a layer, as `labkit.packet.decode.layer` explains. Ports are a guess: a payload that does not look like
the tunnel's own header ends the search.
"""

from labkit.packet.decode.layer import (
    END,
    ETHERNET,
    IEEE802_11,
    IP_PROTOCOL,
    IPV4,
    IPV6,
    PPP,
    Step,
    ip_protocol,
    ip_version,
    u16,
    u32,
    udp_port,
)

GRE_ERSPAN2, GRE_ERSPAN3, GRE_WCCP, GRE_PPP = 0x88BE, 0x22EB, 0x883E, 0x880B


@ip_protocol(47)
@udp_port(4754)
def gre(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A GRE header (RFC 2784, RFC 2890; version 1: RFC 2637), then what its EtherType says."""
    if at + 4 > end:
        return END, at, stop
    flags, kind = u16(buf, at), u16(buf, at + 2)
    version = flags & 7
    # Nobody used the routing field of RFC 1701.
    if version > 1 or flags & 0x4000:
        return END, at, stop
    size = 4
    if flags & 0x8000:
        size += 4
    if flags & 0x2000:
        size += 4
    if flags & 0x1000:
        size += 4
    if version == 1 and flags & 0x80:
        size += 4
    return _gre_payload(buf, at + size, end, stop, kind, flags)


def _gre_payload(buf: bytes, at: int, end: int, stop: int, kind: int, flags: int) -> Step:
    """The payload of GRE: an EtherType, with exceptions."""
    if kind == GRE_ERSPAN2:
        # Type I has no header of its own, and GRE no sequence number.
        return ETHERNET, at + (8 if flags & 0x1000 else 0), stop
    if kind == GRE_ERSPAN3 and at + 12 <= end:
        return ETHERNET, at + (20 if buf[at + 11] & 1 else 12), stop
    if kind == GRE_PPP:
        return PPP, at, stop
    if kind == GRE_WCCP:
        return IPV4, at + (0 if at < end and buf[at] >> 4 == 4 else 4), stop
    if 0x8200 <= kind <= 0x83FF or kind == 0x9000:
        # Aruba's access points mirror 802.11 frames with these numbers.
        return IEEE802_11, at, stop
    return kind, at, stop


@ip_protocol(97)
def etherip(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Ethernet within IP (RFC 3378): a version and twelve bits of zero."""
    if at + 2 > end or buf[at] != 0x30:
        return END, at, stop
    return ETHERNET, at + 2, stop


@udp_port(3544)
def teredo(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Teredo's authentication and origin headers, if any, and IPv6 (RFC 4380 section 5.1.1)."""
    if at + 4 <= end and u16(buf, at) == 1:
        at += 13 + buf[at + 2] + buf[at + 3]
    if at + 2 <= end and u16(buf, at) == 0:
        at += 8
    return (IPV6 if ip_version(buf, at, end) == IPV6 else END), at, stop


@udp_port(4789, 8472)
def vxlan(buf: bytes, at: int, end: int, stop: int) -> Step:
    """VXLAN (RFC 7348 section 5): a receiver ignores the reserved bits. Linux took port 8472 before 4789 was assigned."""
    if at + 8 > end or not buf[at] & 8:
        return END, at, stop
    return ETHERNET, at + 8, stop


@udp_port(4790)
def vxlan_gpe(buf: bytes, at: int, end: int, stop: int) -> Step:
    """VXLAN with an octet that names the payload (draft-ietf-nvo3-vxlan-gpe)."""
    if at + 8 > end or not buf[at] & 8:
        return END, at, stop
    if not buf[at] & 4:
        return ETHERNET, at + 8, stop
    kind = buf[at + 3]
    if kind == 1:
        return IPV4, at + 8, stop
    if kind == 2:
        return IPV6, at + 8, stop
    return (ETHERNET if kind == 3 else END), at + 8, stop


@udp_port(6081)
def geneve(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Geneve (RFC 8926 section 3.4): options, then what its EtherType says."""
    if at + 8 > end or buf[at] >> 6:
        return END, at, stop
    return u16(buf, at + 2), at + 8 + (buf[at] & 63) * 4, stop


@udp_port(2152, 3386)
def gtp(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A G-PDU of GTP-U (3GPP TS 29.281 section 5) or a T-PDU of its version 0 (TS 09.60): IP, or PPP."""
    if at + 8 > end or buf[at + 1] != 255 or not buf[at] & 0x10:
        return END, at, stop
    version = buf[at] >> 5
    size = u16(buf, at + 2)
    if version == 0:
        at += 20
        stop = min(stop, at + size)
    elif version == 1:
        stop = min(stop, at + 8 + size)
        at = _gtp_extensions(buf, at, end)
    else:
        return END, at, stop
    following = ip_version(buf, at, end)
    if following == END and at < end and buf[at] == 0xFF:
        following = PPP
    return following, at, stop


def _gtp_extensions(buf: bytes, at: int, end: int) -> int:
    """Where the payload of a G-PDU starts: after the optional fields and the extension headers."""
    flags = buf[at]
    at += 8
    if flags & 7:
        at += 4
        following = buf[at - 1] if flags & 4 and at <= end else 0
        while following and at < end and buf[at]:
            at += buf[at] * 4
            following = buf[at - 1] if at <= end else 0
    return at


@udp_port(5072)
def ayiya(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Anything in anything (draft-massar-v6ops-ayiya-02): an identity, a signature, then an IP protocol."""
    if at + 8 > end or buf[at + 2] & 15 != 1:
        return END, at, stop
    size = 8 + (1 << buf[at] // 16) + buf[at + 1] // 16 * 4
    return IP_PROTOCOL + buf[at + 3], at + size, stop


@udp_port(1701)
def l2tp(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A data message of L2TP version 2 (RFC 2661 section 3.1), then PPP."""
    if at + 6 > end:
        return END, at, stop
    flags = u16(buf, at)
    if flags & 0x800F != 2:
        return END, at, stop
    size = 6
    if flags & 0x4000:
        stop = min(stop, at + u16(buf, at + 2))
        size += 2
    if flags & 0x0800:
        size += 4
    if flags & 0x0200:
        if at + size + 2 > end:
            return END, at, stop
        size += 2 + u16(buf, at + size)
    return PPP, at + size, stop


@udp_port(37008)
def tzsp(buf: bytes, at: int, end: int, stop: int) -> Step:
    """TaZmen Sniffer Protocol, which routers mirror traffic with: tagged fields to an end mark, Ethernet."""
    if at + 4 > end or u32(buf, at) != 0x0100_0001:
        return END, at, stop
    at += 4
    while at < end and buf[at] != 1:
        if buf[at] == 0:
            at += 1
        elif at + 1 < end:
            at += 2 + buf[at + 1]
        else:
            return END, at, stop
    return ETHERNET, at + 1, stop
