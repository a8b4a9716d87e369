"""A packet socket on one interface: it sends and receives raw Ethernet frames.

The socket is opened for no protocol, configured, and then bound, so that it never receives frames of another interface and
misses none of its own. Its buffer is large, because a small one silently drops frames; dropped frames are counted.
"""

import errno
import socket
import struct
import time
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple

from labkit.errors import LinkError
from labkit.i18n import _, printable, reason_of
from labkit.live import ethtool
from labkit.live.guard import Guard
from labkit.packet.linktype import ETHERNET, RAW

SOL_PACKET, PACKET_STATISTICS, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 6, 8, 23
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
ALL_PROTOCOLS = 3
ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE = 1, 772, 0xFFFE

CHECKSUM_MISSING, TAG_VALID, TAG_TYPE_VALID = 1 << 3, 1 << 4, 1 << 6
"""Bits of `tp_status` (linux/if_packet.h)."""

AUXDATA = struct.Struct("@IIIHHHH")
BUFFER = 16 << 20
MAX_FRAME_OCTETS = 70_000
"""The largest frame: one before segmentation by hardware."""

TIMESPEC = struct.Struct("@qq")
FULL = {errno.ENOBUFS, errno.EAGAIN}


class Arrived(NamedTuple):
    """A frame that a link received."""

    time: int
    """The kernel's timestamp, in nanoseconds since 1970-01-01."""
    data: bytes
    partial: bool
    """Whether its checksum is unfinished, because the sender left it to hardware."""


def _unavailable(error: OSError) -> str:
    if error.errno == errno.EAFNOSUPPORT:
        return _("this kernel has no packet sockets (CONFIG_PACKET): sudo modprobe af_packet")
    return _(
        "a packet socket needs the capability CAP_NET_RAW ({reason}): run it with sudo, or without root: "
        "labkit lab exec -- COMMAND"
    ).format(reason=reason_of(error))


class Link(AbstractContextManager["Link"]):
    """A packet socket on an interface of the current namespace; a context manager.

    `outgoing`: whether it also receives frames that this host sends through other sockets. Without a guard it cannot send.
    LinkError if the interface does not exist, the guard refuses it, or the system does.
    """

    def __init__(self, interface: str, guard: Guard | None, *, outgoing: bool = False) -> None:
        self.interface = interface
        self._guard = guard
        if guard is not None:
            guard.check_interface(interface)
        self._lost = 0
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except OSError as error:
            raise LinkError(_unavailable(error)) from error
        try:
            self._set_up(outgoing)
        except OSError as error:
            self._socket.close()
            raise self._failed(error) from error
        kind = self._socket.getsockname()[3]
        self.is_loopback = kind == ARPHRD_LOOPBACK
        """Whether sent frames come back to this host."""
        self.linktype = RAW if kind == ARPHRD_NONE else ETHERNET
        """What its frames begin with: an Ethernet header, or the IP header as on a tun device."""
        # labkit builds Ethernet frames, so a tun device only receives.
        if kind not in (ARPHRD_ETHER, ARPHRD_LOOPBACK) and (guard is not None or kind != ARPHRD_NONE):
            self._socket.close()
            raise LinkError(_("{interface}: not an Ethernet interface").format(interface=printable(interface)))

    def _set_up(self, outgoing: bool) -> None:
        new = self._socket
        new.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        new.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if not outgoing:
            new.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        try:
            new.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        new.setblocking(False)
        new.bind((self.interface, ALL_PROTOCOLS))

    def fileno(self) -> int:
        """The descriptor for `select`."""
        return self._socket.fileno()

    def check_address(self, address: str) -> None:
        """LinkError if the guard does not allow an address."""
        if self._guard is not None:
            self._guard.check_addresses([address])

    def send(self, octets: bytes) -> None:
        """Send a frame. LinkError if the guard or the system refuses."""
        if self._guard is None:
            raise LinkError(_("{interface}: this link only receives").format(interface=printable(self.interface)))
        self._guard.count_packet()
        while True:
            try:
                self._socket.send(octets)
            except OSError as error:
                if error.errno not in FULL:
                    raise self._failed(error) from error
                time.sleep(0.0001)
            else:
                return

    def receive(self) -> Arrived | None:
        """The next received frame; None if there is none. LinkError if the interface is gone."""
        try:
            data, extra, _flags, _address = self._socket.recvmsg(MAX_FRAME_OCTETS, 256)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._failed(error) from error
        stamp, status = 0, 0
        for level, kind, octets in extra:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, rest = TIMESPEC.unpack_from(octets)
                stamp = seconds * 1_000_000_000 + rest
            elif level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _length, _kept, _mac, _net, tag, type_ = AUXDATA.unpack_from(octets)
                if status & TAG_VALID:
                    type_ = type_ if status & TAG_TYPE_VALID else 0x8100
                    data = data[:12] + struct.pack("!HH", type_, tag) + data[12:]
        return Arrived(stamp or time.time_ns(), data, bool(status & CHECKSUM_MISSING))

    def lost(self) -> int:
        """The number of frames dropped for lack of buffer space since the socket was opened."""
        with suppress(OSError):
            # Reading the kernel's counters resets them.
            _seen, lost = struct.unpack("@II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self._lost += lost
        return self._lost

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _failed(self, error: OSError) -> LinkError:
        reasons = {
            errno.EMSGSIZE: _("a frame exceeds the interface's MTU ('--mtu' makes a lab with a larger one)"),
            errno.ENETDOWN: _("the interface is down"),
            errno.ENXIO: _("the interface was removed during the run"),
            errno.ENODEV: _("there is no such interface"),
        }
        number = error.errno or 0
        if number == errno.ENETDOWN and ethtool.was_removed(self.interface, self._socket):
            number = errno.ENXIO
        reason = reasons.get(number) or _(error.strerror or "")
        return LinkError(_("{interface}: {reason}").format(interface=printable(self.interface), reason=reason))
