#!/bin/sh
# sharkd 4.0.17 (Debian 12): a display filter is answered from the capture that was loaded before.
#
# Guess: sharkd, the JSON-RPC daemon behind web front ends of Wireshark, forgets what it knew when another file is loaded. Seen: it
# keeps each filter's result as a set of frame numbers, and `load` does not empty that store. A filter that was used on the first
# file gives the first file's frame numbers in the second one, without an error; the same filter with one space less is computed
# anew and is right. Who compares many captures through one daemon has to spell each filter anew for each file, or to start a daemon for each.
#
# Needs root, apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p cache/archives/partial
version=4.0.17-0+deb12u3
apt-get -qq -y -o Dir::Cache="$work/cache" install --download-only --reinstall --no-install-recommends \
    wireshark-common="$version" libwireshark16="$version" libwiretap13="$version" libwsutil14="$version" \
    libwireshark-data="$version" >/dev/null 2>&1 || { echo "cannot download wireshark-common $version" >&2; exit 4; }
for each in cache/archives/*.deb; do dpkg -x "$each" root; done
export LD_LIBRARY_PATH="$work/root/usr/lib/$(gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)"
export HOME="$work" WIRESHARK_DATA_DIR="$work/root/usr/share/wireshark"
root/usr/bin/sharkd -v 2>/dev/null | head -n 1 || :

python3 - <<'PCAPS'
import struct


def summed(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame(flags: int, number: int) -> bytes:
    head = struct.pack("!HHIIBBHHH", 40000, 80, 1000 + number, 5000, 5 << 4, flags, 65535, 0, 0)
    ends = bytes((192, 0, 2, 1, 192, 0, 2, 2))
    tcp = head[:16] + struct.pack("!H", summed(ends + struct.pack("!HH", 6, 20) + head)) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, number, 0x4000, 64, 6, 0) + ends
    return bytes.fromhex("0200000000020200000000010800") + ip[:10] + struct.pack("!H", summed(ip)) + ip[12:] + tcp


# The packet with FIN is the second of the first file, and the fourth of the second.
for name, at in (("first", 2), ("second", 4)):
    with open(f"{name}.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(1, 7):
            octets = frame(17 if number == at else 16, number)
            file.write(struct.pack("<IIII", 1700000000, number, len(octets), len(octets)) + octets)
PCAPS

ask() { printf '{"jsonrpc":"2.0","id":%s,"method":"%s","params":{"%s":"%s"}}\n' "$@"; }
seen=$({
    ask 1 load file "$work/first.pcap"
    ask 2 frames filter "tcp.flags.fin == 1"
    ask 3 load file "$work/second.pcap"
    ask 4 frames filter "tcp.flags.fin == 1"
    ask 5 frames filter "tcp.flags.fin==1"
} | root/usr/bin/sharkd - 2>/dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    answer = json.loads(line)
    if answer["id"] in (2, 4, 5):
        print(answer["id"], [row["num"] for row in answer["result"]], end="; ")')
echo "frames with FIN (2: first file, 4: second file, same filter, 5: second file, a space less): $seen"
[ "$seen" = "2 [2]; 4 [2]; 5 [4]; " ]
