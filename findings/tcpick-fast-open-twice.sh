#!/bin/sh
# tcpick 0.2.1 (Debian 12) and TCP Fast Open (RFC 7413): a request that the server declined on the SYN is shown twice.
#
# Guess: a reader that follows streams counts sequence numbers, so that data on a SYN which the SYN ACK does not acknowledge, and
# which comes again behind the handshake under the same numbers, stands in the stream once, as the server's application reads
# it. tcpflow 1.6.1 writes it once. Seen: `tcpick -yP` prints the 18 octets of the request two times; its stream is longer
# than the 18 octets that the last ACK covers.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download tcpick=0.2.1-10 tcpflow=1.6.1-2+b1 libhttp-parser2.9 >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libhttp_parser.so.2.9' | head -n 1)")
export LD_LIBRARY_PATH

python3 - <<'PCAP'
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


request, answer = b"GET / HTTP/1.0\r\n\r\n", b"hello"
frames = [
    frame(True, 1000, 0, 2, request, bytes.fromhex("020405b4" "220a0102030405060708" "0101")),  # a Fast Open cookie
    frame(False, 5000, 1001, 18, b"", bytes.fromhex("020405b4")),  # acknowledges the SYN, and not its data
    frame(True, 1001, 5001, 24, request),
    frame(False, 5001, 1019, 24, answer),
    frame(True, 1019, 5006, 17),
    frame(False, 5006, 1020, 17),
    frame(True, 1020, 5007, 16),
]
with open("declined.pcap", "wb") as file:
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for number, each in enumerate(frames):
        file.write(struct.pack("<IIII", 1700000000, number * 1000, len(each), len(each)) + each)
PCAP

"$(find root -type f -path '*bin/tcpick')" -r declined.pcap -yP >seen 2>&1 || :
sed -n 1p seen | sed 's/ at .*//'
mkdir flows
(cd flows && ../root/usr/bin/tcpflow -r ../declined.pcap 2>/dev/null)
twice=$(grep -c '^GET / HTTP/1.0' seen || :)
once=$(wc -c <flows/192.000.002.001.40000-192.000.002.002.00080)
echo "tcpick prints the request $twice times; tcpflow writes $once octets"
[ "$twice" = 2 ] && [ "$once" = 18 ]
