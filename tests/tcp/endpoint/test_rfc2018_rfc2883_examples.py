"""The examples of RFC 2018 section 4 and RFC 2883 sections 4 and 5: which blocks a receiver reports, segment by segment.

Numbers are the RFCs' own. A line is what arrives (first octet, last octet) and the answer: the ACK, and the SACK blocks
with their right edges excluded. What is lost or delayed does not arrive, and stands in no line.
"""

import pytest
from helpers import ConnectionPair

from labkit.tcp.endpoint import Config
from labkit.tcp.options import Sack
from labkit.tcp.segment import ACK, Segment
from labkit.tcp.seq import add

Line = tuple[tuple[int, int], int, list[tuple[int, int]]]

WRAPPING = 2**32 - 3000
"""A shift by which the numbers of the examples lie on both sides of 0."""


def receiver(first: int) -> ConnectionPair:
    """A connection whose server waits for an octet, and acknowledges each segment at once."""
    client = Config(iss=add(first, -1))
    return ConnectionPair(client, Config(iss=300, delayed_ack=None)).connect()


def answers(lines: list[Line], shift: int, sack: bool = True) -> list[tuple[int, list[tuple[int, int]]]]:
    """What the server answers to what arrives, in the numbers of the lines."""
    first = lines[0][1] if lines[0][2] else lines[0][0][0]
    pair = receiver(add(first, shift))
    found = []
    for (low, high), _, _ in lines:
        data = bytes(high + 1 - low)
        pair.server.receive(Segment(add(low, shift), 301, ACK, 65535, data), pair.now)
        (out,) = pair.server.segments(pair.now)
        option = out.segment.option(Sack)
        blocks = option.blocks if option else ()
        found.append(
            (add(out.segment.ack, -shift), [(add(left, -shift), add(right, -shift)) for left, right in blocks])
        )
    return found


RFC2018 = {
    "4, case 1: the last four of eight are lost": [
        ((5000, 5499), 5500, []),
        ((5500, 5999), 6000, []),
        ((6000, 6499), 6500, []),
        ((6500, 6999), 7000, []),
    ],
    "4, case 2: the first of eight is lost": [
        ((5500, 5999), 5000, [(5500, 6000)]),
        ((6000, 6499), 5000, [(5500, 6500)]),
        ((6500, 6999), 5000, [(5500, 7000)]),
        ((7000, 7499), 5000, [(5500, 7500)]),
        ((7500, 7999), 5000, [(5500, 8000)]),
        ((8000, 8499), 5000, [(5500, 8500)]),
        ((8500, 8999), 5000, [(5500, 9000)]),
    ],
    "4, case 3: every second of eight is lost, then the fourth and the second arrive": [
        ((5000, 5499), 5500, []),
        ((6000, 6499), 5500, [(6000, 6500)]),
        ((7000, 7499), 5500, [(7000, 7500), (6000, 6500)]),
        ((8000, 8499), 5500, [(8000, 8500), (7000, 7500), (6000, 6500)]),
        ((6500, 6999), 5500, [(6000, 7500), (8000, 8500)]),
        ((5500, 5999), 7500, [(8000, 8500)]),
    ],
}

RFC2883 = {
    "4.1.1: a duplicate segment": [
        ((3000, 3499), 3500, []),
        ((3500, 3999), 4000, []),
        ((3000, 3499), 4000, [(3000, 3500)]),
    ],
    "4.1.2: an out-of-order segment and a duplicate segment": [
        ((3000, 3499), 3500, []),
        ((3500, 3999), 4000, []),
        ((4500, 4999), 4000, [(4500, 5000)]),
        ((3000, 3499), 4000, [(3000, 3500), (4500, 5000)]),
    ],
    "4.1.3: a duplicate of an out-of-order segment": [
        ((3500, 3999), 4000, []),
        ((4500, 4999), 4000, [(4500, 5000)]),
        ((5000, 5499), 4000, [(4500, 5500)]),
        ((5000, 5499), 4000, [(5000, 5500), (4500, 5500)]),
    ],
    "4.2.1: a single duplicate subsegment": [
        ((500, 999), 1000, []),
        ((2000, 2499), 1000, [(2000, 2500)]),
        ((1000, 1499), 1500, [(2000, 2500)]),
        ((1000, 1999), 2500, [(1000, 1500)]),
    ],
    "4.2.2: two duplicate subsegments that the ACK covers": [
        ((500, 999), 1000, []),
        ((3000, 3499), 1000, [(3000, 3500)]),
        ((1000, 1499), 1500, [(3000, 3500)]),
        ((2000, 2499), 1500, [(2000, 2500), (3000, 3500)]),
        ((1000, 2499), 2500, [(1000, 1500), (3000, 3500)]),
    ],
    "4.2.3: two duplicate subsegments that the ACK does not cover": [
        ((500, 999), 1000, []),
        ((3500, 3999), 1000, [(3500, 4000)]),
        ((1500, 1999), 1000, [(1500, 2000), (3500, 4000)]),
        ((2500, 2999), 1000, [(2500, 3000), (1500, 2000), (3500, 4000)]),
        ((1500, 2999), 1000, [(1500, 2000), (1500, 3000), (3500, 4000)]),
    ],
    "5.1: the network replicates a segment": [
        ((500, 999), 1000, []),
        ((1000, 1499), 1500, []),
        ((1000, 1499), 1500, [(1000, 1500)]),
    ],
    "5.2: a false retransmission, for segments were reordered": [
        ((500, 999), 1000, []),
        ((1500, 1999), 1000, [(1500, 2000)]),
        ((2000, 2499), 1000, [(1500, 2500)]),
        ((2500, 2999), 1000, [(1500, 3000)]),
        ((1000, 1499), 3000, []),
        ((1000, 1499), 3000, [(1000, 1500)]),
    ],
    "5.3: a timeout, for all ACKs were lost": [
        ((500, 999), 1000, []),
        ((1000, 1499), 1500, []),
        ((1500, 1999), 2000, []),
        ((2000, 2499), 2500, []),
        ((500, 999), 2500, [(500, 1000)]),
    ],
}


@pytest.mark.parametrize("shift", [0, WRAPPING])
@pytest.mark.parametrize("lines", [*RFC2018.values(), *RFC2883.values()], ids=[*RFC2018, *RFC2883])
def test_what_a_receiver_reports(lines: list[Line], shift: int) -> None:
    assert answers(lines, shift) == [(ack, blocks) for _, ack, blocks in lines]


def test_at_most_four_blocks_and_three_beside_timestamps() -> None:
    """RFC 2018 section 3: 40 octets of options hold four blocks, or three where there are timestamps."""
    for stamps, most in ((False, 4), (True, 3)):
        both = Config(iss=4999, timestamps=stamps), Config(iss=300, timestamps=stamps, delayed_ack=None)
        pair = ConnectionPair(*both, carry=lambda name, number, _: [] if name == "client" and number in LOST else [0])
        pair.connect()
        pair.client.send(bytes(1460 * 10), pair.now)
        pair.flush()
        pair.run(pair.now + 2 * pair.delay)
        counts = [len(option.blocks) for _, _, segment, _ in pair.log if (option := segment.option(Sack))]
        assert max(counts) == most


LOST = {3, 5, 7, 9, 11}
"""Every second segment with data, so that five blocks could be told of."""


def test_a_reported_duplicate_is_not_reported_again() -> None:
    """RFC 2883 section 4: a D-SACK tells of the segment that it answers, once."""
    pair = receiver(3000)
    blocks = []
    for low in (3000, 3000, 3500, 4500):
        pair.server.receive(Segment(low, 301, ACK, 65535, bytes(500)), pair.now)
        option = pair.server.segments(pair.now)[0].segment.option(Sack)
        blocks.append(option.blocks if option else ())
    assert blocks == [(), ((3000, 3500),), (), ((4500, 5000),)]
