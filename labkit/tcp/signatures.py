"""Signed segments: digests of the MD5 option (RFC 2385) and MACs of TCP-AO (RFC 5925, with HMAC-SHA-1-96 of RFC 5926).

A `Signer` belongs to one end of a conversation. It signs what the end sends, and accepts only what the peer has signed with the
same key. Addresses are their octets on the wire, keys any octets.
"""

import hmac
from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import md5, sha1
from struct import Struct

from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.extension_options import Authentication, Md5
from labkit.tcp.segment import ACK, SYN, Segment

HEADER = Struct("!HHIIHHHH")
TCP_PROTOCOL = 6
MAC_OCTETS, TRAFFIC_KEY_BITS = 12, 160
"""RFC 5926 section 3.2.1: HMAC-SHA-1, of which 96 bits are sent."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Source and destination of segments in one direction: addresses of 4 or 16 octets, and ports."""

    source: bytes
    target: bytes
    sport: int
    dport: int

    def reversed(self) -> "Flow":
        """The other direction."""
        return Flow(self.target, self.source, self.dport, self.sport)

    def pseudo_header(self, length: int) -> bytes:
        """What precedes a segment of `length` octets in its checksum (RFC 9293 section 3.1; RFC 8200 section 8.1)."""
        if len(self.source) == 16:
            return self.source + self.target + length.to_bytes(4) + TCP_PROTOCOL.to_bytes(4)
        return self.source + self.target + TCP_PROTOCOL.to_bytes(2) + length.to_bytes(2)


def header(segment: Segment, flow: Flow) -> bytes:
    """The first twenty octets of the TCP header, with a checksum of 0."""
    offset = 20 + len(segment.header)
    return HEADER.pack(
        flow.sport, flow.dport, segment.seq, segment.ack, offset << 10 | segment.ctl, segment.window, 0, segment.urgent
    )


def md5_digest(segment: Segment, flow: Flow, key: bytes) -> bytes:
    """RFC 2385 section 2.0: over pseudo-header, header without options and with a checksum of 0, data and key."""
    length = 20 + len(segment.header) + len(segment.payload)
    octets = flow.pseudo_header(length) + header(segment, flow) + segment.payload + key
    return md5(octets, usedforsecurity=False).digest()


def traffic_key(master: bytes, flow: Flow, source_isn: int, target_isn: int) -> bytes:
    """RFC 5926 section 3.1.1 and RFC 5925 section 5.2: the key of one direction of one connection."""
    context = flow.source + flow.target + flow.sport.to_bytes(2) + flow.dport.to_bytes(2)
    context += source_isn.to_bytes(4) + target_isn.to_bytes(4)
    octets = b"\x01TCP-AO" + context + TRAFFIC_KEY_BITS.to_bytes(2)
    return hmac.digest(master, octets, sha1)


def ao_mac(segment: Segment, flow: Flow, key: bytes, extension: int) -> bytes:
    """RFC 5925 section 5.1: over the sequence number extension, pseudo-header, and the segment with a checksum and a MAC of 0."""
    blank = [_blank(option) for option in segment.options]
    octets = opt.pack(blank)
    length = 20 + len(octets) + len(segment.payload)
    text = extension.to_bytes(4) + flow.pseudo_header(length) + header(segment, flow) + octets + segment.payload
    return hmac.digest(key, text, sha1)[:MAC_OCTETS]


def _blank(option: opt.Option) -> opt.Option:
    if isinstance(option, Authentication):
        return Authentication(option.key_id, option.next_key_id, bytes(len(option.mac)))
    return option


class Signer(ABC):
    """Signs the segments of one end, and checks those of its peer. `flow` is what this end sends."""

    __slots__ = ("flow", "key")
    blank: opt.Option
    """The option without its signature."""

    def __init__(self, flow: Flow, key: bytes) -> None:
        self.flow, self.key = flow, key

    @property
    def options(self) -> tuple[opt.Option, ...]:
        """The option, aligned: what each segment must leave room for."""
        return (*(opt.Nop() for _ in range(-self.blank.width % 4)), self.blank)

    def sign(self, segment: Segment, own_isn: int, peer_isn: int) -> Segment:
        """The segment with the option."""
        kind = type(self.blank)
        if segment.option(kind) is None:
            segment = segment.with_(options=(*segment.options, *self.options))
        signature = self.signature(segment, self.flow, own_isn, peer_isn)
        return segment.with_(options=tuple(signature if type(each) is kind else each for each in segment.options))

    def accepts(self, segment: Segment, own_isn: int, peer_isn: int) -> bool:
        """Whether the peer has signed the segment with the same key. A SYN tells its ISN itself."""
        found = segment.option(type(self.blank))
        if found is None:
            return False
        source = segment.seq if segment.ctl & SYN else peer_isn
        expected = self.signature(segment, self.flow.reversed(), source, own_isn)
        return hmac.compare_digest(found.pack(), expected.pack())

    @abstractmethod
    def signature(self, segment: Segment, flow: Flow, source_isn: int, target_isn: int) -> opt.Option:
        """The option for a segment that has it already, with any signature."""


class Md5Signer(Signer):
    """Signs with the MD5 option."""

    __slots__ = ()
    blank = Md5(bytes(16))

    def signature(self, segment: Segment, flow: Flow, _source_isn: int, _target_isn: int) -> Md5:
        """The option with the digest."""
        return Md5(md5_digest(segment, flow, self.key))


class AoSigner(Signer):
    """Signs with TCP-AO, with the KeyID 1 in both directions."""

    __slots__ = ()
    blank = Authentication(1, 1, bytes(MAC_OCTETS))

    def signature(self, segment: Segment, flow: Flow, source_isn: int, target_isn: int) -> Authentication:
        """The option with the MAC."""
        # RFC 5925 section 5.2: a client that sends its SYN knows no other ISN.
        target = 0 if segment.ctl & (SYN | ACK) == SYN else target_isn
        key = traffic_key(self.key, flow, source_isn, target)
        # Section 6.2: how often the sequence number has wrapped since the ISN; once at most in less than 4 GiB.
        extension = source_isn + (segment.seq - source_isn & sn.MASK) >> 32
        return Authentication(1, 1, ao_mac(segment, flow, key, extension))
