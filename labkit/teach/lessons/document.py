"""The errors of the introductory text that labkit implements, each with the packets that prove it.

The packets come from shipped scenarios, which the lesson plays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from labkit.analysis.states import Row, observe
from labkit.capture import Frame
from labkit.errors import UsageError
from labkit.i18n import N_, _, listed, padded
from labkit.report.segment_line import segment_text

SUMMARY = N_("the errors of the introductory text that labkit implements, with the packets that prove them")


@dataclass(frozen=True, slots=True)
class Erratum:
    """One error: what the text says, the correction, and the proof."""

    code: str
    says: str
    right: str
    source: str
    scenario: str
    packets: tuple[int, ...]
    """The packets of the scenario that prove it, counted from 1, or from the end with -1."""
    proof: str
    """What they show."""


ERRATA = (
    Erratum(
        "E1",
        N_("The table's reply carries 119 bytes; the prose under it says 111, and derives ack 112."),
        N_(
            "Each number is consistent by itself: 119 bytes give ack 120, and 111 bytes give ack 112. The text mixes both. The "
            "server's segment has ack 100 in either case."
        ),
        "RFC 9293 3.4",
        "document",
        (5, 6),
        N_(
            "seq 1 + 119 bytes = 120, which the client acknowledges. 'labkit build document-111' builds the prose's version."
        ),
    ),
    Erratum(
        "E2",
        N_("The third segment of the teardown is labelled ACK."),
        N_("It is FIN ACK, as the prose says: without the number of the FIN, the last ack could not be 121."),
        "RFC 9293 3.6",
        "document",
        (9, 10),
        N_("seq 120 + 1 for the FIN = 121. Nothing would answer a pure ACK here."),
    ),
    Erratum(
        "E3",
        N_("Rule 2: ack = the peer's seq + 1 where the peer's segment carried no data."),
        N_(
            "Only SYN and FIN take a number. A pure ACK (a keep-alive, a window update) takes none: add nothing for it."
        ),
        "RFC 9293 3.4",
        "server-speaks-first",
        (3, 4),
        N_(
            "The client's ACK has seq 1 and no data. Rule 2 asks the server for ack 2, but the server acknowledges 1: nobody "
            "has sent byte 1. 'labkit verify --profile document --literal' fails this correct capture."
        ),
    ),
    Erratum(
        "E4",
        N_("Rule 1: seq = the ack of the peer's last segment."),
        N_(
            "True only in lock-step. A sender with several segments under way is ahead of the peer's last ack. A "
            "retransmission is behind the last byte sent."
        ),
        "RFC 9293 3.4, 3.8",
        "mss-536",
        (5, 6),
        N_("The second segment's seq is beyond the peer's last ack: the peer has sent no ack in between."),
    ),
    Erratum(
        "E5",
        N_("TCP is connection-oriented and stateless."),
        N_("TCP keeps state on both sides. The left and right columns of the text's own tables show it."),
        "RFC 9293 3.3.2",
        "document",
        (1, 2, 3),
        N_(
            "Each of these segments moves one end, or both, to another state. The state decides which segments may follow."
        ),
    ),
    Erratum(
        "E6",
        N_("The states SYN_SEND, SYN_RECV and CLOSE."),
        N_("RFC 9293 calls them SYN-SENT, SYN-RECEIVED and CLOSED."),
        "RFC 9293 3.3.2",
        "document",
        (1, 2, 10),
        N_("The states under the names of the RFC."),
    ),
    Erratum(
        "E7",
        N_("The first seq is random."),
        N_(
            "It is a clock with ticks of 4 microseconds plus a keyed hash of addresses and ports. It is hard to guess, and it "
            "grows, so that old segments of the same four-tuple do not fit."
        ),
        "RFC 9293 3.4.1, RFC 6528",
        "handshake",
        (1, 2),
        N_("The raw numbers of both SYNs. Tools show them as relative 0."),
    ),
    Erratum(
        "E8",
        N_("A connection is closed with four segments."),
        N_(
            "Three are enough if the second side sends its ACK and FIN in one segment. A connection can also end by a "
            "simultaneous close, a long half-close, or a reset."
        ),
        "RFC 9293 3.6",
        "three-segment-close",
        (-3, -2, -1),
        N_("FIN ACK, FIN ACK, ACK: the second segment acknowledges the first FIN and carries the other."),
    ),
    Erratum(
        "E9",
        N_("When 2 MSL pass with no reply, this proves that the server has closed."),
        N_(
            "Silence proves nothing. TIME-WAIT lets a side acknowledge a retransmitted FIN if its last ACK was lost, and lets "
            "old segments expire."
        ),
        "RFC 9293 3.6.1",
        "time-wait",
        (-3, -2, -1),
        N_(
            "The last ACK is lost, the server retransmits its FIN, and the client, in TIME-WAIT, acknowledges it again. Without "
            "TIME-WAIT, the server would get a reset."
        ),
    ),
)


def lines(arguments: Sequence[str]) -> Iterator[str]:
    """All errors, or the named ones (E3)."""
    wanted = [word.upper() for word in arguments]
    known = {erratum.code: erratum for erratum in ERRATA}
    for word in wanted:
        if word not in known:
            raise UsageError(
                _("there is no erratum {word}; expected one of {known}").format(word=word, known=listed(known))
            )
    for number, erratum in enumerate(known[word] for word in wanted or known):
        if number:
            yield ""
        yield from _lines(erratum)


def rows(scenario: str) -> list[Row]:
    """The segments of a shipped scenario, as `labkit show` sees them."""
    from labkit.build.scenario import Scenario

    trace = Scenario.load(scenario).play()
    frames = (
        Frame(number, time, trace.link, octets, len(octets))
        for number, (time, octets, _comment) in enumerate(trace.frames(), 1)
    )
    return list(observe(frames))


def _lines(erratum: Erratum) -> Iterator[str]:
    yield click.style(f"{erratum.code}  {_(erratum.says)}", bold=True)
    yield f"    {padded(_('right'), 5)}  {_(erratum.right)}{_(' ({source})').format(source=erratum.source)}"
    all_rows = rows(erratum.scenario)
    proving = [all_rows[packet - 1 if packet > 0 else packet] for packet in erratum.packets]
    yield f"    {padded(_('proof'), 5)}  " + _("'labkit build {name}', {count} of its packets:").format(
        name=erratum.scenario, count=len(proving)
    )
    for row in proving:
        states = " | ".join(str(state) if state else "" for state in row.states)
        raw = f"  raw seq {row.seq}" if erratum.code == "E7" else ""
        yield f"       {row.number:>5}  {segment_text(row)}  ({states}){raw}"
    yield f"    {padded(_('see'), 5)}  {_(erratum.proof)}"
