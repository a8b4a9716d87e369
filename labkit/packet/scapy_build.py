"""Segments as Scapy packets, and as the same octets. The only module that imports Scapy.

Scapy fills in all fields that follow from others (lengths, checksums, data offset) when it makes a packet's octets. So a user
can change any field of a packet in Scapy, and its lengths and checksums are correct afterwards. Options are Scapy's own
tuples, such as `('MSS', 1460)`; their octets are those of `labkit.tcp.options.pack`.

Scapy takes half a second to import, so the first of its packets imports it. Files are written without it: a
`labkit.packet.stamp.Stamp` makes the same octets.
"""

import ast
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
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


_address = lru_cache(maxsize=4096)(ip_address)


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
        _address(self.address)
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
        return _address(self.address)

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
    check(source, target, framing)
    from scapy.utils import EDecimal

    built = _network(segment, source, target, ident, framing, label) / tcp(segment, source.port, target.port)
    if segment.payload:
        from scapy.packet import Raw as Octets

        built /= Octets(segment.payload)
    if framing.link == ETHERNET:
        built = _link(source, target, framing.vlans) / built
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

    fields: dict[str, Any] = {"sport": sport, "dport": dport, **_numbers(segment)}
    tuples = scapy_options(segment.options)
    if tuples is None:
        from scapy.fields import RawVal

        octets = opt.pack(segment.options)
        fields |= {"options": RawVal(octets), "dataofs": 5 + len(octets) // 4}
    else:
        opt.pack(segment.options)  # ValueError if they do not fit; Scapy would write a wrong offset
        fields["options"] = tuples
    return TCP(**fields)


def _numbers(segment: Segment) -> dict[str, Any]:
    """The fields of Scapy's TCP layer that differ from segment to segment, without the options."""
    return {
        "seq": segment.seq,
        "ack": segment.ack,
        "reserved": segment.ctl >> 9,
        "flags": segment.ctl & 0x1FF,
        "window": segment.window,
        "urgptr": segment.urgent,
    }


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
    """An option of an extension as Scapy's tuple. Scapy learns the names, and shows them when it dissects packets."""
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


class Copier:
    """Makes what `packet` makes in a tenth of the time, for one direction of a conversation.

    Scapy builds a packet once; `packet` copies its layers and writes a segment into the copy. UsageError as from `packet`.
    """

    def __init__(self, source: Host, target: Host, framing: Framing = PLAIN) -> None:
        self.source, self.target, self.framing = source, target, framing
        layer = packet(Segment(payload=b"\0"), source, target, framing=framing)
        self.layers = [_Pattern(layer)]
        while layer := layer.payload:
            self.layers.append(_Pattern(layer))

    def packet(self, segment: Segment, ident: int = 0, time: int = 0, label: int = 0) -> "Packet":
        """The segment as a Scapy packet."""
        from scapy.utils import EDecimal

        options = scapy_options(segment.options)
        if options is None:
            ends = self.source, self.target
            return packet(segment, *ends, ident=ident, framing=self.framing, time=time, label=label)
        opt.pack(segment.options)  # ValueError if they do not fit
        *links, network, header, load = [each.copy() for each in self.layers]
        layers = [*links, network, header, load] if segment.payload else [*links, network, header]
        for upper, lower in pairwise(layers):
            object.__setattr__(upper, "payload", lower)
            object.__setattr__(lower, "underlayer", upper)
        service = self.source.dscp << 2 | segment.ecn
        if self.source.ip.version == 6:
            network.fields |= {"tc": service, "fl": label}
        else:
            network.fields |= {"tos": service, "id": ident & 0xFFFF}
        flags = header.fields["flags"]
        flags.value = segment.ctl & 0x1FF
        header.fields |= {**_numbers(segment), "flags": flags, "options": options}
        load.fields["load"] = segment.payload
        layers[0].time = EDecimal(time) / 1_000_000_000
        return layers[0]


class _Pattern:
    """A layer of a Scapy packet, to be copied alone: `Packet.copy` takes ten times as long."""

    def __init__(self, layer: "Packet") -> None:
        from scapy.packet import NoPayload

        self.kind = type(layer)
        held = {name: getattr(layer, name) for name in self.kind.__all_slots__ if hasattr(layer, name)}
        held |= {"payload": NoPayload(), "underlayer": None, "raw_packet_cache": None, "raw_packet_cache_fields": None}
        self.slots = tuple(held.items())
        self.fields = layer.fields
        self.mutable = [name for name, value in self.fields.items() if hasattr(value, "copy")]

    def copy(self) -> "Packet":
        made: Packet = object.__new__(self.kind)
        for name, value in self.slots:
            object.__setattr__(made, name, value)
        fields = self.fields.copy()
        for name in self.mutable:
            fields[name] = fields[name].copy()
        object.__setattr__(made, "fields", fields)
        object.__setattr__(made, "post_transforms", [])
        return made


def _network(segment: Segment, source: Host, target: Host, ident: int, framing: Framing, label: int) -> "Packet":
    """The IP header (RFC 791; RFC 8200 section 3), without what Scapy fills in."""
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


def check(source: Host, target: Host, framing: Framing) -> None:
    """UsageError for a link type that is not built, or for addresses of different families."""
    if source.ip.version != target.ip.version:
        raise UsageError(
            _("{address} and {address2} belong to different address families").format(
                address=source.address, address2=target.address
            )
        )
    if framing.link not in (ETHERNET, RAW):
        raise UsageError(
            _("link type {link} cannot be built: labkit builds {ethernet} and {raw}").format(
                link=title(framing.link), ethernet=title(ETHERNET), raw=title(RAW)
            )
        )


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
