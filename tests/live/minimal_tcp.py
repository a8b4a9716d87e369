"""A minimal TCP of a student: client or server over a tun device or a raw socket, with faults that can be switched on.

It runs as a program of its own, with nothing but Python: `python3 minimal_tcp.py [FAULT]`. Its environment says what to do.
"""

import fcntl
import os
import random
import select
import socket
import struct
import sys
import time

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MSS, TIMEOUT = 1000, 0.25

FAULTS = (
    "syn-not-counted",
    "no-retransmission",
    "ignores-window",
    "wrong-checksum",
    "fin-not-acknowledged",
    "acknowledges-unsent-data",
    "no-answer-to-retransmission",
    "reset-instead-of-close",
)
OTHER_TROUBLE = ("crash", "hang", "silent", "flood", "noisy", "children", "garbage", "abort")

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
SIX = ":" in os.environ.get("LABKIT_ADDRESS", "")


def told(name: str) -> str:
    return os.environ[f"LABKIT_{name}"]


def ones_sum(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(octets) + 1) // 2}H", octets + bytes(len(octets) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def address(name: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if SIX else socket.AF_INET, told(name))


def ip_header(source: bytes, target: bytes, length: int) -> bytes:
    """The IP header before this number of octets of TCP."""
    if SIX:
        return struct.pack("!IHBB", 6 << 28, length, 6, 64) + source + target
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, 6, 0) + source + target
    return ip[:10] + struct.pack("!H", 0xFFFF - ones_sum(ip)) + ip[12:]


class Tun:
    """IP packets through the tun device that labkit made."""

    def __init__(self) -> None:
        self.file = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.file, 0x400454CA, struct.pack("16sH22x", told("INTERFACE").encode(), 0x1001))

    def fileno(self) -> int:
        return self.file

    def read(self) -> bytes:
        return os.read(self.file, 65536)

    def write(self, packet: bytes) -> None:
        os.write(self.file, packet)


class Raw:
    """IP packets through a raw socket."""

    def __init__(self) -> None:
        family = socket.AF_INET6 if SIX else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        level, option = (socket.IPPROTO_IPV6, 36) if SIX else (socket.IPPROTO_IP, socket.IP_HDRINCL)
        self.socket.setsockopt(level, option, 1)  # it writes the IP header itself

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> bytes:
        packet, sender = self.socket.recvfrom(65536)
        # Of IPv6, the kernel gives no header.
        return (
            ip_header(socket.inet_pton(socket.AF_INET6, sender[0]), bytes(16), len(packet)) + packet if SIX else packet
        )

    def write(self, packet: bytes) -> None:
        self.socket.sendto(packet, (told("PEER_ADDRESS"), 0))


class Connection:
    def __init__(self) -> None:
        self.link = Tun() if told("LINK") == "tun" else Raw()
        self.own = address("ADDRESS")
        self.peer = address("PEER_ADDRESS")
        self.ports = int(told("PORT")), int(told("PEER_PORT"))
        self.isn = random.Random(int(told("SEED"))).randrange(1 << 32)
        self.una = self.nxt = 0  # offsets from the ISN: 0 is the SYN
        self.rcv = 0  # raw; the next octet from the peer
        self.window = MSS
        self.data = b"x" * int(told("SEND"))
        self.wanted, self.got = int(told("RECEIVE")), 0
        self.established = self.peer_fin = self.fin_allowed = False
        self.sent_at = 0.0
        self.done_at: float | None = None
        self.server = told("SIDE") == "server"
        self.listening = self.server

    # Sending.

    def segment(self, bits: int, offset: int, data: bytes = b"") -> None:
        seq = (self.isn + offset) & 0xFFFFFFFF
        if FAULT == "syn-not-counted" and not bits & SYN:
            seq = (seq - 1) & 0xFFFFFFFF
        ack = self.rcv if bits & ACK else 0
        if FAULT == "acknowledges-unsent-data" and self.got:
            ack = (ack + 500) & 0xFFFFFFFF
        options = struct.pack("!BBH", 2, 4, MSS) if bits & SYN else b""
        head = struct.pack("!HHIIBBHHH", *self.ports, seq, ack, (20 + len(options)) << 2, bits, 8000, 0, 0) + options
        pseudo = self.own + self.peer + struct.pack("!II", len(head) + len(data), 6)  # the sum is that of IPv4, too
        total = 0xFFFF - ones_sum(pseudo + head + data)
        if FAULT == "wrong-checksum" and data:
            total ^= 0x1234
        head = head[:16] + struct.pack("!H", total) + head[18:]
        self.link.write(ip_header(self.own, self.peer, len(head) + len(data)) + head + data)

    def end(self) -> int:
        """The offset behind all that may be sent: SYN, data, and FIN."""
        if not self.established:
            return 1
        ready = len(self.data) if not self.server or self.got >= self.wanted else 0
        return 1 + ready + (1 if self.fin_allowed else 0)

    def send(self) -> None:
        """Send what is new and fits the window."""
        limit = self.una + self.window if FAULT != "ignores-window" else 1 << 30
        while self.nxt < self.end() and (self.nxt < limit or self.nxt == 0):
            self.nxt += self.send_at(self.nxt, limit)
            self.sent_at = time.monotonic()

    def send_at(self, offset: int, limit: int) -> int:
        if offset == 0:
            self.segment(SYN | ACK if self.server else SYN, 0)
            return 1
        data = self.data[offset - 1 : min(offset - 1 + MSS, limit - 1)]
        if data:
            self.segment(ACK | PSH, offset, data)
            return len(data)
        self.segment(RST if FAULT == "reset-instead-of-close" else FIN | ACK, offset)
        if FAULT == "reset-instead-of-close":
            sys.exit(0)
        return 1

    def timeout(self) -> None:
        """Send the oldest unacknowledged segment again, or probe a closed window."""
        if time.monotonic() < self.sent_at + TIMEOUT or FAULT == "no-retransmission":
            return
        if self.una < self.nxt:
            self.send_at(self.una, min(self.nxt, self.una + MSS))
            self.sent_at = time.monotonic()
        elif self.nxt < self.end() and not self.window:
            self.nxt += self.send_at(self.nxt, self.nxt + 1)
            self.sent_at = time.monotonic()

    # Receiving.

    def receive(self, packet: bytes) -> None:  # noqa: C901 - the arrival of a segment is one function in RFC 9293, too
        protocol, start, length = (packet[6], 8, 40) if SIX else (packet[9], 12, (packet[0] & 15) * 4)
        if packet[0] >> 4 != (6 if SIX else 4) or protocol != 6 or not packet[start:].startswith(self.peer):
            return
        tcp = packet[length:]
        sport, dport, seq, ack, doff, bits, window = struct.unpack("!HHIIBBH", tcp[:16])
        if dport != self.ports[0] or (sport != self.ports[1] and not self.listening):
            return
        data = tcp[(doff >> 4) * 4 :]
        if bits & RST:
            sys.exit(1)
        if bits & SYN:
            if self.listening:
                self.listening = False
                self.ports = self.ports[0], sport
            first = not self.rcv
            self.rcv = (seq + 1) & 0xFFFFFFFF
            if self.server:
                if first:
                    self.send()
                else:
                    self.segment(SYN | ACK, 0)
                return
        if bits & ACK:
            acked = (ack - self.isn) & 0xFFFFFFFF
            if FAULT == "syn-not-counted":
                acked += self.established
            if self.una < acked <= self.nxt:
                self.una = acked
                self.sent_at = time.monotonic()
            self.window = window
            if self.una and not self.established:
                self.established = True
        if (data or bits & FIN) and self.established:
            self.take(seq, data, bits)
        elif bits & SYN and self.established:
            self.segment(ACK, self.nxt)

    def take(self, seq: int, data: bytes, bits: int) -> None:
        new = seq == self.rcv
        if new:
            self.rcv = (self.rcv + len(data)) & 0xFFFFFFFF
            self.got += len(data)
            if bits & FIN:
                self.peer_fin = True
                if FAULT != "fin-not-acknowledged":
                    self.rcv = (self.rcv + 1) & 0xFFFFFFFF
        elif FAULT == "no-answer-to-retransmission":
            return
        if self.peer_fin and FAULT == "fin-not-acknowledged":
            return
        self.segment(ACK, self.nxt)

    def run(self) -> None:
        if not self.server:
            self.send()
        while True:
            ready, _none, _never = select.select([self.link], [], [], 0.05)
            if ready:
                self.receive(self.link.read())
            if self.server:
                self.fin_allowed = self.peer_fin
            else:
                self.fin_allowed = self.got >= self.wanted
            if self.rcv or not self.server:
                self.timeout()
                self.send()
            if self.peer_fin and self.fin_allowed and self.una == self.end():
                self.done_at = self.done_at or time.monotonic()
                if time.monotonic() > self.done_at + 1:
                    return


def trouble() -> None:
    if FAULT == "crash":
        raise SystemExit("no such thing as a TCP")
    if FAULT == "abort":
        os.abort()
    if FAULT in ("hang", "silent"):
        time.sleep(60)
    if FAULT == "noisy":
        while True:
            os.write(1, b"y" * 65536)
    if FAULT == "children":
        for _ in range(5):
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
                return
        sys.exit(3)
    link = Tun() if told("LINK") == "tun" else Raw()
    while FAULT == "flood":
        link.write(ip_header(address("ADDRESS"), bytes(4), 20) + bytes(20))
    for _ in range(200):
        link.write(b"\x45" + os.urandom(random.randrange(1, 1400)))


if __name__ == "__main__":
    trouble() if FAULT in OTHER_TROUBLE else Connection().run()
