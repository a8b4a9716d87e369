"""Fold what is uneventful in a long conversation, so that a picture shows what matters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from labkit.analysis.severity import Severity
from labkit.i18n import _, ngettext
from labkit.report.draw._conversation import CLIENT, SERVER, Arrow, Conversation
from labkit.report.segment_line import seconds
from labkit.tcp.segment import FIN, RST, SYN
from labkit.tcp.state import State

MIN_FOLDED = 6
"""A shorter run of uneventful segments is drawn."""

CONTEXT = 2
"""Segments to draw before and after an event."""

MAX_DRAWN = 300
"""Segments to draw of one conversation; with more events, the lesser ones are folded too."""


@dataclass(frozen=True, slots=True)
class Fold:
    """A run of segments that is drawn as one line."""

    arrows: Sequence[Arrow]

    def __str__(self) -> str:
        """What is folded: `412 segments, in order`."""
        count = len(self.arrows)
        again = sum(bool(arrow.original) for arrow in self.arrows)
        lost = sum(arrow.lost for arrow in self.arrows)
        text = ngettext("{n:,} segment", "{n:,} segments", count).format(n=count)
        if not again and not lost:
            text = _("{segments}, in order").format(segments=text)
        if again:
            text += _(", ") + ngettext("{n:,} sent again", "{n:,} sent again", again).format(n=again)
        if lost:
            text += _(", ") + ngettext("{n:,} lost", "{n:,} lost", lost).format(n=lost)
        return text

    @property
    def details(self) -> str:
        """The payload of both directions, the time that passes, and the packets."""
        octets = [sum(arrow.row.length for arrow in self.arrows if arrow.sender == end) for end in (CLIENT, SERVER)]
        words = [f"{sign} {size:,} {_('bytes')}" for sign, size in zip("→←", octets, strict=True) if size]
        times = [arrow.sent for arrow in self.arrows]
        words.append(f"{seconds(max(times) - min(times))} s")
        numbers = [arrow.number for arrow in self.arrows if arrow.number is not None]
        if numbers:
            words.append(_("packets {first}-{last}").format(first=min(numbers), last=max(numbers)))
        return _(", ").join(words)


MAX_RUN = 24
"""Segments without a fault to draw in a row; of a longer run, the first half of these and the last quarter."""

Part = Arrow | Fold


def folded(conversation: Conversation, most: int = MAX_DRAWN, *, whole: bool = False) -> list[Part]:
    """The arrows of a conversation in their order, with folds for uneventful runs; `whole` folds nothing."""
    arrows = conversation.arrows
    if whole or len(arrows) <= 2 * CONTEXT + MIN_FOLDED:
        return list(arrows)
    weights = list(_weights(arrows))
    least = next((weight for weight in (1, 2, 3, 4) if len(_near(weights, weight)) <= most), 5)
    shown = _near(weights, least) if least < 5 else set(sorted(_near(weights, 4))[:most])
    shown -= _middles(shown, weights)
    parts: list[Part] = []
    for visible, run in groupby(range(len(arrows)), key=shown.__contains__):
        places = list(run)
        if visible or len(places) < MIN_FOLDED:
            parts += [arrows[place] for place in places]
        else:
            parts.append(Fold([arrows[place] for place in places]))
    return parts


def _middles(shown: set[int], weights: list[int]) -> set[int]:
    """The middles of long runs of minor segments, such as retransmissions: their arrows would be drawn too close together."""
    found: set[int] = set()
    for minor, run in groupby(range(len(weights)), key=lambda place: place in shown and weights[place] < 3):
        places = list(run)
        if minor and len(places) > MAX_RUN:
            found.update(places[MAX_RUN // 2 : -MAX_RUN // 4])
    return found


def _near(weights: list[int], least: int) -> set[int]:
    """The places to draw: events of at least this weight, each with its neighbours."""
    events = (place for place, weight in enumerate(weights) if weight >= least)
    return {near for place in events for near in range(max(0, place - CONTEXT), min(len(weights), place + CONTEXT + 1))}


def _weights(arrows: Sequence[Arrow]) -> Iterator[int]:
    """How much each segment matters: 4 a fault, 3 the opening and the close, 2 a loss or a retransmission, 1 other marks."""
    before: list[State | None] = [None, None]
    for place, arrow in enumerate(arrows):
        now = list(before)
        now[arrow.sender] = arrow.sender_state
        now[1 - arrow.sender] = arrow.receiver_state if not arrow.lost else before[1 - arrow.sender]
        gravest = max((each.severity for each in arrow.findings), default=None)
        if gravest is not None and gravest >= Severity.WARNING:
            yield 4
        elif arrow.row.ctl & (SYN | FIN | RST) or now != before or place in (0, len(arrows) - 1):
            yield 3
        elif arrow.lost or arrow.original is not None:
            yield 2
        else:
            yield 1 if arrow.kind else 0
        before = now
