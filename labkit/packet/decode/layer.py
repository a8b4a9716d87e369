"""What all layers share: how a layer names the next one, and how octets become numbers.

A layer is a function `(buf, at, end, stop) -> (next, at, stop)` of integers:

    buf    octets, indexed from 0
    at     where the layer's header starts
    end    where the captured octets of the frame end: nothing at or beyond it may be read
    stop   where the layer ends on the wire, as far as the layers before it say: beyond `end` where the
           frame was cut by the snapshot length
    next   what the next layer is: a number from one of the registries below, or END or PIECE

Layers that matter to TCP itself (IP and its extension headers) take the `Seen` to be filled as a last
argument.

Compiled and interpreted, the source is the same: no slices, no exceptions, no containers but tuples of
integers. `ones_sum` is the one exception; the compiled engine has its own. Octets are put together by
multiplication, not by shifts: a compiled octet is unsigned, shifted it becomes an unsigned 64-bit number, and
that plus a position is a float.
"""

Step = tuple[int, int, int]
"""The next layer, where it starts, and where it ends on the wire."""

# The registries of "next". EtherTypes (from 0x0600 up) stand for themselves.
IP_PROTOCOL = 0x1_0000
LINK = 0x2_0000
UDP_PORT = 0x3_0000

END = -1
"""Nothing follows that could lead to TCP."""
PIECE = -2
"""A fragment of an IP datagram: what follows can only be told once the datagram is whole."""

IPV4 = 0x0800
IPV6 = 0x86DD
ETHERNET = LINK + 1
TCP = IP_PROTOCOL + 6


def ones_sum(buf: bytes, start: int, end: int) -> int:
    """The ones'-complement sum of the 16-bit words in buf[start:end], an odd last octet padded (RFC 1071).

    In [0, 65535): ones' complement has two zeros, 0x0000 and 0xFFFF, and this gives 0 for both, so that sums
    can be added modulo 65535 and compared.
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
    """The EtherType of the IP header that starts at `at`, by its version; END where it is no such header."""
    if at < end:
        version = buf[at] >> 4
        if version == 4:
            return IPV4
        if version == 6:
            return IPV6
    return END
