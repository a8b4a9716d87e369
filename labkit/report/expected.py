"""Expected findings: a capture that is faulty on purpose must have these findings, and no other.

Beside a capture `name.pcap`, the file `name.pcap.labkit.toml` lists them. Its other keys are those of a labkit.toml:

    fail-on = "warning"
    verdict = "fail"              # the expected verdict; by default, that the capture was judged

    [[finding]]
    code = "ACK01"                # the keys are those of a finding in the JSON
    packet = 6
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labkit.analysis.finding import Finding, one_line
from labkit.analysis.report_config import ReportConfig, config_of, read, table_of
from labkit.analysis.verdict import Verdict
from labkit.errors import UsageError
from labkit.i18n import _, listed, nearest, printable
from labkit.report.formats._records import finding_record

SUFFIX = ".labkit.toml"
"""What follows the capture's name in the name of the file."""

OUTCOMES = ("pass", "fail", "not-judged", "unreadable")

FINDING_KEYS = frozenset((*Finding.__dataclass_fields__, "time_exact"))

Expected = Mapping[str, object]
"""Some keys of a finding with their values, as the JSON has them."""


@dataclass(frozen=True)
class Expectation:
    """What the verdict on a capture must be."""

    config: ReportConfig = field(default_factory=ReportConfig)
    findings: tuple[Expected, ...] = ()
    outcome: str | None = None
    """The verdict in one word; None: `pass` or `fail`, as the findings have it."""


def load(path: Path) -> Expectation:
    """Read a file of expected findings. UsageError, with the file and the key, for what does not fit."""
    table = dict(table_of(path, read(path)))
    name = printable(str(path))
    findings = table.pop("finding", [])
    outcome = table.pop("verdict", None)
    if not isinstance(findings, list) or not all(isinstance(each, dict) for each in findings):
        raise UsageError(_("{file}: finding: must be tables, each below a line [[finding]]").format(file=name))
    if outcome is not None and outcome not in OUTCOMES:
        text = _("{file}: verdict: must be one of {known}, not {value}")
        raise UsageError(text.format(file=name, known=listed(OUTCOMES), value=printable(repr(outcome))[:60]))
    try:
        check(findings)
    except UsageError as error:
        raise UsageError(f"{name}: finding: {error}") from None
    return Expectation(config_of(table, str(path)), tuple(findings), None if outcome is None else str(outcome))


def check(findings: Sequence[Expected]) -> None:
    """UsageError for a key that no finding has, and for a finding without keys."""
    for each in findings:
        if not each:
            raise UsageError(_("a finding without keys would fit any other; expected at least its code"))
        for key in each:
            if key not in FINDING_KEYS:
                raise UsageError(
                    _("a finding has no key '{key}'").format(key=printable(key)) + nearest(key, FINDING_KEYS)
                )


def differences(verdict: Verdict, findings: Sequence[Expected], outcome: str | None = None) -> list[str]:
    """What differs from the expectation, one line each; empty if nothing does.

    Each expected finding needs one finding of its own. A finding at or above `fail_on` that none expects is a difference.
    """
    lines = []
    real = verdict.outcome()
    if real != outcome and (outcome is not None or real not in ("pass", "fail")):
        lines.append(_("the verdict is {word}, not {expected}").format(word=real, expected=outcome or "pass"))
    lines += [_("the capture has the limit {kind}").format(kind=each.kind) for each in verdict.failing_limits()]
    left = [(each, finding_record(each)) for each in verdict.findings]
    # The one that says most chooses first.
    for wanted in sorted(findings, key=len, reverse=True):
        place = next((at for at, (_each, record) in enumerate(left) if _fits(record, wanted)), None)
        if place is None:
            shown = listed(f"{key} = {value!r}" for key, value in wanted.items())
            lines.append(_("expected, but not found: {finding}").format(finding=printable(shown)))
        else:
            del left[place]
    for each, _record in left:
        if each.severity >= verdict.fail_on:
            lines.append(_("found, but not expected: {finding}").format(finding=f"{each.code}: {one_line(each)}"))
    return lines


def _fits(record: Mapping[str, object], wanted: Expected) -> bool:
    return all(record[key] == value for key, value in wanted.items())
