"""A host in user space: it has an address on a link that no kernel owns, says where it is, and finds where others are.

TCP segments go out through it and come in, in their frames. Whatever has a wrong checksum, or is for somebody else, is
passed over, as a host does.
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
from labkit.live.neighbours import answer, ask, learned
from labkit.packet.decode import TCP, decode
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import PLAIN, Framing, Host, Stamp
from labkit.packet.seen import SUM_BAD, Seen
from labkit.tcp.options import unpack
from labkit.tcp.segment import Segment

ASK_EVERY = 200_000_000
"""Nanoseconds between two questions for the same neighbour."""
PATIENCE = 2 * SECOND
"""Nanoseconds in which a neighbour must have answered."""
MOST_NEIGHBOURS = 1_024
MOST_WAITING = 1_024
"""Frames that wait for a neighbour's answer; more are lost, as in every host."""


class Heard(NamedTuple):
    """A TCP segment that came for this host."""

    source: Host
    segment: Segment
    frame: bytes


class Station:
    """One host on one link. `poll` must be called whenever the link is readable, and when `due` says so."""

    def __init__(self, link: Link, own: Host) -> None:
        self.link = link
        self.own = own
        self._packed = own.ip.packed
        self._known: dict[str, str] = {}
        self._permitted: set[str] = set()
        self._asked: dict[str, int] = {}
        self._waiting: list[tuple[str, bytes]] = []
        self._stamps: dict[tuple[Host, Host], Stamp] = {}
        self._seg = Seen()

    def due(self) -> int | None:
        """When to call `poll` although nothing has come; None: never."""
        return min(self._asked.values()) + ASK_EVERY if self._asked else None

    def locate(self, address: str, clock: Clock, patience: int = PATIENCE) -> None:
        """Find out where an address is before anything is sent there. LinkError where nobody says so in time."""
        self._ask(address, clock.now())
        deadline = clock.now() + patience
        while address not in self._known:
            left = min(deadline, self._asked[address] + ASK_EVERY) - clock.now()
            select.select([self.link], [], [], max(left, 0) / SECOND)
            for _heard in self.poll(clock.now()):
                continue
            if clock.now() >= deadline and address not in self._known:
                raise LinkError(
                    _("{interface}: nobody there says that he is {address}").format(
                        interface=self.link.interface, address=address
                    )
                )

    def frame(self, segment: Segment, source: Host, target: Host, ident: int, framing: Framing = PLAIN) -> bytes:
        """The frame of a segment between two hosts, to wherever the target is, as far as that is known."""
        target = replace(target, mac=self._known.get(target.address, target.mac))
        ends = source, target
        if ends not in self._stamps:
            if len(self._stamps) >= MOST_NEIGHBOURS:
                self._stamps.clear()
            self._stamps[ends] = Stamp(source, target, framing)
        return self._stamps[ends].frame(segment, ident)

    def transmit(self, frame: bytes, target: str, now: int) -> None:
        """Send a frame to an address, when it is known where that is. LinkError where the guard does not let it."""
        if target not in self._permitted:
            self.link.permit(target)
            if len(self._permitted) >= MOST_NEIGHBOURS:
                self._permitted.clear()
            self._permitted.add(target)
        mac = self._known.get(target)
        if mac is not None:
            self.link.send(bytes.fromhex(mac.replace(":", "")) + frame[6:])
            return
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((target, frame))
        if target not in self._asked:
            self._ask(target, now)

    def _ask(self, target: str, now: int) -> None:
        self._asked[target] = now
        if self.link.is_loopback:
            # Nobody asks on a loopback: all that is sent there comes back to this host's kernel.
            self._learn(target, "00:00:00:00:00:00", now)
        else:
            self.link.send(ask(target, self.own.address, self.own.mac))

    def _learn(self, address: str, mac: str, now: int) -> None:
        if address not in self._known and len(self._known) >= MOST_NEIGHBOURS:
            return
        self._known[address] = mac
        self._asked.pop(address, None)
        ready = [frame for target, frame in self._waiting if target == address]
        self._waiting = [each for each in self._waiting if each[0] != address]
        for frame in ready:
            self.transmit(frame, address, now)

    def poll(self, now: int) -> Iterator[Heard]:
        """Take what has come: answer who asks for this host, and give the TCP segments that are for it."""
        for target, asked in list(self._asked.items()):
            if now >= asked + ASK_EVERY:
                self._ask(target, now)
        while True:
            arrived = self.link.receive()
            if arrived is None:
                return
            heard = self._take(arrived.data, now)
            if heard is not None:
                yield heard

    def _take(self, data: bytes, now: int) -> Heard | None:
        reply = answer(data, self.own.address, self.own.mac)
        if reply is not None:
            self.link.send(reply)
        where = learned(data)
        if where is not None and (where[0] in self._asked or where[0] in self._known or reply is not None):
            self._learn(*where, now)
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
        return Heard(Host(source, seg.sport, mac=mac), segment_of(data, seg), data)


def segment_of(data: bytes, seg: Seen) -> Segment:
    """What a frame shows as the segment that its sender meant. Bits that nobody has given a meaning are left out."""
    header = data[seg.tcp_at + 20 : seg.tcp_at + seg.doff]
    payload = data[seg.data_at : seg.data_at + seg.data_len]
    return Segment(seg.seq, seg.ack, seg.ctl & 0xFFF, seg.win, payload, unpack(header), seg.urg, seg.ecn)
