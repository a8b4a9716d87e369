"""The findings of the compiled verifier: rows of numbers, and a `Finding` made from a row when it is read.

A capture with a million lost packets has a million notes. To make all of these would take longer than to verify the capture.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analysis import policy
from labkit.analysis.finding import Choice, Evidence, Finding, Group, finding
from labkit.analysis.flows import end_name
from labkit.analysis.native.context import SEVERITIES, FindingRow
from labkit.analysis.native.flow_table import ends_of
from labkit.analysis.native.kernels import words
from labkit.analysis.native.lazy import LazySequence
from labkit.analysis.native.records import record
from labkit.analysis.rule import Rule, Scope, Severity, shipped

LIGHT = np.dtype([(name, np.int64) for name in ("rule", "answer", "severity", "packet", "flow", "sender", "at")])
"""The numbers of a finding that policy needs: some of its columns, its severity, and its row."""


class Findings(LazySequence[Finding]):
    """The findings of a capture in the order of packets, each made when it is read."""

    def __init__(self, octets: memoryview, profile: str, start: int) -> None:
        """`octets` are rows of `FindingRow`."""
        self._profile, self._start = profile, start
        self._events = events = np.frombuffer(octets, np.dtype(record(FindingRow)))
        rows = np.zeros(len(events), LIGHT)
        for name in ("rule", "answer", "packet", "flow", "sender"):
            rows[name] = events[name]
        rows["severity"] = _severities(rows, profile)
        rows["at"] = np.arange(len(events))
        self._rows = _sorted(_standing(rows))

    def groups(self, first: int | None) -> list[Group]:
        """As `labkit.analysis.finding.groups`, without making a finding."""
        found = []
        for rule, severity, places in self._grouped():
            found.append(Group(rule.code, rule.name, severity, len(places), [int(place) for place in places[:first]]))
        return sorted(found, key=lambda group: group.places or [0])

    def regraded(self, choice: Choice) -> "Findings":
        """As `labkit.analysis.finding.regraded`, without making a finding."""
        rows = self._rows.copy()
        for rule, severity, places in self._grouped():
            rows["severity"][places] = choice(rule.code, rule.name, severity) or 0
        regraded = copy(self)
        regraded._rows = rows[rows["severity"] > 0]
        return regraded

    def _grouped(self) -> Iterator[tuple[Rule, Severity, "np.ndarray[Any, Any]"]]:
        """Each rule and severity, and the places of their findings."""
        keys = self._rows["rule"] * SEVERITIES + self._rows["severity"]
        for key in np.unique(keys):
            yield shipped()[key // SEVERITIES], Severity(int(key % SEVERITIES)), np.flatnonzero(keys == key)

    def __len__(self) -> int:
        return len(self._rows)

    def _make(self, place: int) -> Finding:
        row = self._rows[place]
        event = record(FindingRow).from_buffer_copy(self._events[int(row["at"])].tobytes())
        rule = shipped()[event.rule]
        values = dict(zip(rule.numbers, event.values, strict=False))
        whole = rule.scope == Scope.FLOW
        names = [end_name(end) for end in ends_of(event)]
        evidence = Evidence(
            packet=None if whole else event.packet,
            time=None if whole else event.time - self._start,
            flow=event.flow,
            source=names[event.sender],
            destination=names[1 - event.sender],
            field=words()[event.field_name] if callable(rule.field) else rule.field,
            expected=None if rule.expected is None else event.expected,
            actual=None if rule.actual is None else event.actual,
            value=values.__getitem__,
            bases=(event.bases[0], event.bases[1]),
        )
        found, severity = finding(rule, event.answer, self._profile, evidence), Severity(int(row["severity"]))
        return found if found.severity == severity else replace(found, severity=severity)


def _standing(rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The rows that the verdict has, as `labkit.analysis.policy` decides. It is asked about rows that depend on others, or that
    others depend on; the rest stands."""
    rules = shipped()
    found = [rules[number] for number in np.unique(rows["rule"])]
    dependent = policy.dependent(found)
    summed = {rule.code for rule in found if rule.sums_up}
    asked = np.flatnonzero(np.array([rule.code in dependent for rule in rules])[rows["rule"]])
    _, place, count = np.unique(rows["packet"][asked], return_inverse=True, return_counts=True)
    lone = (rows["packet"][asked] > 0) & (count[place] == 1) & (rows["severity"][asked] < Severity.ERROR)
    asked = asked[~lone | np.array([rule.code in summed for rule in rules])[rows["rule"][asked]]]
    names = ("rule", "severity", "packet", "flow", "sender")
    events = policy.Events(*(rows[name][asked].tolist() for name in names))
    stands = np.ones(len(rows), bool)
    stands[asked] = False
    stands[asked[policy.standing(rules, events)]] = True
    standing: np.ndarray[Any, Any] = rows[stands]
    return standing


def _severities(rows: "np.ndarray[Any, Any]", profile: str) -> "np.ndarray[Any, Any]":
    """Each row's severity, as `Rule.severity_in` has it."""
    own = np.array([int(rule.severity_in(profile, 1)) for rule in shipped()])
    severities: np.ndarray[Any, Any] = np.where(rows["answer"] > 1, rows["answer"], own[rows["rule"]])
    return severities


def _sorted(rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """In the order of a verdict: by packets, what is about whole conversations last."""
    whole = np.array([rule.scope == Scope.FLOW for rule in shipped()])[rows["rule"]]
    codes = sorted({rule.code for rule in shipped()})
    places = np.array([codes.index(rule.code) for rule in shipped()])[rows["rule"]]
    order = np.lexsort((places, rows["flow"], rows["packet"], whole))
    ordered: np.ndarray[Any, Any] = rows[order]
    return ordered
