#!/bin/sh
# chaosreader 0.96 (Debian 12): of the packets that have the same microsecond, only the last one exists.
#
# Guess: a program that puts TCP streams back together goes by addresses, ports and sequence numbers; a timestamp dates a packet
# and is no name for it. Seen: chaosreader keeps the packets that it reads in a table whose key is the time with six digits
# behind the point. A packet with the time of an earlier one takes its place, whatever connection it belongs to. Of an answer
# in three segments of one burst, the page of the session shows the third alone; its beginning, with the header of HTTP, is
# gone, and the file with the contents is empty. Of two connections with the same times the second one is left. With
# some microseconds between them all is there. No warning, exit code 0. Segments of one burst often have one time, the more as
# chaosreader refuses captures in nanoseconds: who rounds them to microseconds for it makes such packets.
#
# Needs apt-get, dpkg, perl and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download chaosreader=0.96-12 libnet-dns-perl=1.36-1+deb12u1 >/dev/null 2>&1 ||
    { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
PERL5LIB=$work/root/usr/share/perl5
export PERL5LIB
perl -MNet::DNS::Packet -e 1 2>/dev/null || { echo "Perl lacks a module that Net::DNS needs" >&2; exit 4; }

python3 - <<'CHECK'
import glob
import os
import re
import struct
import subprocess
import sys


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame(number: int, client: bool, port: int, seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    ends = [(bytes((192, 0, 2, 1)), port), (bytes((192, 0, 2, 2)), 80)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    options = bytes.fromhex("020405b4") if flags & 2 else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
    total = summed(source + target + struct.pack("!HH", 6, len(head)) + head)
    tcp = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), number, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
    return bytes.fromhex("00005e005302" "00005e005301" "0800") + ip + tcp


REQUEST = b"GET / HTTP/1.0\r\n\r\n"
PARTS = [b"HTTP/1.0 200 OK\r\n\r\nfirst ", b"second ", b"third"]


def connection(start: int, port: int, gap: int) -> list[tuple[int, bytes]]:
    """Times and frames; the three segments of the answer are `gap` microseconds apart."""
    frames = [
        (0, (True, port, 1000, 0, 2)),
        (1000, (False, port, 5000, 1001, 18)),
        (2000, (True, port, 1001, 5001, 16)),
        (3000, (True, port, 1001, 5001, 24, REQUEST)),
    ]
    seq, ack = 5001, 1001 + len(REQUEST)
    for number, part in enumerate(PARTS):
        frames.append((4000 + number * gap, (False, port, seq, ack, 24, part)))
        seq += len(part)
    frames += [
        (6000, (False, port, seq, ack, 17)),
        (7000, (True, port, ack, seq + 1, 17)),
        (8000, (False, port, seq + 1, ack + 1, 16)),
    ]
    return [(start + time, frame(number, *each)) for number, (time, each) in enumerate(frames)]


def read(name: str, packets: list[tuple[int, bytes]]) -> list[tuple[int, str, bytes]]:
    """Of each session: the client's port, what the page shows as the server's, and the octets of the files with contents."""
    os.mkdir(name)
    with open(f"{name}/one.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for time, each in packets:
            file.write(struct.pack("<IIII", 1700000000, time, len(each), len(each)) + each)
    program = os.path.abspath("root/usr/bin/chaosreader")
    subprocess.run(["perl", program, "-q", "one.pcap"], cwd=name, check=True, capture_output=True, timeout=60)
    sessions = []
    for page in sorted(glob.glob(f"{name}/session_*.http.html")):
        with open(page) as file:
            text = file.read()
        port = int(re.findall(r"192\.0\.2\.1:(\d+)", text)[0])
        shown = "".join(re.findall(r'<font color="blue">(.*?)</font>', text, re.DOTALL))
        contents = b""
        for part in sorted(glob.glob(page.replace(".http.html", ".part_*"))):
            with open(part, "rb") as octets:
                contents += octets.read()
        sessions.append((port, shown.replace("\r", "").replace("\n", "|"), contents))
    return sessions


def in_turn(shift: int) -> list[tuple[int, bytes]]:
    """Two connections, the second one `shift` microseconds behind the first one."""
    return sorted(connection(0, 40000, 1) + connection(shift, 40001, 1), key=lambda each: each[0])


seen = {
    "the answer's segments are 1 microsecond apart": read("apart", connection(0, 40000, 1)),
    "they have the same microsecond": read("burst", connection(0, 40000, 0)),
    "two connections, 500 microseconds apart": read("shifted", in_turn(500)),
    "two connections with the same times": read("both", in_turn(0)),
}
for what, sessions in seen.items():
    print(f"{what}: {sessions}")
with open("apart/one.pcap", "rb") as file:
    octets = file.read()
with open("nanoseconds.pcap", "wb") as file:  # what it says of the unit comes first
    file.write(struct.pack("<I", 0xA1B23C4D) + octets[4:])
refused = subprocess.run(["perl", "root/usr/bin/chaosreader", "-q", "nanoseconds.pcap"], capture_output=True, timeout=60)
print("a capture in nanoseconds: exit code", refused.returncode)
whole = ("HTTP/1.0 200 OK||first second third", b"first second third")
wanted = [[(40000, *whole)], [(40000, "third", b"")], [(40000, *whole), (40001, *whole)], [(40001, *whole)]]
if list(seen.values()) != wanted or refused.returncode != 1:
    sys.exit(f"changed: not {wanted} any more, or nanoseconds are read")
CHECK
