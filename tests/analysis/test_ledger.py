"""Mistakes in complete conversations: each is one error, at its first wrong packet, with the number that belongs there."""

from collections.abc import Sequence

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.examine import Completeness, examine
from labkit.analysis.finding import Finding
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ISNS = {"zero": (0, 0), "raw": (1000, 5000), "wraps": (2**32 - 1, 2**32 - 50), "ends-at-zero": (2**32 - 20, 2**32 - 1)}
OPENING = """
> S  0:0(0)
< S. 0:0(0) ack 1
> .  1:1(0) ack 1
"""
REQUEST = "> P. 1:19(18) ack 1\n"
TALK = f"""{OPENING}{REQUEST}
< .  1:1(0) ack 19
< P. 1:25(24) ack 19
> .  19:19(0) ack 25
"""
CLOSE = """
> F. 19:19(0) ack 25
< .  25:25(0) ack 20
< F. 25:25(0) ack 20
> .  20:20(0) ack 26
"""


def judged(
    text: str, version: int = 4, isns: tuple[int, int] = (0, 0), assume: Completeness = Completeness.COMPLETE
) -> Verdict:
    """The verdict on a conversation in the notation, the second look included."""
    everything = list(frames(list(parse(text, "test")), version=version, isns=isns))
    verdict = Verifier().run(everything)
    return examine(verdict, lambda: everything, collect(), assume)


def errors(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.severity == Severity.ERROR]


def line_of(verdict: Verdict) -> list[tuple[int | None, str, int | None]]:
    return [(each.packet, each.field, each.expected_relative) for each in errors(verdict)]


MISTAKES: dict[str, tuple[str, tuple[int, str, int | None]]] = {
    "FIN with the request, which nobody counts": (
        f"{OPENING}> FP. 1:19(18) ack 1\n< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25{CLOSE}",
        (4, "flags", None),
    ),
    "FIN on the SYN ACK": (f"{TALK}{CLOSE}".replace("< S. 0", "< SF. 0"), (2, "flags", None)),
    "no SYN on the first segment": (f"{TALK}{CLOSE}".replace("> S  0", "> - 0"), (1, "flags", None)),
    "SYN on a pure ACK": (
        f"{OPENING}{REQUEST}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> S. 19:19(0) ack 25{CLOSE}",
        (7, "flags", None),
    ),
    "SYN on a FIN": (f"{TALK}{CLOSE}".replace("> F.", "> SF."), (8, "flags", None)),
    "all control bits": (f"{TALK}{CLOSE}".replace("> P.", "> SFRPU."), (4, "flags", None)),
    "a FIN that neither side counts": (
        f"{TALK}> F. 19:19(0) ack 25\n< . 25:25(0) ack 19\n< F. 25:25(0) ack 19\n> . 19:19(0) ack 26",
        (9, "ack", 20),
    ),
    "of data with FIN, only the data acknowledged with the FIN": (
        f"{OPENING}{REQUEST}< FP. 1:25(24) ack 19\n> F. 19:19(0) ack 25\n< . 26:26(0) ack 20",
        (6, "ack", 26),
    ),
    "of two segments, only the last one acknowledged": (
        (
            f"{OPENING}{REQUEST}< . 1:1(0) ack 19\n< . 1:101(100) ack 19\n< P. 101:191(90) ack 19\n> . 19:19(0) ack 91\n"
            "> F. 19:19(0) ack 191\n< F. 191:191(0) ack 20\n> . 20:20(0) ack 192"
        ),
        (8, "ack", 191),
    ),
    "each segment counted as one, in both directions": (
        (
            f"{OPENING}{REQUEST}< . 1:1(0) ack 2\n< . 1:101(100) ack 2\n< P. 2:92(90) ack 2\n> . 2:2(0) ack 3\n"
            "> F. 2:2(0) ack 3\n< F. 3:3(0) ack 3\n> . 3:3(0) ack 4"
        ),
        (5, "ack", 19),
    ),
    "a pure ACK one too high, before a FIN that acknowledges more": (
        f"{TALK.replace('> .  19:19', '> .  20:20')}< F. 25:25(0) ack 19\n> F. 19:19(0) ack 26\n< . 26:26(0) ack 20",
        (7, "seq", 19),
    ),
    "another seq, and the same bytes again with the right one": (
        (
            f'{OPENING}> P. 301:319(18) ack 1 "eighteen octets..."\n> P. 1:19(18) ack 1 "eighteen octets..."\n'
            f"< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25{CLOSE}"
        ),
        (4, "seq", 1),
    ),
    "all numbers one too high, and the request sent twice": (
        (
            f"{OPENING.replace('> .  1:1', '> .  2:2')}> P. 2:20(18) ack 1\n> P. 2:20(18) ack 1\n< . 1:1(0) ack 19\n"
            "< P. 1:25(24) ack 19\n> P. 20:30(10) ack 25\n< P. 25:35(10) ack 29\n> F. 30:30(0) ack 35\n"
            "< F. 35:35(0) ack 30\n> . 31:31(0) ack 36"
        ),
        (3, "seq", 1),
    ),
    "FIN not counted, long after a request that was sent twice": (
        (
            f"{OPENING}{REQUEST}{REQUEST}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> P. 19:29(10) ack 25\n"
            "< P. 25:35(10) ack 29\n> F. 29:29(0) ack 35\n< . 35:35(0) ack 29\n< F. 35:35(0) ack 30\n> . 30:30(0) ack 36"
        ),
        (11, "ack", 30),
    ),
    "a second FIN that is counted": (
        f"{TALK}> F. 19:19(0) ack 25\n< . 25:25(0) ack 20\n> F. 20:20(0) ack 25\n< F. 25:25(0) ack 21\n> . 21:21(0) ack 26",
        (10, "seq", 19),
    ),
    "nothing of its own counted, three times": (
        (
            "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 0:0(0) ack 1\n> P. 0:18(18) ack 1\n< . 1:1(0) ack 19\n"
            "< P. 1:25(24) ack 19\n> . 0:0(0) ack 25\n> F. 0:0(0) ack 25\n< F. 25:25(0) ack 20\n> . 0:0(0) ack 26"
        ),
        (3, "seq", 1),
    ),
    "FIN with data, of which only the data is acknowledged": (
        f"{OPENING}> FP. 1:19(18) ack 1\n< . 1:1(0) ack 19\n< FP. 1:25(24) ack 20\n> . 20:20(0) ack 26",
        (5, "ack", 20),
    ),
    "RST with data, and both go on": (
        f"{OPENING}{REQUEST}< . 1:1(0) ack 19\n< RP. 1:25(24) ack 19\n> . 19:19(0) ack 25{CLOSE}",
        (6, "flags", None),
    ),
    "the ACK of a FIN counts itself": (
        f"{TALK}> F. 19:19(0) ack 25\n< . 26:26(0) ack 20\n< F. 25:25(0) ack 20\n> . 20:20(0) ack 26",
        (9, "seq", 25),
    ),
    "pure ACK counted, and kept up by both": (
        (
            f"{OPENING}> P. 2:20(18) ack 1\n< . 1:1(0) ack 20\n< P. 1:25(24) ack 20\n> . 20:20(0) ack 25\n"
            "> F. 20:20(0) ack 25\n< . 25:25(0) ack 21\n< F. 25:25(0) ack 21\n> . 21:21(0) ack 26"
        ),
        (4, "seq", 1),
    ),
    "ack one too high, and kept up by both": (
        (
            f"{OPENING}{REQUEST}< . 1:1(0) ack 20\n< P. 1:25(24) ack 20\n> . 20:20(0) ack 25\n> F. 20:20(0) ack 25\n"
            "< . 25:25(0) ack 21\n< F. 25:25(0) ack 21\n> . 21:21(0) ack 26"
        ),
        (5, "ack", 19),
    ),
    "request of which only the numbers are there": (
        f"{OPENING}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25\n{CLOSE}",
        (4, "ack", 1),
    ),
    "payload shorter than its ack": (
        f"{OPENING}> P. 1:12(11) ack 1\n< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25\n{CLOSE}",
        (5, "ack", 12),
    ),
    "data not counted by its sender": (f"{TALK}> F. 1:1(0) ack 25\n< . 25:25(0) ack 20", (8, "seq", 19)),
    "third ACK one too high, and nothing else": (
        f"{OPENING.replace('1:1(0)', '2:2(0)')}{REQUEST}< . 1:1(0) ack 19",
        (3, "seq", 1),
    ),
    "third ACK far away": (f"{OPENING.replace('1:1(0)', '700:700(0)')}{REQUEST}< . 1:1(0) ack 19", (3, "seq", 1)),
    "ACK of the FIN does not count it": (
        f"{TALK}{CLOSE.replace('25:25(0) ack 20', '25:25(0) ack 19', 1)}",
        (9, "ack", 20),
    ),
    "ACK falls behind the request": (
        f"{TALK}> P. 19:37(18) ack 25\n< . 25:25(0) ack 1",
        (9, "ack", 37),
    ),
    "last ACK forgets all of it": (f"{TALK}{CLOSE.replace('20:20(0) ack 26', '20:20(0) ack 1')}", (11, "ack", 26)),
    "opens with SYN ACK": (f"{TALK.replace('> S  0:0(0)', '> S. 0:0(0) ack 0')}{CLOSE}", (1, "flags", None)),
    "request has SYN": (f"{TALK.replace('> P. 1:19', '> SP. 1:19')}{CLOSE}", (4, "flags", None)),
    "third ACK before the SYN ACK": (
        f"> S  0:0(0)\n> .  1:1(0) ack 1\n< S. 0:0(0) ack 1\n{REQUEST}< . 1:1(0) ack 19",
        (2, "missing", None),
    ),
    "each segment counts as one": (
        (
            f"{OPENING}{REQUEST}< . 1:1(0) ack 2\n< P. 1:25(24) ack 2\n> . 2:2(0) ack 2\n> P. 2:20(18) ack 2 "
            '"another request: 1"\n< . 2:2(0) ack 3'
        ),
        (5, "ack", 19),
    ),
    "SYN not counted by the client": (
        (
            "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 0:0(0) ack 1\n> P. 0:18(18) ack 1\n< . 1:1(0) ack 19\n"
            "< P. 1:25(24) ack 19\n> . 18:18(0) ack 25\n> F. 18:18(0) ack 25\n< . 25:25(0) ack 20\n< F. 25:25(0) ack 20\n"
            "> . 19:19(0) ack 26"
        ),
        (3, "seq", 1),
    ),
    "SYN not counted by the server": (
        (
            f"{OPENING}{REQUEST}< . 0:0(0) ack 19\n< P. 0:24(24) ack 19\n> . 19:19(0) ack 25\n> F. 19:19(0) ack 25\n"
            "< . 24:24(0) ack 20\n< F. 24:24(0) ack 20\n> . 20:20(0) ack 26"
        ),
        (5, "seq", 1),
    ),
    "FIN not acknowledged": (f"{TALK}> F. 19:19(0) ack 25\n< F. 25:25(0) ack 19\n> . 20:20(0) ack 26", (9, "ack", 20)),
    "FIN not counted by its sender": (f"{TALK}{CLOSE.replace('20:20(0) ack 26', '19:19(0) ack 26')}", (11, "seq", 20)),
    "FIN one too high": (
        f"{TALK}> F. 20:20(0) ack 25\n< . 25:25(0) ack 21\n< F. 25:25(0) ack 21\n> . 21:21(0) ack 26",
        (8, "seq", 19),
    ),
    "FIN of the server missing": (
        f"{TALK}> F. 19:19(0) ack 25\n< . 25:25(0) ack 20\n> . 20:20(0) ack 26",
        (10, "ack", 25),
    ),
    "SYN ACK with ack of the ISN": (
        f"> S 0:0(0)\n< S. 0:0(0) ack 0\n> . 1:1(0) ack 1\n{REQUEST}< . 1:1(0) ack 19",
        (2, "ack", 1),
    ),
    "SYN ACK with ack one too high": (
        f"> S 0:0(0)\n< S. 0:0(0) ack 2\n> . 1:1(0) ack 1\n{REQUEST}< . 1:1(0) ack 19",
        (2, "ack", 1),
    ),
    "SYN ACK missing": (
        f"> S 0:0(0)\n> . 1:1(0) ack 1\n{REQUEST}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19",
        (2, "missing", None),
    ),
    "SYN ACK without SYN": (
        f"> S 0:0(0)\n< . 0:0(0) ack 1\n> . 1:1(0) ack 1\n{REQUEST}< . 1:1(0) ack 19",
        (2, "flags", None),
    ),
    "third segment missing": (
        "> S 0:0(0)\n< S. 0:0(0) ack 1\n< P. 1:25(24) ack 1\n> . 1:1(0) ack 25",
        (3, "missing", None),
    ),
    "seq counts the peer's data": (f"{TALK}".replace("19:19(0) ack 25", "25:25(0) ack 25"), (7, "seq", 19)),
    "ack counts the headers": (
        f"{OPENING}{REQUEST}< . 1:1(0) ack 59\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25",
        (5, "ack", 19),
    ),
    "ack inside a segment": (
        f"{OPENING}{REQUEST}< . 1:1(0) ack 14\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25",
        (5, "ack", 19),
    ),
    "ack before the data": (
        f"{OPENING}< . 1:1(0) ack 19\n{REQUEST}< P. 1:25(24) ack 19\n> . 19:19(0) ack 25",
        (4, "ack", 1),
    ),
    "ack goes back": (f"{TALK}< P. 25:35(10) ack 1\n> . 19:19(0) ack 35", (8, "ack", 19)),
    "data behind the FIN": (
        f"{TALK}> F. 19:19(0) ack 25\n> P. 20:24(4) ack 25\n< . 25:25(0) ack 20",
        (9, "length", None),
    ),
    "reset with seq 0": (f"{TALK}> R 0:0(0)", (8, "seq", 19)),
    "kernel's reset": (
        f"> S 0:0(0)\n< S. 0:0(0) ack 1\n> R 1:1(0)\n> . 1:1(0) ack 1\n{REQUEST}< . 1:1(0) ack 19\n",
        (4, "flags", None),
    ),
    "numbers of the server jump": (
        (
            f"{OPENING}{REQUEST}< . 1:1(0) ack 19\n< P. 78:102(24) ack 19\n> . 19:19(0) ack 102\n> F. 19:19(0) ack 102\n"
            "< . 102:102(0) ack 20\n< F. 102:102(0) ack 20\n> . 20:20(0) ack 103"
        ),
        (6, "seq", 1),
    ),
    "one number too high, the rest right": (
        f"{OPENING}{REQUEST}< . 1:1(0) ack 19\n< P. 1001:1025(24) ack 19\n> . 19:19(0) ack 25\n{CLOSE}",
        (6, "seq", 1),
    ),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize(("text", "want"), MISTAKES.values(), ids=MISTAKES.keys())
def test_one_mistake_is_one_error_where_it_was_made(
    text: str, want: tuple[int, str, int | None], isns: tuple[int, int], version: int
) -> None:
    verdict = judged(text, version, isns)
    if want[1] == "seq" and want[2] == 19 and "R 0:0(0)" in text:
        assert [line[:2] for line in line_of(verdict)] == [want[:2]]  # a reset keeps its 0, whatever the ISN is
        return
    assert line_of(verdict) == [want]


@pytest.mark.parametrize(("text", "want"), MISTAKES.values(), ids=MISTAKES.keys())
def test_identifications_that_count_are_evidence(text: str, want: tuple[int, str, int | None]) -> None:
    assert line_of(judged(text, assume=Completeness.AUTO)) == [want]


@pytest.mark.parametrize(("text", "want"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_error_says_what_is_right_and_how_to_mend_it(text: str, want: tuple[int, str, int | None]) -> None:
    (found,) = errors(judged(text))
    assert found.message
    assert found.should_be
    assert found.receiver
    assert found.mend
    if want[2] is not None:
        assert f"packets[{want[0] - 1}][TCP].{want[1]} = {found.expected}" in found.mend


RAW_OPENING = """
> S  1000:1000(0)
< S. 5000:5000(0) ack 1001
> .  1001:1001(0) ack 5001
"""
FAR_TALK = """
> .  100001:100001(0) ack 500001
> P. 100001:100019(18) ack 500001
< P. 500001:500025(24) ack 100019
> .  100019:100019(0) ack 500025
"""
RAW: dict[str, tuple[str, str, tuple[int, str, int]]] = {
    "seq and ack swapped": (
        f"{RAW_OPENING}> P. 1001:1019(18) ack 5001\n< . 1019:1019(0) ack 5001\n< P. 5001:5025(24) ack 1019",
        "seq-and-ack-swapped",
        (5, "seq", 5001),
    ),
    "relative numbers from the request on": (
        f"{RAW_OPENING}> P. 1:19(18) ack 1\n< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25",
        "number-is-relative",
        (4, "seq", 1001),
    ),
    "one relative ack": (
        f"{RAW_OPENING}> P. 1001:1019(18) ack 5001\n< . 5001:5001(0) ack 19\n< P. 5001:5025(24) ack 1019",
        "number-is-relative",
        (5, "ack", 1019),
    ),
    "SYN ACK with a relative seq": (
        f"> S 100000:100000(0)\n< S. 0:0(0) ack 100001\n{FAR_TALK}",
        "number-is-relative",
        (2, "seq", 500000),
    ),
    "SYN with a relative seq": (
        f"> S 0:0(0)\n< S. 500000:500000(0) ack 100001\n{FAR_TALK}",
        "number-is-relative",
        (1, "seq", 100000),
    ),
    "seq left at Scapy's 0": (
        f"{RAW_OPENING}> P. 0:18(18) ack 5001\n< . 5001:5001(0) ack 1019\n> . 1019:1019(0) ack 5001",
        "falls-behind",
        (4, "seq", 1001),
    ),
}


@pytest.mark.parametrize(("text", "name", "want"), RAW.values(), ids=RAW.keys())
def test_mistakes_with_raw_numbers(text: str, name: str, want: tuple[int, str, int]) -> None:
    for assume in (Completeness.COMPLETE, Completeness.AUTO):
        (found,) = errors(judged(text, assume=assume))
        assert (found.name, found.packet, found.field, found.expected) == (name, *want)


CORRECT = {
    "whole": f"{TALK}{CLOSE}",
    "three segments to close": f"{TALK}> F. 19:19(0) ack 25\n< F. 25:25(0) ack 20\n> . 20:20(0) ack 26",
    "third segment with data": "> S 0:0(0)\n< S. 0:0(0) ack 1\n> P. 1:19(18) ack 1\n< . 1:1(0) ack 19",
    "request sent twice": f"{OPENING}{REQUEST}{REQUEST}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25\n{CLOSE}",
    "closed by reset": f"{TALK}> R 19:19(0)",
    "simultaneous open": "> S 0:0(0)\n< S 0:0(0)\n> S. 0:0(0) ack 1\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n< . 1:1(0) ack 1",
    "simultaneous close": f"{TALK}> F. 19:19(0) ack 25\n< F. 25:25(0) ack 19\n> . 20:20(0) ack 26\n< . 26:26(0) ack 20",
    "gap that is filled": f"{OPENING}> P. 19:37(18) ack 1\n< . 1:1(0) ack 1\n{REQUEST}< . 1:1(0) ack 37",
    "keep-alive": f"{TALK}> . 18:18(0) ack 25\n< . 25:25(0) ack 19\n{CLOSE}",
    "ack that waits for the reply": f"{OPENING}{REQUEST}< P. 1:25(24) ack 19\n> . 19:19(0) ack 25\n{CLOSE}",
    "two segments under way": f"{OPENING}{REQUEST}> P. 19:37(18) ack 1\n< . 1:1(0) ack 19\n< . 1:1(0) ack 37",
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize("text", CORRECT.values(), ids=CORRECT.keys())
def test_what_is_right_has_no_error(text: str, isns: tuple[int, int], version: int) -> None:
    verdict = judged(text, version, isns)
    assert [each for each in verdict.findings if each.severity > Severity.NOTE] == []


def test_a_consequence_names_the_mistake_that_it_follows_from() -> None:
    verdict = judged(MISTAKES["ack one too high, and kept up by both"][0])
    (error,) = errors(verdict)
    following = [each for each in verdict.findings if each.caused_by is not None]
    assert {verdict.findings[each.caused_by or 0] for each in following} == {error}
    assert {each.packet for each in following} == {6, 7, 8, 9, 10, 11}
    assert {each.severity for each in following} == {Severity.NOTE}


def test_partial_forgives() -> None:
    text = MISTAKES["ack one too high, and kept up by both"][0]
    assert errors(judged(text, assume=Completeness.PARTIAL)) == []


def test_a_last_ack_that_is_missing_is_a_warning() -> None:
    verdict = judged(f"{TALK}{CLOSE}".rsplit("\n", 2)[0])
    assert [(each.packet, each.field) for each in verdict.findings if each.severity == Severity.WARNING] == [
        (10, "missing")
    ]


LATE = {
    "data": f"{OPENING}{REQUEST}< P. 1:25(24) ack 1\n> P. 19:29(10) ack 25\n< P. 25:35(10) ack 29\n> . 29:29(0) ack 35",
    "data, then FIN": f"{OPENING}{REQUEST}< P. 1:25(24) ack 1\n> . 19:19(0) ack 25\n< F. 25:25(0) ack 19\n> . 19:19(0) ack 26",
}
CROSSED = f"{OPENING}{REQUEST}< P. 1:25(24) ack 1\n> . 19:19(0) ack 25\n< . 25:25(0) ack 19\n{CLOSE}"


@pytest.mark.parametrize("text", LATE.values(), ids=LATE.keys())
def test_data_that_repeats_an_old_ack_is_a_warning(text: str) -> None:
    found = [each for each in judged(text).findings if each.severity > Severity.NOTE]
    assert [(each.name, each.packet, each.expected_relative) for each in found if each.code == "ACK07"] == [
        ("acknowledges-too-late", 5, 19)
    ]
    assert errors(judged(text)) == []
    assert [each for each in judged(text, assume=Completeness.AUTO).findings if each.code == "ACK07"] == []


def test_data_that_crossed_repeats_an_old_ack() -> None:
    assert [each for each in judged(CROSSED).findings if each.severity > Severity.NOTE] == []


LEDGER = [rule for rule in collect() if rule.scope == Scope.LEDGER]


@pytest.mark.parametrize("rule", LEDGER, ids=lambda rule: f"{rule.code}-{rule.name}")
def test_examples_of_the_rules(rule: Rule) -> None:
    good = judged(rule.good)
    assert [each for each in good.findings if each.severity > Severity.NOTE] == []
    if not rule.bad:
        return  # no ports, characters or raw numbers in the notation: tested below
    found = judged(rule.bad).findings
    # An error of the first pass that says as much stands for it.
    assert rule.name in {each.name for each in found} or set(rule.unless) & {
        each.code for each in errors(judged(rule.bad))
    }
    assert _marked(rule.bad) <= {(each.packet, each.code) for each in found}


def _marked(text: str) -> set[tuple[int, str]]:
    lines: Sequence[str] = [line for line in text.splitlines() if line.split("#")[0].strip()]
    return {(number, code) for number, line in enumerate(lines, 1) for code in line.partition("#")[2].split()}


WITHOUT_IDENTIFICATIONS = {
    "seq left at 0": (f"{TALK.replace('1:19(18)', '4294966296:4294966314(18)')}{CLOSE}", (4, "seq", 1)),
    "ack left at 0": (f"{TALK.replace('1:1(0) ack 19', '1:1(0) ack 4294966296')}{CLOSE}", (5, "ack", 19)),
    "pure ACK counted": (
        f"{OPENING}> P. 2:20(18) ack 1\n< . 1:1(0) ack 20\n> F. 20:20(0) ack 1\n< F. 1:1(0) ack 21\n> . 21:21(0) ack 2",
        (4, "seq", 1),
    ),
    "third ACK 100 too high": (
        f"{OPENING.replace('1:1(0)', '101:101(0)')}> F. 1:1(0) ack 1\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2",
        (3, "seq", 1),
    ),
    "last ACK forgets all of it": (f"{TALK}{CLOSE.replace('20:20(0) ack 26', '20:20(0) ack 1')}", (11, "ack", 26)),
}
"""Over IPv6 no identification tells that nothing is missing. These numbers no missing packet explains."""


@pytest.mark.parametrize(("text", "wrong"), WITHOUT_IDENTIFICATIONS.values(), ids=WITHOUT_IDENTIFICATIONS.keys())
def test_lock_step_shows_mistakes_without_identifications(text: str, wrong: tuple[int, str, int]) -> None:
    verdict = judged(text, 6, (1000, 5000), Completeness.AUTO)
    assert line_of(verdict) == [wrong]


MISSING = {
    "request": f"{OPENING}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25\n{CLOSE}",
    "response": f"{TALK.replace('< P. 1:25(24) ack 19', '')}{CLOSE}",
    "first FIN": f"{TALK}{CLOSE.replace('> F. 19:19(0) ack 25', '')}",
}


@pytest.mark.parametrize("text", MISSING.values(), ids=MISSING.keys())
def test_lock_step_forgives_what_a_missing_packet_explains(text: str) -> None:
    assert errors(judged(text, 6, (1000, 5000), Completeness.AUTO)) == []


def test_numbers_that_have_gone_around_prove_nothing() -> None:
    """Where a capture lacks gigabytes, a number before the ISN may be right."""
    text = f"""{OPENING}
    < P. 1500000000:1500000020(20) ack 1
    < P. 3000000000:3000000020(20) ack 1
    > .  1:1(0) ack 3000000020
    """
    assert errors(judged(text, 6, (1000, 5000), Completeness.AUTO)) == []


def test_a_fin_that_its_receiver_dropped_does_not_count() -> None:
    text = f"{OPENING}> F. 70001:70001(0) ack 1\n< . 1:1(0) ack 1\n{REQUEST}< . 1:1(0) ack 19"
    assert line_of(judged(text)) == [(4, "seq", 1)]


def test_a_close_without_the_second_fin_is_a_warning() -> None:
    verdict = judged(f"{TALK}> F. 19:19(0) ack 25\n< . 25:25(0) ack 20")
    assert [(each.packet, each.code) for each in verdict.findings if each.severity == Severity.WARNING] == [
        (9, "FIN06")
    ]


def test_the_same_number_again_is_a_warning_that_names_the_first() -> None:
    text = f"{OPENING}< P. 1:25(24) ack 1\n> . 500:500(0) ack 25\n< P. 25:49(24) ack 1\n> . 500:500(0) ack 49"
    verdict = judged(text)
    assert line_of(verdict) == [(5, "seq", 1)]
    (again,) = (each for each in verdict.findings if each.severity == Severity.WARNING)
    assert (again.packet, again.field, again.expected) == (7, "seq", 1)
    assert again.caused_by is not None and verdict.findings[again.caused_by].packet == 5


def test_data_beyond_a_window_that_never_opens_is_one_error() -> None:
    opening = "> S 0:0(0) win 1000\n< S. 0:0(0) ack 1 win 0\n> . 1:1(0) ack 1 win 1000\n"
    rounds = (f"> P. {at}:{at + 10}(10) ack 1 win 1000\n< . 1:1(0) ack {at + 10} win 0\n" for at in (1, 11, 21))
    verdict = judged(opening + "".join(rounds))
    assert [(each.packet, each.code) for each in errors(verdict)] == [(4, "WIN01")]
    assert {each.packet for each in verdict.findings if each.caused_by is not None} == {6, 8}


def test_equal_isns_and_data_in_the_third_segment_are_remarked() -> None:
    text = f"{OPENING.replace('> .  1:1(0) ack 1', '')}{REQUEST}< . 1:1(0) ack 19"
    verdict = judged(text, isns=(1000, 1000))
    assert [(each.packet, each.code) for each in verdict.findings if each.code in ("HS14", "HS15")] == [
        (2, "HS14"),
        (3, "HS15"),
    ]
    assert verdict.ok


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{TALK.replace('> S  0:0(0)', '')}{CLOSE}", id="SYN"),
        pytest.param(f"{REQUEST}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n> . 19:19(0) ack 25", id="handshake"),
    ],
)
def test_a_complete_capture_begins_with_a_syn(text: str) -> None:
    assert line_of(judged(text)) == [(1, "missing", None)]
    assert errors(judged(text, assume=Completeness.AUTO)) == []


def test_an_ack_that_is_half_of_the_numbers_away_is_wrong() -> None:
    """No end of a segment lies behind it: the number that was expected is the next one."""
    wrong = (
        f"> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack {2**31 + 1}\n{REQUEST}< . 1:1(0) ack 19\n< P. 1:25(24) ack 19\n"
    )
    assert line_of(judged(wrong)) == [(3, "ack", 1)]
