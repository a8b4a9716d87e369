"""Faults of FIN and RST."""

from collections.abc import Sequence

from labkit.build.faults.base import (
    Edited,
    Fault,
    followed,
    handshake,
    heard_before,
    rewritten,
    sent_before,
)
from labkit.build.trace import Record
from labkit.i18n import N_
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN
from labkit.tcp.seq import add
from labkit.tcp.state import State


def _fin_before_the_last_octet(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    sent = [each for each in sent_before(records, index) if each.segment.payload]
    if not record.segment.ctl & FIN or record.segment.payload or not sent:
        return None
    if any(each.segment.ctl & FIN for each in sent_before(records, index)):
        return None
    return rewritten(record, seq=add(record.segment.seq, -10)) if len(sent[-1].segment.payload) > 10 else None


def _fin_not_acknowledged(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    fins = [each.segment for each in heard_before(records, index) if each.segment.ctl & FIN]
    segment = record.segment
    if not fins or segment.ctl & (SYN | FIN | RST | ACK) != ACK or segment.payload or segment.ack != fins[-1].end:
        return None
    if any(each.sender == record.sender for each in records[index + 1 :]):
        return None
    return rewritten(record, ack=add(segment.ack, -1))


def _acknowledged_before(records: Sequence[Record], index: int) -> str:
    number = records[index].segment.ack
    before = any(each.segment.ctl & ACK and each.segment.ack == number for each in sent_before(records, index))
    return "the FIN was acknowledged before: the ack goes back (ACK02)" if before else ""


def _octets_after_fin(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if not record.segment.ctl & FIN:
        return None
    late = record.segment.with_(seq=record.segment.end, ctl=PSH | ACK, payload=b"after FIN")
    return followed(record, late, delay=1_000_000)


def _reset_does_not_fit_the_syn(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not segment.ctl & RST or segment.seq != 0 or sent_before(records, index):
        return None
    return rewritten(records[index], ack=add(segment.ack, 1))


def _goes_on_after_reset(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if not record.segment.ctl & RST or not sent_before(records, index):
        return None
    # The reset ends a connection that both ends had.
    if not all(states and states[0] is not State.CLOSED is states[1] for states in (record.client, record.server)):
        return None
    late = record.segment.with_(ctl=PSH | ACK, payload=b"after RST")
    return followed(record, late)


def _reset_outside_the_window(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    heard = heard_before(records, index)
    if not record.segment.ctl & RST or not sent_before(records, index) or not heard or record.segment.seq == 0:
        return None
    if None in handshake(records)[:2]:
        return None
    return rewritten(record, seq=add(record.segment.seq, 1 << 30))


FAULTS = (
    Fault("fin-before-the-last-octet", "FIN01", N_("FIN's seq - 10: before the last data"), _fin_before_the_last_octet),
    Fault(
        "fin-not-acknowledged",
        "FIN02",
        N_("the last ack - 1: without the peer's FIN"),
        _fin_not_acknowledged,
        hidden=_acknowledged_before,
    ),
    Fault("octets-after-fin", "FIN03", N_("nine octets more after the FIN"), _octets_after_fin),
    Fault("reset-does-not-fit-the-syn", "RST02", N_("the refusing RST's ack + 1"), _reset_does_not_fit_the_syn),
    Fault("goes-on-after-reset", "RST03", N_("data after the sender's own RST"), _goes_on_after_reset),
    Fault("reset-outside-the-window", "RST01", N_("the RST's seq + 2**30"), _reset_outside_the_window),
)
