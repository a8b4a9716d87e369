#!/bin/sh
# tcpflow 1.6.1 reading what text2pcap 4.0.17 wrote (both Debian 12): a stream has octets at its end that no segment holds.
#
# Guess: text2pcap makes TCP segments of a hex dump, tcpflow makes the octets again, and the round trip gives what was put in. Seen:
# text2pcap fills short frames up to Ethernet's 60 octets, as network cards do, and the IP header tells where the segment ends. tcpflow
# takes what fills the frame for data: of "hello" and "abc" it writes eleven octets, with three zeros at the end. Between
# two segments nothing shows, as the second one is written over the first one's filling: a long stream is right until its end, and
# it is the length that is wrong. Without the filling, the same segments come to eight octets.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p cache/archives/partial
version=4.0.17-0+deb12u3
apt-get -qq -y -o Dir::Cache="$work/cache" install --download-only --reinstall --no-install-recommends tcpflow=1.6.1-2+b1 \
    libhttp-parser2.9 wireshark-common="$version" libwireshark16="$version" libwiretap13="$version" libwsutil14="$version" \
    libwireshark-data="$version" >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for each in cache/archives/*.deb; do dpkg -x "$each" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libwireshark.so.16' | head -n 1)")
export LD_LIBRARY_PATH HOME="$work" WIRESHARK_DATA_DIR="$work/root/usr/share/wireshark"
root/usr/bin/tcpflow -V || :

printf 'I\n0000 68 65 6c 6c 6f\nI\n0000 61 62 63\n' >dump
root/usr/bin/text2pcap -q -D -4 192.0.2.1,192.0.2.2 -T 40000,80 -F pcap dump filled.pcap
python3 - <<'PLAIN'
import struct

with open("filled.pcap", "rb") as file:
    octets = file.read()
at, sizes = 24, []
with open("plain.pcap", "wb") as file:
    file.write(octets[:24])
    while at < len(octets):
        seconds, rest, size, _ = struct.unpack_from("<IIII", octets, at)
        frame = octets[at + 16 : at + 16 + size]
        at += 16 + size
        end = 14 + struct.unpack_from("!H", frame, 16)[0]
        sizes.append((size, end, any(frame[end:])))
        file.write(struct.pack("<IIII", seconds, rest, end, end) + frame[:end])
print("frames of text2pcap: length, end of the IP packet, anything but zeros behind it:", sizes)
PLAIN
seen=""
for name in filled plain; do
    mkdir "$name"
    (cd "$name" && ../root/usr/bin/tcpflow -r "../$name.pcap" >/dev/null 2>&1)
    stream=$(python3 -c 'import sys; print(open(sys.argv[1], "rb").read())' "$name/192.000.002.001.40000-192.000.002.002.00080")
    echo "$name: $stream"
    seen="$seen$stream;"
done
[ "$seen" = "b'helloabc\\x00\\x00\\x00';b'helloabc';" ]
