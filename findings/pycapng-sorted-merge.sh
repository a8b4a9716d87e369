#!/bin/sh
# pycapng 0.19.7 (PyPI, October 2026): a merge that is asked to sort by time writes one file behind the other.
#
# Guess: `pycapng.merge(files, output, sort_by_timestamp=True)`, which by the header of libpcapng underneath merges in the order
# of the timestamps, does what Wireshark's mergecap does. Seen: the argument is taken and changes nothing; the output is
# the same to the octet. It is no question of units, of byte order or of packets that were out of order before: two files
# in microseconds with one interface and one direction of a connection each, as a tap with two ports writes them, become a file
# where the server has answered and closed before the client sends its SYN, or the client is gone before the server's SYN ACK.
# Packets, times and the number that is returned are right, so that only a look at the order shows it. The module does
# know the order by time: inject_packet() puts a single packet at its place.
#
# Needs python3 with venv. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q install pycapng==0.19.7 2>/dev/null || { echo "cannot install the package" >&2; exit 4; }
env/bin/python - <<'MERGE'
import struct
import sys

import pycapng


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame(client: bool, seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    ends = [(bytes((192, 0, 2, 1)), 40000), (bytes((192, 0, 2, 2)), 80)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    options = bytes.fromhex("020405b4") if flags & 2 else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
    total = summed(source + target + struct.pack("!HH", 6, len(head)) + head)
    tcp = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
    return bytes.fromhex("00005e005302" "00005e005301" "0800") + ip + tcp


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def write(name: str, packets: list[tuple[int, bytes]]) -> None:
    with open(name, "wb") as file:
        file.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0)))
        for time, octets in packets:
            size = len(octets)
            file.write(block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, size, size) + octets))


START = 1700000000 * 10**6
sides = [
    (True, frame(True, 1000, 0, 2)),
    (False, frame(False, 5000, 1001, 18)),
    (True, frame(True, 1001, 5001, 16)),
    (True, frame(True, 1001, 5001, 24, b"q" * 100)),
    (False, frame(False, 5001, 1101, 24, b"a" * 300)),
    (True, frame(True, 1101, 5301, 16)),
    (True, frame(True, 1101, 5301, 17)),
    (False, frame(False, 5301, 1102, 17)),
    (True, frame(True, 1102, 5302, 16)),
]
packets = [(START + number * 1000, client, octets) for number, (client, octets) in enumerate(sides)]
write("client.pcapng", [(time, octets) for time, client, octets in packets if client])
write("server.pcapng", [(time, octets) for time, client, octets in packets if not client])


def merged(order: list[str], sort: bool) -> tuple[int, bytes, list[int]]:
    """The number returned, the octets of the file, and which packet of the connection stands where."""
    count = pycapng.merge(order, "merged.pcapng", sort_by_timestamp=sort)
    with open("merged.pcapng", "rb") as file:
        octets = file.read()
    seen = [(each.timestamp_ns // 1000, each.data) for each in pycapng.read_packets("merged.pcapng")]
    return count, octets, [[(time, data) for time, _, data in packets].index(each) for each in seen]


failed = False
for order, wanted in (
    (["server.pcapng", "client.pcapng"], [1, 4, 7, 0, 2, 3, 5, 6, 8]),
    (["client.pcapng", "server.pcapng"], [0, 2, 3, 5, 6, 8, 1, 4, 7]),
):
    plain, sorted_ = merged(order, False), merged(order, True)
    print(order, "sorted by time:", sorted_[0], "packets, in the order", sorted_[2], "- as without:", plain == sorted_)
    failed |= plain != sorted_ or sorted_[0] != 9 or sorted_[2] != wanted

write("hole.pcapng", [(time, octets) for number, (time, _, octets) in enumerate(packets) if number != 4])
pycapng.inject_packet("hole.pcapng", "filled.pcapng", packets[4][2], packets[4][0], 0)
filled = [each.data for each in pycapng.read_packets("filled.pcapng")] == [octets for _, _, octets in packets]
print("inject_packet() puts a packet at its place:", filled)
if failed or not filled:
    sys.exit("changed: the merge sorts, or the rest is not as described")
MERGE
