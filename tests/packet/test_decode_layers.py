"""Every encapsulation: labkit finds the segment that was put in, and so does tshark."""

import re
import shutil
import subprocess

import pytest
from frames import CLIENT6, SERVER6, ether, ip4, ip6, n16, seen, tcp, udp
from wireshark import release

from labkit.capture import create
from labkit.packet.decode import link as link_layers
from labkit.packet.decode import tunnel as tunnel_layers
from labkit.packet.decode import walk
from labkit.packet.decode.layer import END, LINK, announced, link_type, udp_port
from labkit.packet.decode.outcome import CUT_OFF, FOREIGN, OTHER, TCP
from labkit.packet.seen import SUM_GOOD

SIX = CLIENT6 + SERVER6
INNER4 = ip4(tcp(b"data"))
INNER6 = ip6(tcp(b"data", addresses=SIX))
ETHER4 = ether(INNER4)
SNAP = bytes.fromhex("aaaa03000000")
LLC4 = SNAP + n16(0x0800) + INNER4
DATA_FRAME = bytes.fromhex("0801") + bytes(2) + bytes.fromhex("020000000001020000000002020000000003") + bytes(2)
QOS_FRAME = b"\x88" + DATA_FRAME[1:]
HOME = bytes.fromhex("20010db80000000000000000000000aa")


def option(kind, value, protocol=6):
    """A destination or hop-by-hop options header with one option."""
    body = bytes((kind, len(value))) + value
    padding = -(len(body) + 2) % 8
    fill = b"\x00" if padding == 1 else bytes((1, padding - 2)) + bytes(padding - 2) if padding else b""
    return bytes((protocol, (len(body) + len(fill) + 2) // 8 - 1)) + body + fill


def gre(flags, kind, fields=b""):
    return n16(flags) + n16(kind) + fields


def tunnel(port, head, inner=INNER4):
    return ether(ip4(udp(head + inner, port), 17))


# Name, link type, frame.
LINKS = [
    ("ethernet", 1, ETHER4),
    ("ethernet-ipv6", 1, ether(INNER6, 0x86DD)),
    ("padding", 1, ether(ip4(tcp())) + bytes(6)),
    ("vlan", 1, ether(n16(5) + n16(0x0800) + INNER4, 0x8100)),
    ("qinq", 1, ether(n16(5) + n16(0x8100) + n16(6) + n16(0x0800) + INNER4, 0x88A8)),
    (
        "three-tags",
        1,
        ether(n16(5) + n16(0x9100) + n16(6) + n16(0x8100) + n16(7) + n16(0x86DD) + INNER6, 0x9200),
    ),
    ("mpls", 1, ether(bytes.fromhex("00001040 00002140") + INNER4, 0x8847)),
    ("mpls-multicast-ipv6", 1, ether(bytes.fromhex("00002140") + INNER6, 0x8848)),
    ("mpls-pseudo-wire", 1, ether(bytes.fromhex("00010140 00000000") + ETHER4, 0x8847)),
    ("mpls-ethernet", 1, ether(bytes.fromhex("00010140") + ETHER4, 0x8847)),
    ("pppoe", 1, ether(bytes.fromhex("11000001") + n16(2 + len(INNER4)) + n16(0x21) + INNER4, 0x8864)),
    ("pppoe-ipv6", 1, ether(bytes.fromhex("11000001") + n16(2 + len(INNER6)) + n16(0x57) + INNER6, 0x8864)),
    ("llc-snap", 1, ether(LLC4, len(LLC4)) + bytes(3)),
    ("llc-ip", 1, ether(bytes.fromhex("060603") + INNER4, 3 + len(INNER4))),
    ("802.1ah", 1, ether(bytes(4) + ETHER4, 0x88E7)),
    ("fabricpath", 1, ether(bytes(2) + ETHER4 + bytes(4), 0x8903)),
    ("vn-tag", 1, ether(bytes(4) + n16(0x0800) + INNER4, 0x8926)),
    ("e-tag", 1, ether(bytes(6) + n16(0x0800) + INNER4, 0x893F)),
    ("cisco-metadata", 1, ether(bytes.fromhex("010100010005") + n16(0x0800) + INNER4, 0x8909)),
    ("trill", 1, ether(bytes.fromhex("003f00010002") + ETHER4, 0x22F3)),
    ("nsh", 1, ether(bytes.fromhex("0fc6010100000aff") + bytes(16) + INNER4, 0x894F)),
    ("transparent-bridging", 1, ether(ETHER4, 0x6558)),
    ("arcnet-bsd-old", 7, bytes.fromhex("0102f0") + INNER4),
    ("arcnet-bsd", 7, bytes.fromhex("0102d4000001") + INNER4),
    ("arcnet-bsd-ipv6", 7, bytes.fromhex("0102c4000001") + INNER6),
    ("arcnet-bsd-exception", 7, bytes.fromhex("0102d4ffffff d4000001") + INNER4),
    ("arcnet-linux-old", 129, bytes.fromhex("01020000f0") + INNER4),
    ("arcnet-linux", 129, bytes.fromhex("01021234d4000001") + INNER4),
    ("arcnet-linux-ipv6", 129, bytes.fromhex("01020000c4000001") + INNER6),
    ("juniper-ethernet", 178, b"MGC\x01" + ETHER4),
    ("juniper-extensions", 178, b"MGC\x80" + bytes.fromhex("0006 010100020100") + ETHER4),
    ("juniper-no-link-layer", 178, b"MGC\x02" + bytes.fromhex("02000000") + INNER4),
    ("juniper-extensions-only", 178, b"MGC\x82" + bytes.fromhex("0006 010100020100 06000000") + INNER6),
    ("ipoib", 242, bytes(40) + bytes.fromhex("08000000") + INNER4),
    ("ipoib-ipv6", 242, bytes(40) + bytes.fromhex("86dd0000") + INNER6),
    ("token-ring", 6, bytes.fromhex("1040 020000000002 020000000001") + LLC4),
    ("token-ring-route", 6, bytes.fromhex("1040 020000000002 820000000001 06300011 0012") + LLC4),
    ("ppp", 9, bytes.fromhex("ff030021") + INNER4),
    ("ppp-bare", 9, bytes.fromhex("0057") + INNER6),
    ("ppp-compressed", 9, bytes.fromhex("21") + INNER4),
    ("fddi", 10, b"\x50" + ETHER4[:12] + LLC4),
    ("raw-12", 12, INNER4),
    ("raw-14", 14, INNER6),
    ("ppp-serial", 50, bytes.fromhex("ff030021") + INNER4),
    ("ppp-ether", 51, bytes.fromhex("11000001") + n16(2 + len(INNER4)) + n16(0x21) + INNER4),
    ("atm-rfc1483", 100, LLC4),
    ("raw", 101, INNER4),
    ("raw-ipv6", 101, INNER6),
    ("cisco-hdlc", 104, bytes.fromhex("0f00") + n16(0x0800) + INNER4),
    ("802.11", 105, DATA_FRAME + LLC4),
    ("802.11-qos", 105, QOS_FRAME + bytes(2) + LLC4),
    ("802.11-wds", 105, b"\x08\x03" + DATA_FRAME[2:] + bytes(6) + LLC4),
    ("802.11-a-msdu", 105, QOS_FRAME + b"\x80\x00" + ETHER4[:12] + n16(len(LLC4)) + LLC4),
    ("frame-relay", 107, bytes.fromhex("184103cc") + INNER4),
    ("frame-relay-snap", 107, bytes.fromhex("1841030080000000") + n16(0x0800) + INNER4),
    ("null-little", 0, bytes.fromhex("02000000") + INNER4),
    ("null-big", 0, bytes.fromhex("0000001e") + INNER6),
    ("loop", 108, bytes.fromhex("00000018") + INNER6),
    ("enc", 109, bytes.fromhex("02000000") + bytes(8) + INNER4),
    ("cooked", 113, bytes.fromhex("000000010006020000000001 0000") + n16(0x0800) + INNER4),
    ("cooked-llc", 113, bytes.fromhex("000000010006020000000001 0000") + n16(4) + LLC4),
    ("pflog", 117, bytes.fromhex("3d020000") + bytes(60) + INNER4),
    ("radiotap", 127, bytes.fromhex("0000080000000000") + DATA_FRAME + LLC4),
    ("ppi", 192, bytes.fromhex("0000080001000000") + ETHER4),
    ("ipv4", 228, INNER4),
    ("ipv6", 229, INNER6),
    ("nflog", 239, bytes.fromhex("02000000 05000a0061000000") + bytes((4 + len(INNER4), 0, 9, 0)) + INNER4),
    ("cooked-2", 276, n16(0x86DD) + bytes.fromhex("0000000000020001000602000000 00010000") + INNER6),
]

TUNNELS = [
    ("ip-in-ip", 1, ether(ip4(INNER4, 4))),
    ("6in4", 1, ether(ip4(INNER6, 41))),
    ("4in6", 1, ether(ip6(INNER4, 4), 0x86DD)),
    ("6in6", 1, ether(ip6(INNER6, 41), 0x86DD)),
    ("gre", 1, ether(ip4(gre(0, 0x0800) + INNER4, 47))),
    ("gre-all-fields", 1, ether(ip4(gre(0xB000, 0x86DD, bytes(12)) + INNER6, 47))),
    ("gre-bridging", 1, ether(ip4(gre(0x2000, 0x6558, bytes(4)) + ETHER4, 47))),
    ("gre-pptp", 1, ether(ip4(gre(0x3081, 0x880B, bytes(12)) + bytes.fromhex("ff030021") + INNER4, 47))),
    ("gre-wccp", 1, ether(ip4(gre(0, 0x883E) + bytes(4) + INNER4, 47))),
    ("gre-aruba", 1, ether(ip4(gre(0, 0x8200) + DATA_FRAME + LLC4, 47))),
    ("erspan-1", 1, ether(ip4(gre(0, 0x88BE) + ETHER4, 47))),
    ("erspan-2", 1, ether(ip4(gre(0x1000, 0x88BE, bytes(4)) + b"\x10" + bytes(7) + ETHER4, 47))),
    ("erspan-3", 1, ether(ip4(gre(0x1000, 0x22EB, bytes(4)) + b"\x20" + bytes(11) + ETHER4, 47))),
    ("etherip", 1, ether(ip4(b"\x30\x00" + ETHER4, 97))),
    ("mpls-in-ip", 1, ether(ip4(bytes.fromhex("00002140") + INNER4, 137))),
    ("ah", 1, ether(ip4(bytes((6, 4, 0, 0)) + bytes(20) + tcp(b"data"), 51))),
    ("ah-ipv6", 1, ether(ip6(bytes((6, 4, 0, 0)) + bytes(20) + tcp(b"data", addresses=SIX), 51), 0x86DD)),
    ("gre-in-udp", 1, tunnel(4754, gre(0, 0x0800))),
    ("mpls-in-udp", 1, tunnel(6635, bytes.fromhex("00002140"))),
    ("vxlan", 1, tunnel(4789, b"\x08" + bytes(7), ETHER4)),
    ("vxlan-reserved", 1, tunnel(4789, bytes.fromhex("ff000001 000001ff"), ETHER4)),
    ("vxlan-8472", 1, tunnel(8472, b"\x08" + bytes(7), ETHER4)),
    ("vxlan-gpe", 1, tunnel(4790, bytes.fromhex("0c000001") + bytes(4))),
    (
        "geneve",
        1,
        tunnel(6081, bytes.fromhex("02006558") + bytes(4) + bytes.fromhex("0102000100000000"), ETHER4),
    ),
    ("gtp", 1, tunnel(2152, b"\x30\xff" + n16(len(INNER4)) + bytes(4))),
    ("gtp-sequence", 1, tunnel(2152, b"\x32\xff" + n16(4 + len(INNER4)) + bytes(8))),
    (
        "gtp-extension",
        1,
        tunnel(2152, b"\x34\xff" + n16(8 + len(INNER4)) + bytes(7) + bytes.fromhex("85 01000000")),
    ),
    ("gtp-version-0", 1, tunnel(3386, b"\x1e\xff" + n16(len(INNER4)) + bytes(16))),
    ("teredo", 1, tunnel(3544, b"", INNER6)),
    ("teredo-headers", 1, tunnel(3544, b"\x00\x01\x00\x00" + bytes(9) + b"\x00\x00" + bytes(6), INNER6)),
    ("ayiya", 1, tunnel(5072, bytes.fromhex("4152 1129 00000000") + bytes(36), INNER6)),
    ("l2tp", 1, tunnel(1701, bytes.fromhex("0002 0001 0002 ff030021"))),
    (
        "l2tp-all-fields",
        1,
        tunnel(
            1701,
            n16(0x4A02) + n16(20 + len(INNER4)) + bytes.fromhex("0001 0002 0000 0000 0002 0000 ff030021"),
        ),
    ),
    ("tzsp", 1, tunnel(37008, bytes.fromhex("01000001 00 0a0105 01"), ETHER4)),
]

EXTENSIONS = [
    ("hop-by-hop", ip6(option(1, bytes(4)) + tcp(b"data", addresses=SIX), 0)),
    ("destination", ip6(option(1, bytes(12)) + tcp(b"data", addresses=SIX), 60)),
    ("atomic-fragment", ip6(bytes((6, 0, 0, 0, 0, 0, 0, 9)) + tcp(b"data", addresses=SIX), 44)),
    ("shim6", ip6(bytes((6, 0, 0x80)) + bytes(5) + tcp(b"data", addresses=SIX), 140)),
    ("home-address", ip6(option(0xC9, HOME) + tcp(b"data", addresses=HOME + SERVER6), 60)),
    ("routing-0", ip6(bytes((6, 2, 0, 1)) + bytes(4) + HOME + tcp(b"data", addresses=CLIENT6 + HOME), 43)),
    ("routing-0-done", ip6(bytes((6, 2, 0, 0)) + bytes(4) + HOME + tcp(b"data", addresses=SIX), 43)),
    ("routing-2", ip6(bytes((6, 2, 2, 1)) + bytes(4) + HOME + tcp(b"data", addresses=CLIENT6 + HOME), 43)),
    (
        "routing-4",
        ip6(bytes((6, 4, 4, 1, 1, 0, 0, 0)) + HOME + SERVER6 + tcp(b"data", addresses=CLIENT6 + HOME), 43),
    ),
]

# The examples in the docstrings of link types.
EXAMPLES = [
    (name, number, bytes.fromhex(found[1]) + INNER4)
    for number, name in walk.LINK_TYPES.items()
    if (found := re.search(r"Example: ([0-9a-f ]*) before IPv4\.\s*$", walk._declared()[LINK + number][0].__doc__))
]

CASES = LINKS + TUNNELS + [(name, 1, ether(packet, 0x86DD)) for name, packet in EXTENSIONS]

# What labkit reads although tshark 4.0 does not, each with the reason.
LABKIT_ONLY = {
    "three-tags": "0x9200 and 0x9300 announce VLAN tags as well on some switches",
    "vxlan-8472": "the port that Linux has used since before there was 4789",
}
SINCE = {"vxlan-8472": (4, 6)}


@pytest.mark.parametrize(("name", "link", "frame"), CASES + EXAMPLES, ids=[case[0] for case in CASES + EXAMPLES])
def test_finds_the_segment(name, link, frame):
    found, seg = seen(frame, link)
    assert (found, seg.sport, seg.dport, seg.seq, seg.ack) == (TCP, 40000, 80, 1000, 2000)
    assert (seg.fault, seg.sum_state, seg.len) == (0, SUM_GOOD, 0 if name == "padding" else 4)
    if seg.len:
        assert frame[seg.data_at : seg.data_at + seg.data_len] == b"data"


@pytest.mark.parametrize(("name", "link", "frame"), CASES, ids=[case[0] for case in CASES])
def test_every_cut_is_survived(name, link, frame):
    whole = seen(frame, link)[1]
    for end in range(len(frame)):
        found, seg = seen(frame[:end], link, len(frame))
        if end >= whole.tcp_at + 4:
            assert found == TCP
        else:
            assert found == CUT_OFF or (frame[23] in (17, 47) and found in (OTHER, FOREIGN))
        if found == TCP and end >= whole.tcp_at + 20:
            assert (seg.len, seg.data_len) == (whole.len, max(0, min(whole.data_len, end - whole.data_at)))


def test_tshark_agrees(tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    path = tmp_path / "a.pcapng"
    with create(path, link=1) as writer:
        interfaces = {1: 0}
        for number, (_, link, frame) in enumerate(CASES):
            if link not in interfaces:
                interfaces[link] = writer.add_interface(link)
            writer.write(number, frame, interface=interfaces[link])
    fields = [word for name in ("seq_raw", "len", "checksum.status") for word in ("-e", f"tcp.{name}")]
    arguments = ["tshark", "-n", "-r", path, "-o", "tcp.check_checksum:TRUE", "-T", "fields", *fields]
    lines = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = dict(zip((case[0] for case in CASES), lines, strict=True))
    expected = dict.fromkeys(rows, "1000\t4\t1") | {"padding": "1000\t0\t1"}
    since = {name for name, version in SINCE.items() if release() >= version}
    assert {name for name in rows if rows[name] != expected[name]} == set(LABKIT_ONLY) - since


# The declarations.


def test_each_case_of_a_link_type_has_a_declaration_and_each_declaration_a_case():
    missing = {"AVS", "PRISM"}
    cases = {case[1] for case in LINKS + EXAMPLES}
    assert {name for number, name in walk.LINK_TYPES.items() if number not in cases} == missing


def layer(_buf, at, _end, stop):
    return END, at, stop


@pytest.mark.parametrize(
    ("module", "declare"), [(link_layers, link_type(TEST=60_000)), (tunnel_layers, udp_port(60_000))]
)
def test_a_declaration_is_all_that_a_new_layer_needs(module, declare, monkeypatch):
    monkeypatch.setattr(layer, "announced", {}, raising=False)
    monkeypatch.setattr(module, "layer", declare(layer), raising=False)
    ((number, name),) = announced(layer).items()
    assert walk._declared()[number] == (layer, name)


def test_a_number_that_two_layers_declare_is_refused(monkeypatch):
    monkeypatch.setattr(layer, "announced", {}, raising=False)
    monkeypatch.setattr(tunnel_layers, "layer", udp_port(4789)(layer), raising=False)
    with pytest.raises(ValueError, match="layer 0x312b5 is declared twice"):
        walk._declared()
