"""A ladder as SVG: bars for the states of both ends, and an arrow for each segment."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labkit.analysis.severity import Severity
from labkit.i18n import _, cut, width
from labkit.report.draw import _svg
from labkit.report.draw._conversation import CLIENT, SERVER, Conversation
from labkit.report.draw._folding import Fold, Part
from labkit.report.draw._ladder_layout import EXPECTED, Layout, Pause, Placed, first_states, layout
from labkit.report.draw._marks import PHASES, expected_label, fault_of, follows, hover, label_of, missing_text, role
from labkit.report.segment_line import seconds
from labkit.tcp.state import State

WIDTH = 1040.0
BARS = (214.0, 826.0)
"""The middle of both bars."""

BAR = 12.0
INNER = (BARS[CLIENT] + BAR / 2, BARS[SERVER] - BAR / 2)
OUTER = (BARS[CLIENT] - BAR / 2, BARS[SERVER] + BAR / 2)
STATES = (OUTER[CLIENT] - 24, OUTER[SERVER] + 24)
"""Where the names of states end and begin; ties of retransmissions run between them and the bars."""

TIMES = (8.0, WIDTH - 8)
HEAD = 62.0
GAP = 12.0
"""The height of the bars above the first arrow."""

TIP = 7.0
"""The length of an arrow's tip."""

LOST_AT = 0.62
"""The share of its way after which a lost segment ends."""

TIME = 12.0
"""The least distance of two times."""

CHARACTER = 7.3
"""The width of a character of a label."""


@dataclass(slots=True)
class Ladder:
    """What the ladder of one conversation needs besides its parts."""

    conversation: Conversation
    names: tuple[str, str]
    start: int
    """Times count from here, in nanoseconds since 1970."""
    states: list[State | None]
    """The states of both ends so far."""
    page: bool = False
    """Whether it is drawn for a page, where each segment can have the focus."""


def ladder_of(conversation: Conversation, names: tuple[str, str], start: int, *, page: bool = False) -> Ladder:
    """The ladder of a conversation from its beginning."""
    return Ladder(conversation, names, start, first_states(conversation), page)


def draw(ladder: Ladder, parts: Sequence[Part], *, head: bool = True) -> tuple[float, list[str]]:
    """The height and the elements of some parts of a ladder. `head` writes the names of both ends above."""
    first = list(ladder.states)
    top = HEAD if head else GAP
    found = layout(ladder.conversation, parts, top, ladder.states)
    drawn = [*_head(ladder.names)] if head else []
    drawn += _bars(found, first, top, named=head)
    drawn += (_fold(y, fold) for y, fold in found.folds)
    drawn += (_pause(pause) for pause in found.pauses)
    places = {id(placed.arrow): placed for placed in found.arrows}
    ties = [placed for placed in found.arrows if placed.arrow.original is not None]
    drawn += [
        _tie(places[id(placed.arrow.original)], placed, lane)
        for lane, placed in enumerate(ties)
        if id(placed.arrow.original) in places
    ]
    drawn += (_segment(placed, ladder) for placed in found.arrows)
    drawn += _times(found, ladder.start)
    return found.height, drawn


def faults_of(conversation: Conversation) -> list[str]:
    """A line for each fault of the conversation as a whole."""
    return [
        f"{_(str(each.severity))}[{each.code}] {each.name}{_(': ')}{each.message}"
        for each in conversation.findings
        if each.severity > Severity.NOTE
    ]


def _segment(placed: Placed, ladder: Ladder) -> str:
    arrow = placed.arrow
    lines = hover(arrow, ladder.start)
    identity = None if arrow.number is None or ladder.page else f"packet-{arrow.number}"
    focus: dict[str, object] = {}
    if ladder.page:
        focus = {"tabindex": 0, "role": "img", "aria-label": _("; ").join(lines), "data-packet": arrow.number}
    return _svg.group(_arrow(placed, lines), class_="segment", id_=identity, **focus)


def _head(names: tuple[str, str]) -> Iterator[str]:
    for end, word in ((CLIENT, _("client")), (SERVER, _("server"))):
        yield _svg.label(BARS[end], 22, word, "ink title", anchor="middle")
        yield _svg.label(BARS[end], 40, names[end], "muted", anchor="middle")
    yield _svg.label(TIMES[CLIENT], 40, _("seconds"), "muted small")
    yield _svg.label(TIMES[SERVER], 40, _("seconds"), "muted small", anchor="end")


def _bars(found: Layout, first: Sequence[State | None], top: float, *, named: bool) -> Iterator[str]:
    """The bars, in the colours of the states, and the states' names; `named` names the first one too."""
    for end in (CLIENT, SERVER):
        state, y, written = first[end], top - GAP, -100.0
        changes = [(change.y, change.state) for change in found.changes if change.end == end]
        for below, after in [*changes, (found.height, None)]:
            yield _bar(end, y, below, state)
            if state is not None and (named or y > top):
                written = max(y + 4, written + 13)
                yield _svg.label(STATES[end], written, state, "ink small", anchor="end" if end == CLIENT else None)
            state, y = after, below


def _bar(end: int, top: float, bottom: float, state: State | None) -> str:
    return _svg.element(
        "rect",
        x=BARS[end] - BAR / 2,
        y=float(top),
        width=BAR,
        height=float(max(bottom - top, 1)),
        class_=PHASES[state] if state is not None else "band",
    )


def _fold(y: float, fold: Fold) -> str:
    middle = (INNER[CLIENT] + INNER[SERVER]) / 2
    return _svg.group(
        (
            _svg.element(
                "rect",
                x=INNER[CLIENT] + 10,
                y=float(y),
                width=INNER[SERVER] - INNER[CLIENT] - 20,
                height=36.0,
                rx=5,
                class_="band",
            ),
            _svg.label(middle, y + 15, f"⋮ {fold}", "ink", anchor="middle"),
            _svg.label(middle, y + 30, fold.details, "muted small", anchor="middle"),
        ),
        class_="fold",
    )


def _pause(pause: Pause) -> str:
    middle = (INNER[CLIENT] + INNER[SERVER]) / 2
    text = _("{time} s later").format(time=seconds(pause.nanoseconds))
    return _svg.label(middle, pause.y + 4, f"· · ·  {text}  · · ·", "muted small halo", anchor="middle")


def _tie(original: Placed, again: Placed, lane: int) -> str:
    """A line beside the bar, from a retransmission back to its original."""
    end = again.arrow.sender
    edge = OUTER[end]
    out = (-1 if end == CLIENT else 1) * (8 + 5 * (lane % 3))
    top, bottom = original.leaves, again.leaves
    return _svg.element(
        "path",
        d=f"M{_svg.number_of(edge)} {_svg.number_of(top)}h{_svg.number_of(float(out))}"
        f"V{_svg.number_of(bottom)}h{_svg.number_of(float(-out))}",
        class_="thin dotted again-line",
    )


def _arrow(placed: Placed, lines: Sequence[str]) -> Iterator[str]:
    """The elements of one arrow: hover text, line, tip or cross, label, times, and the arrow that was expected."""
    arrow = placed.arrow
    colour, fault = role(arrow), fault_of(arrow)
    yield _svg.element("title", "\n".join(map(_svg.text_of, lines)))
    yield from _line(placed, 0.0, f"arrow {colour}-line" + (" thick" if fault else ""), colour, lost=arrow.lost)
    right = expected_label(arrow)
    number = "" if arrow.number is None else f"{arrow.number} "
    text = f"{number}{label_of(arrow)}"
    style = f"{colour} strong" if fault else "ink" if follows(arrow) is None else "warning"
    if fault is not None:
        text += f" ✗ {fault.code}" + ("" if right else f" {fault.name}")
    elif follows(arrow) is not None:
        text += " ↯ " + _("goes on from the mistake")
    yield _label(placed, 0.0, text, style)
    if right:
        yield from _line(placed, EXPECTED, "arrow dashed right-line", "right", lost=False)
        yield _label(placed, EXPECTED, f"{_('expected')} {right}", "right")
    elif missing_text(arrow):
        yield _label(placed, EXPECTED, missing_text(arrow), "right")


def _ends(placed: Placed, down: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves and where it arrives."""
    sender = placed.arrow.sender
    return (INNER[sender], placed.leaves + down), (INNER[1 - sender], placed.arrives + down)


def _line(placed: Placed, down: float, style: str, colour: str, *, lost: bool) -> Iterator[str]:
    (x, y), (to_x, to_y) = _ends(placed, down)
    angle = math.atan2(to_y - y, to_x - x)
    if lost:
        to_x, to_y = x + (to_x - x) * LOST_AT, y + (to_y - y) * LOST_AT
        yield _svg.path(((x, y), (to_x, to_y)), class_=style)
        for sign in (1, -1):
            yield _svg.path(((to_x - 6, to_y - 6 * sign), (to_x + 6, to_y + 6 * sign)), class_="arrow thick fault-line")
        return
    yield _svg.path(((x, y), (to_x - TIP * math.cos(angle) / 2, to_y - TIP * math.sin(angle) / 2)), class_=style)
    corners = [
        (to_x - length * math.cos(angle + turn), to_y - length * math.sin(angle + turn))
        for length, turn in ((0.0, 0.0), (TIP * 1.4, 0.4), (TIP * 1.4, -0.4))
    ]
    yield _svg.element(
        "polygon",
        points=" ".join(f"{_svg.number_of(a)},{_svg.number_of(b)}" for a, b in corners),
        class_=colour,
    )


def _label(placed: Placed, down: float, text: str, style: str) -> str:
    """A label along the arrow, at the end where the segment leaves."""
    (x, y), (to_x, to_y) = _ends(placed, down)
    degrees = math.degrees(math.atan2(to_y - y, abs(to_x - x)))
    inward = 1 if placed.arrow.sender == CLIENT else -1
    at_x, at_y = x + 10 * inward, y - 4 + 10 * math.tan(math.radians(degrees))
    turn = _svg.number_of(degrees * inward)
    return _svg.label(
        at_x,
        at_y,
        _fitting(text),
        f"{style} small halo",
        anchor="end" if placed.arrow.sender == SERVER else None,
        transform=f"rotate({turn} {_svg.number_of(at_x)} {_svg.number_of(at_y)})" if turn != "0" else None,
    )


def _fitting(text: str) -> str:
    """A label that is not longer than the way; the hover text has all of it."""
    most = int((INNER[SERVER] - INNER[CLIENT] - 20) / CHARACTER)
    return text if width(text) <= most else cut(text, most - 1) + "…"


def _times(found: Layout, start: int) -> Iterator[str]:
    """The times at which segments leave, and at which they arrive where the capture shows that; those that have room."""
    for end in (CLIENT, SERVER):
        times = [(placed.leaves, placed.arrow.sent) for placed in found.arrows if placed.arrow.sender == end]
        times += [
            (placed.arrives, placed.arrow.arrives)
            for placed in found.arrows
            if placed.arrow.sender != end
            and placed.arrow.arrives is not None
            and placed.arrow.arrival_number is not None
        ]
        written = 0.0
        for y, time in sorted(times):
            if y >= written + TIME:
                written = y
                anchor = "end" if end == SERVER else None
                yield _svg.label(TIMES[end], y + 4, seconds(time - start), "muted small", anchor=anchor)
