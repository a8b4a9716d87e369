"""An end that is the kernel's own TCP: a socket that does the steps of a scenario.

The kernel is set as the scenario has it where it lets itself be set. What `TCP_INFO` says of the connection is what the
kernel itself believes.
"""

import errno
import fcntl
import os
import select
import socket
import struct
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from labkit.build.scenario.model import ScenarioModel, Side
from labkit.build.scenario.setup import Parts, Plan
from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.lab import Lab
from labkit.live.wiring import KERNELS, ip
from labkit.packet.scapy_build import Host
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
"""The kernel's numbers of the states (net/tcp_states.h)."""

FIONREAD, SIOCOUTQ = 0x541B, 0x5411
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, REPAIR_OFF, SEND_QUEUE = 19, 20, 21, -1, 2
POLLRDHUP = 0x2000
ONCE = 65_536
"""Octets that are read at a time."""
BEGUN = {errno.EINPROGRESS, errno.EAGAIN}
CLASSIC = {
    # Losses are found as RFC 5681 and 6675 have it, not by the time at which segments were sent (RFC 8985).
    "net/ipv4/tcp_recovery": "0",
    "net/ipv4/tcp_early_retrans": "0",
    "net/ipv4/tcp_frto": "0",
    # Each segment out of order is acknowledged (RFC 5681 section 4.2), not several of them together.
    "net/ipv4/tcp_comp_sack_nr": "0",
}


def settle(lab: Lab, side: str, model: ScenarioModel) -> None:
    """Set the kernel of an end as the scenario has its side."""
    given: Side = getattr(model, side)
    wanted = CLASSIC | {
        "net/ipv4/tcp_sack": str(int(given.sack)),
        "net/ipv4/tcp_timestamps": str(int(given.timestamps)),
        "net/ipv4/tcp_window_scaling": str(int(given.window_scale is not None)),
        "net/ipv4/tcp_ecn": str(int(given.ecn)),
    }
    interface = KERNELS[side].interface
    timeout = f"rto_min {max(given.rto_min // 1_000_000, 1)}ms"
    with lab.inside(side):
        for name, value in wanted.items():
            with suppress(OSError):
                Path("/proc/sys", name).write_text(value, "ascii")
        ip(
            [
                f"route replace 192.0.2.0/24 dev {interface} src {KERNELS[side].ipv4} {timeout}",
                f"route replace 2001:db8::/64 dev {interface} {timeout}",
            ]
        )


class Kernel:
    """One end, played by a socket in the namespace of a lab's end. Call `look` after each wait."""

    def __init__(self, lab: Lab, model: ScenarioModel, parts: Parts, side: str, own: Host, peer: Host) -> None:
        self.side, self.own, self.peer = side, own, peer
        self._lab, self._given, self._parts = lab, getattr(model, side), parts
        self._model = model
        self.serving = 0
        self.reading = True
        self.received = bytearray()
        """What the application has read of the present connection."""
        self.offered = 0
        """Octets that the application has handed over."""
        self.state = State.CLOSED
        """What the kernel says."""
        self._unsent = bytearray()
        self._closing = self._ended = self._failed = False
        self._socket: socket.socket | None = None
        self._listening: socket.socket | None = None
        if side == "server" and parts.listens:
            self._listening = self._new()
            self._listening.listen(16)
            self._be_patient(self._listening)
            self.state = State.LISTEN

    def _new(self) -> socket.socket:
        """A socket at the end's own address and port, set as the scenario has it."""
        with self._lab.inside(self.side):
            made = socket.socket(socket.AF_INET6 if self.own.ip.version == 6 else socket.AF_INET)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._set(made)
        made.bind((self.own.address, self.own.port))
        return made

    def _set(self, made: socket.socket) -> None:
        given: Side = self._given
        tcp = socket.IPPROTO_TCP
        made.setsockopt(tcp, socket.TCP_NODELAY, int(not given.nagle))
        made.setsockopt(tcp, socket.TCP_WINDOW_CLAMP, given.window)
        mss = given.mss or (self._model.path.mtu - (60 if self.own.ip.version == 6 else 40))
        made.setsockopt(tcp, socket.TCP_MAXSEG, mss)
        with suppress(OSError):
            made.setsockopt(tcp, socket.TCP_CONGESTION, b"reno")
        if given.window < 65_535:
            # The kernel counts its own overhead as well, and takes twice what it is told.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, given.window)
        if given.keep_alive is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made.setsockopt(tcp, socket.TCP_KEEPIDLE, max(given.keep_alive // 1_000_000_000, 1))
            made.setsockopt(tcp, socket.TCP_KEEPINTVL, max(given.keep_alive_interval // 1_000_000_000, 1))
            made.setsockopt(tcp, socket.TCP_KEEPCNT, given.keep_alive_probes)

    # What the steps need to know.

    @property
    def connected(self) -> bool:
        """Whether the handshake is over."""
        return self._socket is not None and self.state not in {State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED}

    @property
    def delivered(self) -> int:
        """Octets that have become readable."""
        return len(self.received) + self._ioctl(FIONREAD)

    @property
    def heard_end(self) -> bool:
        """Whether the peer's FIN has come, or the connection is gone."""
        return self._ended or self.gone

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or none any more."""
        return self._failed or (self.state is State.CLOSED and self._socket is not None)

    def knows(self, octets: int) -> bool:
        """Whether so many octets were acknowledged."""
        return self.offered - len(self._unsent) - self._ioctl(SIOCOUTQ) >= octets

    def begins(self, plan: Plan) -> bool:
        """Whether a step belongs to the connection that it serves."""
        return plan.verb == "connect" or (self.serving == plan.connection and self._socket is not None)

    def _ioctl(self, request: int) -> int:
        if self._socket is None or self._failed:
            return 0
        found: int = struct.unpack("@i", fcntl.ioctl(self._socket, request, bytes(4)))[0]
        return found

    def inside(self) -> AbstractContextManager[None]:
        """The calling thread is where the socket is, within the block."""
        return self._lab.inside(self.side)

    # What it does.

    def do(self, plan: Plan, now: int) -> None:  # noqa: ARG002 - as its siblings
        """The application acts. LinkError where the kernel refuses."""
        try:
            match plan.verb:
                case "connect":
                    self._connect(plan)
                case "send":
                    self._send(plan)
                case "close":
                    self._closing = True
                    self._write()
                case "abort" | "crash":
                    self._vanish(silently=plan.verb == "crash")
                case "pause" | "resume":
                    self.reading = plan.verb == "resume"
        except OSError as error:
            text = _("the kernel does not {verb}: {reason}")
            raise LinkError(text.format(verb=plan.verb, reason=error.strerror)) from error
        self.look()

    def _connect(self, plan: Plan) -> None:
        self._forget()
        self.serving = plan.connection
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self._socket = self._new()
        self._number(self._socket)
        error = self._socket.connect_ex((self.peer.address, self.peer.port))
        if error not in BEGUN:
            raise OSError(error, os.strerror(error))
        if plan.octets:
            self._send(plan)

    def _number(self, made: socket.socket) -> None:
        """Give the connection the scenario's initial sequence number, where it has one: as if it were to be repaired."""
        if self._given.isn is None:
            return
        isn = self._given.isn.draw(self._parts.seed, f"{self.side}.isn")
        with suppress(OSError):
            made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE)
            made.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, struct.pack("@I", isn))
            made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF)

    def _send(self, plan: Plan) -> None:
        assert self._socket is not None  # noqa: S101 - `begins` holds it
        self.offered += plan.octets
        if plan.urgent:
            self._socket.send(plan.payload, socket.MSG_OOB)
            return
        self._unsent += plan.payload
        self._write()

    def _write(self) -> None:
        """Hand over what the kernel takes, then close where that is all."""
        if self._socket is None:
            return
        with suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent[:ONCE])]
            if self._closing:
                self._closing = False
                self._socket.shutdown(socket.SHUT_WR)

    def _vanish(self, *, silently: bool) -> None:
        """Abort the connection; `silently`: without a word to the peer, as after a crash."""
        if self._socket is None:
            return
        if silently:
            self._socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        else:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
        self._socket.close()
        self._socket, self._failed, self.state = None, True, State.CLOSED

    def _forget(self) -> None:
        """Be ready for another connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._closing = self._ended = self._failed = False
        self.offered = 0
        self.received = bytearray()
        self._unsent = bytearray()
        self.reading = True
        self.state = State.CLOSED

    # What has happened.

    @property
    def reads(self) -> list[socket.socket]:
        """The sockets that are to be waited for because something may come."""
        waits = self._socket is not None and self.reading and not self._ended and not self._failed
        return [each for each in (self._socket if waits else None, self._listening) if each is not None]

    @property
    def writes(self) -> list[socket.socket]:
        """The sockets that are to be waited for because something is to go out, or a connection is to come about."""
        waits = self._unsent or self.state is State.SYN_SENT
        return [self._socket] if self._socket is not None and waits and not self._failed else []

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way."""
        return not self._unsent and self._ioctl(SIOCOUTQ) == 0

    def look(self) -> None:
        """Take account of what the kernel has done by itself: a connection, octets, a close."""
        if self._listening is not None:
            with suppress(BlockingIOError):
                accepted, _address = self._listening.accept()
                again = self._socket is not None or self._failed
                serving = self.serving + again
                self._forget()
                self._socket, self.serving = accepted, serving
                accepted.setblocking(False)
        if self._socket is None:
            return
        try:
            self._write()
            self._read()
        except OSError as error:
            if error.errno not in {errno.ENOTCONN, errno.EPIPE, *BEGUN}:
                self._failed = True
        self._ask()

    def _be_patient(self, made: socket.socket) -> None:
        """Delay acknowledgements where the scenario does: otherwise a new connection answers at once for some time."""
        if self._given.delayed_ack is not None:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    def _read(self) -> None:
        assert self._socket is not None  # noqa: S101 - who calls has looked
        events = select.poll()
        events.register(self._socket, POLLRDHUP)
        for _descriptor, seen in events.poll(0):
            if seen & POLLRDHUP and not seen & select.POLLERR and self._ioctl(FIONREAD) == 0:
                self._ended = self.state is not State.SYN_SENT
        with suppress(BlockingIOError):
            while self.reading and self.state is not State.SYN_SENT:
                octets = self._socket.recv(ONCE)
                if not octets:
                    self._ended = True
                    return
                self.received += octets

    def _ask(self) -> None:
        """Ask the kernel for the connection's state."""
        if self._socket is None or self._failed:
            self.state = State.CLOSED
            return
        before, number = self.state, self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        self.state = STATES[number]
        if before in {State.SYN_SENT, State.SYN_RECEIVED} and self.state is State.ESTABLISHED:
            # Not before: the ACK of the handshake would wait for company too.
            self._be_patient(self._socket)

    def close(self) -> None:
        """Let go of everything."""
        self._forget()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
