"""What a rule says of one packet, or of a whole conversation: made of the numbers that were there when it was found."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from labkit.analysis.rule import NUMBER, SPACES, Rule, Severity
from labkit.i18n import _
from labkit.tcp.seq import diff

MOST = 250_000
"""Findings of one severity that are kept; more are only counted."""

OWNERS = {"seq": "me", "ack": "peer"}
"""Whose sequence numbers a header field holds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says of one packet, or of a whole conversation (`packet` None).

    `expected` and `actual` are the field's raw values; `*_relative` counts them from the sender's, or for acks the
    peer's, initial sequence number, and is None where the field is no sequence number. `time` is in seconds since the
    capture's first frame.
    """

    code: str
    name: str
    severity: Severity
    packet: int | None
    time: float | None
    flow: int
    source: str
    destination: str
    message: str
    field: str
    expected: int | None
    actual: int | None
    expected_relative: int | None
    actual_relative: int | None
    reference: str
    receiver: str
    wireshark: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was there when a rule found something."""

    packet: int | None
    """The frame that it is about; None for the whole conversation."""
    time: int | None
    """Nanoseconds since the capture's first frame; None for the whole conversation."""
    flow: int
    source: str
    destination: str
    field: str
    """The header field, where the rule names one."""
    expected: int | None
    actual: int | None
    value: Callable[[str], int]
    """The number by a name such as `seg.ack`."""
    bases: tuple[int, int]
    """The numbers of the sender, and of its peer, that are shown as 0."""


def finding(rule: Rule, found: int, profile: str, evidence: Evidence) -> Finding:
    """What a rule says, of what its predicate has answered, in the user's language."""
    severity = rule.severity_in(profile, found)
    template = rule.otherwise.get(severity, rule.message) if found > 1 else rule.message
    bases = dict(zip(("me", "peer"), evidence.bases, strict=True))

    def shown(match: re.Match[str]) -> str:
        value = evidence.value(match[1])
        space = SPACES[match[1]]
        relative = diff(value, bases[space]) if space else value
        return format(value, match[2] or "") if relative == value else f"{relative} (raw {value})"

    base = bases.get(OWNERS.get(evidence.field, ""))

    def relative(value: int | None) -> int | None:
        return None if value is None or base is None else diff(value, base)

    return Finding(
        code=rule.code,
        name=rule.name,
        severity=severity,
        packet=evidence.packet,
        time=None if evidence.time is None else round(evidence.time / 1e9, 9),
        flow=evidence.flow,
        source=evidence.source,
        destination=evidence.destination,
        message=NUMBER.sub(shown, _(template)),
        field=evidence.field,
        expected=evidence.expected,
        actual=evidence.actual,
        expected_relative=relative(evidence.expected),
        actual_relative=relative(evidence.actual),
        reference=rule.reference,
        receiver=_(rule.receiver) if rule.receiver else "",
        wireshark=rule.wireshark,
    )


@dataclass(slots=True)
class Group:
    """Findings of one rule at one severity."""

    code: str
    name: str
    severity: Severity
    count: int = 0
    places: list[int] = field(default_factory=list)
    """Where the first of them stand among all findings."""


def groups(findings: Sequence[Finding], first: int | None) -> list[Group]:
    """All findings in groups, in the order of each group's first; with the places of the `first` ones of each, or of all.

    A sequence that makes its findings when they are looked at has a method `groups` that makes none.
    """
    if isinstance(findings, Grouped):
        return findings.groups(first)
    found: dict[tuple[str, str, Severity], Group] = {}
    for place, each in enumerate(findings):
        key = each.code, each.name, each.severity
        group = found.setdefault(key, Group(*key))
        group.count += 1
        if first is None or group.count <= first:
            group.places.append(place)
    return list(found.values())


def regraded(findings: Sequence[Finding], choice: "Choice") -> Sequence[Finding]:
    """The findings for which a choice gives a severity, at that severity; the same ones where nothing changes."""
    if isinstance(findings, Grouped):
        return findings.regraded(choice)
    found = []
    for each in findings:
        severity = choice(each.code, each.name, each.severity)
        if severity is not None:
            found.append(each if severity == each.severity else replace(each, severity=severity))
    return found


Choice = Callable[[str, str, Severity], Severity | None]
"""What somebody chooses for a rule's code and name, and the severity of a finding: another severity, or None to leave it
out."""


@runtime_checkable
class Grouped(Protocol):
    """Findings that know their groups."""

    def groups(self, first: int | None) -> list[Group]:
        """As the function `groups` has them."""

    def regraded(self, choice: Choice) -> Sequence[Finding]:
        """As the function `regraded` has them."""


def tally(findings: Sequence[Finding], beyond: Iterable[Group] = ()) -> Counter[Severity]:
    """How many findings there are of each severity, with those that were only counted."""
    count: Counter[Severity] = Counter()
    for group in (*groups(findings, 0), *beyond):
        count[group.severity] += group.count
    return count
