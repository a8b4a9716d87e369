#!/bin/sh
# argus 3.0.8.2 (Debian 12): a SYN with the last of all sequence numbers costs the round-trip time and brings losses that never were.
#
# Guess: sequence numbers are counted modulo 2**32 (RFC 9293), and a reader of flows that gets through a wrap in the middle of the data
# gets through one behind the SYN as well. Seen: it does the first and not the second. A connection of which nothing is lost has a
# round-trip time of 2 ms and no loss if the client begins with 1000, with 2**32 - 151 (the wrap is in the second segment) or with
# 2**32 - 2. With 2**32 - 1, where the SYN takes the last number and the data begins with 0, argus has no round-trip time (0) and
# two lost packets of the client; where the server's SYN ACK has that number, two lost packets of the server. The octets are right.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download argus-server=2:3.0.8.2-2.2 argus-client=1:3.0.8.2-6.1+b3 libpcap0.8=1.10.3-1 libwrap0=7.6.q-32 \
    libgeoip1=1.6.12-10 >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libpcap.so.0.8' | head -n 1)")
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$(dirname "$(find "$work/root" -name 'libwrap.so.0' | head -n 1)")
export LD_LIBRARY_PATH HOME="$work"

python3 - <<'PCAPS'
import struct


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame(client: bool, seq: int, ack: int, flags: int, size: int = 0) -> bytes:
    ends = [(bytes((192, 0, 2, 1)), 40000), (bytes((192, 0, 2, 2)), 80)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    options = bytes.fromhex("020405b4") if flags & 2 else b""
    numbers = (seq % 2**32, ack % 2**32)
    head = struct.pack("!HHIIBBHHH", sport, dport, *numbers, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + b"x" * size
    total = summed(source + target + struct.pack("!HH", 6, len(head)) + head)
    tcp = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
    return bytes.fromhex("020000000002" "020000000001" "0800") + ip + tcp


last = 2**32 - 1
for name, one, two in (
    ("low", 1000, 5000),
    ("middle", last - 150, 5000),
    ("before", last - 1, 5000),
    ("client", last, 5000),
    ("server", 1000, last),
):
    frames = [frame(True, one, 0, 2), frame(False, two, one + 1, 18), frame(True, one + 1, two + 1, 16)]
    for number in range(3):  # three segments of 100 octets each way, each acknowledged by the other side's next one
        frames.append(frame(True, one + 1 + 100 * number, two + 1 + 100 * number, 24, 100))
        frames.append(frame(False, two + 1 + 100 * number, one + 101 + 100 * number, 24, 100))
    frames += [frame(True, one + 301, two + 301, 17), frame(False, two + 301, one + 302, 17), frame(True, one + 302, two + 302, 16)]
    with open(f"{name}.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, each in enumerate(frames):
            file.write(struct.pack("<IIII", 1700000000, number * 1000, len(each), len(each)) + each)
PCAPS

seen=""
for name in low middle before client server; do
    root/usr/sbin/argus -X -A -r "$name.pcap" -w "$name.argus" >/dev/null 2>&1
    line=$(root/usr/bin/ra -X -r "$name.argus" -n -c , -s sappbytes dappbytes tcprtt sloss dloss 2>/dev/null | tail -n 1)
    echo "$name: octets, octets, round-trip time, losses, losses: $line"
    seen="$seen$name $line;"
done
[ "$seen" = "low 300,300,0.002000,0,0;middle 300,300,0.002000,0,0;before 300,300,0.002000,0,0;client 300,300,0.000000,2,0;server 300,300,0.002000,0,2;" ]
