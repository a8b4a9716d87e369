"""The walk from a frame's first octet to its TCP header, layer by layer.

The tables are built from the declarations beside the layers' functions; `layer` explains how to add one.
"""

from collections.abc import Callable

from labkit.packet.decode import ip, link, tunnel
from labkit.packet.decode.layer import END, LINK, PIECE, UDP_PORT, Step, announced, ip_protocol, ip_version, u16
from labkit.packet.decode.layer import TCP as TCP_LAYER
from labkit.packet.decode.tcp import clear_tcp, read_tcp
from labkit.packet.seen import Seen

OTHER, TCP, FRAGMENT = 0, 1, 2
"""What `decode` found: no TCP; a segment; a fragment of an IP datagram that may hold one."""

MAX_LAYERS = 32
"""Layers of a frame, so that a hostile one (a thousand MPLS labels) costs little."""


def decode(buf: bytes, start: int, end: int, link_type: int, seg: Seen) -> int:
    """Find the TCP segment in the frame buf[start:end] and fill `seg` with it; OTHER, TCP or FRAGMENT.

    `seg.wirelen` is the frame's length on the wire and `link_type` its link type, as the capture gives them. The frame's
    own fields of `seg` are left alone; all others are set. For FRAGMENT the IP fields are those of the fragment, for OTHER
    those of the last IP header, if there was any. A TCP header that an ICMP error quotes is no segment.
    """
    return _walk(buf, LINK + (link_type & 0xFFFF), start, end, max(end, start + seg.wirelen), seg)


def decode_datagram(buf: bytes, start: int, end: int, seg: Seen) -> int:
    """Decode a complete IP datagram without a link layer, as `decode` does a frame: one that was reassembled."""
    return _walk(buf, ip_version(buf, start, end), start, end, end, seg)


def _walk(buf: bytes, layer: int, at: int, end: int, stop: int, seg: Seen) -> int:
    """Step from layer to layer until TCP, a fragment, or something else."""
    ip.clear_ip(seg)
    clear_tcp(seg)
    frame = stop
    for _ in range(MAX_LAYERS):
        outer = stop
        if layer in IP_LAYERS:
            layer, at, stop = IP_LAYERS[layer](buf, at, end, stop, seg)
        elif layer in LAYERS:
            layer, at, stop = LAYERS[layer](buf, at, end, stop)
        else:
            return OTHER
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
