"""Faults of the TCP options."""

from collections.abc import Callable, Sequence

from labkit.build.faults.base import (
    Edit,
    Edited,
    Fault,
    handshake,
    offers,
    on_data,
    on_syn,
    plain_ack,
    rewritten,
    sent_before,
    with_options,
    without_option,
)
from labkit.build.trace import Record
from labkit.i18n import N_
from labkit.tcp import options as opt
from labkit.tcp.segment import RST, SYN, Segment
from labkit.tcp.seq import add, after


def _unoffered_scale(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = handshake(records)
    if index != answer or syn is None or records[syn].segment.option(opt.WindowScale) is not None:
        return None
    return rewritten(records[index], options=with_options(records[index].segment, opt.Nop(), opt.WindowScale(3)))


def _sack_not_permitted(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not plain_ack(records, index) or offers(records, opt.SackPermitted) or None in handshake(records)[:2]:
        return None
    return rewritten(records[index], options=with_options(segment, opt.Sack(((segment.ack, add(segment.ack, 10)),))))


def _impossible_sack(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not plain_ack(records, index) or offers(records, opt.SackPermitted) < 2:
        return None
    return rewritten(
        records[index], options=with_options(segment, opt.Sack(((add(segment.ack, 90), add(segment.ack, 10)),)))
    )


def _stamped(change: Callable[[opt.Timestamps], opt.Timestamps | None]) -> Edit:
    """An edit of the timestamps of a segment with new data."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        segment = records[index].segment
        stamps = segment.option(opt.Timestamps)
        if stamps is None or not segment.payload or segment.ctl & (SYN | RST):
            return None
        if any(
            not after(segment.seq, each.segment.seq) for each in sent_before(records, index) if each.segment.payload
        ):
            return None
        new = change(stamps)
        options = without_option(segment, opt.Timestamps) if new is None else _and_stamps(segment, new)
        return rewritten(records[index], options=options)

    return edit


def _and_stamps(segment: Segment, stamps: opt.Timestamps) -> tuple[opt.Option, ...]:
    return tuple(stamps if isinstance(option, opt.Timestamps) else option for option in segment.options)


FAULTS = (
    Fault(
        "illegal-option-length",
        "OPT01",
        N_("an MSS option of three octets on the SYN"),
        on_syn(False, lambda each: {"options": (*without_option(each, opt.Mss)[:2], opt.Raw(b"\x02\x03\x05"))}),
    ),
    Fault(
        "opening-option-without-syn",
        "OPT02",
        N_("an MSS option on a segment with data"),
        on_data(lambda each: {"options": with_options(each, opt.Mss(1000))}),
    ),
    Fault("answered-what-was-not-offered", "OPT03", N_("a window scale only on the SYN ACK"), _unoffered_scale),
    Fault(
        "window-scale-too-large",
        "OPT04",
        N_("a window scale of 15 on the SYN"),
        on_syn(
            False, lambda each: {"options": (*without_option(each, opt.WindowScale), opt.Nop(), opt.WindowScale(15))}
        ),
    ),
    Fault(
        "options-not-in-order",
        "OPT05",
        N_("two MSS options on the SYN"),
        on_syn(False, lambda each: {"options": with_options(each, opt.Mss(1200), opt.Mss(1000))}),
    ),
    Fault(
        "syn-without-mss",
        "OPT06",
        N_("no MSS on the SYN"),
        on_syn(False, lambda each: {"options": without_option(each, opt.Mss)}),
    ),
    Fault("sack-not-permitted", "SACK01", N_("a SACK block, though the peer did not permit it"), _sack_not_permitted),
    Fault("impossible-sack-block", "SACK02", N_("a SACK block that ends before it starts"), _impossible_sack),
    Fault(
        "timestamps-missing", "TS01", N_("the timestamps left out on a segment with data"), _stamped(lambda _each: None)
    ),
    Fault(
        "echo-of-no-timestamp",
        "TS02",
        N_("an echo that the peer has not sent"),
        _stamped(lambda each: opt.Timestamps(each.value, add(each.echo, 1 << 30))),
    ),
    Fault(
        "timestamp-goes-back",
        "TS03",
        N_("a timestamp of long ago"),
        _stamped(lambda each: opt.Timestamps(add(each.value, -100_000), each.echo)),
    ),
)
