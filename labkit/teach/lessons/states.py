"""The states of a connection and the events between them, from the state table that labkit itself uses."""

from collections.abc import Iterator, Sequence

import click

from labkit.errors import UsageError
from labkit.i18n import N_, _, nearest
from labkit.tcp.state import DOCUMENT_WORDS, TRANSITIONS, State
from labkit.teach.diagram.states import FORMS, RESETS

SUMMARY = N_("the states of a connection and the events between them: states [mermaid | dot] [resets]")

MEANINGS = {
    State.CLOSED: N_("there is no connection"),
    State.LISTEN: N_("a server waits for a SYN"),
    State.SYN_SENT: N_("a client has sent its SYN and waits for the peer's SYN"),
    State.SYN_RECEIVED: N_("both sides have sent a SYN; the peer has not acknowledged this side's"),
    State.ESTABLISHED: N_("both sides may send data"),
    State.FIN_WAIT_1: N_("this side has closed first; the peer has not acknowledged its FIN"),
    State.FIN_WAIT_2: N_("the peer has acknowledged the FIN; it may still send data"),
    State.CLOSE_WAIT: N_("the peer has closed; the application on this side has not"),
    State.CLOSING: N_("both sides have closed at the same time; the peer has not acknowledged this side's FIN"),
    State.LAST_ACK: N_("the peer has closed, then this side; the peer has not acknowledged this side's FIN"),
    State.TIME_WAIT: N_("both sides have closed; old segments expire within 2 MSL"),
}


def lines(arguments: Sequence[str]) -> Iterator[str]:
    """Each state with the events that leave it, or the source of a diagram."""
    words = [word for word in arguments if word != "resets"]
    if not words and not arguments:
        yield from _table()
        return
    if len(words) != 1 or words[0] not in FORMS:
        hint = nearest(words[0], FORMS) if words else ""
        raise UsageError(_("expected: labkit explain states [mermaid | dot] [resets]") + hint)
    yield from FORMS[words[0]](resets="resets" in arguments).splitlines()


def _table() -> Iterator[str]:
    width = max(len(event.value) for events in TRANSITIONS.values() for event in events)
    for state, events in TRANSITIONS.items():
        word = DOCUMENT_WORDS[state]
        also = _(" (in the document: {word})").format(word=word) if word.replace("_", "-") != state.value else ""
        yield click.style(state.value, bold=True) + f"{also}{_(': ')}{_(MEANINGS[state])}"
        for event, target in events.items():
            if event not in RESETS:
                yield f"    {event.value:<{width}}  → {target}"
        resets = [event.value for event in events if event in RESETS]
        if resets:
            yield f"    {' / '.join(resets):<{width}}  → {State.CLOSED}"
        yield ""
    yield _("RFC 9293 3.3.2, figure 5. labkit's endpoint and 'labkit show' use the same table.")
    yield _("'labkit explain states mermaid' and 'labkit explain states dot' print the source of a diagram.")
