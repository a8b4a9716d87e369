"""Tricks that may hide a wrong packet: other frames, or another file, for the frames of a capture."""

import struct
from collections.abc import Callable
from io import BytesIO

from labkit.capture import Frame, create

ETHERNET, UNKNOWN, USB, RAW = 1, 65534, 189, 101
VLAN, QINQ = b"\x81\x00\x00\x07", b"\x88\xa8\x00\x07"

Trick = Callable[[list[Frame], int], list[Frame] | bytes]
"""Changes the frames of a capture, of which one is wrong: other frames, or the octets of a file."""


def written(frames: list[Frame]) -> bytes:
    """A pcapng with an interface for each pair of interface and link type."""
    out = BytesIO()
    kinds = list(dict.fromkeys((frame.interface, frame.link) for frame in frames))
    with create(out, link=kinds[0][1], format="pcapng") as writer:
        for _interface, link in kinds[1:]:
            writer.add_interface(link)
        for frame in frames:
            place = kinds.index((frame.interface, frame.link))
            writer.write(frame.time, frame.data, wirelen=frame.wirelen, interface=place)
    return out.getvalue()


def each(change: Callable[[bytes], bytes | list[bytes]], **others: int) -> Trick:
    """A trick that changes the octets of the wrong frame, or puts several in its place."""

    def trick(frames: list[Frame], at: int) -> list[Frame]:
        changed = change(frames[at].data)
        pieces = changed if isinstance(changed, list) else [changed]
        frame = frames[at]
        new = [frame._replace(data=piece, wirelen=max(len(piece), frame.wirelen), **others) for piece in pieces]
        return [*frames[:at], *new, *frames[at + 1 :]]

    return trick


def tagged(tags: bytes) -> Trick:
    return each(lambda data: data[:12] + tags + data[12:])


def patched(four: dict[int, int], six: dict[int, int]) -> Trick:
    """Change octets of the IP header, by their positions in an IPv4 and an IPv6 header, and correct the checksum."""

    def change(data: bytes) -> bytes:
        octets = bytearray(data)
        for at, value in (four if data[14] >> 4 == 4 else six).items():
            octets[14 + at] = value
        if data[14] >> 4 == 4 and 9 in four:
            octets[24:26] = bytes(2)
            total = sum(struct.unpack("!10H", octets[14:34]))
            octets[24:26] = (0xFFFF - (total % 0xFFFF)).to_bytes(2)
        return bytes(octets)

    return each(change)


def fragments(data: bytes) -> list[bytes]:
    """The IP datagram in pieces of eight octets each, the last one shorter."""
    head, body = (data[:34], data[34:]) if data[14] >> 4 == 4 else (data[:54], data[54:])
    if data[14] >> 4 == 4:
        body = body[: int.from_bytes(data[16:18]) - 20]
    found = []
    for start in range(0, len(body), 8):
        piece, more = body[start : start + 8], start + 8 < len(body)
        octets = bytearray(head)
        if head[14] >> 4 == 4:
            octets[16:18] = (20 + len(piece)).to_bytes(2)
            octets[20:22] = (start // 8 | more << 13).to_bytes(2)
            octets[24:26] = bytes(2)
            octets[24:26] = (0xFFFF - sum(struct.unpack("!10H", octets[14:34])) % 0xFFFF).to_bytes(2)
        else:
            octets[18:20] = (8 + len(piece)).to_bytes(2)
            octets[20] = 44
            octets += bytes((head[20], 0)) + (start | more).to_bytes(2) + bytes((0, 0, 0, 9))
        found.append(bytes(octets) + piece)
    return found


def cut_to(octets: int) -> Trick:
    return lambda frames, at: [*frames[:at], frames[at]._replace(data=frames[at].data[:octets]), *frames[at + 1 :]]


def moved(distance: int) -> Trick:
    """Put the wrong frame elsewhere in the file; its time stays."""

    def trick(frames: list[Frame], at: int) -> list[Frame]:
        rest = [*frames[:at], *frames[at + 1 :]]
        place = max(0, min(len(rest), at + distance))
        return [*rest[:place], frames[at], *rest[place:]]

    return trick


def ends_in(frames: list[Frame], at: int) -> bytes:
    """The file ends in the middle of the wrong packet."""
    return written(frames[: at + 1])[:-20]


def garbage_in(frames: list[Frame], at: int) -> bytes:
    """The block of the wrong packet makes no sense."""
    before = len(written(frames[:at])) if at else len(written(frames[:1])) - len(frames[0].data)
    octets = written(frames)
    return octets[:before] + b"\xff" * 8 + octets[before + 8 :]


def other_links(link: int, octets: int = 0) -> Trick:
    """The wrong frame stands at an interface of its own, without its first octets."""
    return lambda frames, at: [
        *frames[:at],
        frames[at]._replace(interface=1, link=link, data=frames[at].data[octets:], wirelen=frames[at].wirelen - octets),
        *frames[at + 1 :],
    ]


def whole(link: int) -> Trick:
    return lambda frames, _at: [frame._replace(link=link) for frame in frames]


TRICKS: dict[str, Trick] = {
    "nothing": lambda frames, _at: frames,
    "fragments": each(fragments),
    "fragments in reverse": each(lambda data: fragments(data)[::-1]),
    "first fragment is missing": each(lambda data: fragments(data)[1:]),
    "last fragment is missing": each(lambda data: fragments(data)[:-1]),
    "only a middle fragment": each(lambda data: fragments(data)[1:2]),
    "another interface": other_links(ETHERNET),
    "another link type": other_links(RAW, 14),
    "unknown link type": other_links(UNKNOWN),
    "unsupported link type": other_links(USB),
    "all of an unknown link type": whole(UNKNOWN),
    "snap length 60": cut_to(60),
    "snap length 42": cut_to(42),
    "snap length 35": cut_to(35),
    "snap length 20": cut_to(20),
    "snap length 0": cut_to(0),
    "VLAN": tagged(VLAN),
    "QinQ": tagged(QINQ + VLAN),
    "forty VLANs": tagged(VLAN * 40),
    "VLAN that is not there": each(lambda data: data[:12] + b"\x81\x00" + data[14:]),
    "EtherType of ARP": each(lambda data: data[:12] + b"\x08\x06" + data[14:]),
    "unknown EtherType": each(lambda data: data[:12] + b"\x12\x34" + data[14:]),
    "EtherType of the other IP": each(
        lambda data: data[:12] + (b"\x86\xdd" if data[14] >> 4 == 4 else b"\x08\x00") + data[14:]
    ),
    "length in place of the EtherType": each(lambda data: data[:12] + b"\x00\x40" + data[14:]),
    "IP version 5": patched({0: 0x55}, {0: 0x50}),
    "IP header of four words": patched({0: 0x44}, {0: 0x40}),
    "IP length of the header alone": patched({2: 0, 3: 20, 9: 6}, {4: 0, 5: 1}),
    "IP protocol 99": patched({9: 99}, {6: 99}),
    "IP protocol 253": patched({9: 253}, {6: 253}),
    "IP protocol UDP": patched({9: 17}, {6: 17}),
    "IP protocol ICMP": patched({9: 1}, {6: 58}),
    "IP protocol GRE": patched({9: 47}, {6: 47}),
    "IP protocol OSPF": patched({9: 89}, {6: 89}),
    "no next header": patched({9: 59}, {6: 59}),
    "IPv6 in IP": patched({9: 41}, {6: 41}),
    "one place earlier": moved(-1),
    "one place later": moved(1),
    "three places later": moved(3),
    "at the end": moved(1000),
    "the file ends in it": ends_in,
    "garbage in its place": garbage_in,
}
