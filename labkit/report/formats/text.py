"""Text for people: the verdict, then each finding with the segments around it and its text."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import click

from labkit.analysis.findings import consequences, tally
from labkit.analysis.limits import Limit
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.i18n import N_, _, listed, ngettext, padded, printable, width
from labkit.report.formats import ReportOptions
from labkit.report.formats._colours import COLOURS
from labkit.report.formats._judged import COMPLETENESS, completeness, limit_text

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
    if verdict.findings or verdict.beyond:
        from labkit.report.formats._finding_lines import finding_lines

        yield from finding_lines(verdict, options)


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
