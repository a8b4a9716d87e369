"""Questions about windows."""

from collections.abc import Iterator

from labkit.i18n import N_, _
from labkit.tcp.options import WindowScale
from labkit.tcp.segment import ACK, RST, SYN
from labkit.teach.quiz.kinds.handshake import syns
from labkit.teach.quiz.kinds.numbers import packet
from labkit.teach.quiz.question import Kind, Proof, Question, asked
from labkit.teach.quiz.subject import Step, Talk


def _shifts(talk: Talk) -> tuple[int, int] | None:
    """The window scales of both sides, if both offered one."""
    both = syns(talk)
    if both is None:
        return None
    found = [next((each.shift for each in step.row.options if isinstance(each, WindowScale)), None) for step in both]
    one, other = found
    return (one, other) if one is not None and other is not None and max(one, other) <= 14 else None


def _wrong(field: int, own: int, other: int) -> list[tuple[int, str]]:
    wrong = [
        (field, _("this is the field as sent: it is not scaled yet")),
        (field << other, _("this is scaled by the factor of the other side")),
        (field * own, _("this is multiplied by the shift count; the factor is a power of two")),
    ]
    return [each for each in wrong if each[0] != field << own]


def _scaled(talk: Talk) -> Iterator[Question]:
    shifts = _shifts(talk)
    if shifts is None:
        return
    for step in talk.sound:
        own, other, field = shifts[step.side], shifts[step.peer], step.row.window
        if not own or not field or step.row.ctl & (SYN | RST):
            continue
        stem = _(
            "Packet {n} of the {side} has the window field {field}, and the SYN of the {side} a window scale of {shift}. "
            "How many bytes does the {side} have room for?"
        ).format(n=step.number, side=talk.name(step.side), field=field, shift=own)
        why = _("{field} is shifted left by {shift}: {field} × {factor} = {window}").format(
            field=field, shift=own, factor=1 << own, window=field << own
        )
        proof = Proof(packet(step), "tcp.window_size", str(field << own))
        yield from asked(
            "window-scaled", talk, step.number, stem, (field << own, why), _wrong(field, own, other), proof
        )


def _of_syn(talk: Talk) -> Iterator[Question]:
    shifts, both = _shifts(talk), syns(talk)
    if shifts is None or both is None:
        return
    for step in both:
        own, other, field = shifts[step.side], shifts[step.peer], step.row.window
        stem = _(
            "Packet {n} is the SYN of the {side}, with the window field {field} and a window scale of {shift}. "
            "How many bytes may its peer send at first?"
        ).format(n=step.number, side=talk.name(step.side), field=field, shift=own)
        why = _("the window of a SYN is never scaled (RFC 7323 section 2.2)")
        wrong = [
            (field << own, _("this is scaled, but the window of a SYN never is")),
            (
                field << other,
                _("this is scaled by the factor of the other side, and that of a SYN is not scaled at all"),
            ),
            (field * own, _("this is multiplied by the shift count, and the window of a SYN is not scaled at all")),
        ]
        proof = Proof(packet(step), "tcp.window_size", str(field))
        yield from asked("window-of-syn", talk, step.number, stem, (field, why), wrong if own else (), proof)


def _closed(talk: Talk) -> Iterator[Question]:
    for side in (0, 1):
        own = [each for each in talk.sound if each.side == side and not each.row.ctl & RST]
        zero = next((each for each in own if each.row.window == 0 and each.has(ACK) and not each.has(SYN)), None)
        if zero is None:
            continue
        after = [each for each in talk.steps if each.number > zero.number]
        probe = next((each for each in after if each.side != side), None)
        opened = next((each for each in after if each.side == side and each.row.window), None)
        before = [each for each in own if each.number < zero.number and each.row.window]
        wrong = _neighbours(probe, opened, before[-1] if before else None)
        stem = _("Which packet is the first to say that the {side} has no room for data?").format(side=talk.name(side))
        why = _("its window is 0")
        conditions = ("tcp.window_size_value == 0", "tcp.flags.reset == 0", "tcp.flags.syn == 0", "tcp.flags.ack == 1")
        proof = Proof(talk.of(side, *conditions), "frame.number", str(zero.number))
        yield from asked("zero-window", talk, zero.number, stem, (zero.number, why), wrong, proof)


def _neighbours(probe: Step | None, opened: Step | None, before: Step | None) -> Iterator[tuple[int, str]]:
    if opened is not None:
        yield opened.number, _("this one opens the window again")
    if probe is not None:
        yield probe.number, _("the peer sends this one after it has seen the window of 0")
    if before is not None:
        yield before.number, _("its window is {window}, not 0").format(window=before.row.window)


SCALES = N_("SYNs that both have a window scale above 0")

KINDS = (
    Kind("window-scaled", N_("the window of a packet in bytes, after scaling"), SCALES, _scaled),
    Kind("window-of-syn", N_("the window of a SYN, which is not scaled"), SCALES, _of_syn),
    Kind("zero-window", N_("the packet that closes the window"), N_("a window of 0"), _closed),
)
