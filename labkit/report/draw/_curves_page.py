"""A page with all curves of a conversation: time-sequence, throughput, round-trip time, octets in flight; they zoom together.

The marks are in the page as columns in base64. If there are too many, one mark stands for several, with their least and greatest
value; the page's script makes coarser levels of them, so that drawing takes the same time at every zoom.
"""

import sys
from array import array
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from json import dumps

from labkit.i18n import N_, _
from labkit.report.draw._page import document, tag
from labkit.report.draw._series import (
    ACKED,
    AGAIN,
    CLOSED,
    DATA,
    DUPLICATE,
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

SERIES = (
    # name, kinds, shape, colour, letter; what lies outside does not stretch the axis.
    (N_("segment"), (DATA, PUSHED), "span", "link", ""),
    (N_("sent again"), (AGAIN,), "span", "fault", ""),
    (N_("SACK"), (SACKED,), "span", "again", ""),
    (N_("acknowledged"), (ACKED,), "steps", "right", ""),
    (N_("window"), (WINDOW,), "steps", "warning", ""),
    (N_("duplicate ACK"), (DUPLICATE,), "tick", "right", ""),
    (N_("sent again"), (AGAIN,), "letter", "fault", "R"),
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
    data = dumps({"plots": plots, "words": {"packet": _("packet")}}, separators=(",", ":")).replace("<", "\\u003c")
    title = _("{name}: curves").format(name=subject.title)
    yield from document(
        title, [*body, f'<script type="application/json" id="curves">{data}</script>'], scripts=("curves.js",)
    )


def _body(subject: Subject, directions: Sequence[Direction], plots: list[dict[str, object]]) -> Iterator[str]:
    yield f'<header>{tag("h1", text_of(subject.title))}</header><main id="main">'
    keys = _("Drag to zoom, double-click to see all. With the focus on a plot: + and - zoom, arrows move, 0 shows all.")
    yield tag("p", text_of(keys), class_="muted keys")
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
                yield _figure(f"{heading}, {name}", heading, len(plots))
                plots.append({"unit": unit, "series": series})
    yield "</main>"


def _figure(label: str, heading: str, place: int) -> str:
    canvas = tag("canvas", "", data_plot=place, tabindex=0, role="img", aria_label=label)
    return tag("figure", f"{tag('figcaption', text_of(heading))}{canvas}<output></output>", class_="plot")


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
        yield heading, [_series(heading, curve.points(MAX_VALUES), shape, "link", "", zero=True)], unit


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
