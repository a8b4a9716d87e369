"""Faults: named edits of a finished trace, each of which breaks one rule.

An endpoint sends what is right; whoever needs something wrong edits what it has sent. A fault knows the rule that it
breaks, so that a faulty capture comes with its manifest: which packet, which rule, what was changed.

    trace, manifest = inject(trace, ["ack-of-unsent-data@6"])

A fault is one row of FAULTS and one function, which gets the records and the index of one, and gives the records that
take its place, or None where it does not apply to that segment. `@N` names the packet (1 is the first); without it the
fault takes the first packet that it applies to. Checksums are right after an edit, unless the checksum is the fault.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from labkit import options as opt
from labkit.errors import UsageError
from labkit.i18n import N_, _, nearest
from labkit.notation import format_option, format_segment
from labkit.segment import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment, control_names
from labkit.seq import add, after
from labkit.state import State
from labkit.trace import Record, Trace

Edited = Sequence[Record] | None
Edit = Callable[[Sequence[Record], int], Edited]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault."""

    name: str
    code: str
    """The rule that it breaks."""
    summary: str
    edit: Edit
    ipv4_only: bool = False


@dataclass(frozen=True, slots=True)
class Injected:
    """One line of a manifest: a fault as it was made."""

    fault: str
    code: str
    packet: int
    """The packet of the faulty capture where the rule is broken."""
    inserted: bool
    """Whether the packet was put in; else it was changed."""
    changed: str
    """What was done to it."""


def inject(trace: Trace, wanted: Sequence[str]) -> tuple[Trace, list[Injected]]:
    """The trace with faults, each given as `name` or `name@packet`, made one after the other; and the manifest.

    Packets are counted in the trace as it is when the fault is made. UsageError for an unknown fault, a packet that is
    not there, or one that the fault does not apply to.
    """
    manifest: list[Injected] = []
    for text in wanted:
        name, _at, number = text.partition("@")
        fault = find(name)
        trace, injected = _inject(trace, fault, number)
        manifest = [*(_moved(each, injected) for each in manifest), injected]
    return trace, manifest


def plain(manifest: Sequence[Injected]) -> list[dict[str, object]]:
    """A manifest as plain values, for JSON."""
    return [asdict(each) for each in manifest]


def find(name: str) -> Fault:
    """A fault by its name; UsageError where there is none."""
    known = {fault.name: fault for fault in FAULTS}
    if name not in known:
        raise UsageError(_("there is no fault '{name}'").format(name=name) + nearest(name, known))
    return known[name]


def _inject(trace: Trace, fault: Fault, number: str) -> tuple[Trace, Injected]:
    records = trace.records
    if number:
        if not number.isdecimal() or not 1 <= int(number) <= len(records):
            raise UsageError(
                _("{fault}@{n}: there is no such packet; there are {count}").format(
                    fault=fault.name, n=number, count=len(records)
                )
            )
        places = [int(number) - 1]
    else:
        places = list(range(len(records)))
    for index in places if not fault.ipv4_only or trace.client.ip.version == 4 else ():
        edited = fault.edit(records, index)
        if edited is not None:
            return _replaced(trace, fault, index, edited)
    if number:
        raise UsageError(_("{fault} does not apply to packet {n}").format(fault=fault.name, n=number))
    raise UsageError(_("{fault} applies to no packet of this scenario").format(fault=fault.name))


def _replaced(trace: Trace, fault: Fault, index: int, edited: Sequence[Record]) -> tuple[Trace, Injected]:
    before = trace.records[index]
    records = [*trace.records[:index], *edited, *trace.records[index + 1 :]]
    records = [replace(record, number=number) for number, record in enumerate(records, 1)]
    inserted = len(edited) > 1
    what = _described(edited[1]) if inserted else _difference(before, edited[0])
    return replace(trace, records=records), Injected(fault.name, fault.code, index + 1 + inserted, inserted, what)


def _moved(earlier: Injected, later: Injected) -> Injected:
    """Where an earlier fault is found, once a later one has put a packet in before it."""
    behind = later.inserted and earlier.packet >= later.packet
    return replace(earlier, packet=earlier.packet + 1) if behind else earlier


def _described(record: Record) -> str:
    return f"{'<' if record.sender == 'server' else '>'} {format_segment(record.segment)}"


def _difference(before: Record, now: Record) -> str:
    changes = [f"{name}: {value}" for name, value in now.edits.items() if before.edits.get(name) != value]
    for name in ("seq", "ack", "ctl", "window", "urgent", "payload", "options"):
        old, new = getattr(before.segment, name), getattr(now.segment, name)
        if old != new:
            changes.append(f"{name}: {_value(name, old)} -> {_value(name, new)}")
    return ", ".join(changes)


def _value(name: str, value: int | bytes | tuple[opt.Option, ...]) -> str:
    if isinstance(value, tuple):
        return f"<{', '.join(map(format_option, value))}>"
    if name == "ctl" and isinstance(value, int):
        return control_names(value)
    return f"{len(value)} octets" if isinstance(value, bytes) else str(value)


# What an edit needs to know.


def _with(record: Record, **changes: object) -> list[Record]:
    return [replace(record, segment=record.segment.with_(**changes))]


def _edited(record: Record, **edits: str) -> list[Record]:
    return [
        replace(record, edits={**record.edits, **{name.replace("__", "."): value for name, value in edits.items()}})
    ]


def _after_it(record: Record, segment: Segment, delay: int = 10_000_000) -> list[Record]:
    """The record, and another segment of the same sender behind it, with an identification of its own."""
    ident = None if record.ident is None else (record.ident + 0x8000) & 0xFFFF
    return [record, replace(record, segment=segment, time=record.time + delay, why="data", ident=ident)]


def _acks_something(segment: Segment) -> bool:
    return segment.ctl & (ACK | RST | SYN) == ACK


def _handshake(records: Sequence[Record]) -> tuple[int | None, int | None, int | None]:
    """The indices of SYN, SYN ACK and the third segment; None where there is none, as in a simultaneous open."""
    if len({each.sender for each in records if each.segment.ctl & (SYN | ACK) == SYN}) > 1:
        return None, None, None
    syn = next((i for i, each in enumerate(records) if each.segment.ctl & (SYN | ACK) == SYN), None)
    answer = next((i for i, each in enumerate(records) if each.segment.ctl & (SYN | ACK) == SYN | ACK), None)
    third = None
    if syn is not None and answer is not None:
        sender = records[syn].sender
        third = next(
            (
                i
                for i, each in enumerate(records)
                if i > answer and each.sender == sender and _acks_something(each.segment)
            ),
            None,
        )
    return syn, answer, third


def _is_third(records: Sequence[Record], index: int) -> bool:
    """Whether a segment is its sender's first after the peer's SYN ACK (in a simultaneous open each side has one)."""
    answered = any(each.segment.ctl & (SYN | ACK) == SYN | ACK for each in _heard_before(records, index))
    earlier = any(_acks_something(each.segment) for each in _sent_before(records, index))
    return answered and not earlier and _acks_something(records[index].segment)


def _sent_before(records: Sequence[Record], index: int) -> list[Record]:
    return [each for each in records[:index] if each.sender == records[index].sender]


def _heard_before(records: Sequence[Record], index: int) -> list[Record]:
    return [each for each in records[:index] if each.sender != records[index].sender]


def _goes_on(records: Sequence[Record], index: int) -> bool:
    """Whether the sender of a segment sends another one later that has its number in place."""
    mine = records[index]
    return any(
        each.sender == mine.sender and after(each.segment.end, mine.segment.end) and not each.segment.ctl & RST
        for each in records[index + 1 :]
    )


# The faults. Each is named for the rule that it breaks.


def _ack_of_unsent_data(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not _acks_something(segment) or _is_third(records, index) or not _heard_before(records, index):
        return None
    return _with(records[index], ack=add(segment.ack, 1000))


def _ack_goes_back(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    earlier = [each.segment for each in _sent_before(records, index) if each.segment.ctl & ACK]
    if not _acks_something(record.segment) or _is_third(records, index) or not earlier:
        return None
    return _with(record, ack=add(earlier[-1].ack, -1))


def _ack_inside_a_segment(records: Sequence[Record], index: int) -> Edited:
    record, heard = records[index], _heard_before(records, index)
    data = [each.segment for each in heard if len(each.segment.payload) > 1]
    if not data or not _acks_something(record.segment) or record.segment.ack != data[-1].end or data[-1].ctl & FIN:
        return None
    if any(each.segment.ack == data[-1].end for each in _sent_before(records, index)):
        return None
    return _with(record, ack=add(record.segment.ack, -1))


def _headers_do_not_fit(records: Sequence[Record], index: int) -> Edited:
    return _edited(records[index], doff="4")


def _wrong_ip_checksum(records: Sequence[Record], index: int) -> Edited:
    return _edited(records[index], ip__sum="0x1234")


def _wrong_tcp_checksum(records: Sequence[Record], index: int) -> Edited:
    return _edited(records[index], sum="0x1234")


def _partial_checksum(records: Sequence[Record], index: int) -> Edited:
    return _edited(records[index], sum="partial")


def _frame_cut_short(records: Sequence[Record], index: int) -> Edited:
    return _edited(records[index], caplen="80") if len(records[index].segment.payload) > 60 else None


def _flags(needed: int, put: int, taken: int = 0) -> Edit:
    """An edit of the control bits of a segment that has those that are needed."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        ctl = records[index].segment.ctl
        if ctl & (needed | SYN | RST) != needed:
            return None
        return _with(records[index], ctl=ctl & ~taken | put)

    return edit


def _opening(put: int) -> Edit:
    def edit(records: Sequence[Record], index: int) -> Edited:
        segment = records[index].segment
        return _with(records[index], ctl=segment.ctl | put) if segment.ctl & (SYN | ACK) == SYN else None

    return edit


def _no_control_bits(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    return _with(records[index], ctl=0) if _acks_something(segment) and not segment.ctl & FIN else None


def _ack_bit_missing(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not _acks_something(segment) or not segment.payload or segment.ctl & FIN:
        return None
    return _with(records[index], ctl=segment.ctl & ~ACK | PSH)


def _ack_number_without_ack(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    return _with(records[index], ack=12345) if segment.ctl & (SYN | ACK) == SYN else None


def _opened_without_syn(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = _handshake(records)
    if index != syn or index != 0 or answer is None:
        return None
    return _with(records[index], ctl=ACK, options=())


def _syn_ack_acks_wrong_number(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    return _with(records[index], ack=add(segment.ack, 1)) if _handshake(records)[1] == index else None


def _third_segment_wrong(records: Sequence[Record], index: int) -> Edited:
    return _with(records[index], ack=add(records[index].segment.ack, -1)) if _is_third(records, index) else None


def _syn_resent_with_other_isn(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if _handshake(records)[1] != index:
        return None
    return _after_it(record, record.segment.with_(seq=add(record.segment.seq, 5000)), delay=1_000_000)


def _sequence_number_skips(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if _is_third(records, index) or not record.segment.payload or record.segment.ctl & (SYN | FIN | RST):
        return None
    if not _goes_on(records, index):
        return None
    return _with(record, seq=add(record.segment.seq, 7))


def _syn_or_fin_not_counted(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    mine = _sent_before(records, index)
    fins = [each.segment for each in mine if each.segment.ctl & FIN]
    acked = [each.segment.ack for each in mine if each.segment.ctl & ACK]
    segment = record.segment
    if not fins or segment.length or not _acks_something(segment) or segment.seq != fins[-1].end:
        return None
    return _with(record, seq=add(segment.seq, -1)) if after(segment.ack, acked[-1]) else None


def _resent_octets_differ(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if not record.segment.payload or record.segment.ctl & (SYN | FIN | RST):
        return None
    changed = bytes(octet ^ 0x20 for octet in record.segment.payload)
    return _after_it(record, record.segment.with_(payload=changed), delay=1_000_000)


def _data_beyond_the_window(records: Sequence[Record], index: int) -> Edited:
    record, heard = records[index], _heard_before(records, index)
    if not record.segment.payload or record.segment.ctl & (SYN | FIN | RST) or not heard:
        return None
    answer = _handshake(records)[1]
    if answer is None or index < answer:
        return None
    last = heard[-1]
    room = (last.segment.window << 14) + 1
    return _after_it(record, record.segment.with_(seq=add(last.segment.ack, min(room, 1 << 30))), delay=1_000_000)


def _fin_before_the_last_octet(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    sent = [each for each in _sent_before(records, index) if each.segment.payload]
    if not record.segment.ctl & FIN or not sent:
        return None
    if any(each.segment.ctl & FIN for each in _sent_before(records, index)):
        return None
    return _with(record, seq=add(record.segment.seq, -10)) if len(sent[-1].segment.payload) > 10 else None


def _fin_not_acknowledged(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    fins = [each.segment for each in _heard_before(records, index) if each.segment.ctl & FIN]
    segment = record.segment
    if not fins or segment.ctl & (SYN | FIN | RST | ACK) != ACK or segment.payload or segment.ack != fins[-1].end:
        return None
    if any(each.sender == record.sender for each in records[index + 1 :]):
        return None
    return _with(record, ack=add(segment.ack, -1))


def _octets_after_fin(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    if not record.segment.ctl & FIN:
        return None
    late = record.segment.with_(seq=record.segment.end, ctl=PSH | ACK, payload=b"after FIN")
    return _after_it(record, late, delay=1_000_000)


def _reset_does_not_fit_the_syn(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not segment.ctl & RST or segment.seq != 0 or _sent_before(records, index):
        return None
    return _with(records[index], ack=add(segment.ack, 1))


def _goes_on_after_reset(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    aborted = record.client[1] == record.server[1] == State.CLOSED and State.CLOSED not in (
        record.client[0],
        record.server[0],
    )
    if not record.segment.ctl & RST or not _sent_before(records, index) or not aborted:
        return None
    late = record.segment.with_(ctl=PSH | ACK, payload=b"after RST")
    return _after_it(record, late)


def _ack_far_too_old(records: Sequence[Record], index: int) -> Edited:
    edited = _ack_goes_back(records, index)
    return None if edited is None else _with(records[index], ack=add(records[index].segment.ack, -(1 << 30) - 1))


def _data(change: Callable[[Segment], dict[str, object]]) -> Edit:
    """An edit of a segment with data of an established connection."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        segment = records[index].segment
        if not segment.payload or not _acks_something(segment) or _is_third(records, index):
            return None
        return _with(records[index], **change(segment))

    return edit


def _syn(answer: bool, change: Callable[[Segment], dict[str, object]]) -> Edit:
    """An edit of the opening SYN, or of the SYN ACK."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        place = _handshake(records)[1 if answer else 0]
        return _with(records[index], **change(records[index].segment)) if index == place else None

    return edit


def _and(segment: Segment, *options: opt.Option) -> tuple[opt.Option, ...]:
    """The segment's options and others, as long as a header has room for them."""
    room = 40 - sum(len(option.pack()) for option in options)
    kept: list[opt.Option] = []
    for option in segment.options:
        room -= len(option.pack())
        if room >= 0:
            kept.append(option)
    return (*kept, *options)


def _without(segment: Segment, kind: type) -> tuple[opt.Option, ...]:
    return tuple(option for option in segment.options if not isinstance(option, kind | opt.Nop))


def _unoffered_scale(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = _handshake(records)
    if index != answer or syn is None or records[syn].segment.option(opt.WindowScale) is not None:
        return None
    return _with(records[index], options=_and(records[index].segment, opt.Nop(), opt.WindowScale(3)))


def _offers(records: Sequence[Record], kind: type[opt.Option]) -> int:
    """How many of the two SYNs carry an option."""
    return sum(records[i].segment.option(kind) is not None for i in _handshake(records)[:2] if i is not None)


def _sack_not_permitted(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not _plain_ack(records, index) or _offers(records, opt.SackPermitted) or None in _handshake(records)[:2]:
        return None
    return _with(records[index], options=_and(segment, opt.Sack(((segment.ack, add(segment.ack, 10)),))))


def _impossible_sack(records: Sequence[Record], index: int) -> Edited:
    segment = records[index].segment
    if not _plain_ack(records, index) or _offers(records, opt.SackPermitted) < 2:
        return None
    return _with(records[index], options=_and(segment, opt.Sack(((add(segment.ack, 90), add(segment.ack, 10)),))))


def _plain_ack(records: Sequence[Record], index: int) -> bool:
    """Whether a segment is an ACK without data, after the handshake."""
    segment = records[index].segment
    return _acks_something(segment) and not segment.length and not _is_third(records, index)


def _stamped(change: Callable[[opt.Timestamps], opt.Timestamps | None]) -> Edit:
    """An edit of the timestamps of a segment with new data."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        segment = records[index].segment
        stamps = segment.option(opt.Timestamps)
        if stamps is None or not segment.payload or segment.ctl & (SYN | RST):
            return None
        if any(
            not after(segment.seq, each.segment.seq) for each in _sent_before(records, index) if each.segment.payload
        ):
            return None
        new = change(stamps)
        options = _without(segment, opt.Timestamps) if new is None else _and_stamps(segment, new)
        return _with(records[index], options=options)

    return edit


def _and_stamps(segment: Segment, stamps: opt.Timestamps) -> tuple[opt.Option, ...]:
    return tuple(stamps if isinstance(option, opt.Timestamps) else option for option in segment.options)


def _ecn_agreed_unasked(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = _handshake(records)
    if index != answer or syn is None or records[syn].segment.ctl & (ECE | CWR):
        return None
    return _with(records[index], ctl=records[index].segment.ctl | ECE)


def _ecn_without_agreement(records: Sequence[Record], index: int) -> Edited:
    syn, answer, _third = _handshake(records)
    if syn is None or answer is None or records[answer].segment.ctl & ECE or not _plain_ack(records, index):
        return None
    return _with(records[index], ctl=records[index].segment.ctl | ECE)


def _data_on_syn(answer: bool) -> Edit:
    def edit(records: Sequence[Record], index: int) -> Edited:
        syn, reply, _third = _handshake(records)
        if index != (reply if answer else syn) or syn is None or records[syn].segment.option(opt.FastOpen) is not None:
            return None
        return _with(records[index], payload=b"too early")

    return edit


def _window_shrinks(records: Sequence[Record], index: int) -> Edited:
    if not _plain_ack(records, index) or None in _handshake(records)[:2]:
        return None
    return _with(records[index], window=1)


def _reset_outside_the_window(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    heard = _heard_before(records, index)
    if not record.segment.ctl & RST or not _sent_before(records, index) or not heard or record.segment.seq == 0:
        return None
    if None in _handshake(records)[:2]:
        return None
    return _with(record, seq=add(record.segment.seq, 1 << 30))


def _payload_beyond_the_mss(records: Sequence[Record], index: int) -> Edited:
    record = records[index]
    offered = [each.segment.option(opt.Mss) for each in _heard_before(records, index) if each.segment.ctl & SYN]
    sent = {each.segment.seq for each in _sent_before(records, index) if each.segment.payload}
    if (
        not offered
        or offered[0] is None
        or len(record.segment.payload) != offered[0].size
        or record.segment.seq in sent
    ):
        return None
    if record.segment.options or offered[0].size > 1000:
        return None
    return _with(record, payload=record.segment.payload + b"!")


FAULTS = (
    Fault("ack-of-unsent-data", "ACK01", N_("ack + 1000: beyond what the peer has sent"), _ack_of_unsent_data),
    Fault("ack-goes-back", "ACK02", N_("ack one less than the one before"), _ack_goes_back),
    Fault("ack-inside-a-segment", "ACK06", N_("ack - 1: inside the peer's last segment"), _ack_inside_a_segment),
    Fault("headers-do-not-fit", "CAP01", N_("a data offset of 4, less than the fixed header"), _headers_do_not_fit),
    Fault("frame-cut-short", "CAP02", N_("only 80 octets of the frame are captured"), _frame_cut_short),
    Fault("wrong-ip-checksum", "CK01", N_("the IPv4 header checksum is 0x1234"), _wrong_ip_checksum, ipv4_only=True),
    Fault("wrong-tcp-checksum", "CK02", N_("the TCP checksum is 0x1234"), _wrong_tcp_checksum),
    Fault("partial-checksum", "CK03", N_("the TCP checksum as checksum offload leaves it"), _partial_checksum),
    Fault("fin-before-the-last-octet", "FIN01", N_("FIN's seq - 10: before the last data"), _fin_before_the_last_octet),
    Fault("fin-not-acknowledged", "FIN02", N_("the last ack - 1: without the peer's FIN"), _fin_not_acknowledged),
    Fault("octets-after-fin", "FIN03", N_("nine octets more after the FIN"), _octets_after_fin),
    Fault("syn-with-fin", "FL01", N_("FIN on the opening SYN"), _opening(FIN)),
    Fault("syn-with-rst", "FL02", N_("RST on the opening SYN"), _opening(RST)),
    Fault("fin-with-rst", "FL02", N_("RST on a FIN"), _flags(FIN | ACK, RST)),
    Fault("no-control-bits", "FL03", N_("all control bits cleared"), _no_control_bits),
    Fault("fin-without-ack", "FL03", N_("ACK cleared on a FIN"), _flags(FIN | ACK, 0, taken=ACK | PSH | URG)),
    Fault("ack-bit-missing", "FL04", N_("ACK cleared on a segment with data"), _ack_bit_missing),
    Fault("ack-number-without-ack", "FL05", N_("an ack number on the opening SYN"), _ack_number_without_ack),
    Fault("opened-without-syn", "HS01", N_("ACK in the place of the opening SYN"), _opened_without_syn),
    Fault("syn-ack-acks-wrong-number", "HS02", N_("the SYN ACK's ack + 1"), _syn_ack_acks_wrong_number),
    Fault("third-segment-wrong", "HS03", N_("the third segment's ack - 1"), _third_segment_wrong),
    Fault("syn-resent-with-other-isn", "HS04", N_("a second SYN ACK with another ISN"), _syn_resent_with_other_isn),
    Fault("sequence-number-skips", "SEQ01", N_("seq + 7 on a segment with data"), _sequence_number_skips),
    Fault("syn-or-fin-not-counted", "SEQ02", N_("the last ACK's seq - 1: FIN not counted"), _syn_or_fin_not_counted),
    Fault("reset-does-not-fit-the-syn", "RST02", N_("the refusing RST's ack + 1"), _reset_does_not_fit_the_syn),
    Fault("goes-on-after-reset", "RST03", N_("data after the sender's own RST"), _goes_on_after_reset),
    Fault("resent-octets-differ", "RTX02", N_("data sent again with other octets"), _resent_octets_differ),
    Fault("ack-far-too-old", "ACK04", N_("ack - 2**30: far before any window"), _ack_far_too_old),
    Fault("payload-beyond-the-mss", "CAP04", N_("one octet more than the peer's MSS"), _payload_beyond_the_mss),
    Fault("ecn-agreed-unasked", "ECN01", N_("ECE on the SYN ACK, which nobody asked for"), _ecn_agreed_unasked),
    Fault("ecn-without-agreement", "ECN02", N_("ECE on an ACK without agreement"), _ecn_without_agreement),
    Fault("urgent-pointer-without-urg", "FL06", N_("an urgent pointer of 7"), _data(lambda each: {"urgent": 7})),
    Fault("data-on-syn-ack", "HS05", N_("nine octets on the SYN ACK"), _data_on_syn(answer=True)),
    Fault(
        "illegal-option-length",
        "OPT01",
        N_("an MSS option of three octets on the SYN"),
        _syn(False, lambda each: {"options": (*_without(each, opt.Mss)[:2], opt.Raw(b"\x02\x03\x05"))}),
    ),
    Fault(
        "opening-option-without-syn",
        "OPT02",
        N_("an MSS option on a segment with data"),
        _data(lambda each: {"options": _and(each, opt.Mss(1000))}),
    ),
    Fault("answered-what-was-not-offered", "OPT03", N_("a window scale only on the SYN ACK"), _unoffered_scale),
    Fault(
        "window-scale-too-large",
        "OPT04",
        N_("a window scale of 15 on the SYN"),
        _syn(False, lambda each: {"options": (*_without(each, opt.WindowScale), opt.Nop(), opt.WindowScale(15))}),
    ),
    Fault(
        "options-not-in-order",
        "OPT05",
        N_("two MSS options on the SYN"),
        _syn(False, lambda each: {"options": _and(each, opt.Mss(1200), opt.Mss(1000))}),
    ),
    Fault(
        "syn-without-mss",
        "OPT06",
        N_("no MSS on the SYN"),
        _syn(False, lambda each: {"options": _without(each, opt.Mss)}),
    ),
    Fault("reset-outside-the-window", "RST01", N_("the RST's seq + 2**30"), _reset_outside_the_window),
    Fault("sack-not-permitted", "SACK01", N_("a SACK block, though the peer did not permit it"), _sack_not_permitted),
    Fault("impossible-sack-block", "SACK02", N_("a SACK block that ends before it starts"), _impossible_sack),
    Fault("data-on-syn-without-cookie", "TFO01", N_("nine octets on the SYN"), _data_on_syn(answer=False)),
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
    Fault("window-shrinks", "WIN02", N_("a window of 1"), _window_shrinks),
    Fault("data-beyond-the-window", "WIN01", N_("data far beyond the window"), _data_beyond_the_window),
)
"""Every fault, by the code of its rule."""
