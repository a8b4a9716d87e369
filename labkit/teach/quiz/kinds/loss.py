"""Questions about loss: what was lost, what was sent again, and what told the sender."""

from collections.abc import Iterator

from labkit.i18n import N_, _
from labkit.tcp.options import Sack
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import after
from labkit.teach.quiz.kinds.numbers import packet
from labkit.teach.quiz.question import COUNT, LAST, Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk, plain


def _answers(talk: Talk, first: Step, again: Step) -> list[Step]:
    """The peer's segments between both copies."""
    between = range(first.number + 1, again.number)
    return [each for each in talk.sound if each.number in between and each.side == first.peer and each.has(ACK)]


def _was_lost(talk: Talk, first: Step, again: Step) -> bool:
    """Whether the peer asked for the segment between both copies, and did not acknowledge it: it was lost, or is late."""
    answers = _answers(talk, first, again)
    asking = [each for each in answers if each.row.ack == first.row.seq and not each.row.length]
    return len(asking) > 1 and not any(after(each.row.ack, first.row.seq) for each in answers)


def _copies(talk: Talk, first: Step) -> str:
    return talk.of(first.side, f"tcp.seq == {talk.seq(first)}", "tcp.len > 0")


def _lost(talk: Talk) -> Iterator[Question]:
    for first, again in talk.resent:
        if not _was_lost(talk, first, again):
            continue
        again_too = {copy.number for copy, _again in talk.resent}
        own = [
            each
            for each in talk.sound
            if each.side == first.side and first.number < each.number < again.number and each.number not in again_too
        ]
        asking = _answers(talk, first, again)
        stem = _("The {peer} repeats its ack {ack}, because a packet has not arrived. Which one?").format(
            peer=talk.name(first.peer), ack=talk.seq(first)
        )
        why = _(
            "its seq {seq} is what the {peer} asks for; it was lost or is late, and packet {n} has the same bytes"
        ).format(seq=talk.seq(first), peer=talk.name(first.peer), n=again.number)
        wrong = [(each.number, _("it has a higher seq than the one that the peer asks for")) for each in own[:1]]
        wrong += [
            (each.number, _("this duplicate ACK arrived; it asks for the missing packet")) for each in asking[-1:]
        ]
        wrong += [(each.number, _("it was sent after the missing packet")) for each in own[-1:]]
        proof = Proof(_copies(talk, first), "frame.number", str(first.number))
        yield from asked("lost-packet", talk, first.number, stem, (first.number, why), wrong, proof, numbers=True)


def _resent(talk: Talk) -> Iterator[Question]:
    if not talk.ended or len(talk.sound) < len(talk.steps):
        return
    for first, again in talk.resent:
        own = [each for each in talk.sound if each.side == first.side and each.number > first.number and plain(each)]
        behind = [each for each in talk.sound if each.number > again.number]
        wrong = [
            (each.number, _("it carries other bytes: its seq is higher"))
            for each in own
            if each.row.seq != first.row.seq
        ][:2]
        wrong += [(each.number, _("it comes after the retransmission")) for each in behind[:1]]
        wrong += [(first.number, _("this is the packet itself"))]
        stem = _("Which packet carries the bytes of packet {n} again?").format(n=first.number)
        why = _("it has the same seq {seq} and the same length").format(seq=talk.seq(first))
        proof = Proof(_copies(talk, first), "frame.number", str(again.number), LAST)
        yield from asked("resent-packet", talk, again.number, stem, (again.number, why), wrong, proof)


def _duplicates(talk: Talk) -> Iterator[Question]:
    for first, again in talk.resent:
        asking = [each for each in _answers(talk, first, again) if each.row.ack == first.row.seq]
        empty = not any(each.row.length or each.row.ctl & (SYN | FIN | RST) for each in asking)
        earlier = [
            each
            for each in talk.sound
            if each.side == first.peer
            and each.number < first.number
            and each.has(ACK)
            and each.row.ack == first.row.seq
        ]
        if not asking or not empty or not _was_lost(talk, first, again):
            continue
        original = earlier[-1] if earlier else asking[0]
        count = len([each for each in asking if each.number > original.number])
        stem = _(
            "How many duplicate ACKs does the {peer} send before the {side} sends packet {n} again, in packet {m}?"
        )
        text = stem.format(peer=talk.name(first.peer), side=talk.name(first.side), n=first.number, m=again.number)
        why = _("they repeat the ack of packet {n} and carry no data").format(n=original.number)
        wrong = [
            (count + 1, _("the first ACK with this number is not a duplicate")),
            (3, _("three are the threshold of fast retransmit, but here it is another number")),
            (count - 1, _("the last one is a duplicate too")),
        ]
        span = f"frame.number > {original.number}", f"frame.number < {again.number}"
        number = talk.shown(first.row.seq, first.side)
        filter_ = talk.of(first.peer, f"tcp.ack == {number}", "tcp.len == 0", *span)
        proof = Proof(filter_, "frame.number", str(count), COUNT)
        yield from asked("duplicate-acks", talk, again.number, text, (count, why), wrong, proof)


def _sack(talk: Talk) -> Iterator[Question]:
    for step in talk.sound:
        blocks = next((each.blocks for each in step.row.options if isinstance(each, Sack)), ())
        if len(blocks) != 1 or not step.has(ACK) or not talk.whole or not after(blocks[0][0], step.row.ack):
            continue
        ack, left, right = talk.ack(step), *(talk.shown(each, step.peer) for each in blocks[0])
        stem = _(
            "Packet {n} of the {side} has ack {ack} and a SACK block from {left} to {right}. Which bytes are missing?"
        )
        why = _("all before the ack has arrived, and all in the block; between them, {n} bytes are missing")
        wrong = [
            (f"{left} – {right - 1}", _("these have arrived: the SACK block says so")),
            (f"{ack} – {right - 1}", _("the bytes of the SACK block have arrived")),
        ]
        text = stem.format(n=step.number, side=talk.name(step.side), ack=ack, left=left, right=right)
        proof = Proof(packet(step), "tcp.options.sack_le", str(left))
        right_answer = f"{ack} – {left - 1}", why.format(n=left - ack)
        yield from asked("sack-gap", talk, step.number, text, right_answer, wrong, proof, numbers=True)


AGAIN = N_("a packet that is sent again, once and with the same length")

KINDS = (
    Kind("lost-packet", N_("the packet that is missing"), N_("a missing packet that duplicate ACKs ask for"), _lost),
    Kind("resent-packet", N_("the packet that carries lost bytes again"), AGAIN, _resent),
    Kind(
        "duplicate-acks", N_("the number of duplicate ACKs"), N_("duplicate ACKs before a retransmission"), _duplicates
    ),
    Kind("sack-gap", N_("the bytes that a SACK option reports as missing"), N_("an ACK with one SACK block"), _sack),
)
