#!/bin/sh
# dpkt 1.9.8 (PyPI) and a pcapng file of two interfaces: packets of the second one are dated some 54,000 years too late.
#
# Guess: each packet of a pcapng file names its interface, and an interface's description says in which unit its timestamps count;
# a reader looks it up for each packet, as python-pcapng 2.1.1 does. Seen: dpkt's reader takes the unit of the file's first interface for
# all packets. Where the first counts microseconds and the second nanoseconds (as in a capture of two kinds of network card), the time
# jumps to and fro by the factor 1000 from packet to packet; the other way round, the packets of the second interface come
# close together in January 1970. No error and no warning; files of one interface, and of several with one unit, are read as they should be.
#
# Needs python3 with venv. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q install dpkt==1.9.8 python-pcapng==2.1.1 2>/dev/null || { echo "cannot install the packages" >&2; exit 4; }
env/bin/python - <<'READ'
import struct
import sys

import dpkt
import pcapng


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def interface(digits: int) -> bytes:
    # Ethernet, no limit of length; the option if_tsresol says how many decimal digits a second has.
    return block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3xHH", 9, 1, digits, 0, 0))


def packet(number: int, stamp: int) -> bytes:
    octets = bytes.fromhex("020000000002" "020000000001" "88b5") + bytes(46)
    return block(6, struct.pack("<IIIII", number, stamp >> 32, stamp & 0xFFFFFFFF, len(octets), len(octets)) + octets)


section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
start = 1700000000
with open("two.pcapng", "wb") as file:
    file.write(section + interface(6) + interface(9))
    for second in range(0, 4, 2):
        file.write(packet(0, (start + second) * 10**6) + packet(1, (start + second + 1) * 10**9))
with open("two.pcapng", "rb") as file:
    seen = [round(stamp) for stamp, _ in dpkt.pcapng.Reader(file)]
with open("two.pcapng", "rb") as file:
    other = [round(each.timestamp) for each in pcapng.FileScanner(file) if isinstance(each, pcapng.blocks.EnhancedPacket)]
print("dpkt:         ", seen)
print("python-pcapng:", other)
right = [start, start + 1, start + 2, start + 3]
wrong = [start, (start + 1) * 1000, start + 2, (start + 3) * 1000]
sys.exit(0 if seen == wrong and other == right else 1)
READ
