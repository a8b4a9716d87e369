"""An endpoint's output: segments for the network, notices for the application."""

from enum import Enum
from typing import NamedTuple

from labkit.tcp.segment import Segment


class Notice(Enum):
    """An event that an endpoint reports to its application."""

    CONNECTED = "connected"
    DATA = "data arrived"
    URGENT = "urgent data announced"
    PEER_CLOSED = "the peer closed"
    REFUSED = "connection refused"
    RESET = "connection reset"
    TIMED_OUT = "connection aborted due to user timeout"
    CLOSED = "connection closed"


class Outgoing(NamedTuple):
    """A segment to transmit, and the reason for it as a word that programs can compare.

    The words: syn, syn-ack, ack, delayed-ack, duplicate-ack, challenge-ack, window-update, data, fin, rst,
    retransmission-rto, retransmission-fast, tail-loss-probe, zero-window-probe, keep-alive.
    """

    segment: Segment
    why: str
    stateless: bool = False
    """Whether no connection sends it: a RST for a segment that belongs to none."""
