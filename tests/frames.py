"""Frames octet by octet, and what `decode` makes of them. Written apart from labkit, checksums included."""

from labkit.packet.decode.walk import decode
from labkit.packet.seen import Seen

CLIENT4, SERVER4 = bytes((192, 0, 2, 10)), bytes((192, 0, 2, 20))
CLIENT6 = bytes.fromhex("20010db8000000000000000000000010")
SERVER6 = bytes.fromhex("20010db8000000000000000000000020")


def n16(value):
    return value.to_bytes(2)


def checksum(octets):
    """RFC 1071, as its section 4.1 has it."""
    total = 0
    for at in range(0, len(octets) - 1, 2):
        total += octets[at] << 8 | octets[at + 1]
    if len(octets) % 2:
        total += octets[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(
    payload=b"",
    options=b"",
    *,
    seq=1000,
    ack=2000,
    ctl=0x18,
    addresses=CLIENT4 + SERVER4,
    sum_=None,
    doff=None,
):
    """A segment from port 40000 to 80; `options` are padded."""
    options += bytes(-len(options) % 4)
    offset = 5 + len(options) // 4 if doff is None else doff
    head = n16(40000) + n16(80) + seq.to_bytes(4) + ack.to_bytes(4) + bytes((offset << 4 | ctl >> 8, ctl & 255))
    segment = head + n16(500) + bytes(2) + n16(0) + options + payload
    if sum_ is None:
        sum_ = checksum(addresses + n16(6) + len(segment).to_bytes(4) + segment)
    return segment[:16] + n16(sum_) + segment[18:]


def ip4(body, protocol=6, *, options=b"", ident=1, fragment=0, length=None, sum_=None):
    """An IPv4 datagram from the client to the server."""
    size = 20 + len(options)
    total = size + len(body) if length is None else length
    head = bytes((0x40 | size // 4, 1)) + n16(total) + n16(ident) + n16(fragment) + bytes((64, protocol))
    head += bytes(2) + CLIENT4 + SERVER4 + options
    return head[:10] + n16(checksum(head) if sum_ is None else sum_) + head[12:] + body


def ip6(body, protocol=6, *, length=None):
    """An IPv6 datagram from the client to the server."""
    size = len(body) if length is None else length
    return bytes((0x60, 0x20, 0, 0)) + n16(size) + bytes((protocol, 64)) + CLIENT6 + SERVER6 + body


def udp(body, port, source=50000):
    """A UDP datagram without a checksum."""
    return n16(source) + n16(port) + n16(8 + len(body)) + bytes(2) + body


def ether(body, kind=0x0800):
    """An Ethernet frame, without padding."""
    return bytes.fromhex("001b21000002001b21000001") + n16(kind) + body


def seen(frame, link=1, wirelen=None):
    """What `decode` finds in a frame, and what it fills."""
    seg = Seen(wirelen=len(frame) if wirelen is None else wirelen)
    return decode(frame, 0, len(frame), link, seg), seg


SEGMENTS = ether(ip4(tcp(b"data"))), ether(ip4(tcp())), ether(ip6(tcp(addresses=CLIENT6 + SERVER6)), 0x86DD)
"""Frames that hold a segment."""
OTHERS = ether(b"nothing", 0x0806), ether(ip4(udp(b"data", 53), 17))
"""Frames that hold none."""
