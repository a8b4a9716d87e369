"""A self-contained page: the verdict, the conversations, and each finding with its part of the ladder.

It loads nothing from a network. Several captures make one page with a table at its top, or a folder with a page for each.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from labkit.analysis.finding import Finding
from labkit.analysis.findings import consequences, groups
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.rule import Rule
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.capture import open_capture
from labkit.errors import CaptureError
from labkit.i18n import _, listed, ngettext
from labkit.report.draw._conversation import Conversation
from labkit.report.draw._ladder_layout import first_states, move
from labkit.report.draw._ladder_svg import ladder_of
from labkit.report.draw._page import document, piece, table, tag, tools
from labkit.report.draw._subject import Subject, of_capture
from labkit.report.draw._svg import text_of
from labkit.report.formats import ReportOptions
from labkit.report.formats._excerpt import Excerpt
from labkit.report.formats._finding_text import labelled_lines
from labkit.report.formats._judged import COMPLETENESS, completeness, limit_text
from labkit.report.formats._records import rules_of
from labkit.report.formats.text import CLOSED, OPENED, WORDS, headline
from labkit.report.segment_line import seconds
from labkit.tcp.state import State

MAX_OF_A_RULE = 100
"""Findings of one rule and severity that a page shows; the others are counted."""

MAX_FINDINGS = 500
"""Findings that a page shows."""

MAX_LISTED = 40
"""Packets of consequences that a finding names."""

MAX_CONVERSATIONS = 200
"""Conversations in a page's table."""

MAX_PACKET = 20_000
"""The last packet with a picture. To read more of a large capture would take longer than judging it."""

BEFORE, AFTER = 3, 2
"""Segments of the conversation in the picture of a finding, before and after the faulty one."""

HISTORY = 64
"""Earlier segments among which the origin of the right number is looked for."""


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield one page with all captures."""
    pages = [_Page(verdict, options, place) for place, verdict in enumerate(verdicts)]
    if len(pages) == 1:
        yield from document(pages[0].title, pages[0].body())
        return
    yield from document(_("labkit: {n:,} captures").format(n=len(pages)), _all_in_one(pages, options))


def _all_in_one(pages: "list[_Page]", options: ReportOptions) -> Iterator[str]:
    yield f'<header><h1>{text_of(_("Verdicts"))}</h1></header><main id="main">'
    counts = sum((page.counts for page in pages), Counter[Severity]())
    yield from _index_table(((page, f"#capture-{page.place}") for page in pages), options, counts)
    for page in pages:
        yield f'<section id="capture-{page.place}">'
        yield tag("h2", text_of(page.verdict.path))
        yield from page.verdict_lines()
        yield from page.sections(level=3)
        yield "</section>"
    yield from _rules(pages)
    yield "</main>"


def render_folder(
    verdicts: Iterable[Verdict], options: ReportOptions, names: list[str]
) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield the files of a folder, each with its name and its lines: a page for each capture, then `index.html`.

    `names` are the captures' paths in their order, from which the files' names follow.
    """
    files = _file_names(names)
    rows = []
    for place, verdict in enumerate(verdicts):
        page = _Page(verdict, options, 0)
        name = files[place] if place < len(files) else f"{place}.html"
        yield name, document(page.title, page.body(index="index.html"))
        rows.append((page.outline(), name))
    body = [
        f'<header><h1>{text_of(_("Verdicts"))}</h1></header><main id="main">',
        *_index_table(rows, options),
        "</main>",
    ]
    yield "index.html", document(_("labkit: {n:,} captures").format(n=len(rows)), body)


def _file_names(paths: list[str]) -> list[str]:
    """A file name for each capture: its own name, without anything that a file system or an address could misread."""
    used: Counter[str] = Counter({"index": 1})
    found = []
    for path in paths:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).name).strip(".-") or "capture"
        used[stem.lower()] += 1
        count = used[stem.lower()]
        found.append(f"{stem[:100]}-{count}.html" if count > 1 else f"{stem[:100]}.html")
    return found


def _index_table(
    rows: "Iterable[tuple[_Page | _Outline, str]]", options: ReportOptions, counts: "Counter[Severity] | None" = None
) -> Iterator[str]:
    entries = [(each.outline() if isinstance(each, _Page) else each, link) for each, link in rows]
    count = Counter(each.outcome for each, _link in entries)
    sums = _(", ").join(f"{count[outcome]:,} {_(word)}" for outcome, word in WORDS.items() if count[outcome])
    captures = ngettext("{n:,} capture", "{n:,} captures", len(entries)).format(n=len(entries))
    yield tag("p", text_of(f"{captures}{_(': ')}{sums}"))
    if options.config_line:
        yield tag("p", text_of(_("configuration: {file}").format(file=options.config_line)), class_="muted")
    yield from tools(counts)
    columns = [
        (_("verdict"), ""),
        (_("capture"), ""),
        (_("errors"), "number"),
        (_("warnings"), "number"),
        (_("packets"), "number"),
        (_("first fault"), ""),
    ]
    cells = (
        (
            _badge(each.outcome),
            tag("a", text_of(each.path), href=link),
            f"{each.errors:,}",
            f"{each.warnings:,}",
            f"{each.packets:,}",
            text_of(each.first),
        )
        for each, link in entries
    )
    yield from table(_("Captures"), columns, cells, searched=True)


def _badge(outcome: str) -> str:
    return tag("span", text_of(_(WORDS[outcome])), class_=f"verdict {outcome}")


@dataclass(frozen=True, slots=True)
class _Outline:
    """A capture's row in the index."""

    outcome: str
    path: str
    errors: int
    warnings: int
    packets: int
    first: str


@dataclass(slots=True)
class _Page:
    """The page, or the section, of one capture."""

    verdict: Verdict
    options: ReportOptions
    place: int
    shown: list[int] = field(default_factory=list)
    """The places of the findings that are shown."""
    counted: list[tuple[str, str, Severity, int]] = field(default_factory=list)
    """Code, name, severity and number of the findings that are only counted."""
    counts: Counter[Severity] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for group in sorted(groups(self.verdict.findings, MAX_OF_A_RULE), key=lambda each: -each.severity):
            room = MAX_FINDINGS - len(self.shown)
            taken = group.places[:room]
            self.shown += taken
            self.counts[group.severity] += group.count
            if group.count > len(taken):
                self.counted.append((group.code, group.name, group.severity, group.count - len(taken)))
        for group in self.verdict.beyond:
            self.counted.append((group.code, group.name, group.severity, group.count))
            self.counts[group.severity] += group.count
        self.shown.sort()

    @property
    def outcome(self) -> str:
        return self.verdict.outcome(self.options.fail_on)

    @property
    def title(self) -> str:
        return f"{self.verdict.path}{_(': ')}{_(WORDS[self.outcome])}"

    def outline(self) -> _Outline:
        """The capture's row in the index."""
        faults = [self.verdict.findings[place] for place in self.shown]
        first = min(faults, key=lambda each: (-each.severity, each.packet or 0), default=None)
        text = self.verdict.error or ""
        if first is not None and first.severity > Severity.NOTE:
            text = f"{first.code} {_place(first)}: {first.message}"
        return _Outline(
            self.outcome,
            self.verdict.path,
            self.counts[Severity.ERROR],
            self.counts[Severity.WARNING],
            self.verdict.packets,
            text,
        )

    def body(self, index: str = "") -> Iterator[str]:
        """Yield the whole page of the capture; `index` is a link to the page of all captures."""
        yield "<header>"
        if index:
            yield tag("p", tag("a", text_of(_("All captures")), href=index))
        yield tag("h1", text_of(self.verdict.path))
        yield from self.verdict_lines()
        yield '</header><main id="main">'
        yield from self.sections(level=2)
        yield from _rules([self])
        yield "</main>"

    def verdict_lines(self) -> Iterator[str]:
        """Yield the verdict and the limits of the capture."""
        verdict = self.verdict
        if verdict.error is not None:
            yield tag("p", f"{_badge(self.outcome)} {text_of(verdict.error)}")
            return
        line = click.unstyle(headline(verdict, self.options)).partition("  ")[2]
        yield tag("p", f"{_badge(self.outcome)} {text_of(line)}")
        if self.options.config_line:
            yield tag("p", text_of(_("configuration: {file}").format(file=self.options.config_line)), class_="muted")
        if verdict.segments and self.outcome != "not-judged":
            yield tag("p", text_of(_(COMPLETENESS[completeness(verdict)[1]])), class_="muted")
        failing = verdict.failing_limits()
        limits = [
            tag("li", text_of(limit_text(each, verdict)), class_="error" if each in failing else None)
            for each in verdict.limits
        ]
        if limits:
            yield tag("ul", "".join(limits))

    def sections(self, level: int) -> Iterator[str]:
        """Yield the conversations and the findings; `level` is that of their headings."""
        if self.verdict.error is not None:
            return
        findings = [self.verdict.findings[place] for place in self.shown]
        subject = self._pictures(findings)
        yield tag(f"h{level}", text_of(_("Findings")))
        if not findings and not self.counted:
            yield tag("p", text_of(_("nothing found")))
        else:
            if level == 2:  # several captures in one page have these fields at its top
                yield from tools(self.counts)
            yield from self._articles(subject, level + 1)
            for code, name, severity, number in self.counted:
                text = _("{severity}[{code}] {name}: {n:,} more")
                yield tag(
                    "p", text_of(text.format(severity=_(str(severity)), code=code, name=name, n=number)), class_="muted"
                )
        yield tag(f"h{level}", text_of(_("Conversations")))
        yield from self._conversations()

    def _pictures(self, findings: list[Finding]) -> Subject | None:
        """The conversations that the findings are about; None if the capture cannot be read again, or not so far."""
        last = max((each.packet for each in findings if (each.packet or 0) <= MAX_PACKET and each.packet), default=0)
        if not last or self.verdict.source == "-":
            return None
        flows = FlowFilter(tuple(sorted({each.flow for each in findings})))
        try:
            return of_capture(
                self.verdict.path,
                lambda: open_capture(self.verdict.source),
                self.verdict,
                wanted=flows,
                most=last + 200,
            )
        except CaptureError:
            return None

    def _articles(self, subject: Subject | None, level: int) -> Iterator[str]:
        """Yield the findings that are shown."""
        spots = _spots(subject)
        start = subject.start if subject is not None else 0
        following = consequences(self.verdict.findings)
        for place in self.shown:
            each = self.verdict.findings[place]
            identity = f"finding-{self.place}-{place}"
            yield f'<article class="{each.severity}" data-severity="{each.severity}" id="{identity}" tabindex="-1">'
            code = tag(
                "a",
                text_of(f"{_(str(each.severity))}[{each.code}]"),
                href=f"#rule-{each.code}-{each.name}",
                class_="code",
            )
            where = f"{each.name}{_(': ')}{_place(each)}{_(', ')}{each.source} → {each.destination}"
            yield tag(f"h{level}", f"{code} {text_of(where)}")
            spot = spots.get(each.packet) if each.packet is not None else None
            excerpt = None if spot is None else _excerpt(each, spot)
            yield "<dl>"
            for label, text in labelled_lines(each, excerpt):
                yield tag("dt", text_of(label)) + tag("dd", text_of(text))
            yield from self._relations(each, following.get(place, []))
            yield "</dl>"
            if spot is not None and subject is not None:
                yield tag("figure", _cutout(subject, spot, start))
            yield "</article>"

    def _relations(self, each: Finding, following: list[int]) -> Iterator[str]:
        """Yield the finding's cause and its consequences."""
        findings = self.verdict.findings
        if each.caused_by is not None:
            cause = findings[each.caused_by]
            text = text_of(f"{cause.code}{_(', ')}{_place(cause)}")
            link = (
                tag("a", text, href=f"#finding-{self.place}-{each.caused_by}") if each.caused_by in self.shown else text
            )
            yield tag("dt", text_of(_("follows from"))) + tag("dd", link)
        if following:
            packets = sorted({number for other in following if (number := findings[other].packet) is not None})
            numbers = listed(map(str, packets[:MAX_LISTED])) + (", …" if len(packets) > MAX_LISTED else "")
            yield tag("dt", text_of(_("also wrong"))) + tag("dd", text_of(_("packets {list}").format(list=numbers)))

    def _conversations(self) -> Iterator[str]:
        columns = [
            ("#", "number"),
            (_("client"), ""),
            (_("server"), ""),
            (_("opened"), ""),
            (_("closed"), ""),
            (_("seconds"), "number"),
            (_("packets"), "number"),
            (_("bytes"), "number"),
            (_("retransmissions"), "number"),
        ]
        rows = (
            (
                f"{each.flow}",
                text_of(each.client),
                text_of(each.server),
                text_of(_(OPENED.get(each.opened, each.opened))),
                text_of(_(CLOSED.get(each.closed, each.closed))),
                seconds(round(each.duration * 1e9)),
                " / ".join(f"{n:,}" for n in each.packets),
                " / ".join(f"{n:,}" for n in each.octets),
                " / ".join(f"{n:,}" for n in each.retransmissions),
            )
            for each in self.verdict.conversations[:MAX_CONVERSATIONS]
        )
        caption = _("{name}: pairs of numbers are the client's and the server's").format(name=self.verdict.path)
        yield from table(caption, columns, rows)
        more = self.verdict.reported - min(len(self.verdict.conversations), MAX_CONVERSATIONS)
        if more > 0:
            text = ngettext("and {n:,} more conversation", "and {n:,} more conversations", more).format(n=more)
            yield tag("p", text_of(text), class_="muted")


def _place(finding: Finding) -> str:
    if finding.packet is None:
        return _("the whole conversation")
    return _("packet {n}").format(n=finding.packet)


@dataclass(frozen=True, slots=True)
class _Spot:
    """An arrow among those of its conversation."""

    conversation: Conversation
    at: int
    first: int
    """The first arrow of its picture."""
    states: tuple[State | None, ...]
    """The states of both ends before that one."""


def _spots(subject: Subject | None) -> dict[int, _Spot]:
    """The arrow of each packet."""
    found: dict[int, _Spot] = {}
    for conversation in subject.conversations if subject else ():
        states = first_states(conversation)
        before: list[tuple[State | None, ...]] = []
        for at, arrow in enumerate(conversation.arrows):
            before.append(tuple(states))
            move(states, arrow)
            first = max(0, at - BEFORE)
            spot = _Spot(conversation, at, first, before[first])
            found |= {number: spot for number in (arrow.number, arrow.arrival_number) if number is not None}
    return found


def _excerpt(finding: Finding, spot: _Spot) -> Excerpt:
    arrows = spot.conversation.arrows
    history = [arrow.row for arrow in arrows[max(0, spot.at - HISTORY) : spot.at]]
    return Excerpt(finding.packet or 0, [arrows[spot.at].row], history)


def _cutout(subject: Subject, spot: _Spot, start: int) -> str:
    """The picture of the segments around one; `start` is the time that is shown as 0."""
    ladder = ladder_of(spot.conversation, subject.names_of(spot.conversation), start, page=True)
    ladder.states[:] = spot.states
    return piece(ladder, spot.conversation.arrows[spot.first : spot.at + AFTER + 1], head=True)


def _rules(pages: Iterable[_Page]) -> Iterator[str]:
    """Yield what the rules say that were broken."""
    rules: dict[str, Rule] = {}
    for page in pages:
        # Several rules may have one code, each with a name of its own.
        names = {(page.verdict.findings[place].code, page.verdict.findings[place].name) for place in page.shown}
        broken = (rule for rule in rules_of(page.verdict, page.options) if (rule.code, rule.name) in names)
        rules |= {f"{rule.code}-{rule.name}": rule for rule in broken}
    if rules:
        yield tag("h2", text_of(_("Rules")))
    for key in sorted(rules):
        rule = rules[key]
        yield f'<section id="rule-{text_of(key)}">'
        yield tag("h3", text_of(f"{rule.code} {rule.name}"))
        for paragraph in _(rule.explanation).split("\n\n"):
            yield tag("p", text_of(paragraph))
        if rule.reference:
            yield tag("p", text_of(rule.reference), class_="muted")
        for label, example in ((_("Good:"), rule.good), (_("Bad:"), rule.bad)):
            if example:
                lines = "\n".join(map(text_of, example.splitlines()))
                yield tag("p", text_of(label)) + tag("pre", lines, tabindex=0)
        yield "</section>"
