"""Text for people: each finding with the segments around it, the sum that gives the right number, what a receiver
would do, and where to read on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import click

from labkit.analysis.finding import Finding, Group, groups, tally
from labkit.analysis.rule import Severity
from labkit.analysis.verifier import Verdict
from labkit.i18n import N_, _, ngettext, printable
from labkit.report.formats import Options
from labkit.report.formats._colours import COLOURS

LISTED = 6
"""Packets that are named of what is only counted."""

OUTCOMES = {"pass": "green", "fail": "red", "unreadable": "magenta"}

OPENED = {
    "handshake": N_("opened by a handshake"),
    "simultaneous": N_("opened by both at once"),
    "half-open": N_("half open"),
    "refused": N_("refused"),
    "unanswered": N_("not answered"),
    "not-seen": N_("its opening was not captured"),
}
CLOSED = {
    "fin": N_("closed by both"),
    "half-closed": N_("closed by one"),
    "reset": N_("reset"),
    "open": N_("still open"),
}
"""How a conversation began and ended, in words: the keys are those of `labkit.analysis.limits.Conversation`."""


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:
    """The lines, capture after capture, and a table of them where there are several: if it is to be quiet, that alone.

    A capture that cannot be read stands in that table only: why it cannot is no result but an error.
    """
    first = True
    heading: list[str] = []
    rows: list[_Row] = []
    for verdict in verdicts:
        outcome = "unreadable" if verdict.error is not None else "pass" if verdict.passes(options.fail_on) else "fail"
        counts = [] if verdict.error else [_counts(verdict)]
        if verdict.damage:
            counts.append(_("not read to its end"))
        rows.append(_Row(outcome, verdict.path, ", ".join(counts)))
        if verdict.error is not None:
            continue
        if options.quiet:
            heading = heading or list(_heading(verdict, options))
            continue
        if not first:
            yield ""
        first = False
        yield from _capture(verdict, options)
    if len(rows) > 1:
        if not first:
            yield ""
        yield from _table(rows)
    else:
        yield from heading


class _Rest(NamedTuple):
    """Findings with one code that are only counted."""

    code: str
    severity: Severity
    """The gravest."""
    number: int
    names: list[str]
    packets: list[int | None]
    """Of the first of them; one more than are listed where there are more."""


class _Row(NamedTuple):
    """A line of the table."""

    outcome: str
    path: str
    counts: str


def _table(rows: list[_Row]) -> Iterator[str]:
    """How many captures passed, failed, or could not be read; and which."""
    count = Counter(row.outcome for row in rows)
    words = {"pass": _("PASS"), "fail": _("FAIL"), "unreadable": _("UNREADABLE")}
    sums = ", ".join(f"{count[outcome]:,} {word}" for outcome, word in words.items() if count[outcome])
    captures = ngettext("{n:,} capture", "{n:,} captures", len(rows)).format(n=len(rows))
    yield click.style(f"{captures}: {sums}", bold=True)
    width = max(len(words[row.outcome]) for row in rows)
    longest = min(60, max(len(printable(row.path)) for row in rows))
    for row in rows:
        word = click.style(words[row.outcome].ljust(width), fg=OUTCOMES[row.outcome])
        yield f"  {word}  {printable(row.path).ljust(longest)}  {row.counts}".rstrip()


def _heading(verdict: Verdict, options: Options) -> Iterator[str]:
    """The verdict, and what it could not take into account."""
    yield f"{click.style(printable(verdict.path), bold=True)}: {headline(verdict, options)}"
    if verdict.damage:
        yield "  " + _("note: {message}; judged up to there").format(message=printable(verdict.damage.message))
    for limit in verdict.limits:
        yield "  " + _("note: {message}").format(message=limit.message)


def _capture(verdict: Verdict, options: Options) -> Iterator[str]:
    yield from _heading(verdict, options)
    if options.verbose:
        yield from _conversations(verdict)
    said = {limit.code for limit in verdict.limits}
    full, counted = _sorted(verdict, options, said)
    if full:
        from labkit.report.formats._finding import in_full

        yield from in_full(verdict.path, full)
    if counted:
        yield ""
        yield from _summary(counted)


def headline(verdict: Verdict, options: Options) -> str:
    """The verdict on a line: passed or failed, how many findings, in how much."""
    passed = verdict.passes(options.fail_on)
    word = click.style(_("PASS"), fg="green", bold=True) if passed else click.style(_("FAIL"), fg="red", bold=True)
    conversations = ngettext("{n:,} conversation", "{n:,} conversations", verdict.flows).format(n=verdict.flows)
    if verdict.reported != verdict.flows:
        conversations = _("{n:,} of {conversations}").format(n=verdict.reported, conversations=conversations)
    facts = [
        ngettext("{n:,} packet", "{n:,} packets", verdict.packets).format(n=verdict.packets),
        conversations,
        _("profile {name}").format(name=verdict.profile),
    ]
    if verdict.left_out:
        left_out = ngettext("{n:,} finding left out", "{n:,} findings left out", verdict.left_out)
        facts.append(left_out.format(n=verdict.left_out))
    return f"{word}  {_counts(verdict)} ({', '.join(facts)})"


def _counts(verdict: Verdict) -> str:
    count = tally(verdict.findings, verdict.beyond)
    errors, warnings, notes = (count[each] for each in (Severity.ERROR, Severity.WARNING, Severity.NOTE))
    words = [
        ngettext("{n:,} error", "{n:,} errors", errors).format(n=errors) if errors else "",
        ngettext("{n:,} warning", "{n:,} warnings", warnings).format(n=warnings) if warnings else "",
        ngettext("{n:,} note", "{n:,} notes", notes).format(n=notes) if notes else "",
    ]
    return ", ".join(filter(None, words)) or _("nothing found")


def _conversations(verdict: Verdict) -> Iterator[str]:
    """A line for each conversation."""
    from labkit.report.segment_line import ARROWS

    for each in verdict.conversations:
        opened = _(OPENED.get(each.opened, each.opened))
        closed = _(CLOSED.get(each.closed, each.closed))
        ways = "".join(f"; {way}" for way in map(_way, ARROWS, each.packets, each.octets, each.retransmissions))
        label = click.style(_("conversation {n}").format(n=each.flow), dim=True)
        yield f"  {label} {each.client} → {each.server}: {opened}, {closed}, {each.duration:.6f} s{ways}"
    more = verdict.reported - len(verdict.conversations)
    if more > 0:
        yield "  " + ngettext("and {n:,} more conversation", "and {n:,} more conversations", more).format(n=more)


def _way(arrow: str, packets: int, octets: int, resent: int) -> str:
    """One direction of a conversation in figures."""
    words = [
        ngettext("{n:,} packet", "{n:,} packets", packets).format(n=packets),
        ngettext("{n:,} octet", "{n:,} octets", octets).format(n=octets),
    ]
    if resent:
        words.append(ngettext("{n:,} retransmission", "{n:,} retransmissions", resent).format(n=resent))
    return f"{arrow} {', '.join(words)}"


def _sorted(verdict: Verdict, options: Options, said: set[str]) -> tuple[list[Finding], list[_Rest]]:
    """What is shown in full, and what is only counted, by code; notes with a code of `said` were told already."""
    full: list[int] = []
    counted: list[_Rest] = []
    by_code: dict[str, list[Group]] = defaultdict(list)
    findings = verdict.findings
    for group in (*groups(findings, options.most + LISTED + 1 if options.most else None), *verdict.beyond):
        by_code[group.code].append(group)
    for code, found in by_code.items():
        brief = [group for group in found if group.severity == Severity.NOTE and not options.verbose]
        places = sorted(place for group in found if group not in brief for place in group.places)
        shown = places[: options.most or None]
        full += shown
        told = set(shown)
        # What is shown in full does not make what is left graver than it is.
        asked = [group for group in found if group not in brief or code not in said]
        rest = [group for group in asked if group.count > len(told.intersection(group.places))]
        count = sum(group.count for group in asked) - len(shown)
        if count:
            left = sorted({place for group in rest for place in group.places} - told)
            packets = [findings[place].packet for place in left[: LISTED + 1]]
            names = list(dict.fromkeys(group.name for group in rest))
            counted.append(_Rest(code, max(group.severity for group in rest), count, names, packets))
    return [findings[place] for place in sorted(full)], counted


def _summary(counted: list[_Rest]) -> Iterator[str]:
    for rest in sorted(counted, key=lambda rest: (-rest.severity, rest.code)):
        packets = [str(packet) for packet in rest.packets if packet is not None]
        shown = ", ".join(packets[:LISTED]) + (", …" if len(packets) > LISTED else "")
        place = ngettext(" (packet {list})", " (packets {list})", len(packets)).format(list=shown) if packets else ""
        severity = click.style(f"{_(str(rest.severity))}[{rest.code}]", fg=COLOURS[rest.severity])
        yield f"{severity} {rest.number:,} × {', '.join(rest.names)}{place}"
