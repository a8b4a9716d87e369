"""Which findings are reported, where several say the same.

A rule declares what it gives way to (`labkit.analysis.rule.Rule`): a finding that revises an earlier packet replaces what was
found there under its code; `unless` names rules that say the same more precisely; `sums_up` stands for all findings of a code
about one sender. Both engines ask `standing`. `once` needs no other finding: it is applied when a rule finds something, and
only the memory of what was reported is an engine's own.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from labkit.analysis.rule import Rule, Scope
from labkit.analysis.severity import Severity


class Events(NamedTuple):
    """What is known of findings without their words, in the order in which they were found: one column for each number."""

    rules: Sequence[int]
    """Positions in a list of rules."""
    severities: Sequence[int]
    packets: Sequence[int]
    """0: the whole conversation."""
    flows: Sequence[int]
    senders: Sequence[Hashable]


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


def standing(rules: Sequence[Rule], events: Events) -> list[int]:
    """The positions of the events that are reported.

    Whether an event about a packet is reported depends on the events about that packet, and on those of a rule that sums up;
    for an event about a conversation it depends on all events of the conversation.
    """
    numbers, severities, packets, flows, senders = events
    every = range(len(numbers))
    codes = [rule.code for rule in rules]
    places = [packet or -flow for packet, flow in zip(packets, flows, strict=True)]
    count = Counter(places)
    crowd = [i for i in every if count[places[i]] > 1]

    revising = [rule.revises for rule in rules]
    revised = {(places[i], codes[numbers[i]]): i for i in crowd if revising[numbers[i]]}
    dropped = {i for i in crowd if i < revised.get((places[i], codes[numbers[i]]), 0)} if revised else set()
    latest = [i for i in every if i not in dropped]

    found: dict[int, set[str]] = {}
    for i in crowd:
        if i not in dropped:
            found.setdefault(places[i], set()).add(codes[numbers[i]])
    unless = [() if rule.scope == Scope.FLOW else rule.unless for rule in rules]
    dropped.update([i for i in crowd if unless[numbers[i]] and not found[places[i]].isdisjoint(unless[numbers[i]])])

    unless = [rule.unless if rule.scope == Scope.FLOW else () for rule in rules]
    if whole := [i for i in latest if unless[numbers[i]]]:
        grave = {(flows[i], codes[numbers[i]]) for i in latest if severities[i] == Severity.ERROR}
        dropped.update(i for i in whole if any((flows[i], code) in grave for code in unless[numbers[i]]))

    sums = [rule.sums_up for rule in rules]
    if summed := {(flows[i], senders[i], codes[numbers[i]]) for i in latest if sums[numbers[i]]}:
        same = (i for i in latest if (flows[i], senders[i], codes[numbers[i]]) in summed)
        dropped.update(i for i in same if not sums[numbers[i]])
    return [i for i in every if i not in dropped]
