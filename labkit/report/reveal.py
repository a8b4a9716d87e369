"""Hide right values from a verdict, for teachers who let students try again.

Every format, picture and page then shows what is left: a hidden number is absent from the verdict itself, not merely invisible.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from labkit.analysis.findings import changed
from labkit.analysis.verdict import Verdict
from labkit.i18n import _, joined

if TYPE_CHECKING:
    from labkit.analysis.finding import Finding

NONE, ACTUAL, FULL = "none", "actual", "full"

LEVELS = (NONE, ACTUAL, FULL)
"""none: which packet breaks which rule; actual: also the field and its value; full: also what would be right, and why."""


def reveal(verdict: Verdict, level: str) -> Verdict:
    """The verdict without what a level hides; its findings, severities and outcome stay the same."""
    if level == FULL:
        return verdict
    return replace(verdict, findings=changed(verdict.findings, partial(hidden, level=level)))


def hidden(finding: "Finding", level: str) -> "Finding":
    """A finding without what would be right and, at the level NONE, without the field and its value."""
    from labkit.analysis.finding import both  # most captures have no finding

    shows = level == ACTUAL and finding.actual is not None and bool(finding.field)
    if shows:
        raw = finding.actual or 0
        value = both(raw if finding.actual_relative is None else finding.actual_relative, raw)
        text = joined(
            _("{field} {value} breaks the rule {name}").format(field=finding.field, value=value, name=finding.name)
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
