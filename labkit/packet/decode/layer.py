"""What all layers share: the declaration of a layer, the numbers that name the next one, octets read as numbers.

A layer is a function `(buf, at, end, stop) -> (next, at, stop)` of integers:

    buf    octets, indexed from 0
    at     where the layer's header starts
    end    where the captured octets of the frame end; no function reads at or beyond it
    stop   where the layer ends on the wire, as the outer layers say: beyond `end` where the snapshot length cut the frame
    next   the next layer: a number of one of the registries below, or END or PIECE

A layer that fills fields of `Seen` (IP and its extension headers) takes it as a fifth argument.

To add a link type or a tunnel, write one function in `link`, `tunnel` or `ip` and declare the numbers that announce it:

    @link_type(LINUX_SLL=113)
    def linux_sll(buf: bytes, at: int, end: int, stop: int) -> Step: ...

    @udp_port(6081)
    def geneve(buf: bytes, at: int, end: int, stop: int) -> Step: ...

`walk` builds its tables from these declarations; there is no other place to change. The docstring of a link type may end with
an example, which the tests decode: the octets before an IPv4 packet, as in `Example: 08 00 before IPv4.`

The interpreter and the compiled engine run the same source, which therefore has no slices, no exceptions and no containers
but tuples of integers. `ones_sum` is the one exception; the compiled engine has its own. Octets are combined by
multiplication, not by shifts: a compiled octet is unsigned, a shift makes it an unsigned 64-bit number, and the sum of that
and a position is a float.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Step = tuple[int, int, int]
"""The next layer, where it starts, and where it ends on the wire."""
Function = TypeVar("Function", bound=Callable[..., Step])

# The registries of "next". EtherTypes (from 0x0600 up) stand for themselves.
IP_PROTOCOL = 0x1_0000
LINK = 0x2_0000
UDP_PORT = 0x3_0000

END = -1
"""Nothing follows that could lead to TCP."""
PIECE = -2
"""A fragment of an IP datagram: only the whole datagram shows what follows."""

MAX_DATAGRAM_OCTETS = 0xFFFF
"""Octets of an IP datagram."""

IPV4, IPV6, MPLS = 0x0800, 0x86DD, 0x8847
TCP = IP_PROTOCOL + 6
ETHERNET, PPP, LLC, IEEE802_11, RADIOTAP = LINK + 1, LINK + 9, LINK + 100, LINK + 105, LINK + 127


def _declare(function: Function, numbers: dict[int, str]) -> Function:
    announced: dict[int, str] = function.__dict__.setdefault("announced", {})
    announced |= numbers
    return function


def announced(function: Callable[..., Any]) -> dict[int, str]:
    """The numbers that announce a layer, each with its name (empty but for link types); empty for any other function."""
    found: dict[int, str] = getattr(function, "announced", {})
    return found


def link_type(**numbers: int) -> Callable[[Function], Function]:
    """Declare the link types that a layer reads, by their names in tcpdump.org's registry: `@link_type(ETHERNET=1)`."""
    return lambda function: _declare(function, {LINK + number: name for name, number in numbers.items()})


def ethertype(*numbers: int) -> Callable[[Function], Function]:
    """Declare the EtherTypes that announce a layer; GRE, Geneve and others use the same numbers."""
    return lambda function: _declare(function, dict.fromkeys(numbers, ""))


def ip_protocol(*numbers: int) -> Callable[[Function], Function]:
    """Declare the values of IP's protocol or next-header field that announce a layer."""
    return lambda function: _declare(function, {IP_PROTOCOL + number: "" for number in numbers})


def udp_port(*numbers: int) -> Callable[[Function], Function]:
    """Declare the UDP ports of a tunnel. A port is a guess: the layer ends the search where the payload is not its own."""
    return lambda function: _declare(function, {UDP_PORT + number: "" for number in numbers})


def ones_sum(buf: bytes, start: int, end: int) -> int:
    """The ones'-complement sum of the 16-bit words in buf[start:end], an odd last octet padded (RFC 1071).

    In [0, 65535): ones' complement has two zeros, 0x0000 and 0xFFFF, and this gives 0 for both, so that sums can be added
    modulo 65535 and compared.
    """
    total = int.from_bytes(buf[start:end])
    if (end - start) & 1:
        total <<= 8
    return total % 65535


def u16(buf: bytes, at: int) -> int:
    """Two octets in network byte order."""
    return buf[at] * 0x100 + buf[at + 1]


def u32(buf: bytes, at: int) -> int:
    """Four octets in network byte order."""
    return buf[at] * 0x1000000 + buf[at + 1] * 0x10000 + buf[at + 2] * 0x100 + buf[at + 3]


def le16(buf: bytes, at: int) -> int:
    """Two octets in little-endian order."""
    return buf[at + 1] * 0x100 + buf[at]


def le32(buf: bytes, at: int) -> int:
    """Four octets in little-endian order."""
    return buf[at + 3] * 0x1000000 + buf[at + 2] * 0x10000 + buf[at + 1] * 0x100 + buf[at]


def ip_version(buf: bytes, at: int, end: int) -> int:
    """The EtherType of the IP header that starts at `at`, by its version; END where it is not such a header."""
    if at < end:
        version = buf[at] >> 4
        if version == 4:
            return IPV4
        if version == 6:
            return IPV6
    return END
