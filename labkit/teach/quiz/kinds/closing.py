"""Questions about the close, and about what was sent up to it."""

from collections.abc import Iterator

from labkit.i18n import N_, _, ngettext
from labkit.tcp.segment import FIN, SYN
from labkit.tcp.seq import before
from labkit.teach.quiz.question import SUM, Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Talk


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
            (count + flags, _("SYN and FIN take sequence numbers, but they are not data")),
            (other, _("these are the bytes of the other side")),
            (max(each.row.length for each in data), _("these are the bytes of one packet only")),
            (count + 20 * len(data), _("the headers are counted too")),
        ]
        stem = _("How many bytes of data does the {side} send in the whole conversation?").format(side=talk.name(side))
        why = ngettext("{n} packet carries data: {count} bytes", "{n} packets carry data: {count} bytes", len(data))
        why = why.format(n=len(data), count=count)
        proof = Proof(talk.of(side), "tcp.len", str(count), SUM)
        yield from asked(name, talk, data[-1].number, stem, (count, why), wrong, proof)

    summary = (N_("the bytes that the client sends"), N_("the bytes that the server sends"))[side]
    return Kind(name, summary, N_("a conversation in which nothing of that side is sent again"), find)


KINDS = (
    Kind("first-closer", N_("the side that closes first"), N_("a FIN that no other one crosses"), _closer),
    _sent(0, "client-bytes"),
    _sent(1, "server-bytes"),
)
