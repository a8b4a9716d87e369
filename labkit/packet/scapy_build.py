"""Segments as Scapy packets. The only module that imports Scapy to build.

Scapy fills in all fields that follow from others (lengths, checksums, data offset) when it makes a packet's octets. So a user
can change any field of a packet in Scapy, and its lengths and checksums are correct afterwards. Options are Scapy's own
tuples, such as `('MSS', 1460)`; their octets are those of `labkit.tcp.options.pack`.

Scapy takes half a second to import, and most commands build nothing, so the first packet imports it.
"""

import ast
import sys
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import TYPE_CHECKING, Any

from labkit.errors import UsageError
from labkit.i18n import _
from labkit.packet.linktype import ETHERNET, RAW, title
from labkit.tcp import options as opt
from labkit.tcp.extension_options import KIND_ACCECN_0, KIND_ACCECN_1, Authentication, Extension, Md5
from labkit.tcp.multipath import KIND_MPTCP
from labkit.tcp.segment import Segment

if TYPE_CHECKING:
    from scapy.packet import Packet


@dataclass(frozen=True, slots=True)
class Host:
    """One end of a conversation, as its packets' headers name it.

    `address` is an IPv4 or IPv6 address in text, `mac` six octets in hexadecimal with colons. `name` stands in the
    capture's name-resolution block and in what labkit prints. `ttl` is the IPv6 hop limit as well; `dscp` the upper six
    bits of IPv4's type of service and IPv6's traffic class. ValueError for a value that its field cannot hold.
    """

    address: str
    port: int
    name: str = ""
    mac: str = "02:00:00:00:00:01"
    ttl: int = 64
    dscp: int = 0

    def __post_init__(self) -> None:
        ip_address(self.address)
        for name, value, limit in (
            ("port", self.port, 0xFFFF),
            ("ttl", self.ttl, 0xFF),
            ("dscp", self.dscp, 63),
        ):
            if not 0 <= value <= limit:
                raise ValueError(_("{name} {value} is outside 0..{limit}").format(name=name, value=value, limit=limit))

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        """The address as a value."""
        return ip_address(self.address)

    def forwarded(self, hops: int) -> "Host":
        """The host as its packets show it after `hops` routers, each of which decremented the TTL."""
        return replace(self, ttl=self.ttl - hops) if hops else self

    def __str__(self) -> str:
        """The address and the port, an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Vlan:
    """A VLAN tag (IEEE 802.1Q): `id` 0 to 4095, of which 0 only gives the priority, 0 to 7.

    `service` makes it a service tag (802.1ad), as the outer one of two often is. ValueError for other numbers.
    """

    id: int
    priority: int = 0
    service: bool = False

    def __post_init__(self) -> None:
        for name, value, limit in (("VLAN id", self.id, 4095), ("VLAN priority", self.priority, 7)):
            if not 0 <= value <= limit:
                raise ValueError(_("{name} {value} is outside 0..{limit}").format(name=name, value=value, limit=limit))

    @property
    def type(self) -> int:
        """The Ethernet type that announces the tag."""
        return 0x88A8 if self.service else 0x8100


@dataclass(frozen=True, slots=True)
class Framing:
    """The link layer of a capture's datagrams, and their fragmentation."""

    link: int = ETHERNET
    """The link type: ETHERNET or RAW."""
    vlans: tuple[Vlan, ...] = ()
    """The VLAN tags of each frame, the outer first."""
    fragment: int | None = None
    """Octets of the largest IP datagram that is not fragmented; None: no fragmentation, and the IPv4 flag DF."""

    @property
    def dont_fragment(self) -> bool:
        """Whether IPv4 headers have the flag DF."""
        return self.fragment is None


PLAIN = Framing()


def packet(
    segment: Segment,
    source: Host,
    target: Host,
    *,
    ident: int = 0,
    framing: Framing = PLAIN,
    time: int = 0,
    label: int = 0,
) -> "Packet":
    """The segment as a Scapy packet from `source` to `target`, not fragmented.

    `ident` is the IPv4 identification (its low 16 bits; RFC 6864: free where the datagram is not fragmented), `label` the IPv6
    flow label (RFC 6437), `time`
    nanoseconds since 1970-01-01, which become the packet's `time` without loss. UsageError for a link type that is not
    built, or for addresses of different families.
    """
    from scapy.utils import EDecimal

    built = _network(segment, source, target, ident, framing, label) / tcp(segment, source.port, target.port)
    if segment.payload:
        from scapy.packet import Raw as Octets

        built /= Octets(segment.payload)
    if framing.link == ETHERNET:
        built = _link(source, target, framing.vlans) / built
    elif framing.link != RAW:
        raise UsageError(
            _("link type {link} cannot be built: labkit builds {ethernet} and {raw}").format(
                link=title(framing.link), ethernet=title(ETHERNET), raw=title(RAW)
            )
        )
    built.time = EDecimal(time) / 1_000_000_000
    return built


def dissect(octets: bytes, link: int, time: int) -> "Packet":
    """A finished frame as a Scapy packet; `time` in nanoseconds since 1970-01-01. Octets of a link type without a layer in Scapy
    stay as they are.
    """
    import scapy.layers.inet6
    import scapy.layers.l2
    from scapy.config import conf
    from scapy.layers.inet import IP
    from scapy.packet import Raw as Octets
    from scapy.utils import EDecimal

    layer = conf.l2types.num2layer.get(link, Octets)
    if link == RAW:
        layer = scapy.layers.inet6.IPv6 if octets[:1] and octets[0] >> 4 == 6 else IP
    built = layer(octets)
    built.time = EDecimal(time) / 1_000_000_000
    return built


READABLE = frozenset({"Dot1AD", "Dot1Q", "Ether", "IP", "IPv6", "IPv6ExtHdrFragment", "Padding", "Raw", "TCP"})
"""Scapy's layers that `command_of` writes with their fields."""


def command_of(built: "Packet", octets: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Python code that makes a packet with these octets, and the module and name of each layer in it.

    `built` is the packet. Where Scapy would build other octets of its fields, the code has the octets.
    """
    from scapy.packet import Raw as Octets

    names = [layer.__name__ for layer in built.layers()]
    fresh = built.copy()
    fresh.clear_cache()
    layers = [layer for layer in built.layers() if layer.__name__ in READABLE]
    code = built.command()
    if len(layers) < len(names) or _attempt(fresh) != octets or not _is_python(code):
        return f'Raw(bytes.fromhex("{octets.hex()}"))', [(Octets.__module__, Octets.__name__)]
    return code, [(layer.__module__, layer.__name__) for layer in layers]


def _is_python(code: str) -> bool:
    """Whether code can be run: Scapy 2.8.0 writes the value of a TCP-AO option as it prints it."""
    try:
        ast.parse(code, mode="eval")
    except SyntaxError:
        return False
    return True


def _attempt(layer: "Packet") -> bytes | None:
    try:
        return layer_octets(layer)
    except UsageError:
        return None


def _link(source: Host, target: Host, vlans: tuple[Vlan, ...]) -> "Packet":
    """The Ethernet header with its VLAN tags; each type says what follows."""
    from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

    types = [*(tag.type for tag in vlans), 0x86DD if source.ip.version == 6 else 0x0800]
    header = Ether(src=source.mac, dst=target.mac, type=types[0])
    for tag, following in zip(vlans, types[1:], strict=True):
        header /= (Dot1AD if tag.service else Dot1Q)(vlan=tag.id, prio=tag.priority, type=following)
    return header


def tcp(segment: Segment, sport: int, dport: int) -> "Packet":
    """The segment's header as Scapy's TCP layer, without its payload."""
    from scapy.layers.inet import TCP

    fields: dict[str, Any] = {
        "sport": sport,
        "dport": dport,
        "seq": segment.seq,
        "ack": segment.ack,
        "reserved": segment.ctl >> 9,
        "flags": segment.ctl & 0x1FF,
        "window": segment.window,
        "urgptr": segment.urgent,
    }
    tuples = scapy_options(segment.options)
    if tuples is None:
        from scapy.fields import RawVal

        octets = opt.pack(segment.options)
        fields |= {"options": RawVal(octets), "dataofs": 5 + len(octets) // 4}
    else:
        opt.pack(segment.options)  # ValueError if they do not fit; Scapy would write a wrong offset
        fields["options"] = tuples
    return TCP(**fields)


def scapy_options(options: tuple[opt.Option, ...]) -> list[tuple[str | int, Any]] | None:
    """The options as Scapy's TCP layer takes them; None if its tuples cannot express them (a wrong length)."""
    tuples: list[tuple[str | int, Any]] = []
    for option in options:
        match option:
            case opt.End():
                tuples.append(("EOL", None))
            case opt.Nop():
                tuples.append(("NOP", None))
            case opt.Mss(size):
                tuples.append(("MSS", size))
            case opt.WindowScale(shift):
                tuples.append(("WScale", shift))
            case opt.SackPermitted():
                tuples.append(("SAckOK", b""))
            case opt.Sack(blocks):
                tuples.append(("SAck", tuple(edge for block in blocks for edge in block)))
            case opt.Timestamps(value, echo):
                tuples.append(("Timestamp", (value, echo)))
            case opt.FastOpen(cookie):
                tuples.append(("TFO", cookie))
            case opt.Raw(octets):
                if len(octets) < 2 or octets[0] < 2 or octets[1] != len(octets):
                    return None
                tuples.append((octets[0], octets[2:]))
            case _:
                tuples.append(_extension(option))
    return tuples


NAMES = {KIND_ACCECN_0: "AccECN0", KIND_ACCECN_1: "AccECN1", KIND_MPTCP: "MPTCP"}
"""Options that Scapy 2.7 has no name for. Their values are octets."""


def _extension(option: Extension) -> tuple[str, Any]:
    """An option of an extension as Scapy's tuple. Scapy knows the names from now on, also where it dissects."""
    from scapy.layers.inet import TCPAOValue, TCPOptions

    match option:
        case Md5(digest):
            return "MD5", digest
        case Authentication(key, following, mac):
            return "AO", TCPAOValue(keyid=key, rnextkeyid=following, mac=mac)
    name = NAMES[option.kind]
    TCPOptions[0].setdefault(option.kind, (name, None))
    TCPOptions[1].setdefault(name, option.kind)
    return name, option.pack()[2:]


class Stamp:
    """Makes the octets of `packet`, a hundred times as fast, for one direction of a conversation.

    Scapy builds a template once; `frame` writes each segment into a copy. UsageError as from `packet`.
    """

    def __init__(self, source: Host, target: Host, framing: Framing = PLAIN) -> None:
        template = bytes(packet(Segment(), source, target, framing=framing))
        self.link_at = len(template) - (60 if source.ip.version == 6 else 40)
        self.link_header = template[: self.link_at]
        self.version = source.ip.version
        self.network = template[self.link_at : -20]
        self.ports = template[-20:-16]
        self.service, self.ttl = source.dscp << 2, source.ttl
        # RFC 9293 section 3.1 and RFC 8200 section 8.1: both pseudo-headers have the same sum.
        self.pseudo = int.from_bytes(source.ip.packed + target.ip.packed) + 6

    def between(self, source: Host, target: Host) -> "Stamp":
        """The same stamp between other hosts, without Scapy.

        ValueError if the source has another TTL, DSCP or IP version.
        """
        made = copy(self)
        addresses = source.ip.packed + target.ip.packed
        if (source.ip.version, source.dscp << 2, source.ttl) != (self.version, self.service, self.ttl):
            raise ValueError(_("{source} has another TTL, DSCP or IP version than the template").format(source=source))
        if self.link_header:
            macs = bytes.fromhex(f"{target.mac}{source.mac}".replace(":", ""))
            made.link_header = macs + self.link_header[len(macs) :]
        made.network = self.network[: -len(addresses)] + addresses
        made.ports = source.port.to_bytes(2) + target.port.to_bytes(2)
        made.pseudo = int.from_bytes(addresses) + 6
        return made

    @staticmethod
    def of(source: Host, target: Host, framing: Framing = PLAIN) -> "Stamp":
        """A stamp for two hosts. Hosts that differ only in addresses and ports share a template."""
        return _template(source.ip.version, source.ttl, source.dscp, framing).between(source, target)

    def frame(self, segment: Segment, ident: int = 0, label: int = 0) -> bytes:
        """The octets of `packet(segment, ...)`."""
        options = segment.header
        length = 20 + len(options) + len(segment.payload)
        tcp_header = HEADER.pack(
            self.ports,
            segment.seq,
            segment.ack,
            (20 + len(options)) << 10 | segment.ctl,
            segment.window,
            0,
            segment.urgent,
        )
        octets = tcp_header + options + segment.payload
        total = int.from_bytes(octets + b"\0" if length % 2 else octets) + self.pseudo + length
        octets = octets[:16] + _complement(total).to_bytes(2) + octets[18:]
        return self.link_header + self._ip(length, segment.ecn, ident, label) + octets

    def _ip(self, length: int, ecn: int, ident: int, label: int) -> bytes:
        """The IP header for a TCP segment of `length` octets."""
        header = self.network
        if self.version == 6:
            service = int.from_bytes(header[:4]) | ecn << 20 | label
            return service.to_bytes(4) + length.to_bytes(2) + header[6:]
        varying = bytes((self.service | ecn,)) + (20 + length).to_bytes(2) + (ident & 0xFFFF).to_bytes(2)
        header = header[:1] + varying + header[6:10] + b"\0\0" + header[12:]
        return header[:10] + _complement(int.from_bytes(header)).to_bytes(2) + header[12:]


HEADER = Struct("!4sIIHHHH")


def _complement(total: int) -> int:
    """The Internet checksum (RFC 1071) of 16-bit words read as one large number, which is not zero.

    2**16 is 1 modulo 2**16 - 1, so the remainder is the folded sum; 0 stands for its other form, 0xFFFF.
    """
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def _network(segment: Segment, source: Host, target: Host, ident: int, framing: Framing, label: int) -> "Packet":
    """The IP header (RFC 791; RFC 8200 section 3), without what Scapy fills in."""
    if source.ip.version != target.ip.version:
        raise UsageError(
            _("{address} and {address2} belong to different address families").format(
                address=source.address, address2=target.address
            )
        )
    service = source.dscp << 2 | segment.ecn
    if source.ip.version == 6:
        from scapy.layers.inet6 import IPv6

        return IPv6(src=source.address, dst=target.address, tc=service, fl=label, hlim=source.ttl, nh=6)
    from scapy.layers.inet import IP

    return IP(
        src=source.address,
        dst=target.address,
        tos=service,
        ttl=source.ttl,
        id=ident & 0xFFFF,
        flags="DF" if framing.dont_fragment else 0,
        proto=6,
    )


@lru_cache(maxsize=64)
def _template(version: int, ttl: int, dscp: int, framing: Framing) -> Stamp:
    """A stamp built by Scapy, between documentation addresses."""
    source, target = ("2001:db8::1", "2001:db8::2") if version == 6 else ("192.0.2.1", "192.0.2.2")
    return Stamp(Host(source, 1, ttl=ttl, dscp=dscp), Host(target, 2), framing)


# Scapy's packets as octets.


def is_packet(value: object) -> bool:
    """Whether a value is a Scapy packet. This does not import Scapy: without it, there is none."""
    scapy = sys.modules.get("scapy.packet")
    return scapy is not None and isinstance(value, scapy.Packet)


def layer_octets(layer: "Packet") -> bytes:
    """The octets that Scapy makes of a packet or a part of one. UsageError if it cannot."""
    try:
        return bytes(layer)
    except Exception as error:  # whatever a field does not accept
        reason = " ".join(str(error).split())[:200]
        raise UsageError(_("Scapy cannot build the packet: {reason}").format(reason=reason)) from error


def octets_of(packet: "Packet") -> tuple[int, int, bytes, int]:
    """A Scapy packet as (nanoseconds since 1970, link type, octets, octets on the wire), as `wrpcap` would write it.

    Scapy computes the lengths and checksums that the packet does not set. UsageError for a packet that begins with a layer
    that no link type names, and one that Scapy cannot build.
    """
    from decimal import Decimal

    from scapy.config import conf

    link = conf.l2types.layer2num.get(type(packet))
    if link is None:
        text = _("the packet begins with Scapy's layer {name}, which no link type names; expected Ether, IP or IPv6")
        if type(packet).__name__ == "Raw":  # what `rdpcap` gives where no layer is known yet
            text = _("Scapy did not dissect the packet; import scapy.layers.inet before you read or build packets")
        raise UsageError(text.format(name=type(packet).__name__))
    octets = layer_octets(packet)
    time = packet.time or 0
    try:
        # A string can be multiplied too.
        exact = time if isinstance(time, int | float | Decimal) else Decimal("NaN")
        nanoseconds = round(exact * 1_000_000_000) if isinstance(exact, float) else int(exact * 1_000_000_000)
    except (ArithmeticError, ValueError) as error:
        raise UsageError(_("the packet's time is {value}; expected seconds").format(value=repr(time)[:40])) from error
    # 12 is what Linux calls a raw IP packet inside the kernel.
    return nanoseconds, RAW if link == 12 else link, octets, max(packet.wirelen or 0, len(octets))
