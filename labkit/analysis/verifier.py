"""Judges captures: every rule looks at every segment, and what it finds becomes a `Finding`.

    verdict = verify("a.pcapng", profile="rfc9293")
    for finding in verdict.findings:
        print(finding.packet, finding.code, finding.message)

The order for each segment is the one of `labkit.analysis.tracker`: relate it to what is known, settle the doubts that it answers,
ask the rules, add it to what is known. A finding is never an exception; a capture that ends in the middle of a packet
is judged up to there (`Verdict.damage`). Nothing of a capture is kept but what `track` and `payload` bound.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from labkit.analysis import finding as findings
from labkit.analysis import flows
from labkit.analysis.finding import Evidence, Group, finding, tally
from labkit.analysis.finding import Finding as Finding
from labkit.analysis.flows import Flow, FlowTable, segments
from labkit.analysis.limits import FAMILIES, CaptureLimits, Conversation, Limit
from labkit.analysis.payload import PayloadStore, remember
from labkit.analysis.pending import close, resolve
from labkit.analysis.rule import DOCUMENT, LITERAL, RFC9293, Number, Rule, Scope, Severity, collect
from labkit.analysis.side import Side
from labkit.analysis.tracker import advance, look, relate, spoiled
from labkit.capture import Damage, Frame, open_capture
from labkit.errors import UsageError
from labkit.i18n import _
from labkit.packet.seen import Seen

PROFILES = (RFC9293, DOCUMENT)


MOST_SAID = 65_536
"""Rules and hosts of which is remembered that something was said once; when there are more, all of them are forgotten."""


@dataclass(slots=True)
class Verdict:
    """What was found in one capture, in the order of its packets."""

    path: str
    profile: str
    findings: Sequence[Finding] = field(default_factory=list)
    packets: int = 0
    """Frames of any kind."""
    segments: int = 0
    """TCP segments among them."""
    flows: int = 0
    damage: Damage | None = None
    """Why the capture could not be read to its end."""
    error: str | None = None
    """Why it could not be read at all."""
    limits: list[Limit] = field(default_factory=list)
    """What the capture cannot show, and so cannot be judged."""
    conversations: Sequence[Conversation] = field(default_factory=list)
    """Those that are reported, in the order in which they began; at most `survey.MOST`."""
    reported: int = 0
    """Conversations of which findings are reported: all of them, unless `wanted` chose."""
    left_out: int = 0
    """Findings that somebody has chosen not to hear of."""
    beyond: list[Group] = field(default_factory=list)
    """Findings that were counted, and not kept: there were more of their severity than `finding.MAX_KEPT`."""

    def worst(self) -> Severity | None:
        """The gravest severity found."""
        return max(tally(self.findings, self.beyond), default=None)

    def passes(self, fail_on: Severity = Severity.ERROR) -> bool:
        """Whether nothing at or above a severity was found, in a capture that could be read."""
        return self.error is None and (self.worst() or 0) < fail_on

    @property
    def ok(self) -> bool:
        """Whether no error was found."""
        return self.passes()


def verify(
    source: str | Path | BinaryIO,
    profile: str = RFC9293,
    *,
    literal: bool = False,
    watch: Callable[[int], None] | None = None,
    wanted: Callable[[Flow], bool] | None = None,
    rules: Iterable[Rule] | None = None,
) -> Verdict:
    """Judge one capture: a path, "-" for standard input, or an open binary file.

    `literal` applies the document's two computation rules as they stand (profile `document` only). `watch` is called
    with the number of frames from time to time. `wanted` chooses the conversations whose findings are reported; all are
    judged. `rules` is the catalogue: `collect(("my_rules.py",))` adds a file's rules. UsageError for an unknown profile,
    CaptureError for a file that is not a capture.
    """
    with open_capture(source) as capture:
        verifier = Verifier(profile, literal=literal, wanted=wanted, rules=rules)
        verdict = verifier.run(capture, watch)
        verdict.path = str(source) if isinstance(source, str | Path) else getattr(source, "name", "<stream>")
        verdict.damage = capture.damage
        return verdict


class Bounds(NamedTuple):
    """How much is remembered of one capture, however long it is."""

    open: int = flows.MAX_OPEN
    """Conversations that are open at a time."""
    over: int = flows.MAX_OVER
    """Conversations that are remembered though they are over."""
    findings: int = findings.MAX_KEPT
    """Findings of one severity."""
    said: int = MOST_SAID
    """Hosts and rules of which something was said once."""
    hosts: int = flows.MAX_HOSTS
    """Hosts, as clients and as servers, with their last initial sequence numbers."""


class Verifier:
    """Judges one stream of frames under one profile."""

    def __init__(
        self,
        profile: str = RFC9293,
        *,
        literal: bool = False,
        wanted: Callable[[Flow], bool] | None = None,
        bounds: Bounds | None = None,
        rules: Iterable[Rule] | None = None,
    ) -> None:
        """`rules`: the catalogue; without it, `labkit.analysis.rule.collect()`."""
        if profile not in PROFILES:
            known = ", ".join(PROFILES)
            raise UsageError(_("there is no profile '{name}'; there are {known}").format(name=profile, known=known))
        if literal and profile != DOCUMENT:
            raise UsageError(_("the literal rules belong to the profile 'document'"))
        self.profile = LITERAL if literal else profile
        every = collect() if rules is None else rules
        rules = [each for each in every if self.profile in each.profiles or each.family in FAMILIES]
        self._frame = [(each.predicate, each) for each in rules if each.scope == Scope.FRAME]
        self._segment = [(each.predicate, each) for each in rules if each.scope == Scope.SEGMENT]
        self._doubt = [each for each in rules if each.scope == Scope.PENDING]
        self._side = [each for each in rules if each.scope == Scope.SIDE]
        self._flow = [each for each in rules if each.scope == Scope.FLOW]
        bounds = bounds or Bounds()
        self._table = FlowTable(bounds.open, bounds.over, bounds.hosts)
        self._open: dict[int, _Judged] = {}
        self._said: set[tuple[str, bytes]] = set()
        self._start: int | None = None
        self._wanted = wanted
        self._heard: Callable[[Finding], None] | None = None
        self._payload = PayloadStore()
        self._survey = CaptureLimits()
        self._kept: list[Finding] = []
        self._most, self._most_said = bounds.findings, bounds.said
        self._counts: Counter[Severity] = Counter()
        self._beyond: dict[tuple[str, str, Severity], Group] = {}
        self._verdict = Verdict("", profile)

    def run(
        self,
        frames: Iterable[Frame],
        watch: Callable[[int], None] | None = None,
        heard: Callable[[Finding], None] | None = None,
    ) -> Verdict:
        """Judge all frames, once.

        `heard` is called with each finding as soon as it stands: one about a packet when no doubt about that packet is
        open any more, one about a whole conversation when that is over. What comes later may still tell more precisely what
        was said of a packet, or sum up what was said of many: then both are heard, and the verdict has the latter.
        """
        self._heard = heard
        seg = Seen()
        for _frame, data in segments(self._counted(frames, watch), seg):
            judged = self._judge(data, seg)
            if heard is not None and judged.fresh:
                judged.tell(heard)
            if self._table.over:
                for flow in self._table.over:
                    self._finish(flow)
                self._table.over.clear()
        for flow in self._table.close():
            self._finish(flow)
        verdict = self._verdict
        verdict.flows = self._table.count
        verdict.beyond = [self._beyond[key] for key in sorted(self._beyond)]
        beyond = sum(group.count for group in verdict.beyond)
        self._survey.end_many(missed=0, again=0, forgotten=self._table.forgotten, beyond=beyond)
        verdict.limits = self._survey.limits(verdict.segments, verdict.reported)
        verdict.conversations = sorted(self._survey.conversations, key=lambda each: each.flow)
        verdict.findings = sorted(
            self._kept, key=lambda found: (found.packet is None, found.packet or 0, found.flow, found.code)
        )
        return verdict

    def _counted(self, frames: Iterable[Frame], watch: Callable[[int], None] | None) -> Iterator[Frame]:
        verdict = self._verdict
        for frame in frames:
            if self._start is None:
                self._start = frame.time
            verdict.packets += 1
            if watch is not None and not verdict.packets & 0xFFF:
                watch(verdict.packets)
            yield frame

    def _judge(self, data: bytes, seg: Seen) -> "_Judged":
        self._verdict.segments += 1
        flow, sender = self._table.find(data, seg)
        judged = self._open.get(flow.index)
        if judged is None:
            judged = self._open[flow.index] = _Judged(flow, self._wanted is None or self._wanted(flow))
            self._verdict.reported += judged.wanted
        me, peer = flow.sides[sender], flow.sides[1 - sender]
        for predicate, rule in self._frame:
            found = predicate(seg, me, peer)
            if found:
                self._add(judged, rule, found, seg, me, peer, sender)
        if not seg.readable:
            return judged
        look(seg, me, peer)
        if (me.pending_n or peer.pending_n) and self._settle(judged, seg, sender):
            relate(seg, me)
        if seg.data_len and not spoiled(seg):
            remember(data, seg, me, self._payload)
        for predicate, rule in self._segment:
            found = predicate(seg, me, peer)
            if found:
                self._add(judged, rule, found, seg, me, peer, sender)
        judged.last = sender
        advance(seg, me, peer)
        self._table.settle(flow)
        return judged

    def _settle(self, judged: "_Judged", seg: Seen, sender: int) -> bool:
        settled = False
        for side in (sender, 1 - sender):
            me, peer = judged.flow.sides[side], judged.flow.sides[1 - side]
            while resolve(me):
                settled = True
                for rule in self._doubt:
                    found = rule.predicate(seg, me, peer)
                    if found:
                        self._add(judged, rule, found, seg, me, peer, side)
        return settled

    def _finish(self, flow: Flow) -> None:
        judged = self._open.pop(flow.index, None)
        if judged is None:
            return
        first, other = flow.sides
        close(first, other)
        close(other, first)
        seg = Seen()
        self._settle(judged, seg, 0)
        for side in (0, 1):
            for rule in self._side:
                found = rule.predicate(seg, flow.sides[side], flow.sides[1 - side])
                if found:
                    self._add(judged, rule, found, seg, flow.sides[side], flow.sides[1 - side], side)
        for rule in self._flow:
            found = rule.predicate(seg, first, other)
            if found:
                self._add(judged, rule, found, seg, first, other, 0)
        if self._heard is not None:
            judged.tell(self._heard)
        self._survey.end(flow, judged.resent, self._start or 0, describe=judged.wanted)
        self._kept += judged.kept()

    def _add(self, judged: "_Judged", rule: Rule, found: int, seg: Seen, me: Side, peer: Side, sender: int) -> None:
        packet, time = _place(rule, seg, me, peer)
        if rule.limits:
            self._survey.count(rule, found, packet)
        if rule.retransmission:
            judged.resent[sender] += 1
        if not judged.wanted or self.profile not in rule.profiles:
            return
        if rule.at.startswith("peer"):
            sender = 1 - sender
        if rule.once:
            said = rule.code, judged.flow.ends[sender][0]
            if said in self._said:
                return
            if len(self._said) == self._most_said:
                self._said.clear()
            self._said.add(said)
        severity = rule.severity_in(self.profile, found)
        if self._counts[severity] == self._most:
            key = rule.code, rule.name, severity
            self._beyond.setdefault(key, Group(*key)).count += 1
            return
        self._counts[severity] += 1
        values: dict[str, Seen | Side] = {"seg": seg, "me": me, "peer": peer}
        evidence = Evidence(
            packet=packet,
            time=None if time is None else time - (self._start or 0),
            flow=judged.flow.index,
            source=judged.flow.name(sender),
            destination=judged.flow.name(1 - sender),
            field=rule.field(seg, me, peer) if callable(rule.field) else rule.field,
            expected=_number(rule.expected, seg, me, peer),
            actual=_number(rule.actual, seg, me, peer),
            value=lambda name: _value(name, values),
            bases=(me.base, peer.base),
        )
        judged.add(rule, finding(rule, found, self.profile, evidence))


class _Judged:
    """A conversation under judgement: what was found so far."""

    __slots__ = ("findings", "flow", "fresh", "last", "resent", "wanted")

    def __init__(self, flow: Flow, wanted: bool) -> None:
        self.flow = flow
        self.wanted = wanted
        """Whether it is reported."""
        self.resent = [0, 0]
        """Segments that each side has sent again."""
        self.findings: dict[tuple[int | None, str], list[tuple[Rule, Finding]]] = {}
        self.fresh: dict[tuple[int | None, str], None] = {}
        """Findings that nobody has been told of."""
        self.last = 0

    def add(self, rule: Rule, finding: Finding) -> None:
        """Keep a finding. What is found of a packet later, with more in view, takes the place of what was found first
        under the same code."""
        key = finding.packet, finding.code
        here = self.findings.setdefault(key, [])
        if not here or rule.at:
            self.fresh[key] = None
        if rule.at:
            here.clear()
        here.append((rule, finding))

    def kept(self) -> list[Finding]:
        """What was found, less what another rule says more precisely, or once for all."""
        every = [each for here in self.findings.values() for each in here]
        grave = self._grave()
        summed = {(found.code, found.source) for rule, found in every if rule.sums_up}
        return [
            found
            for rule, found in every
            if self._stands(rule, found, grave) and (rule.sums_up or (found.code, found.source) not in summed)
        ]

    def tell(self, heard: Callable[[Finding], None]) -> None:
        """Tell of what is fresh, but for what a doubt that is still open may change."""
        sides = self.flow.sides
        open_ = {packet for side in sides for packet in side.pending_packet[: side.pending_n]}
        fresh, self.fresh = self.fresh, {key: None for key in self.fresh if key[0] in open_}
        # Only what is found of the whole conversation asks for what else there is of it.
        grave = self._grave() if any(packet is None for packet, _ in fresh) else set()
        for key in fresh:
            for rule, found in self.findings[key]:
                if key[0] not in open_ and self._stands(rule, found, grave):
                    heard(found)

    def _grave(self) -> set[str]:
        return {found.code for here in self.findings.values() for _, found in here if found.severity == Severity.ERROR}

    def _stands(self, rule: Rule, found: Finding, grave: set[str]) -> bool:
        """Whether no other rule says the same more precisely."""
        return not any(
            code in grave if rule.scope == Scope.FLOW else (found.packet, code) in self.findings for code in rule.unless
        )


def _place(rule: Rule, seg: Seen, me: Side, peer: Side) -> tuple[int | None, int | None]:
    """The packet that a finding is about, and its time; none for a finding about the whole conversation."""
    if rule.scope == Scope.FLOW:
        return None, None
    if not rule.at:
        return seg.number, seg.time
    name, _, prefix = rule.at.partition(".")
    side = me if name == "me" else peer
    return getattr(side, f"{prefix}_packet"), getattr(side, f"{prefix}_time")


def _number(wanted: str | Number | None, seg: Seen, me: Side, peer: Side) -> int | None:
    """What a rule declares as `expected` or `actual`."""
    if wanted is None:
        return None
    return wanted(seg, me, peer) if callable(wanted) else _value(wanted, {"seg": seg, "me": me, "peer": peer})


def _value(name: str, values: Mapping[str, Seen | Side]) -> int:
    """A number by its name, such as `seg.ack`."""
    whose, _, attribute = name.partition(".")
    value: int = getattr(values[whose], attribute)
    return value
