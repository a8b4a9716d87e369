"""The rows of `labkit.analysis.states` from the compiled engine."""

from collections.abc import Iterator, Sequence
from typing import Any

from labkit.analysis.ends import STATES
from labkit.analysis.flows import Flow
from labkit.analysis.moved import Moved
from labkit.analysis.native.columns import unpacker
from labkit.analysis.native.line_writer import LineWriter
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.pipeline import verified
from labkit.analysis.native.reader import Batch, Feed
from labkit.analysis.side import Side
from labkit.analysis.states import Lines, Row, Waiting
from labkit.packet.seen import ABSENT, Seen

SEEN = unpacker(
    Seen,
    (
        *(
            "time",
            "len",
            "number",
            "caplen",
            "point",
            "src_at",
            "dst_at",
            "ip_id",
            "tcp_at",
            "seq",
            "ack",
            "win",
            "data_at",
        ),
        *("data_len", "sport", "dport", "doff", "ctl", "urg", "addr_len", "ecn", "joined"),
    ),
)
MOVED = unpacker(
    Moved,
    (
        *("flow", "relative_seq", "relative_ack", "ended", "at", "window", "sender", "client", "states", "shown"),
        *("plain", "waits", "answered", "answer"),
    ),
)
NO_SIDES = Side(), Side()
"""What compiled code knows of the two sides stays in its own memory."""


def observe(
    feed: Feed, verifier: NativeVerifier, memory: Sequence[Batch], writer: LineWriter | None = None
) -> Iterator[Row | Lines]:
    """The rows of a feed, as `labkit.analysis.states.observe` gives them, but without `Row.edits`.

    `memory`: batches that show. With `writer`, many rows come as lines of its table.
    """
    waiting = Waiting()
    flows: dict[int, Flow] = {}
    for batch in verified(feed, verifier, memory):
        at = 0
        while at < batch.row.shown:
            text, count = writer.write(batch, at) if writer is not None else ("", 0)
            if count:
                waiting.add_lines(Lines(text, count))
                at += count
            else:
                _take(batch, at, flows, waiting, writer)
                at += 1
            yield from waiting.ready()
        for index in batch.ended.view.cast("q")[: batch.row.ended_count]:
            _end(index, flows, waiting)
    yield from waiting.rest()


def _take(batch: Batch, number: int, flows: dict[int, Flow], waiting: Waiting, writer: LineWriter | None) -> None:
    """Add a row to those that wait, and end the waiting of a conversation that is finished."""
    moved = MOVED.unpack_from(batch.moved.view, number * MOVED.size)
    index, ended, plain, answered, answer = moved[0], moved[3], moved[-4], moved[-2], moved[-1]
    if index != ABSENT:
        row = _row(batch, moved, flows)
        waiting.add(row, answered, answer)
        if plain and writer is not None:
            writer.learn(row)
    _end(ended, flows, waiting)


def _end(index: int, flows: dict[int, Flow], waiting: Waiting) -> None:
    """End the waiting of a conversation that is finished."""
    flows.pop(index, None)
    waiting.give_up(index)


def _row(batch: Batch, moved: Sequence[Any], flows: dict[int, Flow]) -> Row:
    index, relative_seq, relative_ack, _, at, window, sender, client, *states, _, waits, _, _ = moved
    seen: Sequence[Any] = SEEN.unpack_from(batch.seen.view, at * SEEN.size)
    time, length, number, caplen, point, src_at, dst_at, ip_id, tcp_at, seq, ack, win, data_at, data_len, *seen = seen
    sport, dport, doff, ctl, urg, addr_len, ecn, joined = seen
    start = batch.places[at]
    end = start + (tcp_at + doff if joined else min(tcp_at + doff, caplen))

    def octets(first: int, count: int) -> bytes:
        return bytes(batch.octets.view[start + first : start + first + count])

    side = sender ^ client
    if index not in flows:
        source, target = (octets(src_at, addr_len), sport), (octets(dst_at, addr_len), dport)
        flows[index] = Flow(index, (target, source) if side else (source, target), NO_SIDES)
    flow = flows[index]
    flow.seen_at[side] = point
    header = bytes(batch.octets.view[start + tcp_at + 20 : end])
    names = [STATES[state] for state in states]
    return Row(
        number=number,
        time=time,
        flow=flow,
        sender=sender,
        ctl=ctl,
        seq=seq,
        ack=ack,
        relative_seq=relative_seq,
        relative_ack=relative_ack,
        length=length,
        window=win,
        urgent=urg,
        ecn=ecn,
        header=header,
        payload=octets(data_at, data_len),
        client=client,
        options_cut=doff - 20 - len(header),
        ip_id=ip_id,
        window_octets=window,
        states=names[:2],
        shown=names[2:],
        waits=bool(waits),
    )
