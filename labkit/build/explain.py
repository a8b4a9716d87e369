"""Explain each segment of a trace: its cause, the states, and how its numbers follow from earlier segments.

The comments of a file are English, so that it is the same on every machine, unless another language is asked for.
"""

import re
from collections.abc import Callable

from labkit.build.record import Record, States
from labkit.i18n import N_
from labkit.tcp.segment import ACK, FIN, RST, SYN

_STEP = re.compile(r"step (\d+): (.*?)(,)?(?: (\d+) octets)?")
Say = Callable[[str], str]
"""Gives a message in the language of the comments."""

SECTIONS = {
    "syn": N_("RFC 9293 section 3.5 (establishing a connection), 3.4.1 (initial sequence number)"),
    "syn-ack": N_("RFC 9293 section 3.5 (establishing a connection)"),
    "data": N_("RFC 9293 section 3.4 (sequence numbers)"),
    "ack": N_("RFC 9293 section 3.4 (acknowledgements are cumulative)"),
    "delayed-ack": N_("RFC 9293 section 3.8.6.3 (delayed acknowledgements)"),
    "duplicate-ack": N_("RFC 9293 section 3.10.7.4 (first check), RFC 5681 section 4.2"),
    "challenge-ack": N_("RFC 5961 sections 3 to 5 (challenge ACK)"),
    "window-update": N_("RFC 9293 section 3.8.6.2.2 (window update)"),
    "fin": N_("RFC 9293 section 3.6 (closing a connection)"),
    "rst": N_("RFC 9293 section 3.5.2 (reset generation)"),
    "retransmission-rto": N_("RFC 6298 section 5 (the retransmission timer ran out)"),
    "retransmission-fast": N_("RFC 5681 section 3.2 (fast retransmit)"),
    "tail-loss-probe": N_("RFC 8985 section 7.3 (tail loss probe)"),
    "zero-window-probe": N_("RFC 9293 section 3.8.6.1 (zero-window probing)"),
    "keep-alive": N_("RFC 9293 section 3.8.4 (keep-alive)"),
}
"""References about a segment, by the reason why it was sent."""


class Explainer:
    """Explain the segments at one capture point in order, each from the segments before it."""

    def __init__(self, relative: Callable[[Record], tuple[int, int]], say: Say = str) -> None:
        self.relative = relative
        """Gives the relative seq and ack of a record."""
        self.say = say
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
        lines = [self._step(record.step)] if record.step else []
        if record.client and record.server:
            text = self.say(N_("client {client}; server {server}"))
            lines.append(text.format(client=_change(record.client), server=_change(record.server)))
        lines.append(self._seq(record, start))
        if record.segment.ctl & ACK:
            lines.append(self._ack(record, number))
        if not record.arrived:
            lines.append(self.say(N_("the path loses this segment after the point of capture")))
        lines.append(self.say(N_("{label}: {text}")).format(label=record.why, text=self.say(SECTIONS[record.why])))
        self._note(record, start)
        return "\n".join(lines)

    def _step(self, step: str) -> str:
        """The step of a scenario. Its verb and what it says are words of the scenario's file."""
        found = _STEP.fullmatch(step)
        if found is None:
            return step
        octets = self.say(N_("{n} octets")).format(n=found[4]) if found[4] else ""
        comma = self.say(N_(", ")) if found[3] else " " if octets else ""
        return self.say(N_("step {n}: {what}")).format(n=found[1], what=f"{found[2]}{comma}{octets}")

    def _seq(self, record: Record, start: int) -> str:
        """How the sequence number follows from earlier segments."""
        segment, say = record.segment, self.say
        ctl, taken = segment.ctl, segment.length
        text = say(N_("seq {start} (raw {raw})")).format(start=start, raw=segment.seq)
        expected = self.next[record.sender]
        if ctl & SYN:
            text += say(N_(": the initial sequence number, again") if expected else N_(": the initial sequence number"))
        elif ctl & RST and not ctl & ACK and record.why == "rst" and not expected:
            text += say(N_(": the number that the previous segment acknowledged"))
        elif ctl & RST and segment.seq == 0:
            text += say(N_(": 0, because there is no connection"))
        elif start == expected:
            text += f" = {self._sum(start, self.fin.get(record.sender))}"
        elif record.why == "keep-alive":
            text += say(N_(": one before the next number, so that the peer must answer"))
        elif start < expected and not taken:
            text += f" = {self._sum(start, self.fin.get(record.sender))}"
            text += say(N_("; the peer has not accepted the octets sent beyond"))
        elif start < expected:
            used = N_(": sent before (client has used all numbers below {expected})")
            if record.sender == "server":
                used = N_(": sent before (server has used all numbers below {expected})")
            text += say(used).format(expected=expected)
        else:
            text += say(N_(": ahead of {expected}: the capture lacks the segments between")).format(expected=expected)
        if taken and not ctl & RST:
            parts = [say(N_("{n} octets")).format(n=len(segment.payload))] if segment.payload else []
            parts += [name for bit, name in ((SYN, "SYN"), (FIN, "FIN")) if ctl & bit]
            takes = say(N_("; {parts}: takes {taken}, next seq {next}"))
            text += takes.format(parts=" + ".join(parts), taken=taken, next=start + taken)
        return text

    def _ack(self, record: Record, number: int) -> str:
        """How the acknowledgement number follows from the peer's segments."""
        peer = "server" if record.sender == "client" else "client"
        text = N_("ack {number} (raw {raw}) = {sum} of the client")
        if peer == "server":
            text = N_("ack {number} (raw {raw}) = {sum} of the server")
        sum_ = self._sum(number, self.fin.get(peer))
        found = self.say(text).format(number=number, raw=record.segment.ack, sum=sum_)
        missing = self.next[peer] - number
        if missing > 0:
            found += self.say(N_("; {n} more sent, not yet acknowledged")).format(n=missing)
        return found

    def _sum(self, number: int, fin: int | None) -> str:
        """A relative number as the sum of what it counts, such as `1 (SYN) + 99 octets + 1 (FIN)`."""
        past_fin = fin is not None and number > fin
        octets = number - 1 - past_fin
        text = "1 (SYN)"
        if octets > 0:
            text += " + " + self.say(N_("{n} octets")).format(n=octets)
        return text + (" + 1 (FIN)" if past_fin else "")


def _change(states: States) -> str:
    before, after = states
    return str(after) if before is after else f"{before} -> {after}"
