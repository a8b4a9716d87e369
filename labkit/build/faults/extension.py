"""Faults of AccECN, signatures and MPTCP: bits and options that nobody has agreed on."""

from collections.abc import Callable, Sequence

from labkit.build.faults.base import Edit, Edited, Fault, handshake, offers, on_syn, plain_ack, rewritten, with_options
from labkit.build.trace import Record
from labkit.i18n import N_
from labkit.tcp import options as opt
from labkit.tcp.extension_options import KIND_ACCECN_0, AccEcn, Authentication, Md5
from labkit.tcp.multipath import Multipath
from labkit.tcp.segment import AE, CWR, ECE, Segment


def _on_ack(option: opt.Option, *kinds: type[opt.Option]) -> Edit:
    """An edit that adds an option to an ACK of a conversation whose SYNs have none of some kinds."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        if (
            not plain_ack(records, index)
            or None in handshake(records)[:2]
            or any(offers(records, each) for each in kinds)
        ):
            return None
        return rewritten(records[index], options=with_options(records[index].segment, option))

    return edit


def _accurate_ecn_unasked(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = handshake(records)
    if index != answer or syn is None or records[syn].segment.ctl & (ECE | CWR | AE):
        return None
    return rewritten(records[index], ctl=records[index].segment.ctl | CWR)


def _with(option: opt.Option) -> Callable[[Segment], dict[str, object]]:
    return lambda segment: {"options": with_options(segment, option)}


def _multipath_unasked(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = handshake(records)
    if index != answer or syn is None or records[syn].segment.option(Multipath) is not None:
        return None
    return rewritten(records[index], options=with_options(records[index].segment, KEY))


KEY = Multipath("mp_capable", (("version", 1), ("flags", 1), ("sender", 0x1122334455667788)))
DATA_ACK = Multipath("dss", (("ack4", 1),))

FAULTS = (
    Fault(
        "accurate-ecn-unasked",
        "ECN07",
        N_("CWR on the SYN ACK, as if the SYN had offered AccECN"),
        _accurate_ecn_unasked,
    ),
    Fault(
        "accurate-ecn-option-on-syn",
        "ECN04",
        N_("an AccECN option on the SYN"),
        on_syn(False, _with(AccEcn(KIND_ACCECN_0))),
    ),
    Fault(
        "signature-begins-late", "OPT09", N_("an MD5 signature on an ACK"), _on_ack(Md5(bytes(16)), Md5, Authentication)
    ),
    Fault("multipath-unasked", "MP01", N_("MP_CAPABLE on the SYN ACK, which nobody asked for"), _multipath_unasked),
    Fault(
        "data-ack-without-agreement", "MP02", N_("a Data ACK on an ACK without agreement"), _on_ack(DATA_ACK, Multipath)
    ),
)
