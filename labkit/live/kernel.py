"""The kernel's end of a live conversation: a socket that does the steps of a scenario.

Labkit configures the kernel like the scenario's side, as far as Linux allows. `TCP_INFO` reports the connection's state.
"""

import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from labkit.build.scenario.model import ScenarioModel, Side
from labkit.build.scenario.setup import Parts
from labkit.errors import LinkError, UsageError
from labkit.i18n import _, reason_of
from labkit.live.lab import Lab
from labkit.live.wiring import KERNELS, ip, set_sysctls
from labkit.packet.scapy_build import Host
from labkit.tcp import stacks
from labkit.tcp.state import State

STATES = {
    1: State.ESTABLISHED,
    2: State.SYN_SENT,
    3: State.SYN_RECEIVED,
    4: State.FIN_WAIT_1,
    5: State.FIN_WAIT_2,
    6: State.TIME_WAIT,
    7: State.CLOSED,
    8: State.CLOSE_WAIT,
    9: State.LAST_ACK,
    10: State.LISTEN,
    11: State.CLOSING,
    12: State.SYN_RECEIVED,
}
"""The states by the kernel's numbers (net/tcp_states.h)."""

FIONREAD, SIOCOUTQ = 0x541B, 0x5411
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, REPAIR_OFF, SEND_QUEUE = 19, 20, 21, -1, 2
POLLRDHUP = 0x2000
READ_OCTETS = 65_536
"""Octets that the application reads or writes at a time."""
IN_PROGRESS = {errno.EINPROGRESS, errno.EAGAIN}
CONNECTION_LOST = {errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET, errno.ECONNREFUSED, errno.ETIMEDOUT}
CLASSIC = {
    # Detect losses as in RFC 5681 and 6675, not by the time at which segments were sent (RFC 8985).
    "net/ipv4/tcp_recovery": "0",
    "net/ipv4/tcp_early_retrans": "0",
    "net/ipv4/tcp_frto": "0",
    # Acknowledge each out-of-order segment (RFC 5681 section 4.2).
    "net/ipv4/tcp_comp_sack_nr": "0",
}


def is_native(given: Side) -> bool:
    """Whether a side wants the kernel as it is: its stack is a Linux."""
    return stacks.load(given.stack).family == "Linux"


def configure_kernel(lab: Lab, side: str, model: ScenarioModel) -> None:
    """Configure the kernel of an end like the scenario's side."""
    given: Side = getattr(model, side)
    settings = ({} if is_native(given) else CLASSIC) | {
        "net/ipv4/tcp_sack": str(int(given.sack)),
        "net/ipv4/tcp_timestamps": str(int(given.timestamps)),
        "net/ipv4/tcp_window_scaling": str(int(given.window_scale is not None)),
        "net/ipv4/tcp_ecn": str(int(given.ecn)),
        "net/ipv4/tcp_syncookies": "2" if given.syn_cookies else "1",
    }
    interface = KERNELS[side].interface
    timeout = "" if is_native(given) else f"rto_min {max(given.rto_min // 1_000_000, 1)}ms"
    with lab.inside(side):
        set_sysctls(settings)
        ip(
            [
                f"route replace 192.0.2.0/24 dev {interface} src {KERNELS[side].ipv4} {timeout}",
                f"route replace 2001:db8::/64 dev {interface} {timeout}",
            ]
        )


class KernelSocket:
    """A socket in the namespace of a lab's end. Call `poll` after each wait."""

    def __init__(self, lab: Lab, model: ScenarioModel, parts: Parts, side: str, own: Host, peer: Host) -> None:
        self.side, self.own, self.peer = side, own, peer
        self._lab, self._given, self._parts = lab, getattr(model, side), parts
        self._model = model
        self.serving = 0
        self.step = ""
        self.reading = True
        self.heard = 0
        self.received = bytearray()
        """The bytes that the application has read from the current connection."""
        self.offered = 0
        """Octets that the application has sent."""
        self.state = State.CLOSED
        """The state that the kernel reports."""
        self._unsent = bytearray()
        self._flags = 0
        """How the octets are sent: with MSG_MORE if the application has announced further ones."""
        self._closing = self._ended = self._failed = False
        self._socket: socket.socket | None = None
        self._listening: socket.socket | None = None
        if side == "server" and parts.listens:
            self._listening = self._open()
            self._listening.listen(16)
            self._delay_acks(self._listening)
            self.state = State.LISTEN

    def _open(self) -> socket.socket:
        """Make a socket with the scenario's options at the end's own address and port."""
        with self._lab.inside(self.side):
            made = socket.socket(socket.AF_INET6 if self.own.ip.version == 6 else socket.AF_INET)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._set_options(made)
        made.bind((self.own.address, self.own.port))
        return made

    def _set_options(self, made: socket.socket) -> None:
        given: Side = self._given
        tcp = socket.IPPROTO_TCP
        made.setsockopt(tcp, socket.TCP_NODELAY, int(not given.nagle))
        mss = given.mss or (self._model.path.mtu - (60 if self.own.ip.version == 6 else 40))
        if mss != 1500 - (60 if self.own.ip.version == 6 else 40) or not is_native(given):
            made.setsockopt(tcp, socket.TCP_MAXSEG, mss)
        if not is_native(given):
            made.setsockopt(tcp, socket.TCP_WINDOW_CLAMP, given.window)
        with suppress(OSError):
            # As a socket option, because a namespace may have no other default than what the whole system allows everybody.
            made.setsockopt(tcp, socket.TCP_CONGESTION, b"cubic" if is_native(given) else b"reno")
        if given.window < 65_535:
            # The kernel doubles this value to allow for its own overhead.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, given.window)
        if given.keep_alive is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made.setsockopt(tcp, socket.TCP_KEEPIDLE, max(given.keep_alive // 1_000_000_000, 1))
            made.setsockopt(tcp, socket.TCP_KEEPINTVL, max(given.keep_alive_interval // 1_000_000_000, 1))
            made.setsockopt(tcp, socket.TCP_KEEPCNT, given.keep_alive_probes)

    # What the steps ask.

    @property
    def connected(self) -> bool:
        """Whether the handshake is complete."""
        return self._socket is not None and self.state not in {State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED}

    @property
    def delivered(self) -> int:
        """Octets that TCP has delivered to the application."""
        return len(self.received) + self._ioctl(FIONREAD)

    @property
    def peer_closed(self) -> bool:
        """Whether the peer's FIN has arrived, or the connection is gone."""
        return self._ended or self.gone

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or it has ended."""
        return self._failed or (self.state is State.CLOSED and self._socket is not None)

    @property
    def acknowledged(self) -> int:
        """Octets that the peer has acknowledged."""
        return max(self.offered - len(self._unsent) - self._ioctl(SIOCOUTQ), 0)

    def knows(self, octets: int) -> bool:
        """Whether the peer has acknowledged this many octets."""
        return self.acknowledged >= octets

    def serves(self, connection: int) -> bool:
        """Whether a connection is the current one."""
        return self.serving == connection and self._socket is not None

    def _ioctl(self, request: int) -> int:
        if self._socket is None or self._failed:
            return 0
        found: int = struct.unpack("@i", fcntl.ioctl(self._socket, request, bytes(4)))[0]
        return found

    # The steps.

    def connect(self, connection: int, now: int) -> None:  # noqa: ARG002 - part of the protocol
        """Open a connection. LinkError if the kernel refuses."""
        with self._errors("connect"):
            self._reset()
            self.serving = connection
            if self._listening is not None:
                self._listening.close()
                self._listening = None
            self._socket = self._open()
            self._set_isn(self._socket)
            error = self._socket.connect_ex((self.peer.address, self.peer.port))
            if error not in IN_PROGRESS:
                raise OSError(error, os.strerror(error))

    def send(self, payload: bytes, now: int, *, urgent: bool = False, more: bool = False) -> None:  # noqa: ARG002 - part of the protocol
        """Send octets. UsageError without a connection, LinkError if the kernel refuses."""
        with self._errors("send"):
            connected = self._connection()
            self.offered += len(payload)
            if urgent:
                connected.send(payload, socket.MSG_OOB)
            else:
                self._unsent += payload
                self._flags = socket.MSG_MORE if more else 0
                self._write()

    def close(self, now: int) -> None:  # noqa: ARG002 - part of the protocol
        """Close the connection after the unsent octets. UsageError if there is none, LinkError if the kernel refuses."""
        with self._errors("close"):
            self._connection()
            self._closing = True
            self._write()

    def abort(self, now: int) -> None:  # noqa: ARG002 - part of the protocol
        """Reset the connection. UsageError if there is none, LinkError if the kernel refuses."""
        with self._errors("abort"):
            self._connection().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
            self._drop()

    def script(self, line: object, now: int) -> Callable[[], bool]:  # noqa: ARG002 - part of the protocol
        """UsageError: a kernel's segments follow from its state."""
        raise UsageError(_("a kernel sends no segments as written; expected a step of labkit's side"))

    def crash(self, now: int) -> None:  # noqa: ARG002 - part of the protocol
        """Forget the connection without an RST. LinkError if the kernel refuses."""
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            self._drop()

    def flush(self, now: int) -> None:  # noqa: ARG002 - part of the protocol
        """Write and read what the kernel accepts and has."""
        self.poll()

    def _connection(self) -> socket.socket:
        """The socket of the connection. UsageError if there is none."""
        if self._socket is None or self.gone:
            raise UsageError(_("the connection does not exist"))
        return self._socket

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        """Turn errors of the kernel into UsageError, if the connection is lost, or LinkError."""
        try:
            yield
        except OSError as error:
            if error.errno in CONNECTION_LOST:
                self._failed = True
                raise UsageError(reason_of(error)) from error
            text = _("the kernel refuses {verb}: {reason}")
            raise LinkError(text.format(verb=verb, reason=reason_of(error))) from error

    def _drop(self) -> None:
        assert self._socket is not None  # noqa: S101 - the caller has checked it
        self._socket.close()
        self._socket, self._failed, self.state = None, True, State.CLOSED

    def _set_isn(self, made: socket.socket) -> None:
        """Give the connection the scenario's initial sequence number, by means of TCP_REPAIR."""
        if self._given.isn is None:
            return
        isn = self._given.isn.draw(self._parts.seed, f"{self.side}.isn")
        with suppress(OSError):
            made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE)
            made.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, struct.pack("@I", isn))
            made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF)

    def _write(self) -> None:
        """Send what the kernel accepts; close when everything is sent and the application has closed."""
        if self._socket is None:
            return
        with suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent[:READ_OCTETS], self._flags)]
            if self._closing:
                self._closing = False
                self._socket.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        """Prepare for another connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._closing = self._ended = self._failed = False
        self.offered = 0
        self.received = bytearray()
        self._unsent = bytearray()
        self.reading = True
        self.state = State.CLOSED

    # The kernel's progress.

    @property
    def reads(self) -> list[socket.socket]:
        """The sockets to wait for until they are readable."""
        waits = self._socket is not None and self.reading and not self._ended and not self._failed
        return [each for each in (self._socket if waits else None, self._listening) if each is not None]

    @property
    def writes(self) -> list[socket.socket]:
        """The sockets to wait for until they are writable."""
        waits = self._unsent or self.state is State.SYN_SENT
        return [self._socket] if self._socket is not None and waits and not self._failed else []

    @property
    def quiet(self) -> bool:
        """Whether all data is sent and acknowledged."""
        return not self._unsent and self._ioctl(SIOCOUTQ) == 0

    def poll(self) -> None:
        """Accept a connection, write and read data, and update the state."""
        if self._listening is not None:
            with suppress(BlockingIOError):
                accepted, _address = self._listening.accept()
                serving = self.serving + (self._socket is not None or self._failed)
                self._reset()
                self._socket, self.serving = accepted, serving
                accepted.setblocking(False)
        if self._socket is None:
            return
        try:
            self._write()
            self._read()
        except OSError as error:
            if error.errno not in {errno.ENOTCONN, errno.EPIPE, *IN_PROGRESS}:
                self._failed = True
        self._update_state()

    def _delay_acks(self, made: socket.socket) -> None:
        """Delay acknowledgements if the scenario does. By default a new connection sends its first ones at once."""
        if self._given.delayed_ack is not None and not is_native(self._given):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    def _read(self) -> None:
        assert self._socket is not None  # noqa: S101 - the caller has checked it
        events = select.poll()
        events.register(self._socket, POLLRDHUP)
        for _descriptor, event in events.poll(0):
            if event & POLLRDHUP and not event & select.POLLERR and self._ioctl(FIONREAD) == 0:
                self._ended = self.state is not State.SYN_SENT
        with suppress(BlockingIOError):
            while self.reading and self.state is not State.SYN_SENT:
                octets = self._socket.recv(READ_OCTETS)
                if not octets:
                    self._ended = True
                    return
                self.received += octets

    def _update_state(self) -> None:
        if self._socket is None or self._failed:
            self.state = State.CLOSED
            return
        before, number = self.state, self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        self.state = STATES[number]
        if before in {State.SYN_SENT, State.SYN_RECEIVED} and self.state is State.ESTABLISHED:
            # Not earlier, because the handshake's ACK would be delayed too.
            self._delay_acks(self._socket)

    def shut_down(self) -> None:
        """Close all sockets."""
        self._reset()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
