"""Frame bytes -> `Seen`, for whatever a capture holds; it never raises and never reads outside the frame.

Each layer is one function that names the next layer (`layer` explains how); `walk` calls one after the other until it meets
TCP. All are plain functions over integers, so that the same source is interpreted for small captures and compiled for large
ones.
"""

from labkit.packet.decode.layer import ones_sum
from labkit.packet.decode.walk import (
    CUT_OFF,
    FOREIGN,
    FRAGMENT,
    HIDDEN,
    LINK_TYPE,
    MALFORMED,
    MAX_LAYERS,
    MAY_STAND_BESIDE_TCP,
    OTHER,
    TCP,
    TOO_DEEP,
    decode,
    decode_datagram,
    may_hold_tcp,
)

__all__ = [
    "CUT_OFF",
    "FOREIGN",
    "FRAGMENT",
    "HIDDEN",
    "LINK_TYPE",
    "MALFORMED",
    "MAX_LAYERS",
    "MAY_STAND_BESIDE_TCP",
    "OTHER",
    "TCP",
    "TOO_DEEP",
    "decode",
    "decode_datagram",
    "may_hold_tcp",
    "ones_sum",
]
