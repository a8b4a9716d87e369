"""Query and set interface properties by ioctl: driver, flags, MTU and offloads (ethtool(8)). No external program is needed."""

import ctypes
import errno
import fcntl
import socket
import struct

from labkit.errors import LinkError
from labkit.i18n import _, printable, reason_of

SIOCETHTOOL = 0x8946
GET_DRIVER, GET_TX_CHECKSUMS = 0x03, 0x16
SET_OFFLOADS = {"rx checksums": 0x15, "tx checksums": 0x17, "TSO": 0x1F, "GSO": 0x24, "GRO": 0x2C}
"""The commands that switch an offload (linux/ethtool.h)."""

SIOCGIFFLAGS, SIOCGIFMTU = 0x8913, 0x8921
IFF_LOOPBACK, IFF_RUNNING = 0x8, 0x40


def _ioctl(interface: str, request: int, buffer: bytearray | None = None) -> bytes:
    """Call an ioctl for an interface of the current namespace and return the answer. LinkError if it fails."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as request_socket:
        try:
            return _ioctl_on(request_socket, interface, request, buffer)
        except OSError as error:
            text = _("{interface}: {reason}")
            raise LinkError(text.format(interface=printable(interface), reason=reason_of(error))) from error


def _ioctl_on(request_socket: socket.socket, interface: str, request: int, buffer: bytearray | None) -> bytes:
    name = interface.encode()[:15].ljust(16, b"\0")
    if buffer is None:
        return fcntl.ioctl(request_socket, request, name + bytes(24))[16:]
    pointer = ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))
    fcntl.ioctl(request_socket, request, name + struct.pack("@P", pointer) + bytes(16))
    return bytes(buffer)


def was_removed(interface: str, link: socket.socket) -> bool:
    """Whether the interface of a socket is gone. SIOCETHTOOL waits for the end of a removal that has begun."""
    try:
        _ioctl_on(link, interface, SIOCETHTOOL, bytearray(struct.pack("@II", GET_TX_CHECKSUMS, 0)))
    except OSError as error:
        return error.errno == errno.ENODEV
    return False


def driver(interface: str) -> str:
    """The driver's name, such as `veth`; empty if the driver does not report it. LinkError: no such interface."""
    is_loopback(interface)
    answer = bytearray(struct.pack("@I", GET_DRIVER) + bytes(192))
    try:
        return _ioctl(interface, SIOCETHTOOL, answer)[4:36].split(b"\0")[0].decode("ascii", "replace")
    except LinkError:
        return ""


def is_loopback(interface: str) -> bool:
    """Whether it is a loopback interface. LinkError: no such interface."""
    return bool(_flags(interface) & IFF_LOOPBACK)


def is_running(interface: str) -> bool:
    """Whether it can carry frames. LinkError: no such interface."""
    return bool(_flags(interface) & IFF_RUNNING)


def _flags(interface: str) -> int:
    found: int = struct.unpack_from("@H", _ioctl(interface, SIOCGIFFLAGS))[0]
    return found


def mtu(interface: str) -> int:
    """The interface's MTU in octets. LinkError: no such interface."""
    found: int = struct.unpack_from("@i", _ioctl(interface, SIOCGIFMTU))[0]
    return found


def offloads_checksums(interface: str) -> bool:
    """Whether the interface leaves checksums of outgoing packets to hardware."""
    answer = bytearray(struct.pack("@II", GET_TX_CHECKSUMS, 0))
    return bool(struct.unpack_from("@I", _ioctl(interface, SIOCETHTOOL, answer), 4)[0])


def disable_offloads(interface: str) -> None:
    """Make the kernel compute checksums and cut segments itself, so that a capture shows what a wire would carry."""
    for command in SET_OFFLOADS.values():
        _ioctl(interface, SIOCETHTOOL, bytearray(struct.pack("@II", command, 0)))
