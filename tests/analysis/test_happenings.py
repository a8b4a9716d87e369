"""What happened, told by the octets that the capture has shown: the names that Wireshark's users know."""

import pytest

from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.tcp.seq import MASK
from labkit.teach.examples import frames

OPENED = """
    > S  0:0(0) win 1000
    < S. 0:0(0) ack 1 win 1000
    > .  1:1(0) ack 1 win 1000
"""
SCALED = """
    > S  0:0(0) win 65535 <mss 1460,wscale 7,nop>
    < S. 0:0(0) ack 1 win 65535 <mss 1460,wscale 7,nop>
    > .  1:1(0) ack 1 win 512
"""


def names(text: str, isn: int) -> list[tuple[int, str]]:
    """(packet, Wireshark's name) of what is found from packet 4 on."""
    found = Verifier().run(frames(list(parse(text)), isns=(isn, isn))).findings
    return [
        (finding.packet, finding.wireshark.removeprefix("tcp.analysis."))
        for finding in found
        if finding.wireshark and finding.packet and finding.packet > 3
    ]


CASES = {
    "a SYN ACK that was acknowledged is sent again": (
        OPENED + "+1.0 < S. 0:0(0) ack 1 win 1000",
        [(4, "spurious_retransmission")],
    ),
    "a SYN ACK that was not acknowledged is sent again": (
        """
        > S  0:0(0)
        < S. 0:0(0) ack 1
        +1.0 < S. 0:0(0) ack 1
        +1.0 < S. 0:0(0) ack 1
        """,
        [(4, "retransmission")],
    ),
    "a pure ACK has overtaken the FIN before it": (
        OPENED + "> F. 1:1(0) ack 1\n< .  2:2(0) ack 2\n< F. 1:1(0) ack 2\n> .  2:2(0) ack 2",
        [(5, "lost_segment"), (6, "out_of_order")],
    ),
    "a gap that a pure ACK has shown is told once": (
        OPENED + "< .  51:51(0) ack 1\n< .  51:51(0) ack 1\n< P. 1:51(50) ack 1\n> .  1:1(0) ack 51",
        [(4, "lost_segment"), (6, "out_of_order")],
    ),
    "a SACK block tells what the capture does not show": (
        """
        > .  1:1(0) ack 100 <nop,nop,sack 200:300>
        > .  1:1(0) ack 100 <nop,nop,sack 200:300>
        > .  1:1(0) ack 100 <nop,nop,sack 400:500 200:300>
        > .  1:1(0) ack 100 <nop,nop,sack 400:500 200:300>
        """,
        [(4, "duplicate_ack")],
    ),
    "a D-SACK tells of nothing under way": (
        OPENED + "< P. 1:51(50) ack 1\n> .  1:1(0) ack 51 win 1000\n> .  1:1(0) ack 51 win 1000 <nop,nop,sack 1:51>",
        [(6, "duplicate_ack")],  # Wireshark's word for it
    ),
    "a closed window is not a duplicate ACK": (
        OPENED + "> P. 1:101(100) ack 1\n> P. 101:201(100) ack 1\n< . 1:1(0) ack 101 win 0\n< . 1:1(0) ack 101 win 0",
        [(6, "zero_window"), (7, "zero_window")],
    ),
    "only the first resend is a fast one": (
        OPENED
        + """
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 1 win 1000
        < .  1:1(0) ack 1 win 1000
        < .  1:1(0) ack 1 win 1000
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 1 win 1000
        < .  1:1(0) ack 1 win 1000
        < .  1:1(0) ack 1 win 1000
        +1.0 > P. 1:101(100) ack 1
        """,
        [
            *((number, "duplicate_ack") for number in (6, 7, 8)),
            (9, "retransmission"),
            (9, "fast_retransmission"),
            *((number, "duplicate_ack") for number in (10, 11, 12)),
            (13, "retransmission"),
        ],
    ),
    "the window of a SYN is not scaled": (SCALED + "< .  1:1(0) ack 1 win 65535", [(4, "window_update")]),
    "rounding is not an update": (SCALED + "< .  1:1(0) ack 1 win 512", []),
    "an update beside an ack of what the capture lacks": (
        OPENED + "< .  1:1(0) ack 501 win 500\n< .  1:1(0) ack 501 win 1000\n> P. 501:601(100) ack 1",
        [(5, "window_update"), (6, "lost_segment")],
    ),
}


@pytest.mark.parametrize("isn", [0, MASK, MASK - 30, 3_000_000_000])
@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_happenings(text: str, expected: list[tuple[int, str]], isn: int) -> None:
    assert [each for each in names(text, isn) if each[1] != "ack_lost_segment"] == expected
