"""Find the conversation that a segment with a wrong port or address belongs to.

A segment whose four-tuple is wrong is another conversation for every reader, and looks like the middle of one whose
beginning is missing. If its numbers are the next ones of a conversation between the same hosts, and at most half of its
four-tuple differs, it is a segment of that conversation with a typing error.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from labkit.analysis.entry import CLIENT, SERVER, Entry, Shown
from labkit.analysis.flows import End, Flow, end_name
from labkit.analysis.ledger import Ledger
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add

MAX_WORK = 200_000
"""Segments, and pairs of conversations, that are looked at to find the places of strays."""

FourTuple = tuple[bytes, int, bytes, int]
"""Source address and port, destination address and port."""


@dataclass(slots=True, eq=False, repr=False)
class Talk:
    """The segments of one conversation, as the flow table has them. `ends[CLIENT]` sent the first SYN."""

    index: int
    ends: tuple[End, End]
    segments: list[Shown]
    flow: Flow | None = None

    def wanted(self, choice: Callable[[Flow], bool] | None) -> bool:
        """Whether its findings are reported."""
        return choice is None or self.flow is None or choice(self.flow)

    @property
    def opens(self) -> bool:
        """Whether it begins with a client's SYN."""
        return bool(self.segments) and self.segments[0].ctl & (SYN | ACK) == SYN

    def four_tuple(self, side: int) -> FourTuple:
        """What the segments of a side carry."""
        return (*self.ends[side], *self.ends[1 - side])

    def turned(self, seg: Shown) -> Shown:
        """A segment as one of the other side, with the four-tuple of this one."""
        return replace(seg, side=1 - seg.side, port=0, four_tuple=self.four_tuple(seg.side))


class Work:
    """What may still be done for strays."""

    def __init__(self, over: Callable[[], bool] = bool) -> None:
        self._left = MAX_WORK
        self._over = over
        self.stopped = False
        """Whether something was left undone."""

    def take(self, amount: int) -> bool:
        """Whether so much may still be done."""
        self._left -= amount
        self.stopped = self.stopped or self._left < 0 or (amount > 1 and self._over())
        return not self.stopped


def adopt(talks: Sequence[Talk], work: Work | None = None) -> Iterator[tuple[Talk, list[Shown]]]:
    """Each conversation that has strays, with those that were adopted. The segments of both together
    are in the order of the capture; adopted ones say in `port` which port is right (0: several parts are wrong)."""
    work = work or Work()
    strays = [talk for talk in talks if talk.segments and not talk.opens]
    lone = [talk for talk in talks if talk.opens and len(talk.segments) == 1]
    found: set[int] = set()
    for stray in strays:
        for syn in lone:
            if syn.index not in found and work.take(1) and _opens(syn, stray) and work.take(2 * len(stray.segments)):
                opened = [_marked(syn.segments[0], CLIENT, syn, stray), *stray.segments]
                if len(_mistakes(Ledger(opened))) < len(_mistakes(Ledger(stray.segments))):
                    found |= {syn.index, stray.index}
                    yield stray, opened
                    break
    strays = [talk for talk in strays if talk.index not in found]
    for host in (talk for talk in talks if talk.opens and talk.index not in found):
        known = _with_strays(host, strays, work)
        if known is not host.segments:
            yield host, known


def _with_strays(host: Talk, strays: Sequence[Talk], work: Work) -> list[Shown]:
    """The segments of a conversation and of the strays that fit it."""
    numbers = _Numbers(host.segments)
    known = host.segments
    mistakes = -1
    for stray in strays:
        if not work.take(1):
            break
        for moved in _choices(stray, host):
            if not numbers.may_begin(moved[0]) or not work.take(2 * len(known)):
                continue
            if mistakes < 0:
                mistakes = len(_mistakes(Ledger(known)))
            more = sorted([*known, *moved], key=lambda seg: seg.packet)
            if _fits(known, mistakes, more, moved):
                known, mistakes = more, -1
                numbers.add(moved)
                break
    return known


def exchange(talks: Sequence[Talk], doubted: Collection[int], work: Work) -> dict[int, list[Shown]]:
    """The segments of conversations, by their indices, of which one carries the ports of another: it has the next numbers of
    that one, and does not fit where it stands. `doubted` are the packets that may be such."""
    found: dict[int, list[Shown]] = {}
    opened = [talk for talk in talks if talk.opens and talk.segments]
    for talk in opened:
        for seg in [seg for seg in talk.segments if seg.packet in doubted and not seg.ctl & (SYN | RST)]:
            host = next((other for other in opened if _belongs(seg, talk, other, found, work)), None)
            if host is not None:
                found[talk.index] = [one for one in talk.segments if one is not seg]
                found[host.index] = _inserted(seg, talk, host)
                break
    return found


def _belongs(seg: Shown, talk: Talk, host: Talk, found: Collection[int], work: Work) -> bool:
    """Whether a segment of one conversation is of another one."""
    if host is talk or {talk.index, host.index} & set(found) or not work.take(1):
        return False
    if host.segments[0].packet > seg.packet:
        return False
    if not 0 < len(_differing(talk.four_tuple(seg.side), host.four_tuple(seg.side))) <= 2:
        return False
    if not _Numbers(host.segments).may_begin(seg) or not work.take(2 * (len(talk.segments) + len(host.segments))):
        return False
    known, rest = _mistakes(Ledger(talk.segments)), [one for one in talk.segments if one is not seg]
    if len(_mistakes(Ledger(rest))) >= len(known):
        return False
    together = _inserted(seg, talk, host)
    moved = [one for one in together if one.packet == seg.packet]
    return _fits(host.segments, len(_mistakes(Ledger(host.segments))) - 1, together, moved)  # which lacks it


def _inserted(seg: Shown, talk: Talk, host: Talk) -> list[Shown]:
    """The segments of a conversation with one that another one has."""
    return sorted([*host.segments, _marked(seg, seg.side, talk, host)], key=lambda one: one.packet)


class _Numbers:
    """The numbers that a segment of a conversation may begin with, by its side."""

    def __init__(self, segments: Sequence[Shown]) -> None:
        self._of: tuple[set[int], set[int]] = set(), set()
        self.add(segments)

    def add(self, segments: Sequence[Shown]) -> None:
        for seg in segments:
            self._of[seg.side].update((seg.seq, seg.end))
            if seg.ctl & ACK:
                self._of[1 - seg.side].add(seg.ack)

    def may_begin(self, seg: Shown) -> bool:
        """Whether a segment continues, repeats or probes what its side has sent or was asked for, or is its SYN."""
        of = self._of[seg.side]
        return bool(seg.ctl & SYN) or not of or seg.seq in of or add(seg.seq, 1) in of


def _choices(stray: Talk, host: Talk) -> Iterator[list[Shown]]:
    """The segments of a stray as segments of a conversation; none where too much of the four-tuple differs, and as either side's
    where the four-tuple tells neither."""
    likely = _moved(stray, host)
    if likely:
        yield likely
        other = _moved(stray, host, turned=True)
        if other != likely:
            yield other


def _moved(stray: Talk, host: Talk, turned: bool = False) -> list[Shown]:
    """The segments of a stray as those of the sides that they are likely of, or of the others where that can be."""
    first = stray.segments[0]
    if first.packet < host.segments[0].packet or not first.ctl & ACK:
        return []
    moved = []
    for seg in stray.segments:
        choices = [_differing(stray.four_tuple(seg.side), host.four_tuple(side)) for side in (CLIENT, SERVER)]
        counts = [len(each) for each in choices]
        if not 0 < min(counts) <= 2:
            return []  # with the same ports and addresses, it is of another connection between them
        side = counts.index(min(counts))
        if counts[0] == counts[1]:
            side = _side_by_numbers(seg, host) ^ turned
        moved.append(_marked(seg, side, stray, host))
    return moved


def _marked(seg: Shown, side: int, stray: Talk, host: Talk) -> Shown:
    """A segment of a stray as one of a side of the host, with the port that is right."""
    own, right = stray.four_tuple(seg.side), host.four_tuple(side)
    differing = _differing(own, right)
    port = right[differing[0]] if len(differing) == 1 else 0
    return replace(seg, side=side, port=port if isinstance(port, int) else 0, four_tuple=own)


def _opens(syn: Talk, stray: Talk) -> bool:
    """Whether a SYN that stands alone is that of a longer conversation without one: its four-tuple is wrong, not all others."""
    first = stray.segments[0]
    near = 0 < len(_differing(syn.four_tuple(CLIENT), stray.four_tuple(CLIENT))) <= 2
    answered = first.side == SERVER and first.ack == syn.segments[0].end
    return near and answered and len(stray.segments) > 1 and syn.segments[0].packet < first.packet


def _differing(one: FourTuple, other: FourTuple) -> list[int]:
    return [place for place in range(4) if one[place] != other[place]]


def _side_by_numbers(seg: Shown, host: Talk) -> int:
    """The sender of a segment whose ports or addresses are swapped: the server, if it acknowledges the client."""
    client = [one for one in host.segments if one.side == CLIENT and one.packet < seg.packet]
    known = {one.end for one in client}
    return SERVER if seg.ack in known and seg.ctl & ACK else CLIENT


def _fits(without: Sequence[Shown], before: int, together: Sequence[Shown], moved: Sequence[Shown]) -> bool:
    """Whether the ledger of the conversation is no worse with these segments than without, where it has `before` mistakes, and
    their numbers are its next ones. The other half of a conversation may have mistakes of its own."""
    if any(seg.ctl & RST and not _answers(seg, without) for seg in moved):
        return False  # accounts ask little of a reset: any one would fit
    ledger = Ledger(together)
    packets = {seg.packet for seg in moved}
    mistakes = _mistakes(ledger)
    if _is_other_half(without, moved):
        return ledger.knows and 2 * len(packets & {entry.packet for entry in mistakes}) < len(packets)
    return ledger.knows and not any(entry.packet in packets for entry in mistakes) and len(mistakes) <= before


def _is_other_half(known: Sequence[Shown], moved: Sequence[Shown]) -> bool:
    """Whether a conversation has no answer but these segments, of which the first is the answer to its SYN."""
    first, side = moved[0], moved[0].side
    answers = first.ctl & (SYN | ACK) == SYN | ACK and first.ack == known[0].end
    return answers and all(seg.side == side for seg in moved) and not any(seg.side == side for seg in known)


def _mistakes(ledger: Ledger) -> list[Entry]:
    return [entry for entry in ledger.mistakes if entry.fault != "port"]


def _answers(reset: Shown, known: Sequence[Shown]) -> bool:
    """Whether a reset has a number that its peer has asked for or has reached, and answers nothing that was reset before."""
    peer = [seg for seg in known if seg.side != reset.side and seg.packet < reset.packet]
    if any(seg.ctl & RST for seg in known if seg.packet < reset.packet):
        return False
    return any(reset.seq == seg.ack for seg in peer if seg.ctl & ACK) or any(
        reset.ack == seg.end for seg in peer if reset.ctl & ACK
    )


def right_fields(seg: Shown, right: FourTuple) -> str:
    """The lines for Scapy that mend a wrong four-tuple, on one line."""
    from ipaddress import ip_address

    ip = "IP" if len(right[0]) == 4 else "IPv6"
    source, destination = (str(ip_address(right[place])) for place in (0, 2))
    values = ((f"{ip}].src", source), ("TCP].sport", right[1]), (f"{ip}].dst", destination), ("TCP].dport", right[3]))
    wrong = zip(values, seg.four_tuple or right, right, strict=True)
    return "; ".join(f"packets[{seg.packet - 1}][{name} = {value!r}" for (name, value), is_, be in wrong if is_ != be)


def tuple_text(ends: FourTuple) -> str:
    """A four-tuple as `source → destination`."""
    return f"{end_name((ends[0], ends[1]))} → {end_name((ends[2], ends[3]))}"
