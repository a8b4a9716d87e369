"""Markdown (GitHub's dialect), for the summary page of a CI job: a table of the captures, and one of each capture's findings.

Names and messages may come from a capture: whatever Markdown or HTML could take for markup is escaped.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from labkit.analysis.finding import Finding, place_of, right_value
from labkit.analysis.findings import tally
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.i18n import _, ngettext, printable
from labkit.report.formats import ReportOptions
from labkit.report.formats._judged import limit_text
from labkit.report.formats.text import WORDS

MAX_SHOWN = 50
"""Findings of one capture that are listed; GitHub's page takes a megabyte."""

MAX_DETAILED = 100
"""Captures whose findings are listed."""

MARKS = {"pass": "✅", "fail": "❌", "not-judged": "⚠️", "unreadable": "⚠️"}


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the table of all captures, and then the findings of those that fail."""
    yield "### labkit"
    yield ""
    if options.config_line:
        yield _("configuration: {file}").format(file=escaped(options.config_line))
        yield ""
    yield f"| {_('verdict')} | {_('capture')} | {_('errors')} | {_('warnings')} | {_('packets')} | {_('remarks')} |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    details: list[list[str]] = []
    left = 0
    outcomes: Counter[str] = Counter()
    for verdict in verdicts:
        outcomes[verdict.outcome(options.fail_on)] += 1
        yield _row(verdict, options)
        found = _findings(verdict, options)
        if found and len(details) < MAX_DETAILED:
            details.append(found)
        else:
            left += bool(found)
    yield ""
    captures = ngettext("{n:,} capture", "{n:,} captures", outcomes.total()).format(n=outcomes.total())
    sums = _(", ").join(f"{outcomes[outcome]:,} {_(word)}" for outcome, word in WORDS.items() if outcomes[outcome])
    yield f"**{captures}{_(': ') if sums else ''}{sums}**"
    for found in details:
        yield ""
        yield from found
    if left:
        yield ""
        yield ngettext("{n} more capture has findings.", "{n} more captures have findings.", left).format(n=left)


def _row(verdict: Verdict, options: ReportOptions) -> str:
    outcome = verdict.outcome(options.fail_on)
    count = tally(verdict.findings, verdict.beyond)
    remarks = [verdict.error or "", *(limit_text(limit, verdict) for limit in verdict.limits)]
    if verdict.known:
        known = ngettext("{n:,} finding in the baseline", "{n:,} findings in the baseline", verdict.known)
        remarks.append(known.format(n=verdict.known))
    cells = [
        f"{MARKS[outcome]} {_(WORDS[outcome])}",
        escaped(verdict.path),
        f"{count[Severity.ERROR]:,}",
        f"{count[Severity.WARNING]:,}",
        f"{verdict.packets:,}",
        escaped(_("; ").join(filter(None, remarks))),
    ]
    return f"| {' | '.join(cells)} |"


def _findings(verdict: Verdict, options: ReportOptions) -> list[str]:
    """The lines of a capture's findings, without notes; empty if it has none."""
    least = min(Severity.WARNING, options.fail_on)
    found = [each for each in verdict.findings if each.severity >= least]
    if not found:
        return []
    lines = [
        "<details>",
        f"<summary>{escaped(verdict.path)}</summary>",
        "",
        f"| {_('rule')} | {_('where')} | {_('what')} | {_('should be')} |",
        "| --- | --- | --- | --- |",
        *(_finding(each) for each in found[:MAX_SHOWN]),
    ]
    more = len(found) - MAX_SHOWN
    if more > 0:
        lines += ["", ngettext("{n:,} more finding", "{n:,} more findings", more).format(n=more)]
    return [*lines, "", "</details>"]


def _finding(finding: Finding) -> str:
    cells = [
        f"{_(str(finding.severity))} {finding.code} {finding.name}",
        f"{place_of(finding)}, {finding.source} → {finding.destination}",
        finding.message,
        right_value(finding),
    ]
    return f"| {' | '.join(map(escaped, cells))} |"


def escaped(text: str) -> str:
    """A text that no Markdown reader takes for markup, on one line."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\](){}#!|~$])", r"\\\1", text)
    # A host's name or a user's would become a link.
    return re.sub(r"(?<=\w)@(?=\w)|(?<=:)//|(?<=www)\.", lambda match: f"&#{ord(match[0][0])};{match[0][1:]}", text)
