"""The order of steps, whoever asks for them."""

import pytest

from labkit.analysis.analyzer import DONE, FLOW, FRAME, PENDING, SEGMENT, SIDE, analyze
from labkit.analysis.flows import FlowTable
from labkit.analysis.payload import PayloadStore
from labkit.analysis.pending import GAP, MISSED, UNPROVEN
from labkit.packet.seen import ABSENT
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPEN = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
EACH = [FRAME, SEGMENT, DONE]
END = [SIDE, SIDE, FLOW]


def scopes(text: str) -> list[int]:
    return [step.scope for step in analyze(frames(list(parse(text))), FlowTable())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (OPEN, EACH * 3 + END),
        ("> S 0:0(0) {doff=8}\n", [FRAME, DONE, *END]),
        # The gap before octet 11 is open until the ack of octet 20, or to the end.
        (OPEN + "> P. 11:21(10) ack 1\n< . 1:1(0) ack 21\n", EACH * 4 + [FRAME, PENDING, SEGMENT, DONE, *END]),
        (OPEN + "> P. 11:21(10) ack 1\n", EACH * 4 + [PENDING, *END]),
        # A SYN on the four-tuple of a conversation that is over: the old one ends after the first segment of the new one.
        (OPEN + "> R. 1:1(0) ack 1\n> S 900:900(0)\n", EACH * 5 + END * 2),
    ],
)
def test_a_capture_has_these_steps(text: str, expected: list[int]) -> None:
    assert scopes(text) == expected


def test_a_step_knows_the_segment_that_was_resolved_and_its_sender() -> None:
    found = []
    text = OPEN + "> P. 11:21(10) ack 1\n< . 1:1(0) ack 21\n< P. 11:21(10) ack 21\n"
    for step in analyze(frames(list(parse(text))), FlowTable()):
        if step.scope == PENDING:
            resolved = step.resolved
            found.append((step.seg.number, step.sender, resolved.packet, resolved.kind, resolved.state))
            assert step.me is step.flow.sides[step.sender]
            assert step.peer is step.flow.sides[1 - step.sender]
    assert found == [(5, 0, 4, GAP, MISSED), (0, 1, 6, GAP, UNPROVEN)]


def test_a_segment_is_judged_before_it_is_added() -> None:
    seen = [
        (step.scope, step.me.seen, step.me.nxt - step.me.isn)
        for step in analyze(frames(list(parse("> S 0:0(0)\n> S 0:0(0)\n"))), FlowTable())
        if step.scope in (SEGMENT, DONE)
    ]
    assert seen == [(SEGMENT, 0, 0), (DONE, 1, 1), (SEGMENT, 1, 1), (DONE, 2, 1)]


@pytest.mark.parametrize("compare", [False, True])
def test_payload_is_compared_where_it_is_kept(compare: bool) -> None:
    text = OPEN + "> P. 1:4(3) ack 1\n> P. 1:4(3) ack 1 {fill=x}\n"
    lines = list(parse(text))
    found = [
        step.seg.conflict - step.me.isn if step.seg.conflict != ABSENT else ABSENT
        for step in analyze(frames(lines), FlowTable(), PayloadStore() if compare else None)
        if step.scope == SEGMENT
    ]
    assert found == [ABSENT] * 4 + [1 if compare else ABSENT]
