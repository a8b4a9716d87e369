"""Hide right values from a verdict, for teachers who let students try again.

Every format, picture and page then shows what is left: a hidden number is absent from the verdict itself, not merely invisible.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from labkit.analysis.finding import Choice, Finding, Group, Grouped, about, groups, regraded
from labkit.analysis.native.lazy import LazySequence
from labkit.analysis.verifier import Verdict
from labkit.i18n import _

NONE, ACTUAL, FULL = "none", "actual", "full"

LEVELS = (NONE, ACTUAL, FULL)
"""none: which packet breaks which rule; actual: also the field and its value; full: also what would be right, and why."""


def reveal(verdict: Verdict, level: str) -> Verdict:
    """The verdict without what a level hides; its findings, severities and outcome stay the same."""
    if level == FULL:
        return verdict
    return replace(verdict, findings=_hidden(verdict.findings, level))


def _hidden(findings: Sequence[Finding], level: str) -> Sequence[Finding]:
    return Hidden(findings, level) if isinstance(findings, Grouped) else [hidden(each, level) for each in findings]


class Hidden(LazySequence[Finding]):
    """Findings that are made when they are read, without what a level hides."""

    def __init__(self, findings: Sequence[Finding], level: str) -> None:
        self._findings, self._level = findings, level

    def __len__(self) -> int:
        return len(self._findings)

    def _make(self, place: int) -> Finding:
        return hidden(self._findings[place], self._level)

    def groups(self, first: int | None) -> list[Group]:
        """As `labkit.analysis.finding.groups`."""
        return groups(self._findings, first)

    def regraded(self, choice: Choice) -> Sequence[Finding]:
        """As `labkit.analysis.finding.regraded`."""
        return _hidden(regraded(self._findings, choice), self._level)

    def about(self, packets: Container[int]) -> Iterator[Finding]:
        """As `labkit.analysis.finding.about`."""
        return (hidden(each, self._level) for each in about(self._findings, packets))


def hidden(finding: Finding, level: str) -> Finding:
    """A finding without what would be right and, at the level NONE, without the field and its value."""
    shows = level == ACTUAL and finding.actual is not None and bool(finding.field)
    if shows:
        relative = finding.actual_relative
        raw = "" if relative is None or relative == finding.actual else f" (raw {finding.actual})"
        value = finding.actual if relative is None else relative
        text = _("{field} {value} breaks the rule {name}").format(
            field=finding.field, value=f"{value}{raw}", name=finding.name
        )
    else:
        text = _("this breaks the rule {name}").format(name=finding.name)
    return replace(
        finding,
        message=text,
        field=finding.field if shows else "",
        expected=None,
        expected_relative=None,
        actual=finding.actual if shows else None,
        actual_relative=finding.actual_relative if shows else None,
        should_be="",
        receiver="",
        mend="",
    )
