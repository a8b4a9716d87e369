"""The pcap format, octet by octet."""

import io
import struct

import pytest

from labkit.capture import create, open_capture
from labkit.errors import CaptureError

VARIANTS = [
    ("<", 0xA1B2C3D4, 1000, 0),
    (">", 0xA1B2C3D4, 1000, 0),
    ("<", 0xA1B23C4D, 1, 0),
    (">", 0xA1B23C4D, 1, 0),
    ("<", 0xA1B2CD34, 1000, 8),
    (">", 0xA1B2CD34, 1000, 8),
]


def header(order="<", magic=0xA1B23C4D, link=1, snaplen=65535):
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)


def record(data, order="<", seconds=1, fraction=5, caplen=None, wirelen=None, extra=0):
    caplen = len(data) if caplen is None else caplen
    wirelen = caplen if wirelen is None else wirelen
    return struct.pack(order + "IIII", seconds, fraction, caplen, wirelen) + bytes(extra) + data


def read(octets):
    with open_capture(io.BytesIO(octets)) as capture:
        return list(capture), capture


@pytest.mark.parametrize(("order", "magic", "unit", "extra"), VARIANTS)
def test_every_variant(order, magic, unit, extra):
    octets = header(order, magic, link=113)
    octets += record(b"first", order, seconds=0xFFFF_FFFF, fraction=999, extra=extra)
    octets += record(b"", order, wirelen=1514, extra=extra)
    frames, capture = read(octets)
    assert frames == [
        (1, 0xFFFF_FFFF * 10**9 + 999 * unit, 113, b"first", 5, (), 0),
        (2, 10**9 + 5 * unit, 113, b"", 1514, (), 0),
    ]
    assert (capture.format, capture.damage, capture.compressed) == ("pcap", None, False)


def test_upper_bits_of_the_link_type_are_the_length_of_the_fcs():
    _frames, capture = read(header(link=0x2400_0001, snaplen=96))
    assert [(each.link, each.fcs, each.snaplen) for each in capture.interfaces] == [(1, 4, 96)]


def test_a_capture_may_be_empty():
    frames, capture = read(header())
    assert frames == []
    assert capture.damage is None


@pytest.mark.parametrize("length", [4, 5, 23])
def test_half_a_header_is_no_capture(length):
    with pytest.raises(CaptureError, match=f"{length} of the 24 bytes"):
        read(header()[:length])


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            20,
            "capture ends in the middle of packet 2, which begins at byte 100: 40 of its 60 bytes are present",
        ),
        (60, "middle of packet 2, which begins at byte 100: 0 of its 60 bytes are present"),
        (61, "middle of packet 2, which begins at byte 100: 15 of the 16 bytes of its header are present"),
        (75, "middle of packet 2, which begins at byte 100: 1 of the 16 bytes of its header are present"),
    ],
)
def test_a_cut_capture_says_where(missing, message):
    octets = header() + record(b"a" * 60) + record(b"b" * 60)
    frames, capture = read(octets[:-missing])
    assert [frame.data for frame in frames] == [b"a" * 60]
    assert message in capture.damage.message
    assert (capture.damage.at, capture.damage.cut) == (100, True)


@pytest.mark.parametrize(
    ("snaplen", "caplen", "sane"),
    [
        (96, 262_144, True),
        (96, 262_145, False),
        (0, 262_145, False),
        (300_000, 300_000, True),
        (300_000, 300_001, False),
        (0xFFFF_FFFF, (1 << 24) + 1, False),
        (0xFFFF_FFFF, 0xFFFF_FFFF, False),
    ],
)
def test_what_a_record_may_claim(snaplen, caplen, sane):
    data = bytes(caplen) if sane else b"abc"
    frames, capture = read(header(snaplen=snaplen) + record(b"a") + record(data, caplen=caplen))
    if sane:
        assert [len(frame.data) for frame in frames] == [1, caplen]
        assert capture.damage is None
    else:
        assert len(frames) == 1
        assert f"packet 2 at byte 41 cannot be read: its record claims {caplen} bytes" in capture.damage.message
        assert not capture.damage.cut


def test_written_octets():
    target = io.BytesIO()
    with create(target, link=101, format="pcap") as capture:
        capture.write(1_000_000_005, b"abc", wirelen=9, comments=["has no room"], outbound=True)
    assert target.getvalue() == header(link=101, snaplen=262_144) + record(b"abc", wirelen=9)
    assert not capture.annotates


def test_microseconds_are_rounded_down():
    target = io.BytesIO()
    with create(target, link=1, format="pcap", nanoseconds=False) as capture:
        capture.write(1_000_005_999, b"abc")
    assert target.getvalue() == header(magic=0xA1B2C3D4, snaplen=262_144) + record(b"abc")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((-1, b""), {}, "1970 to 2106"),
        ((2**32 * 10**9, b""), {}, "1970 to 2106"),
        ((0, bytes(262_145)), {}, "262145 bytes"),
        ((0, b"abc"), {"wirelen": 2}, "cannot have had 2"),
        ((0, b"abc"), {"wirelen": 2**32}, "cannot have had"),
        ((0, b"abc"), {"interface": 1}, "only interface 0"),
    ],
)
def test_what_a_pcap_cannot_hold(arguments, options, message):
    with create(io.BytesIO(), link=1, format="pcap") as capture, pytest.raises(CaptureError, match=message):
        capture.write(*arguments, **options)


def test_a_pcap_has_one_interface():
    with (
        create(io.BytesIO(), link=1, format="pcap") as capture,
        pytest.raises(CaptureError, match="one interface"),
    ):
        capture.add_interface(101)
