"""Explain each segment of a trace: its cause, the states, and how its numbers follow from earlier segments."""

from collections.abc import Callable
from functools import cache

from labkit.build.record import Record, States
from labkit.tcp.segment import ACK, FIN, RST, SYN

SECTIONS = {
    "syn": "RFC 9293 section 3.5 (establishing a connection), 3.4.1 (initial sequence number)",
    "syn-ack": "RFC 9293 section 3.5 (establishing a connection)",
    "data": "RFC 9293 section 3.4 (sequence numbers)",
    "ack": "RFC 9293 section 3.4 (acknowledgements are cumulative)",
    "delayed-ack": "RFC 9293 section 3.8.6.3 (delayed acknowledgements)",
    "duplicate-ack": "RFC 9293 section 3.10.7.4 (first check), RFC 5681 section 4.2",
    "challenge-ack": "RFC 5961 sections 3 to 5 (challenge ACK)",
    "window-update": "RFC 9293 section 3.8.6.2.2 (window update)",
    "fin": "RFC 9293 section 3.6 (closing a connection)",
    "rst": "RFC 9293 section 3.5.2 (reset generation)",
    "retransmission-rto": "RFC 6298 section 5 (the retransmission timer ran out)",
    "retransmission-fast": "RFC 5681 section 3.2 (fast retransmit)",
    "tail-loss-probe": "RFC 8985 section 7.3 (tail loss probe)",
    "zero-window-probe": "RFC 9293 section 3.8.6.1 (zero-window probing)",
    "keep-alive": "RFC 9293 section 3.8.4 (keep-alive)",
}
"""References about a segment, by the reason why it was sent."""


class Explainer:
    """Explain the segments at one capture point in order, each from the segments before it."""

    def __init__(self, relative: Callable[[Record], tuple[int, int]]) -> None:
        self.relative = relative
        """Gives the relative seq and ack of a record."""
        self.next = {"client": 0, "server": 0}
        """The relative sequence number after the last one that each side has used."""
        self.fin: dict[str, int] = {}
        """The relative sequence number of each side's FIN."""

    def note(self, record: Record) -> None:
        """Remember a record."""
        self._note(record, self.relative(record)[0])

    def _note(self, record: Record, start: int) -> None:
        segment = record.segment
        length = segment.length
        if length and not segment.ctl & RST and start + length > self.next[record.sender]:
            self.next[record.sender] = start + length
        if segment.ctl & FIN:
            self.fin[record.sender] = start + length - 1

    def explain(self, record: Record) -> str:
        """The comment on a record. Remember the record."""
        start, number = self.relative(record)
        if not record.why:
            self._note(record, start)
            return record.step
        lines = [record.step] if record.step else []
        if record.client and record.server:
            lines.append(_changes(record.client, record.server))
        lines.append(self._seq(record, start))
        if record.segment.ctl & ACK:
            lines.append(self._ack(record, number))
        if not record.arrived:
            lines.append("the path loses this segment after the point of capture")
        lines.append(f"{record.why}: {SECTIONS[record.why]}")
        self._note(record, start)
        return "\n".join(lines)

    def _seq(self, record: Record, start: int) -> str:
        """How the sequence number follows from earlier segments."""
        segment = record.segment
        ctl, taken = segment.ctl, segment.length
        text = f"seq {start} (raw {segment.seq})"
        expected = self.next[record.sender]
        if ctl & SYN:
            text += ": the initial sequence number" + (", again" if expected else "")
        elif ctl & RST and not ctl & ACK and record.why == "rst" and not expected:
            text += ": the number that the previous segment acknowledged"
        elif ctl & RST and segment.seq == 0:
            text += ": 0, because there is no connection"
        elif start == expected:
            text += f" = {_sum(1, start, self.fin.get(record.sender))}"
        elif record.why == "keep-alive":
            text += ": one before the next number, so that the peer must answer"
        elif start < expected and not taken:
            text += (
                f" = {_sum(1, start, self.fin.get(record.sender))}; the peer has not accepted the octets sent beyond"
            )
        elif start < expected:
            text += f": sent before ({record.sender} has used all numbers below {expected})"
        else:
            text += f": ahead of {expected}: the capture lacks the segments between"
        if taken and not ctl & RST:
            parts = [f"{len(segment.payload)} octets"] if segment.payload else []
            parts += [name for bit, name in ((SYN, "SYN"), (FIN, "FIN")) if ctl & bit]
            text += f"; {' + '.join(parts)}: takes {taken}, next seq {start + taken}"
        return text

    def _ack(self, record: Record, number: int) -> str:
        """How the acknowledgement number follows from the peer's segments."""
        peer = "server" if record.sender == "client" else "client"
        text = f"ack {number} (raw {record.segment.ack}) = {_sum(1, number, self.fin.get(peer))} of the {peer}"
        missing = self.next[peer] - number
        if missing > 0:
            text += f"; {missing} more sent, not yet acknowledged"
        return text


def _sum(syn: int, number: int, fin: int | None) -> str:
    """A relative number as the sum of what it counts, such as `1 (SYN) + 99 octets + 1 (FIN)`."""
    past_fin = fin is not None and number > fin
    octets = number - syn - past_fin
    return f"{syn} (SYN){f' + {octets} octets' if octets > 0 else ''}{' + 1 (FIN)' if past_fin else ''}"


@cache
def _changes(client: States, server: States) -> str:
    return f"client {_change(client)}; server {_change(server)}"


def _change(states: States) -> str:
    before, after = states
    return str(after) if before is after else f"{before} -> {after}"
