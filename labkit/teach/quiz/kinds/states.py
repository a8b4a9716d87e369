"""Questions about states: in which one a side is after a packet that moves it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labkit.i18n import N_, _
from labkit.tcp.segment import ACK, FIN, SYN
from labkit.tcp.seq import add, before
from labkit.teach.quiz.question import Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk

NAMES = {SYN: "syn", ACK: "ack", FIN: "fin"}


@dataclass(frozen=True, slots=True)
class Sign:
    """The segment that moves a side to a state: the first of a sender with these flags, and this acknowledgement number."""

    sender: int
    flags: Mapping[int, bool]
    why: str
    ack: int | None = None

    def fits(self, step: Step) -> bool:
        """Whether a segment is of this form."""
        flags = all(step.has(bit) == value for bit, value in self.flags.items())
        return step.side == self.sender and flags and self.ack in (None, step.row.ack)

    def filter(self, talk: Talk) -> str:
        """The display filter for segments of this form."""
        conditions = [f"tcp.flags.{NAMES[bit]} == {int(value)}" for bit, value in self.flags.items()]
        if self.ack is not None:
            conditions.append(f"tcp.ack == {talk.shown(self.ack, 1 - self.sender)}")
        return talk.of(self.sender, *conditions)


def _state(talk: Talk) -> Iterator[Question]:
    both_open = any(each.side == 1 and each.has(SYN) and not each.has(ACK) for each in talk.sound)
    if not talk.whole or both_open:
        return
    known: list[str] = ["CLOSED", "LISTEN"]
    done: set[tuple[int, str]] = set()
    for step in talk.sound:
        states = [str(each) if each is not None else None for each in step.row.states]
        for side in (0, 1):
            now, was = states[side], known[side]
            if now is None or now == was:
                continue
            known[side] = now
            if (side, now) in done:
                continue
            done.add((side, now))
            yield from _after_packet(talk, step, side, was, now, states[1 - side])


def _after_packet(talk: Talk, step: Step, side: int, was: str, now: str, other: str | None) -> Iterator[Question]:
    """In which state a side is after a packet that moves it."""
    sign = _signs(talk, side).get(now)
    if sign is None or talk.first(sign.fits) is not step:
        return
    moment = _("has sent packet {n}") if step.side == side else _("has received packet {n}")
    stem = _("In which state is the {side} when it {moment}?").format(
        side=talk.name(side), moment=moment.format(n=step.number)
    )
    wrong = [(was, _("it was in this state before the packet"))]
    if other is not None:
        wrong.append((other, _("this is the state of the other side")))
    wrong += [(state, _(text)) for state, text in NEAR.get(now, ())]
    proof = Proof(sign.filter(talk), "frame.number", str(step.number))
    yield from asked("state", talk, step.number, stem, (now, sign.why), wrong, proof)


def _signs(talk: Talk, side: int) -> dict[str, Sign]:
    """What moves a side to each state, as far as that can be seen in one segment."""
    peer, isn = 1 - side, talk.isns[side] or 0
    found = {
        "SYN-SENT": Sign(side, {SYN: True, ACK: False}, _("it has sent a SYN")),
        "SYN-RECEIVED": Sign(peer, {SYN: True, ACK: False}, _("a SYN has arrived, and its answer is not acknowledged")),
        "ESTABLISHED": Sign(
            peer, {SYN: side == 0, ACK: True}, _("its SYN is acknowledged, and it knows the peer's"), add(isn, 1)
        ),
    }
    own = talk.first(lambda each: each.has(FIN) and each.side == side)
    theirs = talk.first(lambda each: each.has(FIN) and each.side == peer)
    if own is not None and theirs is not None:
        one, other = sorted((own, theirs), key=lambda each: each.number)
        if before(other.row.ack, one.end):
            return found  # The FINs crossed: more than one segment decides.
    if own is not None and (theirs is None or own.number < theirs.number):
        closed = _("both FINs are sent and acknowledged, and it closed first")
        waits = _("its FIN is acknowledged, and the peer's FIN has not arrived")
        found["FIN-WAIT-1"] = Sign(side, {FIN: True}, _("it has sent its FIN first"))
        found["FIN-WAIT-2"] = Sign(peer, {ACK: True}, waits, own.end)
        found["TIME-WAIT"] = Sign(peer, {FIN: True}, closed)
        return found
    found["CLOSE-WAIT"] = Sign(peer, {FIN: True}, _("the peer's FIN has arrived, and its own is not sent"))
    if own is not None:
        found["LAST-ACK"] = Sign(side, {FIN: True}, _("it has sent its FIN after the peer's"))
        found["CLOSED"] = Sign(peer, {ACK: True}, _("the last ACK has arrived"), own.end)
    return found


NEAR = {
    "SYN-SENT": (
        ("SYN-RECEIVED", N_("it has received no SYN yet")),
        ("ESTABLISHED", N_("nothing is acknowledged yet")),
    ),
    "SYN-RECEIVED": (("ESTABLISHED", N_("its own SYN is not acknowledged yet")),),
    "ESTABLISHED": (("SYN-SENT", N_("its SYN is acknowledged")), ("SYN-RECEIVED", N_("its SYN is acknowledged"))),
    "FIN-WAIT-1": (("FIN-WAIT-2", N_("its FIN is not acknowledged yet")), ("CLOSE-WAIT", N_("it closes first"))),
    "FIN-WAIT-2": (("TIME-WAIT", N_("the peer's FIN has not arrived yet")),),
    "CLOSE-WAIT": (("LAST-ACK", N_("its own FIN is not sent yet")), ("FIN-WAIT-1", N_("the peer closes first"))),
    "LAST-ACK": (
        ("TIME-WAIT", N_("only the side that closes first waits")),
        ("FIN-WAIT-1", N_("it does not close first")),
    ),
    "TIME-WAIT": (("CLOSED", N_("it waits for late packets first")), ("LAST-ACK", N_("it closed first"))),
    "CLOSED": (("TIME-WAIT", N_("only the side that closes first waits")),),
}
"""States that are mistaken for another one, with the reason why they are wrong."""

KINDS = (Kind("state", N_("the state of a side after a packet"), N_("the SYN of both sides"), _state),)
