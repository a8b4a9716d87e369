#!/bin/sh
# tcptrace 6.6.7 (Debian 12): the average segment is smaller than the smallest one.
#
# Guess: a sender of three segments of 100 octets has the average segment size 100, as its smallest and its largest. Seen:
# `tcptrace -l` prints an average of 99 beside a minimum and maximum of 100, and 300 octets in 3 packets; 1459 for two segments of
# 1460. A whole average is one octet short, as if the quotient were always a little smaller: 100.5 is printed as 100. Whoever reads
# a path's MSS from this figure reads a wrong one.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download tcptrace=6.6.7-6+b1 >/dev/null 2>&1 || { echo "cannot download tcptrace" >&2; exit 4; }
dpkg -x tcptrace_*.deb root
root/usr/bin/tcptrace -v 2>&1 | grep -i '^ *version' || :

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
    data = b"x" * size
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
    total = summed(source + target + struct.pack("!HH", 6, len(head)) + head)
    tcp = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
    return bytes.fromhex("020000000002" "020000000001" "0800") + ip + tcp


for name, sizes in (("same", (100, 100, 100)), ("large", (1460, 1460)), ("mixed", (100, 101))):
    frames = [frame(True, 1000, 0, 2), frame(False, 5000, 1001, 18), frame(True, 1001, 5001, 16)]
    seq = 1001
    for size in sizes:
        frames.append(frame(True, seq, 5001, 24, size))
        seq += size
        frames.append(frame(False, 5001, seq, 16))
    frames += [frame(True, seq, 5001, 17), frame(False, 5001, seq + 1, 17), frame(True, seq + 1, 5002, 16)]
    with open(f"{name}.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, each in enumerate(frames):
            file.write(struct.pack("<IIII", 1700000000, number * 1000, len(each), len(each)) + each)
PCAPS

seen=""
for name in same large mixed; do
    line=$(root/usr/bin/tcptrace -l -n "$name.pcap" 2>/dev/null | awk '
        /actual data pkts:/ { pkts = $4 } /actual data bytes:/ { bytes = $4 }
        /min segm size:/ { min = $4 } /max segm size:/ { max = $4 } /avg segm size:/ { avg = $4 }
        END { print bytes " octets in " pkts " packets: min " min ", max " max ", avg " avg }')
    echo "$name: $line"
    seen="$seen$line;"
done
[ "$seen" = "300 octets in 3 packets: min 100, max 100, avg 99;2920 octets in 2 packets: min 1460, max 1460, avg 1459;201 octets in 2 packets: min 100, max 101, avg 100;" ]
