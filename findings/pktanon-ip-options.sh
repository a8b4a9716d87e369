#!/bin/sh
# pktanon 2~git20160407 (Debian 12): told to copy an IP header's options, it drops them, but keeps the header's length and the packet's.
#
# Guess: a profile says for each field what becomes of it. With AnonIdentity for all of them, the addresses, the TCP options, the IP
# options and the payload, the file comes out as it went in. Seen: packets without IP options do, TCP options (timestamps) and data
# included, octet for octet. Of a packet with a Router Alert (RFC 2113) or a Timestamp in its IP header, the options are left out,
# TCP's header follows the 20th octet, and the header length (6 or 7) and total length are what they were. So whoever reads
# the file takes the ports for an option and the sequence number for the ports: a segment with data from 40000 to 80 is a SYN from
# 15 to 16960 (for flags it has half of the checksum), and a SYN with 8 octets of IP options is none. Both checksums are computed
# anew, the IP header's over 20 octets of 24 or 28, and are wrong for these lengths. pktanon counts no errors. The profile that comes
# with it shortens IP options to 0, and all lengths are right.
#
# Needs apt-get, dpkg, python3, and libcurl3-gnutls, libicu72 and libnettle8 (or what Debian 12 has of them) installed.
# Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download pktanon='2~git20160407.0.2bde4f2+dfsg-10' libxerces-c3.2=3.2.4+debian-1 libpcap0.8=1.10.3-1 >/dev/null 2>&1 ||
    { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libxerces-c-3.2.so' | head -n 1)")
export LD_LIBRARY_PATH
if ldd root/usr/bin/pktanon | grep 'not found' >&2; then exit 4; fi
shipped=root/usr/share/doc/pktanon/examples/profiles/profile-identity.xml
sed 's/anon="AnonShorten" newlen="0"/anon="AnonIdentity"/' "$shipped" >copy.xml # two fields: the IP options and the payload
[ "$(grep -c 'anon="AnonShorten"' "$shipped")" = 2 ] || { echo "the profile is another one" >&2; exit 1; }

python3 - "$shipped" <<'CHECK'
import struct
import subprocess
import sys

ONE, TWO = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
ETHERNET = bytes.fromhex("020000000002" "020000000001" "0800")
SEQ = 1_000_000  # 0x000F4240: read as two ports, 15 and 16960


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def packet(flags: int, data: bytes = b"", options: str = "", ip_options: str = "") -> bytes:
    more, ip_more = bytes.fromhex(options), bytes.fromhex(ip_options)
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, SEQ, 7000, (20 + len(more)) << 2, flags, 65535, 0, 0) + more + data
    tcp = tcp[:16] + struct.pack("!H", summed(ONE + TWO + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    size = 20 + len(ip_more)
    ip = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(tcp), 7, 0x4000, 64, 6, 0) + ONE + TWO + ip_more
    return ip[:10] + struct.pack("!H", summed(ip)) + ip[12:] + tcp


def through_pktanon(packets: list[bytes], profile: str) -> tuple[list[bytes], bool]:
    """The packets that it writes, and whether it says that there were no errors in them."""
    with open("in.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, each in enumerate(packets):
            size = len(ETHERNET + each)
            file.write(struct.pack("<IIII", 1700000000, number * 1000, size, size) + ETHERNET + each)
    command = ["root/usr/bin/pktanon", "-c", profile, "in.pcap", "out.pcap"]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    with open("out.pcap", "rb") as file:
        octets = file.read()[24:]
    seen = []
    while octets:
        size = struct.unpack("<I", octets[8:12])[0]
        seen.append(octets[16 + len(ETHERNET) : 16 + size])
        octets = octets[16 + size :]
    return seen, "errors in packets: 0" in said


def read(octets: bytes) -> str:
    """What a reader finds that goes by the lengths."""
    size, total = (octets[0] & 15) * 4, struct.unpack("!H", octets[2:4])[0]
    tcp = octets[size:total]
    sums = "right" if not summed(octets[:size]) else "wrong"
    sums += ", right" if not summed(octets[12:20] + struct.pack("!HH", 6, len(tcp)) + tcp) else ", wrong"
    return f"header {size}, total {total}, ports {tcp[0] << 8 | tcp[1]} > {tcp[2] << 8 | tcp[3]}, SYN {tcp[13] >> 1 & 1}, checksums {sums}"


ALERT, STAMP = "94040000", "44080500" "00000001"
packets = [
    packet(24, b"A" * 100, options="0101080a" "00000001" "00000002"),
    packet(24, b"B" * 60, ip_options=ALERT),
    packet(2, options="020405b4", ip_options=STAMP),
    packet(24, b"C" * 30),
]
copies, clean = through_pktanon(packets, "copy.xml")
same = clean and len(copies) == 4
for name, before, after in zip(("plain", "Router Alert", "Timestamp", "plain"), packets, copies):
    print(f"{name}: {'as before' if before == after else 'changed'}\n  from {read(before)}\n  to   {read(after)}")
same &= [before == after for before, after in zip(packets, copies)] == [True, False, False, True]
same &= read(copies[1]) == "header 24, total 104, ports 15 > 16960, SYN 1, checksums wrong, wrong"
same &= read(copies[2]) == "header 28, total 52, ports 0 > 7000, SYN 0, checksums wrong, wrong"
for before, after, count in ((packets[1], copies[1], 4), (packets[2], copies[2], 8)):
    header, tcp = before[:20], before[20 + count :]
    # the header without options and with its own checksum, then TCP with another checksum
    same &= after[:10] == header[:10] and after[12:20] == header[12:20] and not summed(after[:20])
    same &= after[20:36] + after[38 : 20 + len(tcp)] == tcp[:16] + tcp[18:]
    same &= len(after) == len(before) and summed(ONE + TWO + struct.pack("!HH", 6, len(after) - 20) + after[20:]) == 0
stripped, _ = through_pktanon(packets, sys.argv[1])
print("with the profile that comes with it:", *(f"\n  {read(each)}" for each in stripped))
same &= all(read(each).endswith("checksums right, right") and each[0] == 0x45 for each in stripped)
if not same:
    sys.exit("changed: it is not as described")
CHECK
