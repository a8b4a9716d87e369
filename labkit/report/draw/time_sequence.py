"""The time-sequence graph, with the marks of tcptrace: what was sent, acknowledged and allowed, over time."""

from collections.abc import Iterator

from labkit.i18n import N_, _
from labkit.report.draw import DrawOptions, _plot, _svg
from labkit.report.draw._columns import read
from labkit.report.draw._curves_page import curves_page
from labkit.report.draw._series import (
    ACKED,
    AGAIN,
    CLOSED,
    DATA,
    DUPLICATE,
    LATE,
    OPENED,
    PUSHED,
    RESET,
    SACKED,
    WINDOW,
    ZERO,
    Direction,
    Marks,
)
from labkit.report.draw._subject import Subject

SUMMARY = N_("sequence numbers over time with the marks of tcptrace: segments, ACKs, window, SACK, retransmissions")

STREAMS = True

SPANS = {DATA: "data", PUSHED: "data", AGAIN: "fault", LATE: "warning", SACKED: "again"}
"""Marks that reach from one number to another, with their colours."""

LETTERS = {AGAIN: "R", LATE: "O", ZERO: "Z", OPENED: "SYN", CLOSED: "FIN", RESET: "RST"}

TICK = 6.0
"""The least height of a segment whose ticks are drawn if there are many."""

MAX_LETTERS = 400
"""Letters in a picture; there is no room for more."""


def directions(subject: Subject) -> list[Direction]:
    """Both directions of the first conversation that carry payload; the first one if none does."""
    for conversation in subject.conversations[:1]:
        both = read(subject, conversation)
        return [each for each in both if each.sends] or [both[0]]
    return []


def span_of(found: list[Direction]) -> tuple[int, int]:
    """The first and the last time of all directions, which are drawn on one scale."""
    spans = [each.marks.span for each in found if each.marks]
    return min((first for first, _last in spans), default=0), max((last for _first, last in spans), default=0)


def svg(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
    """Draw a graph for each direction."""
    parts: list[str] = []
    top = 0.0
    found = [each for each in directions(subject) if each.marks]
    span = span_of(found)
    for direction in found:
        parts += graph(direction, top, span)
        top += _plot.HEIGHT + 24
    if not parts:
        parts.append(_svg.label(8, 24, subject.nothing, "muted"))
    yield _svg.document(
        _plot.WIDTH,
        max(top, 40),
        parts,
        title=_("{name}: time and sequence").format(name=subject.title),
        style=_svg.style(),
    )


def graph(direction: Direction, top: float, span: tuple[int, int]) -> Iterator[str]:
    """Yield the elements of one direction's graph; `span` has its first and last time."""
    marks = direction.marks
    lowest = min(low for _time, low, _high, _packet in marks.of(*SPANS, ACKED, OPENED, RESET))
    highest = max(high for _time, _low, high, _packet in marks.of(*SPANS, ACKED, OPENED, RESET))
    # The window may lie far above everything that is sent: then it is drawn at the upper edge, and an arrow says so.
    edge = max((low for _time, low, _high, _packet in marks.of(WINDOW)), default=highest)
    highest = max(min(edge, highest + max((highest - lowest) // 3, 10)), highest)
    axes = _plot.Axes(span, (lowest, highest), top)
    yield from axes.draw(f"{direction.source} → {direction.target}", _("seconds"), _("sequence number, relative"))
    yield from axes.legend(
        (
            (_("segment"), "data"),
            (_("R: sent again"), "fault"),
            *([(f"O: {_('fills a gap')}", "warning")] if marks.count(LATE) else []),
            (_("SACK"), "again"),
            (_("acknowledged"), "control"),
            (f"{_('window')} ↑" if edge > highest else _("window"), "warning"),
        )
    )
    acked = [(time, low) for time, low, _high, _packet in marks.of(ACKED)]
    yield axes.line(acked, "arrow control-line", steps=True)
    window = [(time, min(low, highest)) for time, low, _high, _packet in marks.of(WINDOW)]
    yield axes.line(window, "arrow warning-line", steps=True)
    for kind, colour in SPANS.items():
        yield from _spans(axes, marks, kind, colour)
    yield from _ticks(axes, marks)
    yield from _letters(axes, marks)


def _spans(axes: _plot.Axes, marks: Marks, kind: int, colour: str) -> Iterator[str]:
    """Yield the marks of one kind as one element: a line from the first to the last octet, with ticks at its ends."""
    columns: dict[int, list[tuple[int, int, int]]] = {}
    for time, low, high, _packet in marks.of(kind):
        columns.setdefault(axes.column(time), []).append((time, low, high))
    steps = []
    for found in columns.values():
        merged: list[list[int]] = []
        # Small segments of one column that touch are one line.
        for time, low, high in sorted(found, key=lambda each: each[1]):
            small = axes.y(low) - axes.y(high) < TICK
            if small and len(found) > 8 and merged and low <= merged[-1][2]:
                merged[-1][2] = max(merged[-1][2], high)
            else:
                merged.append([time, low, high])
        for time, low, high in merged:
            x, y, upper = (_svg.number_of(each) for each in (axes.x(time), axes.y(low), axes.y(high)))
            left = _svg.number_of(axes.x(time) - 3)
            steps.append(f"M{x} {y}V{upper}M{left} {y}h6M{left} {upper}h6")
    if steps:
        yield _svg.element(
            "path", d="".join(steps), class_=f"arrow {colour}-line" + (" thick" if kind == AGAIN else "")
        )


def _ticks(axes: _plot.Axes, marks: Marks) -> Iterator[str]:
    """Yield a tick on the line of acknowledgements for each duplicate ACK, and `3` at the third."""
    places: dict[tuple[int, int], int] = {}
    for time, low, count, _packet in marks.of(DUPLICATE):
        place = axes.column(time), low
        places[place] = max(places.get(place, 0), count)
        if count == 3:
            yield _svg.label(axes.x(time), axes.y(low) + 14, "3", "control small strong", anchor="middle")
    steps = [
        f"M{_svg.number_of(_plot.LEFT + column * (_plot.WIDTH - _plot.LEFT - _plot.RIGHT) / _plot.COLUMNS)} "
        f"{_svg.number_of(axes.y(low))}v6"
        for column, low in places
    ]
    if steps:
        yield _svg.element("path", d="".join(steps), class_="arrow control-line")


def _letters(axes: _plot.Axes, marks: Marks) -> Iterator[str]:
    written: set[tuple[int, int]] = set()
    for kind, letter in LETTERS.items():
        for time, low, high, packet in marks.of(kind):
            x = min(axes.x(time), _plot.WIDTH - _plot.RIGHT - 12)
            y = max(axes.y(high if kind in (AGAIN, LATE) else low), axes.top + 18)
            # Letters that would lie on each other are written once.
            place = int(x // 12), int(y // 12)
            if place not in written and len(written) < MAX_LETTERS:
                written.add(place)
                title = _svg.element("title", _svg.text_of(_("packet {n}").format(n=packet)))
                colour = "fault" if kind in (AGAIN, ZERO, RESET) else "warning" if kind == LATE else "control"
                yield _svg.element(
                    "text",
                    f"{title}{letter}",
                    x=float(x),
                    y=float(y - 6),
                    class_=f"{colour} small strong halo",
                    text_anchor="middle",
                )


def xpl(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
    """Write the graph of the direction with the most octets for xplot, as tcptrace does."""
    found = sorted(directions(subject), key=lambda each: -sum(each.fresh.value))
    for direction in found[:1]:
        yield "timeval double"
        yield "title"
        yield f"{'_'.join(direction.source.split())}_==>_{'_'.join(direction.target.split())} (time sequence graph)"
        yield from ("xlabel", "time", "ylabel", "sequence number")
        yield from _xpl_marks(direction.marks, subject.start)
        yield "go"


XPL_COLOURS = {
    DATA: "white",
    PUSHED: "white",
    AGAIN: "red",
    LATE: "magenta",
    SACKED: "purple",
    ZERO: "red",
    OPENED: "orange",
    CLOSED: "orange",
    RESET: "red",
}


def _xpl_marks(marks: Marks, start: int) -> Iterator[str]:
    """Yield the commands of xplot for each mark."""
    last: dict[int, tuple[str, int]] = {}
    for nanoseconds, _packet, kind, low, high in marks.all():
        time = f"{(start + nanoseconds) // 1_000_000_000}.{(start + nanoseconds) // 1000 % 1_000_000:06d}"
        if kind in XPL_COLOURS:
            yield XPL_COLOURS[kind]
        if kind in SPANS:
            yield f"line {time} {low} {time} {high}"
            if kind != SACKED:
                yield f"darrow {time} {low}"
                yield f"diamond {time} {high}" if kind == PUSHED else f"uarrow {time} {high}"
            else:
                yield from (f"rtext {time} {high}", "S")
        elif kind in (ACKED, WINDOW):
            yield "green" if kind == ACKED else "yellow"
            if kind in last:
                before, value = last[kind]
                yield f"line {before} {value} {time} {value}"
                yield f"line {time} {value} {time} {low}"
            last[kind] = time, low
        elif kind == DUPLICATE:
            yield from ("green", f"dtick {time} {low}")
            if high == 3:
                yield from (f"atext {time} {low}", "3")
        if kind in LETTERS:
            yield from (f"atext {time} {high if kind in (AGAIN, LATE) else low}", LETTERS[kind])


def html(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
    """Draw a page with this graph and all curves, which can be zoomed together."""
    yield from curves_page(subject, directions(subject))


FORMATS = {"svg": svg, "html": html, "xpl": xpl}
