"""The conversations that segments belong to, and the first segment of the next connection on a four-tuple."""

import pytest
from frames import ether, ip4, ip6, tcp, udp

from labkit.analysis.flows import FlowTable, end_name, end_of, likely_client, segments
from labkit.analysis.tracker import advance, look
from labkit.capture import Frame
from labkit.packet.seen import Seen
from labkit.tcp.notation import parse
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN
from labkit.teach.examples import frames

HANDSHAKE = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
"""
CLOSE = """
    > F. 1:1(0) ack 1
    < F. 1:1(0) ack 2
    > .  2:2(0) ack 2
"""
AGAIN = """
    > S  5000:5000(0)
    < S. 7000:7000(0) ack 5001
    > .  5001:5001(0) ack 7001
"""


def conversations(text: str, isns: tuple[int, int] = (0, 0)) -> list[int]:
    """The number of each segment's conversation."""
    return [flow for flow, _ in followed(list(frames(list(parse(text)), isns=isns)))]


def followed(found: list[Frame], table: FlowTable | None = None) -> list[tuple[int, bool]]:
    """Each segment's conversation, and whether the client sent it."""
    table = FlowTable() if table is None else table
    seg, result = Seen(), []
    for _, data in segments(found, seg):
        flow, side = table.find(data, seg)
        me, peer = flow.sides[side], flow.sides[1 - side]
        look(seg, me, peer)
        advance(seg, me, peer)
        table.settle(flow)
        table.keep_bounds()
        result.append((flow.index, side == flow.client))
    return result


def frame(number: int, octets: bytes) -> Frame:
    return Frame(number, number, 1, octets, len(octets))


def between(client: int, ctl: int, server: int = 80) -> bytes:
    """A segment from a port of the client to one of the server."""
    segment = bytearray(tcp(ctl=ctl))
    segment[0:4] = client.to_bytes(2) + server.to_bytes(2)
    return ether(ip4(bytes(segment)))


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 2), (2**31, 5)])
@pytest.mark.parametrize(
    ("text", "flows"),
    [
        (HANDSHAKE + CLOSE, [0] * 6),
        # A new connection after a close, or after a reset.
        (HANDSHAKE + CLOSE + AGAIN, [0] * 6 + [1] * 3),
        (HANDSHAKE + "> R. 1:1(0) ack 1\n" + AGAIN, [0] * 4 + [1] * 3),
        # The other side may open it.
        (HANDSHAKE + CLOSE + "< S 9000:9000(0)\n", [0] * 6 + [1]),
        # Three in a row.
        (HANDSHAKE + CLOSE + AGAIN + "> R. 5001:5001(0) ack 7001\n> S 9:9(0)\n", [0] * 6 + [1] * 4 + [2]),
        # The same SYN again, and one of an old attempt, are not new connections.
        ("> S 0:0(0)\n> S 0:0(0)\n< S. 0:0(0) ack 1\n", [0] * 3),
        (HANDSHAKE + "> S 0:0(0)\n", [0] * 4),
        (HANDSHAKE + "> S 5000:5000(0)\n< . 1:1(0) ack 1\n", [0] * 5),
        # A forgotten connection: the SYN in the middle is answered by a SYN ACK of its own. Only that one tells.
        (HANDSHAKE + "> S 5000:5000(0)\n< S. 7000:7000(0) ack 5001\n> . 5001:5001(0) ack 7001\n", [0] * 4 + [1] * 2),
        # Simultaneous open is one connection.
        ("> S 0:0(0)\n< S 0:0(0)\n> S. 0:0(0) ack 1\n< S. 0:0(0) ack 1\n", [0] * 4),
        # Seen from the middle, then closed by a new SYN.
        ("> P. 100:110(10) ack 1\n< . 1:1(0) ack 110\n" + AGAIN, [0] * 2 + [1] * 3),
        # A SYN that was captured after the segment that follows it.
        ("> . 1:1(0) ack 1\n> S 0:0(0)\n", [0] * 2),
    ],
)
def test_where_a_conversation_begins(text: str, flows: list[int], isns: tuple[int, int]) -> None:
    assert conversations(text, isns) == flows


@pytest.mark.parametrize(
    ("text", "from_client"),
    [
        (HANDSHAKE, [True, False, True]),
        ("< S 0:0(0)\n> S. 0:0(0) ack 1\n", [True, False]),
        # The SYN is not in the capture: who sends the SYN ACK is the server.
        ("< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n", [False, True]),
        # Mid-connection: who has a system port is the server, whoever speaks first.
        ("< P. 1:9(8) ack 1\n> . 1:1(0) ack 9\n", [False, True]),
        ("> P. 1:9(8) ack 1\n< . 1:1(0) ack 9\n", [True, False]),
        # A SYN tells more than a port does.
        ("< . 1:1(0) ack 1\n< S 0:0(0)\n", [False, True]),
        # Both send a SYN: the first.
        ("> S 0:0(0)\n< S 0:0(0)\n", [True, False]),
    ],
)
def test_who_is_the_client(text: str, from_client: list[bool]) -> None:
    assert [client for _, client in followed(list(frames(list(parse(text)))))] == from_client


@pytest.mark.parametrize(
    ("source", "target", "side"),
    [(40000, 80, 0), (80, 40000, 1), (1023, 1024, 1), (1024, 1023, 0), (40000, 8080, 0), (8080, 40000, 0), (22, 80, 0)],
)
def test_the_likely_client_without_a_syn(source: int, target: int, side: int) -> None:
    assert likely_client(source, target) == side


def test_four_tuples_are_distinguished() -> None:
    found = [
        between(1, SYN),
        between(2, SYN),
        between(1, SYN, 81),
        between(1, ACK),
        between(2, ACK),
        between(1, ACK, 81),
    ]
    assert [flow for flow, _ in followed([frame(n, each) for n, each in enumerate(found, 1)])] == [0, 1, 2, 0, 1, 2]


def test_equal_ports_at_both_ends() -> None:
    found = list(frames(list(parse(HANDSHAKE))))
    same = []
    for each in found:
        octets = bytearray(each.data)
        octets[34:38] = (7).to_bytes(2) * 2
        same.append(each._replace(data=bytes(octets)))
    assert followed(same) == [(0, True), (0, False), (0, True)]


def test_an_end_may_send_to_itself() -> None:
    octets = bytearray(between(80, SYN))
    octets[26:30] = octets[30:34]
    assert followed([frame(1, bytes(octets)), frame(2, bytes(octets))]) == [(0, True), (0, True)]


def test_the_oldest_open_conversation_gives_way() -> None:
    table = FlowTable(most=3, every=1)
    found = [frame(port, between(port, ACK | PSH)) for port in range(1, 6)]
    assert [flow for flow, _ in followed(found, table)] == [0, 1, 2, 3, 4]
    assert [flow.index for flow in table.over] == [0, 1]
    # A finished conversation begins again.
    assert followed([frame(9, between(1, ACK))], table) == [(5, True)]
    assert [flow.index for flow in table.over] == [0, 1, 2]
    assert [flow.index for flow in table.close()] == [0, 1, 2, 3, 4, 5]
    assert list(table.close()) == []
    assert table.count == 6


def test_a_closed_conversation_is_finished_once() -> None:
    table = FlowTable()
    followed(list(frames(list(parse(HANDSHAKE + CLOSE + AGAIN)))), table)
    assert [flow.index for flow in table.over] == [0]
    table.over.clear()
    assert [flow.index for flow in table.close()] == [1]


@pytest.mark.parametrize(
    ("address", "port", "name"),
    [
        ("c000020a", 80, "192.0.2.10:80"),
        ("20010db8000000000000000000000010", 40000, "[2001:db8::10]:40000"),
        ("00000000", 0, "0.0.0.0:0"),
    ],
)
def test_names_of_ends(address: str, port: int, name: str) -> None:
    assert end_name((bytes.fromhex(address), port)) == name
    assert end_of(name) == (bytes.fromhex(address), port)


def test_only_segments_are_given_with_their_frames() -> None:
    found = [
        frame(1, ether(b"\0" * 46, 0x0806)),
        frame(2, ether(ip4(udp(b"x", 53), 17))),
        frame(3, ether(ip4(tcp(b"data")))),
        frame(4, b""),
        frame(5, ether(ip6(tcp(b"data")), 0x86DD)),
    ]
    seg = Seen()
    got = [(each.number, seg.number, seg.version, seg.len) for each, _ in segments(found, seg)]
    assert got == [(3, 3, 4, 4), (5, 5, 6, 4)]


def test_a_datagram_in_fragments_is_one_segment() -> None:
    segment = tcp(bytes(range(100)), ctl=FIN | ACK)
    found = [
        frame(1, ether(ip4(segment[:40], fragment=0x2000))),
        frame(2, ether(ip4(segment[40:80], fragment=0x2000 | 5))),
        frame(3, ether(ip4(segment[80:], fragment=10))),
    ]
    seg = Seen()
    ((last, data),) = [(each, data) for each, data in segments(found, seg)]
    assert last.number == seg.number == 3
    assert data[seg.data_at : seg.data_at + seg.data_len] == bytes(range(100))
    assert seg.ctl == FIN | ACK


def test_a_capture_that_claims_less_than_it_holds() -> None:
    octets = ether(ip4(tcp(b"data")))
    seg = Seen()
    list(segments([Frame(1, 5, 1, octets, 3)], seg))
    assert (seg.wirelen, seg.caplen, seg.time) == (len(octets), len(octets), 5)


# A connection that was captured at several points. A step is the sender ("c" or "s") and the interface.


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("c0 s0 c0", [0, 0, 0]),
        ("c3 s3 c3", [0, 0, 0]),
        # Each direction has an interface to itself.
        ("c0 s1 c0 s1", [0, 0, 0, 0]),
        # At both ends: what the client sends is seen there first, and what the server sends at the server.
        ("c0 c1 s1 s0 c0 c1", [0, 1, 1, 0, 0, 1]),
        # A capture that begins in the middle makes two conversations of what there is, and loses nothing.
        ("c0 s1 s0 c1 c0 s1", [0, 0, 1, 1, 0, 0]),
        # There are not more points than POINTS; the rest joins the last.
        ("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 c0", [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 0]),
    ],
)
def test_points_of_capture(steps: str, expected: list[int]) -> None:
    client, server = between(40000, ACK), bytearray(between(40000, ACK))
    # The same frame the other way: addresses and ports change places.
    server[26:34] = server[30:34] + server[26:30]
    server[34:38] = server[36:38] + server[34:36]
    found = [
        Frame(number, number, 1, client if step[0] == "c" else bytes(server), len(client), interface=int(step[1:]))
        for number, step in enumerate(steps.split(), 1)
    ]
    assert [flow for flow, _ in followed(found)] == expected


def test_the_isn_of_a_host_counts_at_its_first_point_of_capture_only() -> None:
    table = FlowTable()
    syn = between(40000, SYN)
    followed([Frame(number, number, 1, syn, len(syn), interface=number) for number in (0, 1)], table)
    for side in (flow.sides[0] for flow in table.close()):
        assert side.host_isns == 0


def test_a_conversation_that_is_over_is_remembered_until_others_are_over() -> None:
    table = FlowTable(most=2, most_over=2, every=1)
    for port in range(1, 6):
        followed([frame(port, between(port, ACK | RST))], table)
    assert [flow.index for flow in table.over] == [0, 1, 2]
    assert table.forgotten == 0  # none of them was open
    # A late segment finds its conversation, which becomes the last one to give way.
    assert followed([frame(6, between(4, ACK))], table) == [(3, True)]
    followed([frame(7, between(7, ACK | RST))], table)
    assert [flow.index for flow in table.over] == [0, 1, 2, 4]
    # Finished conversations begin again. Those that are over do not count as open.
    assert followed([frame(8, between(1, ACK)), frame(9, between(2, ACK))], table) == [(6, True), (7, True)]
    assert table.forgotten == 0
    assert [flow.index for flow in table.close()] == [0, 1, 2, 4, 3, 5, 6, 7]


def test_a_new_connection_takes_the_place_of_one_that_is_over() -> None:
    table = FlowTable(most=5, most_over=5, every=1)
    followed(list(frames(list(parse(HANDSHAKE + CLOSE + AGAIN)))), table)
    assert [flow.index for flow in table.over] == [0]
    assert [flow.index for flow in table.close()] == [0, 1]
