"""Lossy and slow paths: what an honest sender can send is no error, wherever it is captured; what it cannot send is one.

Over IPv6 no identification tells in which order segments were sent, nor that one is missing. Each honest conversation has a
conversation beside it that looks alike, and that no path explains.
"""

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.examine import Completeness, examine
from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ISNS = {"raw": (1000, 5000), "wraps": (2**32 - 1, 2**32 - 50), "alike": (0, 0)}

OPENING = """
> S  0:0(0)
< S. 0:0(0) ack 1
> .  1:1(0) ack 1
"""
CLOSE = """
> F. 29:29(0) ack 1
< F. 1:1(0) ack 30
> .  30:30(0) ack 2
"""
STAMPED = """
> S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0>
< S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 900 ecr 100>
> .  1:1(0) ack 1 <nop,nop,TS val 110 ecr 900>
"""


def found(text: str, isns: tuple[int, int] = (1000, 5000), version: int = 6) -> list[Finding]:
    """What is found in a conversation of which nothing is known but its segments."""
    everything = list(frames(list(parse(text, "test")), version=version, isns=isns))
    verdict = examine(Verifier().run(everything), lambda: everything, collect(), Completeness.AUTO)
    return list(verdict.findings)


def errors(text: str, isns: tuple[int, int] = (1000, 5000), version: int = 6) -> list[tuple[str, int | None]]:
    return [(each.code, each.packet) for each in found(text, isns, version) if each.severity == Severity.ERROR]


HONEST = {
    "a pure ACK is overtaken by the next one": f"""{OPENING}
        > P. 1:19(18) ack 1
        > P. 19:29(10) ack 1
        < .  1:1(0) ack 29
        +0.5 < .  1:1(0) ack 19
        {CLOSE}""",
    "data is overtaken by an ACK, and has an older one": f"""{OPENING}
        > P. 1:19(18) ack 1
        < .  11:11(0) ack 19
        < P. 1:11(10) ack 1
        > F. 19:19(0) ack 11
        < F. 11:11(0) ack 20
        > .  20:20(0) ack 12
        """,
    "the third segment is overtaken by the request": """
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > P. 1:19(18) ack 1
        < P. 1:11(10) ack 19
        +0.5 > .  1:1(0) ack 1
        +0.5 > F. 19:19(0) ack 11
        < F. 11:11(0) ack 20
        > .  20:20(0) ack 12
        """,
    "a gap of several segments is filled from its end": f"""{OPENING}
        > .  201:301(100) ack 1
        > P. 301:401(100) ack 1
        > .  101:201(100) ack 1
        > .  1:101(100) ack 1
        < .  1:1(0) ack 401
        > F. 401:401(0) ack 1
        < F. 1:1(0) ack 402
        > .  402:402(0) ack 2
        """,
    "the first segment of several is lost and sent again": f"""{OPENING}
        > .  101:201(100) ack 1
        < .  1:1(0) ack 1
        > P. 201:301(100) ack 1
        < .  1:1(0) ack 1
        +1.0 > .  1:101(100) ack 1
        < F. 1:1(0) ack 301
        > F. 301:301(0) ack 2
        < .  2:2(0) ack 302
        """,
    "only the first of two lost segments is sent again, with a later ack": f"""{OPENING}
        > .  201:301(100) ack 1
        < P. 1:11(10) ack 1
        > .  301:301(0) ack 11
        +1.0 > .  1:101(100) ack 11
        < R. 11:11(0) ack 101
        """,
    "a FIN is lost before the point of capture, and sent again": f"""{OPENING}
        < F. 1:1(0) ack 1
        > .  2:2(0) ack 2
        +3.0 > F. 1:1(0) ack 2
        < .  2:2(0) ack 2
        """,
    "a FIN is lost before the point of capture, and the peer aborts": f"""{OPENING}
        > P. 1:19(18) ack 1
        < .  1:1(0) ack 19
        > .  19:19(0) ack 1
        < P. 1:11(10) ack 19
        > .  20:20(0) ack 11
        < R. 11:11(0) ack 19
        """,
    "a keep-alive crosses the FIN": f"""{OPENING}
        < F. 1:1(0) ack 1
        +0.5 > .  0:0(0) ack 1
        < .  2:2(0) ack 1
        +0.5 > F. 1:1(0) ack 2
        < .  2:2(0) ack 2
        """,
    "an ACK is delivered twice, and the copy crosses the FIN": f"""{OPENING}
        < F. 1:1(0) ack 1
        +0.5 > .  1:1(0) ack 1
        +0.5 > F. 1:1(0) ack 2
        < .  2:2(0) ack 2
        """,
    "an ACK answers a SYN ACK that was sent again, and crosses the FIN": """
        > S  0:0(0)
        < S. 0:0(0) ack 1
        +1.0 < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        +0.1 < F. 1:1(0) ack 1
        +1.0 > .  1:1(0) ack 1
        +0.5 > F. 1:1(0) ack 2
        < .  2:2(0) ack 2
        """,
    "the answer to a keep-alive crosses the FIN": f"""{OPENING}
        > P. 1:19(18) ack 1
        < .  1:1(0) ack 19
        +1.0 > .  18:18(0) ack 1
        > F. 19:19(0) ack 1
        +0.5 < .  1:1(0) ack 19
        +0.5 < F. 1:1(0) ack 20
        > .  20:20(0) ack 2
        """,
    "the echo shows that the FIN has not arrived": f"""{STAMPED}
        < P. 1:11(10) ack 1 <nop,nop,TS val 910 ecr 110>
        > .  1:1(0) ack 11 <nop,nop,TS val 120 ecr 910>
        < F. 11:11(0) ack 1 <nop,nop,TS val 950 ecr 120>
        +0.5 > .  1:1(0) ack 11 <nop,nop,TS val 170 ecr 910>
        +0.5 > F. 1:1(0) ack 12 <nop,nop,TS val 180 ecr 950>
        < .  12:12(0) ack 2 <nop,nop,TS val 960 ecr 180>
        """,
    "a FIN that comes with an old timestamp is dropped": f"""{STAMPED}
        > P. 1:11(10) ack 1 <nop,nop,TS val 120 ecr 900>
        < .  1:1(0) ack 11 <nop,nop,TS val 910 ecr 120>
        > .  1:11(10) ack 1 <nop,nop,TS val 300 ecr 910>
        < .  1:1(0) ack 11 <nop,nop,TS val 930 ecr 300>
        +0.5 > F. 11:11(0) ack 1 <nop,nop,TS val 150 ecr 910>
        +0.1 < .  1:1(0) ack 11 <nop,nop,TS val 960 ecr 300>
        +0.5 > F. 11:11(0) ack 1 <nop,nop,TS val 400 ecr 960>
        < F. 1:1(0) ack 12 <nop,nop,TS val 980 ecr 400>
        """,
    "a FIN is behind a gap, and the data before it is sent again": f"""{OPENING}
        > P. 1:101(100) ack 1
        > F. 301:301(0) ack 1
        < .  1:1(0) ack 101
        +1.0 > .  101:301(200) ack 1
        < F. 1:1(0) ack 302
        > .  302:302(0) ack 2
        """,
    "data is overtaken by its sender's reset": f"""{OPENING}
        > R. 101:101(0) ack 1
        +0.5 > P. 1:101(100) ack 1
        < R  1:1(0)
        """,
    "a pure ACK is overtaken by its sender's reset": f"""{OPENING}
        < P. 1:101(100) ack 1
        < P. 101:201(100) ack 1
        > R. 1:1(0) ack 201
        +0.5 > .  1:1(0) ack 101
        """,
    "data comes after the resets of a host that has aborted before": f"""{OPENING}
        > P. 1:101(100) ack 1
        < R. 301:301(0) ack 1
        < R  1:1(0)
        +1.0 < P. 1:301(300) ack 1
        > R  1:1(0)
        """,
    "a host that has aborted answers old segments": f"""{OPENING}
        > P. 1:101(100) ack 1
        < P. 1:101(100) ack 101
        > .  101:101(0) ack 101
        < R. 101:101(0) ack 101
        < R  101:101(0)
        +1.0 < R  1:1(0)
        """,
    "a host that was reset answers old segments": f"""{OPENING}
        > P. 1:101(100) ack 1
        < P. 1:101(100) ack 101
        > R. 101:101(0) ack 101
        < .  101:101(0) ack 101
        > R  101:101(0)
        +1.0 < R  1:1(0)
        """,
    "a pure ACK stands at the edge of a window that the peer has shrunk": f"""{OPENING.replace("ack 1", "ack 1 win 600")}
        > P. 1:501(500) ack 1 win 600
        < .  1:101(100) ack 1 win 400
        > .  401:401(0) ack 101 win 600
        < .  101:101(0) ack 501 win 400
        > F. 501:501(0) ack 101 win 600
        < F. 101:101(0) ack 502 win 400
        > .  502:502(0) ack 102 win 600
        """,
    "the capture lacks the data before a pure ACK at the edge of a shrunk window": f"""
        {OPENING.replace("ack 1", "ack 1 win 600")}
        < P. 1:101(100) ack 1 win 400
        > .  401:401(0) ack 101 win 600
        +1.0 > P. 1:501(500) ack 101 win 600
        < .  101:101(0) ack 501 win 400
        """,
    "a keep-alive takes the place of the third segment": f"""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        +0.5 > .  0:0(0) ack 1
        +0.3 < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:29(28) ack 1
        < .  1:1(0) ack 29
        {CLOSE}""",
}

WRONG = {
    "a pure ACK takes back an ack that no segment asked for": (
        f"{OPENING}> P. 1:19(18) ack 1\n> P. 19:29(10) ack 1\n< . 1:1(0) ack 29\n+0.5 < . 1:1(0) ack 23\n{CLOSE}",
        ("ACK06", 7),
    ),
    "newer data takes back an ack": (
        (
            f"{OPENING}> P. 1:19(18) ack 1\n< P. 1:11(10) ack 19\n> P. 19:29(10) ack 11\n< P. 11:21(10) ack 1\n"
            "> F. 29:29(0) ack 21\n< F. 21:21(0) ack 30\n> . 30:30(0) ack 22"
        ),
        ("ACK02", 7),
    ),
    "a sender does not count its data, and acknowledges newer data": (
        (
            f"{OPENING}> P. 1:19(18) ack 1\n< P. 1:11(10) ack 19\n> . 1:1(0) ack 11\n> F. 19:19(0) ack 11\n"
            "< F. 11:11(0) ack 20\n> . 20:20(0) ack 12"
        ),
        ("SEQ02", 6),
    ),
    "a pure ACK is counted, and the peer goes along": (
        f"{OPENING}> P. 2:20(18) ack 1\n< . 1:1(0) ack 20\n> F. 20:20(0) ack 1\n< F. 1:1(0) ack 21\n> . 21:21(0) ack 2",
        ("SEQ02", 4),
    ),
    "a FIN is not counted, and no earlier ACK was the same": (
        (
            f"{OPENING}> P. 1:19(18) ack 1\n< P. 1:11(10) ack 19\n> P. 19:29(10) ack 11\n< F. 11:11(0) ack 29\n"
            "+0.5 > . 29:29(0) ack 11\n> F. 29:29(0) ack 12\n< . 12:12(0) ack 30"
        ),
        ("FIN02", 8),
    ),
    "data goes on behind the FIN": (
        f"{OPENING}> F. 1:1(0) ack 1\n< . 1:1(0) ack 2\n> P. 2:101(99) ack 1\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2",
        ("FIN03", 6),
    ),
    "data goes on behind the number of the reset": (
        f"{OPENING}> P. 1:101(100) ack 1\n> R. 101:101(0) ack 1\n+0.5 > P. 101:201(100) ack 1\n< R 1:1(0)",
        ("RST03", 6),
    ),
    "a sender acknowledges after its reset what comes only then": (
        (
            f"{OPENING}> R 1:1(0)\n> P. 1:19(18) ack 1\n< P. 1:11(10) ack 19\n> . 19:19(0) ack 11\n> F. 19:19(0) ack 11\n"
            "< F. 11:11(0) ack 20\n> . 20:20(0) ack 12"
        ),
        ("RST03", 5),
    ),
    "a client's kernel resets what a script goes on with": (
        "> S 0:0(0)\n< S. 0:0(0) ack 1\n> R 1:1(0)\n> . 1:1(0) ack 1\n> P. 1:19(18) ack 1\n< . 1:1(0) ack 19",
        ("RST04", 4),
    ),
    "the first reset has a number that nobody has acknowledged": (
        f"{OPENING}> P. 1:19(18) ack 1\n< P. 1:11(10) ack 19\n> . 19:19(0) ack 11\n> R 7:7(0)",
        ("RST01", 7),
    ),
    "the third segment has the number of the SYN": (
        f"> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 0:0(0) ack 1\n> P. 1:29(28) ack 1\n< . 1:1(0) ack 29\n{CLOSE}",
        ("HS03", 3),
    ),
    "numbers are skipped, and the sender goes back": (
        f"{OPENING}> . 101:101(0) ack 1\n> P. 1:29(28) ack 1\n< . 1:1(0) ack 29\n{CLOSE}",
        ("SEQ01", 4),
    ),
}
"""What lies near, and the error that it stays."""


@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize("text", HONEST.values(), ids=HONEST.keys())
def test_what_a_path_explains_is_no_error(text: str, isns: tuple[int, int]) -> None:
    assert errors(text, isns) == []


@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize(("text", "wrong"), WRONG.values(), ids=WRONG.keys())
def test_what_no_path_explains_stays_an_error(text: str, wrong: tuple[str, int], isns: tuple[int, int]) -> None:
    assert wrong in errors(text, isns)


def test_identifications_that_count_show_the_order() -> None:
    """Over IPv4, where identifications count, the same late ACK was sent last: no path explains it."""
    text = HONEST["a pure ACK is overtaken by the next one"]
    assert ("ACK02", 7) in errors(text, version=4)


FORMER = """
    > S  0:0(0) <sackOK>
    < S. 0:0(0) ack 1 <sackOK>
    > .  1:1(0) ack 1
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 101
    > F. 101:101(0) ack 1
    < F. 1:1(0) ack 102
    > .  102:102(0) ack 2
    +1.0 > S 100000:100000(0) <sackOK>
"""
"""A connection, and the SYN of the next one between the same ports."""
NEXT = f"{FORMER}< S. 90000:90000(0) ack 100001 <sackOK>\n> . 100001:100001(0) ack 90001\n"

REUSED = {
    "the reset answers an ACK of the connection before": (f"{FORMER}< R 102:102(0)", []),
    "the reset of the new SYN has a wrong ack": (f"{FORMER}< R. 90000:90000(0) ack 2", [("RST02", 10)]),
    "D-SACK of bytes of the connection before": (f"{NEXT}< . 90001:90001(0) ack 100001 <nop,nop,sack 1:101>", []),
    "SACK of bytes that neither connection has": (
        f"{NEXT}< . 90001:90001(0) ack 100001 <nop,nop,sack 5001:5101>",
        [("SACK02", 12)],
    ),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("text", "wrong"), REUSED.values(), ids=REUSED.keys())
def test_what_the_connection_before_explains_is_no_error(text: str, wrong: list[tuple[str, int]], version: int) -> None:
    assert errors(text, version=version) == wrong
