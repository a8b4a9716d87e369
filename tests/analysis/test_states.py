"""The states that an observer infers: the document's tables, the RFC's figures, real kernels, hostile captures."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from labkit.analysis import states as module
from labkit.analysis.ends import STATES
from labkit.analysis.flows import FlowTable
from labkit.analysis.moved import UNKNOWN
from labkit.analysis.states import Row, end_of, flow_of, observe
from labkit.analysis.verdict import Bounds
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario
from labkit.capture import Frame, open_capture
from labkit.tcp.notation import parse
from labkit.tcp.state import DOCUMENT_WORDS, State
from labkit.teach.examples import frames


def played(name: str) -> list[Row]:
    trace = Scenario.load(name).play()
    return list(
        observe(
            Frame(number, time, trace.link, octets, len(octets))
            for number, (time, octets, _) in enumerate(trace.frames(), 1)
        )
    )


def columns(rows: list[Row]) -> list[tuple[str, str]]:
    """Client's and server's state beside each segment; `-` where the capture does not tell."""
    return [(str(row.states[0] or "-"), str(row.states[1] or "-")) for row in rows]


def read(table: str) -> tuple[list[Row], list[tuple[str, str]]]:
    """A table, `segment | client | server` a line: the rows that the segments give, and the states it has."""
    cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.strip()]
    rows = list(observe(frames(list(parse("\n".join(line[0] for line in cells))))))
    return rows, [(client, server) for _, client, server in cells]


# The document's tables.

SHOWN = [
    ("SYN_SEND", ""),
    ("", "SYN_RCVD"),
    ("ESTABLISHED", "ESTABLISHED"),
    ("", ""),
    ("", ""),
    ("", ""),
    ("FIN_WAIT_1", ""),
    ("FIN_WAIT_2", "CLOSE_WAIT"),
    ("", "LAST_ACK"),
    ("TIME_WAIT", "CLOSED"),
]

RFC = [
    ("SYN-SENT", "SYN-RECEIVED"),
    ("ESTABLISHED", "SYN-RECEIVED"),
    ("ESTABLISHED", "ESTABLISHED"),
    ("ESTABLISHED", "ESTABLISHED"),
    ("ESTABLISHED", "ESTABLISHED"),
    ("ESTABLISHED", "ESTABLISHED"),
    ("FIN-WAIT-1", "CLOSE-WAIT"),
    ("FIN-WAIT-2", "CLOSE-WAIT"),
    ("TIME-WAIT", "LAST-ACK"),
    ("TIME-WAIT", "CLOSED"),
]

NUMBERS = [(0, 0), (0, 1), (1, 1), (1, 1), (1, 100), (100, 120), (100, 120), (120, 101), (120, 101), (101, 121)]


@pytest.mark.parametrize("name", ["document", "document-ipv6"])
def test_states_stand_beside_the_segments_as_in_the_document(name: str) -> None:
    rows = played(name)
    assert [tuple(DOCUMENT_WORDS[state] if state else "" for state in row.shown) for row in rows] == SHOWN


def test_states_across_the_wrap_are_the_same() -> None:
    # More data, the same opening and closing.
    shown = [tuple(DOCUMENT_WORDS[state] if state else "" for state in row.shown) for row in played("seq-wraparound")]
    assert [each for each in shown if any(each)] == [each for each in SHOWN if any(each)]


@pytest.mark.parametrize("name", ["document", "document-ipv6"])
def test_numbers_and_states_of_the_document(name: str) -> None:
    rows = played(name)
    assert columns(rows) == RFC
    assert [(row.relative_seq, row.relative_ack) for row in rows] == NUMBERS
    assert [row.length for row in rows] == [0, 0, 0, 99, 119, 0, 0, 0, 0, 0]
    assert [row.sender for row in rows] == [0, 1, 0, 0, 1, 0, 0, 1, 1, 0]


# RFC 9293's figures.

FIGURES = {
    "figure 6, basic handshake": """
        > S  100:100(0)         | SYN-SENT    | SYN-RECEIVED
        < S. 300:300(0) ack 101 | ESTABLISHED | SYN-RECEIVED
        > .  101:101(0) ack 301 | ESTABLISHED | ESTABLISHED
        > .  101:111(10) ack 301 | ESTABLISHED | ESTABLISHED
    """,
    # Whether anyone listens where the first SYN goes is not known before the second has come.
    "figure 7, simultaneous open": """
        > S  100:100(0)         | SYN-SENT     | -
        < S  300:300(0)         | SYN-RECEIVED | SYN-RECEIVED
        > S. 100:100(0) ack 301 | SYN-RECEIVED | ESTABLISHED
        < S. 300:300(0) ack 101 | ESTABLISHED  | ESTABLISHED
    """,
    "figure 9, recovery from half-open": """
        < .  300:300(0) ack 100 | ESTABLISHED | ESTABLISHED
        > S  400:400(0)         | SYN-SENT    | ESTABLISHED
        < .  300:300(0) ack 100 | SYN-SENT    | ESTABLISHED
        > R  100:100(0)         | SYN-SENT    | CLOSED
        > S  400:400(0)         | SYN-SENT    | -
    """,
    "figure 12, normal close": """
        > F. 100:100(0) ack 300 | FIN-WAIT-1 | CLOSE-WAIT
        < .  300:300(0) ack 101 | FIN-WAIT-2 | CLOSE-WAIT
        < F. 300:300(0) ack 101 | TIME-WAIT  | LAST-ACK
        > .  101:101(0) ack 301 | TIME-WAIT  | CLOSED
    """,
    # The figure has both FINs under way at once; in a capture one comes first, and is taken to have arrived.
    "figure 13, simultaneous close": """
        > F. 100:100(0) ack 300 | FIN-WAIT-1 | CLOSE-WAIT
        < F. 300:300(0) ack 100 | CLOSING    | CLOSING
        > .  101:101(0) ack 301 | CLOSING    | TIME-WAIT
        < .  301:301(0) ack 101 | TIME-WAIT  | TIME-WAIT
    """,
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_the_rfc(name: str) -> None:
    rows, states = read(FIGURES[name])
    assert columns(rows) == states


HANDSHAKE = """
        > S  0:0(0)       | SYN-SENT    | SYN-RECEIVED
        < S. 0:0(0) ack 1 | ESTABLISHED | SYN-RECEIVED
        > .  1:1(0) ack 1 | ESTABLISHED | ESTABLISHED
"""

CASES = {
    "refused": """
        > S  0:0(0)       | SYN-SENT | CLOSED
        < R. 0:0(0) ack 1 | CLOSED   | CLOSED
    """,
    "refused twice, then not": """
        > S  0:0(0)       | SYN-SENT | CLOSED
        < R. 0:0(0) ack 1 | CLOSED   | CLOSED
        > S  9:9(0)        | SYN-SENT | SYN-RECEIVED
        < S. 0:0(0) ack 10 | ESTABLISHED | SYN-RECEIVED
    """,
    "no answer": """
        > S  0:0(0)       | SYN-SENT | -
        > S  0:0(0)       | SYN-SENT | -
    """,
    "given up without an answer": """
        > S  0:0(0)       | SYN-SENT | -
        > R  1:1(0)       | CLOSED | CLOSED
    """,
    "an answer from another connection": """
        > S  0:0(0)         | SYN-SENT | ESTABLISHED
        < .  50:50(0) ack 99 | SYN-SENT | ESTABLISHED
        > R  99:99(0)       | SYN-SENT | CLOSED
        > S  0:0(0)         | SYN-SENT | SYN-RECEIVED
        < S. 70:70(0) ack 1 | ESTABLISHED | SYN-RECEIVED
    """,
    "reset by the client": HANDSHAKE
    + """
        > R. 1:1(0) ack 1 | CLOSED | CLOSED
    """,
    "reset by the server": HANDSHAKE
    + """
        < R. 1:1(0) ack 1 | CLOSED | CLOSED
    """,
    "a reset from elsewhere is not believed": HANDSHAKE
    + """
        < R  777:777(0) | ESTABLISHED | CLOSED
    """,
    "reset in the handshake": """
        > S  0:0(0)       | SYN-SENT    | SYN-RECEIVED
        < S. 0:0(0) ack 1 | ESTABLISHED | SYN-RECEIVED
        > R  1:1(0)       | CLOSED      | CLOSED
    """,
    "three segments to close": HANDSHAKE
    + """
        > F. 1:1(0) ack 1 | FIN-WAIT-1 | CLOSE-WAIT
        < F. 1:1(0) ack 2 | TIME-WAIT  | LAST-ACK
        > .  2:2(0) ack 2 | TIME-WAIT  | CLOSED
    """,
    "the server closes first": HANDSHAKE
    + """
        < F. 1:1(0) ack 1 | CLOSE-WAIT | FIN-WAIT-1
        > .  1:1(0) ack 2 | CLOSE-WAIT | FIN-WAIT-2
        > F. 1:1(0) ack 2 | LAST-ACK   | TIME-WAIT
        < .  2:2(0) ack 2 | CLOSED     | TIME-WAIT
    """,
    "half-close that lasts": HANDSHAKE
    + """
        > F. 1:1(0) ack 1    | FIN-WAIT-1 | CLOSE-WAIT
        < .  1:100(99) ack 2 | FIN-WAIT-2 | CLOSE-WAIT
        > .  2:2(0) ack 100  | FIN-WAIT-2 | CLOSE-WAIT
        < F. 100:100(0) ack 2 | TIME-WAIT | LAST-ACK
        > .  2:2(0) ack 101  | TIME-WAIT  | CLOSED
    """,
    "data with the FIN": HANDSHAKE
    + """
        > FP. 1:501(500) ack 1   | FIN-WAIT-1 | CLOSE-WAIT
        < FP. 1:501(500) ack 502 | TIME-WAIT  | LAST-ACK
        > .  502:502(0) ack 502  | TIME-WAIT  | CLOSED
    """,
    "a FIN that is sent again was not acknowledged": HANDSHAKE
    + """
        > F. 1:1(0) ack 1 | FIN-WAIT-1 | CLOSE-WAIT
        < F. 1:1(0) ack 2 | TIME-WAIT  | LAST-ACK
        > .  2:2(0) ack 2 | TIME-WAIT  | CLOSED
        < F. 1:1(0) ack 2 | TIME-WAIT  | LAST-ACK
        > .  2:2(0) ack 2 | TIME-WAIT  | CLOSED
    """,
    "a FIN ahead of data that is missing": HANDSHAKE
    + """
        > F. 100:100(0) ack 1 | FIN-WAIT-1 | ESTABLISHED
        > .  1:100(99) ack 1  | FIN-WAIT-1 | *
    """,
    "from the middle": """
        > P. 100:110(10) ack 1 | ESTABLISHED | ESTABLISHED
        < .  1:1(0) ack 110    | ESTABLISHED | ESTABLISHED
        > F. 110:110(0) ack 1  | FIN-WAIT-1  | CLOSE-WAIT
    """,
    "from the SYN ACK": """
        < S. 0:0(0) ack 1 | ESTABLISHED | SYN-RECEIVED
        > .  1:1(0) ack 1 | ESTABLISHED | ESTABLISHED
    """,
    "only the client": """
        > S  0:0(0)         | SYN-SENT    | SYN-RECEIVED
        > .  1:1(0) ack 1   | ESTABLISHED | ESTABLISHED
        > P. 1:9(8) ack 1   | ESTABLISHED | ESTABLISHED
        > F. 9:9(0) ack 50  | FIN-WAIT-1  | CLOSE-WAIT
    """,
    "only the server": """
        < S. 0:0(0) ack 1   | ESTABLISHED | SYN-RECEIVED
        < .  1:1(0) ack 100 | ESTABLISHED | ESTABLISHED
        < F. 1:1(0) ack 100 | CLOSE-WAIT  | FIN-WAIT-1
    """,
    "SYN again": """
        > S  0:0(0)       | SYN-SENT    | SYN-RECEIVED
        > S  0:0(0)       | SYN-SENT    | SYN-RECEIVED
        < S. 0:0(0) ack 1 | ESTABLISHED | SYN-RECEIVED
        < S. 0:0(0) ack 1 | ESTABLISHED | SYN-RECEIVED
        > .  1:1(0) ack 1 | ESTABLISHED | ESTABLISHED
    """,
    "a wrong ack of the SYN opens nothing": """
        > S  0:0(0)       | SYN-SENT | SYN-RECEIVED
        < S. 0:0(0) ack 9 | SYN-SENT | SYN-RECEIVED
    """,
    "a wrong third segment opens nothing": """
        > S  0:0(0)       | SYN-SENT    | SYN-RECEIVED
        < S. 0:0(0) ack 1 | ESTABLISHED | SYN-RECEIVED
        > .  1:1(0) ack 0 | ESTABLISHED | SYN-RECEIVED
    """,
}


@pytest.mark.parametrize("name", CASES)
def test_states(name: str) -> None:
    rows, states = read(CASES[name])
    got = columns(rows)
    want = [tuple(g if w == "*" else w for g, w in zip(*pair, strict=True)) for pair in zip(got, states, strict=True)]
    assert got == want


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("simultaneous-open", None),
        ("refused", None),
        ("abort", None),
        ("half-close", None),
        ("three-segment-close", None),
        ("time-wait", None),
        # The last segment is still under way when the client's answer to it is captured.
        ("simultaneous-close", ("TIME-WAIT", "TIME-WAIT")),
    ],
)
def test_the_last_states_are_those_of_the_endpoints(name: str, last: tuple[str, str] | None) -> None:
    record = Scenario.load(name).play().records[-1]
    assert columns(played(name))[-1] == (last or (str(record.client[1]), str(record.server[1])))


def test_states_agree_with_the_endpoints_where_nothing_crosses() -> None:
    trace = Scenario.load("document").play()
    for row, record in zip(played("document"), trace.records, strict=True):
        # The endpoint's record is taken where the capture is: one end knows later.
        mine = row.sender
        assert row.states[mine] == (record.client, record.server)[mine][1]


# Rows.


def test_fields_of_a_row() -> None:
    text = "> P. 4294967295:2(3) ack 7 win 9 ecn 1 <nop,nop,TS val 7 ecr 3> {fill=x}"
    (row,) = observe(frames(list(parse(text))))
    assert (row.number, row.seq, row.ack, row.length, row.payload) == (1, 2**32 - 1, 7, 3, b"xxx")
    assert (row.window, row.ecn, row.urgent, row.sender) == (9, 1, 0, 0)
    assert (row.relative_seq, row.relative_ack) == (1, 1)
    assert end_of(row) == 2
    assert flow_of(row) == ("192.0.2.10:40000", "192.0.2.20:80")
    assert [type(option).__name__ for option in row.options] == ["Nop", "Nop", "Timestamps"]


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 0), (2**32 - 50, 2**32 - 100), (2**31, 2**31 - 1)])
def test_relative_numbers_are_counted_from_the_first(isns: tuple[int, int]) -> None:
    text = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> P. 1:100(99) ack 1\n< P. 1:120(119) ack 100\n> . 100:100(0) ack 120\n"
    rows = list(observe(frames(list(parse(text)), isns=isns)))
    got = [(row.relative_seq, row.relative_ack) for row in rows]
    assert got == [(0, 0), (0, 1), (1, 1), (1, 100), (100, 120)]
    assert [row.seq for row in rows] == [(isns[row.sender] + row.relative_seq) % 2**32 for row in rows]


def test_rows_that_wait_keep_the_order_of_the_capture() -> None:
    for name in ("refused", "syn-lost", "simultaneous-open"):
        rows = played(name)
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert not any(row.waits for row in rows)


# Hostile captures.


def syns(count: int) -> Iterator[Frame]:
    (frame,) = frames(list(parse("> S 0:0(0)")))
    return (frame._replace(number=number, time=number) for number in range(1, count + 1))


def test_a_syn_without_answer_does_not_hold_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    taken = 0

    def counted() -> Iterator[Frame]:
        nonlocal taken
        for frame in syns(1000):
            taken += 1
            yield frame

    for number, row in enumerate(observe(counted()), 1):
        assert row.number == number
        assert row.states[1] is None
        assert taken <= number + 10


def test_an_answer_that_comes_too_late_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    text = "> S 0:0(0)\n" * 6 + "< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
    got = columns(list(observe(frames(list(parse(text))))))
    assert got[:3] == [("SYN-SENT", "-")] * 3
    assert got[3:6] == [("SYN-SENT", "SYN-RECEIVED")] * 3
    assert got[7] == ("ESTABLISHED", "ESTABLISHED")


def test_a_capture_of_the_client_alone_holds_no_row() -> None:
    text = "> S 0:0(0)\n> . 1:1(0) ack 1\n"
    rows = observe(frame for frame in frames(list(parse(text + "> . 1:1(0) ack 1\n" * 50))))
    assert [row.waits for row in rows] == [False] * 52


def test_conversations_are_numbered_as_the_verifier_does() -> None:
    first, second = frames(list(parse("> S 0:0(0)\n< F 0:0(0)")))
    cut = first._replace(data=first.data[:46])  # in the middle of the TCP header
    other = bytearray(second.data)
    other[35] ^= 0xFF
    found = [cut, second._replace(data=bytes(other))]
    (row,) = observe(found)
    judged = {finding.flow for finding in Verifier().run(found).findings if finding.packet == 2}
    assert judged == {row.flow.index} == {1}


# A real kernel.

CAPTURES = Path(os.environ.get("LABKIT_CAPTURES", ""), "kernel")
kernel = pytest.mark.skipif(
    not os.environ.get("LABKIT_CAPTURES") or not CAPTURES.is_dir(),
    reason="LABKIT_CAPTURES names no folder with kernel captures",
)


def observed(name: str) -> list[Row]:
    with open_capture(CAPTURES / name) as capture:
        return list(observe(capture))


@kernel
@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("tiny.off.pcap", ("TIME-WAIT", "CLOSED")),
        ("tiny.on.pcap", ("TIME-WAIT", "CLOSED")),
        ("v6_tiny.off.pcap", ("TIME-WAIT", "CLOSED")),
        ("lo_tiny.on.pcap", ("TIME-WAIT", "CLOSED")),
        ("any_sll2_tiny.off.pcap", ("TIME-WAIT", "CLOSED")),
        ("refused.off.pcap", ("CLOSED", "CLOSED")),
        ("refused_v6.off.pcap", ("CLOSED", "CLOSED")),
        ("rst_linger0.off.pcap", ("CLOSED", "CLOSED")),
        ("rst_write_after_close.off.pcap", ("CLOSED", "CLOSED")),
        ("half_close.off.pcap", ("TIME-WAIT", "CLOSED")),
        ("fin_with_data.off.pcap", ("TIME-WAIT", "CLOSED")),
        ("sim_open.off.A.pcap", ("TIME-WAIT", "CLOSED")),
        ("sim_close.off.A.pcap", ("TIME-WAIT", "TIME-WAIT")),
        ("sim_close.off.B.pcap", ("TIME-WAIT", "TIME-WAIT")),
        ("syn_retry.off.pcap", ("TIME-WAIT", "CLOSED")),
        ("seq_wrap.off.pcap.gz", ("TIME-WAIT", "CLOSED")),
        ("noclose.off.pcap", ("ESTABLISHED", "ESTABLISHED")),
        ("midstream.off.pcap.gz", ("TIME-WAIT", "CLOSED")),
        ("oneway_out.off.pcap.gz", ("FIN-WAIT-1", "CLOSE-WAIT")),
    ],
)
def test_where_a_kernel_ends(name: str, last: tuple[str, str]) -> None:
    assert columns(observed(name))[-1] == last


@kernel
def test_simultaneous_close_of_a_kernel_goes_through_closing() -> None:
    for name in ("sim_close.off.A.pcap", "sim_close.off.B.pcap"):
        got = columns(observed(name))
        assert ("CLOSING", "CLOSING") in got


@kernel
def test_simultaneous_open_of_a_kernel() -> None:
    for name in ("sim_open.off.A.pcap", "sim_open.off.B.pcap", "sim_open.on.A.pcap"):
        got = columns(observed(name))
        assert got[:4] == [
            ("SYN-SENT", "-"),
            ("SYN-RECEIVED", "SYN-RECEIVED"),
            ("SYN-RECEIVED", "ESTABLISHED"),
            ("ESTABLISHED", "ESTABLISHED"),
        ]


@kernel
def test_mid_stream_of_a_kernel_counts_from_one() -> None:
    rows = observed("midstream.off.pcap.gz")
    assert columns(rows)[0] == ("ESTABLISHED", "ESTABLISHED")
    assert (rows[0].relative_seq, rows[0].relative_ack) == (1, 1)


@kernel
def test_every_capture_of_a_kernel_gives_a_row_for_each_segment_in_order() -> None:
    for path in sorted(CAPTURES.glob("*.off*.pcap")):
        rows = observed(path.name)
        numbers = [row.number for row in rows]
        assert numbers == sorted(set(numbers)), path.name


@pytest.mark.parametrize("most_over", [0, 1, 5])
def test_conversations_have_the_verifiers_numbers(most_over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n> F. 1:1(0) ack 1\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2\n"
    found = list(frames(list(parse(text + "> . 2:2(0) ack 2\n")), version=4))
    found += list(frames(list(parse(text)), version=6))
    found = [frame._replace(number=number) for number, frame in enumerate([*found, found[2]], 1)]
    monkeypatch.setattr("labkit.analysis.states.FlowTable", partial(FlowTable, most_over=most_over, every=1))
    rows = list(observe(found))
    verdict = Verifier(bounds=Bounds(over=most_over, every=1)).run(found)
    # Behind the end of the first there are two segments more of it, and at last a third.
    assert len({row.flow.index for row in rows}) == verdict.flows == {0: 4, 1: 3, 5: 2}[most_over]


def test_no_state_is_the_number_behind_all_states() -> None:
    assert len(State) == UNKNOWN
    assert STATES[UNKNOWN] is None
