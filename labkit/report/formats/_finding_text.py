"""A finding for people: the segments around it, and its text in four labelled lines."""

from collections.abc import Iterator, Sequence
from shlex import quote

import click

from labkit.analysis.finding import Finding, right_value
from labkit.analysis.verdict import Verdict
from labkit.i18n import _, padded, printable
from labkit.report.formats import _excerpt
from labkit.report.formats._colours import COLOURS
from labkit.report.formats._excerpt import Excerpt, arithmetic, excerpts
from labkit.report.segment_line import segment_text, width_of_controls

PREFIXES = {"seq": "seq=", "ack": "ack=", "len": "len=", "window": "win=", "flags": ""}
"""The beginning of a header field in the line of a segment."""


def full_text(verdict: Verdict, findings: Sequence[tuple[Finding, str]]) -> Iterator[str]:
    """Yield the lines of some findings of a verdict, each after an empty line. With each comes the line about its consequences,
    which may be empty.

    A finding too far into the capture for an excerpt has a line with the command that shows its conversation.
    """
    shown = excerpts(verdict.source, [finding for finding, _line in findings])
    for finding, followers in findings:
        yield ""
        excerpt = shown.get(finding.packet or 0)
        yield _headline(finding)
        if excerpt is not None:
            yield from _excerpt_lines(finding, excerpt)
        yield from (_labelled(label, text) for label, text in labelled_lines(finding, excerpt))
        if followers:
            yield _labelled(_("follows"), followers)
        if (
            finding.packet is not None
            and finding.packet > _excerpt.MAX_PACKET
            and verdict.source == verdict.path != "-"
        ):
            yield _labelled(_("look at"), f"labkit show {quote(printable(verdict.path))} --flow {finding.flow}")


def labelled_lines(finding: Finding, excerpt: Excerpt | None = None) -> Iterator[tuple[str, str]]:
    """Yield the parts of a finding's text that are not empty, each with its label."""
    yield _("what"), finding.message
    right = right_value(finding)
    total = arithmetic(finding, excerpt) if excerpt is not None and right else None
    if total is not None:
        right = _("{value} ({sum}, packet {n})").format(value=right, sum=total[0], n=total[1])
    if right:
        yield _("should be"), right
    if finding.receiver:
        yield _("receiver"), finding.receiver
    if finding.mend:
        yield _("mend"), finding.mend
    yield (
        _("read on"),
        _("; ").join(filter(None, (finding.reference and _(finding.reference), f"labkit explain {finding.code}"))),
    )


def _headline(finding: Finding) -> str:
    severity = click.style(f"{_(str(finding.severity))}[{finding.code}]", fg=COLOURS[finding.severity], bold=True)
    place = _("the whole conversation") if finding.packet is None else _("packet {n}").format(n=finding.packet)
    ends = f"{finding.source} → {finding.destination}"
    return f"{severity} {click.style(finding.name, bold=True)}{_(': ')}{place}{_(', ')}{ends}"


def _excerpt_lines(finding: Finding, excerpt: Excerpt) -> Iterator[str]:
    controls = width_of_controls(excerpt.rows)
    for row in excerpt.rows:
        here = row.number == finding.packet
        lead = f"{'>' if here else ' '} {row.number:>5}  "
        text = segment_text(row, window=finding.field == "window", controls=controls)
        yield click.style(f"  {lead}{text}", bold=here) if here else f"  {lead}{text}"
        if here and finding.field in PREFIXES and finding.expected is not None:
            start = text.find(PREFIXES[finding.field])
            word = text[start:].split(" ", 1)[0]
            shown = finding.actual if finding.actual_relative is None else finding.actual_relative
            if start >= 0 and word.endswith(f"={shown}"):  # not where the field is one of another segment
                value = finding.expected if finding.expected_relative is None else finding.expected_relative
                mark = " " * (2 + len(lead) + start) + "^" * len(word)
                yield click.style(f"{mark} {_('expected')} {value}", fg=COLOURS[finding.severity])


def _labelled(label: str, text: str) -> str:
    return f"  {click.style(padded(label, 9), dim=True)} {text}"
