"""The segments of a capture as a table, as JSON and in the notation, for `labkit show`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import click

from labkit.analysis.entry import CLIENT
from labkit.analysis.flows import Flow
from labkit.analysis.states import Lines, Row, flow_of
from labkit.capture import Interface
from labkit.i18n import _, padded, printable
from labkit.report.segment_line import (
    CONTROLS,
    WIDE_CONTROLS,
    details,
    seconds,
    segment_text,
    start_of_segment,
    width_of_controls,
)
from labkit.tcp.flags import ACK, FIN, RST, SYN, URG, control_names
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
    colour: bool = True
    """Colour the rows."""


class TextTable:
    """The table for people: a line for each row, and more above the first row of each conversation."""

    def __init__(self, style: TableStyle) -> None:
        self._style = style
        self._several = style.several
        self._width = 0
        self._controls = CONTROLS
        self._begun: set[int] = set()
        self.start = 0
        """The time of the first row, which is shown as 0."""
        self.document = style.document
        self.ready = False
        """Whether the widths of the columns are known."""

    def lines(self, rows: Iterator[Row | Lines]) -> Iterator[str]:
        """The lines of the table; what was made with `template` may be several in one text."""
        style = self._style
        # Before `ready`, there are no lines.
        preview = [row for row in islice(rows, 1 if style.live else MAX_PREVIEW) if isinstance(row, Row)]
        if not preview:
            return
        self._several |= len({row.flow.index for row in preview}) > 1 or len(preview) == MAX_PREVIEW
        self.start = preview[0].time
        more = style.live or len(preview) == MAX_PREVIEW
        self._controls = width_of_controls(preview, WIDE_CONTROLS if more else CONTROLS)
        width = max(map(len, map(self._segment, preview)))
        self._width = max(width, LIVE_WIDTH) if style.live else width
        self.ready = not style.window
        for row in chain(preview, rows):
            if isinstance(row, Lines):
                yield row.text[:-1]
                continue
            if row.flow.index not in self._begun:
                self._begun.add(row.flow.index)
                yield from _opening(row, self._several, self._width, style, head=len(self._begun) == 1)
            yield self._line(row)

    def _line(self, row: Row) -> str:
        style = self._style
        states = row.shown if style.document else row.states
        client, server = _states(row, style.document)
        index = f"{row.flow.index:>4} " if self._several else ""
        text = self._segment(row)
        line = f"{index}{row.number:>5} {seconds(row.time - self.start):>11}"
        line += _cell(client, STATE_WIDTH, _state_colour(states[0]), style)
        line += _cell(text, self._width, _segment_colour(row.ctl, row.length), style)
        line += _cell(server, STATE_WIDTH, _state_colour(states[1]), style)
        return (line + _cell(details(row), 0, "bright_black", style)).rstrip()

    def _segment(self, row: Row) -> str:
        return segment_text(row, window=self._style.window, controls=self._controls)

    def template(self, row: Row) -> str | None:
        """`_line` with placeholders, for rows that differ from this one only in numbers; None if they need more.

        The placeholders are those of `labkit.analysis.native.line_writer`.
        """
        if row.ctl & URG or not row.ctl & ACK:
            return None
        style = self._style
        states = row.shown if style.document else row.states
        client, server = (
            _cell(word, STATE_WIDTH, _state_colour(state), style)
            for word, state in zip(_states(row, style.document), states, strict=True)
        )
        numbers = "seq={relative_seq} ack={relative_ack}" + (" len={length}" if row.length else "")
        start = start_of_segment(row.sender, row.ctl, self._controls)
        before, after = _cell("|", 0, _segment_colour(row.ctl, row.length), style).split("|")
        octets = self._width + len(start.encode()) - len(start) + len(after)
        segment = f"{before}{{mark}}{start}{numbers}{after}{{pad:{octets}}}"
        more = _cell("raw seq {seq} ack {ack}", 0, "bright_black", style)
        index = "{flow:4} " if self._several else ""
        return f"{index}{{number:5}} {{seconds:4}}.{{micro:06}}{client}{segment}{server}{more}"


def _cell(text: str, width: int, colour: str | None, style: TableStyle) -> str:
    """A cell of the table with the space before it: coloured text, and plain space up to its width."""
    shown = click.style(text, fg=colour) if text and colour and style.colour else text
    return f"  {shown}{' ' * (width - len(text))}"


def _segment_colour(ctl: int, length: int) -> str | None:
    """The colour of a segment: what opens and closes, resets, and data stand out from pure ACKs."""
    if ctl & RST:
        return "red"
    if ctl & (SYN | FIN):
        return "green"
    return "cyan" if length else None


def _state_colour(state: State | None) -> str | None:
    return STATE_COLOURS.get(state) if state is not None else None


def _opening(row: Row, several: bool, width: int, style: TableStyle, *, head: bool) -> Iterator[str]:
    """Yield the lines above a conversation's first segment; `head` adds the names of the columns."""
    client, server = flow_of(row)
    title = f"{_named(client, style)} ↔ {_named(server, style)}"
    if several:
        title = _("conversation {n}: ").format(n=row.flow.index) + title
    if len(style.interfaces) > 1:
        title += _(" at interface {name}").format(name=_interface_names(row.flow, style.interfaces))
    yield click.style(title, bold=True) if style.colour else title
    index = "flow " if several else ""
    if head:
        columns = (
            f"{index}{padded(_('no.'), -5)} {padded(_('time'), -11)}  {padded(_('client'), STATE_WIDTH)}  "
            f"{padded(_('segment'), width)}  {padded(_('server'), STATE_WIDTH)}"
        )
        yield click.style(columns.rstrip(), dim=True) if style.colour else columns.rstrip()
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


def _word(state: State | None, *, document: bool) -> str:
    """A state's name, or the document's for it; empty where there is none."""
    if state is None:
        return ""
    return DOCUMENT_WORDS[state] if document else str(state)


def _states(row: Row, document: bool) -> tuple[str, str]:
    client, server = row.shown if document else row.states
    return _word(client, document=document), _word(server, document=document)


def _record(row: Row, document: bool) -> dict[str, object]:
    from labkit.tcp.notation import format_option

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
        "options": [format_option(option) for option in row.options],
    }


def _json(rows: Iterable[Row], style: TableStyle) -> Iterator[str]:
    from json import dumps

    yield '{"segments": ['
    last = None
    for row in rows:
        if last is not None:
            yield f" {last},"
        last = dumps(_record(row, style.document))
    yield f" {last}" if last is not None else ""
    yield "]}"


def _jsonl(rows: Iterable[Row], style: TableStyle) -> Iterator[str]:
    from json import dumps

    for row in rows:
        yield dumps(_record(row, style.document))


def _notation(rows: Iterable[Row], style: TableStyle) -> Iterator[str]:  # noqa: ARG001 - every format has it
    """Yield the lines from which `labkit.build.script` builds the same segments, with times, addresses and payloads. A comment
    names a segment that no line can hold."""
    from labkit.build.script import ends_line, start_line
    from labkit.tcp.notation import MAX_PAYLOAD_OCTETS, Line, format_line, pattern
    from labkit.tcp.options import Raw
    from labkit.tcp.segment import Segment

    named: tuple[str, str] | None = None
    start = None
    for row in rows:
        if start is None:
            start = row.time
            yield start_line(start)
        if flow_of(row) != named:
            named = flow_of(row)
            yield ends_line(*named)
        if row.length > MAX_PAYLOAD_OCTETS:  # a frame may claim any length
            text = _("# packet {number} is left out: it has {length} octets of payload, a line at most {most}")
            yield text.format(number=row.number, length=row.length, most=MAX_PAYLOAD_OCTETS)
            continue
        options = (*row.options, Raw(bytes(row.options_cut))) if row.options_cut else row.options
        missing = row.length - len(row.payload)
        payload = row.payload + pattern(add(row.seq, len(row.payload)), missing)
        segment = Segment(row.seq, row.ack, row.ctl, row.window, payload, options, row.urgent, row.ecn)
        yield format_line(Line(row.sender, segment, row.time - start, edits=dict(row.edits)))


def _text(rows: Iterator[Row], style: TableStyle) -> Iterator[str]:
    return TextTable(style).lines(rows)


FORMATS: dict[str, Callable[[Iterator[Row], TableStyle], Iterator[str]]] = {
    "text": _text,
    "json": _json,
    "jsonl": _jsonl,
    "notation": _notation,
}
"""The functions that turn rows into lines, by output format."""
