"""What small TCP stacks and simulators send on paths that lose and delay packets, as captures of them show: no error and no false
warning. lwIP 2.1.3, smoltcp 0.13.1, libslirp 4.7.0, ns-3 3.44, PyTCP 3.0.9, passt of October 2026, gVisor of July 2024, iPXE of
January 2019, GRUB 2.06, EDK II 2022.11, LWIPv6 1.5a, masscan 1.3.2, and Linux 6.18 where it talks to them.

Beside each situation stands one that looks alike and is a mistake.
"""

import re
from collections.abc import Sequence

import pytest
from situations import ISNS, STAMPED

from labkit.analysis.catalogue import collect
from labkit.analysis.entry import Entry, Shown
from labkit.analysis.evidence import evidence, proves
from labkit.analysis.examine import examine
from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity
from labkit.analysis.talks import talks_of
from labkit.analysis.verifier import Verifier
from labkit.capture import Frame
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPENED = """
    > S  0:0(0) win 8000
    +0.05 < S. 0:0(0) ack 1 win 8000
    > .  1:1(0) ack 1 win 8000
"""
UNDER_WAY = f"""{OPENED}
    +0.01 > P. 1:101(100) ack 1
    > P. 101:201(100) ack 1
    +0.05 < P. 1:51(50) ack 101
    > .  201:201(0) ack 51
"""
"""The server closes while the client's two segments are under way: it has no connection when the second one comes."""

CLOSED = """
    > S  0:0(0) win 8000
    +0.05 < S. 0:0(0) ack 1 win 100
    > .  1:1(0) ack 1 win 8000
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 101 win 0
"""
"""The server's window is closed."""

FULL = """
    > S  0:0(0) win 8000 <mss 1460,sackOK,TS val 100 ecr 0>
    < S. 0:0(0) ack 1 win 100 <mss 1460,sackOK,TS val 900 ecr 100>
    > .  1:1(0) ack 1 win 8000 <nop,nop,TS val 101 ecr 900>
    > P. 1:101(100) ack 1 win 8000 <nop,nop,TS val 102 ecr 900>
    +0.1 < .  1:1(0) ack 101 win 100 <nop,nop,TS val 1003 ecr 102>
"""
"""The server has offered room again."""

COUNTED: dict[str, tuple[str, set[str]]] = {
    "a SACK block has a part of a segment that came again in other parts": (
        f"""{OPENED.replace("win 8000", "win 8000 <mss 1000,sackOK>", 2)}
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 1
        +0.4 > P. 101:151(50) ack 1
        > P. 151:201(50) ack 1
        +0.05 < .  1:1(0) ack 1 win 8000 <nop,nop,sack 101:151>
        """,
        set(),
    ),
    "a SACK block has a part of a segment that came once": (
        f"""{OPENED.replace("win 8000", "win 8000 <mss 1000,sackOK>", 2)}
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 1
        +0.05 < .  1:1(0) ack 1 win 8000 <nop,nop,sack 101:151>
        """,
        {"SACK02"},
    ),
    "resets answer what was under way": (f"{UNDER_WAY} < R 1:1(0) \n +0.05 < R 51:51(0)", set()),
    "so they do behind other resets, at the number of the FIN too": (
        f"""{OPENED}
        > P. 1:38(37) ack 1
        +0.05 < .  1:1(0) ack 38
        > P. 38:75(37) ack 1
        < P. 1:101(100) ack 38
        > .  75:75(0) ack 101
        < F. 101:101(0) ack 38
        > F. 75:75(0) ack 102
        +0.05 < R 1:1(0)
        < R 102:102(0)
        < R 101:101(0)
        """,
        set(),
    ),
    "a reset has the number of its sender's FIN, and answers no data": (
        f"""{OPENED}
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101
        > F. 101:101(0) ack 1
        < P. 1:51(50) ack 102
        > R 101:101(0)
        """,
        {"RST01"},
    ),
    "a reset has the number of a segment that its sender has acknowledged": (
        f"{OPENED} > P. 1:101(100) ack 1 \n < P. 1:51(50) ack 101 \n > . 101:101(0) ack 51 \n < R 1:1(0)",
        {"RST01"},
    ),
    "the receiver asks for lost data until the capture ends": (
        f"""{OPENED}
        < .  1:501(500) ack 1
        > F. 1:1(0) ack 501
        < .  501:1001(500) ack 2
        < .  1001:1501(500) ack 2
        +0.06 > .  2:2(0) ack 501
        < .  1501:2001(500) ack 2
        +0.06 > .  2:2(0) ack 501
        +0.06 > .  2:2(0) ack 501
        +0.06 > .  2:2(0) ack 501
        """,
        set(),
    ),
    "an ack never moves, although time passes": (
        f"""{OPENED}
        > P. 1:101(100) ack 1
        +0.1 < P. 1:51(50) ack 1
        > .  101:101(0) ack 51
        +0.1 < P. 51:101(50) ack 1
        > F. 101:101(0) ack 101
        +0.1 < .  101:101(0) ack 1
        """,
        {"ACK08"},
    ),
    "a reset has a number that nobody has acknowledged": (f"{UNDER_WAY} < R 21:21(0) \n +0.05 < R 51:51(0)", {"RST01"}),
    "they have ACK set, and acknowledge what they answer": (f"{UNDER_WAY} < R. 1:1(0) ack 201", {"RST01"}),
    "the FIN of data with FIN is not counted": (
        f"""{OPENED}
        > FP. 1:501(500) ack 1
        +0.04 < F. 1:1(0) ack 1
        > .  502:502(0) ack 2
        +0.001 < .  2:2(0) ack 501
        +1 < F. 1:1(0) ack 501
        """,
        {"FIN02"},
    ),
    "a closed window takes the data and not the FIN": (
        f"""{OPENED}
        > FP. 1:501(500) ack 1
        +0.04 < F. 1:1(0) ack 1
        > .  502:502(0) ack 2
        +0.001 < .  2:2(0) ack 501 win 0
        """,
        {"FIN06", "WIN02"},
    ),
    "the capture ends before the answer to data": (
        f"{OPENED} < . 1:1001(1000) ack 1 win 8000 \n +0.00003 > F. 1:1(0) ack 1",
        {"CAP04", "FIN06"},
    ),
    "an ACK was sent before the reset that overtook it": (
        """
        > S  0:0(0) {ip.id=7}
        < S. 0:0(0) ack 1
        +1 > R. 1:1(0) ack 1 {ip.id=9}
        +0.02 > .  1:1(0) ack 1 {ip.id=8}
        < R. 1:1(0) ack 1
        """,
        set(),
    ),
    "an ACK was sent after the reset": (
        """
        > S  0:0(0) {ip.id=7}
        < S. 0:0(0) ack 1
        +1 > R. 1:1(0) ack 1 {ip.id=8}
        +0.02 > .  1:1(0) ack 1 {ip.id=9}
        < R. 1:1(0) ack 1
        """,
        {"RST04"},
    ),
}
"""Over IPv4, where each host counts its identifications, so that no packet is missing."""

SITUATIONS: dict[str, tuple[str, set[str]]] = {
    "octets that come again are merged with new ones": (
        f"""{OPENED}
        +0.01 > P. 1:201(200) ack 1
        < .  101:101(0) ack 201
        +0.21 < P. 1:201(200) ack 201
        > .  201:201(0) ack 201
        """,
        set(),
    ),
    "new octets have the number that an ACK has left out": (
        f"""{OPENED}
        +0.01 > P. 1:201(200) ack 1
        < .  101:101(0) ack 201
        +0.01 < P. 1:201(200) ack 201
        > .  201:201(0) ack 201
        """,
        {"SEQ01"},
    ),
    "lost octets come again, and the host resets": (
        f"""{OPENED}
        +0.01 < P. 1001:1501(500) ack 1
        > .  1:1(0) ack 1
        +0.3 < P. 1:501(500) ack 1
        > .  1:1(0) ack 501
        +2 < R. 501:501(0) ack 1
        """,
        set(),
    ),
    "the host resets where the octets would end with the expected number": (
        f"""{OPENED}
        +0.01 < P. 1001:1501(500) ack 1
        > .  1:1(0) ack 1
        +2 < R. 501:501(0) ack 1
        """,
        {"SEQ01"},
    ),
    "a reset acknowledges what it answers": (
        f"{OPENED} +0.01 > P. 501:1001(500) ack 1 \n < . 1:1(0) ack 1 \n +0.3 < R. 1:1(0) ack 1001",
        set(),
    ),
    "data is late, behind ACKs that were sent after it": (
        f"""{OPENED}
        > P. 1:11(10) ack 1
        > P. 11:547(536) ack 1
        > P. 547:1083(536) ack 1
        +0.05 < .  1:1(0) ack 547
        < .  11:11(0) ack 547
        < .  11:11(0) ack 1083
        +0.08 < P. 1:11(10) ack 547
        > F. 1083:1083(0) ack 11
        < F. 11:11(0) ack 1084
        > .  1084:1084(0) ack 12
        """,
        set(),
    ),
    "a FIN behind a lost octet comes twice": (
        f"""{OPENED}
        +0.01 > F. 2:2(0) ack 1
        < F. 1:2(1) ack 1
        > .  3:3(0) ack 3
        +0.4 > F. 2:2(0) ack 3
        +0.7 > FP. 1:2(1) ack 3
        < .  3:3(0) ack 3
        """,
        set(),
    ),
    "new data is overtaken by a resend": (
        f"""{STAMPED}
        > P. 1:101(100) ack 1 <nop,nop,TS val 121 ecr 900>
        > P. 101:201(100) ack 1 <nop,nop,TS val 122 ecr 900>
        +0.3 > P. 1:101(100) ack 1 <nop,nop,TS val 422 ecr 900>
        > P. 201:301(100) ack 1 <nop,nop,TS val 123 ecr 900>
        """,
        set(),
    ),
    "new data has an old timestamp": (
        f"""{STAMPED}
        > P. 1:101(100) ack 1 <nop,nop,TS val 121 ecr 900>
        +0.3 > P. 101:201(100) ack 1 <nop,nop,TS val 422 ecr 900>
        > P. 201:301(100) ack 1 <nop,nop,TS val 123 ecr 900>
        """,
        {"TS03"},
    ),
    "a SYN that comes again is answered with an ACK": (
        "> S 0:0(0) \n +1 > S 0:0(0) \n < . 1:1(0) ack 1 \n > R 1:1(0)",
        set(),
    ),
    "a SYN is answered with an ACK": ("> S 0:0(0) \n < . 1:1(0) ack 1 \n > R 1:1(0)", {"HS01"}),
    "a keep-alive behind the FIN has a newer ack": (
        f"""{OPENED}
        > F. 1:1(0) ack 1
        < .  1:1(0) ack 2
        +1 > .  1:1(0) ack 1
        < .  1:1(0) ack 2
        < P. 1:101(100) ack 2
        +1 > .  1:1(0) ack 101
        < .  101:101(0) ack 2
        """,
        set(),
    ),
    "two ACKs within a moment have the number of the FIN": (
        f"""{OPENED}
        > F. 1:1(0) ack 1
        < .  1:1(0) ack 2
        > .  1:1(0) ack 1
        < .  1:1(0) ack 2
        < P. 1:101(100) ack 2
        > .  1:1(0) ack 101
        < .  101:101(0) ack 2
        """,
        {"SEQ02"},
    ),
    "an ACK has the number of the FIN": (
        f"""{OPENED}
        > F. 1:1(0) ack 1
        < .  1:1(0) ack 2
        < P. 1:101(100) ack 2
        +1 > .  1:1(0) ack 101
        < .  101:101(0) ack 2
        """,
        {"SEQ02"},
    ),
    "the byte of a window probe is acknowledged by itself": (
        f"""{CLOSED}
        +1 > .  101:102(1) ack 1
        < .  1:1(0) ack 101 win 80
        > P. 101:181(80) ack 1
        < .  1:1(0) ack 102 win 79
        +0.3 > P. 102:181(79) ack 1
        < .  1:1(0) ack 181 win 500
        """,
        set(),
    ),
    "the first byte of a segment is acknowledged by itself": (
        f"""{CLOSED}
        +1 < .  1:1(0) ack 101 win 80
        > P. 101:181(80) ack 1
        < .  1:1(0) ack 102 win 79
        +0.3 > P. 102:181(79) ack 1
        < .  1:1(0) ack 181 win 500
        """,
        {"ACK06"},
    ),
    "the octet of a keep-alive is no window probe": (
        f"""{OPENED}
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101
        +1 > .  100:101(1) ack 1
        < .  1:1(0) ack 101
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 102
        """,
        {"ACK06"},
    ),
    "a reset acknowledges data behind a pure ACK that was counted": (
        f"{OPENED} > P. 2:102(100) ack 1 \n < R. 1:1(0) ack 102",
        {"SEQ02"},
    ),
    "an ACK is one too high, and data comes after a while": (
        f"""{OPENED}
        +0.01 > P. 1:201(200) ack 1
        < .  2:2(0) ack 201
        +1 < P. 1:201(200) ack 201
        > .  201:201(0) ack 201
        """,
        {"SEQ01"},
    ),
    "the capture lacks the last packets of both sides": (
        f"{OPENED} < P. 1:501(500) ack 1 \n > . 2:2(0) ack 5001",
        {"ACK01"},
    ),
    "the capture lacks no packet of the side that acknowledges": (
        f"{OPENED} < P. 1:501(500) ack 1 \n > . 1:1(0) ack 5001",
        {"ACK01"},
    ),
    "the capture lacks the SYN ACK, and what it acknowledges comes again": (
        "> S 0:0(0) \n < . 1:1(0) ack 101 \n +0.3 > P. 1:101(100) ack 1 \n < . 1:1(0) ack 101",
        set(),
    ),
    "an ack goes beyond what was sent, and what it acknowledges comes later": (
        f"{OPENED} < . 1:1(0) ack 101 \n +0.3 > P. 1:101(100) ack 1 \n < . 1:1(0) ack 101",
        {"ACK01"},
    ),
    "a host that has an older connection answers the SYN, and the client does not refuse that": (
        "> S 0:0(0) \n < . 300:300(0) ack 1251 \n > . 1:1(0) ack 300 \n +1 > S 0:0(0) \n < . 300:300(0) ack 1251",
        set(),
    ),
    "the ACK that closed the window was overtaken by the one that opened it": (
        f"""{FULL}
        +0.0001 < .  1:1(0) ack 101 win 0 <nop,nop,TS val 1001 ecr 102>
        +0.1 > P. 101:201(100) ack 1 win 8000 <nop,nop,TS val 302 ecr 1003>
        """,
        set(),
    ),
    "the window closes again": (
        f"""{FULL}
        +0.0001 < .  1:1(0) ack 101 win 0 <nop,nop,TS val 1004 ecr 102>
        +0.1 > P. 101:201(100) ack 1 win 8000 <nop,nop,TS val 302 ecr 1004>
        """,
        {"WIN01", "WIN02"},
    ),
    "the window shrinks behind the peer's FIN": (
        f"""{OPENED}
        > F. 1:1(0) ack 1
        < F. 1:1(0) ack 2 win 8000
        > .  2:2(0) ack 2
        +0.5 > F. 1:1(0) ack 1
        < .  2:2(0) ack 2 win 1000
        """,
        set(),
    ),
    "the window shrinks before the peer's FIN": (
        f"""{OPENED}
        > P. 1:101(100) ack 1
        +0.5 < .  1:1(0) ack 101 win 1000
        > F. 101:101(0) ack 1
        < .  1:1(0) ack 102
        """,
        {"WIN02"},
    ),
    "a FIN comes again that was first sent before the capture began": (
        """
        > P. 1:101(100) ack 2
        < .  2:2(0) ack 101
        +0.5 < F. 1:1(0) ack 101
        > F. 101:101(0) ack 2
        < .  2:2(0) ack 102
        """,
        set(),
    ),
    "so does data with FIN": (
        """
        > P. 1:101(100) ack 52
        < .  52:52(0) ack 101
        +0.5 < FP. 1:51(50) ack 101
        > F. 101:101(0) ack 52
        < .  52:52(0) ack 102
        """,
        set(),
    ),
    "a FIN has the number of data that the capture has": (
        """
        > P. 1:101(100) ack 2
        < P. 2:52(50) ack 101
        +0.5 < F. 51:51(0) ack 101
        > F. 101:101(0) ack 52
        """,
        {"FIN01"},
    ),
    "both open, and one answers with what its own SYN offers": (
        """
        > S  0:0(0) <mss 1240,sackOK,TS val 100 ecr 0,nop,wscale 7>
        < S  0:0(0) <mss 1240,nop,wscale 1>
        > S. 0:0(0) ack 1 <mss 1240,sackOK,TS val 101 ecr 0,nop,wscale 7>
        < .  1:1(0) ack 1
        """,
        set(),
    ),
    "both open, and one answers with more than its own SYN offers": (
        """
        > S  0:0(0) <mss 1240>
        < S  0:0(0) <mss 1240>
        > S. 0:0(0) ack 1 <mss 1240,nop,wscale 7>
        < .  1:1(0) ack 1
        """,
        {"OPT03"},
    ),
}
"""Over IPv6, where no identification tells the order."""


def lines_of(text: str, *, counted: bool) -> str:
    """A text of the notation; `counted`: each host counts its identifications."""
    found, last = [], {">": 100, "<": 4000}
    for line in filter(None, map(str.strip, text.split("\n"))):
        way = re.search("[<>]", line)
        assert way
        last[way[0]] += 1
        found.append(line if "{" in line or not counted else f"{line} {{ip.id={last[way[0]]}}}")
    return "\n".join(found)


def frames_of(text: str, version: int, isns: tuple[int, int]) -> list[Frame]:
    """The frames of a text."""
    return list(frames(list(parse(lines_of(text, counted=version == 4), "test")), version=version, isns=isns))


def findings(everything: list[Frame]) -> list[Finding]:
    """All findings but notes."""
    verdict = examine(Verifier().run(everything), lambda: everything, collect())
    return [each for each in verdict.findings if each.severity > Severity.NOTE]


@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize(
    ("text", "codes", "version"),
    [*((*each, 6) for each in SITUATIONS.values()), *((*each, 4) for each in COUNTED.values())],
    ids=[*SITUATIONS, *COUNTED],
)
def test_a_situation(text: str, codes: set[str], version: int, isns: tuple[int, int]) -> None:
    assert {each.code for each in findings(frames_of(text, version, isns))} == codes


@pytest.mark.parametrize(("seq", "severity"), [(2, Severity.WARNING), (1, Severity.ERROR)], ids=["both", "one"])
def test_where_a_side_lacks_packets_its_last_ack_is_not_proven(seq: int, severity: Severity) -> None:
    text = f"{OPENED} < P. 1:501(500) ack 1 \n > . {seq}:{seq}(0) ack 5001"
    assert [(each.packet, each.severity) for each in findings(frames_of(text, 6, ISNS["raw"]))] == [(5, severity)]


def test_the_reset_in_syn_received_answers_the_syn() -> None:
    # Its seq is 0, and no ISN is added to it.
    text = f"> S 0:0(0)\n< S. 0:0(0) ack 1\n+1 > S 1:1(0)\n< R. {2**32 - 5000}:{2**32 - 5000}(0) ack 2"
    assert {each.code for each in findings(frames_of(text, 4, ISNS["raw"]))} == {"HS07"}
    wrong = findings(frames_of(text.replace("ack 2", "ack 3"), 4, ISNS["raw"]))
    assert {each.code for each in wrong} == {"HS07", "RST01"}


def test_the_fin_is_blamed_on_the_ack_that_leaves_it_out() -> None:
    found = findings(frames_of(COUNTED["the FIN of data with FIN is not counted"][0], 4, ISNS["raw"]))
    assert [(each.packet, each.expected_relative) for each in found if each.severity == Severity.ERROR] == [(7, 502)]


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 1)])
def test_numbers_of_both_sides_that_are_the_same_by_chance_are_not_swapped(isns: tuple[int, int]) -> None:
    text = f"""{OPENED}
    > P. 1:101(100) ack 1
    > P. 201:301(100) ack 1
    < P. 1:101(100) ack 1
    < P. 101:201(100) ack 1
    < P. 201:301(100) ack 101
    > .  301:301(0) ack 101
    +0.3 > P. 101:201(100) ack 301
    < .  301:301(0) ack 301
    """
    assert "NUM01" not in {each.code for each in findings(frames_of(text, 4, isns))}


def test_each_mistake_is_proved_once_however_often_it_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(why: str, entry: Entry, segments: Sequence[Shown]) -> bool:
        asked.append(id(entry))
        return proves(why, entry, segments)

    monkeypatch.setattr("labkit.analysis.second_look.proves", counted)
    text = f"{OPENED} > F. 1:1(0) ack 1 \n < P. 1:51(50) ack 2 \n" + "> . 2:2(0) ack 1 \n" * 20
    findings(frames_of(text, 4, ISNS["raw"]))
    assert len(asked) == len(set(asked)) == 1


@pytest.mark.parametrize(("again", "why"), [("", "lock-step"), ("+1 > P. 1:2(1) ack 1", "")], ids=["once", "twice"])
def test_one_octet_that_comes_again_is_seen(again: str, why: str) -> None:
    # Python has each octet only once, so that the payloads of both segments are the same object.
    text = f"""{OPENED}
    > P. 1:2(1) ack 1
    {again}
    < .  1:1(0) ack 2
    > F. 2:2(0) ack 1
    < F. 1:1(0) ack 3
    > .  3:3(0) ack 2
    """
    (talk,) = talks_of(frames_of(text, 6, ISNS["raw"]), None)
    assert evidence(talk.segments) == why


@pytest.mark.parametrize(("sent", "why"), [("51:101(50)", ""), ("51:102(51)", "lock-step")], ids=["end", "more"])
def test_the_end_of_a_segment_that_comes_again_is_seen(sent: str, why: str) -> None:
    text = f"""{OPENED}
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 51
    > P. {sent} ack 1
    < .  1:1(0) ack 102
    > F. 102:102(0) ack 1
    < F. 1:1(0) ack 103
    > .  103:103(0) ack 2
    """
    (talk,) = talks_of(frames_of(text, 6, ISNS["raw"]), None)
    assert evidence(talk.segments) == why
