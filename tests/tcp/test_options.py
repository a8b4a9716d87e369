"""TCP options: octets to values and back, whatever the octets are."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labkit.tcp.extension_options import KIND_ACCECN_0, KIND_ACCECN_1, KIND_AO, KIND_MD5
from labkit.tcp.multipath import KIND_MPTCP
from labkit.tcp.options import (
    End,
    FastOpen,
    Mss,
    Nop,
    Option,
    Raw,
    Sack,
    SackPermitted,
    Timestamps,
    WindowScale,
    pack,
    unpack,
)

NAMED = {8, 34, KIND_MD5, KIND_AO, KIND_MPTCP, KIND_ACCECN_0, KIND_ACCECN_1}
"""Kinds from 6 on that are not `Raw`, if their lengths are sound."""

u32 = st.integers(0, 2**32 - 1)
options = st.one_of(
    st.just(Nop()),
    st.integers(0, 0xFFFF).map(Mss),
    st.integers(0, 0xFF).map(WindowScale),
    st.just(SackPermitted()),
    st.lists(st.tuples(u32, u32), min_size=1, max_size=4).map(lambda blocks: Sack(tuple(blocks))),
    st.builds(Timestamps, u32, u32),
    st.binary(max_size=16).map(FastOpen),
    # Kinds that labkit has no name for, with a sound length.
    st.builds(
        lambda kind, data: Raw(bytes((kind, 2 + len(data))) + data),
        st.integers(6, 255).filter(lambda kind: kind not in NAMED),
        st.binary(max_size=12),
    ),
)


def fits(found: list[Option]) -> bool:
    return sum(len(each.pack()) for each in found) <= 40


lists = st.lists(options, max_size=8).filter(fits)
"""Option lists that fit a header, of values for which there is one way to write them."""

KNOWN = [
    (Mss(1460), "020405b4"),
    (Mss(0), "02040000"),
    (WindowScale(7), "030307"),
    (SackPermitted(), "0402"),
    (Sack(((1, 2),)), "050a0000000100000002"),
    (Sack(((2**32 - 1, 0), (5, 9))), "0512ffffffff000000000000000500000009"),
    (Timestamps(7, 3), "080a0000000700000003"),
    (FastOpen(), "2202"),
    (FastOpen(bytes.fromhex("a1b2c3d4")), "2206a1b2c3d4"),
    (Nop(), "01"),
    (End(), "00"),
    (Raw(b"\xfd\x04ab"), "fd046162"),
]


@pytest.mark.parametrize(("option", "octets"), KNOWN, ids=lambda value: str(value))
def test_octets_of_each_kind(option: Option, octets: str) -> None:
    assert option.pack().hex() == octets
    assert option.kind == option.pack()[0]


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        ("", ()),
        ("020405b4 01 030307", (Mss(1460), Nop(), WindowScale(7))),
        ("020405b4 0402 0000", (Mss(1460), SackPermitted())),
        ("01 01 080a0000000700000003", (Nop(), Nop(), Timestamps(7, 3))),
        ("01 00 00 00", (Nop(),)),
        # More padding than packing would write.
        ("00000000", (Raw(bytes(4)),)),
        ("020405b4 00000000", (Mss(1460), Raw(bytes(4)))),
        # Something after the end of the list.
        ("00 010101", (Raw(b"\0\1\1\1"),)),
        # A length that does not go with its kind.
        ("0203 05 01", (Raw(b"\2\3\5"), Nop())),
        ("0502 0101", (Raw(b"\5\2"), Nop(), Nop())),
        ("0506 00000001 0101", (Raw(b"\5\6\0\0\0\1"), Nop(), Nop())),
        # A length below two, beyond the header, or missing.
        ("0200 05b4", (Raw(b"\2\0\5\xb4"),)),
        ("fd01 0101", (Raw(b"\xfd\1\1\1"),)),
        ("0204 05", (Raw(b"\2\4\5"),)),
        ("01 01 01 02", (Nop(), Nop(), Nop(), Raw(b"\2"))),
    ],
)
def test_what_octets_hold(octets: str, found: tuple[Option, ...]) -> None:
    assert unpack(bytes.fromhex(octets)) == found


@given(lists)
def test_options_come_back(found: list[Option]) -> None:
    assert unpack(pack(found)) == tuple(found)


@given(lists)
def test_header_is_aligned_and_padded_with_zeros(found: list[Option]) -> None:
    octets = pack(found)
    used = sum(len(each.pack()) for each in found)
    assert len(octets) % 4 == 0
    assert len(octets) - used < 4
    assert not any(octets[used:])


headers = st.integers(0, 10).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words))
kinds = st.sampled_from([0, 1, 2, 3, 4, 5, 8, 10, 34, 253])
likely = st.lists(kinds, max_size=40).map(lambda found: bytes(found[: len(found) & ~3]))
"""Octets that are mostly kinds and small lengths, so that options end in all sorts of places."""


@given(headers | likely)
@example(bytes(40))
@example(b"\x01" * 39 + b"\x00")
@example(b"\x02\x04\x05\xb4\x00\x00\x00\x00")
@example(b"\x03\x03\x07\x00" + bytes(4))
@example(b"\x22\x28" + bytes(38))
@example(b"\x05\x0a" + bytes(10))
def test_no_octet_of_a_header_is_lost(octets: bytes) -> None:
    assert pack(unpack(octets)) == octets


@given(st.binary(max_size=60))
def test_octets_of_any_length_are_borne(octets: bytes) -> None:
    # A header that the capture cut need not end at a multiple of four.
    found = b"".join(option.pack() for option in unpack(octets))
    assert found == octets or (octets.startswith(found) and not any(octets[len(found) :]))


@pytest.mark.parametrize("found", [[Mss(1)] * 11, [Timestamps(0, 0)] * 4 + [Nop()], [FastOpen(bytes(39))]])
def test_a_header_has_room_for_forty_octets(found: list[Option]) -> None:
    with pytest.raises(ValueError, match="header has room for 40"):
        pack(found)
    assert len(pack([Mss(1)] * 10)) == 40


def test_raw_without_octets_has_a_kind() -> None:
    assert Raw(b"").kind == 0
