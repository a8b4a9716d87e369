"""Questions about the handshake: initial numbers, the round-trip time, the maximum segment size, the window of a SYN."""

from collections.abc import Iterator

from labkit.i18n import N_, _
from labkit.tcp.options import Mss
from labkit.tcp.segment import ACK, RST, SYN
from labkit.teach.quiz.kinds.numbers import packet
from labkit.teach.quiz.question import Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk, plain


def syns(talk: Talk) -> tuple[Step, Step] | None:
    """The only SYN of the client, and the only SYN ACK that answers it."""
    own = [each for each in talk.sound if each.has(SYN)]
    if len(own) != 2 or not talk.whole or own[0].side != 0 or own[0].has(ACK):
        return None
    return (own[0], own[1]) if own[1].side == 1 and own[1].has(ACK) else None


def _isn(side: int, name: str) -> Kind:
    def find(talk: Talk) -> Iterator[Question]:
        step = talk.first(lambda each: each.side == side and each.has(SYN))
        isn, other = talk.isns[side], talk.isns[1 - side]
        if step is None or isn is None:
            return
        stem = _("What is the initial sequence number of the {side}, as the header has it (raw)?").format(
            side=talk.name(side)
        )
        wrong = [
            (0, _("Wireshark shows 0 because it counts from the SYN; the header has the raw number")),
            ((isn + 1) & 0xFFFFFFFF, _("the first byte of data has this number; the SYN takes the one before")),
        ]
        if other is not None:
            wrong.append((other, _("this is the number of the other side")))
        proof = Proof(talk.of(side, "tcp.flags.syn == 1"), "tcp.seq_raw", str(isn))
        why = _("the seq of its SYN, packet {n}").format(n=step.number)
        yield from asked(name, talk, step.number, stem, (isn, why), wrong, proof)

    summary = (N_("the client's initial sequence number, raw"), N_("the server's initial sequence number, raw"))[side]
    return Kind(name, summary, N_("a SYN whose number is not 0"), find)


def _rtt(talk: Talk) -> Iterator[Question]:
    both = syns(talk)
    third = talk.first(lambda each: each.side == 0 and each.has(ACK) and not each.has(SYN))
    if both is None or third is None or third.row.length or third.row.ack != both[1].end:
        return
    first, second = both
    if second.row.ack != first.end or any(each.has(RST) and each.number < third.number for each in talk.steps):
        return
    # Near the client, the SYN ACK comes a round trip after the SYN; near the server, the third packet after the SYN ACK.
    forth, back = second.row.time - first.row.time, third.row.time - second.row.time
    start, answer, rtt = (first, second, forth) if forth >= back else (second, third, back)
    data = talk.first(plain)
    if rtt < 10_000:
        return
    wrong = [
        (rtt // 2, _("this is one way only: a round trip is there and back")),
        (2 * rtt, _("both directions are in the time already; it is not doubled")),
    ]
    if data is not None and data.row.time - first.row.time > 1.25 * rtt:
        wrong.insert(
            0, (data.row.time - first.row.time, _("it counts up to the first data, when the application sends"))
        )
    stem = _("Which round-trip time does the handshake of the {side} show?").format(side=talk.name(0))
    why = _("packet {b} answers packet {a}: {time} later").format(a=start.number, b=answer.number, time=_ms(rtt))
    value = f"{rtt // 10**9}.{rtt % 10**9:09d}"
    proof = Proof(packet(answer), "tcp.analysis.ack_rtt", value)
    times = ((_ms(time), text) for time, text in wrong)
    also = (_ms(rtt).removesuffix(" ms"),)
    yield from asked("rtt", talk, answer.number, stem, (_ms(rtt), why), times, proof, also=also)


def _ms(time: int) -> str:
    return f"{time / 1e6:.3f} ms"


def _mss(talk: Talk) -> Iterator[Question]:
    both = syns(talk)
    if both is None:
        return
    offers = [next((each.size for each in step.row.options if isinstance(each, Mss)), None) for step in both]
    for side in (0, 1):
        offer, own = offers[1 - side], offers[side]
        if offer is None or offer < 100:
            continue
        stem = _("Which maximum segment size (MSS) must the {side} keep to when it sends?").format(side=talk.name(side))
        wrong = (
            []
            if own is None
            else [(own, _("this is the MSS that it has announced itself: its peer keeps to that one"))]
        )
        wrong += [
            (offer - 40, _("the headers are subtracted again: the MSS counts data only")),
            (offer + 40, _("the headers are counted too: this is the size of the IP packet")),
        ]
        proof = Proof(talk.of(1 - side, "tcp.flags.syn == 1"), "tcp.options.mss_val", str(offer))
        number = both[1 - side].number
        why = _("the peer announces it in packet {n}").format(n=number)
        yield from asked("mss", talk, number, stem, (offer, why), wrong, proof)


KINDS = (
    _isn(0, "client-isn"),
    _isn(1, "server-isn"),
    Kind("rtt", N_("the round-trip time of the handshake"), N_("a handshake of three packets, each sent once"), _rtt),
    Kind("mss", N_("the MSS that a side keeps to"), N_("SYNs with an MSS option"), _mss),
)
