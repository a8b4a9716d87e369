"""The octets of segments as they stand in files and on links, made without Scapy."""

from struct import Struct

from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import PLAIN, Framing, Host, Vlan, check
from labkit.tcp import options as opt
from labkit.tcp.segment import Segment

IPV4 = Struct("!HHH4sH")
HEADER = Struct("!IIIHHHH")


class Stamp:
    """Makes the octets of `scapy_build.packet`, a hundred times as fast and without Scapy, for one direction of a conversation.

    What all frames have in common is written once. UsageError as from `packet`.
    """

    def __init__(self, source: Host, target: Host, framing: Framing = PLAIN) -> None:
        check(source, target, framing)
        self.version = source.ip.version
        addresses = source.ip.packed + target.ip.packed
        self.link_header = _link_header(source, target, framing.vlans) if framing.link == ETHERNET else b""
        self.ports = source.port << 16 | target.port
        service = source.dscp << 2
        # RFC 9293 section 3.1 and RFC 8200 section 8.1: both pseudo-headers have the same sum.
        self.pseudo = int.from_bytes(addresses) + 6
        if self.version == 6:
            self.first = 6 << 28 | service << 20
            self.fixed = bytes((6, source.ttl)) + addresses
            return
        self.first = 0x45 << 8 | service
        self.fixed = (0x4000 if framing.dont_fragment else 0).to_bytes(2) + bytes((source.ttl, 6))
        self.addresses = addresses
        self.fixed_sum = int.from_bytes(self.fixed) + int.from_bytes(addresses)

    def frame(self, segment: Segment, ident: int = 0, label: int = 0) -> bytes:
        """The octets of `packet(segment, ...)`."""
        payload = segment.payload
        body = opt.pack(segment.options) + payload if segment.options else payload
        length = 20 + len(body)
        seq, ack, window, urgent = segment.seq, segment.ack, segment.window, segment.urgent
        offset = (length - len(payload)) << 10 | segment.ctl
        # One large number holds the octets' 16-bit words, and so does a field of 32 bits.
        total = self.pseudo + length + self.ports + seq + ack + offset + window + urgent
        total += int.from_bytes(body + b"\0" if length % 2 else body)
        header = HEADER.pack(self.ports, seq, ack, offset, window, _complement(total), urgent)
        return self._ip(length, segment.ecn, ident, label) + header + body

    def _ip(self, length: int, ecn: int, ident: int, label: int) -> bytes:
        """The headers before that of a TCP segment of `length` octets."""
        if self.version == 6:
            service = self.first | ecn << 20 | label
            return self.link_header + service.to_bytes(4) + length.to_bytes(2) + self.fixed
        first, total, ident = self.first | ecn, 20 + length, ident & 0xFFFF
        octets = IPV4.pack(first, total, ident, self.fixed, _complement(self.fixed_sum + first + total + ident))
        return self.link_header + octets + self.addresses


def _complement(total: int) -> int:
    """The Internet checksum (RFC 1071) of 16-bit words read as one large number, which is not zero.

    2**16 is 1 modulo 2**16 - 1, so the remainder is the folded sum; 0 stands for its other form, 0xFFFF.
    """
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def _link_header(source: Host, target: Host, vlans: tuple[Vlan, ...]) -> bytes:
    """The octets of the Ethernet header: each tag has its priority and VLAN (IEEE 802.1Q), and the type of what follows."""
    words = bytes.fromhex(f"{target.mac}{source.mac}".replace(":", ""))
    for tag in vlans:
        words += tag.type.to_bytes(2) + (tag.priority << 13 | tag.id).to_bytes(2)
    return words + (0x86DD if source.ip.version == 6 else 0x0800).to_bytes(2)
