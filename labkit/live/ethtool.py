"""What the driver of an interface says and does: its name, and whether it finishes checksums and segments (ethtool(8)).

The ioctl is older than any program for it, so that none is needed.
"""

import fcntl
import socket
import struct

from labkit.errors import LinkError
from labkit.i18n import _, printable

SIOCETHTOOL = 0x8946
GET_DRIVER, GET_TX_CHECKSUMS = 0x03, 0x16
SET_OFFLOADS = {"rx checksums": 0x15, "tx checksums": 0x17, "TSO": 0x1F, "GSO": 0x24, "GRO": 0x2C}
"""The commands that switch an offload (linux/ethtool.h)."""

SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFHWADDR = 0x8913, 0x8921, 0x8927
LOOPBACK, RUNNING = 0x8, 0x40
"""The flags of a loopback interface, and of one that carries frames."""


def _ioctl(interface: str, request: int, buffer: bytearray | None = None) -> bytes:
    """Ask about an interface of the present namespace; the sixteen octets or more of the answer."""
    import ctypes

    name = interface.encode()[:15].ljust(16, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            if buffer is None:
                return fcntl.ioctl(asking, request, name + bytes(24))[16:]
            held = (ctypes.c_char * len(buffer)).from_buffer(buffer)
            fcntl.ioctl(asking, request, name + struct.pack("@P", ctypes.addressof(held)) + bytes(16))
        except OSError as error:
            text = _("{interface}: {reason}")
            raise LinkError(text.format(interface=printable(interface), reason=error.strerror)) from error
        return bytes(buffer)


def driver(interface: str) -> str:
    """The name of an interface's driver, such as `veth`; empty where it does not say. LinkError: no such interface."""
    is_loopback(interface)
    answer = bytearray(struct.pack("@I", GET_DRIVER) + bytes(192))
    try:
        return _ioctl(interface, SIOCETHTOOL, answer)[4:36].split(b"\0")[0].decode("ascii", "replace")
    except LinkError:
        return ""


def is_loopback(interface: str) -> bool:
    """Whether it is a loopback interface. LinkError where there is no such interface."""
    return bool(_flags(interface) & LOOPBACK)


def is_running(interface: str) -> bool:
    """Whether it carries frames. LinkError where there is no such interface."""
    return bool(_flags(interface) & RUNNING)


def _flags(interface: str) -> int:
    found: int = struct.unpack_from("@H", _ioctl(interface, SIOCGIFFLAGS))[0]
    return found


def mtu(interface: str) -> int:
    """Octets of the largest datagram."""
    found: int = struct.unpack_from("@i", _ioctl(interface, SIOCGIFMTU))[0]
    return found


def hardware_address(interface: str) -> str:
    """The interface's own address, six octets in hexadecimal with colons."""
    return _ioctl(interface, SIOCGIFHWADDR)[2:8].hex(":")


def leaves_checksums(interface: str) -> bool:
    """Whether what it sends has its checksums still to be finished, by hardware."""
    answer = bytearray(struct.pack("@II", GET_TX_CHECKSUMS, 0))
    return bool(struct.unpack_from("@I", _ioctl(interface, SIOCETHTOOL, answer), 4)[0])


def stop_offloads(interface: str) -> None:
    """Have the kernel itself finish checksums and segments, so that a capture shows what a wire would carry."""
    for command in SET_OFFLOADS.values():
        _ioctl(interface, SIOCETHTOOL, bytearray(struct.pack("@II", command, 0)))
