"""JUnit's XML, which CI servers show: a test suite for each capture, a test for each rule that it was judged by.

A rule that finds something at or above `--fail-on` fails, with all that it found as the text of its failure; what is
below that is the output of a test that passes. A capture that cannot be read is an error. The XML is pure ASCII, so that
it is valid in whatever encoding it is printed, and holds no character that XML has no room for.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from labkit.analysis.finding import Group
from labkit.analysis.verifier import Finding, Verdict
from labkit.i18n import printable
from labkit.report.formats import Options
from labkit.report.formats._plain import rules, sentence, unreadable


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:
    """The document, a suite at a time."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<testsuites name="labkit">'
    for judged in verdicts:
        yield from (_ascii(line) for line in _suite(judged, options))
    yield "</testsuites>"


def _suite(judged: Verdict, options: Options) -> Iterator[str]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in judged.findings:
        found[finding.code].append(finding)
    # A code is one test, whatever number of rules share it; nothing was judged where nothing could be read.
    names: dict[str, str] = {}
    for rule in sorted(rules(judged, options), key=lambda each: each.code) if judged.error is None else ():
        names[rule.code] = f"{names.get(rule.code, rule.code)} {rule.name}"
    for code, each in found.items():
        names.setdefault(code, f"{code} {each[0].name}")
    trouble = unreadable(judged)
    for group in judged.beyond:
        names.setdefault(group.code, f"{group.code} {group.name}")
    failed = {each.code for each in judged.findings if each.severity >= options.fail_on}
    failed |= {each.code for each in judged.beyond if each.severity >= options.fail_on}
    yield (
        f'  <testsuite name={_quoted(judged.path)} tests="{1 + len(names)}" failures="{len(failed)}" '
        f'errors="{int(trouble is not None)}" skipped="0">'
    )
    yield from _properties(judged)
    yield from _case(judged, "can be read", f"      <error message={_quoted(trouble)}/>" if trouble else "")
    for code, name in names.items():
        yield from _case(judged, name, _outcome(found.get(code, []), _counted(judged, code), code in failed))
    yield "  </testsuite>"


def _properties(judged: Verdict) -> Iterator[str]:
    yield "    <properties>"
    for name in ("profile", "packets", "segments", "flows"):
        yield f'      <property name="{name}" value={_quoted(str(getattr(judged, name)))}/>'
    for limit in judged.limits:
        yield f'      <property name="limit.{limit.kind}" value={_quoted(limit.message)}/>'
    if judged.damage is not None:
        yield f'      <property name="damage" value={_quoted(judged.damage.message)}/>'
    yield "    </properties>"


def _case(judged: Verdict, name: str, outcome: str) -> Iterator[str]:
    head = f"    <testcase classname={_quoted(judged.path)} name={_quoted(name)}"
    yield from (f"{head}>", outcome, "    </testcase>") if outcome else (f"{head}/>",)


def _counted(judged: Verdict, code: str) -> list[Group]:
    return [each for each in judged.beyond if each.code == code]


def _outcome(found: list[Finding], counted: list[Group], failed: bool) -> str:
    """What a rule found, as the element that stands in its test; nothing where it found nothing."""
    if not found and not counted:
        return ""
    said = [(each.severity, sentence(each), f" [{each.reference}]") for each in found]
    said += [(each.severity, f"{each.count} more were only counted", "") for each in counted]
    text = escape("\n".join(printable(f"{severity}: {message}{source}") for severity, message, source in said))
    if not failed:
        return f"      <system-out>{text}</system-out>"
    severity, message, _source = max(said, key=lambda each: each[0])
    return f'      <failure type="{severity}" message={_quoted(message)}>{text}</failure>'


def _quoted(text: str) -> str:
    """The text as an attribute's value."""
    return quoteattr(printable(text))


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode()
