"""The walk from a frame's first octet to its TCP header: what follows what, one line a layer.

To add an encapsulation, write its function beside its relatives and name it here, under the number that
announces it.
"""

from labkit.packet import linktype
from labkit.packet.decode import ip, link, tunnel
from labkit.packet.decode.layer import END, IP_PROTOCOL, IPV4, IPV6, LINK, PIECE, UDP_PORT, Step, ip_version
from labkit.packet.decode.layer import TCP as TCP_LAYER
from labkit.packet.decode.tcp import clear_tcp, read_tcp
from labkit.packet.seen import Seen

OTHER, TCP, FRAGMENT = 0, 1, 2
"""What `decode` found: no TCP; a segment; a fragment of an IP datagram, in which there may be one."""

DEPTH = 32
"""Layers that a frame may have, so that a hostile one (a thousand MPLS labels) costs little."""


def decode(buf: bytes, start: int, end: int, link_type: int, seg: Seen) -> int:
    """Find the TCP segment in the frame buf[start:end] and fill `seg` with it; OTHER, TCP or FRAGMENT.

    `seg.wirelen` is the frame's length on the wire and `link_type` its link type, as the capture gives them.
    The frame's own fields of `seg` are left alone; all others are set. For FRAGMENT the IP fields tell whose
    it is, for OTHER they are those of the last IP header, if there was any. A TCP header that an ICMP error
    quotes is no segment.
    """
    return _walk(buf, LINK + (link_type & 0xFFFF), start, end, max(end, start + seg.wirelen), seg)


def decode_datagram(buf: bytes, start: int, end: int, seg: Seen) -> int:
    """As `decode`, for an IP datagram without a link layer, all of it there: one that was reassembled."""
    return _walk(buf, ip_version(buf, start, end), start, end, end, seg)


def _walk(buf: bytes, layer: int, at: int, end: int, stop: int, seg: Seen) -> int:
    """Step from layer to layer until TCP, a fragment, or something else."""
    ip.clear_ip(seg)
    clear_tcp(seg)
    frame = stop
    for _ in range(DEPTH):
        outer = stop
        if layer < IP_PROTOCOL:
            layer, at, stop = _ethertype(layer, buf, at, end, stop, seg)
        elif layer < LINK:
            layer, at, stop = _ip_protocol(layer - IP_PROTOCOL, buf, at, end, stop, seg)
        elif layer < UDP_PORT:
            layer, at, stop = _link(layer - LINK, buf, at, end, stop)
        else:
            layer, at, stop = _udp_port(layer - UDP_PORT, buf, at, end, stop)
        if stop > outer != frame:
            # IP may say that the frame lost its tail; it may not say more than the layers around it.
            stop = outer
        end = min(end, stop)
        if layer == TCP_LAYER:
            if at + 4 > end:
                return OTHER
            read_tcp(buf, at, end, stop, seg)
            return TCP
        if layer < 0:
            return FRAGMENT if layer == PIECE else OTHER
    return OTHER


# The four tables. Flat on purpose: a line for each number, the frequent ones first.


def _ethertype(number: int, buf: bytes, at: int, end: int, stop: int, seg: Seen) -> Step:  # noqa: C901
    """The layers that an EtherType announces; GRE, Geneve and others use the same numbers."""
    match number:
        case 0x0800:
            return ip.ipv4(buf, at, end, stop, seg)
        case 0x86DD:
            return ip.ipv6(buf, at, end, stop, seg)
        case 0x8100 | 0x88A8 | 0x9100 | 0x9200 | 0x9300:
            return link.tag(buf, at, end, stop)
        case 0x8847 | 0x8848:
            return link.mpls(buf, at, end, stop)
        case 0x8864:
            return link.pppoe(buf, at, end, stop)
        case 0x880B:
            return link.ppp(buf, at, end, stop)
        case 0x6558:
            return link.ethernet(buf, at, end, stop)
        case 0x8870:
            return link.llc(buf, at, end, stop)
        case 0x88E7:
            return link.inner_ethernet(at, stop, 4)
        case 0x8903:
            return link.inner_ethernet(at, stop, 2)
        case 0x8926:
            return link.long_tag(buf, at, end, stop, 6)
        case 0x893F | 0x8909:
            return link.long_tag(buf, at, end, stop, 8)
        case 0x88E5:
            return link.macsec(buf, at, end, stop)
        case 0x22F3:
            return link.trill(buf, at, end, stop)
        case 0x894F:
            return link.nsh(buf, at, end, stop)
    return END, at, stop


def _ip_protocol(number: int, buf: bytes, at: int, end: int, stop: int, seg: Seen) -> Step:  # noqa: C901
    """The layers that the protocol or next-header field of IP announces. ICMP is not among them."""
    match number:
        case 17:
            return tunnel.udp(buf, at, end, stop)
        case 4:
            return ip.ipv4(buf, at, end, stop, seg)
        case 41:
            return ip.ipv6(buf, at, end, stop, seg)
        case 47:
            return tunnel.gre(buf, at, end, stop)
        case 0 | 60:
            return ip.options_header(buf, at, end, stop, seg)
        case 43:
            return ip.routing_header(buf, at, end, stop, seg)
        case 44:
            return ip.fragment_header(buf, at, end, stop)
        case 51:
            return ip.authentication_header(buf, at, end, stop)
        case 135 | 139 | 140:
            return ip.extension_header(buf, at, end, stop)
        case 97:
            return tunnel.etherip(buf, at, end, stop)
        case 137:
            return link.mpls(buf, at, end, stop)
        case 143:
            return link.ethernet(buf, at, end, stop)
    return END, at, stop


def _link(number: int, buf: bytes, at: int, end: int, stop: int) -> Step:  # noqa: C901
    """The layers that a capture's link type announces."""
    match number:
        case linktype.ETHERNET:
            return link.ethernet(buf, at, end, stop)
        case linktype.RAW | linktype.RAW_BSD | linktype.RAW_OPENBSD:
            return ip_version(buf, at, end), at, stop
        case linktype.IPV4:
            return IPV4, at, stop
        case linktype.IPV6:
            return IPV6, at, stop
        case linktype.NULL | linktype.LOOP:
            return link.loopback(buf, at, end, stop)
        case linktype.LINUX_SLL:
            return link.cooked(buf, at, end, stop, 2, 14, 16)
        case linktype.LINUX_SLL2:
            return link.cooked(buf, at, end, stop, 8, 0, 20)
        case linktype.PPP | linktype.PPP_SERIAL:
            return link.ppp(buf, at, end, stop)
        case linktype.PPP_ETHER:
            return link.pppoe(buf, at, end, stop)
        case linktype.PPP_PPPD:
            return linktype.PPP + LINK, at + 2, stop
        case linktype.ATM_RFC1483:
            return link.llc(buf, at, end, stop)
        case linktype.IEEE802_11:
            return link.ieee802_11(buf, at, end, stop)
        case linktype.RADIOTAP:
            return link.radiotap(buf, at, end, stop)
        case linktype.PRISM | linktype.AVS:
            return link.prism(buf, at, end, stop)
        case linktype.PPI:
            return link.ppi(buf, at, end, stop)
        case linktype.NFLOG:
            return link.nflog(buf, at, end, stop)
        case linktype.FDDI:
            return link.fddi(buf, at, end, stop)
        case linktype.TOKEN_RING:
            return link.token_ring(buf, at, end, stop)
        case linktype.CISCO_HDLC:
            return link.cisco_hdlc(buf, at, end, stop)
        case linktype.FRAME_RELAY:
            return link.frame_relay(buf, at, end, stop)
        case linktype.ENC:
            return link.enc(buf, at, end, stop)
        case linktype.PFLOG:
            return link.pflog(buf, at, end, stop)
    return END, at, stop


def _udp_port(number: int, buf: bytes, at: int, end: int, stop: int) -> Step:
    """The layers that a UDP port announces; `tunnel.PORTS` lists the same ports."""
    match number:
        case 4789 | 8472 | 4790:
            return tunnel.vxlan(buf, at, end, stop)
        case 6081:
            return tunnel.geneve(buf, at, end, stop)
        case 2152 | 3386:
            return tunnel.gtp(buf, at, end, stop)
        case 3544:
            return tunnel.teredo(buf, at, end, stop)
        case 4754:
            return tunnel.gre(buf, at, end, stop)
        case 1701:
            return tunnel.l2tp(buf, at, end, stop)
        case 5072:
            return tunnel.ayiya(buf, at, end, stop)
        case 6635:
            return link.mpls(buf, at, end, stop)
        case 37008:
            return tunnel.tzsp(buf, at, end, stop)
    return END, at, stop
