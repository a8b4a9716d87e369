"""ARP (RFC 826) and IPv6 neighbour discovery (RFC 4861), as far as a host in user space needs them. No I/O.

No kernel owns the address of such a host, so labkit answers requests for it and asks for the addresses of others.
"""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from labkit.packet.decode.layer import ones_sum

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
REQUEST, REPLY = 1, 2
ICMPV6, SOLICITATION, ADVERTISEMENT = 58, 135, 136
SOURCE_ADDRESS, TARGET_ADDRESS = 1, 2
"""Neighbour-discovery options that carry a link-layer address."""
BROADCAST = b"\xff" * 6

ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")


def query(target: str, own: str, mac: str) -> bytes:
    """The request by which `own`, at `mac`, asks for the MAC address of `target`."""
    address = ip_address(target)
    if isinstance(address, IPv4Address):
        return _arp(BROADCAST, REQUEST, _octets(mac), ip_address(own).packed, bytes(6), address.packed)
    group = b"\xff\x02" + bytes(9) + b"\x01\xff" + address.packed[13:]
    body = bytes(4) + address.packed + bytes((SOURCE_ADDRESS, 1)) + _octets(mac)
    to = b"\x33\x33" + group[12:]
    return _icmpv6(to, _octets(mac), ip_address(own).packed, group, SOLICITATION, body)


def reply_to(frame: bytes, address: str, mac: str) -> bytes | None:
    """The reply to a request for `address`, which is at `mac`; None for any other frame."""
    own, at = ip_address(address), _octets(mac)
    request = _request(frame)
    if request is None or request[0] != own.packed:
        return None
    _target, source, sender = request
    if isinstance(own, IPv4Address):
        return _arp(sender, REPLY, at, own.packed, sender, source)
    # RFC 4861 section 7.2.4: the flags Solicited and Override.
    body = b"\x60\0\0\0" + own.packed + bytes((TARGET_ADDRESS, 1)) + at
    if not any(source):
        # Duplicate address detection (RFC 4862): the answer goes to all nodes.
        group = IPv6Address("ff02::1").packed
        return _icmpv6(b"\x33\x33\0\0\0\x01", at, own.packed, group, ADVERTISEMENT, b"\x20" + body[1:])
    return _icmpv6(sender, at, own.packed, source, ADVERTISEMENT, body)


def announced(frame: bytes) -> tuple[str, str] | None:
    """The IP address and MAC address that the sender of a frame announces; None if it announces none."""
    if len(frame) < 42:
        return None
    kind = int.from_bytes(frame[12:14])
    if kind == ARP:
        source, sender = frame[28:32], frame[22:28]
        return (str(ip_address(source)), sender.hex(":")) if any(source) else None
    if kind == IPV6 and len(frame) >= 78 and frame[20] == ICMPV6 and frame[54] in (SOLICITATION, ADVERTISEMENT):
        given = _option(frame, SOURCE_ADDRESS if frame[54] == SOLICITATION else TARGET_ADDRESS)
        source = frame[22:38] if frame[54] == SOLICITATION else frame[62:78]
        if any(source):
            return str(ip_address(source)), (given or frame[6:12]).hex(":")
    return None


def _request(frame: bytes) -> tuple[bytes, bytes, bytes] | None:
    """The address that a frame asks for, and the IP and MAC addresses of the host that asks."""
    if len(frame) < 42:
        return None
    kind = int.from_bytes(frame[12:14])
    if kind == ARP:
        head = ARP_BODY.unpack_from(frame, 14)
        return (head[8], head[6], head[5]) if head[1:5] == (IPV4, 6, 4, REQUEST) else None
    if kind == IPV6 and len(frame) >= 78 and frame[20] == ICMPV6 and frame[54] == SOLICITATION:
        return frame[62:78], frame[22:38], _option(frame, SOURCE_ADDRESS) or frame[6:12]
    return None


def _option(frame: bytes, kind: int) -> bytes | None:
    """The link-layer address in an option of a neighbour-discovery message; None if the option is missing."""
    at = 78
    while at + 8 <= len(frame) and frame[at + 1]:
        if frame[at] == kind:
            return frame[at + 2 : at + 8]
        at += frame[at + 1] * 8
    return None


def _arp(to: bytes, operation: int, mac: bytes, own: bytes, target_mac: bytes, target: bytes) -> bytes:
    body = ARP_BODY.pack(1, IPV4, 6, 4, operation, mac, own, target_mac, target)
    return to + mac + ARP.to_bytes(2) + body


def _icmpv6(to: bytes, mac: bytes, own: bytes, target: bytes, kind: int, body: bytes) -> bytes:
    """A neighbour-discovery message. The hop limit of 255 shows that no router has forwarded it."""
    length = 4 + len(body)
    message = bytes((kind, 0, 0, 0)) + body
    pseudo = own + target + length.to_bytes(4) + ICMPV6.to_bytes(4)
    whole = pseudo + message
    total = 0xFFFF - ones_sum(whole, 0, len(whole))
    message = message[:2] + total.to_bytes(2) + message[4:]
    header = b"\x60\0\0\0" + length.to_bytes(2) + bytes((ICMPV6, 255)) + own + target
    return to + mac + IPV6.to_bytes(2) + header + message


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
