#!/bin/sh
# nfcapd 1.7.1 and softflowd 1.1.0 (Debian 12): what softflowd sends as IPFIX ends before it starts when nfcapd keeps it.
#
# Guess: two programs of one distribution that both speak IPFIX agree on when a flow began and ended, whichever of the standard's fields
# the exporter uses: relative to its own start (elements 21 and 22, softflowd's choice) or absolute (152 and 153, its option -A milli).
# Seen: softflowd puts the same 1.6 seconds into both (element 22, the start, is 0 and element 21, the end, is 1600), and nfcapd reads
# the absolute ones right. Of the relative ones it takes each for the other: the flow starts with its last packet and ends
# with its first one, and nfdump's duration is far from any number of seconds. Octets, packets and flags are right.
#
# Needs apt-get, dpkg and python3. Traffic stays on loopback.
# Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
collector=""
finish() {
    [ -z "$collector" ] || kill "$collector" 2>/dev/null || :
    rm -rf "$work"
}
trap finish EXIT
cd "$work"
apt-get download nfdump=1.7.1-2+deb12u1 softflowd=1.1.0-1+b1 libpcap0.8=1.10.3-1 >/dev/null 2>&1 ||
    { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libpcap.so.0.8' | head -n 1)")
export LD_LIBRARY_PATH TZ=UTC0
program() { find "$work/root" -type f -path "*bin/$1"; }

cat > tools.py <<'TOOLS'
import socket
import struct
import subprocess
import sys
import time


def frame(client: bool, seq: int, ack: int, flags: int, size: int = 0) -> bytes:
    def summed(octets: bytes) -> int:
        total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return 0xFFFF - total

    ends = [(bytes((192, 0, 2, 1)), 40000), (bytes((192, 0, 2, 2)), 80)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    options = bytes.fromhex("020405b4") if flags & 2 else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + b"x" * size
    tcp = head[:16] + struct.pack("!H", summed(source + target + struct.pack("!HH", 6, len(head)) + head)) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + source + target
    return bytes.fromhex("0200000000020200000000010800") + ip[:10] + struct.pack("!H", summed(ip)) + ip[12:] + tcp


def write(name: str) -> None:
    frames = [
        frame(True, 1000, 0, 2),
        frame(False, 5000, 1001, 18),
        frame(True, 1001, 5001, 16),
        frame(True, 1001, 5001, 24, 100),
        frame(False, 5001, 1101, 24, 300),
        frame(True, 1101, 5301, 16),
        frame(True, 1101, 5301, 17),
        frame(False, 5301, 1102, 17),
        frame(True, 1102, 5302, 16),
    ]
    with open(name, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, each in enumerate(frames):
            seconds, rest = divmod(number * 200000, 1000000)
            file.write(struct.pack("<IIII", 1700000000 + seconds, rest, len(each), len(each)) + each)


def free() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait(port: int) -> None:
    for _ in range(100):
        with open("/proc/net/udp") as file:
            if f":{port:04X} " in file.read():
                return
        time.sleep(0.1)
    sys.exit("nfcapd does not listen")


def sent(*command: str) -> None:
    """Prints start and end of each flow as they are on the wire."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(10)
        subprocess.run([*command, "-n", f"127.0.0.1:{one.getsockname()[1]}"], check=True, capture_output=True, timeout=30)
        message = one.recv(65536)
    templates, at = {}, 16
    while at < len(message):
        kind, size = struct.unpack_from("!HH", message, at)
        body = message[at + 4 : at + size]
        at += size
        if kind == 2:
            while len(body) > 4:
                number, count = struct.unpack_from("!HH", body)
                templates[number] = list(struct.iter_unpack("!HH", body[4 : 4 + 4 * count]))
                body = body[4 + 4 * count :]
        elif kind in templates:
            while len(body) >= sum(size for _, size in templates[kind]):
                values = {}
                for element, size in templates[kind]:
                    values[element] = int.from_bytes(body[:size], "big")
                    body = body[size:]
                print({each: values[each] for each in (22, 21, 152, 153) if each in values}, end=" ")
TOOLS
python3 -c 'import tools; tools.write("one.pcap")'

seen=""
for mode in "" "-A milli"; do
    # shellcheck disable=SC2086
    wire=$(python3 -c 'import sys, tools; tools.sent(*sys.argv[1:])' "$(program softflowd)" -r one.pcap -p "$work/pid" -c none -D -a -v 10 $mode)
    port=$(python3 -c 'import tools; print(tools.free())')
    rm -rf kept && mkdir kept
    "$(program nfcapd)" -b 127.0.0.1 -p "$port" -w "$work/kept" -l "$work/kept" >nfcapd.log 2>&1 &
    collector=$!
    python3 -c "import tools; tools.wait($port)"
    # shellcheck disable=SC2086
    "$(program softflowd)" -r one.pcap -p "$work/pid" -c none -D -a -v 10 $mode -n "127.0.0.1:$port" >softflowd.log 2>&1
    sleep 2
    kill "$collector"
    wait "$collector" || :
    collector=""
    kept=$("$(program nfdump)" -R "$work/kept" -q -o 'fmt:%ts %te %sp %pkt %byt' | awk '$5 == 40000 { print $2, $4, $6, $7 }')
    echo "softflowd ${mode:-(as it is)} sends $wire- nfdump: start, end, packets, octets: $kept"
    seen="$seen$wire$kept;"
done
relative="{22: 0, 21: 1600}"
absolute="{152: 1700000000000, 153: 1700000001600}"
[ "$seen" = "$relative $relative 22:13:21.600 22:13:20.000 6 344;$absolute $absolute 22:13:20.000 22:13:21.600 6 344;" ]
