"""The findings of the compiled verifier: rows of numbers, and a `Finding` made from a row when it is read.

A capture with a million lost packets has a million notes. To make all of these would take longer than to verify the capture.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from ctypes import sizeof
from dataclasses import replace
from functools import cached_property
from itertools import compress
from typing import Any

from labkit.analysis import policy
from labkit.analysis.catalogue import shipped
from labkit.analysis.finding import Evidence, Finding, finding, softened
from labkit.analysis.findings import Choice, Group, Outline, order_of
from labkit.analysis.flows import end_name
from labkit.analysis.native.context import SEVERITIES, FindingRow
from labkit.analysis.native.flow_table import ends_of
from labkit.analysis.native.lazy import LazySequence
from labkit.analysis.native.order import DEPENDS, FOUND, SUMS
from labkit.analysis.native.records import record
from labkit.analysis.rule import Rule
from labkit.analysis.severity import Severity

ROW = sizeof(record(FindingRow))

MAX_NAMES = 4096
"""Conversations whose ends are kept as text."""


class Findings(LazySequence[Finding]):
    """The findings of a capture in the order of packets, each made when it is read."""

    def __init__(
        self,
        rows: memoryview | bytes,
        order: "array[int]",
        grades: "array[int]",
        counts: Mapping[int, int],
        profile: str,
        start: int,
    ) -> None:
        """`rows` are rows of `FindingRow`; `order` has the places of those that the verdict has, and `grades` their rules
        times SEVERITIES, plus their severities; `counts` has the number of findings of each grade."""
        self._rows, self._order, self._grades, self._counts = rows, order, grades, counts
        self._profile, self._start = profile, start
        self._count = len(rows) // ROW
        self._soft: frozenset[int] = frozenset()
        """Rows of findings that are `softened`."""
        self._others: list[tuple[Finding, int | None]] = []
        """Findings without a row, with the numbers of their causes among them. Their numbers go on from the rows'."""
        self._names: dict[int, list[str]] = {}
        """The ends of conversations."""
        self._changes: tuple[Callable[[Finding], Finding], ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_rows": bytes(self._rows)}

    def groups(self, first: int | None) -> list[Group]:
        """As `labkit.analysis.findings.groups`, without making a finding."""
        found = []
        for rule, severity, grade in self._kinds():
            count = self._counts[grade]
            places = list(_places(self._grades, grade, count if first is None else min(first, count)))
            found.append(Group(rule.code, rule.name, severity, count, places))
        return sorted(found, key=lambda group: group.places or [0])

    def regraded(self, choice: Choice) -> "Findings":
        """As `labkit.analysis.findings.regraded`, without making a finding."""
        chosen = {
            grade: grade // SEVERITIES * SEVERITIES + (choice(rule.code, rule.name, severity) or 0)
            for rule, severity, grade in self._kinds()
        }
        if all(grade == other for grade, other in chosen.items()):
            return self
        grades = array("i", map(chosen.__getitem__, self._grades))
        for place, cause in self.causes():
            if cause is not None and grades[place] % SEVERITIES:
                stays = chosen[self._grades[cause]] % SEVERITIES > 0
                grades[place] = self._grades[place] if stays else grades[place] // SEVERITIES * SEVERITIES
        stands = [grade % SEVERITIES > 0 for grade in grades]
        return self._with(compress(self._order, stands), compress(grades, stands))

    def selected(self, places: Sequence[int]) -> "Findings":
        """As `labkit.analysis.findings.selected`, without making a finding."""
        return self._with(map(self._order.__getitem__, places), map(self._grades.__getitem__, places))

    def changed(self, change: Callable[[Finding], Finding]) -> "Findings":
        """As `labkit.analysis.findings.changed`: each is changed when it is made."""
        made = copy(self)
        made._changes = (*self._changes, change)
        return made

    def causes(self) -> Iterator[tuple[int, int | None]]:
        """The places of findings without a row, each with that of its cause."""
        return ((place, self._cause(number)) for number, place in self._places.items())

    def outlines(self) -> Iterator[Outline]:
        """All findings without words."""
        return map(self._outline, range(len(self)))

    def merged(
        self, places: Sequence[int], soft: Collection[int], others: Sequence[tuple[Finding, int | None]]
    ) -> "Findings":
        """As `Grouped.merged` says. These findings have a row each."""
        numbers = {(rule.code, rule.name): number for number, rule in reversed(list(enumerate(shipped())))}
        order, grades = array("I"), array("i")
        at = 0
        for number, (found, _cause) in enumerate(others, self._count):
            after = bisect_right(places, order_of(found), at, key=lambda place: order_of(self._outline(place)))
            order.extend(map(self._order.__getitem__, places[at:after]))
            grades.extend(self._grades[place] - (place in soft) for place in places[at:after])
            order.append(number)
            grades.append(numbers[found.code, found.name] * SEVERITIES + found.severity)
            at = after
        order.extend(map(self._order.__getitem__, places[at:]))
        grades.extend(self._grades[place] - (place in soft) for place in places[at:])
        made = self._with(order, grades)
        made._soft = frozenset(map(self._order.__getitem__, soft))
        made._others = list(others)
        return made

    def _with(self, order: Iterable[int], grades: Iterable[int]) -> "Findings":
        """Other findings of the same rows."""
        made = copy(self)
        vars(made).pop("_places", None)
        made._order, made._grades = array("I", order), array("i", grades)
        made._counts = Counter(made._grades)
        return made

    @cached_property
    def _places(self) -> dict[int, int]:
        """The places of the findings without a row, by their numbers."""
        return (
            {number: place for place, number in enumerate(self._order) if number >= self._count} if self._others else {}
        )

    def _cause(self, number: int) -> int | None:
        """The place of the cause of a finding without a row."""
        cause = self._others[number - self._count][1]
        return None if cause is None else self._places.get(self._count + cause)

    def _kinds(self) -> Iterator[tuple[Rule, Severity, int]]:
        """Each rule and severity, with their grade."""
        for grade in sorted(self._counts):
            yield shipped()[grade // SEVERITIES], Severity(grade % SEVERITIES), grade

    def __len__(self) -> int:
        return len(self._order)

    def _outline(self, place: int) -> Outline:
        number, severity = self._order[place], Severity(self._grades[place] % SEVERITIES)
        if number >= self._count:
            found = self._others[number - self._count][0]
            return Outline(found.code, found.name, severity, found.packet, found.flow, found.field)
        event = self._row(number)
        rule = shipped()[event.rule]
        return Outline(rule.code, rule.name, severity, event.packet or None, event.flow, _field(rule, event))

    def _row(self, number: int) -> Any:
        return record(FindingRow).from_buffer_copy(self._rows, number * ROW)

    def _make(self, place: int) -> Finding:
        number = self._order[place]
        if number < self._count:
            found = self._of_row(number)
            found = softened(found) if number in self._soft else found
        else:
            found = replace(self._others[number - self._count][0], caused_by=self._cause(number))
        severity = Severity(self._grades[place] % SEVERITIES)
        found = found if found.severity == severity else replace(found, severity=severity)
        for change in self._changes:
            found = change(found)
        return found

    def _of_row(self, number: int) -> Finding:
        event = self._row(number)
        rule = shipped()[event.rule]
        values = dict(zip(rule.numbers, event.values, strict=False))
        names = self._names.get(event.flow)
        if names is None:
            if len(self._names) == MAX_NAMES:
                self._names.clear()
            names = self._names[event.flow] = [end_name(end) for end in ends_of(event)]
        evidence = Evidence(
            packet=event.packet or None,
            time=event.time - self._start if event.packet else None,
            flow=event.flow,
            source=names[event.sender],
            destination=names[1 - event.sender],
            field=_field(rule, event),
            expected=None if rule.expected is None else event.expected,
            actual=None if rule.actual is None else event.actual,
            value=values.__getitem__,
            bases=(event.bases[0], event.bases[1]),
        )
        return finding(rule, event.answer, self._profile, evidence)


def _field(rule: Rule, event: Any) -> str:
    if not callable(rule.field):
        return rule.field
    from labkit.analysis.native.kernels import words  # which needs what translates the rules

    name: str = words()[event.field_name]
    return name


def _places(grades: "array[int]", grade: int, first: int) -> Iterator[int]:
    """The first places of a grade."""
    place = -1
    for _ in range(first):
        place = grades.index(grade, place + 1)
        yield place


def depends(found: Sequence[int]) -> list[int]:
    """For each rule the bits of `labkit.analysis.native.order`; `found` has the first of them."""
    rules = list(compress(shipped(), found))
    codes = policy.dependent(rules)
    summed = {rule.code for rule in rules if rule.sums_up}
    return [
        bool(each) * FOUND + (rule.code in codes) * DEPENDS + (rule.code in summed) * SUMS
        for rule, each in zip(shipped(), found, strict=True)
    ]


def left_out(asked: Sequence[int], rows: Any, grades: Any) -> frozenset[int]:
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
