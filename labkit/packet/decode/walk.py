"""The walk from a frame's first octet to its TCP header, layer by layer.

The tables are built from the declarations beside the layers' functions; `layer` explains how to add one.
"""

from collections.abc import Callable

from labkit.packet.decode import ip, link, tunnel
from labkit.packet.decode.layer import (
    END,
    ETHERNET,
    IP_PROTOCOL,
    LINK,
    PIECE,
    UDP_PORT,
    Step,
    announced,
    ip_protocol,
    ip_version,
    ones_sum,
    u16,
)
from labkit.packet.decode.layer import TCP as TCP_LAYER
from labkit.packet.decode.outcome import (
    CUT_OFF,
    FOREIGN,
    FRAGMENT,
    HIDDEN,
    LINK_TYPE,
    MALFORMED,
    MAX_LAYERS,
    MAY_STAND_BESIDE_TCP,
    OTHER,
    TCP,
    TOO_DEEP,
)
from labkit.packet.decode.tcp import clear_tcp, read_tcp
from labkit.packet.seen import Seen

IPV6_HEADER, ETHERNET_HEADER = 40, 14

UDP = IP_PROTOCOL + 17
EXTENSION_HEADERS = tuple(IP_PROTOCOL + number for number in (44, 51, 135, 139, 140))
"""The extension headers of IPv6 that are not in IP_LAYERS."""

HIDDEN_WITHIN = 64
"""Octets after the start of a frame, or of a datagram's payload, in which an IP header is looked for behind unknown layers."""


def decode(buf: bytes, start: int, end: int, link_type: int, seg: Seen) -> int:
    """Fill `seg` with the TCP segment in the frame buf[start:end]; TCP, FRAGMENT, OTHER, or why the frame is not read.

    `seg.wirelen` is the frame's length on the wire and `link_type` its link type, as the capture gives them. The frame's
    own fields of `seg` are left alone; all others are set. For FRAGMENT the IP fields are those of the fragment, for OTHER
    those of the last IP header, if there was any. A TCP header that an ICMP error quotes is not a segment.
    """
    return _walk(buf, LINK + (link_type & 0xFFFF), start, end, max(end, start + seg.wirelen), seg)


def decode_datagram(buf: bytes, start: int, end: int, seg: Seen) -> int:
    """Decode a complete IP datagram without a link layer, as `decode` does a frame: one that was reassembled."""
    return _walk(buf, ip_version(buf, start, end), start, end, end, seg)


def _walk(buf: bytes, layer: int, at: int, end: int, stop: int, seg: Seen) -> int:
    """Step from layer to layer until TCP, a fragment, or something else."""
    ip.clear_ip(seg)
    clear_tcp(seg)
    octets, frame, first = end, stop, at
    protocol = 0
    upper = at
    for _ in range(MAX_LAYERS):
        outer = stop
        last = layer
        if layer in IP_LAYERS:
            layer, at, stop = IP_LAYERS[layer](buf, at, end, stop, seg)
        elif layer in LAYERS:
            layer, at, stop = LAYERS[layer](buf, at, end, stop)
        else:
            return _unknown(buf, layer, first, octets, frame, end, protocol, upper, seg)
        if stop > outer != frame:
            # IP may say that the frame lost its tail; it may not say more than the layers around it.
            stop = outer
        end = min(end, stop)
        if layer == TCP_LAYER:
            if at + 4 > end:
                return CUT_OFF if end < stop else MALFORMED
            read_tcp(buf, at, end, stop, seg)
            return TCP
        if layer < 0:
            status = FRAGMENT if layer == PIECE else _ended(last, at, end, stop, seg)
            return status if status != OTHER else _unknown(buf, last, first, octets, frame, end, protocol, upper, seg)
        if IP_PROTOCOL <= layer < LINK:
            protocol = layer - IP_PROTOCOL
            upper = at
    return TOO_DEEP


def _unknown(
    buf: bytes, layer: int, first: int, octets: int, frame: int, end: int, protocol: int, upper: int, seg: Seen
) -> int:
    """What a frame holds in which a layer is unknown, or leads nowhere.

    The frame starts at `first`; `octets` and `frame` are its end in the capture and on the wire, `end` that of the layer. The
    payload of the last IP header, with this protocol, starts at `upper`.
    """
    known = layer in LAYERS
    if not known and LINK <= layer < UDP_PORT:
        seg.unread = layer - LINK
        return LINK_TYPE
    carries = (known and layer != UDP) or layer < IP_PROTOCOL
    if carries and _finds_ip(buf, upper if seg.version else first, octets, frame, seg):
        return HIDDEN
    return _other_protocol(buf, end, protocol, upper, seg)


def _ended(layer: int, at: int, end: int, stop: int, seg: Seen) -> int:
    """MALFORMED or CUT_OFF for a layer, with a header at `at`, that leads nowhere because of its header; OTHER if it may carry
    something else than IP or TCP."""
    cut = end < stop and at + IPV6_HEADER > end
    if layer in IP_LAYERS or layer in EXTENSION_HEADERS:
        return CUT_OFF if cut else MALFORMED
    if seg.version == 0 and layer == ETHERNET and at + ETHERNET_HEADER > end:
        return CUT_OFF
    return CUT_OFF if cut and layer != UDP else OTHER


def _other_protocol(buf: bytes, end: int, protocol: int, upper: int, seg: Seen) -> int:
    """FOREIGN if the payload at `upper` of another IP protocol than TCP may be a segment; OTHER if it is what it should be."""
    seg.unread = protocol
    if seg.version == 0:
        return OTHER
    if protocol not in MAY_STAND_BESIDE_TCP:
        return FOREIGN
    if upper + 4 > end:
        return OTHER
    length = seg.ip_at + seg.ip_len - upper if seg.ip_len else end - upper
    whole = upper + length <= end
    if protocol == 17 and upper + 6 <= end and u16(buf, upper + 4) == length:
        return OTHER
    if protocol == 1 or protocol == 58:
        total = ones_sum(buf, upper, upper + length) if whole and length > 0 else 0
        if protocol == 58:
            size = 2 * seg.addr_len
            total = (total + 58 + length + ones_sum(buf, seg.ip_at + 8, seg.ip_at + 8 + size)) % 65535
        if total == 0 if whole else buf[upper + 1] < 16:
            return OTHER
    seg.sport = u16(buf, upper)
    seg.dport = u16(buf, upper + 2)
    return FOREIGN


def _finds_ip(buf: bytes, first: int, end: int, stop: int, seg: Seen) -> bool:
    """Whether an IP header with TCP in it seems to start soon after `first`; its addresses are put into `seg`."""
    for at in range(first, min(first + HIDDEN_WITHIN, end - 19)):
        version = buf[at] >> 4
        if version == 4 and buf[at] & 15 >= 5 and buf[at + 9] == 6 and 40 <= u16(buf, at + 2) <= stop - at:
            seg.src_at = at + 12
            seg.dst_at = at + 16
            seg.addr_len = 4
            return True
        if version == 6 and buf[at + 6] == 6 and at + 40 <= end and 20 <= u16(buf, at + 4) <= stop - at - 40:
            seg.src_at = at + 8
            seg.dst_at = at + 24
            seg.addr_len = 16
            return True
    return False


@ip_protocol(17)
def udp(buf: bytes, at: int, end: int, stop: int) -> Step:
    """A UDP header (RFC 768); the next layer is the destination port's, or else the source port's."""
    if at + 8 > end:
        return END, at, stop
    length = u16(buf, at + 4)
    if length >= 8:
        stop = min(stop, at + length)
    following = UDP_PORT + u16(buf, at + 2)
    if following not in LAYERS:
        following = UDP_PORT + u16(buf, at)
    return following, at + 8, stop


def _declared() -> dict[int, tuple[Callable[..., Step], str]]:
    """Each declared number with its layer's function and its name. ValueError where two functions declare one number."""
    found: dict[int, tuple[Callable[..., Step], str]] = {}
    functions = [each for module in (ip, link, tunnel) for each in vars(module).values()]
    for function in (udp, *functions):
        for number, name in announced(function).items():
            if number in found:
                raise ValueError(f"layer 0x{number:x} is declared twice")
            found[number] = function, name
    return found


def _takes_seen(function: Callable[..., Step]) -> bool:
    return function.__code__.co_argcount == 5


def may_hold_tcp(protocol: int) -> bool:
    """Whether a datagram with this IP protocol is TCP, or leads to it: for a fragment, which does not show more."""
    number = IP_PROTOCOL + protocol
    return number == TCP_LAYER or (number != UDP and (number in IP_LAYERS or number in LAYERS))


_DECLARED = _declared()
IP_LAYERS: dict[int, Callable[[bytes, int, int, int, Seen], Step]] = {
    number: function for number, (function, _) in _DECLARED.items() if _takes_seen(function)
}
"""The layers that fill the IP fields of `Seen`, by the numbers that announce them."""
LAYERS: dict[int, Callable[[bytes, int, int, int], Step]] = {
    number: function for number, (function, _) in _DECLARED.items() if not _takes_seen(function)
}
"""All other layers."""
LINK_TYPES = {number - LINK: name for number, (_, name) in _DECLARED.items() if LINK <= number < UDP_PORT}
"""The names of the link types that labkit reads."""
