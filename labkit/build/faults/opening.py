"""Faults of the handshake."""

from collections.abc import Sequence

from labkit.build.faults.base import Edit, Edited, Fault, acks_something, followed, handshake, is_third, rewritten
from labkit.build.trace import Record
from labkit.i18n import N_
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after


def _opened_without_syn(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = handshake(records)
    if index != syn or index != 0 or answer is None:
        return None
    return rewritten(records[index], ctl=ACK, options=())


def _hidden_start(records: Sequence[Record], index: int) -> str:
    syn, answer, _third = handshake(records)
    if any(each.segment.ctl & (SYN | ACK) == SYN for each in records[index + 1 :]):
        return "the true SYN follows"
    opened = [records[each].segment for each in (syn, answer) if each is not None]
    data = len(opened) == 2 and opened[0].payload and opened[1].ack == opened[0].end
    return "HS02 cannot tell: the SYN's data is acknowledged" if data else ""


def _syn_ack_acks_wrong_number(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    return rewritten(records[index], ack=add(segment.ack, 1)) if handshake(records)[1] == index else None


def _hidden_in_syn_data(records: Sequence[Record], index: int) -> str:
    syn = handshake(records)[0]
    inside = syn is not None and after(records[syn].segment.end, records[index].segment.ack)
    return "the SYN carries data: one more is the first octet of it" if inside else ""


def _third_segment_wrong(records: Sequence[Record], index: int) -> Edited:
    return rewritten(records[index], ack=add(records[index].segment.ack, -1)) if is_third(records, index) else None


def _syn_ack_with_another_number(records: Sequence[Record], index: int) -> Edited:
    answers = [i for i, each in enumerate(records) if each.segment.ctl & (SYN | ACK) == SYN | ACK]
    if handshake(records)[1] != index or len(answers) != 1 or records[index].segment.payload:
        return None
    goes_on = any(
        each.sender == records[index].sender and acks_something(each.segment) and not each.segment.ctl & RST
        for each in records[index + 1 :]
    )
    return rewritten(records[index], seq=add(records[index].segment.seq, 1000)) if goes_on else None


def _syn_resent_with_other_isn(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if handshake(records)[1] != index:
        return None
    return followed(record, record.segment.with_(seq=add(record.segment.seq, 5000)), delay=1_000_000)


def _data_on_syn(answer: bool) -> Edit:
    def edit(records: Sequence[Record], index: int) -> Edited:
        syn, reply, _third = handshake(records)
        if index != (reply if answer else syn) or syn is None or records[syn].segment.option(opt.FastOpen) is not None:
            return None
        return rewritten(records[index], payload=b"too early")

    return edit


def _syn_in_the_middle(records: Sequence[Record], index: int) -> Edited:
    """Set SYN on the third segment of the handshake."""
    segment = records[index].segment
    if not is_third(records, index) or segment.payload or segment.ctl & FIN:
        return None
    if segment.option(opt.Sack) is not None:
        return None  # the answer to the SYN ACK of a simultaneous open, which is not a third segment
    return rewritten(records[index], ctl=segment.ctl | SYN)


FAULTS = (
    Fault(
        "opened-without-syn",
        "HS01",
        N_("ACK in the place of the opening SYN"),
        _opened_without_syn,
        hidden=_hidden_start,
    ),
    Fault(
        "syn-ack-acks-wrong-number",
        "HS02",
        N_("the SYN ACK's ack + 1"),
        _syn_ack_acks_wrong_number,
        hidden=_hidden_in_syn_data,
    ),
    Fault("third-segment-wrong", "HS03", N_("the third segment's ack - 1"), _third_segment_wrong),
    Fault("syn-ack-with-another-number", "HS08", N_("the SYN ACK's seq + 1000"), _syn_ack_with_another_number),
    Fault("syn-resent-with-other-isn", "HS04", N_("a second SYN ACK with another ISN"), _syn_resent_with_other_isn),
    Fault("syn-in-the-middle", "HS07", N_("SYN on the third segment"), _syn_in_the_middle),
    Fault("data-on-syn-ack", "HS05", N_("nine octets on the SYN ACK"), _data_on_syn(answer=True)),
    Fault("data-on-syn-without-cookie", "TFO01", N_("nine octets on the SYN"), _data_on_syn(answer=False)),
)
