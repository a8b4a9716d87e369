#!/bin/sh
# tcprewrite 4.4.3 (Debian 12): --tcp-sequence moves sequence and acknowledgment numbers, and leaves the SACK blocks where they were.
#
# Guess: whoever moves a conversation to other sequence numbers moves all fields that hold such numbers: both numbers of the header and
# the edges of the SACK blocks (RFC 2018), so that a block still names the octets that arrived behind the gap. Seen: the header's
# numbers move by the same amount in both directions, checksums are right, and the block keeps its old edges: it reports octets
# that no packet of the new file carries. The loss and its repair are still there, and the reason why the sender repeated that one
# segment alone is not. A capture without SACK shows nothing of it; there is no warning, and the exit code is 0.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download tcpreplay=4.4.3-1 libdumbnet1=1.16.3-1 >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libdumbnet.so.1' | head -n 1)")
export LD_LIBRARY_PATH
root/usr/bin/tcprewrite --version 2>&1 | sed -n 's/ (build.*//p;1q'

cat > packets.py <<'PACKETS'
import struct


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame(client: bool, seq: int, ack: int, flags: int, data: bytes = b"", options: bytes = b"") -> bytes:
    ends = [(bytes((192, 0, 2, 1)), 40000), (bytes((192, 0, 2, 2)), 80)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
    total = summed(source + target + struct.pack("!HH", 6, len(head)) + head)
    tcp = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
    return bytes.fromhex("020000000002" "020000000001" "0800") + ip + tcp


def write(name: str) -> None:
    permitted = bytes.fromhex("020405b4" "0402" "0101")
    block = bytes.fromhex("0101" "050a") + struct.pack("!II", 1201, 1301)
    data = b"x" * 100
    frames = [
        frame(True, 1000, 0, 2, b"", permitted),
        frame(False, 5000, 1001, 18, b"", permitted),
        frame(True, 1001, 5001, 16),
        frame(True, 1001, 5001, 24, data),
        frame(False, 5001, 1101, 16),
        frame(True, 1201, 5001, 24, data),  # the segment before it was lost
        frame(False, 5001, 1101, 16, b"", block),
        frame(True, 1101, 5001, 24, data),
        frame(False, 5001, 1301, 16),
        frame(True, 1301, 5001, 17),
        frame(False, 5001, 1302, 17),
        frame(True, 1302, 5002, 16),
    ]
    with open(name, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, each in enumerate(frames):
            file.write(struct.pack("<IIII", 1700000000, number * 1000, len(each), len(each)) + each)


def read(name: str) -> list[bytes]:
    with open(name, "rb") as file:
        octets = file.read()
    at, segments = 24, []
    while at < len(octets):
        size = struct.unpack_from("<I", octets, at + 8)[0]
        ip = octets[at + 16 + 14 : at + 16 + size]
        segments.append(ip[12:20] + ip[20 : struct.unpack_from("!H", ip, 2)[0]])
        at += 16 + size
    return segments
PACKETS
python3 -c 'import packets; packets.write("before.pcap")'
root/usr/bin/tcprewrite --tcp-sequence=5 -i before.pcap -o after.pcap
python3 - <<'CHECK'
import struct
import sys

from packets import read, summed

before, after = read("before.pcap"), read("after.pcap")


def numbers(segment: bytes) -> tuple[int, int]:
    return struct.unpack_from("!II", segment, 8 + 4)


moved = {(new - old) % 2**32 for one, two in zip(before, after) for old, new in zip(numbers(one), numbers(two)) if old}
right = all(summed(each[:8] + struct.pack("!HH", 6, len(each) - 8) + each[8:]) == 0 for each in after)
old, new = (struct.unpack_from("!II", each[6], 8 + 24) for each in (before, after))
carried = sorted(numbers(each)[0] for each in after if len(each) == 8 + 20 + 100)
print("packets:", len(after), "- numbers of the headers are moved by:", sorted(moved), "- checksums right:", right)
print("SACK block before:", old, "after:", new, "- data after begins at:", carried)
sys.exit(0 if len(after) == 12 and len(moved) == 1 and right and old == new == (1201, 1301) and carried[0] > 1301 else 1)
CHECK
