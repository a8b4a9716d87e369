"""Variants of each encapsulation: each optional field of a header by itself, and the bits that end the walk.

`test_decode_layers` has one frame for each encapsulation, and tshark confirms it. Here one bit or field changes at a time.
"""

import pytest
from frames import CLIENT6, SERVER6, ether, ip4, ip6, n16, seen, tcp, udp

from labkit.packet.decode.outcome import FRAGMENT, TCP
from labkit.packet.seen import SUM_BAD, SUM_GOOD, SUM_PARTIAL, SUM_UNKNOWN, SUM_ZERO

SIX = CLIENT6 + SERVER6
FOUR, SIXTH = ip4(tcp(b"data")), ip6(tcp(b"data", addresses=SIX))
FRAME = ether(FOUR)
LLC = bytes.fromhex("aaaa03000000") + n16(0x0800) + FOUR
ADDRESSES = bytes.fromhex("020000000001 020000000002 020000000003")


def macsec(control, sci=b"", check=bytes(16)):
    return ether(bytes((control, 0)) + bytes(4) + sci + n16(0x0800) + FOUR + check, 0x88E5)


def ring(kind, source, route=b""):
    return bytes((0x10, kind)) + bytes.fromhex("020000000002") + source + route + LLC


def nsh(control, kind, head, body):
    return ether(n16(control) + bytes((1, kind)) + bytes(4) + head + body, 0x894F)


def wifi(control, flags, tail=b"", fragment=0, body=LLC):
    return bytes((control, flags, 0, 0)) + ADDRESSES + n16(fragment) + tail + body


def gre(flags, fields=b"", kind=0x0800):
    return ether(ip4(n16(flags) + n16(kind) + fields + FOUR, 47))


def geneve(first, options=b""):
    return ether(ip4(udp(bytes((first, 0)) + n16(0x0800) + bytes(4) + options + FOUR, 6081), 17))


def nflog(order, length=8, pad=b""):
    def n(value):
        return value.to_bytes(2, order)

    return bytes(2) + n16(0) + n(length) + n(10) + bytes(length - 4) + pad + n(4 + len(FOUR)) + n(9) + FOUR


def routing(kind, left, octets, addresses=SIX):
    size = len(octets) // 8
    return ether(ip6(bytes((6, size, kind, left)) + bytes(4) + octets + tcp(b"data", addresses=addresses), 43), 0x86DD)


LAST = bytes.fromhex("20010db80000000000000000000000aa")

FOUND = [
    ("macsec", 1, macsec(0)),
    ("macsec with SCI", 1, macsec(0x20, bytes(8))),
    ("macsec, other bits", 1, macsec(0x53)),
    ("fddi, priority", 10, b"\x5f" + FRAME[:12] + LLC),
    ("token ring", 6, ring(0x40, bytes.fromhex("020000000001"))),
    ("token ring, priority", 6, ring(0x47, bytes.fromhex("020000000001"))),
    ("token ring, source route of two octets", 6, ring(0x40, bytes.fromhex("820000000001"), b"\x02\x00")),
    ("token ring, source route, direction", 6, ring(0x40, bytes.fromhex("820000000001"), b"\xe4\xff\x00\x12")),
    ("nsh, IPv4, no context", 1, nsh(2, 1, b"", FOUR)),
    ("nsh, IPv6", 1, nsh(2, 2, b"", SIXTH)),
    ("nsh, Ethernet", 1, nsh(3, 3, bytes(4), FRAME)),
    ("nsh, MPLS", 1, nsh(2, 5, b"", bytes.fromhex("00002140") + FOUR)),
    ("nsh, TTL beside the length", 1, nsh(0xFFC2, 1, b"", FOUR)),
    ("hdlc", 104, bytes.fromhex("8f00") + n16(0x0800) + FOUR),
    ("hdlc with PPP", 104, bytes.fromhex("ff030021") + FOUR),
    ("frame relay, one octet more of padding", 107, bytes.fromhex("18410300cc") + FOUR),
    ("frame relay, an address of four octets", 107, bytes.fromhex("1840404103cc") + FOUR),
    ("frame relay, IPv6", 107, bytes.fromhex("1841038e") + SIXTH),
    ("frame relay, Cisco", 107, bytes.fromhex("1841") + n16(0x0800) + FOUR),
    ("enc, little endian", 109, bytes.fromhex("02000000") + bytes(8) + FOUR),
    ("enc, big endian", 109, bytes.fromhex("00000002") + bytes(8) + FOUR),
    ("enc, IPv6 big endian", 109, bytes.fromhex("00000018") + bytes(8) + SIXTH),
    ("802.11, from an access point", 105, wifi(0x08, 0x02)),
    ("802.11, to an access point", 105, wifi(0x08, 0x01)),
    ("802.11, retry, power and more data", 105, wifi(0x08, 0x38)),
    ("802.11, sequence number", 105, wifi(0x08, 0, fragment=0xF0FF)),
    ("802.11, QoS", 105, wifi(0x88, 0, bytes(2))),
    ("802.11, QoS with HT control", 105, wifi(0x88, 0x80, bytes(6))),
    ("802.11, order without QoS", 105, wifi(0x08, 0x80)),
    ("802.11, QoS between access points", 105, wifi(0x88, 0x03, bytes(6) + bytes(2))),
    ("802.11, CF-ack beside data", 105, wifi(0x18, 0)),
    ("gre", 1, gre(0)),
    ("gre with a checksum", 1, gre(0x8000, bytes(4))),
    ("gre with a key", 1, gre(0x2000, bytes(4))),
    ("gre with a sequence number", 1, gre(0x1000, bytes(4))),
    ("gre, acknowledgement bit of version 0", 1, gre(0x80)),
    ("gre, reserved bits", 1, gre(0x0F78)),
    ("geneve", 1, geneve(0)),
    ("geneve with one word", 1, geneve(1, bytes(4))),
    ("geneve with 63 words", 1, geneve(63, bytes(252))),
    ("routing header without hops", 1, routing(9, 0, b"")),
    ("routing header 3", 1, routing(3, 1, LAST, CLIENT6 + LAST)),
]

NOT_FOUND = [
    ("macsec, encrypted", 1, macsec(0x08)),
    ("macsec, changed text", 1, macsec(0x04)),
    ("macsec, another version", 1, macsec(0x80)),
    ("macsec, SCI announced and missing", 1, macsec(0x20)),
    ("fddi, another frame control", 10, b"\x40" + FRAME[:12] + LLC),
    ("fddi, long addresses of management", 10, b"\xd0" + FRAME[:12] + LLC),
    ("token ring, another frame type", 6, ring(0x00, bytes.fromhex("020000000001"))),
    ("token ring, reserved frame type", 6, ring(0x80, bytes.fromhex("020000000001"))),
    ("nsh, another protocol", 1, nsh(2, 4, b"", FOUR)),
    ("nsh, no protocol", 1, nsh(2, 0, b"", FOUR)),
    ("frame relay, another NLPID", 107, bytes.fromhex("184103cd") + FOUR),
    ("enc, another family", 109, bytes.fromhex("03000000") + bytes(8) + FOUR),
    ("802.11, protected", 105, wifi(0x08, 0x40)),
    ("802.11, more fragments", 105, wifi(0x08, 0x04)),
    ("802.11, a later fragment", 105, wifi(0x08, 0, fragment=0x0100)),
    ("802.11, a management frame", 105, wifi(0x00, 0)),
    ("802.11, no data", 105, wifi(0x48, 0)),
    ("gre, version 2", 1, gre(2)),
    ("gre with routing", 1, gre(0x4000)),
    ("geneve, version 1", 1, geneve(0x40)),
    ("geneve, version 2", 1, geneve(0x80)),
    ("routing header of an unknown type", 1, routing(9, 1, LAST)),
    ("routing header 1", 1, routing(1, 1, LAST)),
    ("routing header without an address", 1, routing(0, 1, bytes(8))),
]


@pytest.mark.parametrize(("link", "frame"), [pytest.param(link, frame, id=name) for name, link, frame in FOUND])
def test_the_segment_is_found(link, frame):
    found, seg = seen(frame, link)
    assert (found, seg.sport, seg.dport, seg.seq, seg.ack) == (TCP, 40000, 80, 1000, 2000)
    assert (seg.fault, seg.sum_state, seg.len) == (0, SUM_GOOD, 4)


@pytest.mark.parametrize(("link", "frame"), [pytest.param(link, frame, id=name) for name, link, frame in NOT_FOUND])
def test_there_is_no_segment(link, frame):
    assert seen(frame, link)[0] not in (TCP, FRAGMENT)


@pytest.mark.parametrize("length", [8, 9, 12])
@pytest.mark.parametrize("order", ["little", "big"])
def test_attributes_of_nflog_are_aligned(order, length):
    pad = bytes(-length % 4)
    frame = bytes((2, 0, 0, 0)) + nflog(order, length, pad)[4:]
    found, seg = seen(frame, 239)
    assert (found, seg.seq, seg.len) == (TCP, 1000, 4)


def test_a_frame_of_an_aggregate_ends_where_its_length_says():
    head = wifi(0x88, 0, b"\x80\x00", body=b"")
    whole = head + FRAME[:12] + n16(len(LLC)) + LLC
    assert seen(whole + b"another frame", 105)[1].len == 4
    assert seen(head + FRAME[:12] + n16(len(LLC) - 1) + LLC, 105)[1].fault != 0


@pytest.mark.parametrize(
    ("offset", "found"), [(0, TCP), (0x4000, TCP), (0x8000, TCP), (0x2000, FRAGMENT), (1, FRAGMENT), (0x1FFF, FRAGMENT)]
)
def test_only_more_fragments_and_an_offset_make_a_fragment(offset, found):
    assert seen(ether(ip4(tcp(b"data"), fragment=offset)))[0] == found


@pytest.mark.parametrize(("offset", "found"), [(0, TCP), (6, TCP), (1, FRAGMENT), (8, FRAGMENT), (0xFFF8, FRAGMENT)])
def test_the_same_of_ipv6(offset, found):
    head = bytes((6, 0)) + n16(offset) + bytes(4)
    assert seen(ether(ip6(head + tcp(b"data", addresses=SIX), 44), 0x86DD))[0] == found


HEADER = sum(int.from_bytes(ip4(tcp())[at : at + 2]) for at in range(0, 20, 2) if at != 10)
"""The sum of an IPv4 header without its checksum."""


@pytest.mark.parametrize(("sum_", "state"), [(None, SUM_GOOD), (0, SUM_ZERO), (1, SUM_BAD), (0xFFFF, SUM_BAD)], ids=str)
def test_header_checksums(sum_, state):
    seg = seen(ether(ip4(tcp(), sum_=sum_)))[1]
    assert seg.ip_sum_state == state
    right = -HEADER % 65535
    assert seg.ip_sum_want % 65535 == right


def test_a_header_that_was_cut_has_no_checksum_to_judge():
    frame = ether(ip4(tcp(), options=bytes(8)))
    for end in range(len(frame)):
        seg = seen(frame[:end], 1, len(frame))[1]
        if end < 14 + 28:
            assert (seg.ip_sum_state, seg.ip_sum_want) == (SUM_UNKNOWN, 0), end
        else:
            assert seg.ip_sum_state == SUM_GOOD, end


PSEUDO = sum(int.from_bytes(FOUR[at : at + 2]) for at in range(12, 20, 2)) + 6


def folded(total):
    return (total - 1) % 65535 + 1


@pytest.mark.parametrize(
    ("sum_", "state"),
    [
        (None, SUM_GOOD),
        (folded(PSEUDO + 24), SUM_PARTIAL),
        (folded(PSEUDO), SUM_PARTIAL),
        (folded(PSEUDO + 24) ^ 0xFFFF, SUM_BAD),
        (folded(PSEUDO + 23), SUM_BAD),
        (folded(PSEUDO + 25), SUM_BAD),
        (folded(PSEUDO + 1), SUM_BAD),
    ],
    ids=str,
)
def test_segment_checksums(sum_, state):
    seg = seen(ether(ip4(tcp(b"data", sum_=sum_))))[1]
    assert seg.sum_state == state
    if sum_ is not None:
        assert seg.sum_want == seen(FRAME)[1].sum


@pytest.mark.parametrize("end", range(4, 21))
def test_fields_of_a_header_that_was_cut(end):
    """The fields before the cut have their values, those behind it none."""
    frame = ether(ip4(tcp(b"data", ctl=0x118)))
    start = len(frame) - 24
    whole, seg = seen(frame)[1], seen(frame[: start + end], 1, len(frame))[1]
    ends = {"seq": 8, "ack": 12, "doff": 14, "ctl": 14, "win": 16, "sum": 18}
    for name, needed in ends.items():
        assert getattr(seg, name) == (getattr(whole, name) if end >= needed else 0), name
