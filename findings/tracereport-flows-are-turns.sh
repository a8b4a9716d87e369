#!/bin/sh
# tracereport of libtrace 3.0.22 (Debian 12): a TCP connection has as many flows as its ends take turns.
#
# Guess: the report of -F, by its manual on the number of flows in the trace, says 1 for a connection, or 2 if each direction
# counts for itself, and the order of the packets changes nothing. Seen: it is the number of runs of packets of one direction.
# A connection of nine packets (handshake, request, answer, both FINs) has 7 flows; ten packets to and fro have 10, and the same
# ten packets with those of the client first have 2. So do packets of several connections: four of them with five packets each
# have 4 flows one after another, and 20 in turn. A flow is new to it whenever the packet before belonged to another one. Who
# sizes a table of flows by this figure, or compares two captures, has measured how the packets interleave.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download libtrace-tools=3.0.22-0.1 libtrace3=3.0.22-0.1 libpacketdump3=3.0.22-0.1 libwandio1=3.0.22-0.1 \
    libpcap0.8=1.10.3-1 >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libtrace.so.3' | head -n 1)")
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$(dirname "$(find "$work/root" -name 'libpcap.so.0.8' | head -n 1)")
export LD_LIBRARY_PATH

python3 - <<'CHECK'
import struct
import subprocess
import sys


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame(client: bool, seq: int, ack: int, flags: int, data: bytes = b"", port: int = 40000) -> bytes:
    ends = [(bytes((192, 0, 2, 1)), port), (bytes((192, 0, 2, 2)), 80)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    options = bytes.fromhex("020405b4") if flags & 2 else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
    total = summed(source + target + struct.pack("!HH", 6, len(head)) + head)
    tcp = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
    return bytes.fromhex("00005e005302" "00005e005301" "0800") + ip + tcp


def flows(frames: list[bytes]) -> str:
    with open("one.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, each in enumerate(frames):
            file.write(struct.pack("<IIII", 1700000000, number * 1000, len(each), len(each)) + each)
    subprocess.run(["root/usr/bin/tracereport", "-F", "pcapfile:one.pcap"], check=True, capture_output=True, timeout=60)
    with open("flows.rpt") as file:
        return file.read().strip()


connection = [
    frame(True, 1000, 0, 2),
    frame(False, 5000, 1001, 18),
    frame(True, 1001, 5001, 16),
    frame(True, 1001, 5001, 24, b"q" * 100),
    frame(False, 5001, 1101, 24, b"a" * 300),
    frame(True, 1101, 5301, 16),
    frame(True, 1101, 5301, 17),
    frame(False, 5301, 1102, 17),
    frame(True, 1102, 5302, 16),
]
turns = []
for number in range(5):
    turns.append(frame(True, 1000 + 10 * number, 5000 + 10 * number, 24, b"q" * 10))
    turns.append(frame(False, 5000 + 10 * number, 1010 + 10 * number, 24, b"a" * 10))
four = [[frame(True, 1000 + 10 * number, 5000, 24, b"q" * 10, 40000 + each) for number in range(5)] for each in range(4)]
seen = {
    "a connection of nine packets": flows(connection),
    "ten packets to and fro": flows(turns),
    "the same ten, the client's first": flows(turns[::2] + turns[1::2]),
    "one direction of it": flows(turns[::2]),
    "four connections of five packets, one after another": flows(sum(four, [])),
    "the same twenty packets in turn": flows([each for turn in zip(*four) for each in turn]),
}
for what, said in seen.items():
    print(f"{what}: {said}")
wanted = [f"Flows: {count}" for count in (7, 10, 2, 1, 4, 20)]
if list(seen.values()) != wanted:
    sys.exit("changed: other numbers of flows than " + ", ".join(wanted))
CHECK
