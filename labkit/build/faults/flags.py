"""Faults of the control bits, and of fields that depend on them."""

from collections.abc import Sequence

from labkit.build.faults.base import (
    Edit,
    Edited,
    Fault,
    acks_something,
    handshake,
    on_data,
    plain_ack,
    rewritten,
)
from labkit.build.trace import Record
from labkit.i18n import N_
from labkit.tcp.segment import ACK, AE, CWR, ECE, ECT0, FIN, PSH, RST, SYN, URG


def _flags(needed: int, put: int, taken: int = 0) -> Edit:
    """An edit of the control bits of a segment that has the bits `needed`."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        ctl = records[index].segment.ctl
        if ctl & (needed | SYN | RST) != needed:
            return None
        return rewritten(records[index], ctl=ctl & ~taken | put)

    return edit


def _opening(put: int) -> Edit:
    def edit(records: Sequence[Record], index: int) -> Edited:
        segment = records[index].segment
        return rewritten(records[index], ctl=segment.ctl | put) if segment.ctl & (SYN | ACK) == SYN else None

    return edit


def _no_control_bits(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    return rewritten(records[index], ctl=0) if acks_something(segment) and not segment.ctl & FIN else None


def _ack_bit_missing(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not acks_something(segment) or not segment.payload or segment.ctl & FIN:
        return None
    return rewritten(records[index], ctl=segment.ctl & ~ACK | PSH)


def _ack_number_without_ack(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    return rewritten(records[index], ack=12345) if segment.ctl & (SYN | ACK) == SYN else None


def _ecn_agreed_unasked(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = handshake(records)
    if index != answer or syn is None or records[syn].segment.ctl & (ECE | CWR):
        return None
    return rewritten(records[index], ctl=records[index].segment.ctl | ECE)


def _ecn_without_agreement(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = handshake(records)
    if syn is None or answer is None or records[answer].segment.ctl & (ECE | CWR | AE) or not plain_ack(records, index):
        return None
    return rewritten(records[index], ctl=records[index].segment.ctl | ECE)


def _ecn_capable_syn(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if segment.ctl & (SYN | ACK) != SYN or segment.ctl & AE:  # AccECN may mark its SYN
        return None
    return rewritten(records[index], ctl=segment.ctl | ECE | CWR, ecn=ECT0)


FAULTS = (
    Fault("syn-with-fin", "FL01", N_("FIN on the opening SYN"), _opening(FIN)),
    Fault("syn-with-rst", "FL02", N_("RST on the opening SYN"), _opening(RST)),
    Fault("fin-with-rst", "FL02", N_("RST on a FIN"), _flags(FIN | ACK, RST)),
    Fault("no-control-bits", "FL03", N_("all control bits cleared"), _no_control_bits),
    Fault("fin-without-ack", "FL03", N_("ACK cleared on a FIN"), _flags(FIN | ACK, 0, taken=ACK | PSH | URG)),
    Fault("ack-bit-missing", "FL04", N_("ACK cleared on a segment with data"), _ack_bit_missing),
    Fault("ack-number-without-ack", "FL05", N_("an ack number on the opening SYN"), _ack_number_without_ack),
    Fault("ecn-agreed-unasked", "ECN01", N_("ECE on the SYN ACK, which nobody asked for"), _ecn_agreed_unasked),
    Fault("ecn-without-agreement", "ECN02", N_("ECE on an ACK without agreement"), _ecn_without_agreement),
    Fault("syn-is-ecn-capable", "ECN03", N_("a SYN that asks for ECN and is itself ECN-capable"), _ecn_capable_syn),
    Fault(
        "reserved-bits-set", "FL07", N_("the highest reserved bit set"), on_data(lambda each: {"ctl": each.ctl | 0x800})
    ),
    Fault("urgent-pointer-without-urg", "FL06", N_("an urgent pointer of 7"), on_data(lambda _each: {"urgent": 7})),
)
