"""A page with all curves of a conversation: time-sequence, throughput, round-trip time, octets in flight; they zoom together.

The marks are in the page as columns in base64. If there are too many, one mark stands for several, with their least and greatest
value; the page's script makes coarser levels of them, so that drawing takes the same time at every zoom.
"""

import sys
from array import array
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from json import dumps
from shlex import quote

from labkit.analysis.severity import Severity
from labkit.i18n import N_, _, ngettext, printable
from labkit.report.draw._conversation import Conversation
from labkit.report.draw._folding import MAX_DRAWN
from labkit.report.draw._page import Unfolding, document, tag, whole_ladder
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
    Curve,
    Direction,
    Marks,
    Point,
    throughput,
)
from labkit.report.draw._subject import Subject
from labkit.report.draw._svg import text_of

MAX_MARKS = 200_000
"""Marks of a page. They take some 33 octets each."""

MAX_VALUES = 10_000
"""Values of one curve."""

MAX_FINDINGS = 200
"""Findings that are listed."""

SERIES = (
    # name, kinds, shape, colour, letter; what lies outside does not stretch the axis.
    (N_("segment"), (DATA, PUSHED), "span", "link", ""),
    (N_("sent again"), (AGAIN,), "span", "fault", ""),
    (N_("fills a gap"), (LATE,), "span", "warning", ""),
    (N_("SACK"), (SACKED,), "span", "again", ""),
    (N_("acknowledged"), (ACKED,), "steps", "right", ""),
    (N_("window"), (WINDOW,), "steps", "warning", ""),
    (N_("duplicate ACK"), (DUPLICATE,), "tick", "right", ""),
    (N_("sent again"), (AGAIN,), "letter", "fault", "R"),
    (N_("fills a gap"), (LATE,), "letter", "warning", "O"),
    (N_("window closed"), (ZERO,), "letter", "fault", "Z"),
    (N_("SYN"), (OPENED,), "letter", "right", "SYN"),
    (N_("FIN"), (CLOSED,), "letter", "right", "FIN"),
    (N_("RST"), (RESET,), "letter", "fault", "RST"),
)
"""What the time-sequence graph shows."""


def curves_page(subject: Subject, directions: Sequence[Direction]) -> Iterator[str]:
    """Yield the lines of the page."""
    plots: list[dict[str, object]] = []
    body = list(_body(subject, directions, plots))
    linked = subject.verdict is not None and bool(subject.conversations)
    data = dumps({"plots": plots, "words": {"packet": _("packet")}}, separators=(",", ":")).replace("<", "\\u003c")
    title = _("{name}: curves").format(name=subject.title)
    yield from document(
        title,
        [*body, f'<script type="application/json" id="curves">{data}</script>'],
        scripts=("page.js", "curves.js") if linked else ("curves.js",),
    )


def _body(subject: Subject, directions: Sequence[Direction], plots: list[dict[str, object]]) -> Iterator[str]:
    yield f'<header>{tag("h1", text_of(subject.title))}</header><main id="main">'
    keys = _("Drag to zoom, double-click to see all. With the focus on a plot: + and - zoom, arrows move, 0 shows all.")
    yield tag("p", text_of(keys), class_="muted keys")
    # A large conversation is neither judged nor drawn as a ladder: that would take longer than its curves.
    linked = subject.conversations[0] if subject.verdict is not None and subject.conversations else None
    if linked is not None:
        words = _(
            "A click on a plot shows the segment in the ladder. A click on a segment or a finding shows its time."
        )
        yield tag("p", text_of(words), class_="muted keys")
        yield from _findings(linked)
    elif subject.conversations:
        command = f"labkit draw {quote(printable(subject.title))} --packets 1-1000 -o part.html"
        text = text_of(
            _("The ladder and the findings of so large a conversation are not on this page. Draw a part of it:")
        )
        yield tag("p", f"{text} {tag('code', text_of(command))}", class_="muted")
    total = sum(len(each.marks) for each in directions)
    stride = -(-total // MAX_MARKS) if total else 1
    for direction in directions:
        name = f"{direction.source} → {direction.target}"
        yield tag("h2", text_of(name))
        if stride > 1:
            text = _("There are {n:,} marks: one stands for {stride} at the finest zoom.")
            yield tag("p", text_of(text.format(n=len(direction.marks), stride=stride)), class_="muted")
        for heading, series, unit in _plots(direction, stride):
            if any(each["count"] for each in series):
                yield _figure(f"{heading}, {name}", heading, len(plots), series)
                plots.append({"unit": unit, "series": series})
    if not plots:
        yield tag("p", text_of(subject.nothing), class_="muted")
    if linked is not None:
        yield tag("h2", text_of(_("Ladder")))
        yield from whole_ladder(subject, linked, Unfolding(f"labkit draw {quote(printable(subject.title))}"), MAX_DRAWN)
    yield "</main>"


def _findings(conversation: Conversation) -> Iterator[str]:
    """Yield a list of the conversation's findings in the order of packets; a button shows the time of each."""
    found = [
        (number, each)
        for arrow in conversation.arrows
        for each in arrow.findings
        if (number := each.packet) is not None and each.severity > Severity.NOTE
    ]
    if not found:
        return
    yield tag("h2", text_of(_("Findings")))
    yield '<ol class="links">'
    for number, each in found[:MAX_FINDINGS]:
        where = _("packet {n}").format(n=number)
        text = text_of(f"{where}{_(': ')}{_(str(each.severity))}[{each.code}] {each.name}{_(': ')}{each.message}")
        yield tag("li", tag("button", text, type="button", data_packet=number, class_=str(each.severity)))
    yield "</ol>"
    if len(found) > MAX_FINDINGS:
        more = len(found) - MAX_FINDINGS
        text = ngettext("and {n:,} more finding", "and {n:,} more findings", more).format(n=more)
        yield tag("p", text_of(text), class_="muted")


def _figure(label: str, heading: str, place: int, series: Iterable[dict[str, object]]) -> str:
    """A plot with its heading, and what its lines are if there are several."""
    caption = text_of(heading)
    lines = [each for each in series if each["count"] and each["shape"] != "letter"]
    if len(lines) > 1:
        caption += "".join(tag("span", text_of(f"━ {each['name']}"), class_=f"line-{each['colour']}") for each in lines)
    canvas = tag("canvas", "", data_plot=place, tabindex=0, role="img", aria_label=label)
    return tag("figure", f"{tag('figcaption', caption)}{canvas}<output></output>", class_="plot")


def _plots(direction: Direction, stride: int) -> Iterator[tuple[str, list[dict[str, object]], float]]:
    """Yield each plot: its heading, its series, and what its values are divided by."""
    marks = direction.marks.thinned(stride, MAX_MARKS // 20)
    sequence = [
        _series(_(name), _points(marks, kinds), shape, colour, letter, outside=kinds == (WINDOW,))
        for name, kinds, shape, colour, letter in SERIES
    ]
    yield _("time and sequence number"), sequence, 1
    for heading, curve, shape, unit in (
        (_("throughput, Mbit/s"), throughput(direction), "steps", 125_000.0),
        (_("round-trip time at the point of capture, ms"), direction.rtt, "line", 1e6),
        (_("bytes in flight"), direction.flight, "steps", 1.0),
    ):
        found = [_series(heading, curve.points(MAX_VALUES), shape, "link", "", zero=True)]
        if curve is direction.flight:
            window = direction.cwnd.points(MAX_VALUES)
            found.append(_series(_("congestion window"), window, shape, "warning", "", zero=True))
        yield heading, found, unit


def _points(marks: Marks, kinds: tuple[int, ...]) -> list[Point]:
    """The marks of some kinds. A duplicate ACK stands at its number; how many came before it does not matter here."""
    found = marks.of(*kinds)
    return [(time, low, low, packet) for time, low, _count, packet in found] if DUPLICATE in kinds else list(found)


def _series(
    name: str,
    points: Sequence[Point],
    shape: str,
    colour: str,
    letter: str,
    *,
    outside: bool = False,
    zero: bool = False,
) -> dict[str, object]:
    """A series as the page's script takes it. `zero`: the axis begins at 0."""
    times, lows, highs, packets = zip(*points, strict=True) if points else ((),) * 4
    return {
        "name": name,
        "shape": shape,
        "colour": colour,
        "letter": letter,
        "outside": outside,
        "zero": zero,
        "thick": colour == "fault",
        "count": len(points),
        "time": _column("d", times),
        "low": _column("d", lows),
        "high": _column("d", highs),
        "packet": _column("I", packets),
    }


def _column(code: str, values: Iterable[int]) -> str:
    """Numbers as base64 of little-endian octets."""
    found = array(code, values)
    if sys.byteorder == "big":
        found.byteswap()
    return b64encode(found.tobytes()).decode()


def curve_points(curve: Curve) -> list[tuple[int, int]]:
    """A curve as points."""
    return list(zip(curve.time, curve.value, strict=True))
