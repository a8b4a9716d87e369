"""What a fault is, and what the edits share: who has said what before a segment, and records with another segment.

An edit gets the records of a trace and the index of one, and gives the records that take its place: that one changed, or
that one and another behind it. None: the fault does not apply there.
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
"""An edit of what no single packet holds: it gets the whole trace, and gives one of as many records."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault."""

    name: str
    code: str
    """The rule that it breaks."""
    summary: str
    edit: Edit | None = None
    ipv4_only: bool = False
    remake: Remake | None = None
    """The change of a whole trace, for a fault without `edit`."""
    hidden: Callable[[Sequence[Record], int], str] | None = None
    """Why the verifier cannot find the fault at a record, where the rest of the capture hides it; "" elsewhere."""


def rewritten(record: Record, **changes: object) -> list[Record]:
    """The record with some fields of its segment changed."""
    return [replace(record, segment=record.segment.with_(**changes))]


def forced(record: Record, **edits: str) -> list[Record]:
    """The record with values that are forced into the finished frame (`labkit.packet.frame_edits`; `ip__sum` is its `ip.sum`)."""
    return [
        replace(record, edits={**record.edits, **{name.replace("__", "."): value for name, value in edits.items()}})
    ]


def followed(record: Record, segment: Segment, delay: int = 10_000_000) -> list[Record]:
    """The record, and another segment of the same sender behind it, with an identification of its own."""
    ident = None if record.ident is None else (record.ident + 0x8000) & 0xFFFF
    return [record, replace(record, segment=segment, time=record.time + delay, why="data", ident=ident)]


def acks_something(segment: Segment) -> bool:
    """Whether it is a segment as all are that come after the handshake: with ACK, without SYN and RST."""
    return segment.ctl & (ACK | RST | SYN) == ACK


def handshake(records: Sequence[Record]) -> tuple[int | None, int | None, int | None]:
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
                if i > answer and each.sender == sender and acks_something(each.segment)
            ),
            None,
        )
    return syn, answer, third


def is_third(records: Sequence[Record], index: int) -> bool:
    """Whether a segment is its sender's first after the peer's SYN ACK (in a simultaneous open each side has one)."""
    answered = any(each.segment.ctl & (SYN | ACK) == SYN | ACK for each in heard_before(records, index))
    earlier = any(acks_something(each.segment) for each in sent_before(records, index))
    return answered and not earlier and acks_something(records[index].segment)


def sent_before(records: Sequence[Record], index: int) -> list[Record]:
    """What the sender of a segment has sent before it."""
    return [each for each in records[:index] if each.sender == records[index].sender]


def heard_before(records: Sequence[Record], index: int) -> list[Record]:
    """What the other side has sent before a segment."""
    return [each for each in records[:index] if each.sender != records[index].sender]


def goes_on(records: Sequence[Record], index: int) -> bool:
    """Whether the sender of a segment sends another one later that has its number in place."""
    mine = records[index]
    return any(
        each.sender == mine.sender and after(each.segment.end, mine.segment.end) and not each.segment.ctl & RST
        for each in records[index + 1 :]
    )


def plain_ack(records: Sequence[Record], index: int) -> bool:
    """Whether a segment is an ACK without data, after the handshake."""
    segment = records[index].segment
    return acks_something(segment) and not segment.length and not is_third(records, index)


def with_options(segment: Segment, *options: opt.Option) -> tuple[opt.Option, ...]:
    """The segment's options and others, as long as a header has room for them."""
    room = 40 - sum(len(option.pack()) for option in options)
    kept: list[opt.Option] = []
    for option in segment.options:
        room -= len(option.pack())
        if room >= 0:
            kept.append(option)
    return (*kept, *options)


def without_option(segment: Segment, kind: type) -> tuple[opt.Option, ...]:
    """The segment's options but those of a kind, and but the padding."""
    return tuple(option for option in segment.options if not isinstance(option, kind | opt.Nop))


def offers(records: Sequence[Record], kind: type[opt.Option]) -> int:
    """How many of the two SYNs carry an option."""
    return sum(records[i].segment.option(kind) is not None for i in handshake(records)[:2] if i is not None)


def on_data(change: Callable[[Segment], dict[str, object]]) -> Edit:
    """An edit of a segment with data of an established connection."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        segment = records[index].segment
        if not segment.payload or not acks_something(segment) or is_third(records, index):
            return None
        return rewritten(records[index], **change(segment))

    return edit


def on_syn(answer: bool, change: Callable[[Segment], dict[str, object]]) -> Edit:
    """An edit of the opening SYN, or of the SYN ACK."""

    def edit(records: Sequence[Record], index: int) -> Edited:
        place = handshake(records)[1 if answer else 0]
        return rewritten(records[index], **change(records[index].segment)) if index == place else None

    return edit
