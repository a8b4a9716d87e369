#!/bin/sh
# pasta of passt 0.0~git20230309 (Debian 12): who closes its own direction gets the answer again and again, and never its end.
#
# Guess: pasta, which carries the TCP connections of a network namespace over to sockets of the host, lets a client close its
# direction first and read on (RFC 9293, 3.6), as `nc -N` does and whoever marks the end of a request in this way. The server
# sees the end of the request and answers with 300 octets; the client gets 300, and the end when the server closes.
# Seen: so it is if the client does not close. If it does, Linux's TCP in the namespace acknowledges the 300 octets, and pasta sends
# them once more: not as a retransmission, but with the numbers that come next, so that the client takes them for new. That
# goes on for as long as the server leaves its side open: within three seconds the client reads them dozens of times, each copy
# whole, and no error is to be seen on either side. If the server closes right after its answer, the client gets it once and then
# no end of the stream: it waits for more.
#
# Needs root (network namespaces), /dev/net/tun, apt-get, dpkg, python3 (3.10 or later), iproute2 and util-linux. Traffic stays in
# namespaces that the script makes. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
[ "$(id -u)" = 0 ] && [ -e /dev/net/tun ] || { echo "needs root and /dev/net/tun" >&2; exit 4; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download passt=0.0~git20230309.7c7625d-1 >/dev/null 2>&1 || { echo "cannot download the package" >&2; exit 4; }
dpkg -x ./*.deb root

cat >server.py <<'SERVER'
import socket
import threading

ANSWER = bytes(range(100)) * 3


def serve(connection: socket.socket) -> None:
    request = b""
    while len(request) < 100:
        request += connection.recv(100)
    threading.Event().wait(0.3)  # until the client has closed its direction, if it is going to
    connection.sendall(ANSWER)
    if request[:1] == b"w":
        threading.Event().wait(6)
    connection.close()


with socket.create_server(("127.0.0.1", 9)) as server:
    while True:
        threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
SERVER
cat >client.py <<'CLIENT'
import socket
import sys
import time

ANSWER = bytes(range(100)) * 3
same = True
for waits in (True, False):
    for half in (False, True):
        with socket.create_connection(("192.0.2.1", 9)) as client:  # the gateway: for pasta, the loopback of the host
            client.sendall((b"w" if waits else b"c") * 100)
            if half:
                client.shutdown(socket.SHUT_WR)
            got, ended, until = b"", False, time.monotonic() + 3
            while not ended and (left := until - time.monotonic()) > 0:
                client.settimeout(left)
                try:
                    octets = client.recv(65536)
                except TimeoutError:
                    break
                got += octets
                ended = not octets
        copies, rest = divmod(len(got), len(ANSWER))
        whole = got == ANSWER * copies + ANSWER[:rest]
        print(
            f"server {'waits' if waits else 'closes'}, client {'closes its direction' if half else 'does not close'}: "
            f"{len(got)} octets, {'copies' if whole else 'not copies'} of the answer, {'ended' if ended else 'no end'} in 3 s"
        )
        same &= whole and (copies > 5 if waits and half else len(got) == 300) and ended == (not waits and not half)
sys.exit(0 if same else "changed: it is not as described")
CLIENT
cat >both.sh <<'BOTH'
set -eu
{ ip link set lo up && ip link add d0 type veth peer name d1 && ip link set d1 up && ip addr add 192.0.2.2/24 dev d0 &&
    ip link set d0 up && ip route add default via 192.0.2.1 dev d0; } 2>ip.log || { echo "cannot set up a namespace" >&2; exit 4; }
python3 server.py &
trap "kill $!" EXIT
sleep 1
root/usr/bin/pasta --config-net -4 -f --runas 0:0 -- sh -c 'touch started; python3 client.py >seen 2>&1; echo $? >code' >pasta.log 2>&1 || :
[ -e started ] || { cat pasta.log >&2; echo "pasta does not start" >&2; exit 4; }
BOTH
timeout 60 unshare -n sh both.sh
cat seen
[ "$(cat code)" = 0 ]
