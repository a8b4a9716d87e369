"""The states of a connection: what leads from one to the other, from the table that labkit itself moves by."""

from collections.abc import Iterator, Sequence

import click

from labkit.errors import UsageError
from labkit.i18n import N_, _, nearest
from labkit.tcp.state import DOCUMENT_WORDS, TRANSITIONS, State
from labkit.teach.diagram.states import FORMS, RESETS

SUMMARY = N_("the states of a connection and what leads from one to the other: states [mermaid | dot] [resets]")

MEANINGS = {
    State.CLOSED: N_("there is no connection"),
    State.LISTEN: N_("a server waits for a SYN"),
    State.SYN_SENT: N_("a client has sent its SYN, and waits for the peer's"),
    State.SYN_RECEIVED: N_("both SYNs are on their way, and the own one is not acknowledged yet"),
    State.ESTABLISHED: N_("both sides may send data"),
    State.FIN_WAIT_1: N_("closed here first; the FIN is not acknowledged yet"),
    State.FIN_WAIT_2: N_("the FIN is acknowledged; the peer may still send data"),
    State.CLOSE_WAIT: N_("the peer has closed; the application here has not"),
    State.CLOSING: N_("both have closed at the same time, and the own FIN is not acknowledged yet"),
    State.LAST_ACK: N_("the peer has closed, then this side; its FIN is not acknowledged yet"),
    State.TIME_WAIT: N_("all is said; what may still be on its way dies out for 2 MSL"),
}


def lines(arguments: Sequence[str]) -> Iterator[str]:
    """Each state with what leads out of it, or the source of a diagram."""
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
        also = f" ({_('in the document')}: {word})" if word.replace("_", "-") != state.value else ""
        yield click.style(state.value, bold=True) + f"{also}: {_(MEANINGS[state])}"
        for event, target in events.items():
            if event not in RESETS:
                yield f"    {event.value:<{width}}  → {target}"
        resets = [event.value for event in events if event in RESETS]
        if resets:
            yield f"    {' / '.join(resets):<{width}}  → {State.CLOSED}"
        yield ""
    yield _("RFC 9293 3.3.2, figure 5; labkit's endpoint and its observer move by the same table.")
    yield _("'labkit explain states mermaid' and 'labkit explain states dot' give the source of a diagram.")
