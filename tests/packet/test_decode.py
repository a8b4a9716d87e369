"""What `decode` reads from IP and TCP headers, and that it survives any octets."""

import pytest
from frames import CLIENT4, CLIENT6, SERVER4, SERVER6, checksum, ether, ip4, ip6, n16, seen, tcp, udp
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.packet.decode.layer import ones_sum
from labkit.packet.decode.outcome import CUT_OFF, FOREIGN, FRAGMENT, HIDDEN, LINK_TYPE, MALFORMED, OTHER, TCP, TOO_DEEP
from labkit.packet.decode.walk import LINK_TYPES, decode, may_hold_tcp
from labkit.packet.seen import (
    ABSENT,
    BAD_OFFSET,
    CUT,
    OPT_LENGTH,
    OPT_OVERRUN,
    OPT_SOUND,
    SHORT_IP,
    SHORT_TCP,
    SOUND,
    SUM_BAD,
    SUM_GOOD,
    SUM_PARTIAL,
    SUM_UNKNOWN,
    SUM_ZERO,
    Seen,
)

SIX = CLIENT6 + SERVER6
LINKS = sorted(LINK_TYPES)
EVERYTHING = bytes.fromhex("020405b4 0402 080a0000000700000005 01 030307")


def with_options(options):
    return seen(ether(ip4(tcp(options=options))))[1]


def test_header():
    segment = tcp(b"hello", seq=2**32 - 1, ack=0, ctl=0x1D2)
    found, seg = seen(ether(ip4(segment)))
    assert found == TCP
    assert (seg.ip_at, seg.src_at, seg.dst_at, seg.addr_len, seg.tcp_at, seg.data_at) == (
        14,
        26,
        30,
        4,
        34,
        54,
    )
    assert (seg.version, seg.ip_len, seg.ttl, seg.ecn) == (4, 45, 64, 1)
    assert (seg.sport, seg.dport, seg.seq, seg.ack) == (40000, 80, 2**32 - 1, 0)
    assert (seg.doff, seg.ctl, seg.win, seg.urg, seg.len, seg.data_len) == (20, 0x1D2, 500, 0, 5, 5)
    assert (seg.sum_state, seg.sum, seg.sum_want) == (SUM_GOOD, seg.sum_want, int.from_bytes(segment[16:18]))
    assert (seg.ip_sum_state, seg.ip_sum) == (SUM_GOOD, seg.ip_sum_want)


def test_ipv6_header():
    seg = seen(ether(ip6(tcp(addresses=SIX)), 0x86DD))[1]
    assert (seg.version, seg.ip_at, seg.src_at, seg.dst_at, seg.addr_len, seg.ip_len) == (
        6,
        14,
        22,
        38,
        16,
        60,
    )
    assert (seg.ttl, seg.ecn, seg.sum_state, seg.ip_sum_state) == (64, 2, SUM_GOOD, SUM_UNKNOWN)


def test_a_frame_inside_a_larger_buffer():
    frame = ether(ip4(tcp(b"data", EVERYTHING)))
    alone, inside = Seen(wirelen=len(frame)), Seen(wirelen=len(frame))
    decode(frame, 0, len(frame), 1, alone)
    decode(b"x" * 7 + frame + b"y" * 9, 7, 7 + len(frame), 1, inside)
    for name in ("ip_at", "src_at", "dst_at", "tcp_at", "data_at"):
        assert getattr(inside, name) == getattr(alone, name) + 7
        setattr(inside, name, getattr(alone, name))
    assert inside == alone


def test_nothing_of_the_last_frame_is_left():
    seg = Seen()
    for frame in (ether(ip4(tcp(b"data", EVERYTHING, sum_=1))), ether(ip6(tcp(), 6), 0x86DD), b""):
        seg.wirelen = len(frame)
        found = decode(frame, 0, len(frame), 1, seg)
        assert (found, seg) == seen(frame)
    assert seg == Seen()


# Lengths: of the frame that was captured, of the frame on the wire, and what IP says.


@pytest.mark.parametrize(
    ("frame", "wirelen", "fault", "length", "there", "sum_state"),
    [
        (ether(ip4(tcp(b"data"))), None, SOUND, 4, 4, SUM_GOOD),
        (ether(ip4(tcp())) + bytes(6), None, SOUND, 0, 0, SUM_GOOD),
        (ether(ip4(tcp(b"data"), length=0)), None, SOUND, 4, 4, SUM_GOOD),
        (ether(ip6(tcp(b"data", addresses=SIX), length=0), 0x86DD), None, SOUND, 4, 4, SUM_GOOD),
        (ether(ip4(tcp(b"data")))[:-1], 58, SOUND, 4, 3, SUM_UNKNOWN),
        (ether(ip4(tcp(b"data")))[:54], 58, SOUND, 4, 0, SUM_UNKNOWN),
        (ether(ip4(tcp(b"data")))[:50], 58, CUT, 0, 0, SUM_UNKNOWN),
        (ether(ip4(tcp(b"data")))[:-1], None, SHORT_IP, 4, 3, SUM_UNKNOWN),
        (ether(ip4(tcp()[:12])), None, SHORT_TCP, 0, 0, SUM_UNKNOWN),
        (ether(ip4(tcp(doff=4))), None, BAD_OFFSET, 0, 0, SUM_GOOD),
        (ether(ip4(tcp(doff=6))), None, BAD_OFFSET, 0, 0, SUM_GOOD),
        # The outer datagram knows better than the inner one how long that is.
        (ether(ip4(ip4(tcp(b"data"))[:-1], 4)), None, SHORT_IP, 3, 3, SUM_UNKNOWN),
    ],
    ids=[
        *(
            "plain",
            "padding",
            "tso",
            "tso-ipv6",
            "cut-data",
            "cut-all-data",
            "cut-header",
            "lost-tail",
            "short",
        ),
        *("offset-small", "offset-large", "tunnel-short"),
    ],
)
def test_lengths(frame, wirelen, fault, length, there, sum_state):
    found, seg = seen(frame, wirelen=wirelen)
    assert (found, seg.fault, seg.len, seg.data_len, seg.sum_state) == (TCP, fault, length, there, sum_state)
    assert seg.sport == 40000


def test_jumbogram():
    payload = bytes(70_000)
    header = bytes((6, 0, 0xC2, 4)) + (8 + 20 + len(payload)).to_bytes(4)
    seg = seen(ether(ip6(header + tcp(payload, addresses=SIX), 0, length=0) + bytes(3), 0x86DD))[1]
    assert (seg.ip_len, seg.len, seg.sum_state, seg.fault) == (40 + 28 + 70_000, 70_000, SUM_GOOD, SOUND)


# Checksums.


def pseudo(length, addresses=CLIENT4 + SERVER4):
    return checksum(addresses + n16(6) + length.to_bytes(4)) ^ 0xFFFF


@pytest.mark.parametrize(
    ("sum_", "state"),
    [(None, SUM_GOOD), (0x1234, SUM_BAD), (0, SUM_BAD), (pseudo(24), SUM_PARTIAL), (pseudo(0), SUM_PARTIAL)],
    ids=["good", "bad", "zero", "partial", "partial-without-length"],
)
def test_tcp_checksum(sum_, state):
    seg = seen(ether(ip4(tcp(b"data", sum_=sum_))))[1]
    assert (seg.sum_state, seg.sum_want) == (state, int.from_bytes(tcp(b"data")[16:18]))


def test_both_zeros_of_a_checksum_are_one():
    # The last word of the payload is chosen so that the checksum is zero.
    start = tcp(b"\x00\x00")
    segment = tcp(start[16:18])
    assert segment[16:18] == b"\x00\x00"
    for zero in (0, 0xFFFF):
        seg = seen(ether(ip4(tcp(start[16:18], sum_=zero))))[1]
        assert (seg.sum_state, seg.sum_want) == (SUM_GOOD, 0)


@pytest.mark.parametrize(("sum_", "state"), [(None, SUM_GOOD), (0, SUM_ZERO), (7, SUM_BAD)])
def test_ip_checksum(sum_, state):
    seg = seen(ether(ip4(tcp(), sum_=sum_)))[1]
    assert (seg.ip_sum_state, seg.ip_sum_want) == (state, int.from_bytes(ip4(tcp())[10:12]))
    assert seg.sum_state == SUM_GOOD


@pytest.mark.parametrize("kind", [131, 137])
@pytest.mark.parametrize("pointer", [4, 8])
def test_source_route(kind, pointer):
    last = bytes((192, 0, 2, 99))
    destination = last if pointer < 8 else SERVER4
    segment = tcp(addresses=CLIENT4 + destination)
    frame = ether(ip4(segment, options=bytes((1, kind, 7, pointer)) + last + bytes(4)))
    seg = seen(frame)[1]
    assert (frame[seg.dst_at : seg.dst_at + 4], seg.sum_state) == (destination, SUM_GOOD)


@given(st.binary(max_size=300), st.integers(0, 5))
def test_ones_sum(octets, start):
    start = min(start, len(octets))
    expected = (checksum(octets[start:]) ^ 0xFFFF) % 65535
    assert ones_sum(octets, start, len(octets)) == expected


# Options.


def test_options():
    seg = with_options(EVERYTHING)
    assert (seg.mss, seg.sack_ok, seg.tsval, seg.tsecr, seg.wscale) == (1460, 1, 7, 5, 7)
    assert (seg.opt_fault, seg.opt_twice, seg.opt_after_end, seg.doff) == (OPT_SOUND, ABSENT, 0, 40)


def test_no_options():
    seg = with_options(b"")
    assert (seg.mss, seg.sack_ok, seg.tsval, seg.tsecr, seg.wscale, seg.tfo_len) == (-1, 0, -1, -1, -1, -1)


@pytest.mark.parametrize("count", range(1, 5))
def test_sack(count):
    edges = [0, 2**32 - 1, 2**31, 7, 5, 6, 8, 9][: 2 * count]
    seg = with_options(b"\x01\x01\x05" + bytes((2 + 8 * count,)) + b"".join(edge.to_bytes(4) for edge in edges))
    zeros = [0] * (4 - count)
    assert (seg.sack_n, seg.sack_left, seg.sack_right) == (count, edges[::2] + zeros, edges[1::2] + zeros)


@pytest.mark.parametrize(
    ("options", "cookie", "fault"),
    [
        ("2202", 0, OPT_SOUND),
        ("220a0102030405060708", 8, OPT_SOUND),
        ("fe04f989", 0, OPT_SOUND),
        ("fe08f98901020304", 4, OPT_SOUND),
        ("fe041234", ABSENT, OPT_SOUND),
        ("2205010203", 3, OPT_LENGTH),
    ],
)
def test_fast_open(options, cookie, fault):
    seg = with_options(bytes.fromhex(options))
    assert (seg.tfo_len, seg.opt_fault) == (cookie, fault)


@pytest.mark.parametrize(
    ("options", "fault", "at"),
    [
        ("010203b4", OPT_LENGTH, 1),
        ("03000000", OPT_LENGTH, 0),
        ("03010000", OPT_LENGTH, 0),
        ("01010803", OPT_OVERRUN, 2),
        ("01010102", OPT_OVERRUN, 3),
        ("0502", OPT_LENGTH, 0),
        ("05060000 00000101", OPT_LENGTH, 0),
        ("04030000", OPT_LENGTH, 0),
        ("fd060102 03040000", OPT_SOUND, ABSENT),
    ],
)
def test_option_faults(options, fault, at):
    seg = with_options(bytes.fromhex(options))
    assert (seg.opt_fault, seg.opt_at) == (fault, at if at == ABSENT else 54 + at)


@pytest.mark.parametrize(
    ("options", "twice", "after_end"),
    [
        ("02040001 02040002", 2, 0),
        ("1e040001 1e040002", ABSENT, 0),
        ("04020000 00000001", ABSENT, 1),
        ("04020000", ABSENT, 0),
    ],
)
def test_option_lists(options, twice, after_end):
    seg = with_options(bytes.fromhex(options))
    assert (seg.opt_twice, seg.opt_after_end, seg.opt_fault) == (twice, after_end, OPT_SOUND)


def test_the_last_of_two_options_counts():
    assert with_options(bytes.fromhex("0204000102040002")).mss == 2


# What is not a segment.


def checked(payload, at=2, before=b""):
    """The payload with a checksum at a position, which covers `before` too."""
    total = 65535 - ones_sum(before + payload, 0, len(before + payload))
    return payload[:at] + total.to_bytes(2) + payload[at + 2 :]


PING = checked(bytes((8, 0)) + bytes(6) + b"0123456789")
PING6 = bytes((128, 0)) + bytes(6) + b"0123456789"
PING6 = checked(PING6, before=SIX + len(PING6).to_bytes(4) + bytes((0, 0, 0, 58)))
UNREACHABLE = checked(bytes((3, 3)) + bytes(6) + ip4(tcp()))


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        pytest.param(ether(b"", 0x0806), OTHER, id="arp"),
        pytest.param(ether(ip4(udp(b"data", 53), 17)), OTHER, id="udp"),
        pytest.param(ether(ip4(PING, 1)), OTHER, id="ping"),
        pytest.param(ether(ip6(PING6, 58), 0x86DD), OTHER, id="ping of IPv6"),
        pytest.param(ether(ip4(UNREACHABLE, 1)), OTHER, id="icmp that quotes a segment"),
        pytest.param(ether(b"\x00\x00\x01\x40" * 100 + ip4(tcp()), 0x8847), OTHER, id="labels"),
        pytest.param(ether(ip4(tcp(), 17)), FOREIGN, id="udp that is TCP"),
        pytest.param(ether(ip4(tcp(), 1)), FOREIGN, id="icmp that is TCP"),
        pytest.param(ether(ip6(tcp(addresses=SIX), 58), 0x86DD), FOREIGN, id="icmpv6 that is TCP"),
        pytest.param(ether(ip4(tcp(), 47)), FOREIGN, id="gre that is TCP"),
        pytest.param(ether(ip4(tcp(), 99)), FOREIGN, id="protocol 99"),
        pytest.param(ether(ip6(tcp(addresses=SIX), 59), 0x86DD), FOREIGN, id="no next header"),
        pytest.param(ether(ip4(tcp()), 0x1234), HIDDEN, id="unknown EtherType"),
        pytest.param(ether(ip6(tcp(addresses=SIX)), 0x0806), HIDDEN, id="arp that is IPv6"),
        pytest.param(ether(ip4(tcp()), 0x8100), HIDDEN, id="a tag that is not there"),
        pytest.param(ether(ip4(tcp(), length=12)), MALFORMED, id="IP length"),
        pytest.param(ether(ip4(tcp(), length=22)), MALFORMED, id="no room for TCP"),
        pytest.param(ether(b"\x44" + ip4(tcp())[1:]), MALFORMED, id="IP header length"),
        pytest.param(ether(b"\x55" + ip4(tcp())[1:]), MALFORMED, id="IP version 5"),
        pytest.param(ether(ip4(tcp()), 0x86DD), MALFORMED, id="IPv4 as IPv6"),
        pytest.param(ether(ip6(tcp(addresses=SIX)), 0x0800), MALFORMED, id="IPv6 as IPv4"),
        pytest.param(ether(bytes.fromhex("00002040") * 100 + ip4(tcp()), 0x8847), TOO_DEEP, id="deep"),
        pytest.param(b"", CUT_OFF, id="empty"),
    ],
)
def test_no_segment(frame, status):
    found, seg = seen(frame)
    assert found == status
    if found == FOREIGN:
        assert (seg.unread, seg.addr_len) == (frame[23] if frame[12] == 8 else frame[20], 4 if frame[12] == 8 else 16)
    if found in (FOREIGN, HIDDEN):
        size = seg.addr_len
        assert frame[seg.src_at : seg.src_at + size] in (CLIENT4, CLIENT6)
        assert frame[seg.dst_at : seg.dst_at + size] in (SERVER4, SERVER6)


@pytest.mark.parametrize("number", [2, 189, 65534, 65535])
def test_unknown_link_types(number):
    found, seg = seen(ip4(tcp()), number)
    assert (found, seg.unread) == (LINK_TYPE, number)


def test_raw_ip_of_another_version():
    assert seen(b"\x55" + ip4(tcp())[1:], 101)[0] == MALFORMED


def test_protocols_that_may_hold_tcp():
    assert [number for number in (1, 4, 6, 17, 41, 47, 50, 58, 99) if may_hold_tcp(number)] == [4, 6, 41, 47]


@pytest.mark.parametrize("fragment", [0x2000, 1, 0x2001])
def test_fragments(fragment):
    found, seg = seen(ether(ip4(tcp(), fragment=fragment)))
    assert (found, seg.version, seg.ip_at, seg.tcp_at) == (FRAGMENT, 4, 14, ABSENT)


def test_fragment_of_ipv6():
    found, seg = seen(ether(ip6(bytes((6, 0, 0, 1, 0, 0, 0, 1)) + tcp(), 44), 0x86DD))
    assert (found, seg.version, seg.ip_at) == (FRAGMENT, 6, 14)


class Guarded(bytes):
    """Octets that know what may be read of them."""

    def __getitem__(self, key):
        if isinstance(key, int):
            assert 3 <= key < len(self) - 3
        return super().__getitem__(key)


GOOD = [
    ether(ip4(tcp(b"data", EVERYTHING))),
    ether(ip6(bytes((43, 0, 1, 4)) + bytes(4) + bytes((6, 2, 0, 1)) + bytes(20) + tcp(), 60), 0x86DD),
    ether(ip4(udp(bytes.fromhex("34ff0030 00000000 000000 85 01000000") + ip4(tcp()), 2152), 17)),
    ether(ip4(bytes.fromhex("b0816558") + bytes(12) + ether(ip4(tcp())), 47)),
]


@settings(max_examples=400)
@given(st.data())
def test_any_octets(data):
    """Whatever there is: no exception, no read outside the frame, and only sensible values."""
    octets = bytearray(data.draw(st.sampled_from(GOOD) | st.binary(max_size=120)))
    for _ in range(data.draw(st.integers(0, 4)) if octets else 0):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    octets = octets[: data.draw(st.integers(0, len(octets)))]
    wirelen = data.draw(st.integers(-5, 200))
    seg = Seen(wirelen=wirelen)
    buf = Guarded(b"abc" + octets + b"xyz")
    found = decode(buf, 3, len(buf) - 3, data.draw(st.sampled_from(LINKS) | st.integers(-1, 2**32)), seg)
    assert OTHER <= found <= HIDDEN
    assert 0 <= seg.data_len <= seg.len
    if found in (TCP, FRAGMENT, FOREIGN, HIDDEN):
        assert 3 <= seg.src_at <= len(buf) - 3 - seg.addr_len
        assert 3 <= seg.dst_at <= len(buf) - 3 - seg.addr_len
    if seg.data_at != ABSENT:
        assert seg.data_at + seg.data_len <= len(buf) - 3
