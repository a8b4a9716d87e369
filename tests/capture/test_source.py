"""Where captures are read from: paths, pipes, standard input, gzip; and what is not a capture at all."""

import gzip
import io
import os
import random
import sys
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace

import pytest

from labkit.capture import create, formats, open_capture
from labkit.errors import CaptureError, UsageError


def written(format_="pcap", packets=3, size=60, seed=1):
    """A capture of random octets (which compression does not make smaller) in one format."""
    draw = random.Random(seed)
    target = io.BytesIO()
    with create(target, link=1, format=format_) as capture:
        for number in range(packets):
            capture.write(number, draw.randbytes(size))
    return target.getvalue()


def squeezed(octets):
    """Compressed with gzip, without the time of day."""
    return gzip.compress(octets, mtime=0)


def read(source):
    with open_capture(source) as capture:
        return list(capture), capture


@contextmanager
def piped(octets, pieces):
    """The reading end of a pipe into which these octets come in pieces."""
    reading, writing = os.pipe()

    def write():
        with open(writing, "wb", buffering=0) as end:  # noqa: PTH123 - a descriptor
            step = max(1, -(-len(octets) // pieces))
            end.writelines(octets[at : at + step] for at in range(0, len(octets), step))

    thread = Thread(target=write)
    thread.start()
    with open(reading, "rb") as end:  # noqa: PTH123 - a descriptor
        yield end
    thread.join()


@pytest.fixture(params=[format_.name for format_ in formats()])
def octets(request):
    return written(request.param)


def test_formats_are_found():
    assert [format_.name for format_ in formats()] == ["pcap", "pcapng"]


def test_paths(tmp_path, octets):
    path = tmp_path / "no suffix matters"
    path.write_bytes(octets)
    assert read(path)[0] == read(str(path))[0]
    assert len(read(path)[0]) == 3


def test_a_second_loop_goes_on_where_the_first_stopped(octets):
    with open_capture(io.BytesIO(octets)) as capture:
        assert next(iter(capture)).number == 1
        assert [frame.number for frame in capture] == [2, 3]
        assert list(capture) == []


def test_a_stream_stays_open(octets):
    stream = io.BytesIO(octets)
    read(stream)
    assert not stream.closed


@pytest.mark.parametrize("pieces", [1, 7, 1000])
@pytest.mark.parametrize("compress", [bytes, squeezed])
def test_pipes(octets, pieces, compress):
    with piped(compress(octets), pieces) as pipe:
        frames, capture = read(pipe)
    assert frames == read(io.BytesIO(octets))[0]
    assert capture.damage is None


def test_packets_come_as_soon_as_the_pipe_has_them():
    octets = written(packets=1)
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe, open(writing, "wb", buffering=0) as other:  # noqa: PTH123
        other.write(octets)
        with open_capture(pipe) as capture:
            # The writer is still there: waiting for more would never end.
            assert next(iter(capture)).number == 1


def test_standard_input(monkeypatch, octets):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(octets)))
    frames, capture = read("-")
    assert len(frames) == 3
    assert capture.name == "standard input"


def test_closed_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CaptureError, match="standard input: is closed"):
        open_capture("-")


def test_gzip_of_several_members_with_padding(octets):
    at = len(octets) // 2
    packed = squeezed(octets[:at]) + bytes(512) + squeezed(octets[at:]) + bytes(100)
    frames, capture = read(io.BytesIO(packed))
    assert frames == read(io.BytesIO(octets))[0]
    assert (capture.compressed, capture.damage) == (True, None)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda packed: packed[:-8] + bytes(8), "the gzip data is damaged (incorrect data check)"),
        (lambda packed: packed[:-4], "the gzip data is cut short"),
        (lambda packed: packed + b"more", "other data follows the gzip data"),
    ],
)
def test_all_packets_of_a_gzip_with_a_bad_end(octets, harm, message):
    frames, capture = read(io.BytesIO(harm(squeezed(octets))))
    assert frames == read(io.BytesIO(octets))[0]
    assert capture.damage.message == f"{message}; the capture ends at byte {len(octets)} of the uncompressed data"
    assert capture.damage.cut


def test_a_gzip_that_is_damaged_in_the_middle_gives_what_is_before():
    octets = written(packets=2000, size=100)
    packed = bytearray(squeezed(octets))
    middle = len(packed) // 2
    packed[middle : middle + 64] = b"\xff" * 64
    frames, capture = read(io.BytesIO(packed))
    sound = read(io.BytesIO(octets))[0]
    # Whether inflating fails, or gives garbage that the capture's own format does not have, is zlib's affair.
    assert 900 < len(frames) < 1100
    assert frames[:900] == sound[:900]
    assert capture.damage


def test_a_cut_gzip_gives_what_is_before():
    octets = written(packets=2000, size=100)
    packed = squeezed(octets)
    frames, capture = read(io.BytesIO(packed[: len(packed) // 2]))
    assert len(frames) > 900
    assert frames == read(io.BytesIO(octets))[0][: len(frames)]
    assert capture.damage.message.startswith("the gzip data is cut short; the capture ends in the middle of packet")
    assert capture.damage.message.count("of the uncompressed data") == 1


def test_what_a_small_gzip_blows_up_to_is_not_held():
    """A gigabyte of zeros, claimed to be one block: what may be kept is bounded."""
    head = written("pcapng", packets=0)
    block = (6).to_bytes(4, "little") + (1 << 30).to_bytes(4, "little")
    frames, capture = read(io.BytesIO(squeezed(head + block) + squeezed(bytes(1 << 20)) * 100))
    assert frames == []
    assert "1073741824 is not a valid block length" in capture.damage.message


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "x: not a capture: the file is empty"),
        (b"hello", 'x: not a capture: it begins with "hello"'),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", r'x: not a capture: it begins with "GET / HTTP/1.1\r\n…"'),
        ("报文段报文段".encode(), 'x: not a capture: it begins with "报文段报文…"'),
        (b"\0\1\2", "x: not a capture: it begins with the bytes 00 01 02"),
        (b"\x1b[31mred", "x: not a capture: it begins with the bytes 1b 5b 33 31 6d 72 65 64"),
        (b"\x28\xb5\x2f\xfd....", "x: not a capture but zstd data: uncompress it first"),
        (squeezed(b"hello"), 'x: not a capture: uncompressed it begins with "hello"'),
        (squeezed(b""), "x: not a capture: the file is empty"),
        (squeezed(b"hello")[:9], "x: not a capture: the gzip data is cut short"),
        (b"\x1f\x8b\xff\xff", "x: not a capture: the gzip data is damaged (unknown compression method)"),
    ],
)
def test_what_is_no_capture(tmp_path, monkeypatch, octets, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(octets)
    with pytest.raises(CaptureError) as caught:
        open_capture("x")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", ".: is a directory, not a capture"),
        ("missing.pcap", "missing.pcap: cannot be read: No such file or directory"),
        ("", ": cannot be read: No such file or directory"),
        ("a\0b", r"a\x00b: cannot be read: its name has a null character"),
        ("\x1b[2J\n", r"\x1b[2J\n: cannot be read: No such file or directory"),
        ("\udcff", r"\udcff: cannot be read: No such file or directory"),
        ("x" * 300, f"{'x' * 300}: cannot be read: File name too long"),
    ],
)
def test_what_cannot_be_opened(name, message):
    with pytest.raises(CaptureError) as caught:
        open_capture(name)
    assert str(caught.value) == message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = tmp_path / "a.pcap"
    path.touch(mode=0)
    with pytest.raises(CaptureError, match="Permission denied"):
        open_capture(path)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_how_much_of_a_file_was_read(tmp_path, packed):
    octets = written(packets=30_000, size=100)
    path = tmp_path / "a.pcap"
    path.write_bytes(gzip.compress(octets, 1) if packed else octets)
    with open_capture(path) as capture:
        shares = [capture.share, *(capture.share for _frame in capture)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5 < shares[-2] <= shares[-1] == 1


def test_nobody_knows_how_much_of_a_stream_was_read():
    with open_capture(io.BytesIO(written())) as capture:
        assert {capture.share, *(capture.share for _frame in capture)} == {None}


class Failing(io.RawIOBase):
    """A stream that gives a few octets, then fails as a broken disk does."""

    def __init__(self, octets):
        self.octets = octets

    def read(self, _size=-1):
        if not self.octets:
            raise OSError(5, "Input/output error")
        octets, self.octets = self.octets, b""
        return octets


def test_a_failing_disk():
    with open_capture(Failing(written())) as capture:
        frames = iter(capture)
        assert [next(frames).number for _ in range(3)] == [1, 2, 3]
        with pytest.raises(CaptureError, match="the stream: cannot be read: Input/output error"):
            next(frames)
    with pytest.raises(CaptureError, match="Input/output error"):
        open_capture(Failing(b""))


def test_what_is_no_file_is_one_line():
    message = "a value of type int is not a capture; expected a path or an open binary file"
    with pytest.raises(UsageError, match=message):
        open_capture(5)
    with pytest.raises(UsageError, match=message):
        create(5, link=1)
    for link in (-1, 65536, "ethernet"):
        with pytest.raises(UsageError, match=f"link {link} is outside 0..65535"):
            create(io.BytesIO(), link=link)
