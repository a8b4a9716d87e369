#!/bin/sh
# PyPCAPKit 1.4.1.post2 (PyPI, 2026): how much of a stream with a hole is given back depends on its initial sequence number.
#
# Guess: the initial sequence number of a connection is arbitrary (RFC 9293), so that it changes nothing in what is put together.
# Of a stream of three segments whose second one is not in the capture, `reassembly=True` gives the first and the third as
# two pieces and says that they are not all; its default `reasm_strict=True` returns such streams too, by the docstring.
# Seen: it cuts the pieces at the absolute sequence numbers of the hole, counted from the start of the stream. Of 200 octets
# that were captured, a client that begins with 0 keeps 198: each piece lacks its first octet, and two zeros of the hole
# stand at the end of the first piece. One that begins with 100 keeps two octets behind 99 zeros, and with 1000, as with nearly
# every number that a real host chooses, the stream is not in the list at all: no piece, no error. Without `reasm_strict`
# it is there with zeros in the hole, and `completed` is true. Streams without a hole are right with each number. A test with
# small numbers that are easy to read sees some octets, and real traffic shows none.
#
# Needs python3 with venv. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q install pypcapkit==1.4.1.post2 2>/dev/null || { echo "cannot install the package" >&2; exit 4; }
env/bin/python -W ignore - <<'READ'
import logging
import struct
import sys

import pcapkit

logging.disable(logging.CRITICAL)


def summed(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame(client: bool, seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    ends = [(bytes((192, 0, 2, 1)), 40000), (bytes((192, 0, 2, 2)), 9999)]
    (source, sport), (target, dport) = ends if client else ends[::-1]
    options = bytes.fromhex("020405b4") if flags & 2 else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options + data
    total = summed(source + target + struct.pack("!HH", 6, len(head)) + head)
    tcp = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", summed(ip)) + ip[12:]
    return bytes.fromhex("00005e005302" "00005e005301" "0800") + ip + tcp


STREAM = bytes(range(1, 101)) + b"-" * 100 + bytes(range(101, 201))


def read(first: int, hole: bool, strict: bool) -> list[tuple[bool, list[bytes]]]:
    """`completed` and the pieces of each stream; the client's initial sequence number is `first`."""
    frames = [frame(True, first, 0, 2), frame(False, 5000, first + 1, 18), frame(True, first + 1, 5001, 16)]
    for start in (0, 100, 200):
        if not (hole and start == 100):
            frames.append(frame(True, first + 1 + start, 5001, 24, STREAM[start : start + 100]))
    frames += [
        frame(False, 5001, first + 301, 16),
        frame(True, first + 301, 5001, 17),
        frame(False, 5001, first + 302, 17),
        frame(True, first + 302, 5002, 16),
    ]
    with open("one.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, each in enumerate(frames):
            file.write(struct.pack("<IIII", 1700000000, number * 1000, len(each), len(each)) + each)
    got = pcapkit.extract(fin="one.pcap", nofile=True, store=False, tcp=True, reassembly=True, reasm_strict=strict)
    streams = []
    for each in got.reassembly.tcp:
        pieces = each.payload if isinstance(each.payload, tuple) else (each.payload,)
        streams.append((each.completed, [bytes(piece) for piece in pieces]))
    return streams


whole = {first: read(first, False, True) for first in (0, 100, 1000, 3000000000)}
strict = {first: read(first, True, True) for first in (0, 100, 1000, 3000000000)}
lax = {first: read(first, True, False) for first in (0, 100, 1000, 3000000000)}
for first, streams in strict.items():
    kept = [(done, [(len(piece), piece.count(0)) for piece in pieces]) for done, pieces in streams]
    print(f"initial number {first}: completed, and octets and zeros of each piece: {kept}")
zeros = STREAM.replace(b"-" * 100, bytes(100))
right = {
    0: [(False, [STREAM[1:100] + bytes(2), STREAM[201:]])],
    100: [(False, [bytes(99) + STREAM[200:202]])],
    1000: [],
    3000000000: [],
}
print("without a hole all is right:", all(each == [(True, [STREAM])] for each in whole.values()))
print("without reasm_strict the hole is zeros and completed:", all(each == [(True, [zeros])] for each in lax.values()))
if any(each != [(True, [STREAM])] for each in whole.values()) or any(each != [(True, [zeros])] for each in lax.values()):
    sys.exit("changed: whole streams, or streams with a hole and without reasm_strict, come out in another way")
if strict != right:
    sys.exit("changed: the pieces do not depend on the initial sequence number as described")
READ
