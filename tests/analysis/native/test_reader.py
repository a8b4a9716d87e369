"""Batches have the same segments as the interpreter's reader: of any file, whole or damaged, in chunks of any size."""

import gzip
import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple

import pytest
from blocks import Blocks
from frames import CLIENT6, SERVER6, checksum, ether, ip4, ip6, n16, tcp
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis.flows import segments
from labkit.analysis.native import reader
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.native.pipeline import batches, run
from labkit.analysis.native.reader import Batch, Feed
from labkit.analysis.native.records import read_row
from labkit.analysis.native.segment_loop import is_usual
from labkit.analysis.severity import RFC9293
from labkit.capture import Damage, Frame, Reader, open_capture
from labkit.errors import CaptureError
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, PSH, SYN

FIELDS = [
    each.name for each in fields(Seen) if each.name not in {"seg_len", "end", "seq_offset", "new_octets", "conflict"}
]
"""The fields that `decode` fills."""
PCAPS = Path(__file__).parents[3] / "pcaps"
FOLDER = os.environ.get("LABKIT_CAPTURES")
LARGEST = 100_000
"""Larger captures are left out: they show nothing else."""
FILES = sorted(each for each in Path(FOLDER or PCAPS).rglob("*.*") if each.is_file() and each.stat().st_size < LARGEST)

Segments = list[tuple[tuple[int, ...], bytes]]


class Read(NamedTuple):
    """The result of reading a capture."""

    segments: Segments
    packets: int
    damage: Damage | None
    start: int
    names: dict[str, str]
    interfaces: int


def interpreted(source: Path | BinaryIO) -> Read | str:
    return opened(source, by_interpreter)


def compiled(source: Path | BinaryIO, code: Library, chunk: int = reader.CHUNK) -> Read | str:
    return opened(source, lambda capture: by_engine(capture, code, chunk))


def opened(source: Path | BinaryIO, read: Callable[[Reader], tuple[Segments, int, int]]) -> Read | str:
    try:
        with open_capture(source) as capture:
            found, packets, start = read(capture)
            return Read(found, packets, capture.damage, start, capture.names, len(capture.interfaces))
    except CaptureError as error:
        return str(error)


def by_interpreter(capture: Iterable[Frame]) -> tuple[Segments, int, int]:
    seg, count, start = Seen(), 0, 0

    def counted() -> Iterator[Frame]:
        nonlocal count, start
        for frame in capture:
            start = start if count else frame.time
            count += 1
            yield frame

    found = []
    for _frame, data in segments(counted(), seg):
        values = values_of(seg)
        found.append((values, data[: size(values)]))
    return found, count, start


def by_engine(capture: Iterable[Frame], code: Library, chunk: int = reader.CHUNK) -> tuple[Segments, int, int]:
    feed, batch = Feed(capture, code, chunk=chunk), Batch()
    found: Segments = []
    while feed.fill(batch):
        rows, places = batch.segments[: batch.row.count], batch.places[: batch.row.count]
        for row, place in zip(rows, places, strict=True):
            seg = Seen()
            read_row(row, seg)
            values = values_of(seg)
            found.append((values, bytes(batch.octets.view[place : place + size(values)])))
    return found, batch.row.packets, batch.row.start


def values_of(seg: Seen) -> tuple[object, ...]:
    found = (getattr(seg, name) for name in FIELDS)
    return tuple(tuple(each) if isinstance(each, list) else each for each in found)


def size(values: tuple[int, ...]) -> int:
    """Octets to compare: the frame, or a reassembled datagram up to the end of the segment."""
    seg = dict(zip(FIELDS, values, strict=True))
    return seg["data_at"] + seg["data_len"] if seg["joined"] else seg["caplen"]


def test_there_are_files() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_segments_of_shared_captures(file: Path, code: Library) -> None:
    assert compiled(file, code) == interpreted(file)


# Every form of a file, and what may be wrong with it.

FRAME = ether(ip4(tcp(b"some octets")))
OTHER = ether(b"nothing", 0x0806)
DATAGRAM = ip6(tcp(b"six", addresses=CLIENT6 + SERVER6))
NOW = 1_700_000_000_123_456_789


def pcap(magic: int, order: str, extra: bytes = b"", snaplen: int = 65535) -> bytes:
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, 1)
    lengths = ((FRAME, 0), (OTHER, 40), (FRAME[:60], 5), (b"", 60), (FRAME, -9))
    return head + b"".join(
        struct.pack(order + "IIII", 2**32 - 1 - number, 999_999, len(data), len(data) + more) + extra + data
        for number, (data, more) in enumerate(lengths)
    )


def sections(order: str) -> bytes:
    blocks = Blocks(order)
    return (
        blocks.section()
        + blocks.interface()
        + blocks.enhanced(FRAME, 5, options=((1, b"a comment"),))
        + blocks.enhanced(OTHER, 6)
        + blocks.interface(101, 50, (9, b"\x09"))
        + blocks.enhanced(FRAME, 7)
        + blocks.enhanced(DATAGRAM, NOW, interface=1, wirelen=1500)
        + blocks.interface(101, 0, (9, b"\x94"), (14, struct.pack(order + "q", -7)))
        + blocks.enhanced(DATAGRAM, 1 << 40, interface=2)
        + blocks.enhanced(DATAGRAM, 6 << 20, interface=2)
        + blocks.simple(FRAME, len(FRAME))
        + blocks.obsolete(FRAME, 9)
        + blocks.enhanced(DATAGRAM, 2**64 - 1, interface=1)
        + blocks.block(4, blocks.options((1, bytes((192, 0, 2, 1)) + b"client\0")))
        + Blocks("><"[order == ">"]).section()
        + Blocks("><"[order == ">"]).interface(1, 0, (14, struct.pack("><"[order == ">"] + "q", 2**62)))
        + Blocks("><"[order == ">"]).enhanced(FRAME, 10)
    )


FORMS = {
    "microseconds": pcap(0xA1B2C3D4, "<"),
    "big-endian": pcap(0xA1B2C3D4, ">"),
    "nanoseconds": pcap(0xA1B23C4D, "<"),
    "big-endian-nanoseconds": pcap(0xA1B23C4D, ">"),
    "modified": pcap(0xA1B2CD34, "<", bytes(8)),
    "section": sections("<"),
    "big-endian-section": sections(">"),
}
CHUNKS = [
    pytest.param(40, id="smaller-than-records"),
    pytest.param(100, id="small-batches"),
    pytest.param(reader.CHUNK, id="batches"),
]


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("form", FORMS)
def test_truncated_files(form: str, chunk: int, code: Library) -> None:
    whole = FORMS[form]
    assert isinstance(interpreted(io.BytesIO(whole)), Read)
    for end in range(len(whole) + 1):
        assert compiled(io.BytesIO(whole[:end]), code, chunk) == interpreted(io.BytesIO(whole[:end])), end


@pytest.mark.parametrize("form", FORMS)
def test_files_with_a_changed_octet(form: str, code: Library) -> None:
    whole = FORMS[form]
    for at in range(len(whole)):
        spoiled = io.BytesIO(whole[:at] + bytes((whole[at] ^ 0x80,)) + whole[at + 1 :])
        found = compiled(spoiled, code, 100 + at)
        spoiled.seek(0)
        assert found == interpreted(spoiled), at


@given(random=st.randoms(use_true_random=False), form=st.sampled_from(sorted(FORMS)))
def test_files_with_many_changed_octets(random: Random, form: str, code: Library) -> None:
    octets = bytearray(FORMS[form])
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(octets))
        octets[at : at + random.randrange(3)] = random.randbytes(random.randrange(6))
    chunk = random.randrange(64, 2000)
    assert compiled(io.BytesIO(octets), code, chunk) == interpreted(io.BytesIO(octets))


class Trickle(io.RawIOBase):
    """A pipe that gives a few octets at a time."""

    def __init__(self, octets: bytes) -> None:
        self._octets = io.BytesIO(octets)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._octets.readinto(memoryview(buffer)[:7])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("through", [Trickle, lambda octets: io.BytesIO(gzip.compress(octets))], ids=["pipe", "gzip"])
def test_streams(through: Callable[[bytes], BinaryIO], form: str, code: Library) -> None:
    whole = FORMS[form]
    assert isinstance(interpreted(through(whole)), Read)
    for octets in (whole, whole[:-1], whole + b"\0"):
        assert compiled(through(octets), code, 300) == interpreted(through(octets))
    if form != "section":
        return
    cut = gzip.compress(whole)[:-12]
    assert compiled(io.BytesIO(cut), code) == interpreted(io.BytesIO(cut))


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_block_without_a_packet_after_each_packet(chunk: int, code: Library) -> None:
    blocks = Blocks("<")
    each = blocks.block(0xBAD, b"what is this") + blocks.enhanced(FRAME, 5)
    octets = blocks.section() + blocks.interface() + each * (reader.MAX_RETURNS + 10)
    found = compiled(io.BytesIO(octets), code, chunk)
    assert found == interpreted(io.BytesIO(octets))
    assert isinstance(found, Read)
    assert found.packets == reader.MAX_RETURNS + 10


@pytest.mark.parametrize("chunk", CHUNKS)
def test_many_datagrams_completed_in_one_batch(chunk: int, code: Library) -> None:
    count, half = 40, 32_000
    body = tcp(bytes(range(256)) * 250)
    ends = [(body[:half], 0x2000), (body[half:], half // 8)]
    datagrams = [ether(ip4(part, ident=ident, fragment=place)) for part, place in ends for ident in range(count)]
    frames = [Frame(number, number, 1, data, len(data)) for number, data in enumerate(datagrams, 1)]
    segments_, packets, start = by_engine(frames, code, chunk)
    assert (segments_, packets, start) == by_interpreter(frames)
    assert (len(segments_), packets, start) == (count, 2 * count, 1)


def unmarked(datagram: bytes) -> bytes:
    """A datagram of `ip4`, which are ECT(1), without ECN."""
    head = datagram[:1] + b"\0" + datagram[2:10] + bytes(2) + datagram[12:20]
    return head[:10] + n16(checksum(head)) + head[12:] + datagram[20:]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_each_segment_is_marked_as_usual_or_not(chunk: int, code: Library) -> None:
    """Also where the row was another segment's before, and where fragments were joined."""
    syn, body = unmarked(ip4(tcp(ctl=SYN))), tcp(bytes(64), ctl=ACK)
    usual, marked = unmarked(ip4(tcp(b"data", ctl=ACK | PSH))), ip4(tcp(b"data"))
    pieces = [unmarked(ip4(part, ident=9, fragment=place)) for part, place in ((body[:40], 0x2000), (body[40:], 5))]
    datagrams = [usual, syn, usual, *pieces, usual, marked]
    frames = [Frame(number, number, 1, ether(data), 14 + len(data)) for number, data in enumerate(datagrams * 3, 1)]
    feed, batch, marks = Feed(frames, code, chunk=chunk), Batch(), []
    while feed.fill(batch):
        for row, mark in zip(batch.segments[: batch.row.count], batch.usual, strict=False):
            read_row(row, seg := Seen())
            assert mark == is_usual(seg)
            marks.append(mark)
    assert marks == [1, 0, 1, 0, 1, 0] * 3


def test_frames_of_any_iterable(code: Library) -> None:
    frames = [Frame(n, -n, 1, data, len(data)) for n, data in enumerate([OTHER, FRAME, FRAME[:50], b""] * 5000, 1)]
    for chunk in (50, reader.CHUNK):
        assert by_engine(iter(frames), code, chunk) == by_interpreter(frames)
    assert by_engine([], code) == ([], 0, 0)


class Stop(reader.Never):
    """Interrupts after a number of reads."""

    def __init__(self, readings: int) -> None:
        self.left = readings
        self.seen = False

    def waiting(self) -> AbstractContextManager[None]:
        self.left -= 1
        self.seen = self.left < 0
        return nullcontext()


def test_an_interruption_is_not_reported_as_damage(code: Library) -> None:
    told = []
    for readings in range(5):
        with open_capture(Trickle(FORMS["microseconds"])) as capture:
            feed, batch = Feed(capture, code, Stop(readings), 120), Batch()
            while feed.fill(batch):
                pass
            assert capture.damage is None
            told.append(batch.row.packets)
    assert told == [0, 2, 4, 5, 5]


@pytest.mark.parametrize("parallel", [False, True])
def test_reading_stops_before_packet_numbers_overflow(
    parallel: bool, code: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Frame(n, n, 1, FRAME, len(FRAME)) for n in range(1, 100)]
    monkeypatch.setattr(reader, "MAX_PACKETS", 40)
    feed = Feed(frames, code, chunk=1000)
    whole = run(feed, NativeVerifier(RFC9293, code), batches(parallel=parallel))
    assert 40 <= whole.packets < 60
    assert feed.damage == Damage(
        f"there are more than {whole.packets} packets; the others were not read", None, cut=True
    )
    monkeypatch.setattr(reader, "MAX_PACKETS", 99)
    feed = Feed(frames[:98], code, chunk=1000)
    assert (run(feed, NativeVerifier(RFC9293, code), batches()).packets, feed.damage) == (98, None)


def test_packet_numbers_have_room_for_one_more_batch() -> None:
    smallest = 16  # octets of a pcap's record that holds nothing
    assert reader.MAX_PACKETS + (reader.OCTETS + reader.SPARE) // smallest < 2**32
