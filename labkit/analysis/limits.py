"""What a capture cannot show, and its conversations in figures.

`CaptureLimits` counts the findings of rules that declare a limit, and describes each conversation when that is over. The limits
are reported whichever findings are: they say how much a verdict is worth.
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from labkit.analysis.flows import Flow
from labkit.analysis.rule import Rule
from labkit.analysis.side import Side
from labkit.analysis.unread import BROKEN_TCP, CUT_TCP, Unread
from labkit.i18n import _, ngettext
from labkit.packet import decode
from labkit.packet.linktype import title
from labkit.tcp.segment import ACK, SYN
from labkit.tcp.seq import after, diff

MAX_DESCRIBED = 10_000
"""Conversations of a capture that are described in figures; later ones are only counted."""

NOTHING = ("no-segments", "none-wanted")
"""Kinds of limits that leave nothing to judge."""

BUDGETS = ("memory", "size", "time")
"""Kinds of limits that the budget of a capture sets (`labkit.capture.budget`)."""

KINDS = (
    "not-read",
    "damaged",
    *BUDGETS,
    "mid-stream",
    "one-sided",
    "truncated",
    "checksum-offload",
    "segmentation-offload",
    "duplicated",
    "several-points",
    "forgotten",
    "findings-not-kept",
    "clock-stepped-back",
    "packets-missing",
    "multipath",
    "not-accounted",
)
"""All other kinds of limits."""

MAX_NAMED = 5
"""Link types or IP protocols that the message of a limit names."""

FAMILIES = frozenset({"capture", "checksum", "multipath", "retransmission"})
"""Families whose rules are asked under every profile, because limits and figures need their findings."""


@dataclass(frozen=True, slots=True)
class Conversation:
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


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that the capture does not show, or shows differently from the wire."""

    kind: str
    """A word for programs: one of NOTHING or KINDS. There is one limit `not-read` for each reason."""
    code: str
    """The rule that reports the same for single packets; empty: no rule does."""
    count: int
    """Packets, conversations (mid-stream, one-sided) or gaps (packets-missing)."""
    packet: int | None
    """The first such packet; None for a limit that is not about packets."""
    message: str


class CaptureLimits:
    """Counts the limits of a capture, and describes its conversations."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._codes: dict[str, str] = {}
        self._first: dict[str, int] = {}
        self._unread: dict[int, tuple[int, int, list[int]]] = {}
        self.conversations: list[Conversation] = []

    def count(self, rule: Rule, answer: int, packet: int | None, times: int = 1) -> None:
        """Count findings, reported or not. `answer` is the predicate's; `packet` is the first one with such a finding."""
        kind = rule.limits.get(answer)
        if kind and times:
            self._counts[kind] += times
            self._codes[kind] = rule.code
            if packet is not None:
                self._first.setdefault(kind, packet)

    def end(self, flow: Flow, resent: list[int], start: int, *, describe: bool) -> None:
        """Count a conversation that is over. `resent`: retransmissions of each side. `start`: the time of the first frame."""
        self.end_many(missed=sum(side.missed for side in flow.sides), again=int(flow.point > 0))
        if describe and len(self.conversations) < MAX_DESCRIBED:
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
        for kind, message in _messages(self._counts).items():
            packet = self._first.get(kind)
            text = message.format(n=self._counts[kind], packet=packet)
            found.append(Limit(kind, self._codes.get(kind, ""), self._counts[kind], packet, text))
        return found


def _not_read(reason: int, count: int, packet: int, numbers: list[int]) -> Limit:
    """The limit for frames that could not be read for a reason. `numbers`: their link types or IP protocols."""
    names = [title(number) if reason == decode.LINK_TYPE else str(number) for number in numbers]
    listed = ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
    one, many = {
        decode.FRAGMENT: (
            _("{n:,} fragment of an incomplete IP packet (packet {packet})"),
            _("{n:,} fragments of incomplete IP packets (the first is packet {packet})"),
        ),
        decode.MALFORMED: (
            _("{n:,} packet has a malformed IP header, or no room for TCP (packet {packet})"),
            _("{n:,} packets have a malformed IP header, or no room for TCP (the first is packet {packet})"),
        ),
        decode.CUT_OFF: (
            _("{n:,} packet ends before its TCP header (packet {packet})"),
            _("{n:,} packets end before their TCP header (the first is packet {packet})"),
        ),
        decode.TOO_DEEP: (
            _("{n:,} packet has more than {most} layers (packet {packet})"),
            _("{n:,} packets have more than {most} layers (the first is packet {packet})"),
        ),
        decode.LINK_TYPE: (
            _("{n:,} packet has a link type that labkit cannot read: {names} (packet {packet})"),
            _("{n:,} packets have a link type that labkit cannot read: {names} (the first is packet {packet})"),
        ),
        decode.FOREIGN: (
            _("{n:,} packet has IP protocol {names} where TCP (6) was expected (packet {packet})"),
            _("{n:,} packets have IP protocol {names} where TCP (6) was expected (the first is packet {packet})"),
        ),
        decode.HIDDEN: (
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
    text = (one if count == 1 else many).format(n=count, packet=packet, names=listed, most=decode.MAX_LAYERS)
    return Limit("not-read", "", count, packet, f"{text}{_(': ')}{_('not verified')}")


def damaged(message: str, kind: str = "damaged") -> Limit:
    """The limit of a capture that could not be read to its end, or only to the end of its budget."""
    return Limit(kind, "", 1, None, _("{message}; judged up to there").format(message=message))


def not_accounted(count: int) -> Limit:
    """The limit for conversations whose numbers were judged without the account of them as a whole."""
    one = _("{n:,} conversation was judged segment by segment only")
    many = _("{n:,} conversations were judged segment by segment only")
    rest = _("the capture is too large or too wrong, or the time was over, for an account of all their numbers")
    return Limit("not-accounted", "", count, None, f"{ngettext(one, many, count)}{_(': ')}{rest}".format(n=count))


def _messages(counts: Counter[str]) -> dict[str, str]:
    """Each limit that was counted, and what it means for the verdict, in the user's language."""

    def limit(kind: str, what: str, rest: str) -> tuple[str, str]:
        return kind, f"{what}{_(': ')}{rest}"

    every = (
        limit(
            "mid-stream",
            ngettext(
                "{n:,} conversation began before the capture",
                "{n:,} conversations began before the capture",
                counts["mid-stream"],
            ),
            _("its handshake, windows and negotiated options cannot be verified"),
        ),
        limit(
            "one-sided",
            ngettext(
                "{n:,} conversation has packets in one direction only",
                "{n:,} conversations have packets in one direction only",
                counts["one-sided"],
            ),
            _("acknowledgements and windows cannot be compared with what the other side sent"),
        ),
        limit(
            "truncated",
            ngettext(
                "{n:,} packet was cut off by the capture (packet {packet})",
                "{n:,} packets were cut off by the capture (the first is packet {packet})",
                counts["truncated"],
            ),
            _("their checksums and payload, and the options of such a SYN, cannot be verified"),
        ),
        limit(
            "checksum-offload",
            ngettext(
                "{n:,} packet has a checksum that the network card completes later (packet {packet})",
                "{n:,} packets have a checksum that the network card completes later (the first is packet {packet})",
                counts["checksum-offload"],
            ),
            _("such checksums cannot be verified"),
        ),
        limit(
            "segmentation-offload",
            ngettext(
                "{n:,} segment is larger than on the wire, because of segmentation offload (packet {packet})",
                "{n:,} segments are larger than on the wire, because of segmentation offload (the first is packet {packet})",
                counts["segmentation-offload"],
            ),
            _("the size of each segment on the wire, and the number of its ACKs, cannot be verified"),
        ),
        limit(
            "duplicated",
            ngettext(
                "{n:,} packet appears twice (packet {packet})",
                "{n:,} packets appear twice (the first is packet {packet})",
                counts["duplicated"],
            ),
            _("a copy may look like a retransmission"),
        ),
        limit(
            "several-points",
            ngettext(
                "{n:,} conversation appears again, from another interface",
                "{n:,} conversations appear again, from other interfaces",
                counts["several-points"],
            ),
            _("each interface is verified by itself"),
        ),
        limit(
            "forgotten",
            ngettext(
                "{n:,} open conversation was dropped for a later one",
                "{n:,} open conversations were dropped for later ones",
                counts["forgotten"],
            ),
            _("too many were open at a time; their later packets were verified as if they began before the capture"),
        ),
        limit(
            "findings-not-kept",
            ngettext(
                "{n:,} finding was only counted",
                "{n:,} findings were only counted",
                counts["findings-not-kept"],
            ),
            _("labkit keeps a limited number of findings of each severity"),
        ),
        limit(
            "clock-stepped-back",
            ngettext(
                "{n:,} packet has an earlier time than the one before it (packet {packet})",
                "{n:,} packets have an earlier time than the one before them (the first is packet {packet})",
                counts["clock-stepped-back"],
            ),
            _("labkit follows the order of the capture; times across such a step cannot be verified"),
        ),
        limit(
            "packets-missing",
            ngettext(
                "{n:,} gap was acknowledged by the peer, but the capture lacks its bytes",
                "{n:,} gaps were acknowledged by the peer, but the capture lacks their bytes",
                counts["packets-missing"],
            ),
            _("anything that the missing packets could explain is not counted as an error"),
        ),
        limit(
            "multipath",
            ngettext(
                "{n:,} conversation is a subflow of an MPTCP connection",
                "{n:,} conversations are subflows of MPTCP connections",
                counts["multipath"],
            ),
            _("their windows are those of the whole connection, and are not verified"),
        ),
    )
    return {kind: message for kind, message in every if counts[kind]}


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
