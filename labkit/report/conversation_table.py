"""A capture's conversations as a table for people, as JSON, and in the notation: what `labkit show` prints."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from json import dumps

import click

from labkit.analysis.flows import Flow
from labkit.analysis.states import Row, flow_of
from labkit.build.script import ends_line, start_line
from labkit.capture import Interface
from labkit.i18n import _
from labkit.report.segment_line import details, seconds, segment_text
from labkit.tcp.notation import CLIENT, Line, format_line, pattern
from labkit.tcp.notation import format_option as option_text
from labkit.tcp.options import Raw
from labkit.tcp.segment import ACK, Segment, control_names
from labkit.tcp.seq import add
from labkit.tcp.state import DOCUMENT_WORDS, State

PREVIEW = 2_000
"""Rows that are looked at before the first is printed, to know how many conversations there are and how wide they get."""

STATE_WIDTH = 12
ALONG_WIDTH = 36
"""Characters of a segment where its row is printed before the next one is known."""


@dataclass(frozen=True, slots=True)
class Style:
    """What a user can choose about the table."""

    document: bool = False
    """The states where the document's tables have them, in its words."""
    window: bool = False
    """The window on every segment, not only on those with SYN."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The names that the capture gives to addresses; read when the first row is printed."""
    interfaces: Sequence[Interface] = ()
    """The capture's interfaces; they are named where there are several."""
    along: bool = False
    """Each row is printed when it comes: nothing is known of those after it."""
    several: bool = False
    """There are several conversations, though nothing may be known of them yet."""


def _text(rows: Iterator[Row], style: Style) -> Iterator[str]:
    preview = list(islice(rows, 1 if style.along else PREVIEW))
    if not preview:
        return
    many = style.several or len({row.flow.index for row in preview}) > 1 or len(preview) == PREVIEW
    start = preview[0].time
    width = max(len(segment_text(row, window=style.window)) for row in preview)
    width = max(width, ALONG_WIDTH) if style.along else width
    begun: set[int] = set()
    for row in chain(preview, rows):
        if row.flow.index not in begun:
            begun.add(row.flow.index)
            yield from _opening(row, many, width, style, head=len(begun) == 1)
        client, server = _states(row, style.document)
        text = segment_text(row, window=style.window)
        more = details(row)
        index = f"{row.flow.index:>4} " if many else ""
        line = (
            f"{index}{row.number:>5} {seconds(row.time - start):>11}  {client:<{STATE_WIDTH}}  {text:<{width}}  "
            f"{server:<{STATE_WIDTH}}  {click.style(more, dim=True) if more else ''}"
        )
        yield line.rstrip()


def _opening(row: Row, many: bool, width: int, style: Style, *, head: bool) -> Iterator[str]:
    """What stands above a conversation's first segment; with the columns' names above the first conversation."""
    client, server = flow_of(row)
    title = f"{_named(client, style)} ↔ {_named(server, style)}"
    if many:
        title = _("conversation {n}: ").format(n=row.flow.index) + title
    if len(style.interfaces) > 1:
        title += _(" at interface {name}").format(name=_points(row.flow, style.interfaces))
    yield click.style(title, bold=True)
    index = "flow " if many else ""
    if head:
        columns = (
            f"{index}{_('no.'):>5} {_('time'):>11}  {_('client'):<{STATE_WIDTH}}  {_('segment'):<{width}}  "
            f"{_('server'):<{STATE_WIDTH}}"
        )
        yield click.style(columns.rstrip(), underline=False, dim=True)
    if row.states[0] == State.SYN_SENT and row.sender == CLIENT:
        # Where nobody answers, or with a SYN of its own, nobody is known to listen.
        listen = "LISTEN" if row.states[1] == State.SYN_RECEIVED else ""
        lead = " " * (5 if many else 0)
        yield f"{lead}{'':>5} {'':>11}  {'CLOSED':<{STATE_WIDTH}}  {'':<{width}}  {listen}".rstrip()


def _points(flow: Flow, interfaces: Sequence[Interface]) -> str:
    """The interfaces at which a conversation was seen so far, by name where they have one."""
    points = [point for point in dict.fromkeys(flow.seen_at) if 0 <= point < len(interfaces)]
    return " / ".join(interfaces[point].name or str(point) for point in points)


def _named(end: str, style: Style) -> str:
    """An end with the name that the capture gives to its address."""
    name = style.names.get(end.rpartition(":")[0].strip("[]"))
    return f"{name} {end}" if name else end


def _states(row: Row, document: bool) -> tuple[str, str]:
    if document:
        client, server = (DOCUMENT_WORDS[state] if state else "" for state in row.shown)
    else:
        client, server = (str(state) if state else "" for state in row.states)
    return client, server


def _plain(row: Row, document: bool) -> dict[str, object]:
    client, server = _states(row, document)
    ends = flow_of(row)
    return {
        "packet": row.number,
        "time": row.time / 1e9,
        "flow": row.flow.index,
        "source": ends[row.sender],
        "destination": ends[1 - row.sender],
        "from": ("client", "server")[row.sender],
        "client_state": client or None,
        "server_state": server or None,
        "flags": control_names(row.ctl).split(),
        "seq": row.seq,
        "ack": row.ack if row.ctl & ACK else None,
        "relative_seq": row.relative_seq,
        "relative_ack": row.relative_ack if row.ctl & ACK else None,
        "length": row.length,
        "window": row.window,
        "options": [option_text(option) for option in row.options],
    }


def _json(rows: Iterable[Row], style: Style) -> Iterator[str]:
    yield '{"segments": ['
    last = None
    for row in rows:
        if last is not None:
            yield f" {last},"
        last = dumps(_plain(row, style.document))
    yield f" {last}" if last is not None else ""
    yield "]}"


def _jsonl(rows: Iterable[Row], style: Style) -> Iterator[str]:
    for row in rows:
        yield dumps(_plain(row, style.document))


def _notation(rows: Iterable[Row], style: Style) -> Iterator[str]:  # noqa: ARG001 - as its siblings
    """What `labkit.build.script` reads: the same segments again, with their times, addresses and payloads."""
    named: tuple[str, str] | None = None
    start = None
    for row in rows:
        if start is None:
            start = row.time
            yield start_line(start)
        if flow_of(row) != named:
            named = flow_of(row)
            yield ends_line(*named)
        options = (*row.options, Raw(bytes(row.options_cut))) if row.options_cut else row.options
        missing = row.length - len(row.payload)
        payload = row.payload + pattern(add(row.seq, len(row.payload)), missing)
        segment = Segment(row.seq, row.ack, row.ctl, row.window, payload, options, row.urgent, row.ecn)
        yield format_line(Line(row.sender, segment, row.time - start, edits=dict(row.edits)))


FORMATS: dict[str, Callable[[Iterator[Row], Style], Iterator[str]]] = {
    "text": _text,
    "json": _json,
    "jsonl": _jsonl,
    "notation": _notation,
}
"""What prints rows, by the name of the output format."""
