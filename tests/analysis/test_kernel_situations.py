"""What Linux 6.18 sends on paths that lose, delay and double packets, as captures of it show: no error, and no false warning.

Beside each situation stands one that looks alike and that no kernel makes.
"""

import pytest
from situations import ISNS, STAMPED

from labkit.analysis.catalogue import collect
from labkit.analysis.examine import Completeness, examine
from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPENED = """
    > S  0:0(0) win 4000
    +0.01 < S. 0:0(0) ack 1 win 4000
    > .  1:1(0) ack 1 win 4000
"""
RESET = f"""{OPENED}
    > P. 1:501(500) ack 1
    < .  1:1(0) ack 501
    < R. 1:1(0) ack 501
    +0.03 > S 90000:90000(0)
    +0.01 < S. 70000:70000(0) ack 90001
    > .  90001:90001(0) ack 70001
"""
"""A connection that was reset, and the next one on its four-tuple."""
ENDED = f"""{OPENED}
    > P. 1:501(500) ack 1
    < F. 1:1(0) ack 501
    > F. 501:501(0) ack 2
    < .  2:2(0) ack 502
    +0.03 > S 90000:90000(0)
    +0.01 < S. 70000:70000(0) ack 90001
    > .  90001:90001(0) ack 70001
"""
"""The same, and both sides have closed the first one."""
NEARBY = f"""{OPENED}
    > P. 1:501(500) ack 1
    < R. 1:1(0) ack 501
    +0.03 > S 20000:20000(0)
    +0.01 < S. 30000:30000(0) ack 20001
    > .  20001:20001(0) ack 30001
"""
"""A connection that was reset, and one whose numbers lie near its own."""
SHRUNK = """
    > S  0:0(0) win 2048
    +0.01 < S. 0:0(0) ack 1 win 2048
    > .  1:1(0) ack 1 win 2048
    < P. 1:501(500) ack 1 win 1460
    +0.01 > . 1:1025(1024) ack 1 win 2048
    < .  501:501(0) ack 1025 win 436
    < .  501:501(0) ack 1025 win 1024
    +0.01 > P. 1025:2049(1024) ack 1 win 2048
"""
"""The server has lowered the right edge of its window from 2049 to 1461 for a while."""
ECN = """
    > SEW 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0>
    +0.02 < SE. 0:0(0) ack 1 <mss 1460,sackOK,TS val 900 ecr 100>
    > .  1:1(0) ack 1 <nop,nop,TS val 120 ecr 900>
    > P. 1:101(100) ack 1 ecn 2 <nop,nop,TS val 121 ecr 900>
    > P. 101:201(100) ack 1 ecn 2 <nop,nop,TS val 124 ecr 900>
    +0.02 < . 1:1(0) ack 201 <nop,nop,TS val 940 ecr 121>
"""
CLOSED = """
    > F. 1:1(0) ack 1
    < .  1:1(0) ack 2
"""

SITUATIONS: dict[str, tuple[str, set[str]]] = {
    "data of the connection before comes late": (f"{RESET} > . 501:1001(500) ack 1", {"ST03"}),
    "only its seq is that of the connection before": (f"{RESET} > . 501:1001(500) ack 70001", {"SEQ01"}),
    "only its ack is that of the connection before": (f"{RESET} > P. 90001:90501(500) ack 1", {"ACK02"}),
    "a reset of the connection before comes late": (f"{RESET} > R 501:501(0)", {"ST03"}),
    "data of a connection that both sides have closed": (f"{ENDED} > . 1:501(500) ack 1", {"ACK02", "SEQ01"}),
    "a reset with the number of that connection": (f"{ENDED} > R 501:501(0)", {"RST01"}),
    "the numbers of both connections lie near each other": (f"{NEARBY} > . 501:1001(500) ack 1", {"ACK02", "SEQ01"}),
    "a reset has the numbers of neither": (f"{RESET} > R 300501:300501(0)", {"RST01"}),
    "a refusal answers a late segment": (
        f"""{OPENED}
        > P. 1:501(500) ack 1
        < R. 1:1(0) ack 501
        +0.03 > S 90000:90000(0)
        < R. 4294962296:4294962296(0) ack 501
        < S. 70000:70000(0) ack 90001
        """,
        {"ST03"},
    ),
    "a reset answers a segment of this connection": (
        f"{OPENED} > R. 1:1(0) ack 1\n +0.03 > S 90000:90000(0)\n > . 90001:90001(0) ack 4660\n < R 4660:4660(0)",
        set(),
    ),
    "the server has not yet opened the next connection": (
        f"""{OPENED}
        > P. 1:501(500) ack 1
        > R. 501:501(0) ack 1
        +0.03 > S 90000:90000(0)
        +0.01 < P. 1:501(500) ack 501
        > R  501:501(0)
        < S. 70000:70000(0) ack 90001
        > .  90001:90001(0) ack 70001
        """,
        {"ST03"},
    ),
    "the answer to the first of three attempts": (
        "> S 0:0(0)\n > S 900:900(0)\n > S 2000:2000(0)\n < S. 0:0(0) ack 1\n > R 1:1(0)",
        {"HS04"},
    ),
    "the answer to the second of three attempts": (
        "> S 0:0(0)\n > S 900:900(0)\n > S 2000:2000(0)\n < S. 0:0(0) ack 901\n > R 901:901(0)",
        {"HS04"},
    ),
    "an answer to none of three attempts": (
        "> S 0:0(0)\n > S 900:900(0)\n > S 2000:2000(0)\n < S. 0:0(0) ack 2002\n > R 2002:2002(0)",
        {"HS02", "HS04"},
    ),
    "an answer to the last of three attempts, without its SYN": (
        "> S 0:0(0)\n > S 900:900(0)\n > S 2000:2000(0)\n < S. 0:0(0) ack 2000\n > R 2000:2000(0)",
        {"HS02", "HS04"},
    ),
    "the answer to the first of two attempts": (
        "> S 0:0(0)\n > S 900:900(0)\n < S. 0:0(0) ack 1\n > R 1:1(0)",
        {"HS04"},
    ),
    "an answer to neither of two attempts": (
        "> S 0:0(0)\n > S 900:900(0)\n < S. 0:0(0) ack 801\n > R 801:801(0)",
        {"HS02", "HS04"},
    ),
    "a refusal of neither of two attempts": (
        "> S 0:0(0)\n > S 900:900(0)\n < R. 0:0(0) ack 801",
        {"HS04", "RST02"},
    ),
    "the FIN is lost, and sent again": (
        f"{OPENED}{CLOSED} < P. 1:501(500) ack 2\n < F. 501:501(0) ack 2\n +0.03 > . 2:2(0) ack 501\n +0.2 < F. 501:501(0) ack 2",
        set(),
    ),
    "the FIN is not sent again": (
        f"{OPENED}{CLOSED} < P. 1:501(500) ack 2\n < F. 501:501(0) ack 2\n +0.03 > . 2:2(0) ack 501",
        {"FIN02"},
    ),
    "an octet before the FIN comes again with it": (
        f"{OPENED} +0.3 > F. 1:1(0) ack 1\n +0.05 < F. 2:2(0) ack 2\n > R 2:2(0)\n +0.03 < PF. 1:2(1) ack 2\n > R 2:2(0)",
        set(),
    ),
    "an octet behind the FIN": (
        f"{OPENED} +0.3 > F. 1:1(0) ack 1\n +0.05 < F. 1:1(0) ack 2\n > . 2:2(0) ack 2\n +0.03 < P. 2:4(2) ack 2",
        {"FIN03"},
    ),
    "data comes again with a FIN that was lost": (
        f"{OPENED}{CLOSED} < P. 1:501(500) ack 2\n > . 2:2(0) ack 501\n +0.24 < PF. 1:501(500) ack 2\n > . 2:2(0) ack 502",
        set(),
    ),
    "data comes again with new octets": (
        f"{OPENED} < P. 1:501(500) ack 1\n > . 1:1(0) ack 501\n +0.24 < P. 1:521(520) ack 1\n > . 1:1(0) ack 521",
        {"SEQ01"},
    ),
    "a probe of a closed window acknowledges new data": (
        f"""{OPENED}
        > P. 1:501(500) ack 1 win 4000
        < .  1:1(0) ack 501 win 3500
        > P. 501:4001(3500) ack 1 win 4000
        < .  1:1(0) ack 4001 win 0
        < P. 1:101(100) ack 4001 win 0
        +0.2 > . 4000:4000(0) ack 101 win 4000
        < .  101:101(0) ack 4001 win 0
        """,
        set(),
    ),
    "the same, and the window is open": (
        f"""{OPENED}
        > P. 1:501(500) ack 1
        < .  1:1(0) ack 501
        < P. 1:101(100) ack 501
        +0.2 > . 500:500(0) ack 101
        < .  101:101(0) ack 501
        """,
        {"SEQ01"},
    ),
    "an ACK at the edge that the peer had offered": (f"{SHRUNK} +0.001 > . 1461:1461(0) ack 501 win 1548", {"WIN02"}),
    "a reset at the edge that the peer had offered": (f"{SHRUNK} +0.001 > R. 1461:1461(0) ack 501", {"WIN02"}),
    "an ACK beside that edge": (f"{SHRUNK} +0.001 > . 1462:1462(0) ack 501 win 1548", {"WIN02", "SEQ01"}),
    "ECN-capable data comes late": (
        f"{ECN} +0.05 > P. 1:101(100) ack 1 ecn 2 <nop,nop,TS val 121 ecr 900>",
        set(),
    ),
    "ECN-capable data is sent again": (
        f"{ECN} +0.05 > P. 1:101(100) ack 1 ecn 2 <nop,nop,TS val 200 ecr 900>",
        {"ECN03"},
    ),
    "an old ACK, whose timestamp has not moved on": (
        f"""{STAMPED}
        > P. 1:101(100) ack 1 <nop,nop,TS val 120 ecr 900>
        +0.02 < . 1:1(0) ack 101 <nop,nop,TS val 940 ecr 120>
        +0.1 > P. 101:201(100) ack 1 <nop,nop,TS val 240 ecr 940>
        +0.02 < . 1:1(0) ack 201 <nop,nop,TS val 1060 ecr 240>
        +0.1 < . 1:1(0) ack 101 <nop,nop,TS val 1060 ecr 120>
        """,
        set(),
    ),
    "an old ACK with a later timestamp": (
        f"""{STAMPED}
        > P. 1:101(100) ack 1 <nop,nop,TS val 120 ecr 900>
        +0.02 < . 1:1(0) ack 101 <nop,nop,TS val 940 ecr 120>
        +0.1 > P. 101:201(100) ack 1 <nop,nop,TS val 240 ecr 940>
        +0.02 < . 1:1(0) ack 201 <nop,nop,TS val 1060 ecr 240>
        +0.1 < . 1:1(0) ack 101 <nop,nop,TS val 1160 ecr 120>
        """,
        {"ACK02"},
    ),
    "an ACK of what came again in another part": (
        f"""{OPENED}
        < P. 1:1001(1000) ack 1
        +0.3 < . 1:601(600) ack 1
        > .  1:1(0) ack 601
        """,
        set(),
    ),
    "an ACK inside what came again": (
        f"""{OPENED}
        < P. 1:1001(1000) ack 1
        +0.3 < . 1:601(600) ack 1
        > .  1:1(0) ack 602
        """,
        {"ACK06"},
    ),
    "a lost octet comes again after its ACK": (
        f"{OPENED} > P. 1:101(100) ack 1\n < . 2:2(0) ack 101\n +0.19 < P. 1:2(1) ack 101\n > . 101:101(0) ack 2",
        set(),
    ),
    "a SYN in TIME-WAIT echoes the peer's last timestamp": (
        "> S 0:0(0) <TS val 100 ecr 880>\n +0.02 < S. 0:0(0) ack 1 <TS val 900 ecr 100>",
        set(),
    ),
    "a SYN echoes a later timestamp": (
        "> S 0:0(0) <TS val 100 ecr 980>\n +0.02 < S. 0:0(0) ack 1 <TS val 900 ecr 100>",
        {"TS02"},
    ),
    "a reset answers an older segment": (
        f"{OPENED} > P. 1:101(100) ack 1\n > P. 101:201(100) ack 1\n < . 1:1(0) ack 101\n < . 1:1(0) ack 201\n > R 1:1(0)",
        set(),
    ),
    "late data has an old ack, so that its timestamp does not count": (
        f"""{STAMPED}
        < P. 1:101(100) ack 1 <TS val 930 ecr 120>
        > P. 1:51(50) ack 1 <TS val 140 ecr 900>
        < .  101:101(0) ack 51 <TS val 950 ecr 140>
        > .  51:51(0) ack 101 <TS val 160 ecr 900>
        """,
        set(),
    ),
    "an ACK leaves while data is read": (
        f"""{STAMPED}
        < P. 1:101(100) ack 1 <TS val 930 ecr 120>
        < P. 101:201(100) ack 1 <TS val 940 ecr 120>
        > P. 1:51(50) ack 101 <TS val 140 ecr 930>
        > .  51:51(0) ack 201 <TS val 141 ecr 930>
        """,
        set(),
    ),
    "a delayed ACK echoes the first of two segments": (
        f"""{STAMPED}
        < P. 1:101(100) ack 1 <TS val 930 ecr 120>
        < P. 101:201(100) ack 1 <TS val 940 ecr 120>
        > .  1:1(0) ack 201 <TS val 160 ecr 930>
        """,
        set(),
    ),
    "an ACK of one segment echoes the one before, which is a note": (
        f"""{STAMPED}
        < P. 1:101(100) ack 1 <TS val 930 ecr 120>
        > .  1:1(0) ack 101 <TS val 150 ecr 930>
        < P. 101:201(100) ack 1 <TS val 960 ecr 150>
        > .  1:1(0) ack 201 <TS val 180 ecr 930>
        """,
        set(),
    ),
    "a segment comes again after its ACK, which echoes the first copy": (
        f"""{STAMPED}
        < P. 1:101(100) ack 1 <TS val 930 ecr 120>
        +0.3 < P. 1:101(100) ack 1 <TS val 1230 ecr 120>
        > .  1:1(0) ack 101 <TS val 160 ecr 930>
        """,
        set(),
    ),
    "an ECN mark, and the sender has sent its data twice": (
        """
        > SEW 0:0(0)
        +0.01 < SE. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1 win 65535 ecn 3
        +0.3 > P. 1:101(100) ack 1
        < .  1:1(0) ack 101
        """,
        set(),
    ),
    "DCTCP clears ECE without CWR": (
        """
        > SEW 0:0(0)
        +0.01 < SE. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1 win 65535 ecn 3
        > P. 101:201(100) ack 1 win 65535 ecn 2
        < E. 1:1(0) ack 101
        < .  1:1(0) ack 201
        """,
        set(),
    ),
    "data under way when the reset comes": (
        f"{OPENED} > P. 1:501(500) ack 1\n < R. 1:1(0) ack 1\n > . 501:501(0) ack 1",
        set(),
    ),
    "a challenge ACK answers a reset beside the number": (
        f"{OPENED} > P. 1:501(500) ack 1\n +0.02 < . 1:1(0) ack 501\n > R. 502:502(0) ack 1\n +0.02 < . 1:1(0) ack 501",
        {"RST01"},
    ),
    "an ACK answers a reset at the number": (
        f"""{OPENED}
        > P. 1:501(500) ack 1
        +0.02 < . 1:1(0) ack 501 win 4000
        > R. 501:501(0) ack 1
        +0.02 < . 1:1(0) ack 501 win 4000
        """,
        {"RST05"},
    ),
    "an ACK is overtaken by one byte": (
        f"{OPENED} > P. 1:501(500) ack 1\n > P. 501:502(1) ack 1\n +2 > . 501:501(0) ack 1",
        set(),
    ),
    "a keep-alive while data is outstanding": (f"{OPENED} > P. 1:501(500) ack 1\n +2 > . 500:500(0) ack 1", {"KA02"}),
}


COUNTED: dict[str, tuple[str, set[str]]] = {
    "the identification is that of the connection before": (f"{RESET} > . 501:1001(500) ack 1 {{ip.id=5}}", {"ST03"}),
    "the identification counts on": (f"{RESET} > . 501:1001(500) ack 1", {"ACK02", "SEQ01"}),
    "a reset where a window would end if there were a scale": (
        """
        > S  0:0(0) win 100
        +0.01 < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1 win 100
        > P. 1:61(60) ack 1 win 100
        < .  1:1(0) ack 61 win 40
        > P. 61:101(40) ack 1 win 100
        < .  1:1(0) ack 101 win 100
        > P. 101:151(50) ack 1 win 100
        < .  1:1(0) ack 151 win 100
        > R. 141:141(0) ack 1
        """,
        {"RST01"},
    ),
}
"""Over IPv4, where one counter numbers all packets, as in handmade captures: nothing is missing."""


def told(text: str, isns: tuple[int, int], version: int, assume: Completeness = Completeness.AUTO) -> set[str]:
    """The codes of errors and warnings, and of late segments. Over IPv6, no identification tells the order."""
    everything = list(frames(list(parse(text, "test")), version=version, isns=isns))
    verdict = examine(Verifier().run(everything), lambda: everything, collect(), assume)
    found: list[Finding] = list(verdict.findings)
    return {each.code for each in found if each.severity > Severity.NOTE or each.code == "ST03"}


@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize(
    ("text", "codes", "version"),
    [*((*each, 6) for each in SITUATIONS.values()), *((*each, 4) for each in COUNTED.values())],
    ids=[*SITUATIONS, *COUNTED],
)
def test_a_situation(text: str, codes: set[str], version: int, isns: tuple[int, int]) -> None:
    lines = text.replace("\n >", "\n>").replace("\n <", "\n<")
    assert told(lines, isns, version) == codes


@pytest.mark.parametrize("assume", [Completeness.AUTO, Completeness.COMPLETE])
def test_the_last_ack_without_the_fin_is_told_in_a_complete_capture_too(assume: Completeness) -> None:
    text, _codes = SITUATIONS["the FIN is not sent again"]
    assert "FIN02" in told(text.replace("\n >", "\n>").replace("\n <", "\n<"), ISNS["raw"], 6, assume)
