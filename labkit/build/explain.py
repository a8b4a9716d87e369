"""Explain each segment of a trace: its cause, the states, and how its numbers follow from earlier segments.

The comments of a file are English, so that it is the same on every machine, unless another language is asked for.
"""

import re
from collections.abc import Callable, Sequence

from labkit.build.record import Connection, Record, States
from labkit.i18n import N_
from labkit.tcp import seq as sn
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment

_STEP = re.compile(r"step (\d+): (.*?)(,)?(?: (\d+) octets)?")
Say = Callable[[str], str]
"""Gives a message in the language of the comments."""

Said = tuple[tuple[int, int, int | None], str]
"""A relative number, the octets beyond it that are sent, the FIN's number; and the text about them."""

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


class Words:
    """A text with places for one to three values, to be filled in many times: faster than `str.format`."""

    __slots__ = ("first", "format", "fourth", "in_order", "second", "third")

    def __init__(self, text: str, *names: str) -> None:
        """`names` are those of the places, in the order in which their values will be given."""
        marked = text.format(**{name: f"\0{place}\0" for place, name in enumerate(names)}).split("\0")
        self.in_order = marked[1::2] == [str(place) for place in range(len(names))]
        """Whether the text has the places in this order, each once."""
        self.format = text.format(**{name: f"{{{place}}}" for place, name in enumerate(names)}).format
        self.first, self.second, self.third, self.fourth = (*marked[::2], "", "", "")[:4]

    def one(self, value: str) -> str:
        """The text with its value."""
        return f"{self.first}{value}{self.second}" if self.in_order else self.format(value)

    def two(self, one: str, two: str) -> str:
        """The text with two values."""
        if self.in_order:
            return f"{self.first}{one}{self.second}{two}{self.third}"
        return self.format(one, two)

    def three(self, one: str, two: str, three: str) -> str:
        """The text with three values."""
        if self.in_order:
            return f"{self.first}{one}{self.second}{two}{self.third}{three}{self.fourth}"
        return self.format(one, two, three)


def relative(record: Record, connections: Sequence[Connection]) -> tuple[int, int]:
    """The record's relative seq and ack; ack is 0 without ACK."""
    segment = record.segment
    return counted(segment.seq, segment.ack, segment.ctl, *connections[record.connection].isns(record.sender))


def counted(seq: int, ack: int, ctl: int, own: int, peer: int) -> tuple[int, int]:
    """A segment's seq and ack from the initial sequence numbers of its sender and of the peer; ack is 0 without ACK."""
    # An endpoint without a connection has no ISN: its resets have seq 0.
    start = 0 if ctl & RST and seq == 0 else (seq - own) & sn.MASK
    return start, (ack - peer) & sn.MASK if ctl & ACK else 0


class Explainer:
    """Explain the segments at one capture point in order, each from the segments before it."""

    def __init__(self, connections: Sequence[Connection], say: Say = str) -> None:
        self.connections = connections
        self.say = say
        self.next = {"client": 0, "server": 0}
        """The relative sequence number after the last one that each side has used."""
        self.fin: dict[str, int] = {}
        """The relative sequence number of each side's FIN."""
        self.heads: dict[tuple[str, States | None, States | None], str] = {}
        """What precedes the numbers, by step and states: most segments share it with others."""
        # What most comments consist of.
        self.seq = Words(say(N_("seq {start} (raw {raw})")), "start", "raw")
        self.octets = Words(say(N_("{n} octets")), "n")
        self.takes = Words(say(N_("; {parts}: takes {taken}, next seq {next}")), "parts", "taken", "next")
        self.acks = {
            "client": Words(say(N_("ack {number} (raw {raw}) = {sum} of the server")), "number", "raw", "sum"),
            "server": Words(say(N_("ack {number} (raw {raw}) = {sum} of the client")), "number", "raw", "sum"),
        }
        """By the segment's sender."""
        self.missing = Words(say(N_("; {n} more sent, not yet acknowledged")), "n")
        # While one side sends, the other side's number stays.
        nothing: Said = (-1, 0, None), ""
        self.last_seq = {"client": nothing, "server": nothing}
        self.last_ack = {"client": nothing, "server": nothing}
        """What was last said of each sender's numbers."""
        self.isns: dict[tuple[int, str], tuple[int, int]] = {}
        """The initial sequence numbers of a connection's sender and of its peer."""
        self.lost = say(N_("the path loses this segment after the point of capture")) + "\n"
        label = say(N_("{label}: {text}")).format
        self.sections = {why: label(label=why, text=say(text)) for why, text in SECTIONS.items()}

    def note(self, record: Record) -> None:
        """Remember a record."""
        segment = record.segment
        self._note(record.sender, segment.ctl, relative(record, self.connections)[0], segment.length)

    def _note(self, sender: str, ctl: int, start: int, length: int) -> None:
        if length and not ctl & RST and start + length > self.next[sender]:
            self.next[sender] = start + length
        if ctl & FIN:
            self.fin[sender] = start + length - 1

    def explain(self, record: Record) -> str:
        """The comment on a record. Remember the record."""
        states = record.client, record.server
        return self.tell(
            record.connection, record.sender, record.segment, record.why, record.step, *states, arrived=record.arrived
        )

    def tell(
        self,
        connection: int,
        sender: str,
        segment: Segment,
        why: str,
        step: str,
        client: States | None,
        server: States | None,
        *,
        arrived: bool,
    ) -> str:
        """The comment on what a record would have of a segment. Remember the segment."""
        way = connection, sender
        isns = self.isns.get(way)
        if isns is None:
            isns = self.isns[way] = self.connections[connection].isns(sender)
        raw, raw_ack, ctl, octets = segment.seq, segment.ack, segment.ctl, len(segment.payload)
        start, number = counted(raw, raw_ack, ctl, *isns)
        length = octets + (ctl & SYN != 0) + (ctl & FIN != 0)
        if not why:
            self._note(sender, ctl, start, length)
            return step
        key = step, client, server
        head = self.heads.get(key)
        if head is None:
            head = self.heads[key] = self._head(step, client, server)
        expected = self.next[sender]
        if start == expected and not ctl & (SYN | RST):
            seq = self._regular(sender, start, raw)
        else:
            seq = self.seq.two(str(start), str(raw)) + self._irregular(sender, segment, why, start, length, expected)
        if length and not ctl & RST:
            seq += self._takes(ctl, octets, length, start + length)
        ack = self._ack(sender, raw_ack, number) if ctl & ACK else ""
        self._note(sender, ctl, start, length)
        return f"{head}{seq}\n{ack}{'' if arrived else self.lost}{self.sections[why]}"

    def _head(self, step: str, client: States | None, server: States | None) -> str:
        """The lines that precede the numbers: the step and the states, as far as they are known."""
        head = f"{self._step(step)}\n" if step else ""
        if client and server:
            text = self.say(N_("client {client}; server {server}"))
            head += text.format(client=_change(client), server=_change(server)) + "\n"
        return head

    def _step(self, step: str) -> str:
        """The step of a scenario. Its verb and what it says are words of the scenario's file."""
        found = _STEP.fullmatch(step)
        if found is None:
            return step
        octets = self.octets.one(found[4]) if found[4] else ""
        comma = self.say(N_(", ")) if found[3] else " " if octets else ""
        return self.say(N_("step {n}: {what}")).format(n=found[1], what=f"{found[2]}{comma}{octets}")

    def _takes(self, ctl: int, octets: int, taken: int, end: int) -> str:
        """The numbers that a segment takes: as many as `taken`, up to `end`."""
        parts = self.octets.one(str(octets)) if octets else ""
        if ctl & (SYN | FIN):
            names = [name for bit, name in ((SYN, "SYN"), (FIN, "FIN")) if ctl & bit]
            parts = " + ".join([parts, *names] if parts else names)
        return self.takes.three(parts, str(taken), str(end))

    def _regular(self, sender: str, start: int, raw: int) -> str:
        """The sequence number that follows from those before."""
        fin = self.fin.get(sender)
        key = start, 0, fin
        if self.last_seq[sender][0] != key:
            self.last_seq[sender] = key, f"{self.seq.two(str(start), str(raw))} = {self._sum(start, fin)}"
        return self.last_seq[sender][1]

    def _irregular(self, sender: str, segment: Segment, why: str, start: int, taken: int, expected: int) -> str:
        """What to say of a sequence number that is not just the next one; `taken` is the segment's length."""
        say, ctl = self.say, segment.ctl
        if ctl & SYN:
            return say(N_(": the initial sequence number, again") if expected else N_(": the initial sequence number"))
        if ctl & RST and not ctl & ACK and why == "rst" and not expected:
            return say(N_(": the number that the previous segment acknowledged"))
        if ctl & RST and segment.seq == 0:
            return say(N_(": 0, because there is no connection"))
        if start == expected:
            return f" = {self._sum(start, self.fin.get(sender))}"
        if why == "keep-alive":
            return say(N_(": one before the next number, so that the peer must answer"))
        if start > expected:
            return say(N_(": ahead of {expected}: the capture lacks the segments between")).format(expected=expected)
        if not taken:
            sum_ = self._sum(start, self.fin.get(sender))
            return f" = {sum_}" + say(N_("; the peer has not accepted the octets sent beyond"))
        used = N_(": sent before (client has used all numbers below {expected})")
        if sender == "server":
            used = N_(": sent before (server has used all numbers below {expected})")
        return say(used).format(expected=expected)

    def _ack(self, sender: str, raw: int, number: int) -> str:
        """The line on how the acknowledgement number follows from the peer's segments."""
        peer = "server" if sender == "client" else "client"
        fin, missing = self.fin.get(peer), self.next[peer] - number
        key = number, missing, fin
        if self.last_ack[sender][0] != key:
            text = self.acks[sender].three(str(number), str(raw), self._sum(number, fin))
            self.last_ack[sender] = key, f"{text}{self.missing.one(str(missing))}\n" if missing > 0 else f"{text}\n"
        return self.last_ack[sender][1]

    def _sum(self, number: int, fin: int | None) -> str:
        """A relative number as the sum of what it counts, such as `1 (SYN) + 99 octets + 1 (FIN)`."""
        past_fin = fin is not None and number > fin
        octets = number - 1 - past_fin
        text = f"1 (SYN) + {self.octets.one(str(octets))}" if octets > 0 else "1 (SYN)"
        return f"{text} + 1 (FIN)" if past_fin else text


def _change(states: States) -> str:
    before, after = states
    return str(after) if before is after else f"{before} -> {after}"
