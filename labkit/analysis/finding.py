"""A finding: a rule's fault at one packet or in one conversation, with the numbers that were seen there, in words."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from labkit.analysis.rule import NUMBER, Rule, spaces
from labkit.analysis.severity import Severity
from labkit.analysis.value import Value
from labkit.i18n import _, joined, printable
from labkit.tcp.seq import diff

OWNERS = {("seq", False): "me", ("ack", False): "peer", ("seq", True): "peer", ("ack", True): "me"}
"""The side whose sequence numbers a header field holds; True: the field is one of the peer's segment."""


SCAPY = {"seq": "seq", "ack": "ack", "checksum": "chksum", "urgent": "urgptr"}
"""Header fields that are mended by a number, as Scapy names them."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Finding(Value):
    """A rule's fault at one packet, or in one conversation (`packet` is None).

    Its text has four parts: `message` (what is wrong), `should_be`, `receiver` (what a receiver does) and `mend` (how to mend
    it). Only `message` is never empty. `expected` and `actual` are the field's raw values. The values `*_relative` count from
    the sender's initial sequence number, or the peer's for an ack; they are None for a field that holds no sequence number.
    `time` is in seconds since the capture's first frame.
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
    should_be: str
    receiver: str
    mend: str
    wireshark: str | None
    caused_by: int | None = None
    """The place, among the verdict's findings, of the mistake that this one follows from; the first is 0."""

    def __str__(self) -> str:
        """The finding on one line."""
        return f"{_(str(self.severity))} {self.code}{_(', ')}{one_line(self)}"

    def _repr_mimebundle_(self, **_choices: object) -> dict[str, str]:
        """What a notebook shows (IPython's protocol)."""
        from html import escape

        lines = [str(self), *filter(None, (self.receiver, self.mend, self.reference))]
        first, *others = (escape(printable(line)) for line in lines)
        return {"text/plain": "\n".join(lines), "text/html": "<br>".join((f"<b>{first}</b>", *others))}


class Evidence(NamedTuple):
    """The numbers that a rule saw when it found its fault."""

    packet: int | None
    """The frame of the fault; None for the whole conversation."""
    time: int | None
    """Nanoseconds since the capture's first frame; None for the whole conversation."""
    flow: int
    source: str
    destination: str
    field: str
    """The header field, if the rule names one."""
    expected: int | None
    actual: int | None
    value: Callable[[str], int]
    """Return the number of a name such as `seg.ack`."""
    bases: tuple[int, int]
    """The sequence numbers of the sender and of its peer that are shown as 0."""


def finding(rule: Rule, found: int, profile: str, evidence: Evidence) -> Finding:
    """Put what the predicate answered into the words of the user's language.

    The lesser form of a fault that is only a note may be legal: it has a message, and nothing to mend.
    """
    severity = rule.severity_in(profile, found)
    message = rule.otherwise.get(severity, rule.message) if found > 1 else rule.message
    legal = found == Severity.NOTE < rule.severity
    bases = dict(zip(("me", "peer"), evidence.bases, strict=True))
    owner = OWNERS.get((evidence.field, rule.at.startswith("peer")))
    declared = {"expected": evidence.expected or 0, "actual": evidence.actual or 0}

    def relative(value: int | None) -> int | None:
        return None if value is None or owner is None else diff(value, bases[owner])

    def shown(match: re.Match[str]) -> str:
        name = match[1]
        value = declared[name] if name in declared else evidence.value(name)
        space = owner if name in declared else spaces()[name]
        counted = diff(value, bases[space]) if space else value
        return format(value, match[2] or "") if counted == value else both(counted, value)

    def text(template: str) -> str:
        return joined(NUMBER.sub(shown, _(template)))

    return Finding(
        code=rule.code,
        name=rule.name,
        severity=severity,
        packet=evidence.packet,
        time=None if evidence.time is None else round(evidence.time / 1e9, 9),
        flow=evidence.flow,
        source=evidence.source,
        destination=evidence.destination,
        message=text(message),
        field=evidence.field,
        expected=evidence.expected,
        actual=evidence.actual,
        expected_relative=relative(evidence.expected),
        actual_relative=relative(evidence.actual),
        reference=rule.reference,
        should_be="" if legal else text(rule.should_be),
        receiver="" if legal else text(rule.receiver),
        mend="" if legal else with_scapy(text(rule.mend), evidence.field, evidence.packet, evidence.expected),
        wireshark=rule.wireshark,
    )


def both(relative: int, raw: int) -> str:
    """A number as Wireshark shows it, and as the header has it: `120 (raw 4711)`."""
    return str(raw) if relative == raw else _("{n} (raw {raw})").format(n=relative, raw=raw)


def with_scapy(mend: str, field: str, packet: int | None, expected: int | None) -> str:
    """A line that says how to mend a number, with the same in Scapy, whose packets are counted from 0."""
    if not mend or field not in SCAPY or packet is None or expected is None:
        return mend
    line = f"packets[{packet - 1}][TCP].{SCAPY[field]} = {expected}"
    return _("{mend} In Scapy: {line}").format(mend=mend, line=line)


def one_line(finding: Finding) -> str:
    """A finding on one line: its packet, what is wrong and what it should be."""
    ends = f"{finding.source} → {finding.destination}"
    return f"{place_of(finding)}{_(', ')}{ends}{_(': ')}{fault_text(finding)}"


def place_of(finding: Finding) -> str:
    """The packet of a finding, or its conversation."""
    return (
        _("packet {n}").format(n=finding.packet)
        if finding.packet is not None
        else _("conversation {n}").format(n=finding.flow)
    )


def fault_text(finding: Finding) -> str:
    """What is wrong, and what it should be: `ack 7 ...; should be: ack 1 ...`."""
    right = right_value(finding)
    return _("{message}; should be: {right}").format(message=finding.message, right=right) if right else finding.message


def right_value(finding: Finding) -> str:
    """What the rule says that would be right, or the bare number, `ack 120 (raw 4711)`; empty if neither is known."""
    if finding.should_be or finding.expected is None or not finding.field:
        return finding.should_be
    shown = finding.expected if finding.expected_relative is None else finding.expected_relative
    if shown == finding.expected:
        return f"{finding.field} {shown}"
    return f"{finding.field} {both(shown, finding.expected)}"


def softened(found: Finding) -> Finding:
    """An error that a packet explains which the capture lacks."""
    text = _("{message}; the IP identifications leave one out here: a packet may be missing")
    return replace(found, severity=Severity.WARNING, message=text.format(message=found.message))
