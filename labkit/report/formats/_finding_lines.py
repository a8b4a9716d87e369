"""The findings of a capture as text for people: some in full, the others counted."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import click

from labkit.analysis.findings import Group, consequences, groups, selected
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.i18n import _, joined, listed, ngettext
from labkit.report.formats import ReportOptions
from labkit.report.formats._colours import COLOURS

MAX_LISTED = 6
"""Packets that a line of counted findings lists."""


class _Counted(NamedTuple):
    """The findings of one code that are only counted."""

    code: str
    severity: Severity
    """The highest of theirs."""
    number: int
    names: list[str]
    packets: list[int | None]
    """The first packets, one more than a line lists."""


def finding_lines(verdict: Verdict, options: ReportOptions) -> Iterator[str]:
    """Yield the findings that are shown in full, each after an empty line; then a line for each code of the others."""
    full, counted = _split(verdict, options)
    if full:
        from labkit.report.formats._finding_text import full_text

        followers = _followers(verdict, options)
        yield from full_text(verdict, [(verdict.findings[place], followers.get(place, "")) for place in full])
    if counted:
        yield ""
        yield from _counted_lines(counted)


def _split(verdict: Verdict, options: ReportOptions) -> tuple[Sequence[int], list[_Counted]]:
    """The places of the findings to show in full, and those to count; the limits of the capture count the notes of their own
    code."""
    limited = {limit.code for limit in verdict.limits}
    full: list[int] = []
    counted: list[_Counted] = []
    by_code: dict[str, list[Group]] = defaultdict(list)
    findings = verdict.findings
    every: Sequence[int] = range(len(findings))
    if following := set(chain.from_iterable(consequences(findings).values())):  # a line below their cause names them
        from array import array

        every = array("I", (place for place in every if place not in following))
        findings = selected(findings, every)
    for group in (
        *groups(findings, options.max_shown + MAX_LISTED + 1 if options.max_shown else None),
        *verdict.beyond,
    ):
        by_code[group.code].append(group)
    for code, found in by_code.items():
        brief = [group for group in found if group.severity == Severity.NOTE and not options.verbose]
        places = sorted(place for group in found if group not in brief for place in group.places)
        shown = places[: options.max_shown or None]
        full += shown
        # The highest severity is that of the findings that are left, not of those shown in full.
        reported = [group for group in found if group not in brief or code not in limited]
        rest = [group for group in reported if group.count > len(set(shown).intersection(group.places))]
        count = sum(group.count for group in reported) - len(shown)
        if count:
            left = sorted({place for group in rest for place in group.places}.difference(shown))
            packets = [findings[place].packet for place in left[: MAX_LISTED + 1]]
            names = list(dict.fromkeys(group.name for group in rest))
            counted.append(_Counted(code, max(group.severity for group in rest), count, names, packets))
    return [every[place] for place in sorted(full)], counted


def _followers(verdict: Verdict, options: ReportOptions) -> dict[int, str]:
    """The line that names the consequences of each mistake, by the place of the mistake."""
    found = {}
    for cause, places in consequences(verdict.findings).items():
        packets = sorted({number for place in places if (number := verdict.findings[place].packet) is not None})
        shown = [str(number) for number in (packets if options.verbose else packets[:MAX_LISTED])]
        if more := len(packets) - len(shown):
            shown.append(ngettext("{n:,} more", "{n:,} more", more).format(n=more))
        text = ngettext(
            "packet {list} follows from this mistake; mend it too",
            "packets {list} follow from this mistake; mend them too",
            len(packets),
        )
        together = (
            _("{list} and {last}").format(list=listed(shown[:-1]), last=shown[-1]) if len(shown) > 1 else shown[0]
        )
        found[cause] = joined(text.format(list=together))
    return found


def _counted_lines(counted: list[_Counted]) -> Iterator[str]:
    for group in sorted(counted, key=lambda group: (-group.severity, group.code)):
        packets = [str(packet) for packet in group.packets if packet is not None]
        shown = listed(packets[:MAX_LISTED]) + (", …" if len(packets) > MAX_LISTED else "")
        place = ngettext(" (packet {list})", " (packets {list})", len(packets)).format(list=shown) if packets else ""
        severity = click.style(f"{_(str(group.severity))}[{group.code}]", fg=COLOURS[group.severity])
        yield f"{severity} {group.number:,} × {', '.join(group.names)}{place}"
