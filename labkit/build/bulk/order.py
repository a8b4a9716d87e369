"""Put the packets of many conversations in the order of time. Memory holds only the conversations that are open."""

from collections.abc import Iterator

import numpy as np

from labkit.build.bulk.bulk_plan import Field
from labkit.build.bulk.schedule import Numbers, Schedule
from labkit.build.bulk.stamp import Packets

PACKETS = 1 << 16
"""About how many packets a block of new conversations has."""


def interleaved(schedule: Schedule) -> Iterator[tuple[Packets, Numbers]]:
    """All packets, in chunks, with the fields of their conversations.

    Packets with equal times are in the order of their conversations. Packets from before the next block of conversations
    begins are complete; later ones wait.
    """
    counts = np.array([len(template.rows) for template in schedule.templates], np.int64)
    firsts = np.cumsum(counts) - counts
    times = np.array([row.time for template in schedule.templates for row in template.rows], np.int64)
    start = schedule.plan.start
    waiting = Packets(*(np.empty(0, np.int64) for _ in range(3)))
    fields: Numbers = np.empty((0, len(Field)), np.int64)
    for block in schedule.blocks(max(1, PACKETS // int(counts.max()))):
        if waiting.row.size:
            begin = start + int(block.begin[0])
            complete = waiting.time < begin
            yield _sorted(waiting, complete), fields
            waiting = Packets(*(column[~complete] for column in waiting))
        oldest = int(waiting.flow.min()) if waiting.row.size else len(fields)
        fields = np.concatenate((fields[oldest:], block.fields))
        count = counts[block.template]
        ends = np.cumsum(count)
        row = np.arange(ends[-1]) + np.repeat(firsts[block.template] - ends + count, count)
        flow = np.repeat(np.arange(len(count)), count)
        new = Packets(row, flow + len(fields) - len(count), start + block.begin[flow] + times[row])
        old = Packets(waiting.row, waiting.flow - oldest, waiting.time)
        waiting = Packets(*(np.concatenate(pair) for pair in zip(old, new, strict=True)))
    yield _sorted(waiting, np.ones(waiting.row.size, bool)), fields


def _sorted(packets: Packets, wanted: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Packets:
    """Some of the packets, sorted by time; packets with equal times keep their order."""
    found = Packets(*(column[wanted] for column in packets))
    order = np.argsort(found.time, kind="stable")
    return Packets(*(column[order] for column in found))
