"""Questions about sequence and acknowledgement numbers."""

from collections.abc import Iterator

from labkit.i18n import N_, _
from labkit.tcp.options import Sack
from labkit.tcp.segment import ACK, FIN, SYN
from labkit.tcp.seq import add, after
from labkit.teach.quiz.question import Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk, plain

MAX_NEAR = 20
"""Packets before one among which wrong answers are looked for."""


def packet(step: Step) -> str:
    """The filter of one packet."""
    return f"frame.number == {step.number}"


def wrong_acks(talk: Talk, step: Step) -> Iterator[tuple[int, str]]:
    """What students take for the number that acknowledges a segment."""
    start = talk.seq(step)
    other = step.last[step.peer]
    if step.length != step.row.length:
        yield start + step.row.length, _("SYN or FIN is not counted: each takes one sequence number")
    if step.row.length:
        yield start + step.length - 1, _("this is the last byte that arrived, not the next one expected")
        if other is not None and other.row.length and other.row.length != step.row.length:
            yield start + other.row.length, _("it adds the length of the receiver's own data, not of the data received")
    yield start, _("this is the first byte of the packet, not the one after its last")
    if not step.row.length:
        yield start + 2, _("the flag is counted twice: it takes one sequence number")


def sum_of(talk: Talk, step: Step) -> str:
    """How the number after a segment follows: `1 + 99 = 100`."""
    parts = [str(talk.seq(step)), *([str(step.row.length)] if step.row.length else [])]
    parts += [f"1 ({name})" for bit, name in ((SYN, "SYN"), (FIN, "FIN")) if step.has(bit)]
    return f"{' + '.join(parts)} = {talk.shown(step.end, step.side)}"


def _after(kind: str, talk: Talk, step: Step, what: str) -> Iterator[Question]:
    """Which number acknowledges a segment."""
    end = talk.shown(step.end, step.side)
    stem = _("{what} Which acknowledgement number says that it has arrived?").format(what=what)
    why = _("the number of the next byte expected: {sum}").format(sum=sum_of(talk, step))
    proof = Proof(packet(step), "tcp.nxtseq", str(end))
    yield from asked(kind, talk, step.number, stem, (end, why), wrong_acks(talk, step), proof, numbers=True)


def _next_ack(talk: Talk) -> Iterator[Question]:
    for step in talk.sound:
        if plain(step) and step.in_order:
            what = _("Packet {n} of the {side} has seq {seq} and carries {length} bytes.")
            text = what.format(n=step.number, side=talk.name(step.side), seq=talk.seq(step), length=step.row.length)
            yield from _after("next-ack", talk, step, text)


def _ack_of_syn(talk: Talk) -> Iterator[Question]:
    for step in talk.sound:
        if step.has(SYN) and not step.row.length and talk.whole:
            what = _("Packet {n} is the SYN of the {side}, with seq {seq} and without data.")
            text = what.format(n=step.number, side=talk.name(step.side), seq=talk.seq(step))
            yield from _after("ack-of-syn", talk, step, text)
            return


def _ack_of_fin(talk: Talk) -> Iterator[Question]:
    for step in talk.sound:
        if step.has(FIN) and not step.has(SYN) and step.in_order:
            what = _("Packet {n} of the {side} is a FIN with seq {seq} and {length} bytes of data.")
            text = what.format(n=step.number, side=talk.name(step.side), seq=talk.seq(step), length=step.row.length)
            yield from _after("ack-of-fin", talk, step, text)


def wrong_seqs(talk: Talk, step: Step) -> Iterator[tuple[int, str]]:
    """What students take for the sequence number of a segment."""
    before, other = step.last[step.side], step.last[step.peer]
    if before is None:
        return
    start = talk.seq(before)
    if before.length != before.row.length:
        yield start + before.row.length, _("SYN or FIN is not counted: each takes one sequence number")
    if before.row.length:
        if other is not None and other.row.length:
            yield start + other.row.length, _("it adds the length of the peer's data, not of the sender's own")
        yield start, _("this is the number of the packet before; its data has moved it on")
        yield start + before.length - 1, _("this is the last byte that was sent, not the next one")
    if step.has(ACK):
        yield talk.ack(step), _("this is the acknowledgement number: it counts the bytes of the other side")
    yield start + before.length + 1, _("one too many: an ACK without data takes no sequence number")


def _next_seq(talk: Talk) -> Iterator[Question]:
    for step in talk.sound:
        before = step.last[step.side]
        if before is None or not step.in_order or before.end != step.row.seq or step.has(SYN):
            continue
        stem = _(
            "Packet {before} is the last one of the {side} before packet {n} that takes sequence numbers: it has seq {seq} "
            "and carries {length} bytes. What is the sequence number of packet {n}?"
        ).format(
            before=before.number,
            n=step.number,
            side=talk.name(step.side),
            seq=talk.seq(before),
            length=before.row.length,
        )
        why = _("the number after the packet before: {sum}").format(sum=sum_of(talk, before))
        right, proof = talk.seq(step), Proof(packet(step), "tcp.seq", str(talk.seq(step)))
        yield from asked("next-seq", talk, step.number, stem, (right, why), wrong_seqs(talk, step), proof, numbers=True)


def _acked_packet(talk: Talk) -> Iterator[Question]:
    places: dict[tuple[int, int], list[int]] = {}
    for place, step in enumerate(talk.sound):
        own = places.get((step.peer, step.row.ack), [])
        moved = step.acked[step.side] != step.row.ack
        if step.has(ACK) and not step.has(SYN) and len(own) == 1 and moved and plain(talk.sound[own[0]]):
            yield from _acked(talk, step, own[0], place)
        if step.length:
            places.setdefault((step.side, step.end), []).append(place)


def _acked(talk: Talk, step: Step, at: int, place: int) -> Iterator[Question]:
    """Which packet an ACK covers last: that at a place of the conversation."""
    acked, last = talk.sound[at], step.last[step.peer]
    earlier = [each for each in talk.sound[max(0, at - MAX_NEAR) : at] if each.side == step.peer]
    later = talk.sound[max(at + 1, place - 2) : place]
    wrong = [(last.number, _("the peer sent it later: this ACK does not cover it"))] if last is not None else []
    wrong += [(each.number, _("its bytes are acknowledged too, but it is not the last")) for each in earlier[:-3:-1]]
    wrong += [(each.number, _("it was sent later, and its bytes do not end there")) for each in later]
    stem = _("Packet {n} of the {side} has ack {ack}. Which is the last packet that it acknowledges?")
    text = stem.format(n=step.number, side=talk.name(step.side), ack=talk.ack(step))
    why = _("its last byte is {last}, and the ack is the number after it").format(
        last=talk.shown(add(acked.end, -1), acked.side)
    )
    found = talk.of(step.peer, f"tcp.nxtseq == {talk.ack(step)}", "tcp.len > 0")
    proof = Proof(found, "frame.number", str(acked.number))
    yield from asked("acked-packet", talk, step.number, text, (acked.number, why), wrong, proof, numbers=True)


def _in_flight(talk: Talk) -> Iterator[Question]:
    again: set[int] = set()
    for step in talk.sound:
        acked, side = step.acked[step.peer], step.side
        if not step.in_order and not step.has(SYN):
            again.add(side)  # What is in flight after a retransmission or a gap is a matter of definition,
        if any(isinstance(each, Sack) for each in step.row.options):
            again.add(step.peer)  # and so it is whether selectively acknowledged bytes are.
        theirs = step.nxt[step.peer]
        if step.has(ACK) and (step.has(SYN) if theirs is None else after(step.row.ack, theirs)):
            again.add(step.peer)  # The capture shows an ACK before what it acknowledges.
        if not plain(step) or not step.in_order or acked is None or not talk.whole or side in again:
            continue
        flight = talk.shown(step.end, side) - talk.shown(acked, side)
        isn = talk.isns[side]
        if isn is None or acked == isn or flight < step.row.length:
            continue
        sent = talk.shown(step.end, side) - talk.shown(isn, side) - 1
        stem = _("How many bytes of the {side} are in flight, sent but not yet acknowledged, right after packet {n}?")
        why = _("the next number {end} less the last ack {ack} of the {peer}").format(
            end=talk.shown(step.end, side), ack=talk.shown(acked, side), peer=talk.name(step.peer)
        )
        wrong = [
            (step.row.length, _("these are the bytes of this packet alone; earlier ones are in flight too")),
            (sent, _("these are all bytes ever sent; those that are acknowledged have arrived")),
            (flight - step.row.length, _("this was so before packet {n}").format(n=step.number)),
            (step.row.window, _("this is the window that the sender itself offers")),
        ]
        text = stem.format(side=talk.name(side), n=step.number)
        proof = Proof(packet(step), "tcp.analysis.bytes_in_flight", str(flight))
        yield from asked("bytes-in-flight", talk, step.number, text, (flight, why), wrong, proof)


DATA = N_("a packet with data")

KINDS = (
    Kind("next-ack", N_("the number that acknowledges a packet's data"), DATA, _next_ack),
    Kind("ack-of-syn", N_("the number that acknowledges a SYN"), N_("the SYN of both sides"), _ack_of_syn),
    Kind("ack-of-fin", N_("the number that acknowledges a FIN"), N_("a FIN"), _ack_of_fin),
    Kind("next-seq", N_("the sequence number of a packet"), N_("two packets of one side in order"), _next_seq),
    Kind("acked-packet", N_("the last packet that an ACK acknowledges"), N_("an ACK of data"), _acked_packet),
    Kind("bytes-in-flight", N_("bytes sent but not yet acknowledged"), DATA, _in_flight),
)
