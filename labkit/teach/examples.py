"""Turn conversations in the notation into frames, to run the examples of the rules.

Both ends have documentation addresses (RFC 5737, RFC 3849). A line without a time comes 10 ms after the line before it.
"""

from collections.abc import Iterator, Sequence

from labkit.build import script
from labkit.capture import Frame
from labkit.packet.frame_edits import apply, cut
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host
from labkit.packet.stamp import Stamp
from labkit.tcp.notation import CLIENT, SERVER, Line
from labkit.tcp.options import Sack
from labkit.tcp.segment import ACK, SYN, Segment
from labkit.tcp.seq import MASK, add

ENDS = {
    4: script.ENDS,
    6: (Host("2001:db8::10", 40000, "client"), Host("2001:db8::20", 80, "server", mac="02:00:00:00:00:02")),
}


def frames(lines: Sequence[Line], *, version: int = 4, isns: tuple[int, int] = (0, 0)) -> Iterator[Frame]:
    """Yield the lines as frames of a capture, numbered from 1. `{fragment=N}` cuts a frame into IP fragments of N octets,
    which share its number.

    `isns` are added to all numbers of the client and of the server (modulo 2**32). A side that never sends a SYN while the
    other side does has no ISN: the 0 of its reset stays 0.
    """
    offsets = _offsets(lines, isns)
    client, server = ENDS[version]
    stamps = {CLIENT: Stamp(client, server), SERVER: Stamp(server, client)}
    now = 0
    for number, line in enumerate(lines, 1):
        if line.time is None:
            now += script.STEP
        else:
            now = now + line.time if line.relative else line.time
        segment = _moved(line.segment, offsets[line.sender], offsets[1 - line.sender])
        octets = stamps[line.sender].frame(segment, ident=number)
        wirelen = len(octets)
        if line.edits:
            edits = {name: value for name, value in line.edits.items() if not name.startswith("ip.") or version == 4}
            octets, wirelen = apply(octets, ETHERNET, edits)
            if "fragment" in edits:
                pieces = cut(octets, ETHERNET, int(edits["fragment"], 0), number)
                yield from (Frame(number, now, ETHERNET, each, len(each)) for each in pieces)
                continue
        yield Frame(number, now, ETHERNET, octets, wirelen)


def _offsets(lines: Sequence[Line], isns: tuple[int, int]) -> tuple[int, int]:
    opens = {line.sender for line in lines if line.segment.ctl & SYN}
    first, second = (isns[side] & MASK if not opens or side in opens else 0 for side in (0, 1))
    return first, second


def _moved(segment: Segment, own: int, peer: int) -> Segment:
    ack = add(segment.ack, peer) if segment.ctl & ACK else segment.ack
    options = tuple(
        Sack(tuple((add(left, peer), add(right, peer)) for left, right in option.blocks))
        if isinstance(option, Sack)
        else option
        for option in segment.options
    )
    return segment.with_(seq=add(segment.seq, own), ack=ack, options=options)
