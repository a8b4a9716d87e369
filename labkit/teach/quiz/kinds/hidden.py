"""Questions with a blank: a field is hidden in a ladder of packets, or in the tree of one packet."""

from collections.abc import Iterator

from labkit.i18n import N_, _
from labkit.tcp.options import pack
from labkit.tcp.segment import ACK, FIN, RST, SYN, control_names
from labkit.teach.quiz.kinds.numbers import packet, sum_of, wrong_acks, wrong_seqs
from labkit.teach.quiz.question import Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk, plain

MAX_LINES = 6
"""Packets of a ladder."""
BLANK = "____"


def _ladder(talk: Talk, place: int, since: Step, field: str) -> tuple[str, ...]:
    """The packets from one to that at a place, of which a field is hidden; empty if there are too many."""
    own = talk.sound[max(0, place - MAX_LINES + 1) : place + 1]
    if own[0].number > since.number:
        return ()
    shown = [each for each in own if each.number >= since.number]
    return tuple(_line(talk, each, field if each is own[-1] else "") for each in shown)


def _line(talk: Talk, step: Step, hidden: str) -> str:
    seq = BLANK if hidden == "seq" else str(talk.seq(step))
    ack = f" ack={BLANK if hidden == 'ack' else talk.ack(step)}" if step.has(ACK) else ""
    arrow = "client → server" if step.side == 0 else "client ← server"
    return f"{step.number:>5}  {arrow}  {control_names(step.row.ctl)}  seq={seq}{ack} len={step.row.length}"


def _hidden_ack(talk: Talk) -> Iterator[Question]:
    for place, step in enumerate(talk.sound):
        before = step.last[step.peer]
        if before is None or not step.acks_all or before.end != step.row.ack or (step.has(SYN) and step.row.length):
            continue
        figure = _ladder(talk, place, before, "ack")
        if not figure:
            continue
        wrong = [*_own_length(talk, step, before), *wrong_acks(talk, before)]
        stem = _("The ack of packet {n} is hidden. Which number belongs there?").format(n=step.number)
        why = _("the number after packet {n}: {sum}").format(n=before.number, sum=sum_of(talk, before))
        right, proof = talk.ack(step), Proof(packet(step), "tcp.ack", str(talk.ack(step)))
        yield from asked("hidden-ack", talk, step.number, stem, (right, why), wrong, proof, numbers=True, figure=figure)


def _own_length(talk: Talk, step: Step, before: Step) -> Iterator[tuple[int, str]]:
    if step.row.length:
        yield talk.seq(before) + step.row.length, _("it adds the length of this packet, not of the data received")


def _hidden_seq(talk: Talk) -> Iterator[Question]:
    for place, step in enumerate(talk.sound):
        before = step.last[step.side]
        if before is None or not step.in_order or before.end != step.row.seq or step.has(SYN):
            continue
        figure = _ladder(talk, place, before, "seq")
        if not figure:
            continue
        stem = _("The seq of packet {n} is hidden. Which number belongs there?").format(n=step.number)
        why = _("the number after packet {n}: {sum}").format(n=before.number, sum=sum_of(talk, before))
        right, proof = talk.seq(step), Proof(packet(step), "tcp.seq", str(talk.seq(step)))
        yield from asked(
            "hidden-seq",
            talk,
            step.number,
            stem,
            (right, why),
            wrong_seqs(talk, step),
            proof,
            numbers=True,
            figure=figure,
        )


def _tree(talk: Talk, step: Step, *lines: str) -> tuple[str, ...]:
    """The tree of a packet's TCP header, as Wireshark shows it."""
    return (
        "Transmission Control Protocol",
        f"    Source Port: {talk.ports[step.side]}",
        f"    Destination Port: {talk.ports[step.peer]}",
        *(f"    {line}" for line in lines),
        f"    Flags: {control_names(step.row.ctl)}",
        f"    Window: {step.row.window}",
    )


def _header_length(talk: Talk) -> Iterator[Question]:
    for step in talk.sound:
        options = len(pack(step.row.options)) + step.row.options_cut
        if not options or step.row.options_cut:
            continue
        length = 20 + options
        figure = (*_tree(talk, step, f"Header Length: {BLANK} bytes"), f"    Options: ({options} bytes)")
        stem = _("The header length of packet {n} is hidden. How many bytes does its TCP header have?").format(
            n=step.number
        )
        why = _("20 bytes that every header has, and {options} of options").format(options=options)
        wrong = [
            (20, _("this is a header without options")),
            (options, _("these are the options alone")),
            (length // 4, _("the field counts in words of four bytes")),
        ]
        proof = Proof(packet(step), "tcp.hdr_len", str(length))
        yield from asked("header-length", talk, step.number, stem, (length, why), wrong, proof, figure=figure)


def _data_length(talk: Talk) -> Iterator[Question]:
    for step in talk.sound:
        if not (plain(step) or (step.has(FIN) and not step.row.ctl & (SYN | RST))) or not talk.whole:
            continue
        start, end = talk.seq(step), talk.shown(step.end, step.side)
        lines = f"Sequence Number: {start}", f"[Next Sequence Number: {end}]", f"[TCP Segment Len: {BLANK}]"
        stem = _("The length of packet {n} is hidden. How many bytes of data does it carry?").format(n=step.number)
        why = _("the next number less its own: {end} - {start}").format(end=end, start=start)
        wrong = [(end - start + 1, _("one too many: the next number is not part of the packet"))]
        if step.has(FIN):
            why = _("the next number less its own, and less 1 for the FIN: {end} - {start} - 1").format(
                end=end, start=start
            )
            wrong = [(end - start, _("the FIN takes a sequence number, but it is not data"))]
        wrong += [
            (end, _("this is the next sequence number, not the length")),
            (end - start - 1, _("one too few: both the first and the last byte count")),
            (end - start + 1, _("one too many: the next number is not part of the packet")),
        ]
        figure = _tree(talk, step, *lines)
        proof = Proof(packet(step), "tcp.len", str(step.row.length))
        yield from asked(
            "data-length", talk, step.number, stem, (step.row.length, why), wrong, proof, numbers=True, figure=figure
        )


KINDS = (
    Kind("hidden-ack", N_("the hidden ack in a ladder"), N_("a packet that acknowledges all before it"), _hidden_ack),
    Kind("hidden-seq", N_("the hidden seq in a ladder"), N_("two packets of one side in order"), _hidden_seq),
    Kind("header-length", N_("the hidden header length in a packet's tree"), N_("TCP options"), _header_length),
    Kind("data-length", N_("the hidden length in a packet's tree"), N_("data or a FIN, and both SYNs"), _data_length),
)
