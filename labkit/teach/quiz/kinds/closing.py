"""Questions about the close, and about what was sent up to it."""

from collections.abc import Iterator

from labkit.i18n import N_, _
from labkit.tcp.segment import ACK, FIN, SYN
from labkit.tcp.seq import add, before
from labkit.teach.quiz.question import SUM, Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk


def _closer(talk: Talk) -> Iterator[Question]:
    first = talk.first(lambda each: each.has(FIN))
    if first is None or talk.ports[0] == talk.ports[1]:
        return
    other = talk.first(lambda each: each.has(FIN) and each.side != first.side)
    if other is not None and before(other.row.ack, first.end):
        return  # The FINs crossed: both sides close at once.
    stem = _("Which side closes first?")
    if not talk.alone:
        stem = _("Which side closes first, of the {client} and the {server}?").format(
            client=talk.name(0), server=talk.name(1)
        )
    why = _("packet {n} has the first FIN").format(n=first.number)
    late = _("its FIN comes later, or not at all")
    wrong = [
        (talk.name(1 - first.side), late),
        (_("both at the same time"), _("each FIN closes one direction, and one FIN comes before the other")),
    ]
    proof = Proof(talk.of(first.side, "tcp.flags.fin == 1"), "frame.number", str(first.number))
    yield from asked("first-closer", talk, first.number, stem, (talk.name(first.side), why), wrong, proof)


def _sent(side: int, name: str) -> Kind:
    def find(talk: Talk) -> Iterator[Question]:
        own = [each for each in talk.sound if each.side == side]
        data = [each for each in own if each.row.length]
        in_order = all(each.in_order or not each.length or each.has(SYN) for each in own)
        if not data or not in_order or not talk.whole or not talk.ended or len(talk.sound) < len(talk.steps):
            return
        count = sum(each.row.length for each in data)
        flags = sum(each.has(SYN) for each in own) + sum(each.has(FIN) for each in own)
        other = sum(each.row.length for each in talk.sound if each.side != side)
        if sum(each.has(SYN) for each in own) != 1:
            return
        wrong = [
            (count + flags, _("SYN and FIN take sequence numbers, but they are no data")),
            (other, _("these are the bytes of the other side")),
            (max(each.row.length for each in data), _("these are the bytes of one packet only")),
            (count + 20 * len(data), _("the headers are counted too")),
        ]
        stem = _("How many bytes of data does the {side} send in the whole conversation?").format(side=talk.name(side))
        why = _("the sum over its packets with data: {n}").format(n=len(data))
        proof = Proof(talk.of(side), "tcp.len", str(count), SUM)
        yield from asked(name, talk, data[-1].number, stem, (count, why), wrong, proof)

    summary = (N_("the bytes that the client sends"), N_("the bytes that the server sends"))[side]
    return Kind(name, summary, N_("a conversation in which nothing of that side is sent again"), find)


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
    fins = [next((each for each in talk.sound if each.has(FIN) and each.side == one), None) for one in (0, 1)]
    proof = _moves(talk, side, now, fins[side], fins[1 - side])
    if proof is None:
        return
    filter_, why = proof
    moment = _("has sent packet {n}") if step.side == side else _("has received packet {n}")
    stem = _("In which state is the {side} when it {moment}?").format(
        side=talk.name(side), moment=moment.format(n=step.number)
    )
    wrong = [(was, _("it was in this state before the packet"))]
    if other is not None:
        wrong.append((other, _("this is the state of the other side")))
    wrong += [(state, text) for state, text in NEAR.get(now, ()) if state != was]
    shows = Proof(filter_, "frame.number", str(step.number))
    yield from asked("state", talk, step.number, stem, (now, why), wrong, shows)


def _moves(talk: Talk, side: int, now: str, own: Step | None, peer: Step | None) -> tuple[str, str] | None:
    """The filter whose first packet moves a side to a state, and why; None where the rules of thumb do not hold."""
    crossed = False
    if own is not None and peer is not None:
        one, other = sorted((own, peer), key=lambda each: each.number)
        crossed = before(other.row.ack, one.end)
    if crossed and now not in ("SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"):
        return None
    isn = talk.isns[side]
    first = own is not None and (peer is None or own.number < peer.number)
    mine = talk.of(side, "tcp.flags.fin == 1"), talk.of(1 - side, "tcp.flags.fin == 1")
    end = talk.shown(own.end, side) if own is not None else 0
    acked = talk.of(1 - side, f"tcp.ack == {end}")
    table: dict[str, tuple[str, str, bool]] = {
        "SYN-SENT": (talk.of(side, "tcp.flags.syn == 1", "tcp.flags.ack == 0"), _("it has sent a SYN"), True),
        "SYN-RECEIVED": (
            talk.of(1 - side, "tcp.flags.syn == 1", "tcp.flags.ack == 0"),
            _("a SYN has arrived, and its answer is not acknowledged"),
            side == 1,
        ),
        "ESTABLISHED": (
            talk.of(1, "tcp.flags.syn == 1", "tcp.flags.ack == 1")
            if side == 0
            else talk.of(0, "tcp.flags.syn == 0", f"tcp.ack == {talk.shown(add(isn or 0, 1), side)}"),
            _("its SYN is acknowledged, and it knows the peer's"),
            True,
        ),
        "FIN-WAIT-1": (mine[0], _("it has sent its FIN first"), first),
        "FIN-WAIT-2": (acked, _("its FIN is acknowledged, and the peer's FIN has not arrived"), first),
        "TIME-WAIT": (mine[1], _("both FINs are sent and acknowledged, and it closed first"), first),
        "CLOSE-WAIT": (mine[1], _("the peer's FIN has arrived, and its own is not sent"), not first),
        "LAST-ACK": (mine[0], _("it has sent its FIN after the peer's"), not first),
        "CLOSED": (acked, _("the last ACK has arrived"), own is not None and not first),
    }
    found = table.get(now)
    return found[:2] if found is not None and found[2] else None


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

KINDS = (
    Kind("first-closer", N_("the side that closes first"), N_("a FIN that no other one crosses"), _closer),
    _sent(0, "client-bytes"),
    _sent(1, "server-bytes"),
    Kind("state", N_("the state of a side after a packet"), N_("the SYN of both sides"), _state),
)
