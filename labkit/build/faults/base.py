"""The type of faults, and functions that edits share.

An edit gets the records of a connection and the index of one. It returns the replacement of this record: the changed record, or
the record and an inserted one. It returns None if the fault does not apply there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labkit.build.trace import Record, Trace
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, RST, SYN, Segment
from labkit.tcp.seq import after

Edited = Sequence[Record] | None
Edit = Callable[[Sequence[Record], int], Edited]
Remake = Callable[[Trace, int], Trace | None]
"""A change of a whole trace. It returns a trace with as many records, or None."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault."""

    name: str
    code: str
    """The code of the rule that it breaks."""
    summary: str
    edit: Edit | None = None
    ipv4_only: bool = False
    remake: Remake | None = None
    """The change of a whole trace, for a fault without `edit`."""
    hidden: Callable[[Sequence[Record], int], str] | None = None
    """Why the verifier cannot find the fault at a record, where the rest of the capture hides it; "" elsewhere."""


def rewritten(record: Record, **changes: object) -> list[Record]:
    """The record with changed fields of its segment."""
    return [replace(record, segment=record.segment.with_(**changes))]


def forced(record: Record, **edits: str) -> list[Record]:
    """The record with edits of its finished frame (`labkit.packet.frame_edits`); `ip__sum` stands for `ip.sum`."""
    return [
        replace(record, edits={**record.edits, **{name.replace("__", "."): value for name, value in edits.items()}})
    ]


def followed(record: Record, segment: Segment, delay: int = 10_000_000) -> list[Record]:
    """The record, and after it another segment of the same sender with its own IPv4 identification."""
    ident = None if record.ident is None else (record.ident + 0x8000) & 0xFFFF
    return [record, replace(record, segment=segment, time=record.time + delay, why="data", ident=ident)]


def acks_something(segment: Segment) -> bool:
    """Whether a segment has ACK, but neither SYN nor RST, as all segments after the handshake."""
    return segment.ctl & (ACK | RST | SYN) == ACK


def handshake(records: Sequence[Record]) -> tuple[int | None, int | None, int | None]:
    """The indices of SYN, SYN ACK and third segment; None for a missing one. A simultaneous open has none of them."""
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
                if i > answer and each.sender == sender and acks_something(each.segment)
            ),
            None,
        )
    return syn, answer, third


def is_third(records: Sequence[Record], index: int) -> bool:
    """Whether a segment is its sender's first after the peer's SYN ACK. In a simultaneous open each side has one."""
    answered = any(each.segment.ctl & (SYN | ACK) == SYN | ACK for each in heard_before(records, index))
    earlier = any(acks_something(each.segment) for each in sent_before(records, index))
    return answered and not earlier and acks_something(records[index].segment)


def sent_before(records: Sequence[Record], index: int) -> list[Record]:
    """The earlier records of the same sender."""
    return [each for each in records[:index] if each.sender == records[index].sender]


def heard_before(records: Sequence[Record], index: int) -> list[Record]:
    """The earlier records of the peer."""
    return [each for each in records[:index] if each.sender != records[index].sender]


def goes_on(records: Sequence[Record], index: int) -> bool:
    """Whether the sender of a segment later sends a segment with a greater sequence number."""
    mine = records[index]
    return any(
        each.sender == mine.sender and after(each.segment.end, mine.segment.end) and not each.segment.ctl & RST
        for each in records[index + 1 :]
    )


def plain_ack(records: Sequence[Record], index: int) -> bool:
    """Whether a segment is an ACK without data after the handshake."""
    segment = records[index].segment
    return acks_something(segment) and not segment.length and not is_third(records, index)


def with_options(segment: Segment, *options: opt.Option) -> tuple[opt.Option, ...]:
    """As many of the segment's options as fit in the header beside some others, and these."""
    room = 40 - sum(len(option.pack()) for option in options)
    kept: list[opt.Option] = []
    for option in segment.options:
        room -= len(option.pack())
        if room >= 0:
            kept.append(option)
    return (*kept, *options)


def without_option(segment: Segment, kind: type) -> tuple[opt.Option, ...]:
    """The segment's options without padding and without one kind."""
    return tuple(option for option in segment.options if not isinstance(option, kind | opt.Nop))


def offers(records: Sequence[Record], kind: type[opt.Option]) -> int:
    """How many of SYN and SYN ACK carry an option."""
    return sum(records[i].segment.option(kind) is not None for i in handshake(records)[:2] if i is not None)


def on_data(change: Callable[[Segment], dict[str, object]]) -> Edit:
    """An edit of a data segment of an established connection."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        segment = records[index].segment
        if not segment.payload or not acks_something(segment) or is_third(records, index):
            return None
        return rewritten(records[index], **change(segment))

    return edit


def on_syn(answer: bool, change: Callable[[Segment], dict[str, object]]) -> Edit:
    """An edit of the first SYN, or of the SYN ACK if `answer`."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        place = handshake(records)[1 if answer else 0]
        return rewritten(records[index], **change(records[index].segment)) if index == place else None

    return edit
