"""What a capture is: its conversations in figures, and the limits of what it can show.

`CaptureLimits` listens while a capture is judged: it counts what the rules of the families `capture` and `checksum` find, and
looks at each conversation when that is over. What it says is said once for the whole capture, whatever findings are
left out of the report, so that no verdict is taken for more than it is.
"""

from collections import Counter
from dataclasses import dataclass

from labkit.analysis.flows import Flow
from labkit.analysis.rule import Rule
from labkit.analysis.side import Side
from labkit.i18n import _, ngettext
from labkit.tcp.segment import ACK, SYN
from labkit.tcp.seq import after, diff

MOST = 10_000
"""Conversations of a capture that are described, each in some hundred octets; those after them are only counted."""

FAMILIES = frozenset({"capture", "checksum", "retransmission"})
"""Families whose rules are asked under every profile: under one that lacks them they are counted, not reported."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation in figures. Of each pair the first is the client's, the second the server's."""

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
    """`fin` (by both sides), `half-closed` (by one), `reset`, or `open`."""
    packets: tuple[int, int]
    octets: tuple[int, int]
    """Of payload, each counted once, as far as the capture shows them."""
    retransmissions: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that the capture does not show as it was, or not at all."""

    kind: str
    """A word for programs, which stays: `no-segments`, `none-wanted`, or one of `_messages`."""
    code: str
    """The rule whose notes say the same of single packets; empty where there is none."""
    count: int
    """How many packets, conversations (mid-stream, one-sided) or gaps (packets-missing)."""
    packet: int | None
    """The first packet that shows it, where packets do."""
    message: str


class CaptureLimits:
    """Counts, while a capture is judged, what it cannot show; and describes its conversations."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._codes: dict[str, str] = {}
        self._first: dict[str, int] = {}
        self.conversations: list[Conversation] = []

    def count(self, rule: Rule, answer: int, packet: int | None, times: int = 1) -> None:
        """Count findings, reported or not. `answer` is the predicate's, `packet` the first one that the findings are about."""
        kind = rule.limits.get(answer)
        if kind and times:
            self._counts[kind] += times
            self._codes[kind] = rule.code
            if packet is not None:
                self._first.setdefault(kind, packet)

    def end(self, flow: Flow, resent: list[int], start: int, *, describe: bool) -> None:
        """A conversation is over. `resent`: retransmissions of its sides, `start`: the time of the first frame."""
        self.end_many(missed=sum(side.missed for side in flow.sides), again=int(flow.point > 0))
        if describe and len(self.conversations) < MOST:
            self.conversations.append(described(flow, resent, start))

    def end_many(self, *, missed: int, again: int, forgotten: int = 0, beyond: int = 0) -> None:
        """Conversations are over, in which so many gaps were acknowledged; so many of them stand there again, from another
        interface; so many had to give way while they were open; and so many findings were not kept."""
        self._counts["packets-missing"] += missed
        self._counts["several-points"] += again
        self._counts["forgotten"] += forgotten
        self._counts["findings-not-kept"] += beyond

    def limits(self, segments: int, reported: int) -> list[Limit]:
        """What a capture of so many TCP segments cannot show, the gravest first, where so many conversations are reported."""
        found = []
        if segments == 0:
            text = _("there is no TCP segment in this capture: nothing was judged")
            found.append(Limit("no-segments", "", 0, None, text))
        elif reported == 0:
            text = _("no conversation of this capture is among those that were asked for: nothing is reported")
            found.append(Limit("none-wanted", "", 0, None, text))
        for kind, message in _messages(self._counts).items():
            packet = self._first.get(kind)
            text = message.format(n=self._counts[kind], packet=packet)
            found.append(Limit(kind, self._codes.get(kind, ""), self._counts[kind], packet, text))
        return found


def _messages(counts: Counter[str]) -> dict[str, str]:
    """What each limit means for the verdict, in the user's language, for those that there are."""

    def said(kind: str, one: str, many: str, rest: str) -> tuple[str, str]:
        return kind, f"{ngettext(one, many, counts[kind])}: {rest}"

    every = (
        said(
            "mid-stream",
            "{n:,} conversation began before the capture",
            "{n:,} conversations began before the capture",
            _("its handshake, windows, and whatever options agreed on, cannot be judged"),
        ),
        said(
            "one-sided",
            "{n:,} conversation shows one direction only",
            "{n:,} conversations show one direction only",
            _("acknowledgements and windows cannot be judged against what the other side sent"),
        ),
        said(
            "truncated",
            "{n:,} packet was cut when it was captured (packet {packet})",
            "{n:,} packets were cut when they were captured (the first is packet {packet})",
            _("checksums and payload cannot be judged there, nor what the options of such a SYN agreed on"),
        ),
        said(
            "checksum-offload",
            "{n:,} packet has a checksum that the network card was to complete (packet {packet})",
            "{n:,} packets have a checksum that the network card was to complete (the first is packet {packet})",
            _("such checksums cannot be judged"),
        ),
        said(
            "segmentation-offload",
            "{n:,} segment is larger than any on the wire (packet {packet})",
            "{n:,} segments are larger than any on the wire (the first is packet {packet})",
            _("what each segment was on the wire, and how often it was acknowledged, cannot be judged"),
        ),
        said(
            "duplicated",
            "{n:,} packet stands in the capture twice (packet {packet})",
            "{n:,} packets stand in the capture twice (the first is packet {packet})",
            _("what looks like a retransmission may be a copy"),
        ),
        said(
            "several-points",
            "{n:,} conversation stands in the capture a second time, from another interface",
            "{n:,} conversations stand in the capture a second time, from other interfaces",
            _("what each interface shows is judged by itself"),
        ),
        said(
            "forgotten",
            "{n:,} conversation had to give way to later ones",
            "{n:,} conversations had to give way to later ones",
            _("more were open than are kept; what else came of these was judged as begun before the capture"),
        ),
        said(
            "findings-not-kept",
            "{n:,} finding was counted only",
            "{n:,} findings were counted only",
            _("there are more of its severity than are kept"),
        ),
        said(
            "clock-stepped-back",
            "{n:,} packet is older than one before it (packet {packet})",
            "{n:,} packets are older than one before them (the first is packet {packet})",
            _("the order is the capture's, and times across it cannot be judged"),
        ),
        said(
            "packets-missing",
            "{n:,} gap was acknowledged, but its octets are not in the capture",
            "{n:,} gaps were acknowledged, but their octets are not in the capture",
            _("what the missing packets may explain is no error"),
        ),
    )
    return {kind: message for kind, message in every if counts[kind]}


def described(flow: Flow, resent: list[int], start: int) -> Conversation:
    """A conversation in figures. `resent`: retransmissions of its sides, `start`: the time of the first frame."""
    order = flow.client, 1 - flow.client
    client, server = (flow.sides[side] for side in order)
    # A side may be known from the conversation before this one only: then no packet of it was seen.
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
    """Octets of payload, those on a SYN included."""
    return side.octets + (max(0, diff(side.syn_end, side.isn) - 1) if side.syn else 0)


def _opened(client: Side, server: Side) -> str:
    """How the conversation was opened, as far as the capture shows."""
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
    """How the conversation ended, as far as the capture shows."""
    if _finished(client, server) and _finished(server, client):
        return "fin"
    if client.rst or server.rst:
        return "reset"
    return "half-closed" if client.has_fin or server.has_fin else "open"


def _finished(one: Side, other: Side) -> bool:
    """Whether a side has sent its FIN, and the other has acknowledged it."""
    return bool(one.has_fin and other.has_rcv_nxt and after(other.rcv_nxt, one.fin))
