"""Situations that look wrong and are right, and faults that are easily missed, at any pace.

The comments say which warnings and errors there must be; there is no other. Each situation is judged over IPv4 and IPv6, with
numbers that wrap, with one and with twenty milliseconds from a segment to the next.
"""

import re
from itertools import product

import pytest
from situations import PACES, at_pace, situations

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ISNS = [(0, 0), (2**32 - 1, 2**32 - 50), (3_000_000_000, 77)]
WHOLE = {"CAP05", "FIN06"}
"""Codes about a conversation of which the situation shows only a part."""


SITUATIONS = situations()


def expected(text: str, version: int) -> set[tuple[int, str]]:
    """Packets and codes of the comments. `CODE/4` is for IPv4 only, where identifications tell more."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = set()
    for number, line in enumerate(lines, 1):
        for code, only in re.findall(r"([A-Z]+\d\d)(?:/(\d))?", line.partition("#")[2]):
            if not only or int(only) == version:
                found.add((number, code))
    return found


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("title", SITUATIONS)
def test_a_situation(title: str, version: int) -> None:
    text = SITUATIONS[title]
    for pace, isns in product(PACES, ISNS):
        lines = list(parse(at_pace(text, pace), title))
        findings = Verifier().run(frames(lines, version=version, isns=isns)).findings
        loud = {(each.packet, each.code) for each in findings if each.severity > Severity.NOTE}
        assert {each for each in loud if each[1] not in WHOLE} == expected(text, version), (pace, isns)


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("> . 99:99(0) ack 1\n< . 1:1(0) ack 100\n> P. 100:200(100) ack 1\n< . 1:1(0) ack 200", []),
        ("> . 99:99(0) ack 1\n< . 1:1(0) ack 100\n< . 1:1(0) ack 100\n> P. 100:200(100) ack 1", []),
        ("> . 99:99(0) ack 1\n< . 1:1(0) ack 100\n> . 99:99(0) ack 1\n< . 1:1(0) ack 100", []),
        ("> . 99:99(0) ack 1\n< . 1:1(0) ack 101\n> P. 101:200(99) ack 1", [2]),
        ("> P. 1:99(98) ack 1\n< . 1:1(0) ack 99\n< . 1:1(0) ack 100\n> P. 100:200(100) ack 1", [3]),
    ],
)
@pytest.mark.parametrize("isns", ISNS)
def test_the_answer_to_a_keep_alive_that_begins_the_capture_is_right(
    text: str, noted: list[int], isns: tuple[int, int]
) -> None:
    """Not even a note says otherwise; octets that the capture lacks are still noted."""
    findings = Verifier().run(frames(list(parse(text, "keep-alive")), version=4, isns=isns)).findings
    assert [each.packet for each in findings if each.code == "ACK01"] == noted
    assert noted or not [each for each in findings if each.code.startswith("SEQ")]
