"""JUnit XML for CI servers: a test suite for each capture, a test case for each rule that it was judged by.

A test case fails if its rule found something at or above `--fail-on`; the failure's text lists all findings. Lesser findings are
the output of a test case that passes. An unreadable capture is an error. `time` is in seconds. The XML is pure ASCII, so that it
is valid in any encoding, and holds no character that XML forbids.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from time import monotonic
from xml.sax.saxutils import escape, quoteattr

from labkit.analysis.finding import Finding, one_line, place_of
from labkit.analysis.findings import Group
from labkit.analysis.rule import Scope
from labkit.analysis.verdict import Verdict
from labkit.i18n import _, printable
from labkit.report.formats import ReportOptions
from labkit.report.formats._judged import COMPLETENESS, completeness, limit_text
from labkit.report.formats._records import read_error, rules_of


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the XML, one suite at a time."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<testsuites name="labkit">'
    begin = monotonic()
    for verdict in verdicts:
        yield from (_ascii(line) for line in _suite(verdict, options, monotonic() - begin))
        begin = monotonic()
    yield "</testsuites>"


def _suite(verdict: Verdict, options: ReportOptions, seconds: float) -> Iterator[str]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in verdict.findings:
        found[finding.code].append(finding)
    # Rules that share a code are one test case. No rule judged an unreadable capture.
    names: dict[str, str] = {}
    for rule in (
        sorted(rules_of(verdict, options), key=lambda each: (each.code, each.scope == Scope.LEDGER))
        if verdict.error is None
        else ()
    ):
        # The name of a test case stays: rules about whole conversations add theirs only to a code that has no other.
        if rule.scope != Scope.LEDGER or rule.code not in names:
            names[rule.code] = f"{names.get(rule.code, rule.code)} {rule.name}"
    for code, each in found.items():
        names.setdefault(code, f"{code} {each[0].name}")
    error = read_error(verdict)
    for group in verdict.beyond:
        names.setdefault(group.code, f"{group.code} {group.name}")
    failed = {each.code for each in verdict.findings if each.severity >= options.fail_on}
    failed |= {each.code for each in verdict.beyond if each.severity >= options.fail_on}
    limits, failing, skipped = _limits(verdict, options)
    yield (
        f'  <testsuite name={_quoted(verdict.path)} tests="{1 + bool(limits) + len(names)}" '
        f'failures="{failing + len(failed)}" errors="{int(error is not None)}" skipped="{int(skipped)}" time="{seconds:.3f}">'
    )
    yield from _properties(verdict, options)
    # One pass judges by all rules: its time is that of the first test case.
    yield from _case(verdict, "can be read", f"      <error message={_quoted(error)}/>" if error else "", seconds)
    if limits:
        yield from _case(verdict, "limits of the capture", limits)
    for code, name in names.items():
        lines = [(each, _cause(each, verdict)) for each in found.get(code, [])]
        yield from _case(verdict, name, _outcome(lines, _counted(verdict, code), code in failed))
    yield "  </testsuite>"


def _limits(verdict: Verdict, options: ReportOptions) -> tuple[str, bool, bool]:
    """The element of the test case about the capture's limits, or ""; whether it fails, and whether it was skipped.

    It fails for limits of the kinds in `--strict`, and if nothing was judged; with `--allow-empty` the latter is skipped.
    """
    if not verdict.limits:
        return "", False, False
    text = "\n".join(printable(limit_text(limit, verdict)) for limit in verdict.limits)
    outcome = verdict.outcome(options.fail_on)
    empty = outcome == "not-judged"
    first = next(iter(verdict.failing_limits()), verdict.limits[0])
    if empty and options.allow_empty:
        return f"      <skipped message={_quoted(first.message)}/>", False, True
    if empty or verdict.failing_limits():
        kind = "not-judged" if empty else first.kind
        return f'      <failure type="{kind}" message={_quoted(first.message)}>{escape(text)}</failure>', True, False
    return f"      <system-out>{escape(text)}</system-out>", False, False


def _properties(verdict: Verdict, options: ReportOptions) -> Iterator[str]:
    yield "    <properties>"
    yield f'      <property name="verdict" value="{verdict.outcome(options.fail_on)}"/>'
    for name in ("profile", "packets", "segments", "other", "not_read", "flows", "known"):
        yield f'      <property name="{name}" value={_quoted(str(getattr(verdict, name)))}/>'
    if verdict.up_to is not None:
        yield f'      <property name="up_to" value="{verdict.up_to}"/>'
    if verdict.error is None:
        taken, why = completeness(verdict)
        yield f'      <property name="completeness" value={_quoted(f"{taken}: {_(COMPLETENESS[why])}")}/>'
    if options.config_line:
        yield f'      <property name="configuration" value={_quoted(options.config_line)}/>'
    for limit in verdict.limits:
        yield f'      <property name="limit.{limit.kind}" value={_quoted(limit.message)}/>'
    if verdict.damage is not None:
        yield f'      <property name="damage" value={_quoted(verdict.damage.message)}/>'
    yield "    </properties>"


def _case(verdict: Verdict, name: str, outcome: str, seconds: float = 0) -> Iterator[str]:
    head = f'    <testcase classname={_quoted(verdict.path)} name={_quoted(name)} time="{seconds:.3f}"'
    yield from (f"{head}>", outcome, "    </testcase>") if outcome else (f"{head}/>",)


def _counted(verdict: Verdict, code: str) -> list[Group]:
    return [each for each in verdict.beyond if each.code == code]


def _cause(found: Finding, verdict: Verdict) -> str:
    """The mistake that a finding follows from; empty if it is a mistake of its own."""
    if found.caused_by is None:
        return ""
    cause = verdict.findings[found.caused_by]
    return _(" [caused by finding {n}: {code}, {place}]").format(
        n=found.caused_by, code=cause.code, place=place_of(cause)
    )


def _outcome(found: list[tuple[Finding, str]], counted: list[Group], failed: bool) -> str:
    """The element that a rule's findings put into its test case; empty if it found nothing."""
    if not found and not counted:
        return ""
    lines = [(each.severity, one_line(each), f" [{each.reference}]{cause}") for each, cause in found]
    lines += [(each.severity, _("{n} more were only counted").format(n=each.count), "") for each in counted]
    text = escape("\n".join(printable(f"{severity}: {message}{source}") for severity, message, source in lines))
    if not failed:
        return f"      <system-out>{text}</system-out>"
    severity, message, _source = max(lines, key=lambda each: each[0])
    return f'      <failure type="{severity}" message={_quoted(message)}>{text}</failure>'


def _quoted(text: str) -> str:
    return quoteattr(printable(text))


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode()
