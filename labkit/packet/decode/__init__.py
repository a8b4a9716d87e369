"""Frame bytes -> `Seen`, for whatever a capture holds; it never raises and never reads outside the frame.

Each layer is one function that names the next layer (`layer` explains how); `walk` calls one after the other until it meets
TCP. All are plain functions over integers, so that the same source is interpreted for small captures and compiled for large
ones.
"""

from labkit.packet.decode.layer import ones_sum
from labkit.packet.decode.walk import FRAGMENT, OTHER, TCP, decode, decode_datagram

__all__ = ["FRAGMENT", "OTHER", "TCP", "decode", "decode_datagram", "ones_sum"]
