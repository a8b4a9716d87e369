"""Accurate ECN (RFC 9768): each side counts the marked packets that arrive, instead of one echo in a round trip.

The handshake negotiates it; a peer that knows only RFC 3168 gets that. Then AE, CWR and ECE are one number, ACE: the lowest three
bits of the count. An option counts octets by the ECN field with which they arrived.
"""

from labkit.tcp.endpoint.ecn import Ecn
from labkit.tcp.extension_options import KIND_ACCECN_1, AccEcn
from labkit.tcp.segment import ACK, AE, CE, CWR, ECE, ECT0, ECT1, NOT_ECT, SYN, Segment

FEEDBACK = AE | CWR | ECE
CODES = {NOT_ECT: CWR, ECT1: CWR | ECE, ECT0: AE, CE: AE | CWR}
"""The bits that say how a SYN or SYN ACK arrived, by its ECN field (section 3.1.2, Table 2; section 3.2.2.1, Table 3)."""
FIRST_COUNT = 5
"""Section 3.2.1: the count of marked packets, and what the peer is believed to have counted, start at 5."""
COUNTER_MASK = 0xFF_FFFF
"""The option's counters have 24 bits (section 3.2.3)."""


class AccurateEcn(Ecn):
    """What one endpoint knows of AccECN, as sender and as receiver; `Ecn` where the peer knows only that."""

    __slots__ = ("accurate", "asks", "client", "confirmed", "count", "marks_all", "octets", "peer_count", "syn_field")

    def __init__(self, asks: bool = True, marks_all: bool = False) -> None:
        super().__init__(enabled=True)
        self.asks = asks
        """Whether its SYN asks for AccECN; else it asks for ECN, and takes AccECN from a SYN ACK only."""
        self.marks_all = marks_all
        """Whether segments without new data are ECN-capable too."""
        self.accurate = False
        """Whether both sides use AccECN."""
        self.client = False
        self.confirmed = False
        """Whether a client has said how the SYN ACK arrived."""
        self.syn_field = NOT_ECT
        """The ECN field of the peer's SYN or SYN ACK."""
        self.count = FIRST_COUNT
        self.peer_count = FIRST_COUNT
        self.octets = {ECT1: 1, CE: 0, ECT0: 1}
        """Section 3.2.1: two of the counters start at 1, so that a path that clears the option shows."""

    def syn_bits(self, answering: bool) -> int:
        """All three bits offer AccECN; the answer says how the SYN arrived."""
        if not answering:
            return FEEDBACK if self.asks else super().syn_bits(answering=False)
        return CODES[self.syn_field] if self.accurate else super().syn_bits(answering=True)

    def learn(self, syn: Segment) -> None:
        """Agree on AccECN, or on ECN, from the peer's SYN or SYN,ACK (section 3.1.2, Table 2)."""
        bits = syn.ctl & FEEDBACK
        self.client = bool(syn.ctl & ACK)
        self.accurate = bits in CODES.values() if self.client else self.asks and bits not in (0, CWR | ECE)
        self.syn_field = syn.ecn
        if self.accurate:
            self.agreed = True
            self.count += syn.ecn == CE
        else:
            super().learn(syn)

    def arrived(self, segment: Segment) -> None:
        """Count the packet if it is marked, and its octets by their ECN field (section 3.2.1)."""
        if not self.accurate:
            super().arrived(segment)
            return
        self.count += segment.ecn == CE
        if segment.ecn != NOT_ECT:
            self.octets[segment.ecn] = self.octets[segment.ecn] + len(segment.payload) & COUNTER_MASK

    def echoes(self, segment: Segment) -> bool:
        """Whether the peer has counted more marks (section 3.2.2)."""
        if not self.accurate:
            return super().echoes(segment)
        told = (segment.ctl & AE != 0) * 4 + (segment.ctl & CWR != 0) * 2 + (segment.ctl & ECE != 0)
        more = (told - self.peer_count) & 7
        self.peer_count += more
        return more > 0

    def bits(self, ctl: int, new_data: bool) -> tuple[int, int]:
        """The count in ACE; in a client's first pure ACK how the SYN ACK arrived. New data is ECN-capable."""
        if not self.accurate or ctl & SYN:
            return super().bits(ctl, new_data)
        if self.client and not self.confirmed:
            self.confirmed = True
            return ctl | CODES[self.syn_field], ECT0 if self.marks_all else NOT_ECT
        count = self.count & 7
        ctl |= (AE if count & 4 else 0) | (CWR if count & 2 else 0) | (ECE if count & 1 else 0)
        return ctl, ECT0 if new_data or self.marks_all else NOT_ECT

    def option(self) -> AccEcn | None:
        """The counters of octets; None without AccECN."""
        return AccEcn(KIND_ACCECN_1, tuple(self.octets.values())) if self.accurate else None
