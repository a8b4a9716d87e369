"""A packet socket on one interface: frames go out and come in as they are.

It is opened deaf, set up, and only then bound, so that it never hears another interface, and hears everything from then
on. Its buffer is large: a small one loses frames without a word. What it loses nevertheless is counted.
"""

import errno
import socket
import struct
import time
from contextlib import suppress
from typing import NamedTuple

from labkit.errors import LinkError
from labkit.i18n import _, printable
from labkit.live.guard import Guard

SOL_PACKET, PACKET_STATISTICS, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 6, 8, 23
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
ALL_PROTOCOLS = 3
LOOPBACK_TYPE = 772
"""ARPHRD_LOOPBACK; its frames look like Ethernet's, of type 1."""

CHECKSUM_MISSING, TAG_VALID, TAG_TYPE_VALID = 1 << 3, 1 << 4, 1 << 6
"""Bits of `tp_status` (linux/if_packet.h)."""

AUXDATA = struct.Struct("@IIIHHHH")
BUFFER = 16 << 20
LARGEST = 70_000
"""Octets of the largest frame: one before segmentation by hardware."""

STAMP = struct.Struct("@qq")
FULL = {errno.ENOBUFS, errno.EAGAIN}


class Arrived(NamedTuple):
    """A frame that was seen on a link."""

    time: int
    """Nanoseconds since 1970-01-01, by the kernel."""
    data: bytes
    outgoing: bool
    """Whether this host has sent it."""
    partial: bool
    """Whether its checksum is still to be finished, by hardware that there may not be."""


def _unavailable(error: OSError) -> str:
    """Why there is no packet socket, and how to get one."""
    if error.errno == errno.EAFNOSUPPORT:
        return _("this kernel has no packet sockets (CONFIG_PACKET): sudo modprobe af_packet")
    return _(
        "a packet socket needs the capability CAP_NET_RAW ({reason}): run it with sudo, or in a lab of one's own: "
        "labkit lab exec -- COMMAND"
    ).format(reason=error.strerror)


class Link:
    """A packet socket on an interface of the namespace in which it is made; a context manager.

    `outgoing`: whether it also hears what this host sends itself, though never what it has sent. LinkError where there
    is no such interface, where the guard refuses it, and where the system does not let it be.
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
        self.is_loopback = kind == LOOPBACK_TYPE
        """Whether what is sent comes back, to this host."""
        if kind not in (1, LOOPBACK_TYPE):
            self._socket.close()
            raise LinkError(_("{interface}: is no Ethernet").format(interface=printable(interface)))

    def _set_up(self, outgoing: bool) -> None:
        known = self._socket
        known.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        known.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if not outgoing:
            known.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        try:
            known.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            known.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        known.setblocking(False)
        known.bind((self.interface, ALL_PROTOCOLS))

    def fileno(self) -> int:
        """For `select`: readable when a frame has come."""
        return self._socket.fileno()

    def permit(self, address: str) -> None:
        """LinkError where the guard lets nothing be sent to an address."""
        if self._guard is not None:
            self._guard.check_addresses([address])

    def send(self, octets: bytes) -> None:
        """Transmit a frame. LinkError where the guard or the system refuses, or there is no guard."""
        if self._guard is None:
            raise LinkError(_("{interface}: is only listened to").format(interface=printable(self.interface)))
        self._guard.take()
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
        """The next frame that has come; None where none has. LinkError where the interface has gone."""
        try:
            data, extra, _flags, address = self._socket.recvmsg(LARGEST, 256)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._failed(error) from error
        stamp, status = 0, 0
        for level, kind, octets in extra:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, rest = STAMP.unpack_from(octets)
                stamp = seconds * 1_000_000_000 + rest
            elif level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _length, _kept, _mac, _net, tag, type_ = AUXDATA.unpack_from(octets)
                if status & TAG_VALID:
                    type_ = type_ if status & TAG_TYPE_VALID else 0x8100
                    data = data[:12] + struct.pack("!HH", type_, tag) + data[12:]
        return Arrived(stamp or time.time_ns(), data, address[2] == 4, bool(status & CHECKSUM_MISSING))

    def lost(self) -> int:
        """How many frames have come for which there was no room, since the socket was opened."""
        with suppress(OSError):
            # Asking sets the kernel's counters back.
            _seen, lost = struct.unpack("@II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self._lost += lost
        return self._lost

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _failed(self, error: OSError) -> LinkError:
        reasons = {
            errno.EMSGSIZE: _(
                "a frame is larger than the interface's MTU takes ('--mtu' makes a lab with a larger one)"
            ),
            errno.ENETDOWN: _("the interface is down"),
            errno.ENXIO: _("the interface is gone"),
            errno.ENODEV: _("there is no such interface"),
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        return LinkError(_("{interface}: {reason}").format(interface=printable(self.interface), reason=reason))
