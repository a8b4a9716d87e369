"""Where the source document is wrong or loose, each point with the packet that proves it.

The packets are not typed in here: each is taken from a shipped scenario, played anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from labkit.analysis.states import Row, observe
from labkit.capture import Frame
from labkit.errors import UsageError
from labkit.i18n import N_, _
from labkit.report.segment_line import segment_text

SUMMARY = N_("where the source document is wrong or loose, each point with the packet that proves it")


@dataclass(frozen=True, slots=True)
class Erratum:
    """One point: what the document says, what is right, and where it shows."""

    code: str
    says: str
    right: str
    source: str
    scenario: str
    packets: tuple[int, ...]
    """The packets of the scenario that prove it."""
    proof: str
    """What to see in them."""


ERRATA = (
    Erratum(
        "E1",
        N_("The table's reply carries 119 octets; the prose under it says 111, and derives ack 112."),
        N_(
            "Both are consistent by themselves: 119 octets give ack 120, 111 octets give ack 112. Mixing them is not: the "
            "server's own segment has ack 100 in both."
        ),
        "RFC 9293 3.4",
        "document",
        (5, 6),
        N_(
            "seq 1 + 119 octets = 120: that is what the client acknowledges. 'labkit build document-111' is the prose's."
        ),
    ),
    Erratum(
        "E2",
        N_("The third segment of the teardown is labelled ACK."),
        N_("It is FIN ACK: the prose says so, and without the FIN's number the last ack could not be 121."),
        "RFC 9293 3.6",
        "document",
        (9, 10),
        N_("seq 120 + 1 for FIN = 121. A pure ACK at this place would be answered with nothing at all."),
    ),
    Erratum(
        "E3",
        N_("Rule 2: ack = the peer's seq + 1 where the peer's segment carried no data."),
        N_(
            "Only SYN and FIN take one number. After a pure ACK (a keep-alive, a window update) nothing is added: it takes no "
            "number."
        ),
        "RFC 9293 3.4",
        "server-speaks-first",
        (3, 4),
        N_(
            "The client's ACK has seq 1 and no data; rule 2 asks the server for ack 2, but it acknowledges 1: octet 1 has not "
            "been sent. 'labkit verify --profile document --literal' fails this correct capture."
        ),
    ),
    Erratum(
        "E4",
        N_("Rule 1: seq = the ack of the peer's last segment."),
        N_(
            "True only in lock-step. A sender with several segments under way runs ahead of the peer's last ack; a "
            "retransmission falls behind what was sent."
        ),
        "RFC 9293 3.4, 3.8",
        "mss-536",
        (5, 6),
        N_("The second segment's seq is beyond the peer's last ack, for nothing has been acknowledged in between."),
    ),
    Erratum(
        "E5",
        N_("TCP is connection-oriented and stateless."),
        N_("TCP keeps state on both sides: the columns left and right of the document's own tables are that state."),
        "RFC 9293 3.3.2",
        "document",
        (1, 2, 3),
        N_("Each of these segments moves one end, or both, to another state; what is right next depends on it."),
    ),
    Erratum(
        "E6",
        N_("The states SYN_SEND, SYN_RECV and CLOSE."),
        N_("They are called SYN-SENT, SYN-RECEIVED and CLOSED."),
        "RFC 9293 3.3.2",
        "document",
        (1, 2, 10),
        N_("The states by the names of the RFC."),
    ),
    Erratum(
        "E7",
        N_("The first seq is random."),
        N_(
            "It is a clock of 4 microseconds plus a keyed hash of addresses and ports: hard to guess, and yet growing, so that "
            "old segments of the same four-tuple do not fit."
        ),
        "RFC 9293 3.4.1, RFC 6528",
        "handshake",
        (1, 2),
        N_("The raw numbers of both SYNs: they are relative 0 only in what is shown."),
    ),
    Erratum(
        "E8",
        N_("A connection is closed with four segments."),
        N_(
            "Three are enough where the ACK and the FIN of the second side are merged. There are also the simultaneous close, "
            "the half-close that lasts, and the reset."
        ),
        "RFC 9293 3.6",
        "three-segment-close",
        (-3, -2, -1),
        N_("FIN ACK, FIN ACK, ACK: the second acknowledges the first side's FIN and carries its own."),
    ),
    Erratum(
        "E9",
        N_("When 2 MSL pass with no reply, this proves that the server has closed."),
        N_(
            "Silence proves nothing. TIME-WAIT is there to acknowledge a FIN that is sent again because the last ACK was lost, "
            "and to let old segments die."
        ),
        "RFC 9293 3.6.1",
        "time-wait",
        (-3, -2, -1),
        N_(
            "The last ACK is lost, the server sends its FIN again, and the client, in TIME-WAIT, acknowledges again. Had it gone "
            "at once, the server would get a reset."
        ),
    ),
)


def lines(arguments: Sequence[str]) -> Iterator[str]:
    """All points, or those that are named (E3)."""
    wanted = [word.upper() for word in arguments]
    known = {erratum.code: erratum for erratum in ERRATA}
    for word in wanted:
        if word not in known:
            raise UsageError(
                _("{word} is no point of the errata; there are {known}").format(word=word, known=", ".join(known))
            )
    for number, erratum in enumerate(known[word] for word in wanted or known):
        if number:
            yield ""
        yield from _lines(erratum)


def rows(scenario: str) -> list[Row]:
    """The segments of a shipped scenario, as an observer sees them."""
    from labkit.build.scenario import Scenario

    trace = Scenario.load(scenario).play()
    frames = (
        Frame(number, time, trace.link, octets, len(octets))
        for number, (time, octets, _comment) in enumerate(trace.frames(), 1)
    )
    return list(observe(frames))


def _lines(erratum: Erratum) -> Iterator[str]:
    yield click.style(f"{erratum.code}  {_(erratum.says)}", bold=True)
    yield f"    {_('right')}  {_(erratum.right)} ({erratum.source})"
    all_rows = rows(erratum.scenario)
    proving = [all_rows[packet - 1 if packet > 0 else packet] for packet in erratum.packets]
    yield f"    {_('proof')}  " + _("'labkit build {name}', {count} of its packets:").format(
        name=erratum.scenario, count=len(proving)
    )
    for row in proving:
        states = " | ".join(str(state) if state else "" for state in row.states)
        raw = f"  raw seq {row.seq}" if erratum.code == "E7" else ""
        yield f"       {row.number:>5}  {segment_text(row)}  ({states}){raw}"
    yield f"    {_('see')}    {_(erratum.proof)}"
