"""Frame bytes -> `Seen`, for whatever a capture holds; it never raises and never reads outside the frame.

A frame is peeled layer by layer: each layer is one function over a buffer and positions that says what comes next (`layer`
explains how), `walk` asks for the next one until it meets TCP. Everything is a plain function over integers, so that the
same source is interpreted for small captures and compiled for large ones.
"""

from labkit.packet.decode.layer import ones_sum
from labkit.packet.decode.walk import FRAGMENT, OTHER, TCP, decode, decode_datagram

__all__ = ["FRAGMENT", "OTHER", "TCP", "decode", "decode_datagram", "ones_sum"]
