#!/bin/sh
# pmd-pytcp 0.3.8 (PyPI, October 2026): PyTCP that has closed its own direction drops, unanswered, what does not begin with the next octet.
#
# Guess: a half-closed connection (RFC 9293, 3.6) receives as it did before. PyTCP does that well: it keeps what comes behind
# a hole, answers each such segment at once with SACK blocks, and takes the new octets of a retransmission that begins with old ones.
# Seen: so it does until it has called shutdown(SHUT_WR), as a client does that has sent its request and reads on. From then on a
# segment in the window that begins anywhere but at RCV.NXT is neither kept nor answered: behind a hole of one segment come three
# more, there is no duplicate ACK and no SACK block, and once the hole is filled, they have to be sent again, all of them. And a peer that
# lost an ACK and sends what it has in one larger segment gets no answer, as often as it tries: the new octets never arrive,
# and the connection stands still. RFC 9293 wants both of a receiver in FIN-WAIT-1 and FIN-WAIT-2 as in ESTABLISHED (3.10.7.4).
# In ESTABLISHED, too, this befalls the larger segment if it has the FIN.
#
# Needs python3 (3.9 or later) with venv. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q install pmd-pytcp==0.3.8 2>/dev/null || { echo "cannot install the package" >&2; exit 4; }
timeout 120 env/bin/python - <<'TALK'
import asyncio
import socket as host
import struct
import sys

from pmd_net_addr import Ip4IfAddr
from pmd_pytcp import socket, stack
from pmd_pytcp.lib.interface_layer import InterfaceLayer

PYTCP, PEER = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
TUN = bytes((0, 0, 8, 0))  # what stands before each packet on a TUN device: this one is a pair of sockets
FIN, SYN, ACK = 1, 2, 16
ISN = 1000
wire, device = host.socketpair(host.AF_UNIX, host.SOCK_DGRAM)
for end in (wire, device):
    end.setblocking(False)


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def send(port: int, seq: int, ack: int, flags: int, data: bytes = b"") -> None:
    options = bytes.fromhex("020405b404020101") if flags & SYN else b""  # MSS 1460, SACK permitted
    tcp = struct.pack("!HHIIBBHHH", port, 80, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
    tcp = tcp[:16] + struct.pack("!H", summed(PEER + PYTCP + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + PEER + PYTCP
    wire.send(TUN + ip[:10] + struct.pack("!H", summed(ip)) + ip[12:] + tcp)


async def answers() -> list[tuple[int, int, int, bool]]:
    """What PyTCP sends within 0.3 s, longer than it delays an ACK: seq, ack, flags and whether there are SACK blocks."""
    await asyncio.sleep(0.3)
    seen = []
    while True:
        try:
            packet = wire.recv(65536)[len(TUN) :]
        except BlockingIOError:
            return seen
        if packet[0] >> 4 == 4 and packet[9] == 6:
            seq, ack, offset, flags = struct.unpack("!IIBB", packet[24:34])
            seen.append((seq, ack, flags, 5 in packet[40 : 20 + (offset >> 4) * 4]))


async def talk(port: int, half: bool, segments: list[tuple[int, int, int]]) -> str:
    """The octets that the program of PyTCP has got, and how each segment (from, to, flags) was answered."""
    send(port, ISN, 0, SYN)
    theirs = (await answers())[0][0] + 1
    send(port, ISN + 1, theirs, ACK)
    connection, _ = await listening.accept(timeout=5)
    if half:
        connection.shutdown(socket.SHUT_WR)
        assert (await answers())[-1][2] & FIN, "PyTCP has not sent its FIN"
        theirs += 1
        send(port, ISN + 1, theirs, ACK)
    said = []
    for first, end, flags in segments:
        send(port, ISN + 1 + first, theirs, ACK | flags, b"x" * (end - first))
        replies = await answers()
        said.append(" ".join(f"{ack - ISN - 1}{' SACK' if sack else ''}" for _, ack, _, sack in replies) or "-")
    got = 0
    try:
        while octets := await connection.recv(timeout=0.5):
            got += len(octets)
    except TimeoutError:
        pass
    return f"{got} octets; {', '.join(said)}"


CASES = [
    ("in order", False, [(0, 100, 0), (100, 200, 0)], "200 octets; 100, 200"),
    ("in order", True, [(0, 100, 0), (100, 200, 0)], "200 octets; 100, 200"),
    (
        "a hole, filled at last",
        False,
        [(0, 100, 0), (200, 300, 0), (300, 400, 0), (400, 500, 0), (100, 200, 0)],
        "500 octets; 100, 100 SACK, 100 SACK, 100 SACK, 300 SACK 500",
    ),
    (
        "a hole, filled at last",
        True,
        [(0, 100, 0), (200, 300, 0), (300, 400, 0), (400, 500, 0), (100, 200, 0)],
        "200 octets; 100, -, -, -, 200",
    ),
    ("100, then all 200", False, [(0, 100, 0), (0, 200, 0)], "200 octets; 100, 200 SACK"),
    ("100, then all 200, three times", True, [(0, 100, 0)] + [(0, 200, 0)] * 3, "100 octets; 100, -, -, -"),
    ("100, then all 200 with FIN, three times", False, [(0, 100, 0)] + [(0, 200, FIN)] * 3, "100 octets; 100, -, -, -"),
]


async def main() -> bool:
    global listening
    address = Ip4IfAddr("192.0.2.1/24")
    stack.init(fd=device.fileno(), layer=InterfaceLayer.L3, ip4_host=address, ip4_dhcp=False, ip6_support=False)
    await stack.start()
    await asyncio.sleep(1)  # until it has the address
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("192.0.2.1", 80))
    listening.listen()
    same = True
    for port, (name, half, segments, expected) in enumerate(CASES, 40000):
        seen = await talk(port, half, segments)
        print(f"{'half-closed' if half else 'open'}, {name}: {seen}")
        same &= seen == expected
    await stack.stop()
    return same


print("the octets that arrived, and the acknowledgment of each segment, from the first octet on ('-': no answer)")
if not asyncio.run(main()):
    sys.exit("changed: it is not as described")
TALK
