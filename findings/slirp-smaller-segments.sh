#!/bin/sh
# slirp4netns 1.2.0 with libslirp 4.7.0 (Debian 12): segments smaller than both MSS options allow, and an ACK for each.
#
# Guess: both SYNs say MSS 1460 and agree on no option that takes room, so that a bulk answer comes in segments of 1460
# octets. Seen: libslirp's TCP sends 1440 octets at most. The 20 octets between are not used by any option: its SYN ACK has
# MSS alone, and its segments have headers of 20 octets. Sizes of segments do not show what a host was offered.
#
# Needs root (network namespaces), /dev/net/tun, apt-get, dpkg, python3, iproute2 and util-linux. Traffic stays in the
# namespace and on loopback. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
[ "$(id -u)" = 0 ] && [ -e /dev/net/tun ] || { echo "needs root and /dev/net/tun" >&2; exit 4; }
work=$(mktemp -d)
pids=""
finish() {
    for pid in $pids; do kill "$pid" 2>/dev/null || :; done
    rm -rf "$work"
}
trap finish EXIT
cd "$work"
chmod 755 "$work"
apt-get download slirp4netns=1.2.0-1 libslirp0=4.7.0-1 >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libslirp.so.0' | head -n 1)")
export LD_LIBRARY_PATH
root/usr/bin/slirp4netns --version | head -n 1

unshare -n sleep 60 &
inside=$!
pids="$inside"
sleep 1
root/usr/bin/slirp4netns --configure --mtu=1500 --disable-dns "$inside" tap0 >slirp.log 2>&1 &
pids="$pids $!"
python3 - <<'SERVER' &
import socket

with socket.create_server(("127.0.0.1", 0)) as server:
    server.settimeout(30)
    with open("port.new", "w") as file:
        file.write(str(server.getsockname()[1]))
    import os

    os.rename("port.new", "port")
    connection, _ = server.accept()
    connection.recv(100)
    connection.sendall(b"x" * 20000)
    connection.close()
SERVER
pids="$pids $!"
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s port ] && nsenter -t "$inside" -n ip addr show tap0 2>/dev/null | grep -q inet && break; sleep 1; done

nsenter -t "$inside" -n python3 - "$(cat port)" <<'CLIENT'
import socket
import struct
import sys
import threading

frames = []
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.bind(("tap0", 0))
tap.settimeout(2)


def watch() -> None:
    try:
        while True:
            frames.append(tap.recv(65536))
    except TimeoutError:
        pass


watcher = threading.Thread(target=watch)
watcher.start()
with socket.create_connection(("10.0.2.2", int(sys.argv[1])), timeout=10) as client:
    client.sendall(b"hello")
    count = 0
    while data := client.recv(65536):
        count += len(data)
watcher.join()


def mss(options: bytes) -> int:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        if options[at] == 2:
            return struct.unpack("!H", options[at + 2 : at + 4])[0]
        at += options[at + 1]
    return -1


sizes, offered, headers = set(), {}, set()
for frame in frames:
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        continue
    ip = frame[14:]
    tcp = ip[(ip[0] & 15) * 4 : struct.unpack("!H", ip[2:4])[0]]
    length, flags = (tcp[12] >> 4) * 4, tcp[13]
    if flags & 2:
        offered["slirp" if flags & 16 else "kernel"] = (mss(tcp[20:length]), tcp[20:length].hex())
    elif ip[12:16] == bytes((10, 0, 2, 2)) and len(tcp) > length:
        sizes.add(len(tcp) - length)
        headers.add(length)
print("octets received:", count)
print("MSS offered: kernel", offered["kernel"][0], "slirp", offered["slirp"][0], "- options of the SYN ACK:", offered["slirp"][1])
print("largest payload:", max(sizes), "with TCP headers of", sorted(headers))
same = count == 20000 and offered["kernel"][0] == offered["slirp"][0] == 1460 and offered["slirp"][1] == "020405b4"
sys.exit(0 if same and max(sizes) == 1440 and headers == {20} else 1)
CLIENT
