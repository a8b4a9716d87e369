"""A page with the ladder of each conversation, and its segments as a table."""

from collections.abc import Iterable, Iterator
from shlex import quote

import click

from labkit.i18n import _, printable
from labkit.report.draw import DrawOptions
from labkit.report.draw._conversation import Arrow, Conversation
from labkit.report.draw._folding import MAX_DRAWN
from labkit.report.draw._ladder_layout import first_states, move
from labkit.report.draw._marks import KINDS, fault_of, sack_text
from labkit.report.draw._page import Unfolding, document, table, tag, tools, whole_ladder
from labkit.report.draw._subject import Subject
from labkit.report.draw._svg import text_of
from labkit.report.segment_line import seconds
from labkit.tcp.segment import ACK, control_names

MAX_ROWS = 3_000
"""Rows of all tables of a page."""

MAX_OPEN_ROWS = 1_000
"""Rows that are seen at once. The others are folded, because a browser takes long to lay out a large table."""


def page(subject: Subject, options: DrawOptions, remarks: Iterable[str]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from document(_("{name}: conversations").format(name=subject.title), _body(subject, options, remarks))


def _body(subject: Subject, options: DrawOptions, remarks: Iterable[str]) -> Iterator[str]:
    chosen = subject.conversations[: options.most]
    yield f'<header>{tag("h1", text_of(subject.title))}</header><main id="main">'
    for line in remarks:
        yield tag("p", text_of(click.unstyle(line)), class_="muted")
    unfolding = Unfolding(f"labkit draw {quote(printable(subject.title))}")
    for conversation in chosen:
        client, server = subject.names_of(conversation)
        text = f"{client} ↔ {server}"
        if subject.total > 1:
            text = _("conversation {n}: ").format(n=conversation.index) + text
        yield tag("h2", text_of(text))
        yield from whole_ladder(subject, conversation, unfolding, MAX_DRAWN // len(chosen))
    if chosen:
        yield tag("h2", text_of(_("Segments")))
        yield from tools()
        yield from _tables(subject, chosen)
    yield "</main>"


def _tables(subject: Subject, chosen: list[Conversation]) -> Iterator[str]:
    """Yield a table of all conversations' segments."""
    left, room = MAX_ROWS, MAX_OPEN_ROWS
    columns = [
        (_("packet"), "number"),
        (_("seconds"), "number"),
        (_("client"), ""),
        (_("segment"), ""),
        (_("seq"), "number"),
        (_("ack"), "number"),
        (_("bytes"), "number"),
        (_("window"), "number"),
        (_("server"), ""),
        (_("remark"), ""),
    ]
    for conversation in chosen:
        shown = conversation.arrows[:left]
        left -= len(shown)
        caption = " ↔ ".join(subject.names_of(conversation))
        rows = list(_rows(conversation, shown, subject.start))
        open_, room = rows[:room], max(room - len(rows), 0)
        if open_:
            yield from table(caption, columns, open_, searched=True)
        if len(open_) < len(rows):
            span = _span(shown[len(open_) :])
            yield f'<details class="rows"><summary>{text_of(span)}</summary>'
            yield from table(f"{caption}, {span}", columns, rows[len(open_) :], searched=True)
            yield "</details>"
        if len(shown) < len(conversation.arrows):
            text = _("{n:,} more segments").format(n=len(conversation.arrows) - len(shown))
            yield tag("p", text_of(text), class_="muted")


def _span(arrows: list[Arrow]) -> str:
    """The first and the last packet of arrows."""
    numbers = [arrow.number for arrow in arrows if arrow.number is not None] or [0]
    return _("packets {first} to {last}").format(first=min(numbers), last=max(numbers))


def _rows(conversation: Conversation, arrows: list[Arrow], start: int) -> Iterator[tuple[str, ...]]:
    states = first_states(conversation)
    for arrow in arrows:
        move(states, arrow)
        row = arrow.row
        client, server = (str(state) if state is not None else "" for state in states)
        yield (
            "" if arrow.number is None else f"{arrow.number}",
            seconds(arrow.sent - start),
            client,
            text_of(f"{'→←'[arrow.sender]} {control_names(row.ctl)} {sack_text(row)}".rstrip()),
            f"{row.relative_seq}",
            f"{row.relative_ack}" if row.ctl & ACK else "",
            f"{row.length}",
            f"{row.window_octets}",
            server,
            _remark(arrow),
        )


def _remark(arrow: Arrow) -> str:
    """What is special about a segment, as HTML."""
    words = [_("lost")] if arrow.lost else []
    if arrow.kind:
        words.append(_(KINDS[arrow.kind]))
    if arrow.original is not None and arrow.original.number is not None:
        words.append(_("packet {n}").format(n=arrow.original.number))
    text = text_of(_(", ").join(words))
    fault = fault_of(arrow)
    if fault is None:
        return text
    return f"{text} {tag('strong', text_of(f'{fault.code} {fault.name}'), class_=str(fault.severity))}".strip()
