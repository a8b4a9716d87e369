"""The findings of the compiled verifier: rows of numbers, and a `Finding` made from a row when it is read.

A capture with a million lost packets has a million notes. To make all of these would take longer than to verify the capture.
"""

from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from copy import copy
from ctypes import sizeof
from dataclasses import replace
from itertools import compress
from struct import Struct
from typing import Any

from labkit.analysis import policy
from labkit.analysis.finding import Choice, Evidence, Finding, Group, finding
from labkit.analysis.flows import end_name
from labkit.analysis.native.context import SEVERITIES, FindingRow
from labkit.analysis.native.flow_table import ends_of
from labkit.analysis.native.kernels import words
from labkit.analysis.native.lazy import LazySequence
from labkit.analysis.native.order import DEPENDS, SUMS
from labkit.analysis.native.records import record
from labkit.analysis.rule import Rule, Scope, Severity, shipped

ROW = sizeof(record(FindingRow))


class Findings(LazySequence[Finding]):
    """The findings of a capture in the order of packets, each made when it is read."""

    def __init__(
        self, rows: memoryview | bytes, order: "array[int]", grades: "array[int]", profile: str, start: int
    ) -> None:
        """`rows` are rows of `FindingRow`; `order` has the places of those that the verdict has, and `grades` their rules
        times SEVERITIES, plus their severities."""
        self._rows, self._order, self._grades = rows, order, grades
        self._profile, self._start = profile, start

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_rows": bytes(self._rows)}

    def groups(self, first: int | None) -> list[Group]:
        """As `labkit.analysis.finding.groups`, without making a finding."""
        found = []
        counts = Counter(self._grades)
        for rule, severity, grade in self._kinds():
            places = list(_places(self._grades, grade, counts[grade] if first is None else min(first, counts[grade])))
            found.append(Group(rule.code, rule.name, severity, counts[grade], places))
        return sorted(found, key=lambda group: group.places or [0])

    def regraded(self, choice: Choice) -> "Findings":
        """As `labkit.analysis.finding.regraded`, without making a finding."""
        chosen = {
            grade: grade // SEVERITIES * SEVERITIES + (choice(rule.code, rule.name, severity) or 0)
            for rule, severity, grade in self._kinds()
        }
        grades = array("i", map(chosen.__getitem__, self._grades))
        stands = {grade: grade % SEVERITIES > 0 for grade in chosen.values()}
        regraded = copy(self)
        regraded._order = array("I", compress(self._order, map(stands.__getitem__, grades)))
        regraded._grades = array("i", filter(stands.__getitem__, grades))
        return regraded

    def about(self, packets: Container[int]) -> Iterator[Finding]:
        """As `labkit.analysis.finding.about`, without making other findings."""
        of_flows = {grade for rule, _severity, grade in self._kinds() if rule.scope == Scope.FLOW}
        column: Any = record(FindingRow).packet
        packet = Struct("=q").unpack_from
        for place, (row, grade) in enumerate(zip(self._order, self._grades, strict=True)):
            if grade in of_flows or packet(self._rows, row * ROW + column.offset)[0] in packets:
                yield self[place]

    def _kinds(self) -> Iterator[tuple[Rule, Severity, int]]:
        """Each rule and severity, with their grade."""
        for grade in sorted(set(self._grades)):
            yield shipped()[grade // SEVERITIES], Severity(grade % SEVERITIES), grade

    def __len__(self) -> int:
        return len(self._order)

    def _make(self, place: int) -> Finding:
        event = record(FindingRow).from_buffer_copy(self._rows, self._order[place] * ROW)
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
        found = finding(rule, event.answer, self._profile, evidence)
        severity = Severity(self._grades[place] % SEVERITIES)
        return found if found.severity == severity else replace(found, severity=severity)


def _places(grades: "array[int]", grade: int, first: int) -> Iterator[int]:
    """The first places of a grade."""
    place = -1
    for _ in range(first):
        place = grades.index(grade, place + 1)
        yield place


def depends(grades: Iterable[int]) -> list[int]:
    """For each rule the bits of `labkit.analysis.native.order`, if these grades were found."""
    rules = shipped()
    found = [rules[number] for number in {grade // SEVERITIES for grade in set(grades)}]
    codes = policy.dependent(found)
    summed = {rule.code for rule in found if rule.sums_up}
    return [(rule.code in codes) * DEPENDS + (rule.code in summed) * SUMS for rule in rules]


def left_out(asked: Sequence[int], rows: Any, grades: "array[int]") -> frozenset[int]:
    """The places of those rows that the verdict has not, as `labkit.analysis.policy` decides. It is asked about rows that depend
    on others, or that others depend on; the rest stands."""
    events = policy.Events(
        [grades[place] // SEVERITIES for place in asked],
        [grades[place] % SEVERITIES for place in asked],
        [rows[place].packet for place in asked],
        [rows[place].flow for place in asked],
        [rows[place].sender for place in asked],
    )
    return frozenset(asked).difference(asked[place] for place in policy.standing(shipped(), events))
