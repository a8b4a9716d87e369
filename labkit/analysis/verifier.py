"""Verify a capture: ask the rules at each step of the analyzer, and turn their answers into findings.

    verdict = verify("a.pcapng", profile="rfc9293")
    for finding in verdict.findings:
        print(finding.packet, finding.code, finding.message)

A finding is never an exception. A capture that ends in the middle of a packet is verified up to there (`Verdict.damage`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from operator import attrgetter
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO

from labkit.analysis import limits, policy
from labkit.analysis.analyzer import DONE, FLOW, PENDING, SEGMENT, Step, analyze
from labkit.analysis.catalogue import collect
from labkit.analysis.finding import Evidence, Finding, finding
from labkit.analysis.findings import Group
from labkit.analysis.flows import Flow, FlowTable
from labkit.analysis.limits import CaptureLimits
from labkit.analysis.payload import PayloadStore
from labkit.analysis.policy import Events
from labkit.analysis.rule import Number, Predicate, Rule, Scope
from labkit.analysis.severity import RFC9293, Severity
from labkit.analysis.unread import Unread
from labkit.analysis.verdict import Bounds, Verdict, profile_of
from labkit.capture import Frame, open_capture

if TYPE_CHECKING:
    from pathlib import Path


def verify(
    source: "str | Path | BinaryIO",
    profile: str = RFC9293,
    *,
    literal: bool = False,
    on_progress: Callable[[int], None] | None = None,
    wanted: Callable[[Flow], bool] | None = None,
    rules: Iterable[Rule] | None = None,
) -> Verdict:
    """Verify one capture: a path, "-" for standard input, or an open binary file.

    `literal` applies the two rules of the introductory text literally (profile `document` only). `on_progress` is called with
    the number of frames from time to time. `wanted` chooses the conversations whose findings are reported; all are verified.
    `rules` is the catalogue: `collect(("my_rules.py",))` adds a file's rules. UsageError for an unknown profile, CaptureError for
    a file that is not a capture.
    """
    with open_capture(source) as capture:
        verifier = Verifier(profile, literal=literal, wanted=wanted, rules=rules)
        verdict = verifier.run(capture, on_progress).with_damage(capture.damage)
        path = str(source) if isinstance(source, str | PathLike) else getattr(source, "name", "<stream>")
        return replace(verdict, path=path)


class Verifier:
    """Verifies one stream of frames under one profile."""

    def __init__(
        self,
        profile: str = RFC9293,
        *,
        literal: bool = False,
        wanted: Callable[[Flow], bool] | None = None,
        bounds: Bounds | None = None,
        rules: Iterable[Rule] | None = None,
    ) -> None:
        """`rules`: the catalogue; without it, `labkit.analysis.catalogue.collect()`."""
        self.profile = profile_of(profile, literal=literal)
        self._rules: list[list[tuple[Predicate, Rule]]] = [[] for _scope in Scope]
        for rule in collect() if rules is None else rules:
            if self.profile in rule.profiles or rule.limits or rule.retransmission:
                self._rules[rule.scope].append((rule.predicate, rule))
        self._bounds = bounds = bounds or Bounds()
        self._table = FlowTable(bounds.open, bounds.over, bounds.hosts, bounds.every)
        self._open: dict[int, _Conversation] = {}
        self._reported_once: set[tuple[str, bytes]] = set()
        self._start: int | None = None
        self._wanted = wanted
        self._limits = CaptureLimits()
        self._unread = Unread()
        self._kept: list[Finding] = []
        self._counts: Counter[Severity] = Counter()
        self._beyond: dict[tuple[str, str, Severity], Group] = {}
        self._shown_profile = profile
        self._packets = 0
        self._reported = 0
        """Conversations whose findings are reported."""

    def run(
        self,
        frames: Iterable[Frame],
        on_progress: Callable[[int], None] | None = None,
        on_finding: Callable[[Finding], None] | None = None,
    ) -> Verdict:
        """Verify all frames, once.

        `on_finding` is called with each finding as soon as it is certain: one about a packet when no question about that packet
        is open, one about a whole conversation when that is over. A later finding may still replace an earlier one, or sum up
        many: then `on_finding` has both, and the verdict has the later one.
        """
        rules, pending = self._rules, self._rules[Scope.PENDING]
        flow, found = None, None
        for step in analyze(self._counted(frames, on_progress), self._table, PayloadStore(), self._unread):
            scope = step.scope
            if step.flow is not flow or found is None:
                flow, found = step.flow, self._conversation(step.flow)
            if scope == DONE or (scope == SEGMENT and step.seg.former):
                if found.fresh and on_finding is not None:
                    found.report(on_finding)
                continue
            seg, me, peer = step.seg, step.me, step.peer
            if scope == PENDING:
                for predicate, rule in pending:
                    answer = predicate(seg, me, peer, step.resolved)
                    if answer:
                        self._add(found, rule, answer, step)
                continue
            for predicate, rule in rules[scope]:
                answer = predicate(seg, me, peer)
                if answer:
                    self._add(found, rule, answer, step)
            if scope == FLOW:
                if on_finding is not None:
                    found.report(on_finding)
                self._finish(found)
                flow = None
        return self._whole()

    def _counted(self, frames: Iterable[Frame], on_progress: Callable[[int], None] | None) -> Iterator[Frame]:
        for frame in frames:
            if self._start is None:
                self._start = frame.time
            self._packets += 1
            if on_progress is not None and not self._packets & 0xFFF:
                on_progress(self._packets)
            yield frame

    def _conversation(self, flow: Flow) -> "_Conversation":
        found = self._open.get(flow.index)
        if found is None:
            wanted = self._wanted is None or self._wanted(flow)
            is_described = wanted and self._reported < limits.MAX_DESCRIBED
            found = self._open[flow.index] = _Conversation(flow, wanted, is_described)
            self._reported += wanted
        return found

    def _finish(self, found: "_Conversation") -> None:
        del self._open[found.flow.index]
        self._limits.end(found.flow, found.resent, self._start or 0, describe=found.is_described)
        self._kept += found.standing()

    def _whole(self) -> Verdict:
        segments = self._table.segments
        beyond = sum(group.count for group in self._beyond.values())
        self._limits.end_many(missed=0, again=0, forgotten=self._table.forgotten, beyond=beyond)
        frames, unread_segments = self._limits.not_read(self._unread, self._table.pairs)
        return Verdict(
            "",
            self._shown_profile,
            findings=sorted(
                self._kept, key=lambda found: (found.packet is None, found.packet or 0, found.flow, found.code)
            ),
            packets=self._packets,
            segments=segments,
            other=self._packets - segments - frames - self._unread.parts,
            not_read=frames + unread_segments,
            flows=self._table.count,
            limits=self._limits.limits(segments, self._reported),
            conversations=sorted(self._limits.conversations, key=lambda each: each.flow),
            reported=self._reported,
            start=self._start or 0,
            beyond=[self._beyond[key] for key in sorted(self._beyond)],
        )

    def _add(self, found: "_Conversation", rule: Rule, answer: int, step: Step) -> None:
        packet, time = _getter(*rule.place)(step) if rule.place else (0, 0)
        if rule.limits:
            self._limits.count(rule, answer, packet or None)
        if rule.retransmission:
            found.resent[step.sender] += 1
        if not found.wanted or self.profile not in rule.profiles:
            return
        sender = 1 - step.sender if rule.at.startswith("peer") else step.sender
        if rule.once and self._is_reported(rule.code, found.flow.ends[sender][0]):
            return
        severity = rule.severity_in(self.profile, answer)
        if self._counts[severity] == self._bounds.findings:
            key = rule.code, rule.name, severity
            self._beyond.setdefault(key, Group(*key)).count += 1
            return
        self._counts[severity] += 1
        arguments = (step.seg, step.me, step.peer, step.resolved)[: 4 if rule.scope == PENDING else 3]

        def number(declared: str | Number | None) -> int | None:
            if declared is None:
                return None
            value: int = declared(*arguments) if callable(declared) else _getter(declared)(step)
            return value

        evidence = Evidence(
            packet=packet or None,
            time=time - (self._start or 0) if packet else None,
            flow=found.flow.index,
            source=found.flow.name(sender),
            destination=found.flow.name(1 - sender),
            field=rule.field(*arguments) if callable(rule.field) else rule.field,
            expected=number(rule.expected),
            actual=number(rule.actual),
            value=lambda name: _getter(name)(step),
            bases=(step.me.base, step.peer.base),
        )
        found.add(rule, finding(rule, answer, self.profile, evidence))

    def _is_reported(self, code: str, host: bytes) -> bool:
        """Whether a rule with `once` was reported of a host; from now on it is."""
        if (code, host) in self._reported_once:
            return True
        if len(self._reported_once) == self._bounds.once:
            self._reported_once.clear()
        self._reported_once.add((code, host))
        return False


class _Conversation:
    """What was found in a conversation so far."""

    __slots__ = ("findings", "flow", "fresh", "is_described", "resent", "wanted")

    def __init__(self, flow: Flow, wanted: bool, is_described: bool) -> None:
        self.flow = flow
        self.wanted = wanted
        """Whether its findings are reported."""
        self.is_described = is_described
        self.resent = [0, 0]
        """Segments that each side has sent again."""
        self.findings: dict[int | None, list[tuple[Rule, Finding]]] = {}
        """By packet, in the order in which they were found."""
        self.fresh: dict[tuple[int | None, str], None] = {}
        """Packets and codes of findings that `report` has not reported."""

    def add(self, rule: Rule, finding: Finding) -> None:
        """Keep a finding."""
        here = self.findings.setdefault(finding.packet, [])
        if rule.revises or finding.code not in {each.code for _, each in here}:
            self.fresh[finding.packet, finding.code] = None
        here.append((rule, finding))

    def standing(self) -> list[Finding]:
        """The findings that the verdict has."""
        return _standing([each for here in self.findings.values() for each in here])

    def report(self, on_finding: Callable[[Finding], None]) -> None:
        """Report what is fresh, except at packets about which a question is open."""
        open_ = {packet for side in self.flow.sides for packet in side.pending_packet[: side.pending_n]}
        fresh, self.fresh = self.fresh, {key: None for key in self.fresh if key[0] in open_}
        for packet, code in fresh:
            if packet not in open_:
                found = self.standing() if packet is None else _standing(self.findings[packet])
                for each in found:
                    if (each.packet, each.code) == (packet, code):
                        on_finding(each)


def _standing(found: list[tuple[Rule, Finding]]) -> list[Finding]:
    events = Events(
        range(len(found)),
        [each.severity for _, each in found],
        [each.packet or 0 for _, each in found],
        [each.flow for _, each in found],
        [each.source for _, each in found],
    )
    return [found[place][1] for place in policy.standing([rule for rule, _ in found], events)]


@cache
def _getter(*names: str) -> "attrgetter[Any]":
    """A function that reads numbers of a step, such as `seg.ack`, by their names."""
    return attrgetter(*names)
