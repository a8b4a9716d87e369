#!/bin/sh
# p0f 3.09b (Debian 12) and the SYN of AccECN (RFC 9768, 2025): it does not see the third bit.
#
# Guess: p0f, whose signatures list quirks such as "ecn" and oddities in the flags, marks a SYN with AE, CWR and ECE, or
# fails to match it. Seen: its signature is letter for letter that of a classic ECN SYN, where only CWR and ECE are set, and so
# is the verdict: the bits that tell an AccECN client of Linux 6.18 from an older one are lost. Both are called
# "Linux 2.2.x-3.x", "generic fuzzy", while without any ECN bit the same SYN is "generic" and not fuzzy.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download p0f=3.09b-3 >/dev/null 2>&1 || { echo "cannot download p0f" >&2; exit 4; }
dpkg -x p0f_3.09b-3_amd64.deb root

python3 - <<'PCAP'
import struct


def summed(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


source, target = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
# The SYN of Linux 6.18: MSS 1460, SACK permitted, timestamps, NOP, window scale 10.
options = bytes.fromhex("020405b4" "0402" "080a000003e800000000" "01" "03030a")
with open("syn.pcap", "wb") as file:
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for number, bits in enumerate((0x002, 0x0C2, 0x1C2)):  # SYN; with CWR and ECE; with AE too
        head = struct.pack("!HHIIHHHH", 4001 + number, 80, 1000, 0, (10 << 12) | bits, 64240, 0, 0)
        pseudo = source + target + struct.pack("!HH", 6, 40)
        tcp = head[:16] + struct.pack("!H", summed(pseudo + head + options)) + head[18:] + options
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 60, 0x1234, 0x4000, 64, 6, 0) + source + target
        ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
        frame = bytes.fromhex("020000000002" "020000000001" "0800") + ip + tcp
        file.write(struct.pack("<IIII", 1700000000 + number, 0, len(frame), len(frame)) + frame)
PCAP

root/usr/sbin/p0f -f root/etc/p0f/p0f.fp -r syn.pcap >report 2>&1 || :
head -n 1 report
python3 - <<'CHECK'
import re
import sys

text = open("report", encoding="utf-8").read()
found = {}
for port, body in re.findall(r"192\.0\.2\.1/(\d+) -> 192\.0\.2\.2/80 \(syn\) \]-(.*?)`----", text, re.DOTALL):
    found[port] = tuple(re.search(rf"{name} +=(.*)", body)[1].strip() for name in ("os", "params", "raw_sig"))
for port, name in (("4001", "no ECN     "), ("4002", "classic ECN"), ("4003", "AccECN     ")):
    print(name, *found.get(port, ("nothing",)), sep=" | ")
plain, classic, accurate = (found.get(each) for each in ("4001", "4002", "4003"))
expected = ("Linux 2.2.x-3.x", "generic fuzzy", "4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+,ecn:0")
same = accurate == classic == expected and plain is not None and plain[1] == "generic"
sys.exit(0 if same else 1)
CHECK
