"""Many packets as blocks of a pcapng. A wheel has this module compiled."""

from collections.abc import Callable, Sequence

from labkit.capture import pcapng_blocks as block
from labkit.capture.base import Packet


def packet_blocks(packets: Sequence[Packet], unit: int, interfaces: int, record: Callable[[Packet], bytes]) -> bytes:
    """The blocks of packets, with times in multiples of `unit` nanoseconds, and interfaces below `interfaces`; `record` makes a
    block that needs more than that.
    """
    pack, option, padding, end = block.RECORD.pack, block.OPTION.pack, block.PADDING, block.END
    parts: list[bytes] = []
    for packet in packets:
        time, data, comment, interface = packet
        captured, stamp, text = len(data), time // unit, comment.encode("utf-8", "replace")
        octets = len(text)
        if captured + octets > block.MAX_TEXT_OCTETS or stamp >> 64 or not 0 <= interface < interfaces:
            parts.append(record(packet))
            continue
        size = 32 + captured + (-captured & 3) + (8 + octets + (-octets & 3) if octets else 0)
        parts.append(pack(block.ENHANCED, size, interface, stamp >> 32, stamp & 0xFFFF_FFFF, captured, captured))
        parts.append(data)
        parts.append(padding[captured & 3])
        if octets:
            parts.append(option(block.COMMENT, octets))
            parts.append(text)
            parts.append(padding[octets & 3])
            parts.append(end)
        parts.append(size.to_bytes(4, "little"))
    return b"".join(parts)
