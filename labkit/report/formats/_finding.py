"""A finding for people, with the segments around it."""

from collections.abc import Iterator, Sequence
from shlex import quote

import click

from labkit.analysis.finding import Finding
from labkit.i18n import _, printable
from labkit.report.formats import _context
from labkit.report.formats._colours import COLOURS
from labkit.report.formats._context import Context, because, gather
from labkit.report.segment_line import segment_text

COLUMNS = {"seq": "seq=", "ack": "ack=", "len": "len=", "window": "win=", "flags": ""}
"""How a field begins in the line of a segment."""


def in_full(path: str, findings: Sequence[Finding]) -> Iterator[str]:
    """The lines of findings in a capture, an empty one before each.

    Where a packet is too far for those around it to be shown, a line tells how they can be seen.
    """
    contexts = gather(path, findings)
    for finding in findings:
        yield ""
        yield from _finding(finding, contexts.get(finding.packet or 0))
        if finding.packet is not None and finding.packet > _context.FARTHEST and path != "-":
            yield _labelled(_("look at"), f"labkit show {quote(printable(path))} --flow {finding.flow}")


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
