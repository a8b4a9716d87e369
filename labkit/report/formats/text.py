"""Text for people: the verdict, then each finding with the segments around it and its text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import click

from labkit.analysis.finding import Group, consequences, groups, selected, tally
from labkit.analysis.limits import Limit
from labkit.analysis.rule import Severity
from labkit.analysis.verdict import Verdict
from labkit.i18n import N_, _, joined, listed, ngettext, padded, printable, width
from labkit.report.formats import ReportOptions
from labkit.report.formats._colours import COLOURS
from labkit.report.formats._records import COMPLETENESS, completeness, limit_text

MAX_LISTED = 6
"""Packets that a line of counted findings lists."""

OUTCOMES = {"pass": "green", "fail": "red", "not-judged": "yellow", "unreadable": "magenta"}
WORDS = {"pass": N_("PASS"), "fail": N_("FAIL"), "not-judged": N_("NOT JUDGED"), "unreadable": N_("UNREADABLE")}
"""The colours and words of outcomes."""

OPENED = {
    "handshake": N_("opened by a handshake"),
    "simultaneous": N_("opened by both sides at once"),
    "half-open": N_("half open"),
    "refused": N_("refused"),
    "unanswered": N_("unanswered"),
    "not-seen": N_("opened before the capture"),
}
CLOSED = {
    "fin": N_("closed by both sides"),
    "half-closed": N_("closed by one side"),
    "reset": N_("reset"),
    "open": N_("still open"),
}
"""The beginnings and ends of conversations in words, by the values of `labkit.analysis.limits.Conversation`."""


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the lines of each capture, then a table of several captures; the table alone if the report is quiet.

    An unreadable capture appears in the table only: the reason is an error, not a result.
    """
    first = True
    heading: list[str] = []
    rows: list[_CaptureRow] = []
    for verdict in verdicts:
        counts = "" if verdict.error else _counts(verdict)
        rows.append(_CaptureRow(verdict.outcome(options.fail_on), verdict.path, counts, _limit_kinds(verdict)))
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
        yield from _table(rows, options)
    else:
        yield from heading


class _Counted(NamedTuple):
    """The findings of one code that are only counted."""

    code: str
    severity: Severity
    """The highest of theirs."""
    number: int
    names: list[str]
    packets: list[int | None]
    """The first packets, one more than a line lists."""


class _CaptureRow(NamedTuple):
    """A row of the table of captures."""

    outcome: str
    path: str
    counts: str
    limits: str


def _table(rows: list[_CaptureRow], options: ReportOptions) -> Iterator[str]:
    """Yield the number of captures of each outcome, then a row for each capture.

    If there are no headings, which name the configuration, a line of the table does.
    """
    count = Counter(row.outcome for row in rows)
    words = {outcome: _(word) for outcome, word in WORDS.items()}
    sums = _(", ").join(f"{count[outcome]:,} {word}" for outcome, word in words.items() if count[outcome])
    captures = ngettext("{n:,} capture", "{n:,} captures", len(rows)).format(n=len(rows))
    yield click.style(f"{captures}{_(': ')}{sums}", bold=True)
    if options.quiet and options.config_line:
        yield "  " + _("configuration: {file}").format(file=options.config_line)
    columns = max(width(words[row.outcome]) for row in rows)
    longest = min(60, max(width(printable(row.path)) for row in rows))
    counts = max(width(row.counts) for row in rows)
    for row in rows:
        word = click.style(padded(words[row.outcome], columns), fg=OUTCOMES[row.outcome])
        yield f"  {word}  {padded(printable(row.path), longest)}  {padded(row.counts, counts)}  {row.limits}".rstrip()


def _limit_kinds(verdict: Verdict) -> str:
    """The kinds of a capture's limits, with their counts."""
    count: Counter[str] = Counter()
    for limit in verdict.limits:
        count[limit.kind] += limit.count
    kinds = listed(f"{kind} {n:,}" if n > 1 else kind for kind, n in count.items())
    return _("limits: {kinds}").format(kinds=kinds) if kinds else ""


def _heading(verdict: Verdict, options: ReportOptions) -> Iterator[str]:
    """Yield the verdict, and a note for each limit of the capture."""
    yield f"{click.style(printable(verdict.path), bold=True)}{_(': ')}{headline(verdict, options)}"
    damage = [limit for limit in verdict.limits if limit.kind == "damaged"]
    for limit in damage:
        yield "  " + _limit_line(limit, verdict)
    if options.config_line:
        yield "  " + _("configuration: {file}").format(file=options.config_line)
    if verdict.segments and not options.quiet and verdict.outcome(options.fail_on) != "not-judged":
        yield "  " + _(COMPLETENESS[completeness(verdict)[1]])
    for limit in verdict.limits:
        if limit not in damage:
            yield "  " + _limit_line(limit, verdict)


def _limit_line(limit: Limit, verdict: Verdict) -> str:
    text = printable(limit_text(limit, verdict))
    if limit in verdict.failing_limits():
        return click.style(_("error: {message}").format(message=text), fg=COLOURS[Severity.ERROR])
    return _("note: {message}").format(message=text)


def _capture(verdict: Verdict, options: ReportOptions) -> Iterator[str]:
    yield from _heading(verdict, options)
    if options.verbose:
        yield from _conversations(verdict)
    full, counted = _split(verdict, options)
    if full:
        from labkit.report.formats._finding_text import full_text

        followers = _followers(verdict, options)
        yield from full_text(verdict, [(verdict.findings[place], followers.get(place, "")) for place in full])
    if counted:
        yield ""
        yield from _counted_lines(counted)


def headline(verdict: Verdict, options: ReportOptions) -> str:
    """The verdict on one line: PASS or another word, the number of findings, the size of the capture."""
    outcome = verdict.outcome(options.fail_on)
    word = click.style(_(WORDS[outcome]), fg=OUTCOMES[outcome], bold=True)
    conversations = ngettext("{n:,} conversation", "{n:,} conversations", verdict.flows).format(n=verdict.flows)
    if verdict.reported != verdict.flows:
        conversations = _("{n:,} of {conversations}").format(n=verdict.reported, conversations=conversations)
    packets = [ngettext("{n:,} packet", "{n:,} packets", verdict.packets).format(n=verdict.packets)]
    if verdict.other:
        packets.append(_("{n:,} of other protocols").format(n=verdict.other))
    if verdict.not_read:
        packets.append(_("{n:,} not read").format(n=verdict.not_read))
    facts = [
        *packets,
        conversations,
        _("profile {name}").format(name=verdict.profile),
    ]
    if verdict.left_out:
        left_out = ngettext("{n:,} finding left out", "{n:,} findings left out", verdict.left_out)
        facts.append(left_out.format(n=verdict.left_out))
    if verdict.known:
        known = ngettext("{n:,} finding in the baseline", "{n:,} findings in the baseline", verdict.known)
        facts.append(known.format(n=verdict.known))
    if verdict.known_outcome:
        facts.append(_("the baseline knows it as {word}").format(word=_(WORDS[verdict.known_outcome])))
    return _("{verdict}  {findings} ({facts})").format(
        verdict=word, findings=_counts(verdict), facts=_(", ").join(facts)
    )


def _counts(verdict: Verdict) -> str:
    count = tally(verdict.findings, verdict.beyond)
    following = 0
    for place in chain.from_iterable(consequences(verdict.findings).values()):
        following += 1
        count[verdict.findings[place].severity] -= 1
    errors, warnings, notes = (count[each] for each in (Severity.ERROR, Severity.WARNING, Severity.NOTE))
    words = [
        ngettext("{n:,} error", "{n:,} errors", errors).format(n=errors) if errors else "",
        ngettext("{n:,} consequence", "{n:,} consequences", following).format(n=following) if following else "",
        ngettext("{n:,} warning", "{n:,} warnings", warnings).format(n=warnings) if warnings else "",
        ngettext("{n:,} note", "{n:,} notes", notes).format(n=notes) if notes else "",
    ]
    failing = len({limit.kind for limit in verdict.failing_limits()})
    words.append(ngettext("{n:,} limit fails", "{n:,} limits fail", failing).format(n=failing) if failing else "")
    text = _(", ").join(filter(None, words)) or _("nothing found")
    return text if verdict.up_to is None else _("{findings} up to packet {n}").format(findings=text, n=verdict.up_to)


def _conversations(verdict: Verdict) -> Iterator[str]:
    """Yield a line for each conversation."""
    from labkit.report.segment_line import ARROWS

    for each in verdict.conversations:
        opened = _(OPENED.get(each.opened, each.opened))
        closed = _(CLOSED.get(each.closed, each.closed))
        directions = "".join(
            f"{_('; ')}{each}" for each in map(_direction, ARROWS, each.packets, each.octets, each.retransmissions)
        )
        facts = _(", ").join((opened, closed, f"{each.duration:.6f} s"))
        label = click.style(_("conversation {n}").format(n=each.flow), dim=True)
        yield f"  {label} {each.client} → {each.server}{_(': ')}{facts}{directions}"
    more = verdict.reported - len(verdict.conversations)
    if more > 0:
        yield "  " + ngettext("and {n:,} more conversation", "and {n:,} more conversations", more).format(n=more)


def _direction(arrow: str, packets: int, octets: int, resent: int) -> str:
    words = [
        ngettext("{n:,} packet", "{n:,} packets", packets).format(n=packets),
        ngettext("{n:,} byte", "{n:,} bytes", octets).format(n=octets),
    ]
    if resent:
        words.append(ngettext("{n:,} retransmission", "{n:,} retransmissions", resent).format(n=resent))
    return f"{arrow} {_(', ').join(words)}"


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
