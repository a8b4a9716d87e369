"""A host in user space: it has an address that no kernel owns, and resolves neighbours by ARP or neighbour discovery.

It turns TCP segments into frames and back. Like a kernel, it ignores frames for other hosts or with a wrong checksum.
"""

import select
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.clock import SECOND, Clock
from labkit.live.link import Link
from labkit.live.neighbours import announced, query, reply_to
from labkit.packet.decode.outcome import TCP
from labkit.packet.decode.walk import decode
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import PLAIN, Framing, Host
from labkit.packet.seen import SUM_BAD, Seen
from labkit.packet.stamp import Stamp
from labkit.tcp.options import unpack
from labkit.tcp.segment import Segment

RETRY_INTERVAL = 200_000_000
"""Nanoseconds between two requests for the same neighbour."""
RESOLVE_TIMEOUT = 2 * SECOND
"""Nanoseconds within which a neighbour must answer."""
MAX_NEIGHBOURS = 1_024
"""Neighbours, and pairs of ends, that a host remembers."""
MAX_WAITING_FRAMES = 1_024
"""Frames that wait for a neighbour's answer; the host drops further ones."""


class Received(NamedTuple):
    """A TCP segment for this host, and its sender."""

    source: Host
    segment: Segment
    frame: bytes


class Station:
    """One host on one link. Call `poll` when the link is readable and when `due` says so."""

    def __init__(self, link: Link, own: Host) -> None:
        self.link = link
        self.own = own
        self._packed = own.ip.packed
        self._known: dict[str, str] = {}
        self._checked: set[str] = set()
        self._requested: dict[str, int] = {}
        self._waiting: list[tuple[str, bytes]] = []
        self._stamps: dict[tuple[Host, Host], Stamp] = {}
        self._seg = Seen()

    def due(self) -> int | None:
        """When to call `poll` although no frame has come; None: never."""
        return min(self._requested.values()) + RETRY_INTERVAL if self._requested else None

    def resolve(self, address: str, clock: Clock, timeout: int = RESOLVE_TIMEOUT) -> None:
        """Find a neighbour's MAC address. LinkError if it does not answer in time."""
        self._request(address, clock.now())
        deadline = clock.now() + timeout
        while address not in self._known:
            left = min(deadline, self._requested[address] + RETRY_INTERVAL) - clock.now()
            select.select([self.link], [], [], max(left, 0) / SECOND)
            for _received in self.poll(clock.now()):
                continue
            if clock.now() >= deadline and address not in self._known:
                text = _("{interface}: no host answers {protocol} for {address}")
                raise LinkError(
                    text.format(
                        interface=self.link.interface,
                        protocol="ARP" if self.own.ip.version == 4 else _("neighbour solicitation"),
                        address=address,
                    )
                )

    def frame(
        self, segment: Segment, source: Host, target: Host, ident: int, framing: Framing = PLAIN, label: int = 0
    ) -> bytes:
        """The frame of a segment between two hosts, with the target's resolved MAC address if it is known."""
        target = replace(target, mac=self._known.get(target.address, target.mac))
        ends = source, target
        if ends not in self._stamps:
            if len(self._stamps) >= MAX_NEIGHBOURS:
                self._stamps.clear()
            self._stamps[ends] = Stamp(source, target, framing)
        return self._stamps[ends].frame(segment, ident, label)

    def transmit(self, frame: bytes, target: str, now: int) -> None:
        """Send a frame to an address once its MAC address is known. LinkError if the guard forbids the address."""
        if target not in self._checked:
            self.link.check_address(target)
            if len(self._checked) >= MAX_NEIGHBOURS:
                self._checked.clear()
            self._checked.add(target)
        mac = self._known.get(target)
        if mac is not None:
            self.link.send(bytes.fromhex(mac.replace(":", "")) + frame[6:])
            return
        if len(self._waiting) < MAX_WAITING_FRAMES:
            self._waiting.append((target, frame))
        if target not in self._requested:
            self._request(target, now)

    def _request(self, target: str, now: int) -> None:
        self._requested[target] = now
        if self.link.is_loopback:
            # A loopback has no ARP: every frame comes back to this host's kernel.
            self._learn(target, "00:00:00:00:00:00", now)
        else:
            self.link.send(query(target, self.own.address, self.own.mac))

    def _learn(self, address: str, mac: str, now: int) -> None:
        if address not in self._known and len(self._known) >= MAX_NEIGHBOURS:
            return
        self._known[address] = mac
        self._requested.pop(address, None)
        ready = [frame for target, frame in self._waiting if target == address]
        self._waiting = [each for each in self._waiting if each[0] != address]
        for frame in ready:
            self.transmit(frame, address, now)

    def poll(self, now: int) -> Iterator[Received]:
        """Read all received frames: answer requests for this host's address, and yield the TCP segments for it."""
        for target, requested in list(self._requested.items()):
            if now >= requested + RETRY_INTERVAL:
                self._request(target, now)
        while True:
            arrived = self.link.receive()
            if arrived is None:
                return
            received = self._receive(arrived.data, now)
            if received is not None:
                yield received

    def _receive(self, data: bytes, now: int) -> Received | None:
        reply = reply_to(data, self.own.address, self.own.mac)
        if reply is not None:
            self.link.send(reply)
        announcement = announced(data)
        if announcement is not None and (
            announcement[0] in self._requested or announcement[0] in self._known or reply is not None
        ):
            self._learn(*announcement, now)
            return None
        seg = self._seg
        seg.caplen = seg.wirelen = len(data)
        if decode(data, 0, len(data), ETHERNET, seg) != TCP or not seg.readable or seg.sum_state == SUM_BAD:
            return None
        if data[seg.dst_at : seg.dst_at + seg.addr_len] != self._packed or seg.dport != self.own.port:
            return None
        source = str(ip_address(data[seg.src_at : seg.src_at + seg.addr_len]))
        mac = data[6:12].hex(":")
        self._learn(source, mac, now)
        return Received(Host(source, seg.sport, mac=mac), segment_of(data, seg), data)


def segment_of(data: bytes, seg: Seen) -> Segment:
    """The segment of a decoded frame, without reserved control bits."""
    header = data[seg.tcp_at + 20 : seg.tcp_at + seg.doff]
    payload = data[seg.data_at : seg.data_at + seg.data_len]
    return Segment(seg.seq, seg.ack, seg.ctl & 0xFFF, seg.win, payload, unpack(header), seg.urg, seg.ecn)
