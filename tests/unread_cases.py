"""Captures with frames that cannot be read, and what the verdict says of them: one table for both engines."""

from frames import CLIENT6, SERVER6, ether, ip4, ip6, n16, tcp, udp

from labkit.capture import Frame

SEGMENT = ether(ip4(tcp(b"data")))
SIX = ether(ip6(tcp(b"data", addresses=CLIENT6 + SERVER6)), 0x86DD)
PIECES = (
    ether(ip4(tcp(b"data")[:16], fragment=0x2000, ident=7)),
    ether(ip4(tcp(b"data")[16:], fragment=2, ident=7)),
)
"""The fragments of a segment."""
ARP = ether(bytes.fromhex("0001080006040001") + bytes(20), 0x0806)
DNS = ether(ip4(udp(b"question", 53), 17))
QUIC = ether(ip4(n16(40000) + n16(80) + n16(16) + bytes(2) + b"datagram", 17))
"""A UDP datagram between the ports of the TCP conversation."""
OTHER_UDP = ether(ip4(udp(b"question" * 4, 53)[:24], 17, fragment=0x2000, ident=9))
FOREIGN = ether(ip4(tcp(b"data"), 99))


def frames(*octets: bytes | tuple[int, bytes]) -> list[Frame]:
    """Frames of a capture; a pair has a link type of its own."""
    found = [each if isinstance(each, tuple) else (1, each) for each in octets]
    return [Frame(n, n * 1_000_000, link, data, len(data)) for n, (link, data) in enumerate(found, 1)]


def cut(octets: bytes, size: int) -> list[Frame]:
    return [Frame(1, 0, 1, octets[:size], len(octets)), *(each._replace(number=2) for each in frames(SEGMENT))]


CASES = {
    # name: (frames, (count, first packet, words) of each limit `not-read`, frames of other protocols)
    "ordinary": (frames(SEGMENT, ARP, DNS, QUIC, SIX), [], 3),
    "incomplete": (frames(SEGMENT, PIECES[0]), [(1, 2, "fragment of an incomplete")], 0),
    "the first fragment is missing": (frames(SEGMENT, PIECES[1]), [(1, 2, "fragment of an incomplete")], 0),
    "complete": (frames(SEGMENT, *PIECES), [], 0),
    "complete, in reverse": (frames(SEGMENT, *PIECES[::-1]), [], 0),
    "every fragment twice": (frames(PIECES[0], PIECES[0], PIECES[1], PIECES[1]), [], 1),
    "a fragment again with other octets": (
        frames(*PIECES, ether(ip4(tcp(b"else")[16:], fragment=2, ident=7))),
        [(1, 3, "fragment of an incomplete")],
        0,
    ),
    "a fragment of UDP": (frames(SEGMENT, OTHER_UDP), [], 1),
    "a fragment of another protocol": (
        frames(SEGMENT, ether(ip4(tcp(b"data")[:16], 99, fragment=0x2000))),
        [(1, 2, "IP protocol 99 where TCP (6) was expected")],
        0,
    ),
    "fragments of another protocol": (
        frames(
            SEGMENT,
            ether(ip4(tcp(b"data")[:16], 99, fragment=0x2000, ident=7)),
            ether(ip4(tcp(b"data")[16:], 99, fragment=2, ident=7)),
        ),
        [(1, 3, "IP protocol 99")],
        1,
    ),
    "malformed": (frames(SEGMENT, ether(b"\x55" + ip4(tcp())[1:])), [(1, 2, "malformed IP header")], 0),
    "cut": (cut(SEGMENT, 30), [(1, 1, "ends before its TCP header")], 0),
    "cut inside the TCP header": (cut(SEGMENT, 40), [(1, 1, "ends inside its TCP header")], 0),
    "wrong data offset": (
        frames(ether(ip4(tcp(doff=4))), SEGMENT),
        [(1, 1, "TCP header whose length does not fit")],
        0,
    ),
    "too deep": (
        frames(SEGMENT, ether(bytes.fromhex("00002040") * 40 + ip4(tcp()), 0x8847)),
        [(1, 2, "more than 32 layers")],
        0,
    ),
    "link types": (
        frames((1, SEGMENT), (65534, b"x" * 40), (189, b"y"), (65534, b"z"), (1, SEGMENT)),
        [(3, 2, "link type that labkit cannot read: 65534, 189 (USB_LINUX)")],
        0,
    ),
    "many link types": (
        frames(SEGMENT, *((number, b"x") for number in range(1000, 1100))),
        [(100, 2, "1000, 1001, 1002, 1003, 1004, …")],
        0,
    ),
    "another protocol before the conversation": (frames(FOREIGN, SEGMENT), [(1, 1, "IP protocol 99")], 0),
    "several other protocols": (
        frames(SEGMENT, FOREIGN, ether(ip4(tcp(), 253)), FOREIGN),
        [(3, 2, "IP protocol 99, 253")],
        0,
    ),
    "another protocol without a conversation": (frames(SIX, FOREIGN), [], 1),
    "UDP in place of TCP": (frames(SEGMENT, ether(ip4(tcp(), 17))), [(1, 2, "IP protocol 17")], 0),
    "UDP in place of TCP, other ports": (
        frames(SEGMENT, ether(ip4(n16(40001) + tcp()[2:], 17))),
        [],
        1,
    ),
    "IPv6": (
        frames(SIX, ether(ip6(tcp(addresses=CLIENT6 + SERVER6), 59), 0x86DD)),
        [(1, 2, "IP protocol 59")],
        0,
    ),
    "hidden": (frames(SEGMENT, ether(ip4(tcp()), 0x1234)), [(1, 2, "holds IP behind a layer")], 0),
    "hidden, of another conversation": (frames(SIX, ether(ip4(tcp()), 0x1234)), [], 1),
}
