"""What a capture cannot show, and its conversations in figures.

`CaptureLimits` counts the findings of rules that declare a limit, and describes each conversation when that is over. The limits
are reported whichever findings are: they say how much a verdict is worth.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from labkit.analysis.flows import Flow
from labkit.analysis.limit_kinds import BY_WORD, COUNTED, KINDS, LimitKind
from labkit.analysis.side import Side
from labkit.analysis.unread import BROKEN_TCP, CUT_TCP, Unread
from labkit.analysis.value import Value
from labkit.i18n import _
from labkit.packet.decode import outcome
from labkit.tcp.flags import ACK, SYN
from labkit.tcp.seq import after, diff

if TYPE_CHECKING:
    from labkit.analysis.rule import Rule

MAX_DESCRIBED = 10_000
"""Conversations of a capture that are described in figures; later ones are only counted."""

MAX_NAMED = 5
"""Link types or IP protocols that the message of a limit names."""


class Conversation(NamedTuple):
    """One conversation in figures. Each pair is the client's and the server's."""

    flow: int
    client: str
    server: str
    first_packet: int
    start: float
    """Seconds since the capture's first frame."""
    duration: float
    """Seconds from its first segment to its last one."""
    opened: str
    """`handshake`, `simultaneous`, `half-open` (no third segment), `refused`, `unanswered`, or `not-seen`."""
    closed: str
    """`fin` (both sides closed), `half-closed` (one did), `reset`, or `open`."""
    packets: tuple[int, int]
    octets: tuple[int, int]
    """Payload without retransmissions, as far as the capture shows it."""
    retransmissions: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Limit(Value):
    """One thing that the capture does not show, or shows differently from the wire."""

    kind: str
    """A word for programs: one of NOTHING or KINDS (`limit_kinds`), or of a rule. There is one `not-read` for each reason."""
    code: str
    """The rule that reports the same for single packets; empty: no rule does."""
    count: int
    """Packets, conversations (mid-stream, one-sided) or gaps (packets-missing)."""
    packet: int | None
    """The first such packet; None for a limit that is not about packets."""
    message: str


def words(rules: "Iterable[Rule]") -> tuple[str, ...]:
    """The words of all limits that may fail a capture: labkit's own, and those that rules declare."""
    return tuple(dict.fromkeys((*KINDS, *(kind.word for rule in rules for kind in rule.limits.values()))))


class CaptureLimits:
    """Counts the limits of a capture, and describes its conversations."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._rules: dict[LimitKind, str] = {}
        """The code of the last rule that counted each kind."""
        self._first: dict[str, int] = {}
        self._unread: dict[int, tuple[int, int, list[int]]] = {}
        self.conversations: list[Conversation] = []

    def count(self, rule: "Rule", answer: int, packet: int | None, times: int = 1) -> None:
        """Count findings, reported or not. `answer` is the predicate's; `packet` is the first one with such a finding."""
        kind = rule.limits.get(answer)
        if kind and times:
            self._counts[kind.word] += times
            self._rules[kind] = rule.code
            if packet is not None:
                self._first[kind.word] = min(packet, self._first.get(kind.word, packet))

    def end(self, flow: Flow, resent: list[int], start: int, *, describe: bool) -> None:
        """Count a conversation that is over. `resent`: retransmissions of each side. `start`: the time of the first frame."""
        self.end_many(missed=sum(side.missed for side in flow.sides), again=int(flow.point > 0))
        if describe:
            self.conversations.append(described(flow, resent, start))

    def end_many(self, *, missed: int, again: int, forgotten: int = 0, beyond: int = 0) -> None:
        """Count gaps that were acknowledged (`missed`), conversations that another interface shows again (`again`), open
        conversations that were dropped (`forgotten`), and findings that were not kept (`beyond`)."""
        self._counts["packets-missing"] += missed
        self._counts["several-points"] += again
        self._counts["forgotten"] += forgotten
        self._counts["findings-not-kept"] += beyond

    def not_read(self, unread: Unread, pairs: "bytes | bytearray | memoryview") -> tuple[int, int]:
        """Count the frames that could not be read, with the table of pairs of all conversations.

        Returns the number of frames in which no TCP header could be read, and the number of segments whose header is not usable.
        """
        self._unread = unread.reasons(pairs)
        frames = sum(count for reason, (count, _first, _named) in self._unread.items() if reason < BROKEN_TCP)
        return frames, sum(count for reason, (count, _first, _named) in self._unread.items() if reason >= BROKEN_TCP)

    def limits(self, segments: int, reported: int) -> list[Limit]:
        """The limits of a capture with this number of TCP segments and of reported conversations, the gravest first."""
        found = []
        unread = [_not_read(reason, *each) for reason, each in self._unread.items()]
        if segments == 0:
            text = _("this capture has no TCP segment: there is nothing to verify")
            if unread:
                text = _("labkit could read no TCP segment of this capture: nothing was verified")
            found.append(Limit("no-segments", "", 0, None, text))
        elif reported == 0:
            text = _("no conversation of this capture matches the selection: there is nothing to report")
            found.append(Limit("none-wanted", "", 0, None, text))
        elif segments == sum(self._unread[reason][0] for reason in (BROKEN_TCP, CUT_TCP) if reason in self._unread):
            text = _("no TCP header of this capture can be used: nothing was verified")
            found.append(Limit("no-segments", "", 0, None, text))
        found += unread
        for kind in dict.fromkeys((*COUNTED, *self._rules)):
            if count := self._counts[kind.word]:
                packet = self._first.get(kind.word)
                code = self._rules.get(kind, "")
                found.append(Limit(kind.word, code, count, packet, kind.message(count, packet)))
        return found


def _not_read(reason: int, count: int, packet: int, numbers: list[int]) -> Limit:
    """The limit for frames that could not be read for a reason. `numbers`: their link types or IP protocols."""
    from labkit.packet.linktype import title

    names = [title(number) if reason == outcome.LINK_TYPE else str(number) for number in numbers]
    listed = ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
    one, many = {
        outcome.FRAGMENT: (
            _("{n:,} fragment of an incomplete IP packet (packet {packet})"),
            _("{n:,} fragments of incomplete IP packets (the first is packet {packet})"),
        ),
        outcome.MALFORMED: (
            _("{n:,} packet has a malformed IP header, or no room for TCP (packet {packet})"),
            _("{n:,} packets have a malformed IP header, or no room for TCP (the first is packet {packet})"),
        ),
        outcome.CUT_OFF: (
            _("{n:,} packet ends before its TCP header (packet {packet})"),
            _("{n:,} packets end before their TCP header (the first is packet {packet})"),
        ),
        outcome.TOO_DEEP: (
            _("{n:,} packet has more than {most} layers (packet {packet})"),
            _("{n:,} packets have more than {most} layers (the first is packet {packet})"),
        ),
        outcome.LINK_TYPE: (
            _("{n:,} packet has a link type that labkit cannot read: {names} (packet {packet})"),
            _("{n:,} packets have a link type that labkit cannot read: {names} (the first is packet {packet})"),
        ),
        outcome.FOREIGN: (
            _("{n:,} packet has IP protocol {names} where TCP (6) was expected (packet {packet})"),
            _("{n:,} packets have IP protocol {names} where TCP (6) was expected (the first is packet {packet})"),
        ),
        outcome.HIDDEN: (
            _("{n:,} packet holds IP behind a layer that labkit cannot read (packet {packet})"),
            _("{n:,} packets hold IP behind a layer that labkit cannot read (the first is packet {packet})"),
        ),
        BROKEN_TCP: (
            _("{n:,} packet has a TCP header whose length does not fit (packet {packet})"),
            _("{n:,} packets have a TCP header whose length does not fit (the first is packet {packet})"),
        ),
        CUT_TCP: (
            _("{n:,} packet ends inside its TCP header (packet {packet})"),
            _("{n:,} packets end inside their TCP header (the first is packet {packet})"),
        ),
    }[reason]
    text = (one if count == 1 else many).format(n=count, packet=packet, names=listed, most=outcome.MAX_LAYERS)
    return Limit("not-read", "", count, packet, f"{text}{_(': ')}{_('not verified')}")


def damaged(message: str, kind: str = "damaged") -> Limit:
    """The limit of a capture that could not be read to its end, or only to the end of its budget."""
    return Limit(kind, "", 1, None, _("{message}; judged up to there").format(message=message))


def not_accounted(count: int) -> Limit:
    """The limit for conversations whose numbers were judged without the account of them as a whole."""
    kind = BY_WORD["not-accounted"]
    return Limit(kind.word, "", count, None, kind.message(count, None))


def described(flow: Flow, resent: list[int], start: int) -> Conversation:
    """A conversation in figures. `resent`: retransmissions of each side. `start`: the time of the first frame."""
    order = flow.client, 1 - flow.client
    client, server = (flow.sides[side] for side in order)
    # A side without packets may be known from the conversation before this one.
    seen = [side for side in flow.sides if side.last_packet]
    began = min((side.first_time for side in seen if side.first_packet), default=start)
    ended = max((side.last_time for side in seen), default=began)
    return Conversation(
        flow=flow.index,
        client=flow.name(order[0]),
        server=flow.name(order[1]),
        first_packet=min((side.first_packet for side in seen if side.first_packet), default=0),
        start=round((began - start) / 1e9, 9),
        duration=round((ended - began) / 1e9, 9),
        opened=_opened(client, server),
        closed=_closed(client, server),
        packets=(client.seen, server.seen),
        octets=(_octets(client), _octets(server)),
        retransmissions=(resent[order[0]], resent[order[1]]),
    )


def _octets(side: Side) -> int:
    """Octets of payload, including those on a SYN."""
    return side.octets + (max(0, diff(side.syn_end, side.isn) - 1) if side.syn else 0)


def _opened(client: Side, server: Side) -> str:
    if not client.syn:
        return "not-seen"
    if server.syn:
        if server.first_ctl & (SYN | ACK) == SYN:
            return "simultaneous"
        return "half-open" if client.third == 1 else "handshake"
    if server.rst:
        return "refused"
    return "not-seen" if server.seen else "unanswered"


def _closed(client: Side, server: Side) -> str:
    if _finished(client, server) and _finished(server, client):
        return "fin"
    if client.rst or server.rst:
        return "reset"
    return "half-closed" if client.has_fin or server.has_fin else "open"


def _finished(one: Side, other: Side) -> bool:
    """Whether one side sent its FIN, and the other side acknowledged it."""
    return bool(one.has_fin and other.has_rcv_nxt and after(other.rcv_nxt, one.fin))


@runtime_checkable
class Chosen(Protocol):
    """A sequence of conversations that makes only those that are asked for."""

    def of_flows(self, flows: Container[int]) -> Iterator[Conversation]:
        """Do what the function `of_flows` does."""


def of_flows(conversations: Sequence[Conversation], flows: Container[int]) -> Iterator[Conversation]:
    """Those of certain flows, in the same order."""
    if isinstance(conversations, Chosen):
        return conversations.of_flows(flows)
    return (each for each in conversations if each.flow in flows)
