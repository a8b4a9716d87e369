"""ARP and neighbour discovery: Scapy decodes labkit's messages, and labkit answers Scapy's."""

import socket

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6, in6_getnsmac
from scapy.layers.l2 import ARP, Ether
from scapy.utils6 import in6_getnsma, inet_pton

from labkit.live.neighbours import announced, query, reply_to

MINE, OTHERS = "02:00:00:00:00:01", "02:00:00:00:10:02"
FOUR, SIX = ("192.0.2.10", "192.0.2.2"), ("2001:db8::10", "2001:db8::2")


def solicitation(target: str, source: str, *, option: bool = True) -> bytes:
    group = in6_getnsma(inet_pton(socket.AF_INET6, target))
    packet = Ether(src=OTHERS, dst=in6_getnsmac(group)) / IPv6(
        src=source, dst=socket.inet_ntop(socket.AF_INET6, group), hlim=255
    )
    packet /= ICMPv6ND_NS(tgt=target)
    return bytes(packet / ICMPv6NDOptSrcLLAddr(lladdr=OTHERS) if option else packet)


def same_checksum(frame: bytes) -> bool:
    """Whether Scapy computes the same checksum."""
    parsed = Ether(frame)
    kind = ICMPv6ND_NA if ICMPv6ND_NA in parsed else ICMPv6ND_NS
    stated = parsed[kind].cksum
    del parsed[kind].cksum
    return bool(Ether(bytes(parsed))[kind].cksum == stated)


def test_an_arp_request_is_answered() -> None:
    own, other = FOUR
    frame = bytes(Ether(src=OTHERS, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=OTHERS, psrc=other, pdst=own))
    reply = Ether(reply_to(frame, own, MINE))
    assert (reply.dst, reply.src) == (OTHERS, MINE)
    assert (reply[ARP].op, reply[ARP].hwsrc, reply[ARP].psrc) == (2, MINE, own)
    assert (reply[ARP].hwdst, reply[ARP].pdst) == (OTHERS, other)
    assert announced(frame) == (other, OTHERS)
    assert announced(bytes(reply)) == (own, MINE)


def test_a_neighbour_solicitation_is_answered() -> None:
    own, other = SIX
    for option in (True, False):
        frame = solicitation(own, other, option=option)
        octets = reply_to(frame, own, MINE)
        assert octets is not None
        reply = Ether(octets)
        assert (reply.dst, reply[IPv6].src, reply[IPv6].dst, reply[IPv6].hlim) == (OTHERS, own, other, 255)
        assert (reply[ICMPv6ND_NA].tgt, reply[ICMPv6ND_NA].S, reply[ICMPv6ND_NA].O) == (own, 1, 1)
        assert reply[ICMPv6NDOptDstLLAddr].lladdr == MINE
        assert same_checksum(octets)
        assert announced(frame) == (other, OTHERS)
        assert announced(octets) == (own, MINE)


def test_duplicate_address_detection_is_answered() -> None:
    octets = reply_to(solicitation(SIX[0], "::", option=False), SIX[0], MINE)
    assert octets is not None
    reply = Ether(octets)
    assert (reply.dst, reply[IPv6].dst, reply[ICMPv6ND_NA].S) == ("33:33:00:00:00:01", "ff02::1", 0)
    assert same_checksum(octets)


@pytest.mark.parametrize(("own", "other"), [FOUR, SIX])
def test_a_query_gets_a_reply(own: str, other: str) -> None:
    question = query(other, own, MINE)
    parsed = Ether(question)
    assert parsed.src == MINE
    if ARP in parsed:
        assert (parsed.dst, parsed[ARP].op, parsed[ARP].pdst, parsed[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", 1, other, own)
    else:
        group = in6_getnsma(inet_pton(socket.AF_INET6, other))
        assert (parsed.dst, parsed[ICMPv6ND_NS].tgt) == (in6_getnsmac(group), other)
        assert same_checksum(question)
    reply = reply_to(question, other, OTHERS)
    assert reply is not None
    assert announced(reply) == (other, OTHERS)
    assert announced(question) == (own, MINE)


def test_requests_for_other_addresses_get_no_answer() -> None:
    assert reply_to(query(FOUR[1], FOUR[0], MINE), "192.0.2.3", OTHERS) is None
    assert reply_to(query(SIX[1], SIX[0], MINE), "2001:db8::3", OTHERS) is None
    reply = reply_to(query(FOUR[1], FOUR[0], MINE), FOUR[1], OTHERS)
    assert reply is not None
    assert reply_to(reply, FOUR[0], MINE) is None


@pytest.mark.parametrize("version", [4, 6])
def test_cut_frames_are_ignored(version: int) -> None:
    own, other = FOUR if version == 4 else SIX
    frame = query(other, own, MINE)
    for length in range(len(frame)):
        assert reply_to(frame[:length], other, OTHERS) is None or length >= 78
        found = announced(frame[:length])
        assert found is None or found == (own, MINE)
