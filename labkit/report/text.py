"""Text for people: each finding with the segments around it, the sum that gives the right number, what a receiver
would do, and where to read on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import click

from labkit.i18n import _, ngettext, printable
from labkit.lines import segment_text
from labkit.report import Options
from labkit.report._context import Context, because, gather
from labkit.rule import Severity
from labkit.verifier import Finding, Verdict

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}

COLUMNS = {"seq": "seq=", "ack": "ack=", "len": "len=", "window": "win=", "flags": ""}
"""How a field begins in the line of a segment."""


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:
    """The lines, capture after capture. A capture that cannot be read has none: that is no result but an error."""
    first = True
    for verdict in verdicts:
        if verdict.error is not None:
            continue
        if not first:
            yield ""
        first = False
        yield from _capture(verdict, options)


def _capture(verdict: Verdict, options: Options) -> Iterator[str]:
    yield _headline(verdict, options)
    if verdict.damage:
        yield "  " + _("note: {message}; judged up to there").format(message=printable(verdict.damage.message))
    if not verdict.segments:
        yield "  " + _("note: there is no TCP segment in this capture: nothing was judged")
    full, counted = _sorted(verdict.findings, options)
    contexts = gather(verdict.path, full)
    for finding in full:
        yield ""
        yield from _finding(finding, contexts.get(finding.packet or 0))
    if counted:
        yield ""
        yield from _summary(counted)


def _headline(verdict: Verdict, options: Options) -> str:
    path = click.style(printable(verdict.path), bold=True)
    passed = verdict.passes(options.fail_on)
    word = click.style(_("PASS"), fg="green", bold=True) if passed else click.style(_("FAIL"), fg="red", bold=True)
    facts = [
        ngettext("{n} packet", "{n} packets", verdict.packets).format(n=verdict.packets),
        ngettext("{n} conversation", "{n} conversations", verdict.flows).format(n=verdict.flows),
        _("profile {name}").format(name=verdict.profile),
    ]
    return f"{path}: {word}  {_counts(verdict.findings)} ({', '.join(facts)})"


def _counts(findings: list[Finding]) -> str:
    count = Counter(finding.severity for finding in findings)
    errors, warnings, notes = (count[each] for each in (Severity.ERROR, Severity.WARNING, Severity.NOTE))
    words = [
        ngettext("{n} error", "{n} errors", errors).format(n=errors) if errors else "",
        ngettext("{n} warning", "{n} warnings", warnings).format(n=warnings) if warnings else "",
        ngettext("{n} note", "{n} notes", notes).format(n=notes) if notes else "",
    ]
    return ", ".join(filter(None, words)) or _("nothing found")


def _sorted(findings: list[Finding], options: Options) -> tuple[list[Finding], dict[str, list[Finding]]]:
    """What is shown in full, and what is only counted, by code."""
    full: list[Finding] = []
    counted: dict[str, list[Finding]] = defaultdict(list)
    shown: Counter[str] = Counter()
    for finding in findings:
        brief = finding.severity == Severity.NOTE and not options.verbose
        if brief or (options.most and shown[finding.code] >= options.most):
            counted[finding.code].append(finding)
        else:
            shown[finding.code] += 1
            full.append(finding)
    return full, counted


def _finding(finding: Finding, context: Context | None) -> Iterator[str]:
    severity = click.style(f"{_(str(finding.severity))}[{finding.code}]", fg=COLOURS[finding.severity], bold=True)
    where = _("the whole conversation") if finding.packet is None else _("packet {n}").format(n=finding.packet)
    ends = f"{finding.source} → {finding.destination}"
    yield f"{severity} {click.style(finding.name, bold=True)}: {where}, {ends}"
    if context is not None:
        yield from _around(finding, context)
    yield _labelled(_("what"), finding.message)
    reason = because(finding, context) if context is not None else None
    if reason is not None:
        row, total = reason
        yield _labelled(_("because"), _("{total}, by packet {n}").format(total=total, n=row.number))
    if finding.receiver:
        yield _labelled(_("receiver"), finding.receiver)
    source = f"{finding.reference}; " if finding.reference else ""
    yield _labelled(_("read on"), f"{source}labkit explain {finding.code}")


def _around(finding: Finding, context: Context) -> Iterator[str]:
    for row in context.rows:
        here = row.number == finding.packet
        lead = f"{'>' if here else ' '} {row.number:>5}  "
        text = segment_text(row, window=finding.field == "window")
        yield click.style(f"  {lead}{text}", bold=here) if here else f"  {lead}{text}"
        if here and finding.field in COLUMNS and finding.expected is not None:
            start = text.find(COLUMNS[finding.field])
            if start >= 0:
                word = text[start:].split(" ", 1)[0]
                value = finding.expected if finding.expected_relative is None else finding.expected_relative
                mark = " " * (2 + len(lead) + start) + "^" * len(word)
                yield click.style(f"{mark} {_('expected')} {value}", fg=COLOURS[finding.severity])


def _labelled(label: str, text: str) -> str:
    return f"  {click.style(label.ljust(9), dim=True)} {text}"


def _summary(counted: dict[str, list[Finding]]) -> Iterator[str]:
    for code in sorted(counted, key=lambda code: (-counted[code][0].severity, code)):
        findings = counted[code]
        worst = max(finding.severity for finding in findings)
        packets = [str(finding.packet) for finding in findings if finding.packet is not None]
        shown = ", ".join(packets[:6]) + (", …" if len(packets) > 6 else "")
        place = ngettext(" (packet {list})", " (packets {list})", len(packets)).format(list=shown) if packets else ""
        severity = click.style(f"{_(str(worst))}[{code}]", fg=COLOURS[worst])
        names = ", ".join(dict.fromkeys(finding.name for finding in findings))
        yield f"{severity} {len(findings)} × {names}{place}"
