"""Faults of sequence and acknowledgement numbers, of payloads, and of the window."""

from collections.abc import Sequence

from labkit.build.faults.base import (
    Edited,
    Fault,
    acks_something,
    followed,
    goes_on,
    handshake,
    heard_before,
    is_third,
    offers,
    plain_ack,
    rewritten,
    sent_before,
)
from labkit.build.trace import Record
from labkit.i18n import N_
from labkit.tcp.multipath import Multipath
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after


def _ack_of_unsent_data(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not acks_something(segment) or is_third(records, index) or not heard_before(records, index):
        return None
    return rewritten(records[index], ack=add(segment.ack, 1000))


def _ack_goes_back(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    earlier = [each.segment for each in sent_before(records, index) if each.segment.ctl & ACK]
    if not acks_something(record.segment) or is_third(records, index) or not earlier:
        return None
    return rewritten(record, ack=add(earlier[-1].ack, -1))


def _ack_far_too_old(records: Sequence[Record], index: int) -> Edited:
    edited = _ack_goes_back(records, index)
    return None if edited is None else rewritten(records[index], ack=add(records[index].segment.ack, -(1 << 30) - 1))


def _ack_inside_a_segment(records: Sequence[Record], index: int) -> Edited:
    record, heard = records[index], heard_before(records, index)
    data = [each.segment for each in heard if len(each.segment.payload) > 1]
    if not data or not acks_something(record.segment) or record.segment.ack != data[-1].end or data[-1].ctl & FIN:
        return None
    if any(each.segment.ack == data[-1].end for each in sent_before(records, index)):
        return None
    if any(after(each.end, data[-1].end) for each in data):
        return None  # a retransmission need not be cut as the first transmission was
    return rewritten(record, ack=add(record.segment.ack, -1))


def _hidden_behind_resend(records: Sequence[Record], index: int) -> str:
    data = [each for each in heard_before(records, index) if each.segment.payload]
    return "the resend of the SYN's data is not a new segment" if _was_on_syn(records, data[-1]) else ""


def _hidden_by_syn_data(records: Sequence[Record], index: int) -> str:
    return "the data was on the SYN before: its octets differ (RTX02)" if _was_on_syn(records, records[index]) else ""


def _was_on_syn(records: Sequence[Record], record: Record) -> bool:
    """Whether the sender's SYN has carried the data of a segment already."""
    return any(
        each.segment.ctl & SYN and each.segment.payload and each.segment.seq == add(record.segment.seq, -1)
        for each in records
        if each.sender == record.sender
    )


def _sequence_number_skips(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if is_third(records, index) or not record.segment.payload or record.segment.ctl & (SYN | FIN | RST):
        return None
    if not goes_on(records, index):
        return None
    return rewritten(record, seq=add(record.segment.seq, 7))


def _syn_or_fin_not_counted(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    mine = sent_before(records, index)
    fins = [each.segment for each in mine if each.segment.ctl & FIN]
    acked = [each.segment.ack for each in mine if each.segment.ctl & ACK]
    segment = record.segment
    if not fins or segment.length or not acks_something(segment) or segment.seq != fins[-1].end:
        return None
    return rewritten(record, seq=add(segment.seq, -1)) if after(segment.ack, acked[-1]) else None


def _resent_octets_differ(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if not record.segment.payload or record.segment.ctl & (SYN | FIN | RST):
        return None
    changed = bytes(octet ^ 0x20 for octet in record.segment.payload)
    return followed(record, record.segment.with_(payload=changed), delay=1_000_000)


def _data_beyond_the_window(records: Sequence[Record], index: int) -> Edited:
    record, heard = records[index], heard_before(records, index)
    if not record.segment.payload or record.segment.ctl & (SYN | FIN | RST) or not heard:
        return None
    answer = handshake(records)[1]
    if answer is None or index < answer or offers(records, Multipath):  # whose windows are not those of the subflow
        return None
    last = heard[-1]
    room = (last.segment.window << 14) + 1
    return followed(record, record.segment.with_(seq=add(last.segment.ack, min(room, 1 << 30))), delay=1_000_000)


def _window_shrinks(records: Sequence[Record], index: int) -> Edited:
    if not plain_ack(records, index) or None in handshake(records)[:2] or offers(records, Multipath):
        return None
    if all(each.segment.ctl & SYN for each in sent_before(records, index)):
        return None  # the first window that is scaled may be smaller than that of the SYN
    return rewritten(records[index], window=1)


FAULTS = (
    Fault("ack-of-unsent-data", "ACK01", N_("ack + 1000: beyond what the peer has sent"), _ack_of_unsent_data),
    Fault("ack-goes-back", "ACK02", N_("ack one less than the one before"), _ack_goes_back),
    Fault(
        "ack-inside-a-segment",
        "ACK06",
        N_("ack - 1: inside the peer's last segment"),
        _ack_inside_a_segment,
        hidden=_hidden_behind_resend,
    ),
    Fault(
        "sequence-number-skips",
        "SEQ01",
        N_("seq + 7 on a segment with data"),
        _sequence_number_skips,
        hidden=_hidden_by_syn_data,
    ),
    Fault("syn-or-fin-not-counted", "SEQ02", N_("the last ACK's seq - 1: FIN not counted"), _syn_or_fin_not_counted),
    Fault("resent-octets-differ", "RTX02", N_("data sent again with other octets"), _resent_octets_differ),
    Fault("ack-far-too-old", "ACK04", N_("ack - 2**30: far before any window"), _ack_far_too_old),
    Fault("window-shrinks", "WIN02", N_("a window of 1"), _window_shrinks),
    Fault("data-beyond-the-window", "WIN01", N_("data far beyond the window"), _data_beyond_the_window),
)
