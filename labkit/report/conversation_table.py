"""The segments of a capture as a table, as JSON and in the notation, for `labkit show`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from json import dumps

import click

from labkit.analysis.flows import Flow
from labkit.analysis.states import Row, flow_of
from labkit.build.script import ends_line, start_line
from labkit.capture import Interface
from labkit.i18n import _, padded, printable
from labkit.report.segment_line import details, seconds, segment_text
from labkit.tcp.notation import CLIENT, Line, format_line, pattern
from labkit.tcp.notation import format_option as option_text
from labkit.tcp.options import Raw
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment, control_names
from labkit.tcp.seq import add
from labkit.tcp.state import DOCUMENT_WORDS, State

MAX_PREVIEW = 2_000
"""Rows to read before the first is printed, which set the width of the columns and show if there are several conversations."""

STATE_WIDTH = 12
LIVE_WIDTH = 36
"""The least width of the segment column when rows are printed as they come."""


STATE_COLOURS = {
    State.SYN_SENT: "yellow",
    State.SYN_RECEIVED: "yellow",
    State.ESTABLISHED: "green",
    State.FIN_WAIT_1: "blue",
    State.FIN_WAIT_2: "blue",
    State.CLOSE_WAIT: "blue",
    State.CLOSING: "blue",
    State.LAST_ACK: "blue",
    State.TIME_WAIT: "magenta",
}
"""The colours of states on a terminal; the others have none."""


@dataclass(frozen=True, slots=True)
class TableStyle:
    """A user's options for the table."""

    document: bool = False
    """Show the states in the words and places of the document's tables."""
    window: bool = False
    """Show the window of every segment, not only of SYNs."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The capture's names for addresses; read when the first row is printed."""
    interfaces: Sequence[Interface] = ()
    """The capture's interfaces; the table names them if there are several."""
    live: bool = False
    """Print each row as it comes, without a preview of later rows."""
    several: bool = False
    """Number the conversations from the first row on."""


def _text(rows: Iterator[Row], style: TableStyle) -> Iterator[str]:
    preview = list(islice(rows, 1 if style.live else MAX_PREVIEW))
    if not preview:
        return
    several = style.several or len({row.flow.index for row in preview}) > 1 or len(preview) == MAX_PREVIEW
    start = preview[0].time
    width = max(len(segment_text(row, window=style.window)) for row in preview)
    width = max(width, LIVE_WIDTH) if style.live else width
    begun: set[int] = set()
    for row in chain(preview, rows):
        if row.flow.index not in begun:
            begun.add(row.flow.index)
            yield from _opening(row, several, width, style, head=len(begun) == 1)
        client, server = _states(row, style.document)
        text = segment_text(row, window=style.window)
        more = details(row)
        index = f"{row.flow.index:>4} " if several else ""
        cells = (
            (client, STATE_WIDTH, _state_colour(row, 0, style)),
            (text, width, _segment_colour(row)),
            (server, STATE_WIDTH, _state_colour(row, 1, style)),
            (more, 0, "bright_black"),
        )
        line = f"{index}{row.number:>5} {seconds(row.time - start):>11}"
        yield (line + "".join(_cell(*each) for each in cells)).rstrip()


def _cell(text: str, width: int, colour: str | None) -> str:
    """A cell of the table with the space before it: coloured text, and plain space up to its width."""
    shown = click.style(text, fg=colour) if text and colour else text
    return f"  {shown}{' ' * (width - len(text))}"


def _segment_colour(row: Row) -> str | None:
    """The colour of a segment: what opens and closes, resets, and data stand out from pure ACKs."""
    if row.ctl & RST:
        return "red"
    if row.ctl & (SYN | FIN):
        return "green"
    return "cyan" if row.length else None


def _state_colour(row: Row, end: int, style: TableStyle) -> str | None:
    states = row.shown if style.document else row.states
    state = states[end]
    return STATE_COLOURS.get(state) if state is not None else None


def _opening(row: Row, several: bool, width: int, style: TableStyle, *, head: bool) -> Iterator[str]:
    """Yield the lines above a conversation's first segment; `head` adds the names of the columns."""
    client, server = flow_of(row)
    title = f"{_named(client, style)} ↔ {_named(server, style)}"
    if several:
        title = _("conversation {n}: ").format(n=row.flow.index) + title
    if len(style.interfaces) > 1:
        title += _(" at interface {name}").format(name=_interface_names(row.flow, style.interfaces))
    yield click.style(title, bold=True)
    index = "flow " if several else ""
    if head:
        columns = (
            f"{index}{padded(_('no.'), -5)} {padded(_('time'), -11)}  {padded(_('client'), STATE_WIDTH)}  "
            f"{padded(_('segment'), width)}  {padded(_('server'), STATE_WIDTH)}"
        )
        yield click.style(columns.rstrip(), underline=False, dim=True)
    if row.states[0] == State.SYN_SENT and row.sender == CLIENT:
        # Without a SYN ACK nobody is known to listen.
        listen = "LISTEN" if row.states[1] == State.SYN_RECEIVED else ""
        lead = " " * (5 if several else 0)
        yield f"{lead}{'':>5} {'':>11}  {'CLOSED':<{STATE_WIDTH}}  {'':<{width}}  {listen}".rstrip()


def _interface_names(flow: Flow, interfaces: Sequence[Interface]) -> str:
    """The interfaces at which a conversation was captured so far, by name or else by number."""
    points = [point for point in dict.fromkeys(flow.seen_at) if 0 <= point < len(interfaces)]
    return " / ".join(printable(interfaces[point].name) or str(point) for point in points)


def _named(end: str, style: TableStyle) -> str:
    """An end, with the capture's name for its address."""
    name = style.names.get(end.rpartition(":")[0].strip("[]"))
    return f"{name} {end}" if name else end


def _states(row: Row, document: bool) -> tuple[str, str]:
    if document:
        client, server = (DOCUMENT_WORDS[state] if state else "" for state in row.shown)
    else:
        client, server = (str(state) if state else "" for state in row.states)
    return client, server


def _record(row: Row, document: bool) -> dict[str, object]:
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


def _json(rows: Iterable[Row], style: TableStyle) -> Iterator[str]:
    yield '{"segments": ['
    last = None
    for row in rows:
        if last is not None:
            yield f" {last},"
        last = dumps(_record(row, style.document))
    yield f" {last}" if last is not None else ""
    yield "]}"


def _jsonl(rows: Iterable[Row], style: TableStyle) -> Iterator[str]:
    for row in rows:
        yield dumps(_record(row, style.document))


def _notation(rows: Iterable[Row], style: TableStyle) -> Iterator[str]:  # noqa: ARG001 - every format has it
    """Yield the lines from which `labkit.build.script` builds the same segments, with times, addresses and payloads."""
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


FORMATS: dict[str, Callable[[Iterator[Row], TableStyle], Iterator[str]]] = {
    "text": _text,
    "json": _json,
    "jsonl": _jsonl,
    "notation": _notation,
}
"""The functions that turn rows into lines, by output format."""
