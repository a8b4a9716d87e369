"""Explicit congestion notification (RFC 3168): marks instead of losses.

The handshake negotiates it. Then new data is sent as ECT(0), and a router marks it CE instead of dropping it. The receiver
echoes ECE until it hears CWR, and the sender reduces its window once a round trip (`acks.marked`).
"""

from typing import TYPE_CHECKING

from labkit.tcp.segment import ACK, CE, CWR, ECE, ECT0, NOT_ECT, SYN, Segment

if TYPE_CHECKING:
    from labkit.tcp.extension_options import AccEcn


class Ecn:
    """What one endpoint knows of ECN, as sender and as receiver."""

    __slots__ = ("agreed", "enabled", "marked", "reacted_to", "reduced")

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.agreed = False
        """Whether both sides use ECN."""
        self.marked = False
        """Whether a mark has arrived to which the sender has not yet reacted: ACKs carry ECE."""
        self.reacted_to = 0
        """The position that ends the last reduction: echoes of earlier data do not reduce the window again."""
        self.reduced = False
        """Whether the next new data carries CWR, which says that the window was reduced."""

    def syn_bits(self, answering: bool) -> int:
        """The ECN bits of a SYN or SYN,ACK (section 6.1.1): ECE and CWR ask, ECE alone agrees."""
        if not answering:
            return ECE | CWR if self.enabled else 0
        return ECE if self.agreed else 0

    def learn(self, syn: Segment) -> None:
        """Agree on ECN, from the peer's SYN or SYN,ACK."""
        expected = ECE if syn.ctl & ACK else ECE | CWR
        self.agreed = self.enabled and syn.ctl & (ECE | CWR) == expected

    def arrived(self, segment: Segment) -> None:
        """The receiver's part (section 6.1.3): echo a mark until the sender has reduced its window."""
        if segment.ctl & CWR:
            self.marked = False
        if segment.ecn == CE and segment.payload:
            self.marked = True

    def echoes(self, segment: Segment) -> bool:
        """Whether an ACK tells the sender of a mark."""
        return segment.ctl & ECE != 0

    def option(self) -> "AccEcn | None":
        """The option that each segment carries; None, because classic ECN has none."""
        return None

    def reduce(self, high: int) -> None:
        """The sender's part (section 6.1.2): its window was reduced when everything before `high` was under way."""
        self.reacted_to = high
        self.reduced = True

    def bits(self, ctl: int, new_data: bool) -> tuple[int, int]:
        """A segment's control bits with those of ECN, and its IP header's ECN field.

        Only new data is ECN-capable: no pure ACK, retransmission or probe (sections 6.1.4 to 6.1.6).
        """
        if not self.agreed or ctl & SYN:
            return ctl, NOT_ECT
        if self.marked:
            ctl |= ECE
        if not new_data:
            return ctl, NOT_ECT
        if self.reduced:
            self.reduced = False
            ctl |= CWR
        return ctl, ECT0
