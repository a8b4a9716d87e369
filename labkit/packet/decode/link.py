"""Link layers, and the layers between them and IP: Ethernet and its tags, PPP, cooked captures, 802.11.

`labkit.packet.decode.layer` explains how to add one.
"""

from labkit.packet.decode.layer import (
    END,
    ETHERNET,
    IEEE802_11,
    IPV4,
    IPV6,
    LINK,
    LLC,
    MPLS,
    PPP,
    RADIOTAP,
    Step,
    ethertype,
    ip_protocol,
    ip_version,
    le16,
    le32,
    link_type,
    u16,
    u32,
    udp_port,
)

VLAN, QINQ = 0x8100, 0x88A8
ETHERTYPES = 0x0600
"""From here up, a type/length field is an EtherType (IEEE 802.3 clause 3.2.6)."""

LLC_SNAP, LLC_IP = 0xAAAA, 0x0606
NLPID_SNAP, NLPID_IPV4, NLPID_IPV6 = 0x80, 0xCC, 0x8E
PPP_IPV4, PPP_IPV6, PPP_MULTILINK, PPP_MPLS = 0x0021, 0x0057, 0x003D, 0x0281
FAMILY_IPV4 = 2
FAMILIES_IPV6 = (10, 24, 28, 30)
"""AF_INET6 on Linux, NetBSD and OpenBSD, FreeBSD, and macOS."""
ARPHRD_RADIOTAP, ARPHRD_NETLINK = 803, 824
NFULA_PAYLOAD = 9
AVS_MAGIC = 0x8021_1001
ARCNET_IPV4_OLD, ARCNET_IPV4, ARCNET_IPV6, ARCNET_EXCEPTION = 240, 212, 196, 0xFF
"""ARCNET's types of IP by RFC 1051, RFC 1201 and RFC 2497, and the split flag that announces the type again."""
JUNIPER_MAGIC, JUNIPER_NO_LINK_LAYER, JUNIPER_EXTENSIONS = 0x4D4743, 0x02, 0x80


@link_type(RAW=101, RAW_BSD=12, RAW_OPENBSD=14)
def raw(buf: bytes, at: int, end: int, stop: int) -> Step:
    """An IP header, whose version says which. BSD systems wrote 12 and 14 before the registry had a number."""
    return (IPV6 if ip_version(buf, at, end) == IPV6 else IPV4), at, stop


@link_type(IPV4=228)
def raw_ipv4(_buf: bytes, at: int, _end: int, stop: int) -> Step:
    """An IPv4 header."""
    return IPV4, at, stop


@link_type(IPV6=229)
def raw_ipv6(_buf: bytes, at: int, _end: int, stop: int) -> Step:
    """An IPv6 header."""
    return IPV6, at, stop


@link_type(ETHERNET=1)
@ethertype(0x6558)
@ip_protocol(143)
def ethernet(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Two addresses and an EtherType, or a length and LLC (IEEE 802.3)."""
    if at + 14 > end:
        return END, at, stop
    return _type_or_length(buf, at + 12, stop)


def _type_or_length(buf: bytes, at: int, stop: int) -> Step:
    """The EtherType at `at`; a smaller number there is the length of the LLC frame that follows."""
    kind = buf[at] * 0x100 + buf[at + 1]
    if kind >= ETHERTYPES:
        return kind, at + 2, stop
    return LLC, at + 2, min(stop, at + 2 + kind)


@ethertype(VLAN, QINQ, 0x9100, 0x9200, 0x9300)
def tag(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A VLAN tag (IEEE 802.1Q): two octets, then a type or length again."""
    if at + 4 > end:
        return END, at, stop
    return _type_or_length(buf, at + 2, stop)


@ethertype(0x8926)
def vn_tag(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Cisco's VN-Tag: four octets, then a type or length again."""
    return _long_tag(buf, at, end, stop, 6)


@ethertype(0x893F, 0x8909)
def e_tag(buf: bytes, at: int, end: int, stop: int) -> Step:
    """An E-Tag (IEEE 802.1BR) or Cisco metadata: six octets, then a type or length again."""
    return _long_tag(buf, at, end, stop, 8)


def _long_tag(buf: bytes, at: int, end: int, stop: int, size: int) -> Step:
    if at + size > end:
        return END, at, stop
    return _type_or_length(buf, at + size - 2, stop)


@ethertype(0x88E7)
def backbone_tag(_buf: bytes, at: int, _end: int, stop: int) -> Step:
    """The I-TAG of IEEE 802.1ah, before a whole Ethernet frame."""
    return ETHERNET, at + 4, stop


@ethertype(0x8903)
def fabric_path(_buf: bytes, at: int, _end: int, stop: int) -> Step:
    """Cisco FabricPath's tag, before a whole Ethernet frame."""
    return ETHERNET, at + 2, stop


@ethertype(0x22F3)
def trill(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A TRILL header with its options (RFC 6325 section 3), before an Ethernet frame."""
    if at + 6 > end:
        return END, at, stop
    return ETHERNET, at + 6 + (u16(buf, at) // 64 & 31) * 4, stop


@ethertype(0x88E5)
def macsec(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A MACsec tag (IEEE 802.1AE) of a frame that is authenticated but not encrypted."""
    if at + 6 > end or buf[at] & 0x8C:
        return END, at, stop
    size = 14 if buf[at] & 0x20 else 6
    if at + size + 2 > end:
        return END, at, stop
    return _type_or_length(buf, at + size, stop - 16)


@link_type(ATM_RFC1483=100)
@ethertype(0x8870)
def llc(buf: bytes, at: int, end: int, stop: int) -> Step:
    """An LLC header (IEEE 802.2), with SNAP and its EtherType (RFC 1042), or of IP itself."""
    if at + 3 > end:
        return END, at, stop
    service = u16(buf, at)
    if service == LLC_IP:
        return IPV4, at + 3, stop
    if service != LLC_SNAP or at + 8 > end or buf[at + 3] | buf[at + 4]:
        return END, at, stop
    return u16(buf, at + 6), at + 8, stop


@link_type(FDDI=10)
def fddi(buf: bytes, at: int, end: int, stop: int) -> Step:
    """An FDDI header: frame control, two addresses, then LLC where the frame control says so."""
    if at + 13 > end or buf[at] & 0xF0 != 0x50:
        return END, at, stop
    return LLC, at + 13, stop


@link_type(TOKEN_RING=6)
def token_ring(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A token ring header, with a source route where the source address is marked, then LLC."""
    if at + 16 > end or buf[at + 1] & 0xC0 != 0x40:
        return END, at, stop
    route = buf[at + 14] & 31 if buf[at + 8] & 0x80 else 0
    return LLC, at + 14 + route, stop


@link_type(ARCNET_BSD=7)
def arcnet_bsd(buf: bytes, at: int, end: int, stop: int) -> Step:
    """BSD's ARCNET: two addresses, a type, and behind an exception flag the type once more (RFC 1201 section 2)."""
    if at + 7 > end:
        return END, at, stop
    return _arcnet(buf, at + 6 if buf[at + 3] == ARCNET_EXCEPTION and _is_split(buf, at + 2) else at + 2, end, stop)


@link_type(ARCNET_LINUX=129)
def arcnet_linux(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Linux' ARCNET: two addresses, an offset of two octets, a type."""
    return _arcnet(buf, at + 4, end, stop)


def _arcnet(buf: bytes, at: int, end: int, stop: int) -> Step:
    """The type of an ARCNET packet and what follows. A packet that was split has no whole datagram."""
    if at + 4 > end:
        return END, at, stop
    kind = buf[at] & 0xFF
    if kind == ARCNET_IPV4_OLD:
        return IPV4, at + 1, stop
    if kind not in (ARCNET_IPV4, ARCNET_IPV6) or buf[at + 1]:
        return END, at, stop
    return (IPV6 if kind == ARCNET_IPV6 else IPV4), at + 4, stop


def _is_split(buf: bytes, at: int) -> bool:
    """Whether packets of the ARCNET type at `at` have a split flag and a sequence number."""
    return buf[at] in (ARCNET_IPV4, ARCNET_IPV6)


@link_type(IPOIB=242)
def ip_over_infiniband(buf: bytes, at: int, end: int, stop: int) -> Step:
    """IP over InfiniBand: a global routing header of 40 octets, an EtherType, two reserved octets (RFC 4391 section 6)."""
    if at + 44 > end:
        return END, at + 4, stop  # behind `at` a whole IPv6 header is missing: the frame is cut off
    return u16(buf, at + 40), at + 44, stop


@link_type(JUNIPER_ETHER=178)
def juniper_ethernet(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Juniper's header, with extensions where it says so, before an Ethernet frame; without one, IP after four octets."""
    if at + 6 > end or u16(buf, at) * 0x100 + buf[at + 2] != JUNIPER_MAGIC:
        return END, at, stop
    size = 6 + u16(buf, at + 4) if buf[at + 3] & JUNIPER_EXTENSIONS else 4
    if buf[at + 3] & JUNIPER_NO_LINK_LAYER:
        return ip_version(buf, at + size + 4, end), at + size + 4, stop
    return ETHERNET, at + size, stop


@ethertype(MPLS, 0x8848)
@ip_protocol(137)
@udp_port(6635)
def mpls(buf: bytes, at: int, end: int, stop: int) -> Step:
    """One MPLS label (RFC 3032); after the last one, by the first octet, IP or Ethernet (RFC 4385)."""
    if at + 5 > end:
        return END, at, stop
    if not buf[at + 2] & 1:
        return MPLS, at + 4, stop
    at += 4
    following = ip_version(buf, at, end)
    if following != END:
        return following, at, stop
    if buf[at] >> 4 == 0 and not _carries_ip(buf, at, end):
        # A control word comes first. An Ethernet address may begin with zeros just as well.
        at += 4
    return (ETHERNET if _carries_ip(buf, at, end) else END), at, stop


def _carries_ip(buf: bytes, at: int, end: int) -> bool:
    """Whether an Ethernet frame with IP or a tag in it seems to start here."""
    if at + 14 > end:
        return False
    kind = u16(buf, at + 12)
    return kind in (IPV4, IPV6, VLAN, QINQ)


@ethertype(0x894F)
def nsh(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A network service header (RFC 8300 section 2.2)."""
    if at + 8 > end:
        return END, at, stop
    kind = buf[at + 3]
    following = END
    if kind == 1:
        following = IPV4
    elif kind == 2:
        following = IPV6
    elif kind == 3:
        following = ETHERNET
    elif kind == 5:
        following = MPLS
    return following, at + (buf[at + 1] & 63) * 4, stop


@link_type(PPP_ETHER=51)
@ethertype(0x8864)
def pppoe(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A PPPoE session header (RFC 2516 section 4)."""
    if at + 6 > end or buf[at] != 0x11 or buf[at + 1] != 0:
        return END, at, stop
    return PPP, at + 6, min(stop, at + 6 + u16(buf, at + 4))


@link_type(PPP=9, PPP_SERIAL=50)
@ethertype(0x880B)
def ppp(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A PPP header (RFC 1662), whose address, control and first protocol octet may have been left out."""
    if at + 2 <= end and buf[at] == 0xFF and buf[at + 1] == 3:
        at += 2
    if at + 2 > end:
        return END, at, stop
    if buf[at] & 1:
        kind = buf[at] & 0xFF
        at += 1
    else:
        kind = u16(buf, at)
        at += 2
    if kind == PPP_IPV4:
        return IPV4, at, stop
    if kind == PPP_IPV6:
        return IPV6, at, stop
    if kind & ~2 == PPP_MPLS:
        return MPLS, at, stop
    if kind == PPP_MULTILINK and at + 4 <= end and buf[at] & 0xC0 == 0xC0:
        # A packet that multilink has not cut into pieces (RFC 1990 section 3).
        return PPP, at + 4, stop
    return END, at, stop


@link_type(PPP_PPPD=166)
def pppd(_buf: bytes, at: int, _end: int, stop: int) -> Step:
    """PPP as pppd hands it over: two octets (a direction, then a control octet), then a PPP header.

    Example: 01 03 00 21 before IPv4.
    """
    return PPP, at + 2, stop


@link_type(CISCO_HDLC=104)
def cisco_hdlc(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Cisco's HDLC: address, control, EtherType; where the address is PPP's, PPP in HDLC-like framing."""
    if at + 4 > end:
        return END, at, stop
    if buf[at] == 0xFF:
        return PPP, at, stop
    return u16(buf, at + 2), at + 4, stop


@link_type(FRAME_RELAY=107)
def frame_relay(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A frame relay header with the multiprotocol encapsulation of RFC 2427, or Cisco's with an EtherType."""
    while at < end and not buf[at] & 1:
        at += 1
    at += 1
    if at + 2 > end:
        return END, at, stop
    if buf[at] != 3:
        return u16(buf, at), at + 2, stop
    at += 1 if buf[at + 1] else 2
    nlpid = buf[at] & 0xFF if at < end else 0
    if nlpid == NLPID_IPV4:
        return IPV4, at + 1, stop
    if nlpid == NLPID_IPV6:
        return IPV6, at + 1, stop
    if nlpid == NLPID_SNAP and at + 6 <= end:
        return u16(buf, at + 4), at + 6, stop
    return END, at, stop


def family(number: int) -> int:
    """The EtherType of an address family."""
    if number == FAMILY_IPV4:
        return IPV4
    return IPV6 if number in FAMILIES_IPV6 else END


@link_type(NULL=0, LOOP=108)
def loopback(buf: bytes, at: int, end: int, stop: int) -> Step:
    """BSD loopback: an address family in either byte order."""
    if at + 4 > end:
        return END, at, stop
    number = u32(buf, at)
    if number > 0xFFFF:
        number = le32(buf, at)
    return (number if number >= ETHERTYPES else family(number)), at + 4, stop


@link_type(ENC=109)
def enc(buf: bytes, at: int, end: int, stop: int) -> Step:
    """OpenBSD's enc device: a family in either byte order, an SPI and flags."""
    if at + 12 > end:
        return END, at, stop
    return family(buf[at] + buf[at + 3]), at + 12, stop


@link_type(PFLOG=117)
def pflog(buf: bytes, at: int, end: int, stop: int) -> Step:
    """OpenBSD's packet filter log: its own length, padded to a multiple of four, then the family."""
    if at + 4 > end:
        return END, at, stop
    return family(buf[at + 1]), at + (buf[at] + 3 & ~3), stop


@link_type(LINUX_SLL=113)
def linux_sll(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Linux cooked capture, version 1: what the pseudo-device `any` gave."""
    return _cooked(buf, at, end, stop, 2, 14, 16)


@link_type(LINUX_SLL2=276)
def linux_sll2(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Linux cooked capture, version 2: what the pseudo-device `any` gives."""
    return _cooked(buf, at, end, stop, 8, 0, 20)


def _cooked(buf: bytes, at: int, end: int, stop: int, hardware: int, kind: int, size: int) -> Step:
    """A Linux cooked header of `size` octets, with the ARPHRD number and the protocol at these offsets."""
    if at + size > end:
        return END, at, stop
    device = u16(buf, at + hardware)
    if device == ARPHRD_NETLINK:
        return END, at, stop
    if device == ARPHRD_RADIOTAP:
        return RADIOTAP, at + size, stop
    protocol = u16(buf, at + kind)
    if protocol == 4:
        return LLC, at + size, stop
    return (protocol if protocol >= ETHERTYPES else END), at + size, stop


@link_type(NFLOG=239)
def nflog(buf: bytes, at: int, end: int, stop: int) -> Step:
    """Linux netfilter log: attributes in the byte order of the capturing machine, one of them the packet."""
    if at + 8 > end:
        return END, at, stop
    following = family(buf[at])
    at += 4
    # Lengths are far below 256, types below 64: the order shows in the first type that is not zero.
    big = buf[at + 1] != 0 and buf[at] == 0 and buf[at + 2] == 0
    while at + 4 <= end:
        size = u16(buf, at) if big else le16(buf, at)
        kind = (u16(buf, at + 2) if big else le16(buf, at + 2)) & 0x7FFF
        if size < 4:
            break
        if kind == NFULA_PAYLOAD:
            return following, at + 4, min(stop, at + size)
        at += size + 3 & ~3
    return END, at, stop


@link_type(RADIOTAP=127)
def radiotap(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A radiotap header, which gives its own length, before an 802.11 frame."""
    if at + 8 > end:
        return END, at, stop
    return (IEEE802_11 if buf[at] == 0 else END), at + le16(buf, at + 2), stop


@link_type(PRISM=119, AVS=163)
def prism(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A Prism or AVS header (the same numbers are used for both) before an 802.11 frame."""
    if at + 8 > end:
        return END, at, stop
    if u32(buf, at) == AVS_MAGIC:
        return IEEE802_11, at + u32(buf, at + 4), stop
    size = le32(buf, at + 4)
    return IEEE802_11, at + (size if size < 0x10000 else u32(buf, at + 4)), stop


@link_type(PPI=192)
def ppi(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A per-packet information header, which names the link type that follows."""
    if at + 8 > end:
        return END, at, stop
    return LINK + (le32(buf, at + 4) & 0xFFFF), at + le16(buf, at + 2), stop


@link_type(IEEE802_11=105)
def ieee802_11(buf: bytes, at: int, end: int, stop: int) -> Step:
    """An 802.11 data frame in the clear and in one piece (IEEE 802.11 clause 9.3.2), then LLC."""
    if at + 24 > end:
        return END, at, stop
    control, flags = buf[at], buf[at + 1]
    whole = flags & 0x44 == 0 and buf[at + 22] & 15 == 0
    if control & 0x4C != 0x08 or not whole:
        return END, at, stop
    size = 30 if flags & 3 == 3 else 24
    if control & 0x80:
        if at + size + 2 > end:
            return END, at, stop
        aggregate = buf[at + size] & 0x80
        size += 6 if flags & 0x80 else 2
        if aggregate:
            return _first_of_aggregate(buf, at + size, end, stop)
    return LLC, at + size, stop


def _first_of_aggregate(buf: bytes, at: int, end: int, stop: int) -> Step:
    """The first frame of an A-MSDU: two addresses, a length, LLC."""
    if at + 14 > end:
        return END, at, stop
    return LLC, at + 14, min(stop, at + 14 + u16(buf, at + 12))
