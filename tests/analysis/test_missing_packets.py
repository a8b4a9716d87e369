"""A capture that lacks packets of a sound conversation has no error, whichever they are.

The packets are numbered as Linux does: each host counts its IPv4 identifications, but its SYN ACK has 0.
"""

from itertools import accumulate

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.examine import examine
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.capture import Frame
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

CONVERSATIONS = {
    "both sides close at once": """
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460>
        > .  1:1(0) ack 1
        > P. 1:19(18) ack 1
        < .  1:1(0) ack 19
        < P. 1:25(24) ack 19
        > .  19:19(0) ack 25
        > F. 19:19(0) ack 25
        < F. 25:25(0) ack 20
        > .  20:20(0) ack 26
    """,
    "the server closes first": """
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460>
        > .  1:1(0) ack 1
        > P. 1:3(2) ack 1
        < .  1:1(0) ack 3
        < F. 1:1(0) ack 3
        > F. 3:3(0) ack 2
        < .  2:2(0) ack 4
    """,
    "a window that closes and is probed": """
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 win 2896 <mss 1460>
        > .  1:1(0) ack 1
        > .  1:1449(1448) ack 1
        < .  1:1(0) ack 1449 win 2896
        > P. 1449:2897(1448) ack 1
        > P. 2897:4345(1448) ack 1
        < .  1:1(0) ack 4345 win 0
        +0.2 > . 4344:4344(0) ack 1
        < .  1:1(0) ack 4345 win 0
        +0.4 > . 4344:4344(0) ack 1
        < .  1:1(0) ack 4345 win 2896
        > P. 4345:5793(1448) ack 1
        < .  1:1(0) ack 5793
    """,
    "a simultaneous open": """
        > S  0:0(0) <mss 1460>
        < S  0:0(0) <mss 1460>
        > S. 0:0(0) ack 1 <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460>
        > .  1:1(0) ack 1
        < .  1:1(0) ack 1
        > P. 1:7(6) ack 1
        < P. 1:7(6) ack 1
        > .  7:7(0) ack 7
        < .  7:7(0) ack 7
        > F. 7:7(0) ack 7
        < F. 7:7(0) ack 8
        > .  8:8(0) ack 8
    """,
    "a SYN ACK that comes again after its acknowledgment": """
        > S  0:0(0) <mss 1460, TS val 1000 ecr 0>
        < S. 0:0(0) ack 1 <mss 1460, TS val 70 ecr 1000>
        +0.005 > .  1:1(0) ack 1 <TS val 1005 ecr 70>
        +0.005 < S. 0:0(0) ack 1 <mss 1460, TS val 75 ecr 1000>
        > .  1:1(0) ack 1 <TS val 1006 ecr 75>
        > P. 1:101(100) ack 1 <TS val 1006 ecr 75>
        < .  1:1(0) ack 101 <TS val 76 ecr 1006>
    """,
    "a SYN that comes again after its answer": """
        > S  0:0(0) <mss 1460, TS val 1000 ecr 0>
        < S. 0:0(0) ack 1 <mss 1460, TS val 70 ecr 1000>
        +0.2 > S  0:0(0) <mss 1460, TS val 1200 ecr 0>
        < S. 0:0(0) ack 1 <mss 1460, TS val 71 ecr 1000>
        > .  1:1(0) ack 1 <TS val 1201 ecr 71>
        > P. 1:101(100) ack 1 <TS val 1201 ecr 71>
        < .  1:1(0) ack 101 <TS val 72 ecr 1201>
    """,
    "large segments above offload": """
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460>
        > .  1:1(0) ack 1
        > P. 1:14601(14600) ack 1
        < .  1:1(0) ack 14601
        > P. 14601:29201(14600) ack 1
        < .  1:1(0) ack 29201
    """,
}


def numbered(text: str) -> str:
    """The conversation with the IPv4 identifications of two Linux hosts."""
    lines = [line.strip() for line in text.strip().splitlines()]
    counts = {
        side: accumulate(lines, lambda n, line, s=side: n + (f"{s} " in line), initial=first)
        for side, first in (("<", 5000), (">", 9000))
    }
    out = []
    for line, server, client in zip(lines, list(counts["<"])[1:], list(counts[">"])[1:], strict=False):
        ident = 0 if "< S." in line else server if "< " in line else client
        out.append(f"{line} {{ip.id={ident}}}")
    return "\n".join(out)


def judged(packets: list[Frame]) -> Verdict:
    rules = collect()
    again = [frame._replace(number=number) for number, frame in enumerate(packets, 1)]
    return examine(Verifier(rules=rules).run(again), lambda: again, rules)


def errors(packets: list[Frame]) -> list[tuple[int | None, str]]:
    return [(each.packet, each.code) for each in judged(packets).findings if each.severity == Severity.ERROR]


@pytest.mark.slow
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("isns", [(7000, 90_000), (2**32 - 1, 2**32 - 10)])
@pytest.mark.parametrize("title", CONVERSATIONS)
def test_missing_packets_make_no_error(title: str, isns: tuple[int, int], version: int) -> None:
    whole = list(frames(list(parse(numbered(CONVERSATIONS[title]), title)), version=version, isns=isns))
    assert errors(whole) == []
    count = len(whole)
    ranges = [(at, at + 1) for at in range(count)] + [(at, at + 2) for at in range(count - 1)]
    ranges += [(0, end) for end in range(1, count)] + [(start, count) for start in range(1, count)]
    found = {}
    for start, end in ranges:
        said = errors(whole[:start] + whole[end:])
        if said:
            found[start + 1, end] = said
    assert found == {}
