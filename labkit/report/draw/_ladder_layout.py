"""The places of a ladder's arrows: time runs downwards, in proportion where there is room, and never backwards."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from labkit.report.draw._conversation import CLIENT, Arrow, Conversation
from labkit.report.draw._folding import Fold, Part
from labkit.report.draw._marks import expected_label
from labkit.tcp.state import State

LABEL = 21.0
"""The least distance of two arrows that leave the same end: the height of a label."""

EXPECTED = 19.0
"""The height of the arrow that was expected, below the one that was sent."""

LEAST, MOST = 7.0, 40.0
"""The least and the greatest distance of two events that follow each other."""

TIPS = 6.0
"""The least distance of two arrows that arrive at the same end."""

TURN = 14.0
"""The least distance of an arrow that leaves from the one that arrived before."""

FOLD = 44.0
"""The height of a fold."""

PAUSE = 26.0
"""The additional height of a pause in which nothing happens."""


@dataclass(slots=True)
class Placed:
    """An arrow with the heights of both of its ends."""

    arrow: Arrow
    leaves: float = 0.0
    arrives: float = 0.0


@dataclass(slots=True)
class Change:
    """A new state of one end."""

    end: int
    state: State
    y: float
    packet: int | None
    """The packet that brings it about."""


@dataclass(slots=True)
class Pause:
    """A time without events."""

    y: float
    nanoseconds: int


@dataclass(slots=True)
class Layout:
    """Everything that is drawn of one conversation, from top to bottom."""

    arrows: list[Placed] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    folds: list[tuple[float, Fold]] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    height: float = 0.0


@dataclass(slots=True)
class _Event:
    """One end of an arrow."""

    time: int
    rank: int
    end: int
    placed: Placed
    leaves: bool


def layout(conversation: Conversation, parts: Sequence[Part], top: float, states: list[State | None]) -> Layout:
    """Place the parts of a conversation below `top`. `states` are those of both ends so far, and then those at the end."""
    found = Layout(height=top)
    scale = _scale(conversation)
    run: list[Arrow] = []
    for part in parts:
        if isinstance(part, Fold):
            _place(run, found, scale, states)
            run = []
            found.height += LEAST
            found.folds.append((found.height, part))
            found.height += FOLD
            for arrow in part.arrows:
                move(states, arrow)
        else:
            run.append(part)
    _place(run, found, scale, states)
    found.height += MOST / 2
    return found


def _scale(conversation: Conversation) -> float:
    """The height of a nanosecond: a segment on its way falls by about one and a half labels."""
    transit = max(conversation.transit) or 1_000_000
    return 1.5 * LABEL / transit


def _place(run: Sequence[Arrow], found: Layout, scale: float, states: list[State | None]) -> None:
    """Place arrows between two folds; `states` are those of both ends so far."""
    if not run:
        return
    events: list[_Event] = []
    for rank, arrow in enumerate(run):
        placed = Placed(arrow)
        found.arrows.append(placed)
        arrives = arrow.arrives if arrow.arrives is not None else arrow.sent + _usual(run, arrow.sender)
        events.append(_Event(arrow.sent, 2 * rank, arrow.sender, placed, leaves=True))
        events.append(_Event(max(arrives, arrow.sent), 2 * rank + 1, 1 - arrow.sender, placed, leaves=False))
    events.sort(key=lambda event: (event.time, event.rank))
    y, now = found.height, events[0].time
    room = [y - LABEL, y - LABEL]
    """The least height, less a label, at which the next arrow may leave each end."""
    tips = [y - TIPS, y - TIPS]
    for event in events:
        gap = (event.time - now) * scale
        if gap > 6 * MOST:
            found.pauses.append(Pause(y + MOST / 2 + PAUSE / 2, event.time - now))
            y += PAUSE
        y += min(max(gap, 0.0 if event.time == now and not event.leaves else LEAST / 2), MOST)
        if event.leaves:
            y = max(y, room[event.end] + LABEL)
            room[event.end] = y + (EXPECTED if expected_label(event.placed.arrow) else 0)
            event.placed.leaves = y
        else:
            y = max(y, event.placed.leaves + LEAST, tips[event.end] + TIPS)
            tips[event.end] = y + (EXPECTED if expected_label(event.placed.arrow) else 0)
            room[event.end] = max(room[event.end], tips[event.end] + TURN - LABEL)
            event.placed.arrives = y
        now = event.time
        _change(event, y, found, states)
    found.height = max(y, *room) + LABEL / 2


def _usual(run: Sequence[Arrow], sender: int) -> int:
    """The time that other segments of the same sender take."""
    taken = [arrow.arrives - arrow.sent for arrow in run if arrow.sender == sender and arrow.arrives is not None]
    return min(taken, default=0)


def _change(event: _Event, y: float, found: Layout, states: list[State | None]) -> None:
    arrow = event.placed.arrow
    if not event.leaves and arrow.lost:
        return
    state = arrow.sender_state if event.leaves else arrow.receiver_state
    if state is None or state == states[event.end]:
        return
    states[event.end] = state
    found.changes.append(Change(event.end, state, y, arrow.number))


def move(states: list[State | None], arrow: Arrow) -> None:
    """Give both ends the states after a segment."""
    states[arrow.sender] = arrow.sender_state or states[arrow.sender]
    if not arrow.lost:
        states[1 - arrow.sender] = arrow.receiver_state or states[1 - arrow.sender]


def first_states(conversation: Conversation) -> list[State | None]:
    """The states of both ends before the first segment, if a SYN opens the conversation."""
    first = conversation.arrows[0]
    if first.sender_state != State.SYN_SENT:
        return [None, None]
    listens = (
        State.LISTEN if any(arrow.receiver_state == State.SYN_RECEIVED for arrow in conversation.arrows[:4]) else None
    )
    return [State.CLOSED, listens] if first.sender == CLIENT else [listens, State.CLOSED]
