"""Many findings: counted, grouped, selected and regraded. A sequence of them may be one that puts a finding into words only when
it is asked for it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard, runtime_checkable

from labkit.analysis.severity import Severity
from labkit.analysis.value import Value

if TYPE_CHECKING:
    from labkit.analysis.finding import Finding

MAX_NUMBERS = 4
"""Numbers in a finding's text: the compiled engine keeps this many for each finding, besides `expected` and `actual`."""

Choice = Callable[[str, str, Severity], Severity | None]
"""Return the severity to report for a rule's code, its name and a finding's severity; None leaves the finding out."""


class Outline(NamedTuple):
    """What is known of a finding without its words, under the names that `Finding` has for it."""

    code: str
    name: str
    severity: Severity
    packet: int | None
    flow: int
    field: str


def order_of(found: "Finding | Outline") -> tuple[bool, int, int, str]:
    """The place of a finding among others: by packets, what is about whole conversations last."""
    return found.packet is None, found.packet or 0, found.flow, found.code


@dataclass(slots=True, eq=False, repr=False)
class Group(Value):
    """The findings of one rule at one severity."""

    code: str
    name: str
    severity: Severity
    count: int = 0
    places: list[int] = field(default_factory=list)
    """The positions of the first of them among all findings."""

    __hash__ = None  # type: ignore[assignment]  # they are counted up


def groups(findings: "Sequence[Finding]", first: int | None) -> list[Group]:
    """Group the findings by rule and severity, in the order of each group's first finding.

    Each group has the places of its `first` findings (None: of all). A sequence that builds its findings lazily has a method
    `groups` that builds none.
    """
    if is_grouped(findings):
        return findings.groups(first)
    found: dict[tuple[str, str, Severity], Group] = {}
    for place, each in enumerate(findings):
        key = each.code, each.name, each.severity
        group = found.setdefault(key, Group(*key))
        group.count += 1
        if first is None or group.count <= first:
            group.places.append(place)
    return list(found.values())


def regraded(findings: "Sequence[Finding]", choice: Choice) -> "Sequence[Finding]":
    """Give each finding the severity that `choice` returns for it, and leave out those for which it returns None.

    A consequence keeps its severity, and is left out with its cause.
    """
    if is_grouped(findings):
        return findings.regraded(choice)
    chosen = [choice(each.code, each.name, each.severity) for each in findings]
    kept = [
        place
        for place, each in enumerate(findings)
        if chosen[place] is not None and (each.caused_by is None or chosen[each.caused_by] is not None)
    ]
    places = {place: at for at, place in enumerate(kept)}
    found = []
    for place in kept:
        each, severity = findings[place], chosen[place]
        if each.caused_by is not None:
            each = replace(each, caused_by=places[each.caused_by])
        elif severity is not None and severity != each.severity:
            each = replace(each, severity=severity)
        found.append(each)
    return found


def outlines(findings: "Sequence[Finding]") -> "Iterable[Finding | Outline]":
    """All findings; without words where that takes less."""
    return findings.outlines() if is_grouped(findings) else findings


def selected(findings: "Sequence[Finding]", places: Sequence[int]) -> "Sequence[Finding]":
    """The findings at some places, in their order. A consequence stays without its cause, if that is not among them."""
    if len(places) == len(findings):
        return findings
    if is_grouped(findings):
        return findings.selected(places)
    at = {place: number for number, place in enumerate(places)}
    found = map(findings.__getitem__, places)
    return [each if each.caused_by is None else replace(each, caused_by=at.get(each.caused_by)) for each in found]


def changed(findings: "Sequence[Finding]", change: "Callable[[Finding], Finding]") -> "Sequence[Finding]":
    """All findings after a change of their words."""
    return findings.changed(change) if is_grouped(findings) else list(map(change, findings))


def consequences(findings: "Sequence[Finding]") -> dict[int, list[int]]:
    """The places of the consequences of each mistake, by the place of the mistake."""
    found: dict[int, list[int]] = {}
    causes = findings.causes() if is_grouped(findings) else enumerate(each.caused_by for each in findings)
    for place, cause in causes:
        if cause is not None:
            found.setdefault(cause, []).append(place)
    return found


@runtime_checkable
class Grouped(Protocol):
    """A sequence of findings that groups, regrades and selects without building them: each method does what the function of its
    name does."""

    def groups(self, first: int | None) -> list[Group]:
        """Group the findings."""

    def regraded(self, choice: Choice) -> "Sequence[Finding]":
        """Give each finding a severity."""

    def selected(self, places: Sequence[int]) -> "Sequence[Finding]":
        """Select findings."""

    def changed(self, change: "Callable[[Finding], Finding]") -> "Sequence[Finding]":
        """Change their words."""

    def causes(self) -> Iterable[tuple[int, int | None]]:
        """The places of findings that may be consequences, each with the place of its cause."""

    def outlines(self) -> Iterable[Outline]:
        """What is known of all findings without words."""

    def merged(
        self, places: Sequence[int], soft: Collection[int], others: "Sequence[tuple[Finding, int | None]]"
    ) -> "Sequence[Finding]":
        """The findings at some places, those at the places `soft` after `softened`, and `others` between them: in their order,
        each with the number of its cause among them."""


def is_grouped(findings: "Sequence[Finding]") -> TypeGuard[Grouped]:
    """Whether a sequence has the methods of `Grouped`. A list, which has not, is not asked for each of them."""
    return not isinstance(findings, list) and isinstance(findings, Grouped)


def tally(findings: "Sequence[Finding]", beyond: Iterable[Group] = ()) -> Counter[Severity]:
    """Count the findings of each severity, those in `beyond` included."""
    count: Counter[Severity] = Counter()
    for group in (*groups(findings, 0), *beyond):
        count[group.severity] += group.count
    return count
