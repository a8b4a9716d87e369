"""The pcapng format: blocks built by hand in both byte orders, and what is written."""

import io
import struct

import pytest
from blocks import Blocks

from labkit.capture import create, open_capture
from labkit.errors import CaptureError

ORDERS = ("<", ">")
NOW = 1_700_000_000_123_456_789


LITTLE = Blocks("<")


def read(octets):
    with open_capture(io.BytesIO(octets)) as capture:
        return list(capture), capture


@pytest.mark.parametrize("order", ORDERS)
def test_all_kinds_of_packets(order):
    blocks = Blocks(order)
    frames, capture = read(
        blocks.section((1, b"one"), (3, b"system"), (1, "zwei ü".encode()))
        + blocks.interface(1, 6, (2, b"eth0"), (3, b"the first"), (13, b"\4"))
        + blocks.interface(101, 0, (9, b"\x09"))
        + blocks.enhanced(b"a", 5, options=((2, bytes(4)), (1, b"hello"), (1, b""), (1, b"\xff")))
        + blocks.enhanced(b"abcde", NOW, interface=1, wirelen=1500)
        + blocks.simple(b"abcdef", 60)
        + blocks.simple(b"abc", 3)
        + blocks.obsolete(b"xyz", 7, options=((1, b"old"),))
    )
    assert frames == [
        (1, 5000, 1, b"a", 1, ("hello", "", "\ufffd"), 0),
        (2, NOW, 101, b"abcde", 1500, (), 1),
        (3, 0, 1, b"abcdef", 60, (), 0),
        (4, 0, 1, b"abc", 3, (), 0),
        (5, 7000, 1, b"xyz", 3, ("old",), 0),
    ]
    assert capture.damage is None
    assert capture.comments == ["one", "zwei ü"]
    first, second = capture.interfaces
    assert (first.link, first.snaplen, first.name, first.description, first.fcs) == (
        1,
        6,
        "eth0",
        "the first",
        4,
    )
    assert (second.link, second.snaplen, second.name) == (101, 0, "")


@pytest.mark.parametrize(
    ("options", "stamp", "time"),
    [
        ((), 1, 1000),
        (((9, b"\x00"),), 3, 3 * 10**9),
        (((9, b"\x03"),), 3, 3 * 10**6),
        (((9, b"\x09"),), 2**62 - 1, 2**62 - 1),
        (((9, b"\x09"),), 2**62, 2**62 - 1),
        (((9, b"\x0c"),), 1999, 1),
        (((9, b"\x7f"),), 2**64 - 1, 0),
        (((9, b"\x80"),), 2, 2 * 10**9),
        (((9, b"\x8a"),), 1, 976_562),
        (((9, b"\xff"),), 2**64 - 1, 0),
        (((9, b""),), 1, 1000),
        (((14, (100).to_bytes(8, "little")),), 1, 100 * 10**9 + 1000),
        (((14, (-1).to_bytes(8, "little", signed=True)),), 5 * 10**6, 4 * 10**9),
        (((14, b"short"),), 1, 1000),
        # Times that 64 bits do not hold stay at their limit.
        (((9, b"\x00"),), 2**64 - 1, 2**62 - 1),
        (((14, (-(2**63)).to_bytes(8, "little", signed=True)),), 1, 0),
    ],
)
def test_clocks(options, stamp, time):
    frames, _capture = read(LITTLE.section() + LITTLE.interface(1, 0, *options) + LITTLE.enhanced(stamp=stamp))
    assert [frame.time for frame in frames] == [time]


def test_sections_have_their_own_order_and_interfaces():
    octets = b""
    for blocks, link in ((LITTLE, 1), (Blocks(">"), 101)):
        octets += blocks.section((1, blocks.order.encode())) + blocks.interface(link) + blocks.enhanced(stamp=1)
    frames, capture = read(octets)
    assert [(frame.number, frame.link, frame.time, frame.interface) for frame in frames] == [
        (1, 1, 1000, 0),
        (2, 101, 1000, 1),
    ]
    assert capture.comments == ["<", ">"]
    assert [each.link for each in capture.interfaces] == [1, 101]


@pytest.mark.parametrize("order", ORDERS)
def test_names(order):
    blocks = Blocks(order)
    records = blocks.options(
        (1, bytes([192, 0, 2, 10]) + b"client\0also\0"),
        (1, bytes([192, 0, 2, 10]) + b"second\0"),
        (1, bytes([192, 0, 2, 11]) + b"\0"),
        (1, b"\1\2"),
        (2, bytes.fromhex("20010db8" + "00" * 11 + "14") + b"ser\x1bver\0"),
        (9, b"whatever"),
    )
    _frames, capture = read(blocks.section() + blocks.block(4, records))
    assert capture.names == {"192.0.2.10": "client", "2001:db8::14": r"ser\x1bver"}


def test_unknown_blocks_and_options_are_passed_over():
    frames, capture = read(
        LITTLE.section((0x8001, b"?"))
        + LITTLE.block(0x0BAD, b"custom" + bytes(2))
        + LITTLE.block(5, bytes(12))
        + LITTLE.interface(1, 0, (77, b"?"))
        + LITTLE.block(0x8000_0001, b"")
        + LITTLE.enhanced(options=((1, b"kept"), (99, b"?")))
    )
    assert [frame.comments for frame in frames] == [("kept",)]
    assert capture.damage is None


def test_an_option_that_does_not_fit_ends_its_list():
    body = struct.pack("<IIIII", 0, 0, 0, 4, 4) + b"data" + struct.pack("<HH", 1, 9) + b"abcd"
    frames, capture = read(LITTLE.section() + LITTLE.interface() + LITTLE.block(6, body))
    assert [(frame.data, frame.comments) for frame in frames] == [(b"data", ())]
    assert capture.damage is None


HEAD = LITTLE.section() + LITTLE.interface() + LITTLE.enhanced()
AT = len(HEAD)


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (
            LITTLE.enhanced(interface=1),
            f"packet 2 at byte {AT} cannot be read: it names interface 1, but the",
        ),
        (LITTLE.enhanced(caplen=5), "it claims 5 bytes, but its block has room for 4"),
        (LITTLE.enhanced(caplen=0xFFFF_FFFF), "it claims 4294967295 bytes"),
        (LITTLE.block(6, bytes(16)), "28 bytes are too few"),
        (LITTLE.block(2, bytes(16)), "28 bytes are too few"),
        (LITTLE.block(3, b""), "12 bytes are too few"),
        (LITTLE.simple(b"abcd", 5), "it claims 5 bytes, but its block has room for 4"),
        (LITTLE.block(1, bytes(4)), f"the block at byte {AT} cannot be read: 16 bytes are too few"),
        (LITTLE.block(0x0A0D0D0A, b"\x4d\x3c\x2b\x1a"), "16 bytes are too few"),
        (LITTLE.section(major=2), "version 2"),
        (LITTLE.block(0x0A0D0D0A, b"\1\2\3\4" + bytes(12)), "01 02 03 04 is not a byte-order magic"),
        (LITTLE.block(5, bytes(8), trailer=24), "its length is 20 at the start and 24 at the end"),
        (struct.pack("<III", 6, 8, 8), f"packet 2 at byte {AT} cannot be read: 8 is not a valid block length"),
        (struct.pack("<III", 5, 0, 0), f"the block at byte {AT} cannot be read: 0 is not a valid block length"),
        (struct.pack("<III", 5, 14, 14), "14 is not a valid block length"),
        (struct.pack("<III", 5, 0xFFFF_FFFC, 14), "4294967292 is not a valid block length"),
        (LITTLE.section() + LITTLE.enhanced(), "it names interface 0, but the section has 0"),
    ],
)
def test_what_makes_no_sense_ends_the_capture(rest, reason):
    frames, capture = read(HEAD + rest + LITTLE.enhanced())
    assert len(frames) == 1
    assert reason in capture.damage.message
    assert not capture.damage.cut
    assert capture.damage.at >= AT


def test_too_many_interfaces():
    frames, capture = read(LITTLE.section() + LITTLE.interface() * 65_537 + LITTLE.enhanced())
    assert frames == []
    assert "more than 65536 interfaces" in capture.damage.message


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            1,
            f"middle of packet 2, which begins at byte {AT}: 35 of the 36 bytes of its block are present",
        ),
        (35, f"in the middle of a block, which begins at byte {AT}: 1 of the 12 bytes"),
    ],
)
def test_a_cut_capture_says_where(missing, message):
    frames, capture = read((HEAD + LITTLE.enhanced())[:-missing])
    assert len(frames) == 1
    assert message in capture.damage.message
    assert (capture.damage.at, capture.damage.cut) == (AT, True)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"\n\r\r\n", "4 of the 12 bytes"),
        (b"\n\r\r\nabcdefgh", "65 66 67 68 is not a byte-order magic"),
        (LITTLE.section()[:-1], "27 of the 28 bytes"),
        (LITTLE.section(major=7), "version 7"),
        (
            LITTLE.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), trailer=4),
            "28 at the start and 4",
        ),
    ],
)
def test_a_broken_first_section_is_no_capture(octets, message):
    with pytest.raises(CaptureError, match=message):
        read(octets)


def test_round_trip_with_everything():
    target = io.BytesIO()
    names = {"192.0.2.10": "client", "2001:db8::14": "server"}
    with create(
        target,
        link=1,
        comment="a section",
        names=names,
        interface_name="eth0",
        interface_description="the client's",
        hardware="h",
        system="s",
        application="a",
    ) as capture:
        capture.write(NOW, b"first", comments=["eins", "zwei ü", ""], outbound=False)
        other = capture.add_interface(101, name="tun0")
        capture.write(0, b"", wirelen=60, interface=other, outbound=True)
    frames, read_back = read(target.getvalue())
    assert frames == [(1, NOW, 1, b"first", 5, ("eins", "zwei ü", ""), 0), (2, 0, 101, b"", 60, (), 1)]
    assert (read_back.names, read_back.comments, read_back.damage) == (names, ["a section"], None)
    assert [(each.name, each.description) for each in read_back.interfaces] == [
        ("eth0", "the client's"),
        ("tun0", ""),
    ]


def test_microseconds_are_rounded_down():
    target = io.BytesIO()
    with create(target, link=1, nanoseconds=False) as capture:
        capture.write(1999, b"")
    assert [frame.time for frame in read(target.getvalue())[0]] == [1000]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 65_536, "x" * 65_535),
        ("ü" * 40_000, "ü" * 32_767),
        ("\udc80", "?"),
    ],
)
def test_texts_are_cut_between_characters(text, kept):
    target = io.BytesIO()
    with create(target, link=1, comment=text, names={"192.0.2.1": text}) as capture:
        capture.write(0, b"abc", comments=[text])
    frames, read_back = read(target.getvalue())
    assert frames[0].comments == (kept,)
    assert read_back.comments == [kept]
    # The address and the null character at the end take their part.
    assert read_back.names == {"192.0.2.1": kept[: len(kept) - 5] if "x" in kept else kept[: (65_535 - 5) // 2]}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((-1, b""), {}, "1970 to 2554"),
        ((2**64, b""), {}, "1970 to 2554"),
        ((0, b"abc"), {"wirelen": 2}, "cannot have had 2"),
        ((0, b"abc"), {"interface": 1}, "no interface 1"),
        ((0, b"abc"), {"interface": -1}, "no interface -1"),
        ((0, b"abc"), {"comments": ["x" * 65_535] * 256}, "a block of"),
    ],
)
def test_what_a_pcapng_cannot_hold(arguments, options, message):
    with create(io.BytesIO(), link=1) as capture, pytest.raises(CaptureError, match=message):
        capture.write(*arguments, **options)


@pytest.mark.parametrize("address", ["client", "192.0.2", "2001:::1", "", "1\0"])
def test_names_need_addresses(address):
    with pytest.raises(CaptureError, match="is not an IP address"):
        create(io.BytesIO(), link=1, names={address: "name"})


def test_names_stand_behind_all_interfaces(tmp_path):
    """reordercap 4.0 loses the packets of an interface that stands behind them."""
    path = tmp_path / "a.pcapng"
    with create(path, link=1, names={"192.0.2.1": "a.example"}) as out:
        out.add_interface(1)
        out.write(0, bytes(60))
        out.write(1, bytes(60), interface=1)
    octets = path.read_bytes()
    kinds, at = [], 0
    while at < len(octets):
        kinds.append(int.from_bytes(octets[at : at + 4], "little"))
        at += int.from_bytes(octets[at + 4 : at + 8], "little")
    assert kinds[1:] == [1, 1, 4, 6, 6]


def test_names_are_written_without_packets_too(tmp_path):
    path = tmp_path / "a.pcapng"
    with create(path, link=1, names={"192.0.2.1": "a.example"}):
        pass
    with open_capture(path) as capture:
        assert list(capture) == []
        assert capture.names == {"192.0.2.1": "a.example"}


PACKETS = [
    [],
    [(NOW, b"", "", 0)],
    [(NOW + each, bytes(each), "x" * each, each % 2) for each in range(9)],
    [(0, b"abc", "", 0), ((1 << 62) - 1, b"abcd", "ü\udcff\n", 1), (5, b"abcde", "", 0)],
    [(NOW, bytes(70_000), "large", 1), (NOW, b"a", "y" * 70_000, 0), (NOW, b"abc", "small", 1)],
]


@pytest.mark.parametrize("packets", PACKETS)
def test_several_records_are_the_single_ones(packets: list[tuple[int, bytes, str, int]]) -> None:
    with create(io.BytesIO(), link=1, format="pcapng") as writer:
        writer.add_interface(1)
        each = [
            writer.record(time, data, comments=(comment,) if comment else (), interface=interface)
            for time, data, comment, interface in packets
        ]
        assert writer.records(packets) == b"".join(each)


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        ((-1, b"", "", 0), "can hold times from 1970 to 2554"),
        ((1 << 64, b"", "", 0), "can hold times from 1970 to 2554"),
        ((NOW, bytes(262_145), "", 0), "262145"),
        ((NOW, b"", "", 1), "there is no interface 1"),
        ((NOW, b"", "", -1), "there is no interface -1"),
    ],
)
def test_what_no_record_can_hold_is_an_error_among_several(packet: tuple[int, bytes, str, int], error: str) -> None:
    with pytest.raises(CaptureError, match=error), create(io.BytesIO(), link=1, format="pcapng") as writer:
        writer.records([(NOW, b"abc", "", 0), packet])
