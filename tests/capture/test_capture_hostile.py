"""Whatever the octets: packets come back as they were written, and nothing but CaptureError is raised."""

import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.capture import Frame, create, formats, open_capture
from labkit.errors import CaptureError

FORMATS = tuple(format_.name for format_ in formats())

LATEST = (2**32 - 1) * 10**9
"""The last second that a pcap holds, in nanoseconds."""

packets = st.lists(
    st.tuples(st.integers(0, LATEST), st.binary(max_size=80), st.integers(0, 2000), st.lists(st.text(), max_size=2)),
    max_size=6,
)


def written(format_, sent, nanoseconds=True):
    target = io.BytesIO()
    names = {"192.0.2.1": "client", "2001:db8::1": "server"}
    with create(target, link=113, format=format_, comment="all", names=names, nanoseconds=nanoseconds) as capture:
        for time, data, more, comments in sent:
            capture.write(time, data, wirelen=len(data) + more, comments=comments, outbound=bool(more & 1))
    return target.getvalue()


def read(octets):
    """The frames and the damage; none and True where it is not a capture."""
    try:
        with open_capture(io.BytesIO(octets)) as capture:
            return list(capture), capture.damage
    except CaptureError as error:
        assert "\n" not in str(error)
        return [], True


@pytest.mark.parametrize("nanoseconds", [True, False])
@pytest.mark.parametrize("format_", FORMATS)
@given(sent=packets, compress=st.booleans())
def test_round_trip(format_, nanoseconds, sent, compress):
    octets = written(format_, sent, nanoseconds)
    frames, damage = read(gzip.compress(octets) if compress else octets)
    unit = 1 if nanoseconds else 1000
    assert damage is None
    assert frames == [
        Frame(
            number,
            time // unit * unit,
            113,
            data,
            len(data) + more,
            tuple(comments) if format_ == "pcapng" else (),
        )
        for number, (time, data, more, comments) in enumerate(sent, 1)
    ]


@pytest.mark.parametrize("format_", FORMATS)
@given(sent=packets, data=st.data())
def test_a_part_of_a_capture_gives_a_part_of_the_packets(format_, sent, data):
    octets = written(format_, sent)
    length = data.draw(st.integers(0, len(octets) - 1))
    frames, damage = read(octets[:length])
    whole = read(octets)[0]
    assert frames == whole[: len(frames)]
    if damage is None:
        # Nothing tells that there was more: the cut is at the end of a record.
        assert read(octets[:length] + octets[length : length + 1])[1] is not None
    elif damage is not True:
        assert damage.cut
        assert damage.at < length
        assert len(frames) < len(whole) or format_ == "pcapng"


@pytest.mark.parametrize("format_", FORMATS)
@given(sent=packets, data=st.data())
@settings(max_examples=300)
def test_changed_octets(format_, sent, data):
    octets = bytearray(written(format_, sent))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(octets) - 1))
        new = data.draw(st.binary(min_size=1, max_size=8))
        end = at + len(new) if data.draw(st.booleans()) else at
        octets[at:end] = new
    frames, damage = read(bytes(octets))
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert all(0 <= frame.time < 2**62 for frame in frames)
    assert damage is None or damage is True or ("\n" not in damage.message and damage.at <= len(octets))


HEADS = {
    "nothing": b"",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\3",
    **{format_: written(format_, []) for format_ in FORMATS},
}


@pytest.mark.parametrize("head", HEADS)
@given(tail=st.binary(max_size=300))
@settings(max_examples=300)
def test_random_octets(head, tail):
    read(HEADS[head] + tail)


@pytest.mark.parametrize("format_", FORMATS)
@given(at=st.integers(0, 10_000), new=st.integers(0, 255))
def test_changed_compressed_octets(format_, at, new):
    octets = written(format_, [(number, b"%d" % number**9, 0, []) for number in range(50)])
    packed = bytearray(gzip.compress(octets, mtime=0))
    packed[at % len(packed)] = new
    read(bytes(packed))
