"""Repair a hand-edited conversation: its lengths, checksums, sequence and acknowledgement numbers.

    repaired = repair(Trace.from_capture("edited.pcapng"))
    repaired.trace.write("repaired.pcapng")

First, each frame gets the right lengths and checksums (`frame`). Then the conversations are judged. One without an error or a
warning keeps its numbers; in any other, `numbers` finds where the edits were, and makes the later numbers of both sides follow.
The new numbers stand only if fewer errors and warnings are left. Nothing else is touched: no packet is added, removed or moved,
no flag, window, option or time changes (but the edges of SACK blocks, which are sequence numbers).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from labkit.analysis.catalogue import collect
from labkit.analysis.examine import Completeness, examine
from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.build.trace import Record, Trace
from labkit.capture import Frame
from labkit.i18n import _
from labkit.report.repair.frame import Change, Unknown, mend
from labkit.report.repair.numbers import belonging, renumber
from labkit.tcp.options import Sack

MAX_RECORDS = 10_000
"""Packets between the same two addresses and ports that are numbered anew."""
MAX_ATTEMPTS = 6
"""Attempts to number a conversation: each takes the numbers that the verifier still accuses for wrong ones."""
FIXED = ("WIN", "TS")
"""Families of rules about fields that stay as they are."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """A repaired trace, what was changed in it, and what could not be known."""

    trace: Trace
    changes: tuple[Change, ...]
    unknown: tuple[Unknown, ...]
    verdict: Verdict
    """The verdict on the repaired trace."""

    @property
    def packets(self) -> int:
        """The number of changed packets."""
        return len({change.packet for change in self.changes})


def repair(trace: Trace, assume: Completeness = Completeness.AUTO) -> Repaired:
    """Repair a trace that was read from a capture, or edited.

    `assume`: whether packets may be missing, as in `verify`. COMPLETE closes every gap in the sequence numbers, PARTIAL none;
    AUTO closes those that are not explained by loss.
    """
    frames, changes, unknown = mend(trace.file_frames())
    mended = trace.frames_again(frames)
    verdict = _judge(frames, assume)
    records, numbers = list(mended.records), mended.numbers()
    for places in _suspects(verdict, mended, numbers, assume):
        if len(places) > MAX_RECORDS:
            text = _("a conversation of {count} packets is too long to number it anew; expected at most {most}")
            unknown.append(Unknown(numbers[places[0]], text.format(count=len(places), most=MAX_RECORDS)))
            continue
        for place, record in zip(places, _renumbered(mended, places, assume), strict=True):
            changes += _changes(numbers[place], records[place], record)
            records[place] = record
    best = replace(mended, records=tuple(records))
    verdict = _judge(best.file_frames(), assume)
    unknown += _left(verdict, assume)
    return Repaired(
        best,
        tuple(sorted(changes, key=lambda change: change.packet)),
        tuple(sorted(unknown, key=lambda each: each.packet or 0)),
        verdict,
    )


def _renumbered(trace: Trace, places: Sequence[int], assume: Completeness) -> Sequence[Record]:
    """The records at some places, all of one four-tuple, with the best numbers."""
    origin = None if trace.origin is None else replace(trace.origin, others=())
    part = replace(trace, records=tuple(trace.records[place] for place in places), origin=origin)
    numbers, verdict = part.numbers(), _judge(part.file_frames(), assume)
    best = list(part.records)
    connections = belonging(best)
    for connection in sorted(set(connections)):
        own = [place for place, each in enumerate(connections) if each == connection]
        wrong: set[int] = set()
        wrong_seq: set[int] = set()
        alike = False
        for _attempt in range(MAX_ATTEMPTS):
            made = renumber([part.records[place] for place in own], wrong, wrong_seq)
            candidate = list(best)
            for place, segment in zip(own, made, strict=True):
                candidate[place] = replace(candidate[place], segment=segment)
            again = _judge(replace(part, records=tuple(candidate)).file_frames(), assume)
            if _weight(again.findings) < _weight(verdict.findings):
                best, verdict = candidate, again
            packets = [numbers[place] for place in own]
            accused, accused_seq = (_accused(again, packets, name) for name in ("ack", "seq"))
            if accused <= wrong and accused_seq <= wrong_seq:
                if alike or not accused:
                    break
                # A tool that has set one ACK to a value may have set others to it, which then hold this one back.
                values = {_ack(part.records[own[each]]) for each in accused}
                accused = {at for at, each in enumerate(own) if _ack(part.records[each]) in values}
                alike = True
            wrong |= accused
            wrong_seq |= accused_seq
    return best


def _ack(record: Record) -> tuple[str, int]:
    """The side and its ACK."""
    return record.sender, record.segment.ack


def _accused(verdict: Verdict, packets: Sequence[int], name: str) -> set[int]:
    """The positions, among the packets of a conversation, of those in which a field is said to be wrong."""
    found = {each.packet for each in verdict.findings if each.field == name and each.severity > Severity.NOTE}
    return {place for place, packet in enumerate(packets) if packet in found}


def _judge(frames: Sequence[Frame], assume: Completeness) -> Verdict:
    rules = collect()
    return examine(Verifier(rules=rules).run(frames), lambda: frames, rules, assume)


def _suspects(verdict: Verdict, trace: Trace, numbers: Sequence[int], assume: Completeness) -> list[list[int]]:
    """The places of the records of each four-tuple in which something is wrong.

    A warning may mean that packets are missing: it counts unless the user says that they are.
    """
    least = Severity.ERROR if assume == Completeness.PARTIAL else Severity.WARNING
    owners = dict(zip(numbers, trace.records, strict=True))
    firsts = {each.flow: each.first_packet for each in verdict.conversations}

    def ends(record: Record) -> frozenset[tuple[str, int]]:
        connection = trace.connections[record.connection]
        return frozenset((host.address, host.port) for host in (connection.client, connection.server))

    wrong = set()
    for each in verdict.findings:
        record = owners.get(each.packet or firsts.get(each.flow, 0))
        if each.severity >= least and record is not None:
            wrong.add(ends(record))
    found: dict[frozenset[tuple[str, int]], list[int]] = {each: [] for each in wrong}
    for place, record in enumerate(trace.records):
        if (key := ends(record)) in found:
            found[key].append(place)
    return sorted(found.values())


def _weight(findings: Iterable[Finding]) -> tuple[int, ...]:
    """How bad findings are: the numbers of errors, then of warnings, each first of those that other numbers may mend."""
    counts: Counter[tuple[bool, Severity]] = Counter()
    counts.update((each.code.startswith(FIXED), each.severity) for each in findings)
    return tuple(counts[fixed, severity] for severity in (Severity.ERROR, Severity.WARNING) for fixed in (False, True))


def _changes(packet: int, before: Record, now: Record) -> list[Change]:
    old, new = before.segment, now.segment
    found = [
        Change(packet, name, getattr(old, name), getattr(new, name))
        for name in ("seq", "ack")
        if getattr(old, name) != getattr(new, name)
    ]
    blocks, others = old.option(Sack), new.option(Sack)
    if blocks is not None and others is not None and blocks != others:
        edges = zip(chain(*blocks.blocks), chain(*others.blocks), strict=False)
        found += [Change(packet, "sack", one, other) for one, other in edges if one != other]
    return found


def _left(verdict: Verdict, assume: Completeness) -> list[Unknown]:
    """What is still wrong, and why it stays."""
    return [
        Unknown(
            each.packet,
            _("{code} is left: {message}; {why}").format(code=each.code, message=each.message, why=_why(each, assume)),
        )
        for each in verdict.findings
        if each.severity > Severity.NOTE
    ]


def _why(finding: Finding, assume: Completeness) -> str:
    """Why a finding stays: what it would take to mend it, labkit does not change or cannot know."""
    if finding.code.startswith("WIN"):
        return _("windows stay: they count octets that the edit has changed, and only the host knows its buffer")
    if finding.code.startswith("TS"):
        return _("timestamps stay: only the host knows its clock")
    if finding.code.startswith("SEQ") and assume != Completeness.COMPLETE:
        return _("a packet may be missing here; --complete says that none is, and closes the gap")
    if finding.field in ("seq", "ack"):
        return _("no number that follows from the other packets is better")
    return _("that is not a matter of numbers")
