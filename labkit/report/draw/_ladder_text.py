"""A ladder for terminals, and as the source of Mermaid and of Graphviz."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from labkit.analysis.severity import Severity
from labkit.i18n import _, aside, cut, padded, printable, width
from labkit.report.draw._conversation import CLIENT, SERVER, Arrow, Conversation
from labkit.report.draw._folding import Fold, Part
from labkit.report.draw._ladder_layout import first_states, move
from labkit.report.draw._marks import PHASES, expected_label, fault_of, follows, label_of, missing_text, role
from labkit.report.segment_line import seconds
from labkit.tcp.state import State

# Terminal.

STATE = 12
TIME = 11
LEAST_WAY = 46
"""The least width of the way between both ends."""

TERMINAL: dict[str, dict[str, Any]] = {
    "fault": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow"},
    "again": {"fg": "magenta"},
    "control": {"fg": "green"},
    "data": {"fg": "cyan"},
    "muted": {},
    "right": {"fg": "green"},
}
BARS = {
    "closed": "bright_black",
    "opening": "yellow",
    "established": "green",
    "closing": "blue",
    "waiting": "magenta",
}
"""The colours of the bars of states."""


def terminal(conversation: Conversation, parts: Sequence[Part], names: tuple[str, str], start: int) -> Iterator[str]:
    """Yield the lines of a ladder that 100 columns can hold if its labels are short."""
    labels = [_line_text(part) for part in parts if isinstance(part, Arrow)]
    labels += [
        _("expected {segment}").format(segment=text)
        for part in parts
        if isinstance(part, Arrow) and (text := expected_label(part))
    ]
    labels += [missing_text(part) for part in parts if isinstance(part, Arrow)]
    way = max([LEAST_WAY, *(width(text) + 10 for text in labels)])
    left = TIME + STATE + 3
    room = left + way + STATE - width(names[SERVER])
    yield click.style(f"{_fit(names[CLIENT], room)}{names[SERVER]}", bold=True)
    states = first_states(conversation)
    yield _row("", states, states, "".ljust(way))
    for part in parts:
        if isinstance(part, Fold):
            text = f" ⋮ {aside(str(part), part.details)}"
            yield _row("", [None, None], states, click.style(_fit(text, way), dim=True))
            for arrow in part.arrows:
                move(states, arrow)
            continue
        before = list(states)
        move(states, part)
        changed = [now if now != old else None for now, old in zip(states, before, strict=True)]
        yield _row(seconds(part.sent - start), changed, states, _drawn(part, _line_text(part), way))
        right = expected_label(part)
        if right:
            text = _("expected {segment}").format(segment=right)
            yield _row("", [None, None], states, _drawn(part, text, way, expected=True))
        elif missing_text(part):
            text = _fit(missing_text(part), way)
            yield _row("", [None, None], states, click.style(text, **TERMINAL["right"]))
    for each in conversation.findings:
        if each.severity > Severity.NOTE:
            yield click.style(f"{_(str(each.severity))}[{each.code}] {printable(each.message)}", fg="red")


def _row(time: str, named: Sequence[State | None], states: Sequence[State | None], way: str) -> str:
    client, server = (str(state) if state else "" for state in named)
    return f"{time:>{TIME}} {client:>{STATE}} {_bar(states[CLIENT])}{way}{_bar(states[SERVER])} {server}".rstrip()


def _bar(state: State | None) -> str:
    return click.style("┃", fg=BARS[PHASES[state]]) if state is not None else "│"


def _line_text(arrow: Arrow) -> str:
    number = "" if arrow.number is None else f"{arrow.number} "
    fault = fault_of(arrow)
    text = f"{number}{label_of(arrow)}"
    if arrow.lost:
        text += f" ({_('lost')})"
    if fault is not None:
        return f"{text} ✗ {fault.code}" + ("" if expected_label(arrow) else f" {fault.name}")
    return f"{text} ↯" if follows(arrow) is not None else text


def _drawn(arrow: Arrow, text: str, way: int, *, expected: bool = False) -> str:
    """An arrow with its label on it."""
    line = "╌" if expected else "─"
    inside = padded(f"{line * 2} {text} ", way - 1, line)
    if arrow.lost and not expected:
        inside = f"{line * 2} {text} {line * 2}✗"
        shaft = padded(inside, way) if arrow.sender == CLIENT else padded(f"✗{line * 2} {text} {line * 2}", -way)
    elif arrow.sender == CLIENT:
        shaft = f"{inside}▶"
    else:
        shaft = f"◀{padded(f' {text} {line * 2}', 1 - way, line)}"
    return click.style(shaft, **TERMINAL["right" if expected else role(arrow)])


def _fit(text: str, columns: int) -> str:
    """A text of exactly this width."""
    return padded(cut(text, columns), columns)


# Mermaid.


def mermaid(conversation: Conversation, parts: Sequence[Part], names: tuple[str, str]) -> Iterator[str]:
    """Yield a sequence diagram for Mermaid, which GitHub, GitLab and many notebooks draw."""
    yield "sequenceDiagram"
    for end, alias in zip(names, ("c", "s"), strict=True):
        yield f"    participant {alias} as {_mermaid_text(end)}"
    states = first_states(conversation)
    yield from _mermaid_states([None, None], states)
    for part in parts:
        if isinstance(part, Fold):
            yield f"    Note over c,s: {_mermaid_text(aside(str(part), part.details))}"
            for arrow in part.arrows:
                move(states, arrow)
            continue
        before = list(states)
        move(states, part)
        one, other = ("c", "s") if part.sender == CLIENT else ("s", "c")
        right = expected_label(part)
        if fault_of(part) is not None:
            yield "    rect rgba(255, 0, 0, 0.15)"
        yield f"    {one}-{'x' if part.lost else '>>'}{other}: {_mermaid_text(_line_text(part))}"
        if right:
            yield f"    {one}-->>{other}: {_mermaid_text(_('expected {segment}').format(segment=right))}"
        if fault_of(part) is not None:
            yield "    end"
        yield from _mermaid_states(before, states)


def _mermaid_states(before: Sequence[State | None], now: Sequence[State | None]) -> Iterator[str]:
    for alias, old, new in zip(("c", "s"), before, now, strict=True):
        if new is not None and new != old:
            yield f"    Note over {alias}: {new}"


def _mermaid_text(text: str) -> str:
    """A text without anything that Mermaid takes for syntax or markup: such a character becomes its code."""
    return "".join(
        char if char.isalnum() or char in " .:=-_()[]→←✗↯⋮," else f"#{ord(char)};" for char in printable(text)
    )


# Graphviz.


def dot(conversation: Conversation, parts: Sequence[Part], names: tuple[str, str]) -> Iterator[str]:
    """Yield a ladder for Graphviz: `dot -Tsvg`."""
    yield "digraph ladder {"
    yield '    graph [ranksep=0.15, nodesep=5, fontname="sans-serif"];'
    yield '    node [shape=plaintext, fontname="sans-serif", fontsize=10, height=0, width=0, margin=0.02];'
    yield '    edge [fontname="monospace", fontsize=9];'
    yield f"    c0 [label={_dot_text(names[CLIENT])}]; s0 [label={_dot_text(names[SERVER])}];"
    yield "    {rank=same; c0; s0}"
    states = first_states(conversation)
    for place, part in enumerate(parts, 1):
        before = list(states)
        for arrow in part.arrows if isinstance(part, Fold) else (part,):
            move(states, arrow)
        for alias, end in (("c", CLIENT), ("s", SERVER)):
            shown = str(states[end]) if states[end] is not None and states[end] != before[end] else "·"
            yield f"    {alias}{place} [label={_dot_text(shown)}];"
            yield f"    {alias}{place - 1} -> {alias}{place} [arrowhead=none, color=gray, weight=9];"
        yield f"    {{rank=same; c{place}; s{place}}}"
        if isinstance(part, Fold):
            yield f"    c{place} -> s{place} [dir=none, style=dotted, label={_dot_text(f'⋮ {part}')}];"
            continue
        yield f"    {_dot_edge(part, place)} [label={_dot_text(_line_text(part))}, {_dot_style(part)}];"
        right = expected_label(part)
        if right:
            text = _dot_text(_("expected {segment}").format(segment=right))
            style = 'style=dashed, color="#006b51", fontcolor="#006b51", constraint=false'
            yield f"    {_dot_edge(part, place)} [label={text}, {style}];"
    yield "}"


def _dot_edge(arrow: Arrow, place: int) -> str:
    return f"c{place} -> s{place}" if arrow.sender == CLIENT else f"s{place} -> c{place}"


def _dot_style(arrow: Arrow) -> str:
    styles = ["constraint=false"]
    if arrow.lost:
        styles.append("arrowhead=box")
    if fault_of(arrow) is not None:
        styles.append('color="#b3261e", fontcolor="#b3261e"')
    return ", ".join(styles)


def _dot_text(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
