"""Draw the state machine of RFC 9293 figure 5 from `labkit.tcp.state.TRANSITIONS`, for Mermaid and for Graphviz.

Arrows between the same two states become one arrow with several labels. Resets and aborts lead from nearly every state to
CLOSED; as in the RFC's figure, the diagram omits them unless `resets` is set.
"""

from collections.abc import Callable, Iterator

from labkit.tcp.state import TRANSITIONS, Event, State

RESETS = frozenset({Event.RCV_RST, Event.SEND_RST})
"""Events that end a connection at once, from any state: note 3 of the figure."""


def arrows(*, resets: bool = False) -> Iterator[tuple[State, State, list[str]]]:
    """Each pair of joined states with the events between them, in the order of the table."""
    found: dict[tuple[State, State], list[str]] = {}
    for state, events in TRANSITIONS.items():
        for event, target in events.items():
            if resets or event not in RESETS:
                found.setdefault((state, target), []).append(event.value)
    return ((source, target, labels) for (source, target), labels in found.items())


def mermaid(*, resets: bool = False) -> str:
    """The source for Mermaid, which GitHub, GitLab and many notebooks draw."""
    lines = ["stateDiagram-v2", "    [*] --> CLOSED"]
    lines += [f'    state "{state}" as {state.name}' for state in State if state.name != state.value]
    for source, target, labels in arrows(resets=resets):
        # A label may hold a comma, but no semicolon or colon.
        lines.append(f"    {source.name} --> {target.name}: {'<br>'.join(labels)}")
    return "\n".join(lines) + "\n"


def dot(*, resets: bool = False) -> str:
    """The source for Graphviz: `dot -Tsvg`."""
    lines = [
        "digraph tcp {",
        '    node [shape=box, fontname="sans-serif"];',
        '    edge [fontname="sans-serif", fontsize=10];',
    ]
    for source, target, labels in arrows(resets=resets):
        text = "\\n".join(labels)  # dot reads a backslash and an n as a line break
        lines.append(f'    "{source}" -> "{target}" [label="{text}"];')
    return "\n".join([*lines, "}"]) + "\n"


FORMS: dict[str, Callable[..., str]] = {"mermaid": mermaid, "dot": dot}
"""The functions by the names of their formats."""
