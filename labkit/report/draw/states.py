"""The state diagram of RFC 9293 figure 5, with the ways that both ends of a conversation took."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import click

from labkit.i18n import N_, _
from labkit.report.draw import DrawOptions, _svg
from labkit.report.draw._conversation import CLIENT, SERVER, Conversation
from labkit.report.draw._ladder_layout import first_states, layout
from labkit.report.draw._page import Drawing, drawing_formats
from labkit.report.draw._subject import Subject
from labkit.tcp.state import TRANSITIONS, Event, State

SUMMARY = N_("the states of RFC 9293 with the ways that both ends took")

CONVERSATIONS = 1

RESETS = frozenset({Event.RCV_RST, Event.SEND_RST})
"""Events that lead from nearly every state to CLOSED. As in the RFC's figure, only those that happened are drawn."""

WIDTH, HEIGHT = 1040.0, 800.0
BOX = (136.0, 34.0)

PLACES = {
    State.CLOSED: (520.0, 60.0),
    State.LISTEN: (520.0, 165.0),
    State.SYN_RECEIVED: (180.0, 270.0),
    State.SYN_SENT: (860.0, 270.0),
    State.ESTABLISHED: (520.0, 375.0),
    State.FIN_WAIT_1: (180.0, 480.0),
    State.CLOSE_WAIT: (860.0, 480.0),
    State.CLOSING: (520.0, 575.0),
    State.FIN_WAIT_2: (180.0, 690.0),
    State.LAST_ACK: (860.0, 620.0),
    State.TIME_WAIT: (520.0, 690.0),
}
END = (860.0, 750.0)
"""CLOSED once more, where both ways end."""

LABELS = {
    (State.CLOSED, State.SYN_SENT): 0.45,
    (State.SYN_RECEIVED, State.CLOSE_WAIT): 0.93,
    (State.ESTABLISHED, State.CLOSE_WAIT): 0.28,
}
"""How far along its line the label of a transition stands, where another one covers the usual place."""

COLOURS = {CLIENT: "data", SERVER: "again"}
TERMINAL = {CLIENT: "cyan", SERVER: "magenta"}


@dataclass(frozen=True, slots=True)
class Step:
    """One transition on the way of an end."""

    source: State
    target: State
    packet: int | None
    number: int
    """Counted from 1."""


def ways(conversation: Conversation) -> tuple[list[Step], list[Step]]:
    """The transitions of the client and of the server. A jump that the table does not have is led through the states between."""
    states = first_states(conversation)
    found: tuple[list[Step], list[Step]] = ([], [])
    now = list(states)
    if now[SERVER] == State.LISTEN:
        found[SERVER].append(Step(State.CLOSED, State.LISTEN, None, 1))
    for change in layout(conversation, list(conversation.arrows), 0, states).changes:
        source = now[change.end]
        way = found[change.end]
        if source is not None:
            for one, other in _between(source, change.state):
                way.append(Step(one, other, change.packet, len(way) + 1))
        now[change.end] = change.state
    return found


def _between(source: State, target: State) -> list[tuple[State, State]]:
    """The shortest way from one state to another in the table; a single step if there is none."""
    before: dict[State, State] = {}
    waiting = deque([source])
    while waiting and target not in before:
        state = waiting.popleft()
        for each in TRANSITIONS[state].values():
            if each not in before:
                before[each] = state
                waiting.append(each)
    if target not in before:
        return [(source, target)]
    steps = [(before[target], target)]
    while steps[0][0] != source:
        steps.insert(0, (before[steps[0][0]], steps[0][0]))
    return steps


def _edges(taken: set[tuple[State, State]]) -> dict[tuple[State, State], list[str]]:
    """The transitions to draw, with their events: all but resets, and what was taken."""
    found: dict[tuple[State, State], list[str]] = {}
    for state, events in TRANSITIONS.items():
        for event, target in events.items():
            if event not in RESETS or ((state, target) in taken and (state, target) not in found):
                found.setdefault((state, target), []).append(event.value)
    for each in taken:
        found.setdefault(each, [])
    return found


def _first(subject: Subject) -> tuple[list[Step], list[Step]]:
    return ways(subject.conversations[0]) if subject.conversations else ([], [])


def _taken(both: tuple[list[Step], list[Step]]) -> dict[tuple[State, State], list[tuple[int, Step]]]:
    found: dict[tuple[State, State], list[tuple[int, Step]]] = {}
    for end, way in enumerate(both):
        for step in way:
            found.setdefault((step.source, step.target), []).append((end, step))
    return found


def _drawing(subject: Subject, options: DrawOptions) -> Drawing:  # noqa: ARG001 - every picture takes options
    title = _("{name}: states").format(name=subject.title)
    return Drawing(title, _(SUMMARY), WIDTH, HEIGHT, _diagram(subject))


def _diagram(subject: Subject) -> Iterator[str]:
    both = _first(subject)
    taken = _taken(both)
    edges = _edges(set(taken))
    lines: list[str] = []
    labels: list[str] = []
    # What was taken is drawn above the rest, and all labels above all lines.
    for edge in sorted(edges, key=lambda each: each in taken):
        _edge(edge, edges, taken.get(edge, []), lines, labels)
    yield from (*lines, *labels)
    reached = {state for step in (*both[0], *both[1]) for state in (step.source, step.target)}
    for state, place in PLACES.items():
        yield from _box(str(state), place, strong=state in reached)
    closes = {State.TIME_WAIT, State.LAST_ACK} & {
        step.source for way in both for step in way if step.target == State.CLOSED
    }
    yield from _box(str(State.CLOSED), END, strong=bool(closes))
    for end, word in ((CLIENT, _("client")), (SERVER, _("server"))):
        names = subject.names_of(subject.conversations[0]) if subject.conversations else ("", "")
        yield _svg.label(12, 26 + 20 * end, f"━ {_titled(word, names[end])}", f"{COLOURS[end]} strong")


def _titled(word: str, name: str) -> str:
    """An end's name, after its part; a host may be called like that already."""
    return name if name.startswith(f"{word} ") else f"{word} {name}".rstrip()


def _box(name: str, place: tuple[float, float], *, strong: bool) -> Iterator[str]:
    x, y = place
    yield _svg.element(
        "rect",
        x=x - BOX[0] / 2,
        y=y - BOX[1] / 2,
        width=BOX[0],
        height=BOX[1],
        rx=6,
        class_="band ink-line" if strong else "band line-line",
    )
    yield _svg.label(x, y + 4, name, "ink strong" if strong else "muted", anchor="middle")


def _edge(
    edge: tuple[State, State],
    edges: dict[tuple[State, State], list[str]],
    steps: list[tuple[int, Step]],
    lines: list[str],
    labels: list[str],
) -> None:
    """Add the lines and the labels of one transition."""
    source, target = edge
    start = PLACES[source]
    goal = END if target == State.CLOSED and source in (State.TIME_WAIT, State.LAST_ACK) else PLACES[target]
    angle = math.atan2(goal[1] - start[1], goal[0] - start[0])
    # Two transitions between the same states run beside each other.
    opposed = edge[::-1] in edges
    ends = sorted({end for end, _step in steps})
    for lane, end in enumerate(ends or [None]):
        off = (9.0 if opposed else 0.0) + lane * 5.0
        shift = -math.sin(angle) * off, math.cos(angle) * off
        first, last = _border(start, angle, shift), _border(goal, angle + math.pi, shift)
        colour = "line" if end is None else COLOURS[end]
        lines.append(_svg.path((first, last), class_=f"{'thin' if end is None else 'arrow thick'} {colour}-line"))
        lines.append(_tip(last, angle, colour))
        if lane == 0:
            share = LABELS.get(edge, 0.3 if opposed else 0.45)
            middle = first[0] + (last[0] - first[0]) * share, first[1] + (last[1] - first[1]) * share
            labels += _labels(middle, edges[edge], steps)


def _border(place: tuple[float, float], angle: float, shift: tuple[float, float]) -> tuple[float, float]:
    """Where a line at an angle leaves a box."""
    across, down = math.cos(angle), math.sin(angle)
    reach = math.inf
    for way, half, off in ((across, BOX[0] / 2, shift[0]), (down, BOX[1] / 2, shift[1])):
        if abs(way) > 1e-9:
            reach = min(reach, (math.copysign(half, way) - off) / way)
    return place[0] + shift[0] + across * reach, place[1] + shift[1] + down * reach


def _tip(place: tuple[float, float], angle: float, colour: str) -> str:
    x, y = place
    corners = [(x, y)]
    corners += ((x - 10 * math.cos(angle + turn), y - 10 * math.sin(angle + turn)) for turn in (0.35, -0.35))
    return _svg.element(
        "polygon", points=" ".join(f"{_svg.number_of(a)},{_svg.number_of(b)}" for a, b in corners), class_=colour
    )


def _labels(place: tuple[float, float], labels: list[str], steps: list[tuple[int, Step]]) -> Iterator[str]:
    """Yield the events, and below them the packets of those who took the way."""
    lines = [(text, "ink" if steps else "muted") for text in labels]
    for end, step in steps[:4]:
        word = (_("client"), _("server"))[end]
        where = f" · {_('packet {n}').format(n=step.packet)}" if step.packet is not None else ""
        lines.append((f"{word} {step.number}{where}", f"{COLOURS[end]} strong"))
    for at, (text, style) in enumerate(lines):
        y = place[1] + 4 + 13 * (at - (len(lines) - 1) / 2)
        yield _svg.label(place[0], y, text, f"{style} small halo", anchor="middle")


def terminal(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
    """List the ways."""
    if not subject.conversations:
        yield subject.nothing
        return
    for end, way in enumerate(_first(subject)):
        word = (_("client"), _("server"))[end]
        name = subject.names_of(subject.conversations[0])[end]
        yield click.style(_titled(word, name), fg=TERMINAL[end], bold=True)
        for step in way:
            leading = [event for event, target in TRANSITIONS[step.source].items() if target == step.target]
            events = [event.value for event in leading if event not in RESETS] or [event.value for event in leading]
            where = _("packet {n}").format(n=step.packet) if step.packet is not None else ""
            yield f"{step.number:>3}  {step.source!s:<12} → {step.target!s:<12}  {where:<12}  {' / '.join(events)}".rstrip()


def mermaid(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
    """Write the diagram for Mermaid; labels say who went where."""
    taken = _taken(_first(subject))
    yield "stateDiagram-v2"
    yield "    [*] --> CLOSED"
    yield from (f'    state "{state}" as {state.name}' for state in State if state.name != state.value)
    for edge, labels in _edges(set(taken)).items():
        notes = [f"{(_('client'), _('server'))[end]} {step.number}" for end, step in taken.get(edge, ())]
        yield f"    {edge[0].name} --> {edge[1].name}: {'<br>'.join([*labels, *notes])}"


def dot(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
    """Write the diagram for Graphviz."""
    taken = _taken(_first(subject))
    colours = {CLIENT: _svg.PALETTE["data"][0], SERVER: _svg.PALETTE["again"][0]}
    yield "digraph tcp {"
    yield '    node [shape=box, fontname="sans-serif"];'
    yield '    edge [fontname="sans-serif", fontsize=10, color=gray];'
    for edge, labels in _edges(set(taken)).items():
        text = "\\n".join(labels)  # dot reads a backslash and an n as a line break
        yield f'    "{edge[0]}" -> "{edge[1]}" [label="{text}"];'
        for end, step in taken.get(edge, ()):
            text = f"{(_('client'), _('server'))[end]} {step.number}"
            style = f'color="{colours[end]}", fontcolor="{colours[end]}", penwidth=2'
            yield f'    "{edge[0]}" -> "{edge[1]}" [label="{text}", {style}];'
    yield "}"


FORMATS = {**drawing_formats(_drawing), "terminal": terminal, "mermaid": mermaid, "dot": dot}
