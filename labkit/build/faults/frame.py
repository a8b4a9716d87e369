"""Faults of the frame: header lengths, checksums, capture length and time."""

from collections.abc import Sequence
from dataclasses import replace

from labkit.build.faults.base import (
    Edited,
    Fault,
    acks_something,
    forced,
    heard_before,
    plain_ack,
    rewritten,
    sent_before,
)
from labkit.build.trace import Record, Trace
from labkit.i18n import N_
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, SYN
from labkit.tcp.seq import after

DEFAULT_MSS = {4: 536, 6: 1220}
"""The MSS of a SYN without the option, by IP version (RFC 9293 section 3.7.1)."""

MAX_FAULTY_MSS = 1400
"""With a larger MSS, a segment beyond it may come from segmentation offload."""


def _headers_do_not_fit(records: Sequence[Record], index: int) -> Edited:
    return forced(records[index], doff="4")


def _wrong_ip_checksum(records: Sequence[Record], index: int) -> Edited:
    return forced(records[index], ip__sum="0x1234")


def _wrong_tcp_checksum(records: Sequence[Record], index: int) -> Edited:
    return forced(records[index], sum="0x1234")


def _partial_checksum(records: Sequence[Record], index: int) -> Edited:
    return forced(records[index], sum="partial")


def _frame_cut_short(records: Sequence[Record], index: int) -> Edited:
    return forced(records[index], caplen="80") if len(records[index].segment.payload) > 60 else None


def _payload_beyond_the_mss(trace: Trace, index: int) -> Trace | None:
    record = trace.records[index]
    records = [each for each in trace.records[: index + 1] if each.connection == record.connection]
    index = len(records) - 1
    offered = [each.segment.option(opt.Mss) for each in heard_before(records, index) if each.segment.ctl & SYN]
    sent = {each.segment.seq for each in sent_before(records, index) if each.segment.payload}
    if not offered or record.segment.seq in sent:
        return None
    client = trace.connections[record.connection].client
    size = DEFAULT_MSS[client.ip.version] if offered[0] is None else offered[0].size
    payload = record.segment.payload
    if len(payload) + opt.length(record.segment.options) != size or size > MAX_FAULTY_MSS:
        return None
    (longer,) = rewritten(record, payload=payload + b"!" * (size + 1 - len(payload)))
    return replace(trace, records=[longer if each is record else each for each in trace.records])


def _captured_twice(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    return [record, replace(record, time=record.time + 1_000)] if acks_something(record.segment) else None


def _padding_counted(records: Sequence[Record], index: int) -> Edited:
    """Six zeros of payload on a pure ACK without options: the frame is as long as with padding."""
    segment = records[index].segment
    if not plain_ack(records, index) or segment.options:
        return None
    return rewritten(records[index], payload=bytes(6))


def _time_goes_back(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    before = records[index - 1].time if index else 0
    return (
        [replace(record, time=before - 1_000_000)] if before >= 1_000_000 and acks_something(record.segment) else None
    )


def _acknowledged_too_late(trace: Trace, index: int) -> Trace | None:
    """Delay the acknowledgement and all following records by 600 ms."""
    record = trace.records[index]
    own = [each for each in trace.records[:index] if each.connection == record.connection]
    if len(trace.connections) > 1 or not plain_ack([*own, record], len(own)):
        return None
    mine = [each.segment.ack for each in sent_before([*own, record], len(own)) if each.segment.ctl & ACK]
    heard = [each.segment for each in heard_before([*own, record], len(own)) if each.segment.payload]
    news = bool(mine) and bool(heard) and after(record.segment.ack, mine[-1]) and heard[-1].end == record.segment.ack
    # After a retransmission, or with a capture behind the path, the delay is not the fault of the receiver.
    resent = len({each.seq for each in heard}) < len(heard)
    if not news or resent or record.sender != record.tap:
        return None
    later = [replace(each, time=each.time + 600_000_000) for each in trace.records[index:]]
    return replace(trace, records=[*trace.records[:index], *later])


FAULTS = (
    Fault("headers-do-not-fit", "CAP01", N_("a data offset of 4, less than the fixed header"), _headers_do_not_fit),
    Fault("frame-cut-short", "CAP02", N_("only 80 octets of the frame are captured"), _frame_cut_short),
    Fault("wrong-ip-checksum", "CK01", N_("the IPv4 header checksum is 0x1234"), _wrong_ip_checksum, ipv4_only=True),
    Fault("wrong-tcp-checksum", "CK02", N_("the TCP checksum is 0x1234"), _wrong_tcp_checksum),
    Fault("partial-checksum", "CK03", N_("the TCP checksum as checksum offload leaves it"), _partial_checksum),
    Fault(
        "captured-twice", "CAP06", N_("the same packet once more, a microsecond later"), _captured_twice, ipv4_only=True
    ),
    Fault(
        "padding-counted",
        "CAP08",
        N_("the IP length counts the padding of the Ethernet frame"),
        _padding_counted,
        ipv4_only=True,
    ),
    Fault("time-goes-back", "CAP07", N_("a packet a millisecond older than the one before"), _time_goes_back),
    Fault(
        "acknowledged-too-late",
        "ACK05",
        N_("an ACK, and all after it, 600 ms later"),
        remake=_acknowledged_too_late,
    ),
    Fault("payload-beyond-the-mss", "CAP04", N_("one octet more than the peer's MSS"), remake=_payload_beyond_the_mss),
)
