"""Faults of the frame: header lengths, checksums, what was captured of it."""

from collections.abc import Sequence

from labkit import options as opt
from labkit.faults.base import Edited, Fault, forced, heard_before, rewritten, sent_before
from labkit.i18n import N_
from labkit.segment import SYN
from labkit.trace import Record


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


def _payload_beyond_the_mss(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    offered = [each.segment.option(opt.Mss) for each in heard_before(records, index) if each.segment.ctl & SYN]
    sent = {each.segment.seq for each in sent_before(records, index) if each.segment.payload}
    if (
        not offered
        or offered[0] is None
        or len(record.segment.payload) != offered[0].size
        or record.segment.seq in sent
    ):
        return None
    if record.segment.options or offered[0].size > 1000:
        return None
    return rewritten(record, payload=record.segment.payload + b"!")


FAULTS = (
    Fault("headers-do-not-fit", "CAP01", N_("a data offset of 4, less than the fixed header"), _headers_do_not_fit),
    Fault("frame-cut-short", "CAP02", N_("only 80 octets of the frame are captured"), _frame_cut_short),
    Fault("wrong-ip-checksum", "CK01", N_("the IPv4 header checksum is 0x1234"), _wrong_ip_checksum, ipv4_only=True),
    Fault("wrong-tcp-checksum", "CK02", N_("the TCP checksum is 0x1234"), _wrong_tcp_checksum),
    Fault("partial-checksum", "CK03", N_("the TCP checksum as checksum offload leaves it"), _partial_checksum),
    Fault("payload-beyond-the-mss", "CAP04", N_("one octet more than the peer's MSS"), _payload_beyond_the_mss),
)
