"""Which findings are reported, where several say the same.

A rule declares what it gives way to (`labkit.analysis.rule.Rule`): a finding that revises an earlier packet replaces what was
found there under its code; `unless` names rules that say the same more precisely; `sums_up` stands for all findings of a code
about one sender. Both engines ask `standing`. `once` needs no other finding: it is applied when a rule finds something, and
only the memory of what was reported is an engine's own.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from labkit.analysis.rule import Rule, Scope, Severity

MAX_ONCE = 65_536
"""Hosts and codes that are remembered, so that a rule with `once` reports them no more. With another one, all are forgotten."""


class Event(NamedTuple):
    """What is known of a finding without its words."""

    rule: Rule
    severity: int
    packet: int
    """0: the whole conversation."""
    flow: int
    sender: Hashable


def dependent(rules: Iterable[Rule]) -> set[str]:
    """The codes of events that `standing` may leave out, and of the events that it needs to decide, if these rules found
    something. An event of any other code is reported in any case."""
    found = list(rules)
    codes = {rule.code for rule in found}
    needed = {rule.code for rule in found if rule.revises or rule.sums_up}
    for rule in found:
        if others := codes.intersection(rule.unless):
            needed |= others | {rule.code}
    return needed


def standing(events: Sequence[Event]) -> list[int]:
    """The positions of the events that are reported, out of events in the order in which they were found.

    Whether an event about a packet is reported depends on the events about that packet, and on those of a rule that sums up;
    for an event about a conversation it depends on all events of the conversation.
    """
    keys = [(packet or -1 - flow, rule.code) for rule, _severity, packet, flow, _sender in events]
    revised = {keys[i]: i for i, event in enumerate(events) if event.rule.revises}
    latest = [i for i, key in enumerate(keys) if i >= revised.get(key, 0)]
    found = {keys[i] for i in latest}
    grave = {(events[i].flow, events[i].rule.code) for i in latest if events[i].severity == Severity.ERROR}
    summed = {(events[i].flow, events[i].sender, events[i].rule.code) for i in latest if events[i].rule.sums_up}

    def stands(i: int) -> bool:
        rule, _severity, _packet, flow, sender = events[i]
        if rule.scope == Scope.FLOW:
            other = any((flow, code) in grave for code in rule.unless)
        else:
            other = any((keys[i][0], code) in found for code in rule.unless)
        return not other and (rule.sums_up or (flow, sender, rule.code) not in summed)

    return [i for i in latest if stands(i)]
