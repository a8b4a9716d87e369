"""What the second look finds in the conversations of a capture (`labkit.analysis.examine`)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labkit.analysis.acks import late_acks
from labkit.analysis.closing import remarks
from labkit.analysis.completeness import DECIDED, EXPLAINING, MAX_WHOLE, NUMBERS, Completeness
from labkit.analysis.entry import CLIENT, SERVER, Entry, Shown
from labkit.analysis.evidence import doubtful, evidence, nothing_lost, proves
from labkit.analysis.finding import Finding, softened
from labkit.analysis.findings import Outline, is_grouped, order_of
from labkit.analysis.flows import End, Flow
from labkit.analysis.ledger import Ledger
from labkit.analysis.limits import Limit, not_accounted
from labkit.analysis.opening import begins_with_wrong_flags
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.severity import Severity
from labkit.analysis.strays import Talk, Work, adopt, exchange
from labkit.analysis.verdict import Verdict
from labkit.i18n import _
from labkit.tcp.flags import SYN
from labkit.tcp.seq import diff

LAST_ACK = "last-ack-not-of-the-fin"
"""The rule about a number of which the accounts do not decide: nothing follows it."""

LENGTHS = ("CK02", "CAP01", "OPT01")
"""Codes of errors that a wrong length in the header of IP or TCP makes: the payload ends or begins in the wrong place."""


class Look:
    """What the second look finds in a capture."""

    def __init__(
        self,
        verdict: Verdict,
        named: Mapping[tuple[str, str], Rule],
        assume: Completeness,
        over: Callable[[], bool] = bool,
    ) -> None:
        self._verdict = verdict
        self._over = over
        self.left = 0
        """Conversations that were not looked at to their end."""
        self._named = named
        self._rules = [
            rule for rule in named.values() if rule.scope == Scope.LEDGER and verdict.profile in rule.profiles
        ]
        self._assume = assume
        self._found: list[tuple[Entry, Finding]] = []
        self._complete: set[int] = set()
        """Conversations in which nothing is missing."""
        self._entries: dict[int, list[Entry]] = {}
        """By packet."""
        self._flows: dict[int, list[Entry]] = {}
        self._ends: set[frozenset[End]] = set()
        """The ends of the conversations that were looked at."""
        self._why: list[str] = []
        self.doubtful: set[tuple[int, str]] = set()
        """Packets and codes of errors that a packet explains which the capture lacks."""
        self._overlapped: set[int] = set()
        """Packets with the numbers that an earlier segment has by mistake."""
        self._kept: set[int] = set()
        """Identities of findings of the first pass that stand for an entry."""
        self._repeats: dict[int, tuple[Finding, Severity]] = {}
        """The first of several findings with one cause, and how grave the others are, by the identities of the others."""
        self.misread: set[int] = set()
        """Packets with a wrong data offset."""
        self.doubted: set[int] = set()
        """Packets with a number that the first pass has for wrong."""
        self._errors: dict[int, list[Finding]] = {}
        if verdict.segments <= MAX_WHOLE:
            for found in verdict.findings:
                if (found.code, found.name) not in named:
                    continue
                if found.severity > Severity.NOTE and found.packet is not None and found.field in ("seq", "ack"):
                    self.doubted.add(found.packet)
                if found.severity == Severity.ERROR and found.packet is not None:
                    self._errors.setdefault(found.packet, []).append(found)
                    if found.code == "CAP01" and found.field == "hdr_len":
                        self.misread.add(found.packet)

    def knows_beginning(self, talk: Talk) -> bool:
        """Whether a conversation that begins without a SYN alone is known to begin where the capture does."""
        if begins_with_wrong_flags(talk.segments) or self._assume == Completeness.COMPLETE:
            return True
        return bool(talk.segments[0].ctl & SYN) and evidence(talk.segments) == "constant"

    def at(self, talk: Talk, segments: Sequence[Shown]) -> None:
        """Look at a conversation."""
        ledger = _best(segments, talk, self._over)
        if not ledger.knows:
            self._why.append("")
            return
        self.left += not ledger.whole
        why = evidence(segments)
        if why == "lock-step" and ledger.disordered:
            why = ""
        assumed = self._assume == Completeness.COMPLETE or (
            self._assume == Completeness.TAUGHT and nothing_lost(segments)
        )
        refused = any(entry.fault == "refused" for entry in ledger.entries)  # of the rest the accounts know nothing
        ends = frozenset(talk.ends)
        if refused and ends in self._ends:
            return  # a host in TIME-WAIT or half-open answers with the numbers of the connection before (RFC 9293 figure 9)
        self._ends.add(ends)
        whole = not any(entry.lossy for entry in ledger.entries if entry.cause is None and not entry.outside)
        for entry in ledger.entries:
            entry.certain |= entry.outside and whole
            cause = entry.cause
            if cause is not None and (cause.field, cause.off) == (entry.field, entry.off):
                cause.certain |= self._is_error(entry)  # then nothing explains the first one either
        mistakes = {id(each): each for each in (entry.cause or entry for entry in ledger.entries)}
        proved = {key: assumed or proves(why, each, segments) for key, each in mistakes.items()}
        entries = [entry for entry in ledger.entries if proved[id(entry.cause or entry)]]
        explained = bool(entries) and len(entries) == len(ledger.entries)
        if (assumed or explained or why in ("constant", "together")) and not refused and ledger.whole:
            self._complete.add(talk.index)
        self._why.append("assumed" if assumed else why if why != "lock-step" or explained else "")
        if self._verdict.damage is not None:
            entries = [entry for entry in entries if (entry.cause or entry).fault not in ("never", "last-ack")]
        # What follows from a mistake that is not proved is not proved either.
        roots = {id(entry) for entry in entries if entry.cause is None}
        entries = [entry for entry in entries if entry.cause is None or id(entry.cause) in roots]
        self._join(ledger.entries, {id(entry) for entry in entries})
        self._flows[talk.index] = entries
        for entry in entries:
            self._overlapped.update(_overlapped(entry, segments))
            self._entries.setdefault(entry.packet, []).append(entry)
            rule = next(rule for rule in self._rules if rule.predicate(entry))
            known = self._said_before(rule, entry)
            self._kept |= {id(known)} if known is not None else set()
            said = self._said(rule, entry, talk)
            self._found.append((entry, known or self._with_unread(said, entry, segments[0].packet)))
        if assumed or why == "constant":
            for entry in (*remarks(ledger), *late_acks(ledger)):
                rule = next(rule for rule in self._rules if rule.predicate(entry))
                self._found.append((entry, self._said(rule, entry, talk)))

    def _said(self, rule: Rule, entry: Entry, talk: Talk) -> Finding:
        from labkit.analysis.entry_text import finding_of  # most captures need no words

        return finding_of(rule, entry, talk, self._verdict.start)

    def _is_error(self, entry: Entry) -> bool:
        """Whether the first pass has the same number for an error."""
        number = entry.field, entry.expected
        errors = self._errors.get(entry.packet, ())
        return any(found.code in DECIDED and (found.field, found.expected) == number for found in errors)

    def _join(self, entries: Iterable[Entry], proved: Collection[int]) -> None:
        """Make one error of those of the first pass that the accounts give one cause, although nothing proves it."""
        for entry in entries:
            cause = entry.cause
            if cause is None or id(entry) in proved or id(cause) in proved:
                continue
            roots = [found for found in self._errors.get(cause.packet, ()) if found.field == cause.field]
            for found in self._errors.get(entry.packet, ()) if roots else ():
                if found.field == entry.field and found.code in DECIDED and found is not roots[0]:
                    severity = Severity.WARNING if entry.repeats else Severity.NOTE
                    self._repeats[id(found)] = roots[0], severity

    def _with_unread(self, found: Finding, entry: Entry, first: int) -> Finding:
        """What a packet that was not read explains as well as a mistake does, says so. `first` begins the conversation."""
        frames = [limit.packet or 0 for limit in self._verdict.limits if limit.kind == "not-read"]
        frames = [packet for packet in frames if first < packet < entry.packet]
        if not frames or not entry.lossy or entry.cause is not None:
            return found
        text = _("{message}; packet {packet}, which could not be read, may hold what is missing")
        return replace(found, message=text.format(message=found.message, packet=max(frames)))

    def _said_before(self, rule: Rule, entry: Entry) -> Finding | None:
        """The error of the first pass that says as much as a rule about the accounts."""
        if entry.shown.port >= 0:
            return None  # it has a stray's ends
        for found in self._errors.get(entry.packet, ()):
            if found.code in rule.unless and (found.field, found.expected) == (entry.field, entry.expected):
                return found
        return None

    def repeated(self, talk: Talk) -> None:
        """Where a receiver never changes its window, the first segment beyond it is the mistake, and the others repeat it."""
        for side in (CLIENT, SERVER):
            windows = {seg.window for seg in talk.segments if seg.side != side and not seg.ctl & SYN}
            beyond = [
                found
                for seg in talk.segments
                if seg.side == side
                for found in self._errors.get(seg.packet, ())
                if found.code == "WIN01" and found.flow == talk.index
            ]
            if len(windows) == 1:
                self._repeats |= {id(found): (beyond[0], Severity.WARNING) for found in beyond[1:]}

    def through(self, talks: Sequence[Talk], wanted: Callable[[Flow], bool] | None) -> Verdict:
        """Look at conversations; the verdict with what is found. `wanted` chooses those whose findings are reported."""
        work = Work(self._over)
        adopted = {host.index: segments for host, segments in adopt(talks, work)}
        adopted |= exchange([talk for talk in talks if talk.index not in adopted], self.doubted, Work(self._over))
        strays = {seg.packet for segments in adopted.values() for seg in segments if seg.port >= 0}
        for talk in talks:
            if not talk.segments or self._over():
                self.left += 1
                continue
            opens = talk.index in adopted or (
                talk.segments[0].packet not in strays and (talk.opens or self.knows_beginning(talk))
            )
            self.left += work.stopped and not opens
            if talk.wanted(wanted):
                if opens:
                    self.at(talk, adopted.get(talk.index, talk.segments))
                    self.repeated(talk)
                self.doubtful |= doubtful(talk.segments)
        return self._whole(strays)

    def _whole(self, strays: Collection[int]) -> Verdict:
        """The verdict with what was found."""
        verdict = replace(self._verdict, completeness=self._taken())
        if self.left:
            verdict = replace(verdict, limits=[*verdict.limits, not_accounted(self.left)])
        if self._found or self._complete or self._repeats or (self.doubtful and self._assume != Completeness.COMPLETE):
            found = verdict.findings
            merge = self._among_rows if is_grouped(found) else self._merged
            verdict = replace(verdict, findings=merge(found, strays))
        limits = verdict.limits
        if (self._found or self._complete) and (strays or self._complete):
            limits = [limit for limit in limits if self._is_left(limit, strays)]
        return replace(verdict, limits=limits)

    def _merged(self, findings: Sequence[Finding], strays: Collection[int]) -> Sequence[Finding]:
        """The findings with what was found."""
        findings = [softened(found) if self._is_doubtful(found) else found for found in findings]
        if not self._found and not self._complete and not self._repeats:
            return findings
        kept = [found for found in findings if id(found) not in self._kept and not self._is_replaced(found, strays)]
        merged = sorted([*kept, *(finding for _entry, finding in self._found)], key=order_of)
        places = {id(finding): place for place, finding in enumerate(merged)}
        by_entry = {id(entry): places[id(finding)] for entry, finding in self._found}
        for entry, finding in self._found:
            length = self._wrong_length(entry.cause or entry)
            if length is not None and id(length) in places:
                place, severity = places[id(finding)], min(finding.severity, Severity.NOTE)
                merged[place] = replace(finding, severity=severity, caused_by=places[id(length)])
            elif entry.cause is not None:
                place = places[id(finding)]
                merged[place] = replace(finding, caused_by=by_entry[id(entry.cause)])
        for place, finding in enumerate(merged):
            first, severity = self._repeats.get(id(finding), (None, Severity.NOTE))
            if id(first) in places:
                merged[place] = replace(finding, severity=severity, caused_by=places[id(first)])
        return merged

    def _wrong_length(self, entry: Entry) -> Finding | None:
        """The error about the length of the segment that a wrong ack acknowledges: IP length or data offset take octets from
        its payload, the ack is right for what was meant, and the sender goes on from there."""
        peer = entry.peer
        if entry.field != "ack" or not entry.goes_on or peer is None or not peer.length:
            return None
        errors = self._errors.get(peer.packet, ())
        return next((found for found in errors if found.code in LENGTHS), None)

    def _among_rows(self, findings: Any, strays: Collection[int]) -> Sequence[Finding]:
        """As `_merged`, for findings that stay rows."""
        from array import array

        kept = array("I")
        soft = set()
        decides = bool(self._found or self._complete)
        for place, found in enumerate(findings.outlines()):
            if not decides or not self._is_replaced(found, strays):
                kept.append(place)
                if self._is_doubtful(found):
                    soft.add(place)
        ordered = sorted(self._found, key=lambda each: order_of(each[1]))
        numbers = {id(entry): number for number, (entry, _finding) in enumerate(ordered)}
        others = [(each, None if entry.cause is None else numbers[id(entry.cause)]) for entry, each in ordered]
        merged: Sequence[Finding] = findings.merged(kept, soft, others)
        return merged

    def _is_doubtful(self, found: Finding | Outline) -> bool:
        return (
            self._assume != Completeness.COMPLETE
            and found.severity == Severity.ERROR
            and found.flow not in self._complete
            and (found.packet or 0, found.code) in self.doubtful
        )

    def _taken(self) -> str:
        if not self.left and (self._assume == Completeness.COMPLETE or set(self._why) == {"assumed"}):
            return "complete"
        shown = {why for why in self._why if why}
        if self.left or not self._why or not all(self._why):
            return "partly-complete" if shown else "auto"
        return shown.pop() if len(shown) == 1 and shown <= {"constant", "lock-step"} else "counted"

    def _is_replaced(self, found: Finding | Outline, strays: Collection[int]) -> bool:
        rule = self._named.get((found.code, found.name))
        if rule is None:
            return False
        entries = self._entries.get(found.packet or 0, [])
        elsewhere = found.packet in strays or any(entry.field == "port" for entry in entries)
        if elsewhere and rule.family in NUMBERS | EXPLAINING | {"capture", "window"}:
            return True
        if found.packet is None:
            return self._is_replaced_whole(found, rule, strays)
        if found.packet in self._overlapped and rule.family == "retransmission" and not entries:
            return True
        if entries and rule.family in NUMBERS:
            return True
        if found.code == "WIN01" and any(entry.field == "seq" and not entry.fault for entry in entries):
            return True
        if rule.family in EXPLAINING and ((entries and found.severity == Severity.NOTE) or _seq_is_wrong(entries)):
            return True
        decided = found.code in DECIDED and found.name != LAST_ACK
        return decided and found.flow in self._complete and self._is_number(found)

    def _is_number(self, found: Finding | Outline) -> bool:
        return found.field in ("seq", "ack", "flags", "") and (
            found.severity > Severity.NOTE or found.code in ("SEQ01", "ACK01", "HS06")
        )

    def _is_replaced_whole(self, found: Finding | Outline, rule: Rule, strays: Collection[int]) -> bool:
        """Whether a finding about a whole conversation says less than the accounts do."""
        entries = self._flows.get(found.flow, [])
        if found.code == "CAP05":
            return bool(strays) or any(entry.fault == "syn-ack" for entry in entries)
        return rule.family in NUMBERS and any(entry.field in ("missing", "ack", "port") for entry in entries)

    def _is_left(self, limit: Limit, strays: Collection[int]) -> bool:
        if limit.kind in ("mid-stream", "one-sided"):
            return not strays and not any(
                entry.fault in ("syn", "syn-ack") for entries in self._flows.values() for entry in entries
            )
        return limit.kind != "packets-missing" or len(self._complete) < self._verdict.flows


def _overlapped(entry: Entry, segments: Iterable[Shown]) -> Iterator[int]:
    """The later segments that bring what is right under numbers which a segment has by mistake."""
    wrong = entry.shown
    if entry.field == "seq" and entry.cause is None and wrong.length:
        for seg in segments:
            over = diff(seg.end, wrong.seq) > 0 and diff(wrong.end, seg.seq) > 0
            if seg.side == wrong.side and seg.packet > wrong.packet and seg.length and over:
                yield seg.packet


def _seq_is_wrong(entries: Iterable[Entry]) -> bool:
    return any(entry.field == "seq" for entry in entries)


def _best(segments: Sequence[Shown], talk: Talk, over: Callable[[], bool]) -> Ledger:
    """The accounts as the segments stand, and as they would be after a mistake that leaves its traces in many of them. Those with
    the fewest mistakes count.

    A receiver drops a segment whose checksum is wrong, but whoever types a wrong checksum goes on as though it had not. A segment
    that has the numbers of the other side may have its addresses and ports too.
    """
    best = Ledger(segments, over)
    sound = [seg for seg in segments if not seg.spoiled]
    swapped = next((entry.packet for entry in best.mistakes if entry.swapped), None)
    others = [sound] if len(sound) < len(segments) else []
    if swapped is not None:
        others.append([talk.turned(seg) if seg.packet == swapped else seg for seg in segments])
    for choice in others if best.mistakes else ():
        other = Ledger(choice, over)
        if other.knows and len(other.mistakes) < len(best.mistakes):
            best = other
    return best
