"""`wire` against Scapy's own parser, against `options.pack`, and against tshark."""

import random
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapWriter

from labkit.errors import UsageError
from labkit.packet.linktype import ETHERNET, RAW
from labkit.packet.scapy_build import Framing, Host, Vlan, packet, scapy_options
from labkit.packet.stamp import Stamp
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, AE, CE, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment

V4 = (Host("192.0.2.10", 40000), Host("192.0.2.20", 80, mac="02:00:00:00:00:02"))
V6 = (Host("2001:db8::10", 40000), Host("2001:db8::20", 80, mac="02:00:00:00:00:02"))
FAMILIES = pytest.mark.parametrize(("hosts", "layer"), [(V4, IP), (V6, IPv6)], ids=["ipv4", "ipv6"])

OPTION_LISTS = [
    (),
    (opt.Mss(1460),),
    (opt.Mss(65535), opt.SackPermitted(), opt.Timestamps(1, 0), opt.Nop(), opt.WindowScale(7)),
    (opt.Nop(), opt.Nop(), opt.Timestamps(2**32 - 1, 2**32 - 1)),
    (opt.Nop(), opt.Nop(), opt.Sack(((1, 2),))),
    (opt.Sack(((2**32 - 5, 3), (10, 20), (30, 40), (50, 60))),),
    (opt.FastOpen(),),
    (opt.FastOpen(b"abcdefgh"), opt.Mss(536)),
    (opt.FastOpen(b"sixteen octets.."),),
    (opt.WindowScale(14), opt.End()),
    (opt.Raw(b"\xfd\x06ABCD"), opt.Nop()),
    (opt.Raw(b"\x13\x12" + bytes(16)),),
    (opt.Raw(b"\x1d\x04\x01\x02"),),
    (opt.Raw(b"\x02\x03\x01"), opt.Nop()),
    (opt.Raw(b"\x08\x00"),),
    (opt.Mss(1460), opt.Raw(b"\x05\x28\x00")),
    (opt.Raw(b"\x00\x07\x07\x07"),),
]


def octets_of(segment: Segment) -> bytes:
    """The options as they stand in the packet that `wire` builds."""
    built = bytes(packet(segment, *V4, framing=Framing(RAW)))
    return built[40 : 20 + (built[32] >> 4) * 4]


@pytest.mark.parametrize("options", OPTION_LISTS, ids=repr)
def test_options_have_the_octets_of_pack(options):
    assert octets_of(Segment(options=options)) == opt.pack(options)


@given(st.binary(max_size=40))
def test_any_octets_come_out_as_they_went_in(octets):
    options = opt.unpack(octets)
    assert octets_of(Segment(options=options)) == opt.pack(options)


def test_a_student_reads_scapys_own_names():
    built = packet(Segment(ctl=SYN, options=(opt.Mss(1460), opt.SackPermitted(), opt.WindowScale(7))), *V4)
    assert built[TCP].options == [("MSS", 1460), ("SAckOK", b""), ("WScale", 7)]


def test_more_than_forty_octets_of_options_are_refused():
    with pytest.raises(ValueError, match="room for 40"):
        packet(Segment(options=(opt.Raw(b"\xfd\x2a" + bytes(40)),)), *V4)


def test_tuples_that_scapy_lacks():
    assert scapy_options((opt.Raw(b"\x02"),)) is None


@FAMILIES
def test_every_field_arrives(hosts, layer):
    segment = Segment(2**32 - 1, 7, URG | PSH | ACK, 511, b"payload", (opt.Nop(),), urgent=3, ecn=CE)
    read = Ether(bytes(packet(segment, *hosts, ident=65537)))
    assert (read.src, read.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (read[layer].src, read[layer].dst) == (hosts[0].address, hosts[1].address)
    assert (read[TCP].sport, read[TCP].dport) == (40000, 80)
    assert (read[TCP].seq, read[TCP].ack, read[TCP].window, read[TCP].urgptr) == (2**32 - 1, 7, 511, 3)
    assert str(read[TCP].flags) == "PAU"
    assert bytes(read[TCP].payload) == b"payload"
    if layer is IP:
        assert (read[IP].tos, read[IP].ttl, read[IP].id, str(read[IP].flags)) == (CE, 64, 1, "DF")
    else:
        assert (read[IPv6].tc, read[IPv6].hlim) == (CE, 64)


def test_control_bits_beyond_the_first_eight():
    read = Ether(bytes(packet(Segment(ctl=AE | CWR | ECE | SYN | 0xE00), *V4)))
    assert (str(read[TCP].flags), read[TCP].reserved) == ("SECN", 7)


@FAMILIES
def test_lengths_and_checksums_follow_an_edit(hosts, layer):
    built = packet(Segment(1, 1, PSH | ACK, payload=b"abc"), *hosts)
    bytes(built)
    built[TCP].ack = 99
    built[TCP].remove_payload()
    built /= b"other octets"
    read = Ether(bytes(built))
    want = Ether(bytes(packet(Segment(1, 99, PSH | ACK, payload=b"other octets"), *hosts)))
    assert bytes(read) == bytes(want)
    assert read[TCP].chksum == want[TCP].chksum != 0


def test_time_keeps_its_nanoseconds():
    time = 1_767_225_600_123_456_789
    assert int(packet(Segment(), *V4, time=time).time * 1_000_000_000) == time


def test_link_types():
    assert bytes(packet(Segment(), *V4))[14:] == bytes(packet(Segment(), *V4, framing=Framing(RAW)))
    with pytest.raises(
        UsageError, match=r"link type 9 \(PPP\) cannot be built: labkit builds 1 \(ETHERNET\) and 101 \(RAW\)"
    ):
        packet(Segment(), *V4, framing=Framing(9))


def test_vlan_tags():
    framing = Framing(vlans=(Vlan(100, priority=5, service=True), Vlan(200)))
    for hosts in (V4, V6):
        frame = bytes(packet(Segment(), *hosts, framing=framing))
        assert frame[12:20].hex() == "88a8a064810000c8"
        assert frame[:12] + frame[20:] == bytes(packet(Segment(), *hosts))
    for wrong in ({"id": 4096}, {"id": 1, "priority": 8}):
        with pytest.raises(ValueError, match=r"outside 0\.\."):
            Vlan(**wrong)


def test_forwarded_packets_have_less_time_to_live():
    frames = [bytes(packet(Segment(), V4[0].forwarded(hops), V4[1])) for hops in (0, 3)]
    assert [frame[22] for frame in frames] == [64, 61]
    with pytest.raises(ValueError, match="ttl -1"):
        V4[0].forwarded(65)


def test_what_may_be_fragmented_says_so():
    flags = [bytes(packet(Segment(), *V4, framing=Framing(fragment=size)))[20] for size in (None, 576)]
    assert flags == [0x40, 0]


def test_hosts_are_checked():
    with pytest.raises(UsageError, match="different address families"):
        packet(Segment(), V4[0], V6[1])
    with pytest.raises(ValueError, match="port 65536"):
        Host("192.0.2.1", 65536)
    with pytest.raises(ValueError, match=r"192\.0\.2\.256"):
        Host("192.0.2.256", 1)
    assert (str(V4[0]), str(V6[0])) == ("192.0.2.10:40000", "[2001:db8::10]:40000")


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_lengths_and_checksums_right(tmp_path):
    rng = random.Random(3)
    target = tmp_path / "wire.pcap"
    with PcapWriter(str(target), linktype=ETHERNET) as writer:
        for n, ctl in enumerate((SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST)):
            for hosts in (V4, V6):
                options = (opt.Mss(1460), opt.WindowScale(7), opt.Nop()) if ctl & SYN else ()
                segment = Segment(rng.getrandbits(32), rng.getrandbits(32), ctl, 1, bytes(n), options)
                writer.write(packet(segment, *hosts))
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    fields = ["-e", "tcp.checksum.status", "-e", "ip.checksum.status", "-e", "_ws.malformed"]
    shown = subprocess.run(
        ["tshark", "-r", target, *checks, "-T", "fields", *fields], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.rstrip("\t") for line in shown] == ["1\t1", "1"] * 6


FRAMINGS = [
    Framing(),
    Framing(RAW),
    Framing(fragment=576),
    Framing(vlans=(Vlan(7),)),
    Framing(vlans=(Vlan(4095, 7, service=True), Vlan(0))),
]
SEGMENTS = st.builds(
    Segment,
    seq=st.integers(0, 2**32 - 1),
    ack=st.integers(0, 2**32 - 1),
    ctl=st.integers(0, 0xFFF),
    window=st.integers(0, 65535),
    payload=st.binary(max_size=70) | st.sampled_from([b"", b"\0", b"\xff\xff"]),
    options=st.sampled_from(OPTION_LISTS),
    urgent=st.integers(0, 65535),
    ecn=st.integers(0, 3),
)


@given(SEGMENTS, st.integers(0, 70000), st.sampled_from([V4, V6]), st.sampled_from(FRAMINGS))
def test_a_stamp_has_the_octets_that_scapy_builds(segment, ident, hosts, framing):
    source, target = hosts
    assert Stamp(source, target, framing).frame(segment, ident) == bytes(
        packet(segment, source, target, ident=ident, framing=framing)
    )


@given(SEGMENTS, st.sampled_from([V4, V6]), st.sampled_from(FRAMINGS), st.integers(0, 2**32 - 1), st.integers(0, 65535))
def test_a_stamp_between_other_hosts(segment, hosts, framing, address, port):
    prefix = "2001:db8:{:x}:{:x}::" if hosts is V6 else "{}.{}.7.9"
    source = Host(prefix.format(address >> 24, address >> 16 & 255), port, mac="0a:0b:0c:0d:0e:0f")
    target = Host(prefix.format(address >> 8 & 255, address & 255), 65535 - port)
    built = bytes(packet(segment, source, target, ident=3, framing=framing))
    assert Stamp(source, target, framing).frame(segment, 3) == built


@FAMILIES
def test_a_stamp_knows_the_sum_that_is_all_ones(hosts, layer):
    stamp = Stamp(*hosts)
    found = set()
    for number in range(65536):
        frame = stamp.frame(Segment(seq=number))
        found.add(frame[-4:-2])
    assert b"\x00\x00" in found
    assert b"\xff\xff" not in found
