"""Kinds of edits by hand, as people make them with a hex editor, Scapy or a rewriting tool. Each takes the frames of a capture,
the packets with segments in it and a random generator, and changes frames; it returns None where it does not apply."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from labkit.capture import Frame
from labkit.packet.decode.outcome import TCP
from labkit.packet.decode.walk import decode
from labkit.packet.seen import Seen

Edit = Callable[[list[Frame], Random], list[Frame] | None]
EDITS: dict[str, Edit] = {}


def edit(function: Edit) -> Edit:
    EDITS[function.__name__.replace("_", "-")] = function
    return function


def seen(frame: Frame) -> Seen | None:
    seg = Seen(wirelen=len(frame.data), caplen=len(frame.data))
    return seg if decode(frame.data, 0, len(frame.data), frame.link, seg) == TCP and seg.readable else None


def pick(frames: Sequence[Frame], random: Random, wanted: Callable[[Seen], bool]) -> tuple[int, Seen] | None:
    """A packet with a segment that fits, by its position."""
    found = [(place, seg) for place, frame in enumerate(frames) if (seg := seen(frame)) is not None and wanted(seg)]
    return random.choice(found) if found else None


def put(frame: Frame, at: int, octets: bytes) -> Frame:
    data = frame.data[:at] + octets + frame.data[at + len(octets) :]
    return frame._replace(data=data)


def put_number(at: int, size: int, change: Callable[[int, Random], int], wanted: Callable[[Seen], bool]) -> Edit:
    """Change a number of the TCP header."""

    def made(frames: list[Frame], random: Random) -> list[Frame] | None:
        found = pick(frames, random, wanted)
        if found is None:
            return None
        place, seg = found
        start = seg.tcp_at + at
        old = int.from_bytes(frames[place].data[start : start + size])
        new = change(old, random) % (1 << 8 * size)
        frames[place] = put(frames[place], start, new.to_bytes(size))
        return frames if new != old else None

    return made


def data(seg: Seen) -> bool:
    return seg.len > 1 and not seg.ctl & 7


def anything(_seg: Seen) -> bool:
    return True


def later(seg: Seen) -> bool:
    """After the handshake."""
    return not seg.ctl & 6 and seg.ctl & 16 != 0


def resized(frame: Frame, seg: Seen, payload: bytes, *, length: bool) -> Frame:
    """The frame with another payload; `length`: with the right IP length too."""
    octets = frame.data[: seg.data_at] + payload
    if length:
        at, size = (2, len(octets) - seg.ip_at) if seg.version == 4 else (4, len(octets) - seg.ip_at - 40)
        octets = octets[: seg.ip_at + at] + size.to_bytes(2) + octets[seg.ip_at + at + 2 :]
    return frame._replace(data=octets, wirelen=len(octets))


def once(frames: Sequence[Frame]) -> Callable[[Seen], bool]:
    """Whether octets are sent only once. Who changes octets that are sent twice makes two versions of them."""
    counts: Counter[tuple[int, int]] = Counter()
    for frame in frames:
        seg = seen(frame)
        if seg is not None:
            counts.update({(seg.sport, (seg.seq + (seg.ctl >> 1 & 1) + at) % (1 << 32)) for at in range(seg.len)})
    return lambda seg: data(seg) and all(counts[seg.sport, (seg.seq + at) % (1 << 32)] == 1 for at in range(seg.len))


def mss(frames: Sequence[Frame]) -> int:
    """The least MSS of all SYNs; without one, the default."""
    return min((seg.mss for frame in frames if (seg := seen(frame)) is not None and seg.mss > 0), default=536)


def payload(change: Callable[[bytes, Random], bytes], *, length: bool) -> Edit:
    def made(frames: list[Frame], random: Random) -> list[Frame] | None:
        found = pick(frames, random, once(frames))
        if found is None:
            return None
        place, seg = found
        old = frames[place].data[seg.data_at : seg.data_at + seg.len]
        new = change(old, random)
        if len(old) < len(new) and len(new) > mss(frames):
            return None
        frames[place] = resized(frames[place], seg, new, length=length)
        return frames

    return made


def words(count: int, random: Random) -> bytes:
    return random.randbytes(count)


ACK, SEQ = 8, 4
EDITS |= {
    "ack-one-more": put_number(ACK, 4, lambda ack, _: ack + 1, later),
    "ack-one-less": put_number(ACK, 4, lambda ack, _: ack - 1, later),
    "ack-far-ahead": put_number(ACK, 4, lambda ack, _: ack + 100_000, later),
    "ack-zero": put_number(ACK, 4, lambda _old, _: 0, later),
    "ack-random": put_number(ACK, 4, lambda _old, random: random.getrandbits(32), later),
    "ack-of-syn-ack": put_number(ACK, 4, lambda ack, _: ack + 1, lambda seg: seg.ctl & 18 == 18),
    "seq-one-more": put_number(SEQ, 4, lambda seq, _: seq + 1, data),
    "seq-one-less": put_number(SEQ, 4, lambda seq, _: seq - 1, data),
    "seq-zero": put_number(SEQ, 4, lambda _old, _: 0, data),
    "seq-random": put_number(SEQ, 4, lambda _old, random: random.getrandbits(32), data),
    "seq-of-fin": put_number(SEQ, 4, lambda seq, _: seq - 1, lambda seg: seg.ctl & 1 != 0 and seg.len == 0),
    "seq-of-ack": put_number(
        SEQ, 4, lambda seq, _: seq + 7, lambda seg: later(seg) and seg.len == 0 and not seg.ctl & 1
    ),
    "seq-of-syn": put_number(SEQ, 4, lambda seq, _: seq + 5, lambda seg: seg.ctl & 18 == 2),
    "tcp-checksum": put_number(16, 2, lambda old, random: old + random.randrange(1, 65_000), anything),
    "tcp-checksum-zero": put_number(16, 2, lambda _old, _: 0, anything),
    "data-offset": put_number(12, 1, lambda old, _: old ^ 0x30, anything),
    "payload-same-length": payload(lambda old, random: words(len(old), random), length=True),
    "payload-one-octet": payload(lambda old, _: bytes((old[0] ^ 1,)) + old[1:], length=True),
    "payload-longer": payload(lambda old, random: old + words(17, random), length=True),
    "payload-shorter": payload(lambda old, _: old[: len(old) // 2], length=True),
    "payload-longer-ip-length-stale": payload(lambda old, random: old + words(70, random), length=False),
    "payload-shorter-ip-length-stale": payload(lambda old, _: old[: len(old) // 2], length=False),
}


@edit
def data_taken_out(frames: list[Frame], random: Random) -> list[Frame] | None:
    found = pick(frames, random, data)
    return None if found is None else [*frames[: found[0]], *frames[found[0] + 1 :]]


@edit
def two_data_taken_out(frames: list[Frame], random: Random) -> list[Frame] | None:
    once = data_taken_out(frames, random)
    return None if once is None else data_taken_out(once, random)


@edit
def ack_taken_out(frames: list[Frame], random: Random) -> list[Frame] | None:
    """An ACK without data, behind the handshake and before the close."""
    close = next((place for place, frame in enumerate(frames) if (seg := seen(frame)) is not None and seg.ctl & 5), 0)
    found = pick(frames[3:close], random, lambda seg: later(seg) and seg.len == 0)
    return None if found is None else [*frames[: found[0] + 3], *frames[found[0] + 4 :]]


@edit
def data_inserted(frames: list[Frame], random: Random) -> list[Frame] | None:
    """A copy of a packet with other octets, and the copy's numbers."""
    found = pick(frames, random, once(frames))
    if found is None:
        return None
    place, seg = found
    made = resized(frames[place], seg, words(33, random), length=True)
    return [*frames[: place + 1], made, *frames[place + 1 :]]


@edit
def data_inserted_with_zeros(frames: list[Frame], random: Random) -> list[Frame] | None:
    """What Scapy makes without numbers: seq 0 and ack 0."""
    found = pick(frames, random, once(frames))
    if found is None:
        return None
    place, seg = found
    made = put(resized(frames[place], seg, words(33, random), length=True), seg.tcp_at + SEQ, bytes(8))
    return [*frames[: place + 1], made, *frames[place + 1 :]]


@edit
def packet_repeated(frames: list[Frame], random: Random) -> list[Frame] | None:
    found = pick(frames, random, later)
    return None if found is None else [*frames[: found[0] + 1], frames[found[0]], *frames[found[0] + 1 :]]


@edit
def addresses_rewritten(frames: list[Frame], random: Random) -> list[Frame] | None:
    """Another network for all addresses, without a thought of the checksums."""
    value = random.randrange(1, 255)
    for place, frame in enumerate(frames):
        seg = Seen(wirelen=len(frame.data), caplen=len(frame.data))
        decode(frame.data, 0, len(frame.data), frame.link, seg)
        if seg.joined or seg.src_at < 0:
            return None
        for at in (seg.src_at, seg.dst_at):
            frame = put(frame, at + 1, bytes((value,)))
        frames[place] = frame
    return frames


@edit
def ports_rewritten(frames: list[Frame], random: Random) -> list[Frame] | None:
    """The server's port everywhere: the lower one."""
    port = random.randrange(1024, 2048).to_bytes(2)
    for place, frame in enumerate(frames):
        seg = seen(frame)
        if seg is None:
            return None
        frames[place] = put(frame, seg.tcp_at + (0 if seg.sport < seg.dport else 2), port)
    return frames


@edit
def ip_checksum(frames: list[Frame], random: Random) -> list[Frame] | None:
    found = pick(frames, random, lambda seg: seg.version == 4)
    if found is None:
        return None
    place, seg = found
    frames[place] = put(frames[place], seg.ip_at + 10, random.randbytes(2))
    return frames


@edit
def all_checksums_zero(frames: list[Frame], _random: Random) -> list[Frame] | None:
    for place, frame in enumerate(frames):
        if (seg := seen(frame)) is None:
            return None
        frames[place] = put(frame, seg.tcp_at + 16, bytes(2))
    return frames


@edit
def all_acks_zero(frames: list[Frame], _random: Random) -> list[Frame] | None:
    for place, frame in enumerate(frames):
        if (seg := seen(frame)) is None:
            return None
        if later(seg):
            frames[place] = put(frame, seg.tcp_at + ACK, bytes(4))
    return frames


@edit
def renumbered_one_side(frames: list[Frame], random: Random) -> list[Frame] | None:
    """All sequence numbers of the client moved, and no acknowledgement of the server."""
    by = random.randrange(1, 10_000)
    first = next((seg for frame in frames if (seg := seen(frame)) is not None), None)
    if first is None:
        return None
    for place, frame in enumerate(frames):
        seg = seen(frame)
        if seg is None:
            return None
        if (seg.sport, seg.dport) == (first.sport, first.dport):
            frames[place] = put(frame, seg.tcp_at + SEQ, ((seg.seq + by) % (1 << 32)).to_bytes(4))
    return frames
