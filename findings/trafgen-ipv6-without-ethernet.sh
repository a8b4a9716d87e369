#!/bin/sh
# trafgen 0.6.8 (netsniff-ng, Debian 12): the lower layers that it fills in "automatically" exist for IPv4 only.
#
# Guess: `{ ipv6(...), tcp(...), "hello" }` makes the packet that `{ ipv4(...), tcp(...), "hello" }` makes, with IPv6: the manual
# says that all required headers of lower layers are filled in. Seen: IPv4 gets an Ethernet header, its EtherType 0x0800 (behind
# VLAN tags and MPLS labels too), and a capture file of link type Ethernet. IPv6 gets no Ethernet header, and the file says link
# type NULL (0), whose header of four octets is not there either: readers take the first octets of IPv6 for an address family. Behind
# eth() the EtherType is 0; behind vlan() it is 0x8100, as if another tag followed. Inside IPv6 all is filled in: the length, the
# next header, and the TCP checksum, which is right in each packet although the sequence number changes. Only eth(type=0x86dd)
# gives IPv6 in Ethernet.
#
# Needs apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download netsniff-ng=0.6.8-3 libnl-3-200 libnl-genl-3-200 >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libnl-3.so.200' | head -n 1)"):$(dirname "$(find "$work/root" -name 'libnl-genl-3.so.200' | head -n 1)")
export LD_LIBRARY_PATH
trafgen=$(find "$work/root" -name trafgen -type f -perm -u+x | head -n 1)

four='ipv4(da=198.51.100.2, sa=198.51.100.1)'
six='ipv6(da=2001:db8::2, sa=2001:db8::1)'
tcp='tcp(sp=40000, dp=80, seq=dinc(1000, 9000, 5), ack, win=100), "hello"'
make() { # NAME LAYERS
    printf '{ %s, %s }\n' "$2" "$tcp" >"$1.cfg"
    timeout 20 "$trafgen" --in "$1.cfg" --out "$1.pcap" --num 3 --cpus 1 --no-sock-mem -q >log 2>&1 || { cat log >&2; exit 4; }
}
make ipv4 "$four"
make ipv4-vlan "vlan(id=5), $four"
make ipv6 "$six"
make ipv6-eth "eth(), $six"
make ipv6-vlan "eth(), vlan(id=5), $six"
make ipv6-type "eth(type=0x86dd), $six"

"$trafgen" --version | head -n 1
python3 - <<'CHECK'
import struct
import sys


def packets(name: str) -> tuple[int, list[bytes]]:
    """The link type of a capture file, and its packets."""
    with open(f"{name}.pcap", "rb") as file:
        octets = file.read()
    link, at, found = struct.unpack_from("<I", octets, 20)[0], 24, []
    while at < len(octets):
        size = struct.unpack_from("<I", octets, at + 8)[0]
        found.append(octets[at + 16 : at + 16 + size])
        at += 16 + size
    return link, found


def is_sound(packet: bytes) -> bool:
    """Whether IPv6 says its length and TCP, and whether the TCP checksum is right."""
    length, following = struct.unpack_from("!HB", packet, 4)
    tcp = packet[40:]
    whole = packet[8:40] + struct.pack("!IHBB", len(tcp), 0, 0, 6) + tcp + bytes(len(tcp) % 2)
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    return (length, following) == (len(tcp), 6) and total % 0xFFFF == 0


def seen(name: str) -> str:
    link, found = packets(name)
    first = found[0]
    size = {"ipv4": 14, "ipv4-vlan": 18, "ipv6": 0, "ipv6-eth": 14, "ipv6-vlan": 18, "ipv6-type": 14}[name]
    kind = f"EtherType {first[size - 2 : size].hex()}" if size else "no Ethernet header"
    version, sequence = first[size] >> 4, [struct.unpack_from("!I", each, size + (40 if "6" in name else 20) + 4)[0] for each in found]
    inside = "" if version == 4 else f", sound {all(is_sound(each[size:]) for each in found)}"
    return f"link type {link}, {kind}, IPv{version}, seq {sequence}{inside}"


expected = {
    "ipv4": "link type 1, EtherType 0800, IPv4, seq [1000, 1005, 1010]",
    "ipv4-vlan": "link type 1, EtherType 0800, IPv4, seq [1000, 1005, 1010]",
    "ipv6": "link type 0, no Ethernet header, IPv6, seq [1000, 1005, 1010], sound True",
    "ipv6-eth": "link type 1, EtherType 0000, IPv6, seq [1000, 1005, 1010], sound True",
    "ipv6-vlan": "link type 1, EtherType 8100, IPv6, seq [1000, 1005, 1010], sound True",
    "ipv6-type": "link type 1, EtherType 86dd, IPv6, seq [1000, 1005, 1010], sound True",
}
result = {name: seen(name) for name in expected}
for name, text in result.items():
    print(f"{name:<10} {text}")
sys.exit(result != expected)
CHECK
