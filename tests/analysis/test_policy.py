"""Which of several findings a verdict has."""

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.policy import Events, dependent, standing
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.severity import Severity

PLAIN = collect()[0]._replace(
    code="AA01", unless=(), sums_up=False, scope=Scope.SEGMENT, place=("seg.number", "seg.time")
)
OTHER = PLAIN._replace(code="BB01")
PRECISE = PLAIN._replace(code="CC01")
GIVES_WAY = PLAIN._replace(code="DD01", unless=("CC01", "EE01"))
LATER = PLAIN._replace(scope=Scope.PENDING, place=("resolved.packet", "resolved.time"))
SUM = PLAIN._replace(scope=Scope.SIDE, sums_up=True)
ENDING = GIVES_WAY._replace(scope=Scope.SIDE)
WHOLE = PLAIN._replace(code="FF01", scope=Scope.FLOW, place=None, unless=("AA01",))


Event = tuple[Rule, int, int, int, int]


def event(rule: Rule, packet: int = 7, flow: int = 0, sender: int = 0, severity: int = Severity.ERROR) -> Event:
    return rule, severity, packet, flow, sender


def stands(events: list[Event]) -> list[int]:
    """`standing`, for events that each have their rule."""
    rules, *columns = zip(*events, strict=True) if events else [()] * 5
    return standing(rules, Events(range(len(events)), *columns))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([event(PLAIN), event(PLAIN), event(OTHER)], [0, 1, 2]),
        # A finding about an earlier packet replaces what was found there under the same code.
        ([event(PLAIN), event(LATER), event(OTHER)], [1, 2]),
        ([event(OTHER), event(PLAIN), event(LATER)], [0, 2]),
        ([event(LATER), event(PLAIN), event(LATER), event(PLAIN)], [2, 3]),
        ([event(PLAIN, packet=6), event(LATER)], [0, 1]),
        # Another rule says the same more precisely, at the same packet.
        ([event(GIVES_WAY), event(PRECISE)], [1]),
        ([event(GIVES_WAY), event(PRECISE, packet=8)], [0, 1]),
        ([event(GIVES_WAY), event(OTHER)], [0, 1]),
        # Or about the same conversation, if both are found at its end.
        ([event(PRECISE, 0, flow=1), event(ENDING, 0, flow=1)], [0]),
        ([event(PRECISE, 0, flow=1), event(ENDING, 0, flow=2)], [0, 1]),
        ([event(PRECISE, 0, flow=0), event(ENDING, 0, flow=1)], [0, 1]),
        ([event(PRECISE, 1, flow=0), event(ENDING, 0, flow=1)], [0, 1]),
        # One error among several findings is enough.
        ([event(PLAIN, severity=Severity.NOTE), event(PLAIN, 8), event(WHOLE, 0)], [0, 1]),
        # One finding sums up all of its code about the same sender.
        ([event(PLAIN, 1), event(PLAIN, 2), event(PLAIN, 2, sender=1), event(OTHER, 1), event(SUM, 9)], [2, 3, 4]),
        ([event(PLAIN, 1), event(SUM, 9, flow=1)], [0, 1]),
        # A finding about a conversation gives way to any error in it.
        ([event(PLAIN), event(WHOLE, 0)], [0]),
        ([event(PLAIN, severity=Severity.WARNING), event(WHOLE, 0)], [0, 1]),
        ([event(PLAIN, flow=1), event(WHOLE, 0)], [0, 1]),
        ([event(PLAIN), event(LATER._replace(code="AA01"), severity=Severity.NOTE), event(WHOLE, 0)], [1, 2]),
    ],
)
def test_the_verdict_has(events: list[Event], expected: list[int]) -> None:
    assert stands(events) == expected
    # Events of codes that depend on no other make no difference.
    needed = dependent(each[0] for each in events)
    asked = [place for place, each in enumerate(events) if each[0].code in needed]
    kept = {asked[place] for place in stands([events[place] for place in asked])}
    assert [place for place in range(len(events)) if place in kept or place not in asked] == expected


def test_each_event_has_all_its_numbers() -> None:
    with pytest.raises(ValueError, match="shorter"):
        standing([PLAIN], Events([0, 0], [Severity.ERROR] * 2, [7, 8], [0], [0, 0]))


def test_a_code_depends_on_others_that_were_found() -> None:
    assert dependent([PLAIN, OTHER, GIVES_WAY]) == set()
    assert dependent([PLAIN, GIVES_WAY, PRECISE]) == {"CC01", "DD01"}
    assert dependent([LATER, OTHER]) == {"AA01"}
    assert dependent([SUM, WHOLE]) == {"AA01", "FF01"}
