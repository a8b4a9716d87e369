"""The state machine of RFC 9293 figure 5 as a diagram, drawn from `labkit.tcp.state.TRANSITIONS`: for Mermaid, for Graphviz.

Arrows between the same two states are one arrow with several labels. Resets and aborts, which lead from nearly everywhere to
CLOSED, are left out as the RFC's figure leaves them out, unless they are asked for.
"""

from collections.abc import Callable, Iterator

from labkit.tcp.state import TRANSITIONS, Event, State

RESETS = frozenset({Event.RCV_RST, Event.SEND_RST})
"""What ends a connection at once, from any state: note 3 of the figure."""


def arrows(*, resets: bool = False) -> Iterator[tuple[State, State, list[str]]]:
    """Each pair of states that is joined, with what leads from the one to the other, in the order of the table."""
    found: dict[tuple[State, State], list[str]] = {}
    for state, events in TRANSITIONS.items():
        for event, target in events.items():
            if resets or event not in RESETS:
                found.setdefault((state, target), []).append(event.value)
    return ((source, target, labels) for (source, target), labels in found.items())


def mermaid(*, resets: bool = False) -> str:
    """For Mermaid, which GitHub, GitLab and many note books draw."""
    lines = ["stateDiagram-v2", "    [*] --> CLOSED"]
    lines += [f'    state "{state}" as {state.name}' for state in State if state.name != state.value]
    for source, target, labels in arrows(resets=resets):
        # A comma ends nothing there, but a semicolon or a colon would.
        lines.append(f"    {source.name} --> {target.name}: {'<br>'.join(labels)}")
    return "\n".join(lines) + "\n"


def dot(*, resets: bool = False) -> str:
    """For Graphviz: `dot -Tsvg`."""
    lines = [
        "digraph tcp {",
        '    node [shape=box, fontname="sans-serif"];',
        '    edge [fontname="sans-serif", fontsize=10];',
    ]
    for source, target, labels in arrows(resets=resets):
        text = "\\n".join(labels)  # a backslash and an n: dot breaks the line there
        lines.append(f'    "{source}" -> "{target}" [label="{text}"];')
    return "\n".join([*lines, "}"]) + "\n"


FORMS: dict[str, Callable[..., str]] = {"mermaid": mermaid, "dot": dot}
"""The diagram for other programs, by their names."""
