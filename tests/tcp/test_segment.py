"""Segments that are valid by construction."""

import dataclasses

import pytest

from labkit.packet.seen import CUT, SHORT_IP, SOUND, Seen
from labkit.tcp.options import Mss, Nop, SackPermitted, Timestamps
from labkit.tcp.segment import ACK, AE, BITS, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment
from labkit.tcp.segment import control_names as names


@pytest.mark.parametrize(
    ("ctl", "payload", "length"),
    [
        (0, 0, 0),
        (ACK, 0, 0),
        (ACK | PSH, 99, 99),
        (SYN, 0, 1),
        (SYN | ACK, 0, 1),
        (FIN | ACK, 0, 1),
        (FIN | ACK, 10, 11),
        (SYN | FIN, 5, 7),
        (RST, 3, 3),
        (URG | ECE | CWR | AE, 0, 0),
    ],
)
def test_numbers_that_a_segment_takes(ctl: int, payload: int, length: int) -> None:
    segment = Segment(seq=1000, ctl=ctl, payload=bytes(payload))
    assert segment.length == length
    assert segment.end == 1000 + length


@pytest.mark.parametrize(
    ("seq", "ctl", "payload", "end"),
    [
        (2**32 - 1, SYN, 0, 0),
        (2**32 - 1, ACK, 0, 2**32 - 1),
        (2**32 - 50, ACK, 50, 0),
        (2**32 - 50, FIN | ACK, 99, 50),
        (0, SYN, 0, 1),
    ],
)
def test_end_where_32_bits_wrap(seq: int, ctl: int, payload: int, end: int) -> None:
    assert Segment(seq=seq, ctl=ctl, payload=bytes(payload)).end == end


@pytest.mark.parametrize(
    ("name", "limit"),
    [("seq", 2**32 - 1), ("ack", 2**32 - 1), ("ctl", 0xFFF), ("window", 65535), ("urgent", 65535), ("ecn", 3)],
)
def test_values_fit_their_fields(name: str, limit: int) -> None:
    assert getattr(Segment(**{name: limit}), name) == limit
    for value in (-1, limit + 1):
        with pytest.raises(ValueError, match=rf"^{name} {value} is outside 0\.\.{limit}$"):
            Segment(**{name: value})
        with pytest.raises(ValueError, match=f"^{name} {value} "):
            Segment().with_(**{name: value})


def test_a_segment_does_not_change() -> None:
    segment = Segment(seq=1, ctl=ACK)
    with pytest.raises(dataclasses.FrozenInstanceError):
        segment.seq = 2  # type: ignore[misc]
    assert segment.with_(seq=2) == Segment(seq=2, ctl=ACK)
    assert segment.seq == 1


def test_options_of_a_segment() -> None:
    segment = Segment(options=(Mss(1460), Nop(), Mss(536)))
    assert segment.option(Mss) == Mss(1460)
    assert segment.option(Timestamps) is None
    assert Segment(options=(SackPermitted(), Nop())).header == b"\x04\x02\x01\x00"


@pytest.mark.parametrize(
    ("ctl", "text"),
    [
        (0, "none"),
        (SYN, "SYN"),
        (SYN | ACK, "SYN ACK"),
        (ACK, "ACK"),
        (PSH | ACK, "PSH ACK"),
        (FIN | ACK, "FIN ACK"),
        (RST | ACK, "RST ACK"),
        (FIN | PSH | URG, "FIN PSH URG"),
        (SYN | ECE | CWR | AE, "SYN ECE CWR AE"),
    ],
)
def test_names_of_control_bits(ctl: int, text: str) -> None:
    assert names(ctl) == text


def test_every_control_bit_has_its_name() -> None:
    assert sum(BITS.values()) == 0x1FF
    assert set(names(0x1FF).split()) == set(BITS)


@pytest.mark.parametrize(("fault", "readable"), [(SOUND, True), (SHORT_IP, True), (CUT, False)])
def test_what_can_be_read_of_a_seen_segment(fault: int, readable: bool) -> None:
    assert Seen(fault=fault).readable is readable
