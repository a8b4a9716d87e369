"""Frames -> segments: the compiled loop over the records of a batch, and what it is called with."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.analysis.native import scan
from labkit.analysis.native.table import flow_hash
from labkit.analysis.native.translate import Translation
from labkit.packet.decode import FRAGMENT, OTHER, TCP, decode
from labkit.packet.decode.layer import ones_sum
from labkit.packet.seen import Seen

if TYPE_CHECKING:
    from labkit.analysis.native.loader import Source

IRREGULAR = -1
"""What the loop answers where it meets a record that is not plain; else FRAGMENT, or something else where it is full."""

AT, END, PACKETS, SEGMENTS, FRAME, FIRST, SEED = 0, 1, 2, 3, 4, 5, 6
"""What the loop is told, and tells: where the next record begins, where the octets end, frames and segments up to there; where
the fragment's frame is; the time of the capture's first frame; by what ends are hashed."""
TOLD = 8


def sources() -> "Mapping[str, Source]":
    """The entry `segments`, to be compiled."""
    from numba import int64, njit, types

    from labkit.analysis.native import memory
    from labkit.analysis.native.loader import Source

    whole = Translation({ones_sum: "ones_sum"})
    names = [whole.add(function) for function in (decode, scan.step, flow_hash)]
    space: dict[str, Any] = {"njit": njit, "int64": int64, "SETTINGS": memory.SETTINGS, "ones_sum": memory.ones_sum}
    exec(compile(whole.text, "decoding", "exec"), space)  # noqa: S102 - labkit's own source
    decoded, step, hashed = (space[name] for name in names)
    shift = memory.shift

    def segments(octets, table, seen, places, hashes, room, told):  # type: ignore[no-untyped-def]
        at, end, packets, n = told[AT], told[END], told[PACKETS], told[SEGMENTS]
        status = OTHER
        while n < room:
            following, start, caplen, wirelen, time, link, point = step(octets, at, end, table)
            if following < 0:
                status = IRREGULAR
                break
            at = following
            if packets == 0:
                told[FIRST] = time
            packets += 1
            seg = seen[n]
            seg.number = packets
            seg.time = time
            seg.caplen = caplen
            seg.wirelen = max(wirelen, caplen)
            seg.point = point
            seg.joined = 0
            status = decoded(shift(octets, start), 0, caplen, link, seg)
            if status == TCP:
                places[n] = start
                hashes[n] = hashed(shift(octets, start), seg, told[SEED])
                n += 1
            elif status == FRAGMENT:
                told[FRAME] = start
                break
        told[AT], told[PACKETS], told[SEGMENTS] = at, packets, n
        return status

    numbers = memory.numbers
    signature = types.int64(
        *(numbers("u1"), numbers("i8"), memory.rows(Seen), numbers("i8"), numbers("i8"), types.int64, numbers("i8")),
    )
    return {"segments": Source(segments, signature)}
