#!/bin/sh
# trafgen 0.6.8 (netsniff-ng, Debian 12): while it writes a capture file, other programs' connections get another window scale.
#
# Guess: `trafgen --out FILE.pcap` touches no network and no interface, so that nothing else on the host changes while it runs.
# Seen: run by root, it sets net.core.rmem_max to 104,857,600 octets when it starts and sets it back when it ends, as it does for
# an interface. Linux computes the window scale of each new TCP connection from the larger of rmem_max and the third number of
# net.ipv4.tcp_rmem, so that a connection over loopback that any program opens meanwhile has a scale of 11, and keeps it: what its
# segments say of the window is in other steps than before. A trafgen that is killed leaves the limit as it is. With --no-sock-mem
# nothing changes.
#
# Needs root, apt-get, dpkg and python3. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
[ "$(id -u)" = 0 ] || { echo "only root may change the limit" >&2; exit 4; }
limits="rmem_max rmem_default wmem_max wmem_default"
work=$(mktemp -d)
for name in $limits; do cp "/proc/sys/net/core/$name" "$work/$name" || exit 4; done
trap 'for name in $limits; do cat "$work/$name" >"/proc/sys/net/core/$name"; done; rm -rf "$work"' EXIT
cd "$work"
apt-get download netsniff-ng=0.6.8-3 libnl-3-200 libnl-genl-3-200 >/dev/null 2>&1 || { echo "cannot download the packages" >&2; exit 4; }
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libnl-3.so.200' | head -n 1)"):$(dirname "$(find "$work/root" -name 'libnl-genl-3.so.200' | head -n 1)")
export LD_LIBRARY_PATH
trafgen=$(find "$work/root" -name trafgen -type f -perm -u+x | head -n 1)
printf '{ ipv4(da=198.51.100.2, sa=198.51.100.1), tcp(sp=40000, dp=80, syn) }\n' >one.cfg

"$trafgen" --version | head -n 1
python3 - "$trafgen" <<'CHECK'
import socket
import subprocess
import sys
import time

WROTE = 104_857_600


def limit() -> int:
    with open("/proc/sys/net/core/rmem_max") as file:
        return int(file.read())


def scale() -> int:
    """The window scale that a new connection over loopback offers (tcpi_rcv_wscale of TCP_INFO)."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as client:
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[6] >> 4


def during(*options: str) -> tuple[int, int]:
    """The limit, and the scale of a new connection, while trafgen writes a file."""
    command = [sys.argv[1], "--in", "one.cfg", "--out", "one.pcap", "--num", "4", "--gap", "500ms", "--cpus", "1", "-q", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        time.sleep(1)
        seen = limit(), scale()
        assert running.poll() is None, "trafgen has ended too early"
        running.wait(timeout=20)
    return seen


with open("/proc/sys/net/ipv4/tcp_rmem") as file:
    largest = int(file.read().split()[2])
if max(largest, limit()) >= WROTE // 2:
    sys.exit("the limits of this host are as large already")
before = limit(), scale()
alone, plain = during("--no-sock-mem"), during()
after = limit(), scale()
print(f"tcp_rmem up to {largest}")
for name, (most, shift) in {"before": before, "--no-sock-mem": alone, "during": plain, "after": after}.items():
    print(f"{name:<14} rmem_max {most:>9}, window scale {shift}")
sys.exit(not (before == alone == after and plain == (WROTE, 11) and before[1] < 11))
CHECK
