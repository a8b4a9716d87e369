"""Options of MD5, TCP-AO, AccECN and MPTCP: octets and text, both ways, with tshark as the judge of the octets."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from labkit.build.script import parse
from labkit.packet.scapy_build import tcp
from labkit.tcp.extension_options import Extension
from labkit.tcp.multipath import SUBTYPES, Multipath
from labkit.tcp.notation import format_option, parse_options
from labkit.tcp.options import Raw, pack, unpack
from labkit.tcp.segment import Segment

DIGEST = "00112233445566778899aabbccddeeff"

TEXTS = {
    f"md5 {DIGEST}": "1312" + DIGEST,
    "ao keyid 1 rnextkeyid 2 mac 001122334455667788990011": "1d100102001122334455667788990011",
    "ao keyid 255 rnextkeyid 0 mac": "1d04ff00",
    "accecn0": "ac02",
    "accecn0 e0b 1 ceb 2 e1b 3": "ac0b000001000002000003",
    "accecn1 e1b 1": "ae05000001",
    "accecn1 e1b 16777215 ceb 0": "ae08ffffff000000",
    "mp_capable version 1 flags 0x01": "1e040101",
    "mp_capable version 1 flags 0x01 sender 0x00000000000000a1": "1e0c010100000000000000a1",
    "mp_capable version 1 flags 0x01 sender 0x00000000000000b2 receiver 0x00000000000000a1 length 99": (
        "1e160101" + "00000000000000b2" + "00000000000000a1" + "0063"
    ),
    "mp_join flags 0x01 id 2 token 0x01020304 nonce 0x05060708": "1e0c11020102030405060708",
    "mp_join id 2 hmac8 0x0102030405060708 nonce 0x0000000a": "1e10100201020304050607080000000a",
    "mp_join hmac20 0x" + "00" * 19 + "01": "1e181000" + "00" * 19 + "01",
    "dss": "1e042000",
    "dss ack4 7": "1e08200100000007",
    "dss fin ack8 7 dsn8 1 ssn 1 length 99": "1e1a201f000000000000000700000000000000010000000100" + "63",
    "dss dsn4 1 ssn 2 length 3 checksum 0x0004": "1e1020040000000100000002" + "00030004",
    "add_addr id 1 ipv4 10.8.0.2 port 80": "1e0a30010a0800020050",
    "add_addr flags 0x01 id 1 ipv4 10.8.0.2": "1e0831010a080002",
    "add_addr id 1 ipv6 2001:db8::1 hmac 0x0000000000000009": "1e1c300120010db80000000000000000000000010000000000000009",
    "remove_addr id1 1 id2 255": "1e054001ff",
    "mp_prio flags 0x01": "1e0351",
    "mp_fail dsn8 5": "1e0c60000000000000000005",
    "mp_fastclose key 0x0000000000000007": "1e0c70000000000000000007",
    "mp_tcprst flags 0x01 reason 2": "1e048102",
}


@pytest.mark.parametrize(("text", "octets"), TEXTS.items())
def test_text_and_octets_are_one(text: str, octets: str) -> None:
    (option,) = parse_options(text)
    assert option.pack().hex() == octets
    assert option.width == len(octets) // 2
    assert [each for each in unpack(pack([option])) if not isinstance(each, Raw) or each.kind][:1] == [option]
    assert format_option(option) == text


def test_every_subtype_is_in_the_table() -> None:
    named = {text.split()[0] for text in TEXTS}
    assert named >= {subtype.name for subtype in SUBTYPES.values()}


@given(st.sampled_from([19, 29, 30, 172, 174]), st.binary(max_size=38))
def test_any_octets_come_back(kind: int, data: bytes) -> None:
    octets = bytes((kind, 2 + len(data))) + data
    (option,) = (each for each in unpack(octets + bytes(-len(octets) % 4)) if each.kind == kind)
    assert option.pack() == octets
    assert parse_options(format_option(option)) == (option,)


@given(st.integers(0, 8), st.integers(0, 15), st.binary(max_size=36))
def test_octets_of_mptcp_come_back(subtype: int, bits: int, data: bytes) -> None:
    octets = bytes((30, 3 + len(data), subtype << 4 | bits)) + data
    (option,) = (each for each in unpack(octets + bytes(-len(octets) % 4)) if each.kind == 30)
    assert isinstance(option, Extension | Raw)
    assert option.pack() == octets


@pytest.mark.parametrize(
    "text",
    [
        "md5",
        "md5 00",
        f"md5 {DIGEST} {DIGEST}",
        "md5 xyz",
        "ao",
        "ao keyid 256 rnextkeyid 1 mac 00",
        "ao keyid -1 rnextkeyid 1 mac 00",
        "accecn0 ceb 1",
        "accecn0 e0b",
        "accecn1 e1b 16777216",
        "accecn1 e1b 1 ceb 1 e0b 1 e0b 1",
        "mp_capable version 16",
        "mp_capable key 1",
        "mp_capable version",
        "mp_capable version x",
        "mp_capable version -1",
        "mp_capable version 1 version 1",
        "dss fin 1",
        "dss flags 0x20",
        "dss ack4 4294967296",
        "dss ssn 1 ack4 1",
        "add_addr id 1 ipv4 10.0.0",
        "add_addr id 1 ipv6 10.0.0.1",
        "remove_addr",
        "remove_addr id2 1",
        "mp_nothing",
    ],
)
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text.split()[0]):
        parse_options(text)


@pytest.mark.parametrize(
    ("subtype", "fields"), [("mp_nothing", ()), ("dss", (("ack4", -1),)), ("mp_prio", (("id", 1),))]
)
def test_bad_fields_are_refused(subtype: str, fields: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(ValueError):
        Multipath(subtype, fields)


# What tshark must print for the options above: a field, and its value for each.
TSHARK = {
    "md5": ("tcp.options.md5.digest", DIGEST),
    "ao": ("tcp.options.ao.mac", "001122334455667788990011"),
    "accecn0": ("tcp.option_kind", "172"),
    "accecn1": ("tcp.option_kind", "174"),
    "mp_capable": ("tcp.options.mptcp.subtype", "0"),
    "mp_join": ("tcp.options.mptcp.subtype", "1"),
    "dss": ("tcp.options.mptcp.subtype", "2"),
    "add_addr": ("tcp.options.mptcp.subtype", "3"),
    "remove_addr": ("tcp.options.mptcp.subtype", "4"),
    "mp_prio": ("tcp.options.mptcp.subtype", "5"),
    "mp_fail": ("tcp.options.mptcp.subtype", "6"),
    "mp_fastclose": ("tcp.options.mptcp.subtype", "7"),
}


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    texts = [text for text in TEXTS if text.split()[0] in TSHARK and text != "ao keyid 255 rnextkeyid 0 mac"]
    trace = parse("\n".join(f"> . {n + 1}:{n + 1}(0) ack 1 <{text}>" for n, text in enumerate(texts)))
    trace.write(tmp_path / "a.pcap")
    names = sorted({field for field, _ in TSHARK.values()})
    asked = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-n", "-r", tmp_path / "a.pcap", "-T", "fields", *asked]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for text, line in zip(texts, lines, strict=True):
        field, value = TSHARK[text.split()[0]]
        found = dict(zip(names, line.split("\t"), strict=True))[field].replace(":", "")
        assert value in found.split(","), text


def test_scapy_names_them() -> None:
    options = parse_options(f"md5 {DIGEST},accecn1 e1b 1,mp_prio flags 0x01")
    built = bytes(tcp(Segment(options=options), 1, 2))
    assert built[20:] == pack(options)
    assert [name for name, _ in TCP(built).options][:3] == ["MD5", "AccECN1", "MPTCP"]
    built = bytes(tcp(Segment(options=parse_options("ao keyid 1 rnextkeyid 2 mac 0011")), 1, 2))
    (_, value), *_ = TCP(built).options
    assert (value.keyid, value.rnextkeyid, value.mac) == (1, 2, b"\x00\x11")
